//! What an image may be made of: every shape that the specs allow and the field knows arrives whole, and
//! what cannot be copied is refused in clear words.

use bytes::Bytes;
use oci::{Algorithm, Descriptor, Digest, Manifest, MediaType};
use registry::{AnonymousEverywhere, Client, Settings};
use serde_json::{Value, json};
use sync::{Class, ForeignLayers, Mode, Outcome, Side, WhichReferrers};
use testkit::image::{self, MadeImage};
use testkit::{Fault, Registry, path};

use crate::rig::{Rig, cosign_tag, repository_name};

const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

/// A blob of this type.
fn blob(media_type: &str, content: &'static [u8]) -> (Descriptor, Bytes) {
    let digest = Digest::sha256(content);
    let descriptor = Descriptor::new(MediaType::new(media_type), digest, content.len() as u64);
    (descriptor, Bytes::from_static(content))
}

/// A manifest of this type, with these fields and what they name.
fn made(media_type: &MediaType, fields: &Value, parts: Vec<MadeImage>) -> MadeImage {
    let mut document = json!({ "schemaVersion": 2, "mediaType": media_type });
    document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let bytes = document.to_string().into();
    let manifest = Manifest::parse(bytes, None, Algorithm::Sha256).unwrap();
    let mut image =
        MadeImage { root: manifest.descriptor(), manifests: Vec::new(), blobs: Vec::new() };
    for part in parts {
        image.manifests.extend(part.manifests);
        image.blobs.extend(part.blobs);
    }
    image.manifests.push(manifest);
    image
}

/// An image of these layers.
fn of_layers(layers: Vec<(Descriptor, Bytes)>) -> MadeImage {
    let config = blob(MediaType::OCI_CONFIG.as_str(), br#"{"os":"linux","architecture":"amd64"}"#);
    let names: Vec<_> = layers.iter().map(|(layer, _)| layer.clone()).collect();
    let fields = &json!({ "config": config.0, "layers": names });
    let mut image = made(&MediaType::OCI_MANIFEST, fields, vec![]);
    image.blobs = layers;
    image.blobs.push(config);
    image
}

fn index_of(children: Vec<MadeImage>) -> MadeImage {
    let names: Vec<_> = children.iter().map(|child| child.root.clone()).collect();
    made(&MediaType::OCI_INDEX, &json!({ "manifests": names }), children)
}

/// An artifact of nothing but its type and annotations (image spec, "Guidelines for Artifact Usage").
fn without_layers(config: &Descriptor) -> MadeImage {
    let empty = blob(MediaType::OCI_EMPTY.as_str(), b"{}");
    let fields = &json!({ "artifactType": "a/b", "config": config, "layers": [] });
    let mut artifact = made(&MediaType::OCI_MANIFEST, fields, vec![]);
    artifact.blobs.push(empty);
    artifact
}

#[tokio::test]
async fn every_shape_arrives_whole_and_a_second_run_writes_nothing() {
    let empty = blob(MediaType::OCI_EMPTY.as_str(), b"{}");
    let with_data = Descriptor { data: Some("e30=".to_owned()), ..empty.0.clone() };
    let shapes = [
        (
            "docker-beside-oci",
            index_of(vec![image::docker_single(1), image::single(2), image::docker(3)]),
        ),
        (
            "any-media-type",
            of_layers(vec![
                blob("application/vnd.oci.image.layer.v1.tar+zstd", b"zstd"),
                blob("application/vnd.example.unheard-of", b"unheard of"),
                blob("text/plain; charset=utf-8", b"with a parameter"),
            ]),
        ),
        ("no-layers", without_layers(&empty.0)),
        ("embedded-data", without_layers(&with_data)),
        ("empty-layer", of_layers(vec![blob(MediaType::OCI_LAYER.as_str(), b"")])),
        ("no-children", index_of(vec![])),
        ("index-of-empty-index", index_of(vec![index_of(vec![])])),
        ("nested-cache", index_of(vec![image::nested(4), image::build_cache(5)])),
        ("nested-attestations", index_of(vec![image::with_attestations(6)])),
    ];
    let rig = Rig::new().await;
    let mut wanted = Vec::new();
    for (name, image) in &shapes {
        rig.offer(name, "1", image).await;
        wanted.push(rig.wish(&format!("{name}:1"), &format!("mirror/{name}:1")));
    }
    let report = rig.run(wanted.clone()).await;
    for (item, (name, image)) in report.items.iter().zip(&shapes) {
        assert_eq!(item.outcome, Outcome::Copied, "{name}: {:?}", item.failure);
        assert_eq!(item.notes, [] as [String; 0], "{name}");
        rig.assert_holds(&format!("mirror/{name}"), "1", image).await;
    }
    rig.forget();
    for (item, (name, _)) in rig.run(wanted).await.items.iter().zip(&shapes) {
        assert_eq!(item.outcome, Outcome::UpToDate, "{name}");
    }
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn embedded_data_that_is_not_what_its_digest_says_is_refused() {
    let rig = Rig::new().await;
    let empty = blob(MediaType::OCI_EMPTY.as_str(), b"{}").0;
    for (name, data) in [("other", "W10="), ("longer", "e30gIA=="), ("nonsense", "{}")] {
        let config = Descriptor { data: Some(data.to_owned()), ..empty.clone() };
        rig.offer(name, "1", &without_layers(&config)).await;
        // And in an index, where it would stand for the child.
        let child = image::single(1);
        let mut wrong = child.root.clone();
        wrong.data = Some(data.to_owned());
        let index = made(&MediaType::OCI_INDEX, &json!({ "manifests": [wrong] }), vec![child]);
        rig.offer(name, "index", &index).await;
        for tag in ["1", "index"] {
            let item =
                rig.run_one(rig.wish(&format!("{name}:{tag}"), &format!("{name}:{tag}"))).await;
            assert_eq!(item.outcome, Outcome::Failed, "{name}:{tag}");
            let failure = item.failure.unwrap();
            assert_eq!((failure.side, failure.class), (Side::Source, Class::Content));
            assert!(failure.message.contains("embeds wrong content"), "{failure:?}");
        }
    }
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn schema_1_is_refused_in_clear_words() {
    let rig = Rig::new().await;
    let schema1 = MediaType::DOCKER_SCHEMA1_SIGNED;
    // As a child of an index.
    let child = Descriptor::new(schema1.clone(), Digest::sha256(b"old"), 3);
    let index = made(&MediaType::OCI_INDEX, &json!({ "manifests": [child] }), vec![]);
    rig.offer("child", "1", &index).await;
    // As the tag itself: whatever is asked for, old registries answer so.
    let root = Fault::status(200)
        .header("content-type", schema1.as_str())
        .body(r#"{"schemaVersion":1,"fsLayers":[],"signatures":[]}"#)
        .on("*", "/v2/root/manifests/*");
    rig.source.inject(root);
    for name in ["child", "root"] {
        let item = rig.run_one(rig.wish(&format!("{name}:1"), &format!("{name}:1"))).await;
        assert_eq!(item.outcome, Outcome::Failed, "{name}");
        let failure = item.failure.unwrap();
        assert_eq!((failure.side, failure.class), (Side::Source, Class::Unsupported), "{name}");
        assert!(failure.message.contains("schema 1"), "{failure:?}");
        assert!(failure.hint.is_some(), "{failure:?}");
    }
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn circles_of_what_belongs_together_end() {
    let rig = Rig::new().await;
    // Two siblings, one of which is the other's referrer; and signatures that sign each other.
    let image = image::single(1);
    let sibling = image::referrer_of(&image.root, 2);
    let index = index_of(vec![image.clone(), sibling.clone()]);
    let (one, other) = (image::artifact(3), image::artifact(4));
    rig.offer("app", "1", &index).await;
    rig.offer("app", &cosign_tag(&index.digest(), "sig"), &one).await;
    rig.offer("app", &cosign_tag(&one.digest(), "sig"), &other).await;
    rig.offer("app", &cosign_tag(&other.digest(), "sig"), &one).await;
    rig.offer("app", &cosign_tag(&other.digest(), "att"), &index).await;
    rig.offer("app", &cosign_tag(&one.digest(), "sbom"), &one).await;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!((item.outcome, item.notes), (Outcome::Copied, Vec::new()));
    rig.assert_holds("app", "1", &index).await;
    rig.assert_refer("app", &image.digest(), &[&sibling]).await;
    for (of, kind, holds) in [
        (&index, "sig", &one),
        (&one, "sig", &other),
        (&other, "sig", &one),
        (&other, "att", &index),
        (&one, "sbom", &one),
    ] {
        rig.assert_holds("app", &cosign_tag(&of.digest(), kind), holds).await;
    }
    assert_eq!(rig.run_one(rig.wish("app:1", "app:1")).await.outcome, Outcome::UpToDate);
}

/// An image with a layer that registries need not hold, which is to be had from these places.
fn with_foreign_layer(urls: &[String]) -> (MadeImage, (Descriptor, Bytes)) {
    let (mut layer, content) = blob(FOREIGN, b"what the vendor keeps to itself");
    layer.urls = urls.to_vec();
    let own = blob(MediaType::OCI_LAYER.as_str(), b"own");
    let mut image = of_layers(vec![own, (layer.clone(), content.clone())]);
    image.blobs.retain(|(blob, _)| blob.digest != layer.digest);
    (image, (layer, content))
}

/// That the target has the layer, or has it not.
async fn assert_has(rig: &Rig, repository: &str, layer: &Descriptor, expected: bool) {
    let size = rig.target.layout(&repository_name(repository)).blob_size(&layer.digest).await;
    assert_eq!(size.unwrap().is_some(), expected, "{repository}");
}

#[tokio::test]
async fn foreign_layers_are_left_out_and_that_is_said() {
    let rig = Rig::new().await;
    let (image, (layer, content)) = with_foreign_layer(&[]);
    rig.offer("app", "1", &image).await;
    let with_it = MadeImage { blobs: vec![(layer.clone(), content)], ..image.clone() };
    rig.attach("app", &with_it).await;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Copied);
    assert_eq!(item.notes.len(), 1, "{:?}", item.notes);
    assert!(item.notes[0].contains("need not hold: 1 ("), "{:?}", item.notes);
    rig.assert_holds("app", "1", &image).await;
    assert_has(&rig, "app", &layer, false).await;
    let mut rig = rig.mode(Mode::Verify);
    assert_eq!(rig.run_one(rig.wish("app:1", "app:1")).await.outcome, Outcome::UpToDate);
    rig.options.foreign_layers = ForeignLayers::Include;
    let failure = rig.run_one(rig.wish("app:1", "app:1")).await.failure.unwrap();
    assert_eq!(failure.side, Side::Target);
    assert!(failure.message.contains(&layer.digest.to_string()), "{failure:?}");
}

#[tokio::test]
async fn foreign_layers_are_copied_on_request_where_the_source_has_them() {
    let mut rig = Rig::new().await;
    let (image, (layer, content)) = with_foreign_layer(&["https://nowhere.invalid/x".to_owned()]);
    let index = index_of(vec![image.clone()]);
    rig.offer("app", "1", &index).await;
    rig.attach("app", &MadeImage { blobs: vec![(layer.clone(), content)], ..image }).await;
    // Manifests that are there without them do not vouch for them.
    rig.run_one(rig.wish("app:1", "app:without")).await;
    assert_has(&rig, "app", &layer, false).await;
    rig.options.foreign_layers = ForeignLayers::Include;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!((item.outcome, item.notes), (Outcome::Copied, vec![]), "{:?}", item.failure);
    assert_has(&rig, "app", &layer, true).await;
}

#[tokio::test]
async fn an_older_tag_vouches_for_no_foreign_layer() {
    let mut rig = Rig::new().await;
    let (older, (layer, content)) = with_foreign_layer(&["https://nowhere.invalid/x".to_owned()]);
    let held: Vec<_> = older.manifests[0].blobs().map(|blob| blob.digest).collect();
    let mut newer = of_layers(vec![
        blob(MediaType::OCI_LAYER.as_str(), b"newer"),
        (layer.clone(), content.clone()),
    ]);
    newer.blobs.retain(|(blob, _)| blob.digest != layer.digest);
    assert!(held.contains(&layer.digest), "the older one names it");
    rig.hold("app", "1.0", &older).await;
    rig.offer("app", "1.1", &newer).await;
    rig.attach("app", &MadeImage { blobs: vec![(layer.clone(), content)], ..newer }).await;
    rig.options.foreign_layers = ForeignLayers::Include;
    let item = rig.run_one(rig.wish("app:1.1", "app:1.1")).await;
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    assert_eq!(rig.target.log().count("GET", "/v2/app/manifests/1.0"), 1, "it was asked");
    assert_has(&rig, "app", &layer, true).await;
}

#[tokio::test]
async fn foreign_layers_come_from_where_the_manifest_says() {
    let source = Registry::builder().tls().start().await;
    let mut rig = Rig::between(source, Registry::start().await);
    rig.options.foreign_layers = ForeignLayers::Include;
    let settings = Settings { default_ca_file: rig.source.ca_file(), ..crate::rig::settings() };
    let client = Client::new(settings, std::sync::Arc::new(AnonymousEverywhere)).unwrap();
    let host = rig.source.host();
    let (right, wrong) =
        (format!("https://{host}/v2/vendor/blobs"), format!("https://{host}/gone"));
    let at_vendor = with_foreign_layer(&[]).1;
    let vendor = MadeImage { blobs: vec![at_vendor.clone()], ..image::single(1) };
    rig.attach("vendor", &vendor).await;

    // The first that has it; a storage may be redirected to.
    let urls = [wrong.clone(), format!("{right}/{}", at_vendor.0.digest)];
    let (image, (layer, _)) = with_foreign_layer(&urls);
    rig.offer("app", "1", &image).await;
    let item = rig.run_through(&client, rig.wish("app:1", "app:1")).await;
    assert_eq!((item.outcome, item.notes), (Outcome::Copied, vec![]), "{:?}", item.failure);
    assert_has(&rig, "app", &layer, true).await;

    // Nobody has it, it is not what it should be, or it comes from where nobody should go.
    let other = vendor.manifest().digest();
    let plain = format!("http://{host}/v2/vendor/blobs/{}", layer.digest);
    let table = [
        (vec![], "neither there nor at any"),
        (vec![wrong], "neither there nor at any"),
        (vec![format!("https://{host}/v2/vendor/manifests/{other}")], "bytes of it, not"),
        (vec![plain], "not encrypted"),
        (vec!["https://169.254.169.254/latest".to_owned()], "inside a network"),
        (vec!["file:///etc/passwd".to_owned()], "`file:`"),
    ];
    for (number, (urls, expected)) in table.into_iter().enumerate() {
        let name = format!("refused{number}");
        rig.offer(&name, "1", &with_foreign_layer(&urls).0).await;
        let wanted = rig.wish(&format!("{name}:1"), &format!("{name}:1"));
        let item = rig.run_through(&client, wanted).await;
        assert_eq!(item.outcome, Outcome::Failed, "{urls:?}");
        let failure = item.failure.unwrap();
        assert!(failure.message.contains(expected), "{urls:?}: {failure:?}");
        assert_eq!(failure.side, Side::Source, "{failure:?}");
    }
}

#[tokio::test]
async fn sha512_from_tag_to_tag() {
    let shapes = [image::sha512().single(1), image::sha512().with_attestations(2)];
    for image in &shapes {
        let rig = Rig::new().await;
        rig.offer("app", "1", image).await;
        let digest = image.digest();
        let referrer = image::sha512().referrer_of(&image.root, 3);
        rig.attach("app", &referrer).await;
        for (source, tag) in [("app:1".to_owned(), "1"), (format!("app@{digest}"), "pinned")] {
            let wanted = rig.wish(&source, &format!("app:{tag}"));
            let item = rig.run_one(wanted.clone()).await;
            assert_eq!((item.outcome, &item.failure), (Outcome::Copied, &None), "{source}");
            assert_eq!(item.target_digest, Some(digest));
            rig.assert_holds("app", tag, image).await;
            rig.assert_refer("app", &digest, &[&referrer]).await;
            assert_eq!(rig.run_one(wanted).await.outcome, Outcome::UpToDate, "{source}");
        }
    }
}

#[tokio::test]
async fn a_target_that_addresses_tags_by_sha256_has_what_it_should() {
    let mut rig = Rig::new().await;
    rig.options.referrers.which = WhichReferrers::None;
    let image = image::sha512().single(1);
    rig.offer("app", "1", &image).await;
    // It takes the digest, and knows nothing of tags beside it.
    let by_digest = "/v2/app/manifests/sha512:*";
    rig.target.inject(
        Fault::status(201)
            .on("PUT", by_digest)
            .when(|request| request.uri.query().is_some_and(|query| query.contains("tag="))),
    );
    let tag = rig.wish("app:1", "app:1");
    let pin = rig.wish(&format!("app@{}", image.digest()), "app:1");
    let both = rig.wish(&format!("app:1@{}", image.digest()), "app:1");
    assert_eq!(rig.run_one(tag.clone()).await.outcome, Outcome::Copied);
    for wanted in [tag, pin, both] {
        rig.forget();
        let item = rig.run_one(wanted).await;
        assert_eq!(item.outcome, Outcome::UpToDate, "{item:?}");
        // The target's manifest is read to know; the source's is not.
        assert_eq!(rig.source.log().count("GET", path::MANIFESTS), 0, "{}", rig.source.log());
        assert_eq!(rig.target.log().count("GET", path::MANIFESTS), 1, "{}", rig.target.log());
    }
    // Something else is drift still.
    rig.offer("app", "1", &image::sha512().single(2)).await;
    assert_eq!(rig.run_one(rig.wish("app:1", "app:1")).await.outcome, Outcome::Drift);
}
