//! What of signatures is known before any registry is asked.

use serde_json::Value;
use testkit::{Fault, KeyPair, KeyService, KeyType, Registry, image};

use crate::program::{Done, Program, add, held};

async fn run(program: &Program, line: &str) -> Done {
    program.run(&line.split(' ').collect::<Vec<_>>()).await
}

#[tokio::test]
async fn the_example_is_right() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/signed.yaml");
    let done = run(&Program::new(), &format!("check {example}")).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "ok: 3 images, 3 targets\n"), "{done}");
    assert_eq!(done.stderr, "");
}

#[tokio::test]
async fn a_file_that_asks_for_signatures_needs_a_key_from_somewhere() {
    let mut program = Program::new();
    program.file("images.yaml", "images:\n- source: nginx:1.27\n  sign: true\n");
    let check = "check images.yaml -r registry.example.com/mirror/";
    for line in [check, "plan -i images.yaml -r registry.example.com/mirror/"] {
        let done = run(&program, line).await;
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains("error[no-signing-key]"), "{done}");
        assert!(done.stderr.contains("images.yaml:3:3"), "{done}");
    }
    let done = run(&program, &format!("{check} -k hashivault://mirror")).await;
    assert_eq!(done.code, Some(0), "{done}");
    program.variable("SYNCER_KMS_KEY", "hashivault://mirror");
    let done = run(&program, check).await;
    assert_eq!(done.code, Some(0), "{done}");
}

/// A list with a key in a file: signed, and the second time there is nothing to do.
#[tokio::test]
async fn a_list_is_signed_once() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    let image = image::index(1);
    source.add(&"team/app".parse().unwrap(), &"1".parse().unwrap(), &image).await;
    let program = Program::new();
    let key = KeyPair::new();
    program.file("mirror.key", &key.private);
    program.file("former.pub", &key.public);
    program.file(
        "images.yaml",
        format!(
            "targetRepoPrefix: {}/mirror/\nkmsKey: mirror.key\nsign: true\nattest: true\n\
             images:\n- source: {}/team/app:1\n",
            target.host(),
            source.host(),
        ),
    );
    let plan = run(&program, "plan -i images.yaml --exit-code").await;
    assert_eq!(plan.code, Some(6), "{plan}");
    assert!(plan.stdout.contains("would-sign"), "{plan}");
    let done = run(&program, "sync -i images.yaml").await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("SIGNATURE"), "{done}");
    assert!(done.stdout.contains("signed"), "{done}");
    target.log().clear();
    let again = run(&program, "sync -i images.yaml --output json").await;
    assert_eq!(again.code, Some(0), "{again}");
    let report: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    let signature = &report["items"][0]["signature"];
    assert_eq!(signature["state"], "present", "{again}");
    assert!(signature["key"].as_str().unwrap().ends_with("mirror.key"), "{again}");
    assert_eq!(target.log().writes().len(), 0, "{}", target.log());
    let verified = run(&program, "verify -i images.yaml").await;
    assert_eq!(verified.code, Some(0), "{verified}");
    let other = KeyPair::new();
    program.file("mirror.key", &other.private);
    let verified = run(&program, "verify -i images.yaml").await;
    assert_eq!(verified.code, Some(5), "{verified}");
    assert!(verified.stdout.contains("neither by this key nor from its source"), "{verified}");
    assert!(verified.stdout.contains("name it in `formerKeys`"), "{verified}");

    // The key was not another's, but rotated.
    let verified = run(&program, "verify -i images.yaml --former-key former.pub").await;
    assert_eq!(verified.code, Some(5), "{verified}");
    assert!(verified.stdout.contains("signed by a former key of the mirror"), "{verified}");
    let plan = "plan -i images.yaml --former-key former.pub --plan-file rotation.plan";
    let plan = run(&program, plan).await;
    assert!(plan.stdout.contains("would-sign"), "{plan}");
    let done = run(&program, "apply rotation.plan").await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("signed"), "{done}");
    let verified = run(&program, "verify -i images.yaml").await;
    assert_eq!(verified.code, Some(0), "{verified}");
}

/// Google's key service with a key `mirror` of so many versions, a source with two images, a target, and a
/// program that knows the service.
async fn in_google(versions: usize) -> (Registry, Registry, Registry, Program) {
    let service = (0..versions)
        .fold(KeyService::default(), |service, _| service.key("mirror", KeyType::P256));
    let keys = Registry::builder().serve(service.google()).start().await;
    let (source, target) = (Registry::start().await, Registry::start().await);
    for (number, tag) in ["1", "2"].into_iter().enumerate() {
        add(&source, "team/app", tag, &image::single(number as u64)).await;
    }
    let mut program = Program::new();
    program.variable("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", &keys.url());
    program.variable("GCE_METADATA_HOST", &keys.host().to_string());
    (keys, source, target, program)
}

/// A key that is named without a version is rotated in its service alone.
#[tokio::test]
async fn a_rotation_in_google_signs_anew_and_asks_for_earlier_versions_once() {
    let (keys, source, target, program) = in_google(2).await;
    let list = format!(
        "targetRepoPrefix: {}/mirror/\nsign: true\n\
         images:\n- source: {source}/team/app:1\n- source: {source}/team/app:2\n",
        target.host(),
        source = source.host(),
    );
    program.file("images.yaml", list);
    let key = format!("gcpkms://{}/cryptoKeys/mirror", KeyService::KEY_RING);
    let done = run(&program, &format!("sync -i images.yaml -k {key}/versions/1")).await;
    assert_eq!(done.code, Some(0), "{done}");
    // Two pages of versions and a public key: for the newest, and again for those before it.
    for (round, signatures, asked) in [("rotated", 2, 3 + 3 + 2), ("again", 0, 3)] {
        keys.log().clear();
        let done = run(&program, &format!("sync -i images.yaml -k {key}")).await;
        assert_eq!(done.code, Some(0), "{done}");
        let count = |what: &str| keys.log().count("*", &format!("/v1/**{what}"));
        assert_eq!(count(":asymmetricSign"), signatures, "{round}: {}", keys.log());
        assert_eq!(count(""), asked, "{round}: {}", keys.log());
    }
}

/// A key service is asked for its key once, and for a signature where one is missing; a plan does not
/// ask it anything.
#[tokio::test]
async fn a_key_service_is_asked_for_what_is_missing_alone() {
    let (keys, source, target, program) = in_google(1).await;
    program.file(
        "images.yaml",
        format!(
            "targetRepoPrefix: {}/mirror/\nkmsKey: gcpkms://{}/cryptoKeys/mirror/versions/1\nsign: true\n\
             images:\n- source: {source}/team/app:1\n- source: {source}/team/app:2\n",
            target.host(),
            KeyService::KEY_RING,
            source = source.host(),
        ),
    );
    let asked = |what: &str| keys.log().count("*", &format!("/v1/**{what}"));
    let plan = run(&program, "plan -i images.yaml").await;
    assert_eq!(plan.code, Some(0), "{plan}");
    assert_eq!(keys.log().requests().len(), 0, "{}", keys.log());
    for (round, signatures) in [("first", 2), ("second", 0)] {
        keys.log().clear();
        let done = run(&program, "sync -i images.yaml").await;
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(asked(":asymmetricSign"), signatures, "{round}: {}", keys.log());
        assert_eq!(asked("/publicKey"), 1, "{round}: {}", keys.log());
        assert_eq!(asked(""), signatures + 1, "{round}: {}", keys.log());
    }
    // What is signed already is no work that a plan knows of; what may be, is told without being a write.
    keys.log().clear();
    let plan = run(&program, "plan -i images.yaml -o plan.json --exit-code").await;
    assert_eq!(plan.code, Some(0), "{plan}");
    let told = "2 up-to-date; 2 may be signed: the plan does not ask the key service; ";
    assert!(plan.stdout.contains(told), "{plan}");
    assert!(!plan.stdout.contains("would"), "{plan}");
    let all = run(&program, "plan -i images.yaml -o plan.json --verbose").await;
    assert_eq!(all.stdout.matches("may write: ").count(), 2, "{all}");
    let json = run(&program, "plan -i images.yaml -o plan.json --output json").await;
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let foreseen = &report["summary"]["foreseen"];
    assert_eq!((&foreseen["signatures"], &foreseen["uncheckedSignatures"]), (&0.into(), &2.into()));
    assert_eq!(keys.log().requests().len(), 0, "{}", keys.log());
}

/// A key service that denies, fails or is not there stops what is to be signed and nothing else: that
/// stays without its tag, and the next run completes it. Only "no" is a matter of credentials.
#[tokio::test]
async fn what_a_key_cannot_sign_waits_for_the_next_run() {
    const SIGN: &str = "/v1/*:asymmetricSign";
    const PUBLIC_KEY: &str = "/v1/*/publicKey";
    let denied = r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#;
    let table = [
        ("denies", Some((Fault::status(403).body(denied).on("POST", SIGN), 4, "key-denied"))),
        (
            "denies the key",
            Some((Fault::status(403).body(denied).on("GET", PUBLIC_KEY), 4, "key-denied")),
        ),
        ("fails", Some((Fault::status(500).on("POST", SIGN), 1, "key"))),
        ("is unreachable", None),
    ];
    for (case, fault) in table {
        let service = KeyService::default().key("mirror", KeyType::P256);
        let keys = Registry::builder().serve(service.google()).start().await;
        let (source, target) = (Registry::start().await, Registry::start().await);
        let signed = image::index(1);
        add(&source, "signed", "1", &signed).await;
        add(&source, "plain", "1", &image::single(2)).await;
        // Nobody listens on port 1.
        let url = if fault.is_some() { keys.url() } else { "http://127.0.0.1:1".to_owned() };
        let mut program = Program::new();
        program.variable("GCE_METADATA_HOST", &keys.host().to_string());
        program.variable("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", &url);
        let key =
            format!("gcpkms://{}/cryptoKeys/mirror/cryptoKeyVersions/1", KeyService::KEY_RING);
        let list = format!(
            "kmsKey: {key}\nimages:\n\
             - source: {source}/signed:1\n  destination: {target}/signed:1\n  sign: true\n\
             - source: {source}/plain:1\n  destination: {target}/plain:1\n",
            source = source.host(),
            target = target.host(),
        );
        program.file("images.yaml", list);
        let (code, class) = match fault {
            Some((fault, code, class)) => {
                keys.inject(fault);
                (code, class)
            }
            None => (1, "key"),
        };
        let done = run(&program, "sync -i images.yaml --output json").await;
        assert_eq!(done.code, Some(code), "{case}: {done}");
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        let items = &report["items"];
        assert_eq!(items[0]["outcome"], "failed", "{case}: {done}");
        assert_eq!(items[0]["signature"]["state"], "missing", "{case}: {done}");
        assert_eq!(items[0]["error"]["class"], class, "{case}: {done}");
        let told = items[0]["error"]["message"].as_str().unwrap();
        assert!(told.contains(&key), "{case}: {told}");
        assert_eq!(items[1]["outcome"], "copied", "{case}: {done}");
        assert_eq!(held(&target, "signed", "1").await, None, "{case}: {}", target.log());
        assert!(held(&target, "plain", "1").await.is_some(), "{case}");
        let signatures = target.log().count("PUT", "/v2/signed/manifests/*.sig");
        assert_eq!(signatures, 0, "{case}: {}", target.log());

        keys.clear_faults();
        program.variable("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", &keys.url());
        let done = run(&program, "sync -i images.yaml --output json").await;
        assert_eq!(done.code, Some(0), "{case}: {done}");
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(report["items"][0]["outcome"], "copied", "{case}: {done}");
        assert_eq!(report["items"][0]["signature"]["state"], "signed", "{case}: {done}");
        assert_eq!(report["items"][1]["outcome"], "up-to-date", "{case}: {done}");
        assert_eq!(held(&target, "signed", "1").await, Some(signed.digest()), "{case}");
    }
}

#[tokio::test]
async fn what_is_not_signed_by_whom_it_should_is_refused() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    source.add(&"team/app".parse().unwrap(), &"1".parse().unwrap(), &image::single(1)).await;
    let program = Program::new();
    program.file("team.pub", &KeyPair::new().public);
    program.file(
        "images.yaml",
        format!(
            "targetRepoPrefix: {}/mirror/\nimages:\n- source: {host}/team/app:1\n\
             verify:\n- source: \"{host}/team/*\"\n  keys: [team.pub]\n",
            target.host(),
            host = source.host(),
        ),
    );
    let done = run(&program, "sync -i images.yaml").await;
    assert_eq!(done.code, Some(5), "{done}");
    assert!(done.stdout.contains("has no signature (images.yaml:"), "{done}");
    assert_eq!(target.log().writes().len(), 0, "{}", target.log());
}

#[tokio::test]
async fn one_image_is_signed_and_verified() {
    let registry = Registry::start().await;
    registry.add(&"team/app".parse().unwrap(), &"1".parse().unwrap(), &image::index(1)).await;
    let program = Program::new();
    for name in ["ours", "theirs"] {
        let pair = KeyPair::new();
        program.file(&format!("{name}.key"), &pair.private);
        program.file(&format!("{name}.pub"), &pair.public);
    }
    let reference = format!("{}/team/app:1", registry.host());
    let verify = |key: &str| format!("verify-signature {reference} --key {key}.pub");
    let unsigned = run(&program, &verify("ours")).await;
    assert_eq!(unsigned.code, Some(5), "{unsigned}");
    assert!(unsigned.stderr.contains("has no signature"), "{unsigned}");
    assert_eq!(unsigned.stdout, "", "{unsigned}");
    let unsigned = run(&program, &format!("{} --output json", verify("ours"))).await;
    let told: Value =
        serde_json::from_str(&unsigned.stdout).unwrap_or_else(|_| panic!("{unsigned}"));
    assert_eq!((&told["state"], unsigned.code), (&"refused".into(), Some(5)), "{told}");
    assert!(told["problem"].as_str().unwrap().contains("has no signature"), "{told}");
    assert_eq!(told["digest"], image::index(1).digest().to_string(), "{told}");
    for (key, format) in [("ours", "legacy"), ("theirs", "bundle")] {
        let sign = format!("sign {reference} -k {key}.key --signature-format {format}");
        let done = run(&program, &sign).await;
        assert_eq!(done.code, Some(0), "{done}");
        assert!(done.stdout.starts_with("signed: "), "{done}");
        let again = run(&program, &sign).await;
        assert!(again.stdout.starts_with("signed already: "), "{again}");
        let valid = run(&program, &verify(key)).await;
        assert_eq!(valid.code, Some(0), "{valid}");
        assert!(valid.stdout.starts_with("valid: "), "{valid}");
        for (command, state) in [(&sign, "present"), (&verify(key), "valid")] {
            let told = run(&program, &format!("{command} --output json")).await;
            let told: Value =
                serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told}"));
            assert_eq!((&told["state"], &told["exitCode"]), (&state.into(), &0.into()), "{told}");
            assert_eq!(told["by"].as_array().map(Vec::len), Some(1), "{told}");
        }
    }
    let missing = run(&program, &format!("sign {}/team/app:2 -k ours.key", registry.host())).await;
    assert_eq!(missing.code, Some(1), "{missing}");
    let nothing = run(&program, &format!("sign {reference}")).await;
    assert_eq!(nothing.code, Some(2), "{nothing}");
    assert!(nothing.stderr.contains("no key to sign with"), "{nothing}");
}
