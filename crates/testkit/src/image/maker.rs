//! [`Maker`]: builds each shape of image from its parts.

use bytes::Bytes;
use oci::{Algorithm, Descriptor, Digest, Manifest, MediaType, Platform};
use serde_json::{Value, json};

use super::{MadeImage, layer};

/// Makes images whose content is addressed by one algorithm.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    algorithm: Algorithm,
}

/// The two families of media types.
#[derive(Clone, Copy)]
enum Family {
    Oci,
    Docker,
}

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

impl Maker {
    /// A maker of such images.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { algorithm }
    }

    /// An OCI image for linux/amd64 with two layers.
    pub fn single(self, seed: u64) -> MadeImage {
        self.image(seed, "linux/amd64", Family::Oci, &[seed, seed.wrapping_add(LAYER)])
    }

    /// An OCI index for linux on amd64, arm64 and arm/v7.
    pub fn index(self, seed: u64) -> MadeImage {
        self.index_of(seed, &["linux/amd64", "linux/arm64", "linux/arm/v7"])
    }

    /// An OCI index for these platforms.
    ///
    /// # Panics
    /// If one of the texts is no platform.
    pub fn index_of(self, seed: u64, platforms: &[&str]) -> MadeImage {
        self.list(seed, platforms, Family::Oci)
    }

    /// An index as buildx makes it: for each platform an image and its attestations, which are a
    /// manifest for `unknown/unknown` with `vnd.docker.reference.*` annotations.
    ///
    /// # Panics
    /// Never: the platforms are constants.
    pub fn with_attestations(self, seed: u64) -> MadeImage {
        let mut made = Parts::default();
        let mut attestations = Vec::new();
        for (number, platform) in (0..).zip(["linux/amd64", "linux/arm64"]) {
            let seed = seed.wrapping_add(number * CHILD);
            let image = self.image(seed, platform, Family::Oci, &[seed]);
            let subject = image.root.digest.to_string();
            made.child(image, Some(platform));
            let mut attestation = self.attestation(seed, &subject);
            attestation.root.annotations.extend([
                ("vnd.docker.reference.digest".to_owned(), subject),
                ("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned()),
            ]);
            attestations.push(attestation);
        }
        for attestation in attestations {
            made.child(attestation, Some("unknown/unknown"));
        }
        self.close_index(made, &MediaType::OCI_INDEX)
    }

    /// An index with an index and an image in it.
    pub fn nested(self, seed: u64) -> MadeImage {
        let mut made = Parts::default();
        made.child(self.index_of(seed, &["linux/amd64", "linux/arm64"]), None);
        made.child(self.single(seed.wrapping_add(CHILD * 8)), Some("linux/amd64"));
        self.close_index(made, &MediaType::OCI_INDEX)
    }

    /// A Docker manifest list for linux on amd64 and arm64, of schema 2 manifests.
    pub fn docker(self, seed: u64) -> MadeImage {
        self.list(seed, &["linux/amd64", "linux/arm64"], Family::Docker)
    }

    /// A Docker schema 2 manifest.
    pub fn docker_single(self, seed: u64) -> MadeImage {
        self.image(seed, "linux/amd64", Family::Docker, &[seed])
    }

    /// An OCI 1.1 artifact: an artifact type, the empty config, one blob.
    pub fn artifact(self, seed: u64) -> MadeImage {
        self.any_artifact(seed, "application/vnd.example.thing.v1", None)
    }

    /// An artifact that refers to `subject`, as a signature or an SBOM does.
    pub fn referrer_of(self, subject: &Descriptor, seed: u64) -> MadeImage {
        self.typed_referrer_of(subject, "application/vnd.example.sbom.v1+json", seed)
    }

    /// An artifact of this type that refers to `subject`.
    pub fn typed_referrer_of(
        self,
        subject: &Descriptor,
        artifact_type: &str,
        seed: u64,
    ) -> MadeImage {
        self.any_artifact(seed, artifact_type, Some(subject))
    }

    /// What `--cache-to type=registry` of buildx leaves: an index whose children are blobs.
    pub fn build_cache(self, seed: u64) -> MadeImage {
        let mut made = Parts::default();
        for number in 0..2 {
            let (layer, _) = layer::gzip(seed.wrapping_add(number * LAYER));
            made.blob(self.descriptor(MediaType::OCI_LAYER, &layer), layer);
        }
        let config = bytes(&json!({ "layers": [{ "layer": 0 }, { "layer": 1, "parent": 0 }] }));
        let config_type = MediaType::new("application/vnd.buildkit.cacheconfig.v0");
        made.blob(self.descriptor(config_type, &config), config);
        made.children = made.blobs.iter().map(|(descriptor, _)| descriptor.clone()).collect();
        self.close_index(made, &MediaType::OCI_INDEX)
    }

    /// So many images with the same base layer, and a layer of their own each.
    pub fn shared_base(self, seed: u64, count: usize) -> Vec<MadeImage> {
        let own = (1..).map(|number: u64| seed.wrapping_add(number * LAYER));
        own.take(count)
            .map(|own| self.image(own, "linux/amd64", Family::Oci, &[seed, own]))
            .collect()
    }

    fn list(self, seed: u64, platforms: &[&str], family: Family) -> MadeImage {
        let mut made = Parts::default();
        for (number, platform) in (0..).zip(platforms) {
            let seed = seed.wrapping_add(number * CHILD);
            made.child(self.image(seed, platform, family, &[seed]), Some(platform));
        }
        let media_type = match family {
            Family::Oci => MediaType::OCI_INDEX,
            Family::Docker => MediaType::DOCKER_LIST,
        };
        self.close_index(made, &media_type)
    }

    fn image(self, seed: u64, platform: &str, family: Family, layers: &[u64]) -> MadeImage {
        let platform: Platform = platform.parse().expect("a platform");
        let (manifest_type, config_type, layer_type) = match family {
            Family::Oci => (MediaType::OCI_MANIFEST, MediaType::OCI_CONFIG, MediaType::OCI_LAYER),
            Family::Docker => (
                MediaType::DOCKER_MANIFEST,
                MediaType::new(DOCKER_CONFIG),
                MediaType::new(DOCKER_LAYER),
            ),
        };
        let mut made = Parts::default();
        let mut difference_ids = Vec::new();
        for &layer in layers {
            let (layer, unpacked) = layer::gzip(layer);
            difference_ids.push(Digest::of(self.algorithm, &unpacked));
            made.blob(self.descriptor(layer_type.clone(), &layer), layer);
        }
        let config = config(seed, &platform, &difference_ids);
        self.close_image(made, &manifest_type, config_type, config, &json!({}))
    }

    fn attestation(self, seed: u64, subject: &str) -> MadeImage {
        let statement = bytes(&json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{ "name": "made-up", "digest": { "digest": subject } }],
            "predicate": { "seed": seed },
        }));
        let mut made = Parts::default();
        let difference_ids = [Digest::of(self.algorithm, &statement)];
        let mut layer = self.descriptor(MediaType::new("application/vnd.in-toto+json"), &statement);
        layer.annotations.insert(
            "in-toto.io/predicate-type".to_owned(),
            "https://slsa.dev/provenance/v0.2".to_owned(),
        );
        made.blob(layer, statement);
        let platform: Platform = "unknown/unknown".parse().expect("a platform");
        let config = config(seed, &platform, &difference_ids);
        self.close_image(made, &MediaType::OCI_MANIFEST, MediaType::OCI_CONFIG, config, &json!({}))
    }

    fn any_artifact(self, seed: u64, kind: &str, subject: Option<&Descriptor>) -> MadeImage {
        let mut made = Parts::default();
        let content = bytes(&json!({ "seed": seed }));
        made.blob(self.descriptor(MediaType::new("application/json"), &content), content);
        let mut more = json!({ "artifactType": kind });
        if let (Some(subject), Some(more)) = (subject, more.as_object_mut()) {
            let subject = Descriptor::new(subject.media_type.clone(), subject.digest, subject.size);
            more.insert("subject".to_owned(), json!(subject));
        }
        let empty = Bytes::from_static(b"{}");
        self.close_image(made, &MediaType::OCI_MANIFEST, MediaType::OCI_EMPTY, empty, &more)
    }

    /// A manifest of the blobs collected, with this config and these other fields.
    fn close_image(
        self,
        mut made: Parts,
        media_type: &MediaType,
        config_type: MediaType,
        config: Bytes,
        more: &Value,
    ) -> MadeImage {
        let layers: Vec<Descriptor> =
            made.blobs.iter().map(|(descriptor, _)| descriptor.clone()).collect();
        let descriptor = self.descriptor(config_type, &config);
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor,
            "layers": layers,
        });
        made.blob(descriptor, config);
        if let (Some(document), Some(more)) = (document.as_object_mut(), more.as_object()) {
            document.extend(more.clone());
        }
        self.close(made, &document)
    }

    /// An index of the children collected.
    fn close_index(self, made: Parts, media_type: &MediaType) -> MadeImage {
        let document = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": made.children,
        });
        self.close(made, &document)
    }

    fn close(self, made: Parts, document: &Value) -> MadeImage {
        let manifest =
            Manifest::parse(bytes(document), None, self.algorithm).expect("a manifest of our own");
        let mut image =
            MadeImage { root: manifest.descriptor(), manifests: Vec::new(), blobs: Vec::new() };
        image.extend(MadeImage {
            root: manifest.descriptor(),
            manifests: made.manifests,
            blobs: made.blobs,
        });
        image.manifests.push(manifest);
        image
    }

    fn descriptor(self, media_type: MediaType, content: &Bytes) -> Descriptor {
        let digest = Digest::of(self.algorithm, content);
        Descriptor::new(media_type, digest, content.len() as u64)
    }
}

/// Steps between the seeds of one image's parts; primes, so that seeds of a test do not meet.
const LAYER: u64 = 1_000_003;
const CHILD: u64 = 10_000_019;

/// What an image or index is being made of.
#[derive(Default)]
struct Parts {
    children: Vec<Descriptor>,
    manifests: Vec<Manifest>,
    blobs: Vec<(Descriptor, Bytes)>,
}

impl Parts {
    fn blob(&mut self, descriptor: Descriptor, content: Bytes) {
        self.blobs.push((descriptor, content));
    }

    fn child(&mut self, image: MadeImage, platform: Option<&str>) {
        let mut descriptor = image.root;
        descriptor.platform = platform.map(|platform| platform.parse().expect("a platform"));
        self.children.push(descriptor);
        self.manifests.extend(image.manifests);
        self.blobs.extend(image.blobs);
    }
}

fn config(seed: u64, platform: &Platform, difference_ids: &[Digest]) -> Bytes {
    let created = "2024-01-01T00:00:00Z";
    let history: Vec<Value> = difference_ids
        .iter()
        .map(|_| json!({ "created": created, "created_by": format!("testkit {seed}") }))
        .collect();
    let mut document = json!({
        "created": created,
        "os": platform.os,
        "architecture": platform.architecture,
        "config": { "Cmd": ["/bin/true"] },
        "rootfs": { "type": "layers", "diff_ids": difference_ids },
        "history": history,
    });
    if let (Some(variant), Some(document)) = (&platform.variant, document.as_object_mut()) {
        document.insert("variant".to_owned(), json!(variant));
    }
    bytes(&document)
}

fn bytes(document: &Value) -> Bytes {
    document.to_string().into()
}
