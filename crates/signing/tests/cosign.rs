//! Real cosign is the judge, in both directions: it verifies what is signed here, without a flag more
//! than every user needs, and what it signed is judged here.
//!
//! Needs `cosign` (3) and `cosign2` from `tests/tools/install`, so each test is `#[ignore]`d:
//!
//! ```sh
//! cargo test -p signing --test cosign -- --ignored
//! ```
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what goes wrong ends the test, and says where"
)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::path::PathBuf;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use bytes::Bytes;
use jiff::Timestamp;
use layout::Layout;
use oci::{Algorithm, Descriptor, Digest, Manifest, Repository, Selector, Tag};
use serde_json::value::RawValue;
use signing::bundle::{self, Bundle, Envelope};
use signing::judge::{self, Evidence, Refusal, Valid};
use signing::simple_signing::{self, SignatureLayer};
use signing::{KeyKind, PrivateKey, PublicKey};
use tempfile::TempDir;
use testkit::{Registry, image};
use tokio::process::Command;

const PREDICATE_TYPE: &str = "https://example.com/scan/v1";

const KEYS: [(&str, &str); 5] = [
    ("p256", include_str!("../samples/p256.key")),
    ("p384", include_str!("../samples/p384.key")),
    ("p521", include_str!("../samples/p521.key")),
    ("rsa-2048", include_str!("../samples/rsa.key")),
    ("ed25519", include_str!("../samples/ed25519.key")),
];

/// Two cosigns, a registry, and a folder for their keys.
struct Bench {
    registry: Registry,
    folder: TempDir,
}

/// An image in a repository of its own.
struct Image {
    layout: Layout,
    descriptor: Descriptor,
    name: String,
}

impl Bench {
    async fn new() -> Self {
        Self { registry: Registry::start().await, folder: tempfile::tempdir().expect("a folder") }
    }

    async fn image(&self, name: &str) -> Image {
        let made = image::single(1);
        let repository: Repository = name.parse().expect("a repository");
        self.registry.add(&repository, &"1".parse().expect("a tag"), &made).await;
        Image {
            layout: self.registry.layout(&repository),
            descriptor: made.manifest().descriptor(),
            name: format!("{}/{name}", self.registry.host()),
        }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("writing a file");
        path
    }

    /// A private key as cosign takes it, which is encrypted.
    async fn import(&self, name: &str, pem: &str) -> PathBuf {
        let plain = self.file(&format!("{name}.pem"), pem);
        let prefix = self.folder.path().join(name);
        let key = prefix.with_extension("key");
        if !key.exists() {
            let arguments: [&OsStr; 5] = [
                "import-key-pair".as_ref(),
                "--key".as_ref(),
                plain.as_ref(),
                "--output-key-prefix".as_ref(),
                prefix.as_ref(),
            ];
            self.run("cosign", arguments).await.expect("importing a key");
        }
        key
    }

    async fn run(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<(), String> {
        let output = Command::new(located(program))
            .args(arguments)
            .env("COSIGN_PASSWORD", "")
            .env("HOME", self.folder.path())
            .output()
            .await
            .expect("starting cosign");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    }

    async fn verify(&self, cosign: &str, key: &PublicKey, image: &Image) -> Result<(), String> {
        let key = self.file("public.pub", &key.to_pem());
        let arguments =
            ["verify", "--insecure-ignore-tlog", "--key", text(&key), &image.reference()];
        self.run(cosign, arguments).await
    }

    async fn sign(&self, cosign: &str, more: &[&str], image: &Image) {
        let mut arguments = vec![more[0], "--yes", "--tlog-upload=false"];
        if cosign == "cosign" {
            arguments.push("--use-signing-config=false");
        }
        arguments.extend(&more[1..]);
        let reference = image.reference();
        arguments.push(&reference);
        self.run(cosign, arguments).await.expect("signing with cosign");
    }
}

impl Image {
    fn digest(&self) -> Digest {
        self.descriptor.digest
    }

    fn reference(&self) -> String {
        format!("{}@{}", self.name, self.digest())
    }

    fn tag(&self, suffix: &str) -> Tag {
        format!("sha256-{}.{suffix}", self.digest().hex()).parse().expect("a tag")
    }

    fn blob(&self, digest: &Digest) -> Bytes {
        let path = self.layout.folder().join("blobs/sha256").join(digest.hex());
        std::fs::read(path).expect("a blob").into()
    }

    async fn write_blobs(&self, blobs: &[Bytes]) {
        for blob in blobs {
            let content = futures::stream::iter([Ok::<_, Infallible>(blob.clone())]);
            let written = self.layout.write_blob(&Digest::sha256(blob), None, content).await;
            assert!(written.is_ok(), "writing a blob");
        }
    }

    async fn add_layer(&self, key: &PrivateKey) {
        let payload = simple_signing::payload(&self.name, &self.digest());
        let signature = key.sign(&payload).expect("signing");
        let layer = SignatureLayer::new(payload, &signature);
        let tag = self.tag("sig");
        let there = self.layout.manifest(&Selector::Tag(tag.clone())).await.expect("a layout");
        let config = there.as_ref().map(|manifest| {
            let config = manifest.blobs().next().expect("a config");
            self.blob(&config.digest)
        });
        let there = there.as_ref().zip(config.as_deref());
        let image = simple_signing::append(there, &layer).expect("appending");
        self.write_blobs(&image.blobs).await;
        let manifest = parsed(image.manifest);
        self.layout.put_tagged(&manifest, &[tag]).await.expect("putting a manifest");
    }

    async fn add_bundle(&self, key: &PrivateKey, statement: Vec<u8>) {
        let signed = bundle::pae(bundle::STATEMENT_TYPE, &statement);
        let signature = key.sign(&signed).expect("signing");
        let bundle = Bundle::new(Envelope::new(statement, signature), key.public_key(), None)
            .expect("a bundle");
        let referrer = bundle::referrer(&bundle, &self.descriptor, Timestamp::UNIX_EPOCH);
        let referrer = referrer.expect("a referrer");
        self.write_blobs(&referrer.blobs).await;
        self.layout.put_manifest(&parsed(referrer.manifest)).await.expect("putting a manifest");
    }

    fn scan(&self) -> Vec<u8> {
        let predicate = RawValue::from_string(r#"{"clean":true}"#.to_owned()).expect("JSON");
        bundle::statement(&self.name, &self.digest(), PREDICATE_TYPE, &predicate).expect("JSON")
    }

    /// All that is there for the image.
    async fn evidence(&self) -> Vec<Evidence> {
        let mut found = Vec::new();
        let tagged = async |tag| self.layout.manifest(&Selector::Tag(tag)).await.expect("a layout");
        if let Some(manifest) = tagged(self.tag("sig")).await {
            let payloads: BTreeMap<_, _> = simple_signing::layers(&manifest)
                .map(|layer| (layer.digest, self.blob(&layer.digest)))
                .collect();
            found.extend(
                simple_signing::read(&manifest, &payloads).into_iter().map(Evidence::Layer),
            );
        }
        if let Some(manifest) = tagged(self.tag("att")).await {
            for layer in manifest.blobs() {
                if layer.media_type.as_str() == Envelope::LAYER_TYPE {
                    let envelope = Envelope::parse(&self.blob(&layer.digest)).expect("an envelope");
                    let annotations = layer.annotations.clone();
                    found.push(Evidence::Envelope { envelope, annotations });
                }
            }
        }
        for referrer in self.layout.referrers(&self.digest()).await.expect("a layout") {
            let manifest = self.layout.manifest(&Selector::Digest(referrer.digest)).await;
            let manifest = manifest.expect("a layout").expect("a referrer");
            let layers =
                manifest.blobs().filter(|blob| blob.media_type.as_str() == bundle::MEDIA_TYPE);
            for layer in layers {
                let bundle = Bundle::parse(self.blob(&layer.digest)).expect("a bundle");
                found.push(Evidence::Bundle(bundle));
            }
        }
        found
    }
}

fn located(program: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let tools = cache.or_else(home).expect("a cache folder").join("image-syncer/tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(tools)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} not found; run tests/tools/install"))
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a path of letters")
}

fn parsed(bytes: Bytes) -> Manifest {
    Manifest::parse(bytes, None, Algorithm::Sha256).expect("a manifest")
}

fn private(pem: &str) -> PrivateKey {
    PrivateKey::from_pem(&pem.into(), Some(&"".into()), false).expect("a key")
}

fn rsa_4096() -> PrivateKey {
    let pair = RsaKeyPair::generate(KeySize::Rsa4096).expect("a key");
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&pair).expect("DER");
    private(&pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref())))
}

fn judged<'k>(
    evidence: &Evidence,
    digest: &Digest,
    keys: &'k [PublicKey],
) -> Result<Valid<'k>, Refusal> {
    if evidence.is_signature() {
        judge::signature(evidence, digest, keys)
    } else {
        judge::attestation(evidence, PREDICATE_TYPE, digest, keys)
    }
}

/// A key that signed nothing.
fn stranger() -> PublicKey {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&pair).expect("DER");
    private(&pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()))).public_key().clone()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs cosign"]
async fn cosign_verifies_what_we_sign() {
    let bench = Bench::new().await;
    let mut keys: Vec<_> = KEYS.map(|(name, pem)| (name, private(pem))).into();
    keys.push(("rsa-4096", rsa_4096()));
    let stranger = stranger();
    for (name, key) in &keys {
        let legacy = bench.image(&format!("{name}/legacy")).await;
        legacy.add_layer(key).await;
        let bundle = bench.image(&format!("{name}/bundle")).await;
        bundle.add_bundle(key, bundle::signature_statement(&bundle.digest())).await;
        let both = bench.image(&format!("{name}/both")).await;
        both.add_layer(key).await;
        both.add_bundle(key, bundle::signature_statement(&both.digest())).await;

        let cases =
            [("cosign2", &legacy), ("cosign", &legacy), ("cosign", &bundle), ("cosign", &both)];
        for (cosign, image) in cases {
            let verified = bench.verify(cosign, key.public_key(), image).await;
            assert_eq!(verified, Ok(()), "{cosign} {}", image.name);
            assert!(bench.verify(cosign, &stranger, image).await.is_err(), "{}", image.name);
        }
        for evidence in both.evidence().await {
            let trusted = [key.public_key()];
            let valid = judge::signature(&evidence, &both.digest(), &trusted).unwrap();
            assert_eq!(valid.algorithm, key.algorithm());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs cosign"]
async fn cosign_verifies_what_we_attest() {
    let bench = Bench::new().await;
    for (name, pem) in KEYS {
        let key = private(pem);
        let image = bench.image(&format!("{name}/attested")).await;
        image.add_bundle(&key, image.scan()).await;
        let file = bench.file("public.pub", &key.public_key().to_pem());
        let reference = image.reference();
        let verify = |kind| {
            let fixed = ["verify-attestation", "--insecure-ignore-tlog", "--key", text(&file)];
            let arguments = fixed.into_iter().chain(["--type", kind, &reference]);
            bench.run("cosign", arguments.map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(verify(PREDICATE_TYPE).await, Ok(()), "{name}");
        assert!(verify("https://example.com/another").await.is_err(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs cosign"]
async fn what_cosign_signs_is_judged() {
    let bench = Bench::new().await;
    let stranger = [stranger()];
    let predicate = bench.file("predicate.json", "{}");
    for (name, pem) in KEYS {
        let key = private(pem);
        let trusted = [key.public_key().clone()];
        let file = bench.import(name, pem).await;
        let sign = ["sign", "--key", text(&file)];
        let attest = ["attest", "--key", text(&file), "--predicate", text(&predicate)];
        let attest = [attest.as_slice(), &["--type", PREDICATE_TYPE]].concat();

        for cosign in ["cosign2", "cosign"] {
            let image = bench.image(&format!("{name}/{cosign}")).await;
            bench.sign(cosign, &sign, &image).await;
            bench.sign(cosign, &attest, &image).await;
            let evidence = image.evidence().await;
            assert_eq!(evidence.len(), 2, "{}", image.name);
            assert_eq!(evidence.iter().filter(|one| one.is_signature()).count(), 1);
            for one in &evidence {
                let own = judged(one, &image.digest(), &trusted);
                if key.public_key().kind() == KeyKind::Ed25519 {
                    // cosign signs with Ed25519ph, which its own `verify` does not take.
                    assert!(own.is_err(), "{}", image.name);
                    let verified = bench.verify(cosign, key.public_key(), &image).await;
                    assert!(verified.is_err(), "{}", image.name);
                } else {
                    assert_eq!(own.map(|valid| valid.key), Ok(key.public_key()), "{}", image.name);
                }
                let refusal = judged(one, &image.digest(), &stranger).unwrap_err();
                assert!(matches!(refusal, Refusal::AnotherKey(_)), "{}: {refusal}", image.name);
                let moved = Digest::sha256(b"another image");
                let refusal = judged(one, &moved, &stranger).unwrap_err();
                assert_eq!(refusal, Refusal::AnotherImage(Some(image.digest().to_string())));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs cosign"]
async fn signatures_of_several_stand_side_by_side() {
    let bench = Bench::new().await;
    let image = bench.image("several").await;
    let [(_, first), (_, ours), _, (_, last), _] = KEYS;
    let file = bench.import("first", first).await;
    bench.sign("cosign2", &["sign", "--key", text(&file)], &image).await;
    image.add_layer(&private(ours)).await;
    let file = bench.import("last", last).await;
    bench.sign("cosign2", &["sign", "--key", text(&file)], &image).await;
    assert_eq!(image.evidence().await.len(), 3);
    for key in [first, ours, last] {
        for cosign in ["cosign2", "cosign"] {
            let verified = bench.verify(cosign, private(key).public_key(), &image).await;
            assert_eq!(verified, Ok(()));
        }
    }
}
