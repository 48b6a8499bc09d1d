//! The Renovate preset: what its patterns find in a list: each form, whole, and nothing else.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::Path;

use interop::Workbench;
use serde_json::{Value, json};

/// Each pattern over the list; the groups of each match.
const FIND: &str = r"
import json, re, sys
preset = json.load(open(sys.argv[1]))
text = open(sys.argv[2]).read()
found = []
for manager in preset['customManagers']:
    for pattern in manager['matchStrings']:
        # Python alone writes the names of groups with a P.
        for match in re.finditer(pattern.replace('(?<', '(?P<'), text):
            groups = match.groupdict()
            found.append([groups['depName'], groups['currentValue'], groups.get('currentDigest')])
print(json.dumps(found))
";

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn all_three_forms_are_found_whole() {
    let Some(bench) = Workbench::with_tools("renovate", &["key-services-python"]) else { return };
    let [first, second, third] =
        ["a", "b", "c"].map(|digit| format!("sha256:{}", digit.repeat(64)));
    let list = format!(
        r#"targetRepoPrefix: registry.example.com/mirror/
images:
- source: nginx:1.27
- source: "quay.io/a/b:v1.2" # used by k3d
- source: postgres:16@{first}
  tag: other
- {{ source: redis:7.4-alpine }}
- tag: 1.32.0-v1
  source: 'localhost:5000/a/b:1'
- source: "busybox@{second}"
  tag: "1.32.0-v1"
- source: ghcr.io/x/y@{third} # why it is pinned
  tag: 3
- source: ghcr.io/org/tool
  tags: {{ semver: ">=2.0, <3" }}
- source: oci:./layouts/app:1.0
  destination: registry.example.com/app:1.0
"#
    );
    let file = bench.folder().join("external-images.yaml");
    std::fs::write(&file, list).unwrap();
    let preset =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/renovate/image-syncer.json");
    let python = bench.tool("key-services-python").args(["-c", FIND]).args([preset, file]);
    let found: Value = serde_json::from_str(&python.succeed()).unwrap();
    let expected = json!([
        ["nginx", "1.27", null],
        ["quay.io/a/b", "v1.2", null],
        ["postgres", "16", first],
        ["redis", "7.4-alpine", null],
        ["localhost:5000/a/b", "1", null],
        ["busybox", "1.32.0-v1", second],
        ["ghcr.io/x/y", "3", third],
    ]);
    assert_eq!(found, expected);
}
