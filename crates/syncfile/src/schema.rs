//! The JSON Schema of the sync file, for editors.
//!
//! It is written by hand, because editors show its texts; the tests hold it and the reader
//! together, key by key and example by example.

/// The JSON Schema (draft 2020-12) of a sync file.
pub fn schema() -> &'static str {
    include_str!("../../../schema/sync-file.schema.json")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use serde_json::{Map, Value};

    use super::*;
    use crate::yaml::{self, Content, Node};
    use crate::{Code, Defaults, Diagnostic, EcrDefaults, Input, Outside, Severity, load};

    fn parsed_schema() -> Value {
        serde_json::from_str(schema()).expect("JSON")
    }

    fn validator() -> jsonschema::Validator {
        jsonschema::draft202012::new(&parsed_schema()).expect("a schema")
    }

    /// A tree as the JSON that an editor's YAML extension checks (YAML 1.2 core schema).
    fn json(node: &Node) -> Value {
        match &node.content {
            Content::Scalar { .. } if node.is_null() => Value::Null,
            Content::Scalar { text, plain: true } => match text.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => text
                    .parse::<i64>()
                    .map(Value::from)
                    .or_else(|_| text.parse::<f64>().map(Value::from))
                    .unwrap_or_else(|_| Value::String(text.clone())),
            },
            Content::Scalar { text, .. } => Value::String(text.clone()),
            Content::List(items) => items.iter().map(json).collect(),
            Content::Mapping(entries) => {
                let key = |key: &Node| match &key.content {
                    Content::Scalar { text, .. } => text.clone(),
                    Content::List(_) | Content::Mapping(_) => panic!("a key that is no string"),
                };
                Value::Object(entries.iter().map(|(k, v)| (key(k), json(v))).collect::<Map<_, _>>())
            }
        }
    }

    fn is_valid(text: &str) -> bool {
        let root = yaml::parse(text).root.expect("YAML");
        validator().is_valid(&json(&root))
    }

    /// Everything that is told about a text beside another file, with a prefix and a registry given.
    fn told(text: &str) -> Vec<Diagnostic> {
        let ecr = EcrDefaults {
            account: Some("123456789012".into()),
            region: Some("us-east-1".into()),
            ..EcrDefaults::default()
        };
        let target_repo_prefixes = vec!["registry.example.com/mirror".into()];
        let defaults = Defaults { target_repo_prefixes, ecr };
        let other = Input::Stdin("images: [{ source: example:1 }]".to_owned());
        match load(&[Input::Stdin(text.to_owned()), other], &defaults) {
            Ok(loaded) => {
                let keys = loaded.sync_file.check_keys(Outside::default(), |_| Ok(()));
                keys.err().into_iter().flatten().chain(loaded.warnings).collect()
            }
            Err(diagnostics) => diagnostics.into_iter().collect(),
        }
    }

    #[test]
    fn the_schema_is_one_of_its_draft() {
        assert!(jsonschema::meta::is_valid(&parsed_schema()));
    }

    #[test]
    fn the_schema_has_exactly_the_keys_that_are_read() {
        let text = "
zzzzzzzzzz: 1
images:
- { source: a:1, zzzzzzzzzz: 1, tags: { zzzzzzzzzz: 1 }, ecr: { zzzzzzzzzz: 1 } }
registries:
  r.example:
    zzzzzzzzzz: 1
    auth: { username: { zzzzzzzzzz: 1 }, zzzzzzzzzz: 1 }
    clientCertificate: { zzzzzzzzzz: 1 }
  a.example: { auth: { aws: { zzzzzzzzzz: 1 } } }
  b.example: { auth: { google: { zzzzzzzzzz: 1 } } }
  c.example: { auth: { azure: { zzzzzzzzzz: 1 } } }
verify:
- { zzzzzzzzzz: 1, identities: [{ zzzzzzzzzz: 1 }] }
repositories:
- zzzzzzzzzz: 1
  image: { zzzzzzzzzz: 1 }
  chart: { zzzzzzzzzz: 1 }
  mutability: { zzzzzzzzzz: 1 }
  encryption: { zzzzzzzzzz: 1 }
charts:
- { zzzzzzzzzz: 1 }
notices:
- { zzzzzzzzzz: 1 }
schedule: { zzzzzzzzzz: 1 }
";
        let schema = parsed_schema();
        let mut compared = 0;
        for found in told(text).iter().filter(|found| found.code == Code::UnknownKey) {
            let help = found.help.first().expect("the keys that are known");
            let (what, keys) = help.split_once(" has ").expect("what has them");
            let read: BTreeSet<&str> = keys.split(", ").map(|key| key.trim_matches('`')).collect();
            let at = match what {
                "a sync file" => "/properties",
                "an image" => "/$defs/image/properties",
                "`tags`" => "/$defs/tagSelection/properties",
                "a registry" => "/$defs/registry/properties",
                "`auth`" => "/$defs/login/properties",
                "`aws`" => "/$defs/login/properties/aws/properties",
                "`google`" => "/$defs/login/properties/google/properties",
                "`azure`" => "/$defs/login/properties/azure/properties",
                "a secret" => "/$defs/secret/properties",
                "`clientCertificate`" => "/$defs/registry/properties/clientCertificate/properties",
                "a rule of `verify`" => "/$defs/verifyRule/properties",
                "an identity" => "/$defs/identity/properties",
                "an ECR repository" => "/$defs/repository/properties",
                "a chart" => "/$defs/chart/properties",
                "a notice" => "/$defs/notice/properties",
                "`schedule`" => "/properties/schedule/properties",
                "`ecr`" => "/$defs/creation/properties",
                "`mutability`" => "/$defs/mutability/anyOf/1/properties",
                "`encryption`" => "/$defs/encryption/anyOf/1/properties",
                "`image`" => "/$defs/repository/properties/image/properties",
                "`chart`" => "/$defs/repository/properties/chart/properties",
                other => panic!("{other} is not compared with the schema"),
            };
            let described = schema.pointer(at).and_then(Value::as_object).expect(at);
            assert_eq!(read, described.keys().map(String::as_str).collect(), "{at}");
            compared += 1;
        }
        assert_eq!(compared, 21);
    }

    #[test]
    fn every_part_of_the_schema_has_a_description() {
        fn check(at: &str, value: &Value) {
            let Value::Object(object) = value else { return };
            if let Some(Value::Object(properties)) = object.get("properties") {
                for (key, value) in properties {
                    let described = value.get("description").is_some()
                        || value.get("$ref").is_some_and(|name| name != "#/$defs/tags");
                    assert!(described, "{at}/{key}");
                }
            }
            object.iter().for_each(|(key, value)| check(&format!("{at}/{key}"), value));
        }
        check("", &parsed_schema());
    }

    #[test]
    fn the_schema_accepts_lists_as_people_have_them() {
        for entry in fs::read_dir("tests/data/lists").expect("the folder is there") {
            let file = entry.expect("an entry").path();
            let text = fs::read_to_string(&file).expect("a file");
            // Merge keys are no part of the core schema; editors expand them by themselves.
            assert!(is_valid(&text) || text.contains("<<"), "{}", file.display());
        }
    }

    #[test]
    fn the_schema_refuses_what_the_reader_refuses() {
        let image = |keys: &str| format!("images: [{{ source: a:1, {keys} }}]");
        let registry = |keys: &str| format!("registries: {{ r.example: {{ {keys} }} }}");
        let repository = |keys: &str| format!("repositories: [{{ name: app, {keys} }}]");
        let chart = |keys: &str| format!("charts: [{{ {keys} }}]");
        let notice = |keys: &str| format!("notices: [{{ {keys} }}]");
        let rule = |keys: &str| format!("verify: [{{ source: '**', {keys} }}]");
        let wrong = [
            "images: a".to_owned(),
            "notices: { slack: { env: A } }".into(),
            notice(""),
            notice("on: [drift]"),
            notice("slack: { env: A }, teams: { env: B }"),
            notice("slack: { env: A }, secret: { env: B }"),
            notice("teams: { env: A }, template: '{}'"),
            notice("slack: [A]"),
            notice("slack: { env: A }, on: [never]"),
            notice("slack: { env: A }, on: []"),
            notice("slack: { env: A }, insecure: 1"),
            notice("webhook: { env: A }, headers: { 'a b': c }"),
            notice("webhook: { env: A }, headers: [a]"),
            notice("webhook: { env: A }, template: [a]"),
            "images: [a:1]".into(),
            "images: [{ tag: a }]".into(),
            "imgaes: []".into(),
            "targetRepoPrefix: []".into(),
            "sign: maybe".into(),
            "registries: [r.example]".into(),
            "registries: { r.example/path: {} }".into(),
            "schedule: 10m".into(),
            "schedule: {}".into(),
            "schedule: { interval: [10m] }".into(),
            "schedule: { interval: 10m, cron: '@daily' }".into(),
            "schedule: { interval: 10m, timezone: UTC }".into(),
            "repositories: [{}]".into(),
            "[{ names: a }]".into(),
            repository("mutability: fixed"),
            repository("mutability: { except: ['*'] }"),
            repository("mutability: { mode: immutable, except: [] }"),
            repository("encryption: DES"),
            repository("encryption: { kms: [a] }"),
            repository("scanOnPush: 1"),
            repository("lifecyclePolicy: []"),
            repository("permissionPolicy: a"),
            repository("resourceTags: [a]"),
            repository("resourceTags: { a: [b] }"),
            repository("resourceTags: { a: }"),
            repository("image: nginx"),
            repository("image: { tags: [a] }"),
            repository("image: { pull_url: nginx, tags: latest }"),
            repository("chart: { pull_url: 'oci://r.io/a', aliases: true }"),
            "repositories: [{ name: a }]".into(),
            "charts: { a: b }".into(),
            chart("source: nginx, versions: 1.2.3"),
            chart("versions: 1.2.3"),
            chart("source: 'https://a.io/b', versions: []"),
            chart("source: 'https://a.io/b', versions: 1.2.3, images: 1"),
            chart("source: 'https://a.io/b', versions: 1.2.3, tag: 1.2.3"),
            image("ecr: true"),
            image("ecr: { scanOnPush: true }"),
            image(
                "destination: 123456789012.dkr.ecr.us-east-1.amazonaws.com/a, ecr: { create: 1 }",
            ),
            image("tag: [a]"),
            image("platform: [linux/amd64]"),
            image("destination: {}"),
            image("destination: r.example/a, target: r.example/b"),
            image("tags: [a]"),
            image("tags: { latest: 0 }"),
            image("tags: {}"),
            image("tags: { maxTags: 3 }"),
            image("tags: { per: minor }"),
            image("tags: { latest: 1, per: day }"),
            image("tags: { include: [] }"),
            image("amd64Only: 1"),
            image("platforms: []"),
            image("platforms: { linux: amd64 }"),
            image("platforms: [linux]"),
            "signatureFormat: cosign".into(),
            "signRecursively: deep".into(),
            "attest: [a]".into(),
            "rekorUrl: rekor.example.com".into(),
            "rekorKey: [a]".into(),
            image("sign: maybe"),
            image("key: [a]"),
            image("key: '-----BEGIN PUBLIC KEY-----'"),
            "verify: []".into(),
            "verify:".into(),
            rule("mode: warn"),
            rule("keys: []"),
            rule("keys: {}"),
            rule("keys: a, mode: never"),
            rule("keys: a, trustedRoot: r"),
            rule("keys: a, attestations: []"),
            rule("keys: a, attestations: spdx"),
            rule("identities: [], trustedRoot: r"),
            rule("identities: [{ issuer: a, subject: b }]"),
            rule("identities: [{ issuer: a }], trustedRoot: r"),
            rule("identities: [{ issuer: a, issuerPattern: a, subject: b }], trustedRoot: r"),
            rule("identities: [{ issuer: '', subject: b }], trustedRoot: r"),
            "verify: [{ keys: a }]".into(),
            registry("concurrency: 0"),
            registry("rate: 0"),
            registry("rate: fast"),
            registry("insecure: 1"),
            registry("kind: Harbor"),
            registry("endpoint: proxy.example"),
            registry("mirrors: a.example"),
            registry("clientCertificate: { cert: a.pem }"),
            registry("auth: { username: u }"),
            registry("auth: { username: u, password: { env: P }, token: { env: T } }"),
            registry("auth: { username: u, password: { env: P, file: p } }"),
            registry("auth: { username: u, password: {} }"),
            registry("auth: nobody"),
            registry("auth: { token: { env: T }, kubernetes: /secret }"),
            registry("auth: { aws: { externalId: x } }"),
            registry("auth: { aws: { assumeRole: mirror } }"),
            registry("auth: { aws: mirror }"),
            registry("auth: { aws: { accessKeyId: { env: A } } }"),
            registry("auth: { aws: { secretAccessKey: { env: A } } }"),
            registry("auth: { aws: { accessKeyId: { env: A }, secretAccessKey: {} } }"),
            registry(
                "auth: { aws: { accessKeyId: { env: A }, secretAccessKey: { env: B }, profile: p } }",
            ),
            registry("auth: { google: { scopes: [] } }"),
            registry("auth: { azure: { clientId: [] } }"),
            registry("auth: { username: u, password: { awsSecret: registry } }"),
        ];
        for text in wrong {
            let errors = told(&text);
            assert!(errors.iter().any(|found| found.severity == Severity::Error), "{text}");
            assert!(!is_valid(&text), "the schema accepts {text}");
        }
    }

    #[test]
    fn the_schema_knows_every_kind_of_registry() {
        for kind in oci::RegistryKind::ALL {
            assert!(
                is_valid(&format!("registries: {{ r.example: {{ kind: {kind} }} }}")),
                "{kind}"
            );
        }
    }

    /// The code blocks of the reference that are YAML, each with what stands beside its fence.
    fn examples(text: &str) -> Vec<(&str, &str)> {
        let blocks = text.split("\n```yaml").skip(1).map(|block| {
            let (mark, rest) = block.split_once('\n').expect("a line after the fence");
            let (example, _) = rest.split_once("```").expect("a fence at the end");
            (mark.trim(), example)
        });
        blocks.collect()
    }

    #[test]
    fn the_examples_of_the_reference_do_what_it_says() {
        let file = Path::new("../../docs/sync-file.md");
        let text = fs::read_to_string(file).expect("the reference");
        let examples = examples(&text);
        assert!(examples.len() > 20, "{} examples", examples.len());
        for (mark, example) in examples {
            let found = told(example);
            let told: Vec<String> = found
                .iter()
                .map(|found| format!("{}={}", found.severity.as_str(), found.code))
                .collect();
            let wanted: Vec<&str> = mark.split_whitespace().collect();
            assert_eq!(told, wanted, "{example}");
            if !mark.starts_with("error") {
                assert!(is_valid(example), "the schema refuses {example}");
            }
        }
    }

    #[test]
    fn the_reference_names_every_key_and_every_code() {
        let text = fs::read_to_string("../../docs/sync-file.md").expect("the reference");
        fn keys<'v>(value: &'v Value, names: &mut BTreeSet<&'v str>) {
            let Value::Object(object) = value else { return };
            if let Some(Value::Object(properties)) = object.get("properties") {
                names.extend(properties.keys().map(String::as_str));
            }
            object.values().for_each(|value| keys(value, names));
        }
        let schema = parsed_schema();
        let mut names = BTreeSet::new();
        keys(&schema, &mut names);
        for name in names {
            let named = [format!("`{name}`"), format!("{name}:")].iter().any(|n| text.contains(n));
            assert!(named, "`{name}`");
        }
        for code in Code::ALL {
            assert!(text.contains(&format!("| `{code}` ")), "{code}");
        }
    }
}
