//! Made-up images are what they say, the same on every run, and what the real server takes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use oci::{Content, Digest, Manifest, MediaType};
use support::{client, header, repository, tag};
use testkit::Registry;
use testkit::image::{self, MadeImage};

fn all() -> Vec<(&'static str, MadeImage)> {
    let subject = image::single(1);
    let mut all = vec![
        ("single", image::single(1)),
        ("index", image::index(1)),
        ("with attestations", image::with_attestations(1)),
        ("nested", image::nested(1)),
        ("docker", image::docker(1)),
        ("docker single", image::docker_single(1)),
        ("artifact", image::artifact(1)),
        ("referrer", image::referrer_of(&subject.root, 1)),
        ("build cache", image::build_cache(1)),
        ("sha512 single", image::sha512().single(1)),
        ("sha512 index", image::sha512().with_attestations(1)),
    ];
    all.extend(image::shared_base(1, 2).into_iter().map(|image| ("shared base", image)));
    all
}

#[test]
fn the_same_seed_makes_the_same_image_and_another_another() {
    for ((name, one), (_, two)) in all().into_iter().zip(all()) {
        assert_eq!(one.digests(), two.digests(), "{name}");
    }
    assert_ne!(image::single(1).digest(), image::single(2).digest());
    let digests = |seed| image::index(seed).digests().into_iter().collect::<BTreeSet<_>>();
    assert!(digests(1).is_disjoint(&digests(2)));
}

#[test]
fn everything_a_manifest_names_is_there_before_it() {
    for (name, image) in all() {
        let mut known: BTreeSet<Digest> = BTreeSet::new();
        for (blob, content) in &image.blobs {
            assert_eq!(Digest::of(blob.digest.algorithm(), content), blob.digest, "{name}");
            assert_eq!(blob.size, content.len() as u64, "{name}");
            assert!(known.insert(blob.digest), "{name}: a blob is there twice");
        }
        for manifest in &image.manifests {
            for part in manifest.blobs().chain(manifest.manifests()) {
                assert!(known.contains(&part.digest), "{name}: {} comes later", part.digest);
            }
            known.insert(manifest.digest());
        }
        assert_eq!(image.manifest().digest(), image.root.digest, "{name}");
    }
}

#[test]
fn shapes_are_those_of_the_field() {
    let shape = |image: &MadeImage| {
        let root = image.manifest();
        (root.media_type().clone(), root.manifests().count(), root.blobs().count())
    };
    let table = [
        (image::single(1), MediaType::OCI_MANIFEST, 0, 3),
        (image::index(1), MediaType::OCI_INDEX, 3, 0),
        (image::index_of(1, &["linux/s390x"]), MediaType::OCI_INDEX, 1, 0),
        (image::with_attestations(1), MediaType::OCI_INDEX, 4, 0),
        (image::nested(1), MediaType::OCI_INDEX, 2, 0),
        (image::docker(1), MediaType::DOCKER_LIST, 2, 0),
        (image::docker_single(1), MediaType::DOCKER_MANIFEST, 0, 2),
        (image::artifact(1), MediaType::OCI_MANIFEST, 0, 2),
        (image::build_cache(1), MediaType::OCI_INDEX, 0, 3),
    ];
    for (image, media_type, manifests, blobs) in table {
        assert_eq!(shape(&image), (media_type, manifests, blobs));
    }
    assert_eq!(image::nested(1).manifests.len(), 5);

    let attested = image::with_attestations(1);
    let Content::Index(index) = attested.manifest().content() else { panic!("no index") };
    let (image, attestation) = (&index.manifests[0], &index.manifests[2]);
    assert_eq!(attestation.platform.as_ref().unwrap().to_string(), "unknown/unknown");
    let said = |name: &str| attestation.annotations[name].clone();
    assert_eq!(said("vnd.docker.reference.type"), "attestation-manifest");
    assert_eq!(said("vnd.docker.reference.digest"), image.digest.to_string());

    let subject = image::index(1);
    let referrer = image::referrer_of(&subject.root, 1);
    assert_eq!(referrer.manifest().subject(), Some(&subject.root));
    assert_eq!(referrer.manifest().artifact_type(), Some("application/vnd.example.sbom.v1+json"));

    let images = image::shared_base(1, 3);
    let bases: BTreeSet<_> = images.iter().map(|image| image.layers()[0].digest).collect();
    let tops: BTreeSet<_> = images.iter().map(|image| image.layers()[1].digest).collect();
    assert_eq!((bases.len(), tops.len()), (1, 3));
}

#[test]
fn layers_are_archives_that_match_their_config() {
    for image in [image::single(1), image::docker_single(1)] {
        let Content::Image(manifest) = image.manifest().content() else { panic!("no image") };
        let content = |digest: &Digest| {
            let blob = image.blobs.iter().find(|(blob, _)| blob.digest == *digest);
            blob.unwrap().1.clone()
        };
        let config = content(&manifest.config.as_ref().unwrap().digest);
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        for (number, layer) in manifest.layers.iter().enumerate() {
            let packed = content(&layer.digest);
            let mut unpacked = Vec::new();
            let mut reader = flate2::read::GzDecoder::new(packed.as_ref());
            std::io::Read::read_to_end(&mut reader, &mut unpacked).unwrap();
            let id = config["rootfs"]["diff_ids"][number].as_str().unwrap();
            assert_eq!(id, Digest::sha256(&unpacked).to_string());
            assert_eq!(tar::Archive::new(unpacked.as_slice()).entries().unwrap().count(), 1);
        }
    }
}

#[test]
fn a_referrers_tag_is_made_as_the_spec_says() {
    let digest = Digest::sha256(b"");
    assert_eq!(image::referrers_tag(&digest).to_string(), digest.to_string().replace(':', "-"));
    let long = Digest::of(oci::Algorithm::Sha512, b"");
    let tag = image::referrers_tag(&long).to_string();
    assert_eq!((tag.len(), &tag[..7]), (7 + 64, "sha512-"));
}

/// Pushes as any client does, over HTTP: blobs, then manifests bottom-up, then the tag.
#[tokio::test]
async fn the_real_server_takes_and_gives_back_every_image() {
    let registry = Registry::start().await;
    let client = client(&registry);
    for (name, image) in all() {
        let repository = repository(&name.replace(' ', "-"));
        let base = format!("{}/v2/{repository}", registry.url());
        for (blob, content) in &image.blobs {
            let url = format!("{base}/blobs/uploads/?digest={}", blob.digest);
            let put = client.post(url).body(content.clone()).send().await.unwrap();
            assert_eq!(put.status(), 201, "{name}: {}", put.text().await.unwrap());
        }
        let put = async |reference: String, manifest: &Manifest| {
            let request = client.put(format!("{base}/manifests/{reference}"));
            let request = request.header("content-type", manifest.media_type().as_str());
            let put = request.body(manifest.bytes().clone()).send().await.unwrap();
            assert_eq!(put.status(), 201, "{name}: {}", put.text().await.unwrap());
        };
        for manifest in &image.manifests {
            put(manifest.digest().to_string(), manifest).await;
        }
        put("1".into(), image.manifest()).await;
        assert_eq!(registry.missing(&repository, &image).await, []);

        let by_digest = format!("{base}/manifests/{}", image.digest());
        let back = client.get(by_digest).send().await.unwrap();
        assert_eq!(header(&back, "content-type"), Some(image.root.media_type.as_str()), "{name}");
        assert_eq!(back.bytes().await.unwrap(), image.manifest().bytes(), "{name}");
    }
}

#[tokio::test]
async fn what_is_added_is_served_and_what_lacks_is_said() {
    let registry = Registry::start().await;
    let (name, image) = (repository("team/app"), image::nested(1));
    assert_eq!(registry.missing(&name, &image).await.len(), image.digests().len());
    registry.add(&name, &tag("1"), &image).await;
    assert_eq!(registry.missing(&name, &image).await, []);
    assert_eq!(registry.resolve(&name, &tag("1")).await, Some(image.digest()));
    assert_eq!(registry.resolve(&name, &tag("2")).await, None);
    registry.add(&name, &tag("1"), &image::single(2)).await;
    assert_eq!(registry.resolve(&name, &tag("1")).await, Some(image::single(2).digest()));
    let url = format!("{}/v2/{name}/manifests/1", registry.url());
    let head = client(&registry).head(url).send().await.unwrap();
    let digest = image::single(2).digest().to_string();
    assert_eq!(header(&head, "docker-content-digest"), Some(digest.as_str()));
}

#[tokio::test]
async fn big_layers_stream_and_are_archives() {
    use futures::StreamExt;
    let big = image::big(7, 3_000_000);
    assert!((3_000_000..3_001_000).contains(&big.layer.size), "{}", big.layer.size);
    let pieces: Vec<_> = big.content().map(Result::unwrap).collect().await;
    assert!(pieces.iter().all(|piece| piece.len() <= 1024 * 1024));
    let content = pieces.concat();
    assert_eq!(Digest::sha256(&content), big.layer.digest);
    let mut archive = tar::Archive::new(content.as_slice());
    let sizes: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().size()).collect();
    assert_eq!(sizes, [big.layer.size - 512 - 1024]);

    let registry = Registry::start().await;
    registry.add_big(&repository("big"), &tag("1"), &big).await;
    let url = format!("{}/v2/big/blobs/{}", registry.url(), big.layer.digest);
    let back = client(&registry).get(url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(back, content);
}
