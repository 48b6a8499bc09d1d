//! What real cosign attests without a key of its own, both below `.att` and in a bundle, is believed where a
//! rule of the sync file wants it, and nothing else: the rule goes through the built program, offline, by a
//! trusted root. The certificate and the log are those of `tests/tools/virtual-sigstore`.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fmt::Write as _;
use std::path::Path;

use interop::{Item, Kind, Layout, Listening, Mirroring, Workbench, text};
use serde_json::json;

const TOOLS: [&str; 7] =
    ["cosign", "cosign2", "crane", "buildah", "htpasswd", "distribution3", "virtual-sigstore"];

const SUBJECT: &str = "https://github.com/example/app/.github/workflows/release.yml@refs/tags/v1";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Who has a certificate for [`SUBJECT`], and who has one of the same authority for another name.
const SIGNER: &str = "signer";
const ANOTHER: &str = "another";

/// Where a version of cosign puts what it makes.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// cosign 2: below the tags `.sig` and `.att`.
    Tags,
    /// cosign 3: bundles that refer to the image.
    Bundles,
}

/// An image in a source, and a signer whom a log and a certificate authority know.
struct Setting {
    mirroring: Mirroring,
    form: Form,
    log: Listening,
}

/// What a rule wants.
#[derive(Clone, Copy)]
struct Rule {
    subject: &'static str,
    issuer: &'static str,
    predicate: &'static str,
    trusted_root: &'static str,
    mode: &'static str,
}

const RIGHT: Rule = Rule {
    subject: SUBJECT,
    issuer: ISSUER,
    predicate: PROVENANCE,
    trusted_root: "log/trusted_root.json",
    mode: "required",
};

impl Setting {
    fn new(form: Form) -> Option<Self> {
        let bench =
            Workbench::with_image_syncer(&format!("keyless attestations {form:?}"), &TOOLS)?;
        let image = bench.images().small("amd64", "single");
        let kind = Kind::Distribution3;
        let mirroring = Mirroring::new(bench, kind, kind, image);
        let log = mirroring.start_log("log", &["-subject", SUBJECT, "-issuer", ISSUER]);
        for name in [SIGNER, ANOTHER] {
            let (key, prefix) = (mirroring.file(&format!("log/{name}.key")), mirroring.file(name));
            let key = ["import-key-pair", "--key", text(&key)];
            let import = [&key[..], &["--output-key-prefix", text(&prefix)]].concat();
            mirroring.cosign("cosign2", &[], &import);
        }
        std::fs::write(mirroring.file("predicate.json"), "{}").unwrap();
        // What `cosign signing-config create` makes: one Rekor 1 and nothing else.
        let services = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "rekorTlogUrls": [{
                "url": log.url, "majorApiVersion": 1, "operator": "the suite",
                "validFor": { "start": "2020-01-01T00:00:00Z" },
            }],
            "rekorTlogConfig": { "selector": "ANY" },
            "tsaConfig": {},
        });
        std::fs::write(mirroring.file("signing_config.json"), services.to_string()).unwrap();
        Some(Self { mirroring, form, log })
    }

    /// Lets cosign sign or attest, as who the certificate says.
    #[track_caller]
    fn make(&self, who: &str, verb: &[&str], image: &str) {
        let file = |name: &str| self.mirroring.file(name);
        let (key, certificate) = (file(&format!("{who}.key")), file(&format!("log/{who}.pem")));
        let (root, rekor) = (file("log/trusted_root.json"), file("log/rekor.pub"));
        let config = file("signing_config.json");
        let (tool, services) = match self.form {
            Form::Tags => ("cosign2", vec!["--rekor-url", &self.log.url]),
            Form::Bundles => {
                ("cosign", vec!["--signing-config", text(&config), "--trusted-root", text(&root)])
            }
        };
        let by = ["--yes", "--key", text(&key), "--certificate", text(&certificate)];
        let arguments = [verb, &by, &services, &[image]].concat();
        let env: [(&str, &Path); 1] = [("SIGSTORE_REKOR_PUBLIC_KEY", &rekor)];
        self.mirroring.cosign(tool, &env, &arguments);
    }

    #[track_caller]
    fn attest(&self, who: &str, predicate: &str, more: &[&str], image: &str) {
        let file = self.mirroring.file("predicate.json");
        let verb = ["attest", "--type", predicate, "--predicate", text(&file)];
        self.make(who, &[&verb, more].concat(), image);
    }

    /// Attests another image, and puts that where attestations for ours are looked for.
    fn attest_another(&self) {
        let Mirroring { bench, image, .. } = &self.mirroring;
        let another = bench.images().small("amd64", "moved");
        let source = self.mirroring.source();
        bench.push(&another, &format!("{source}:another"));
        let name = format!("{source}@{}", another.digest());
        match self.form {
            Form::Tags => {
                self.attest(SIGNER, PROVENANCE, &[], &name);
                let tag = |image: &Layout| format!("{}.att", image.digest().replace(':', "-"));
                bench.crane(["tag", &format!("{source}:{}", tag(&another)), &tag(image)]);
            }
            Form::Bundles => {
                let file = self.mirroring.file("another.json");
                self.attest(SIGNER, PROVENANCE, &["--no-upload", "--bundle", text(&file)], &name);
                let bundle = std::fs::read(file).unwrap();
                bench.push(&self.referrer(&bundle), &format!("{source}:referrer"));
            }
        }
    }

    /// A bundle as cosign attaches it to the image.
    fn referrer(&self, bundle: &[u8]) -> Layout {
        let subject = self.mirroring.image.root();
        let layout = Layout::create(&self.mirroring.file("referrer"));
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": BUNDLE,
            "config": layout.add("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [layout.add(BUNDLE, bundle)],
            "annotations": { "dev.sigstore.bundle.predicateType": PROVENANCE },
            "subject": {
                "mediaType": subject["mediaType"], "digest": subject["digest"],
                "size": subject["size"],
            },
        });
        let media_type = manifest["mediaType"].as_str().unwrap();
        layout.set_root(&layout.add(media_type, manifest.to_string().as_bytes()));
        layout
    }

    fn rule(&self, rule: Rule) -> String {
        let Rule { subject, issuer, predicate, trusted_root, mode } = rule;
        let mut text = format!("verify:\n- source: \"{}\"\n", self.mirroring.source());
        let _ = write!(
            text,
            "  identities: [{{ issuer: \"{issuer}\", subject: \"{subject}\" }}]\n  \
             trustedRoot: {trusted_root}\n  attestations: {predicate}\n  mode: {mode}\n"
        );
        text
    }

    /// That a rule does not hold, so nothing is copied.
    #[track_caller]
    fn expect_refused(&self, what: &str, rule: Rule, why: &str) {
        let item = self.mirroring.run("sync", &self.rule(rule), 5);
        assert_eq!(item.text("outcome"), "refused", "{what}");
        let message = item.text("error.message");
        assert!(message.contains(why), "{what}: {message}");
        assert_eq!(self.mirroring.tags(), [""; 0], "{what}");
    }

    /// That a copy has what cosign accepts as it does at the source.
    fn expect_copied(&self, item: &Item) {
        assert_eq!(item.text("outcome"), "copied");
        let root = self.mirroring.file("log/trusted_root.json");
        let copy = self.mirroring.copy();
        let verb = [
            ["verify-attestation", "--type", PROVENANCE, "--trusted-root", text(&root)],
            ["--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER, &copy],
        ];
        self.mirroring.cosign("cosign", &[], &verb.concat());
    }
}

fn is_judged(form: Form) {
    let Some(setting) = Setting::new(form) else { return };
    let _other = setting.mirroring.start_log("other", &[]);
    let image = setting.mirroring.original();
    let unsigned = "has no signature";
    setting.expect_refused("nothing is signed", RIGHT, unsigned);
    setting.make(SIGNER, &["sign"], &image);
    let unattested = format!("has no attestation `{PROVENANCE}` by somebody trusted");
    setting.expect_refused("nothing is attested", RIGHT, &unattested);
    setting.attest_another();
    setting.expect_refused("another image is attested", RIGHT, &format!("{unattested}: "));
    setting.attest(SIGNER, "https://cyclonedx.org/bom", &[], &image);
    setting.expect_refused("another type is attested", RIGHT, &unattested);
    setting.attest(ANOTHER, PROVENANCE, &[], &image);
    setting.expect_refused("another one attests", RIGHT, &format!("{unattested}: "));
    setting.attest(SIGNER, PROVENANCE, &[], &image);

    let other = "https://github.com/example/other/.github/workflows/release.yml@refs/tags/v1";
    let vuln = "https://cosign.sigstore.dev/attestation/vuln/v1";
    let lacking = format!("has no attestation `{vuln}`");
    for (what, rule, why) in [
        ("another subject", Rule { subject: other, ..RIGHT }, unsigned),
        ("another issuer", Rule { issuer: "https://accounts.google.com", ..RIGHT }, unsigned),
        ("another root", Rule { trusted_root: "other/trusted_root.json", ..RIGHT }, unsigned),
        ("another type", Rule { predicate: vuln, ..RIGHT }, &lacking),
    ] {
        setting.expect_refused(what, rule, why);
    }

    let wrong = Rule { predicate: vuln, mode: "warn", ..RIGHT };
    let warned = setting.mirroring.run_to("warned", "sync", &setting.rule(wrong), 0);
    assert_eq!(warned.text("outcome"), "copied");
    assert!(format!("{warned:?}").contains(&lacking), "{warned:?}");
    let item = setting.mirroring.run("sync", &setting.rule(RIGHT), 0);
    setting.expect_copied(&item);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn below_att_as_cosign_2_attests() {
    is_judged(Form::Tags);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn bundles_as_cosign_3_attests() {
    is_judged(Form::Bundles);
}
