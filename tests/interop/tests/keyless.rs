//! What real cosign says of keyless signatures in a real registry, and what we say of them, is the same.
//! Signed is by the Sigstore of `tests/tools/virtual-sigstore`; cosign trusts it by `--trusted-root` and
//! is told nothing else to make it lenient, but where a case says so.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use interop::{Kind, Layout, Server, Workbench};
use serde_json::{Value, json};
use signing::bundle::Envelope;
use signing::bundle::SIGNATURE_PREDICATE_TYPE;
use signing::keyless::{
    Expected, Identity, TrustedRoot, verify_bundle, verify_envelope, verify_layer,
};
use signing::simple_signing::{SIGNATURE_ANNOTATION, SignatureLayer};

const TOOLS: [&str; 7] = [
    "cosign",
    "crane",
    "buildah",
    "htpasswd",
    "distribution3",
    "ggcr-registry",
    "virtual-sigstore",
];

const SUBJECT: &str = "https://github.com/example/app/.github/workflows/release.yml@refs/tags/v1";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const ATTESTATION: &str = "https://slsa.dev/provenance/v1";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry, an image, and what a Sigstore signed for it.
struct Setting {
    bench: Workbench,
    server: Server,
    image: Layout,
    signed: PathBuf,
}

/// Whose signature is asked for, and how.
#[derive(Clone)]
struct Question {
    trusted_root: PathBuf,
    subject: Name,
    issuer: Name,
    flags: Vec<&'static str>,
}

#[derive(Clone)]
enum Name {
    Exact(&'static str),
    Pattern(&'static str),
}

impl Name {
    fn flag(&self, name: &str) -> [String; 2] {
        match self {
            Self::Exact(value) => [format!("--{name}"), (*value).to_owned()],
            Self::Pattern(value) => [format!("--{name}-regexp"), (*value).to_owned()],
        }
    }

    fn expected(&self) -> Expected {
        match self {
            Self::Exact(value) => Expected::exact(value),
            Self::Pattern(value) => Expected::pattern(value),
        }
        .unwrap()
    }
}

impl Question {
    fn identities(&self) -> Vec<Identity> {
        vec![Identity { issuer: self.issuer.expected(), subject: self.subject.expected() }]
    }

    fn root(&self) -> TrustedRoot {
        TrustedRoot::read(&self.trusted_root).unwrap()
    }
}

impl Setting {
    fn new(kind: Kind) -> Option<Self> {
        let bench = Workbench::with_tools(&format!("keyless {}", kind.program()), &TOOLS)?;
        let server = bench.start(kind);
        let image = bench.images().small("amd64", "single");
        let signed = bench.folder().join("signed");
        let setting = Self { bench, server, image, signed };
        setting.sign(&setting.signed, &setting.image);
        Some(setting)
    }

    /// Signs an image with a Sigstore made for this.
    fn sign(&self, folder: &Path, image: &Layout) {
        std::fs::create_dir(folder).unwrap();
        self.bench
            .tool("virtual-sigstore")
            .args(["-digest", &image.digest(), "-subject", SUBJECT, "-issuer", ISSUER, "-out"])
            .args([folder])
            .succeed();
    }

    fn read(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.signed.join(name)).unwrap()).unwrap()
    }

    /// The question that `bundle.json` is the right answer to.
    fn question(&self) -> Question {
        Question {
            trusted_root: self.signed.join("trusted_root.json"),
            subject: Name::Exact(SUBJECT),
            issuer: Name::Exact(ISSUER),
            flags: Vec::new(),
        }
    }

    /// Pushes an image to a repository and what refers to it, which nothing else in there does.
    fn attach(&self, repository: &str, image: &Layout, bundle: &Value) {
        self.bench.push(image, &format!("{repository}:1"));
        let referrer = self.layout("referrer", repository, |layout| {
            let subject = image.root();
            let config = layout.add("application/vnd.oci.empty.v1+json", b"{}");
            json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE,
                "config": config,
                "layers": [layout.add(BUNDLE, bundle.to_string().as_bytes())],
                "subject": {
                    "mediaType": subject["mediaType"], "digest": subject["digest"],
                    "size": subject["size"],
                },
            })
        });
        self.bench.push(&referrer, &format!("{repository}:bundle"));
    }

    /// Pushes an image to a repository, and a layer below its tag with this suffix.
    fn attach_layer(&self, repository: &str, image: &Layout, suffix: &str, layer: &Value) {
        self.bench.push(image, &format!("{repository}:1"));
        let signature = self.layout("signature", repository, |layout| {
            let payload = layer["payload"].as_str().unwrap().as_bytes();
            let media_type = match suffix {
                "sig" => "application/vnd.dev.cosign.simplesigning.v1+json",
                _ => "application/vnd.dsse.envelope.v1+json",
            };
            let mut descriptor = layout.add(media_type, payload);
            descriptor["annotations"] = layer["annotations"].clone();
            let config = json!({
                "architecture": "", "os": "", "config": {},
                "rootfs": { "type": "layers", "diff_ids": [descriptor["digest"]] },
            });
            let config = layout
                .add("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
            json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "config": config,
                "layers": [descriptor],
            })
        });
        let tag = format!("{}.{suffix}", image.digest().replace(':', "-"));
        self.bench.push(&signature, &format!("{repository}:{tag}"));
    }

    fn layout(&self, what: &str, repository: &str, make: impl Fn(&Layout) -> Value) -> Layout {
        let name = repository.rsplit('/').next().unwrap();
        let layout = Layout::create(&self.bench.folder().join(format!("{what}-{name}")));
        let manifest = make(&layout).to_string();
        layout.set_root(&layout.add(MANIFEST, manifest.as_bytes()));
        layout
    }

    /// Why cosign refuses what a repository has; nothing if it accepts.
    fn cosign(&self, arguments: &[&str], repository: &str, question: &Question) -> Option<String> {
        let output = self
            .bench
            .tool("cosign")
            .env("HOME", self.bench.folder())
            .env("TUF_ROOT", self.bench.folder().join("tuf"))
            .args(arguments)
            .args(["--trusted-root", question.trusted_root.to_str().unwrap()])
            .args(question.subject.flag("certificate-identity"))
            .args(question.issuer.flag("certificate-oidc-issuer"))
            .args(&question.flags)
            .args([&format!("{repository}:1")])
            .run();
        (output.code != Some(0)).then_some(output.stderr)
    }

    fn repository(&self, name: &str) -> String {
        format!("{}/{}", self.server.host(), name.replace(' ', "-"))
    }

    /// Ends the test unless cosign and we say `valid` of a bundle that is attached to an image.
    #[track_caller]
    fn expect(&self, name: &str, image: &Layout, bundle: &Value, question: &Question, valid: bool) {
        let repository = self.repository(name);
        self.attach(&repository, image, bundle);
        let cosign = self.cosign(&["verify"], &repository, question);
        let ours = verify_bundle(
            bundle.to_string().as_bytes(),
            &image.digest().parse().unwrap(),
            &question.root(),
            &question.identities(),
            SIGNATURE_PREDICATE_TYPE,
        );
        assert_eq!(
            (cosign.is_none(), ours.is_ok()),
            (valid, valid),
            "{name}: cosign: {cosign:?}, ours: {ours:?}"
        );
    }

    /// The same of a layer of cosign's first form.
    #[track_caller]
    fn expect_layer(
        &self,
        name: &str,
        image: &Layout,
        layer: &Value,
        question: &Question,
        valid: bool,
    ) {
        let repository = self.repository(&format!("layer {name}"));
        self.attach_layer(&repository, image, "sig", layer);
        // Without `--offline` cosign would ask the public log for what is not there.
        let cosign = self.cosign(&["verify", "--offline"], &repository, question);
        let annotations: BTreeMap<String, String> =
            serde_json::from_value(layer["annotations"].clone()).unwrap();
        let layer = SignatureLayer {
            payload: layer["payload"].as_str().unwrap().to_owned().into(),
            signature: annotations.get(SIGNATURE_ANNOTATION).cloned(),
            annotations,
        };
        let ours = verify_layer(
            &layer,
            &image.digest().parse().unwrap(),
            &question.root(),
            &question.identities(),
        );
        assert_eq!(
            (cosign.is_none(), ours.is_ok()),
            (valid, valid),
            "layer {name}: cosign: {cosign:?}, ours: {ours:?}"
        );
    }
}

/// Questions about one and the same signature, with the answer.
fn questions(setting: &Setting) -> Vec<(&'static str, Question, bool)> {
    let right = setting.question();
    let other = setting.bench.folder().join("other");
    setting.sign(&other, &setting.image);
    let by = |subject, issuer| Question { subject, issuer, ..right.clone() };
    let (exact, pattern) = (Name::Exact, Name::Pattern);
    vec![
        ("right", right.clone(), true),
        ("wrong subject", by(exact("a@example.com"), exact(ISSUER)), false),
        ("wrong issuer", by(exact(SUBJECT), exact("https://accounts.google.com")), false),
        (
            "pattern",
            by(
                pattern("^https://github[.]com/example/.*$"),
                pattern("^https://token[.]actions[.].*$"),
            ),
            true,
        ),
        ("wrong pattern", by(pattern("^https://gitlab[.]com/.*$"), exact(ISSUER)), false),
        ("other root", Question { trusted_root: other.join("trusted_root.json"), ..right }, false),
    ]
}

fn bundles_are_judged_as_cosign_does(kind: Kind) {
    let Some(setting) = Setting::new(kind) else { return };
    let (image, right) = (&setting.image, setting.question());
    let bundle = setting.read("bundle.json");
    for (name, question, valid) in questions(&setting) {
        setting.expect(name, image, &bundle, &question, valid);
    }

    let elsewhere = setting.bench.images().small("amd64", "moved");
    setting.expect("another digest", &elsewhere, &bundle, &right, false);

    let other = setting.read("timestamped.json");
    let mut changed = bundle.clone();
    changed["dsseEnvelope"]["payload"] =
        setting.read("attestation.json")["dsseEnvelope"]["payload"].clone();
    setting.expect("changed payload", image, &changed, &right, false);
    for part in ["certificate", "tlogEntries"] {
        let mut changed = bundle.clone();
        changed["verificationMaterial"][part] = other["verificationMaterial"][part].clone();
        setting.expect(&format!("changed {}", part.to_lowercase()), image, &changed, &right, false);
    }

    let badly = ["unpromised", "unlogged", "untimed", "late", "uncertified"];
    for name in badly {
        setting.expect(name, image, &setting.read(&format!("{name}.json")), &right, false);
    }

    let stamped = Question { flags: vec!["--use-signed-timestamps"], ..right.clone() };
    setting.expect("timestamped", image, &other, &right, true);
    setting.expect("timestamped asked for", image, &other, &stamped, true);
    let second = Question {
        trusted_root: setting.signed.join("rekor2_trusted_root.json"),
        // Its trusted root names no certificate log, which is word enough for us.
        flags: vec!["--use-signed-timestamps", "--insecure-ignore-sct"],
        ..right
    };
    setting.expect("rekor 2", image, &setting.read("rekor2.json"), &second, true);
    setting.expect("rekor 2 moved", &elsewhere, &setting.read("rekor2.json"), &second, false);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn bundles_in_go_containerregistry() {
    bundles_are_judged_as_cosign_does(Kind::GoContainerregistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn bundles_in_distribution3() {
    bundles_are_judged_as_cosign_does(Kind::Distribution3);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn layers_of_the_first_form() {
    let Some(setting) = Setting::new(Kind::GoContainerregistry) else { return };
    let (image, right) = (&setting.image, setting.question());
    let layer = setting.read("layer.json");
    for (name, question, valid) in questions(&setting) {
        setting.expect_layer(name, image, &layer, &question, valid);
    }

    let elsewhere = setting.bench.images().small("amd64", "moved");
    setting.expect_layer("another digest", &elsewhere, &layer, &right, false);
    let mut changed = layer.clone();
    let payload = layer["payload"].as_str().unwrap();
    changed["payload"] = json!(payload.replace(&image.digest(), &elsewhere.digest()));
    setting.expect_layer("changed payload", &elsewhere, &changed, &right, false);

    // The certificate of the same signer's other key.
    let mut changed = layer.clone();
    let certificate = &setting.read("bundle.json")["verificationMaterial"]["certificate"];
    let certificate = certificate["rawBytes"].as_str().unwrap();
    changed["annotations"]["dev.sigstore.cosign/certificate"] =
        json!(format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"));
    setting.expect_layer("changed certificate", image, &changed, &right, false);

    // What another Sigstore's log promised for another signature.
    let other = setting.bench.folder().join("second");
    setting.sign(&other, image);
    let other: Value =
        serde_json::from_slice(&std::fs::read(other.join("layer.json")).unwrap()).unwrap();
    let mut changed = layer.clone();
    changed["annotations"]["dev.sigstore.cosign/bundle"] =
        other["annotations"]["dev.sigstore.cosign/bundle"].clone();
    setting.expect_layer("changed log entry", image, &changed, &right, false);

    let mut unlogged = layer.clone();
    unlogged["annotations"].as_object_mut().unwrap().remove("dev.sigstore.cosign/bundle").unwrap();
    setting.expect_layer("unlogged", image, &unlogged, &right, false);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn envelopes_of_the_first_form() {
    let Some(setting) = Setting::new(Kind::GoContainerregistry) else { return };
    let (image, envelope) = (&setting.image, setting.read("envelope.json"));
    let elsewhere = setting.bench.images().small("amd64", "moved");
    let mut changed = envelope.clone();
    changed["payload"] = json!(setting.read("bundle.json")["dsseEnvelope"].to_string());
    let expect = |name: &str, image: &Layout, envelope: &Value, question: &Question, valid| {
        let repository = setting.repository(&format!("envelope {name}"));
        setting.attach_layer(&repository, image, "att", envelope);
        let arguments = ["verify-attestation", "--offline", "--type", ATTESTATION];
        let cosign = setting.cosign(&arguments, &repository, question);
        let ours = verify_envelope(
            &Envelope::parse(envelope["payload"].as_str().unwrap().as_bytes()).unwrap(),
            &serde_json::from_value(envelope["annotations"].clone()).unwrap(),
            &image.digest().parse().unwrap(),
            &question.root(),
            &question.identities(),
            ATTESTATION,
        );
        assert_eq!(
            (cosign.is_none(), ours.is_ok()),
            (valid, valid),
            "envelope {name}: cosign: {cosign:?}, ours: {ours:?}"
        );
    };
    for (name, question, valid) in questions(&setting) {
        expect(name, image, &envelope, &question, valid);
    }
    let right = setting.question();
    expect("another digest", &elsewhere, &envelope, &right, false);
    expect("changed payload", image, &changed, &right, false);
}

/// Where we ask for more than cosign does, on purpose.
#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn stricter_than_cosign() {
    let Some(setting) = Setting::new(Kind::GoContainerregistry) else { return };
    let image = &setting.image;
    let digest = image.digest().parse().unwrap();

    // cosign finds a pattern anywhere in the name.
    let repository = setting.repository("anywhere");
    let bundle = setting.read("bundle.json");
    setting.attach(&repository, image, &bundle);
    let question =
        Question { subject: Name::Pattern("github[.]com/example"), ..setting.question() };
    assert_eq!(setting.cosign(&["verify"], &repository, &question), None);
    let verify = |bundle: &Value, question: &Question, predicate| {
        let (root, identities) = (question.root(), question.identities());
        verify_bundle(bundle.to_string().as_bytes(), &digest, &root, &identities, predicate)
    };
    assert!(verify(&bundle, &question, SIGNATURE_PREDICATE_TYPE).is_err());

    // cosign's `verify` takes any statement for a signature; `verify-attestation` looks at its type.
    let repository = setting.repository("attested");
    let (attestation, question) = (setting.read("attestation.json"), setting.question());
    setting.attach(&repository, image, &attestation);
    assert_eq!(setting.cosign(&["verify"], &repository, &question), None);
    assert!(verify(&attestation, &question, SIGNATURE_PREDICATE_TYPE).is_err());
    for (predicate, valid) in [(ATTESTATION, true), (SIGNATURE_PREDICATE_TYPE, false)] {
        let arguments = ["verify-attestation", "--type", predicate];
        let cosign = setting.cosign(&arguments, &repository, &question);
        let ours = verify(&attestation, &question, predicate);
        assert_eq!((cosign.is_none(), ours.is_ok()), (valid, valid), "{cosign:?}, {ours:?}");
    }
}
