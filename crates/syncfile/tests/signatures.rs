//! What a file says of signatures: the precedence of who says it, and the rules for sources.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use oci::{Location, Reference};
use syncfile::{
    Defaults, Diagnostics, IdentityText, Input, Loaded, Outside, SignatureFormat, Signing,
    VerifyMode, load,
};

fn try_load(texts: &[&str]) -> Result<Loaded, Diagnostics> {
    let inputs: Vec<Input> = texts.iter().map(|text| Input::Stdin((*text).to_owned())).collect();
    load(
        &inputs,
        &Defaults { target_repo_prefixes: vec!["reg.example".into()], ..Defaults::default() },
    )
}

fn loaded(texts: &[&str]) -> Loaded {
    try_load(texts).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn codes(result: &Result<Loaded, Diagnostics>) -> Vec<&'static str> {
    match result {
        Ok(loaded) => loaded.warnings.iter().map(|found| found.code.as_str()).collect(),
        Err(diagnostics) => diagnostics.iter().map(|found| found.code.as_str()).collect(),
    }
}

fn source(text: &str) -> Location {
    text.parse::<Reference>().expect(text).location
}

/// No text is a key that says `wrong`; the keys of the tests are not those of any scheme.
fn read(text: &str) -> Result<(), String> {
    match text.contains("wrong") {
        true => Err(format!("`{text}` is no key")),
        false => Ok(()),
    }
}

#[test]
fn who_says_whether_an_image_is_signed() {
    // The file, the image, outside: whether it is signed.
    let table = [
        ("", "", None, false),
        ("", "", Some(true), true),
        ("sign: true", "", None, true),
        ("sign: true", "", Some(false), false),
        ("sign: false", "", Some(true), true),
        ("sign: true", ", sign: false", Some(true), false),
        ("sign: false", ", sign: true", Some(false), true),
        ("", ", key: a", Some(false), true),
        ("sign: false", ", key: a", None, true),
        ("sign: true", ", key: a, sign: false", Some(true), false),
        // A key is not what asks for signatures.
        ("kmsKey: a", "", None, false),
        ("kmsKey: a\nsign: true", "", None, true),
    ];
    for (top, image, outside, signs) in table {
        for tags in ["source: 'a:1'", "source: a, tags: { include: '*' }"] {
            let text = format!("{top}\nimages: [{{ {tags}{image} }}]\n");
            let file = loaded(&[&text]).sync_file;
            let images = file.images.iter().map(|image| &image.signing);
            let all = images.chain(file.selections.iter().map(|one| &one.signing));
            let told: Vec<bool> = all.map(|signing| signing.signs(outside)).collect();
            assert_eq!(told, [signs], "{text} {outside:?}");
        }
    }
}

#[test]
fn each_file_has_defaults_of_its_own() {
    let files = [
        "sign: true\nkmsKey: a\nsignatureFormat: both\nsignRecursively: true\nattest: yes\n\
         rekorUrl: https://rekor.example.com\nrekorKey: rekor.pub\n\
         images: [{ source: 'a:1' }, { source: 'b:1', key: b, sign: false }]",
        "images: [{ source: 'c:1' }]",
    ];
    let file = loaded(&files).sync_file;
    let [a, b, c] = file.images.as_slice() else { panic!("{:?}", file.images) };
    let defaults = &a.signing.defaults;
    assert_eq!(defaults.key.as_ref().map(syncfile::Key::as_str), Some("a"));
    assert_eq!(defaults.format, Some(SignatureFormat::Both));
    assert_eq!((defaults.recursively, defaults.attest), (Some(true), Some(true)));
    assert_eq!(defaults.log_url.as_deref(), Some("https://rekor.example.com"));
    assert_eq!(defaults.log_key.as_deref(), Some(std::path::Path::new("rekor.pub")));
    assert_eq!(b.signing.defaults, *defaults);
    assert_eq!(b.signing.key.as_ref().map(syncfile::Key::as_str), Some("b"));
    assert_eq!(c.signing, Signing::default());
}

#[test]
fn one_target_is_signed_in_one_way() {
    let table = [
        (["", "", "images: [{ source: 'a:1' }]"], "duplicate-image"),
        (["", ", sign: true", "images: [{ source: 'a:1' }]"], "duplicate-target"),
        (["sign: true", "", "sign: true\nimages: [{ source: 'a:1' }]"], "duplicate-image"),
        (["sign: true", "", "images: [{ source: 'a:1' }]"], "duplicate-target"),
        (["kmsKey: a", "", "kmsKey: b\nimages: [{ source: 'a:1' }]"], "duplicate-target"),
        (["formerKeys: a", "", "images: [{ source: 'a:1' }]"], "duplicate-target"),
        (
            ["formerKeys: [a, b]", "", "formerKeys: [a, c]\nimages: [{ source: 'a:1' }]"],
            "duplicate-target",
        ),
        (["formerKeys: a", "", "formerKeys: [a]\nimages: [{ source: 'a:1' }]"], "duplicate-image"),
        (["attest: true", "", "images: [{ source: 'a:1' }]"], "duplicate-target"),
        (["rekorUrl: 'https://r'", "", "images: [{ source: 'a:1' }]"], "duplicate-target"),
        (["rekorKey: r.pub", "", "images: [{ source: 'a:1' }]"], "duplicate-target"),
    ];
    for ([top, image, other], code) in table {
        let text = format!("{top}\nimages: [{{ source: 'a:1'{image} }}]\n");
        assert_eq!(codes(&try_load(&[&text, other])), [code], "{text}{other}");
    }
}

#[test]
fn what_is_to_be_signed_has_a_key() {
    let has = |sign, has_key| Outside { sign, has_key };
    let without = |text: &str, outside| {
        let found = loaded(&[text]).sync_file.check_keys(outside, read);
        let places = found.err().into_iter().flatten().map(|found| {
            assert_eq!(found.code.as_str(), "no-signing-key");
            found.place.map(|place| (place.line, place.column))
        });
        places.collect::<Vec<_>>()
    };
    let top = "sign: true\nimages:\n- source: a:1\n- source: b:1\n";
    assert_eq!(without(top, has(None, false)), [Some((1, 1))]);
    assert_eq!(without(top, has(Some(true), false)), [None]);
    assert_eq!(without(top, has(Some(false), false)), []);
    assert_eq!(without(top, has(None, true)), []);
    let own = "images:\n- source: a:1\n  sign: true\n- source: b:1\n- source: c\n  tags: { latest: 1 }\n  \
               sign: true\n";
    assert_eq!(without(own, has(None, false)), [Some((3, 3)), Some((7, 3))]);
    assert_eq!(without(own, has(Some(false), false)), [Some((3, 3)), Some((7, 3))]);
    assert_eq!(without(own, has(None, true)), []);
    assert_eq!(without(&format!("kmsKey: a\n{own}"), has(None, false)), []);
    assert_eq!(without("images: [{ source: 'a:1', key: a }]", has(None, false)), []);
    assert_eq!(without("sign: true\nimages: [{ source: 'a:1', key: a }]", has(None, false)), []);
}

#[test]
fn what_is_no_key_is_told_with_its_place() {
    let text = "\
kmsKey: wrong-1
formerKeys: [right, wrong-4]
images:
- source: a:1
- source: b:1
  key: wrong-2
verify:
- source: '**'
  keys: [right, wrong-3]
";
    let found = loaded(&[text]).sync_file.check_keys(Outside::default(), read);
    insta::assert_snapshot!(found.expect_err("wrong").to_string());
}

#[test]
fn a_rule_is_for_the_sources_of_all_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules/a.yaml");
    fs::create_dir(folder.path().join("rules")).expect("a folder");
    let text = "\
verify:
- source: ghcr.io/org/**
  keys: cosign.pub
- source: '**'
  mode: warn
  identities:
  - issuer: https://issuer.example
    subjectPattern: https://github\\.com/org/.*
  trustedRoot: root.json
  attestations: [https://slsa.dev/provenance/v1]
";
    fs::write(&rules, text).expect("a file");
    let images = Input::Stdin("images: [{ source: 'ghcr.io/org/a:1' }, { source: 'b:1' }]".into());
    let defaults =
        Defaults { target_repo_prefixes: vec!["reg.example".into()], ..Defaults::default() };
    let loaded = load(&[Input::Path(rules.clone()), images], &defaults).expect("right");
    assert_eq!(loaded.warnings, []);
    let file = loaded.sync_file;
    let rules_for = |text| file.verify_rules(&source(text)).collect::<Vec<_>>();
    assert_eq!((rules_for("ghcr.io/org/a:1").len(), rules_for("b:1").len()), (2, 1));

    let [first, second] = file.verify.as_slice() else { panic!("{:?}", file.verify) };
    assert_eq!((first.mode, second.mode), (VerifyMode::Required, VerifyMode::Warn));
    let [key] = first.keys.as_slice() else { panic!("{:?}", first.keys) };
    assert_eq!(key.resolve(Path::new(key.as_str())), folder.path().join("rules/cosign.pub"));
    assert_eq!((first.origin.line, first.keyless.as_ref()), (2, None));
    let keyless = second.keyless.as_ref().expect("identities");
    assert_eq!(keyless.trusted_root, folder.path().join("rules/root.json"));
    let [identity] = keyless.identities.as_slice() else { panic!("{keyless:?}") };
    assert_eq!(identity.issuer, IdentityText::Exact("https://issuer.example".into()));
    assert!(identity.subject.matches("https://github.com/org/repo"));
    assert!(!identity.subject.matches("https://example.com/?https://github.com/org/repo"));
    assert_eq!(second.attestations, ["https://slsa.dev/provenance/v1"]);
}

#[test]
fn a_rule_for_no_source_is_told_where_there_are_sources() {
    let rules = "verify: [{ source: 'ghcr.io/orgs/**', keys: a }]";
    let images = "images: [{ source: 'ghcr.io/org/a:1' }]";
    assert_eq!(codes(&try_load(&[rules, images])), ["unmatched-rule"]);
    assert_eq!(codes(&try_load(&[rules])), ["empty-list"]);
    let selection = "images: [{ source: ghcr.io/orgs/a, tags: { latest: 1 } }]";
    assert_eq!(codes(&try_load(&[rules, selection])), Vec::<&str>::new());
}

#[test]
fn a_private_key_in_a_file_is_shown_nowhere() {
    let key = "|\n    -----BEGIN EC PRIVATE KEY-----\n    S3cr3t\n";
    let texts = [
        format!("images:\n- source: a:1\n  key: {key}  tag: wrong tag\n"),
        format!("images:\n- source: a:1\nverify:\n- source: '**'\n  keys: {key}  wrong: 1\n"),
        format!("images:\n- source: a:1\n  key: {key}"),
    ];
    for text in texts {
        let shown = match try_load(&[&text]) {
            Err(diagnostics) => format!("{diagnostics:?}{diagnostics}"),
            Ok(loaded) => {
                let refuse = |_: &str| Err("this is a private key".to_owned());
                let found = loaded.sync_file.check_keys(Outside::default(), refuse);
                format!("{loaded:?}{}", found.expect_err("wrong"))
            }
        };
        assert!(!shown.contains("S3cr3t"), "{shown}");
    }
}
