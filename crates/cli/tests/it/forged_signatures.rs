//! Signatures that are not what they seem: of another image, changed, moved, or by somebody else. The
//! program takes none of them, and copies nothing that has no better one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream;
use layout::Layout;
use oci::{Algorithm, Digest, Manifest, Selector, Tag};
use serde_json::Value;
use testkit::image::{self, MadeImage};
use testkit::{KeyPair, Registry};

use crate::program::{Program, add, held};

/// cosign's tag for the signatures of an image.
fn signature_tag(image: &MadeImage) -> Tag {
    format!("sha256-{}.sig", image.digest().hex()).parse().unwrap()
}

/// The text of a blob or manifest.
fn text(layout: &Layout, digest: &Digest) -> String {
    std::fs::read_to_string(layout.folder().join("blobs/sha256").join(digest.hex())).unwrap()
}

async fn write(layout: &Layout, content: &str) -> Digest {
    let content = Bytes::from(content.to_owned());
    let digest = Digest::sha256(&content);
    let blocks = stream::iter([Ok::<_, std::io::Error>(content)]);
    layout.write_blob(&digest, None, blocks).await.unwrap();
    digest
}

/// A manifest like this one, but for these pieces of its text.
fn changed(manifest: &Manifest, pieces: &[(&str, &str)]) -> Manifest {
    let text = String::from_utf8(manifest.bytes().to_vec()).unwrap();
    let text = pieces.iter().fold(text, |text, (old, new)| {
        assert!(text.contains(old), "no {old} in {text}");
        text.replace(old, new)
    });
    Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap()
}

/// The signature of an image in cosign's first form, and its payload.
async fn legacy(layout: &Layout, image: &MadeImage) -> (Manifest, Digest) {
    let tag: Selector = signature_tag(image).into();
    let manifest = layout.manifest(&tag).await.unwrap().unwrap();
    let payload = manifest.blobs().nth(1).unwrap().digest;
    (manifest, payload)
}

/// The referrer with the bundle of an image, and the bundle.
async fn bundle(layout: &Layout, image: &MadeImage) -> (Manifest, Digest) {
    let listed = layout.referrers(&image.digest()).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    let manifest = layout.manifest(&listed[0].digest.into()).await.unwrap().unwrap();
    let bundle = manifest.blobs().nth(1).unwrap().digest;
    (manifest, bundle)
}

#[tokio::test]
async fn a_signature_that_is_not_for_exactly_this_image_is_refused() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    let layout = source.layout(&"app".parse().unwrap());
    let images: Vec<MadeImage> = (1..=6).map(image::single).collect();
    let tags = ["legacy", "bundle", "other", "changed", "moved", "restated"];
    for (tag, image) in tags.iter().zip(&images) {
        add(&source, "app", tag, image).await;
    }
    let [by_layer, by_bundle, other, payload_changed, moved, restated] = &images[..] else {
        panic!("six images")
    };
    let pair = KeyPair::new();
    let program = Program::new();
    program.file("team.key", &pair.private).file("team.pub", &pair.public);
    for form in ["legacy", "bundle"] {
        let reference = format!("{}/app:{form}", source.host());
        let sign = ["sign", &reference, "-k", "team.key", "--signature-format", form];
        let done = program.run(&sign).await;
        assert_eq!(done.code, Some(0), "{done}");
    }

    // The signature of another image under the tag of this one.
    let (signature, payload) = legacy(&layout, by_layer).await;
    layout.retag(&signature_tag(other), &signature.descriptor()).await.unwrap();
    // The payload says the right image, and what is signed is another payload.
    let (old, new) = (by_layer.digest().to_string(), payload_changed.digest().to_string());
    let forged = write(&layout, &text(&layout, &payload).replace(&old, &new)).await;
    let forged = changed(&signature, &[(&payload.to_string(), &forged.to_string())]);
    layout.put_tagged(&forged, &[signature_tag(payload_changed)]).await.unwrap();
    // The bundle of another image as a referrer of this one.
    let (referrer, content) = bundle(&layout, by_bundle).await;
    let old = by_bundle.digest();
    let forged = changed(&referrer, &[(&old.to_string(), &moved.digest().to_string())]);
    layout.put_manifest(&forged).await.unwrap();
    // A bundle whose statement was made to speak of this image.
    let mut forged: Value = serde_json::from_str(&text(&layout, &content)).unwrap();
    let statement = STANDARD.decode(forged["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let statement = String::from_utf8(statement).unwrap();
    assert!(statement.contains(old.hex().as_str()), "{statement}");
    let statement = statement.replace(old.hex().as_str(), restated.digest().hex().as_str());
    forged["dsseEnvelope"]["payload"] = STANDARD.encode(statement).into();
    let forged = forged.to_string();
    let digest = write(&layout, &forged).await;
    let size = |length: usize| format!("\"size\":{length}");
    let length = text(&layout, &content).len();
    let forged = changed(
        &referrer,
        &[
            (&old.to_string(), &restated.digest().to_string()),
            (&content.to_string(), &digest.to_string()),
            (&size(length), &size(forged.len())),
        ],
    );
    layout.put_manifest(&forged).await.unwrap();

    let entry = |tag: &&str| {
        format!(
            "- source: {}/app:{tag}\n  destination: {}/copy:{tag}\n",
            source.host(),
            target.host()
        )
    };
    let rule = format!("verify:\n- source: \"{}/**\"\n  keys: [team.pub]\n", source.host());
    let entries: String = tags.iter().map(entry).collect();
    program.file("images.yaml", format!("images:\n{entries}{rule}"));
    let done = program.run(&["sync", "-i", "images.yaml", "--output", "json"]).await;
    assert_eq!(done.code, Some(5), "{done}");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let items = report["items"].as_array().unwrap();

    let not_this = |image: &MadeImage| format!("it is for {}, not for this image", image.digest());
    let table = [
        ("legacy", None),
        ("bundle", None),
        ("other", Some(not_this(by_layer))),
        ("changed", Some("none of the keys, or changed after it was signed".to_owned())),
        ("moved", Some(not_this(by_bundle))),
        ("restated", Some("did not sign this: it was changed".to_owned())),
    ];
    for ((tag, refusal), (item, image)) in table.iter().zip(items.iter().zip(&images)) {
        let reference = format!("{}/app:{tag}", source.host());
        let judged = program.run(&["verify-signature", &reference, "--key", "team.pub"]).await;
        let copy = held(&target, "copy", tag).await;
        let Some(refusal) = refusal else {
            assert_eq!((&item["outcome"], judged.code), (&"copied".into(), Some(0)), "{judged}");
            assert_eq!(copy, Some(image.digest()), "{tag}");
            continue;
        };
        assert_eq!((&item["outcome"], copy), (&"refused".into(), None), "{tag}: {item}");
        let message = item["error"]["message"].as_str().unwrap();
        assert!(message.contains(refusal), "{tag}: {message}");
        assert_eq!(judged.code, Some(5), "{tag}: {judged}");
        assert!(judged.stderr.contains(refusal), "{tag}: {judged}");
        // Nothing of it was copied, not even under its digest.
        let pushed = target.log().count("PUT", &format!("/v2/copy/manifests/{}", image.digest()));
        assert_eq!(pushed, 0, "{tag}: {}", target.log());
    }
}

/// A stranger who signed at the target is named: by the key where a bundle says which, by that it is not
/// known where cosign's first form does not.
#[tokio::test]
async fn a_stranger_at_the_target_is_named() {
    for form in ["legacy", "bundle"] {
        let (source, target) = (Registry::start().await, Registry::start().await);
        add(&source, "app", "1", &image::single(1)).await;
        let (ours, strange) = (KeyPair::new(), KeyPair::new());
        let program = Program::new();
        program.file("ours.key", &ours.private).file("strange.key", &strange.private);
        let list = format!(
            "images:\n- source: {}/app:1\n  destination: {}/app:1\n",
            source.host(),
            target.host()
        );
        program.file("images.yaml", &list);
        let done = program.run(&["sync", "-i", "images.yaml"]).await;
        assert_eq!(done.code, Some(0), "{done}");
        let reference = format!("{}/app:1", target.host());
        let sign = ["sign", &reference, "-k", "strange.key", "--signature-format", form];
        let done = program.run(&sign).await;
        assert_eq!(done.code, Some(0), "{done}");

        program.file("images.yaml", format!("kmsKey: ours.key\nsign: true\n{list}"));
        target.log().clear();
        let done = program.run(&["sync", "-i", "images.yaml", "--output", "json"]).await;
        assert_eq!(done.code, Some(5), "{form}: {done}");
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        let item = &report["items"][0];
        assert_eq!(item["outcome"], "refused", "{form}: {item}");
        let message = item["error"]["message"].as_str().unwrap();
        let name = match form {
            "bundle" => signing::PublicKey::from_pem(&strange.public).unwrap().fingerprint(),
            _ => "a key that it does not name".to_owned(),
        };
        assert!(message.contains(&name), "{form}: {message}, not {name}");
        assert_eq!(target.log().writes().len(), 0, "{form}: {}", target.log());
    }
}
