//! [`Layout`]: an OCI image layout written by hand, for what no tool at hand can make: indexes with
//! attestations as BuildKit writes them, and indexes in indexes.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The digest of these bytes, as manifests write it.
pub fn digest_of(content: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in digest(&SHA256, content).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// An OCI image layout with one root.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// The layout in a folder, where some tool wrote it.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// A new layout.
    pub fn create(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self::at(folder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The descriptor of its one root.
    pub fn root(&self) -> Value {
        let index = std::fs::read(self.folder.join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let manifests = index["manifests"].as_array().unwrap();
        assert_eq!(manifests.len(), 1, "{} has one root", self.folder.display());
        manifests[0].clone()
    }

    /// The digest of its one root.
    pub fn digest(&self) -> String {
        self.root()["digest"].as_str().unwrap().to_owned()
    }

    /// All blobs and manifests, by their files' names: hex digests.
    pub fn blobs(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.folder.join("blobs/sha256")).unwrap();
        files
            .map(|file| {
                let file = file.unwrap();
                let name = file.file_name().into_string().unwrap();
                (name, std::fs::read(file.path()).unwrap())
            })
            .collect()
    }

    /// Adds a blob and returns its descriptor.
    pub fn add(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = digest_of(content);
        let hex = digest.trim_start_matches("sha256:");
        std::fs::write(self.folder.join("blobs/sha256").join(hex), content).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    }

    /// Adds all blobs of another layout and returns the descriptor of its root, for this platform.
    pub(crate) fn add_image(&self, other: &Self, architecture: &str) -> Value {
        for (_, content) in other.blobs() {
            self.add("", &content);
        }
        let root = other.root();
        json!({
            "mediaType": root["mediaType"], "digest": root["digest"], "size": root["size"],
            "platform": { "architecture": architecture, "os": "linux" },
        })
    }

    /// Adds an attestation manifest for an image as BuildKit does, and returns its descriptor.
    pub(crate) fn add_attestation(&self, image: &Value) -> Value {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{ "name": "interop", "digest": image["digest"] }],
            "predicate": {},
        });
        let statement = statement.to_string();
        let mut layer = self.add("application/vnd.in-toto+json", statement.as_bytes());
        layer["annotations"] =
            json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" });
        let config = json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        });
        let config =
            self.add("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
        });
        let mut descriptor = self.add(MANIFEST, manifest.to_string().as_bytes());
        descriptor["annotations"] = json!({
            "vnd.docker.reference.digest": image["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        });
        descriptor["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        descriptor
    }

    /// Adds an artifact that refers to `subject`, and returns its descriptor.
    pub(crate) fn add_referrer(&self, subject: &Value, artifact_type: &str) -> Value {
        let config = self.add("application/vnd.oci.empty.v1+json", b"{}");
        let content = json!({ "of": subject["digest"] }).to_string();
        let layer = self.add("application/json", content.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
            "config": config, "layers": [layer], "annotations": { "made.by": "interop" },
            "subject": {
                "mediaType": subject["mediaType"], "digest": subject["digest"],
                "size": subject["size"],
            },
        });
        self.add(MANIFEST, manifest.to_string().as_bytes())
    }

    /// Adds an artifact that is all in its manifest, and returns its descriptor.
    pub(crate) fn add_artifact_without_layers(&self) -> Value {
        let config = self.add("application/vnd.oci.empty.v1+json", b"{}");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x-interop",
            "config": config, "layers": [], "annotations": { "all": "there is" },
        });
        self.add(MANIFEST, manifest.to_string().as_bytes())
    }

    /// Adds a build cache as BuildKit exports one by default, an index of blobs, and returns its
    /// descriptor.
    pub(crate) fn add_build_cache(&self) -> Value {
        let layer = self.add("application/vnd.oci.image.layer.v1.tar+gzip", b"a cached layer");
        let config = json!({ "layers": [{ "blob": layer["digest"], "parent": -1 }] }).to_string();
        let config = self.add("application/vnd.buildkit.cacheconfig.v0", config.as_bytes());
        self.add_index(&[layer, config])
    }

    /// Adds an index of these and returns its descriptor.
    pub(crate) fn add_index(&self, manifests: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        self.add(INDEX, index.to_string().as_bytes())
    }

    /// Makes this the layout's one root, and calls it `1`.
    pub(crate) fn set_tagged_root(&self, root: &Value) {
        let mut root = root.clone();
        root["annotations"] = json!({ "org.opencontainers.image.ref.name": "1" });
        self.set_root(&root);
    }

    /// Makes this the layout's one root.
    pub fn set_root(&self, root: &Value) {
        let index = json!({ "schemaVersion": 2, "manifests": [root] });
        std::fs::write(self.folder.join("index.json"), index.to_string()).unwrap();
    }
}
