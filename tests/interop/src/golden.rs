//! [`Golden`]: images of every shape that a closure can have, with signatures and other artifacts, made
//! by tools that are not ours wherever one can; and [`Nodes`]: what one of them is made of, as regctl
//! sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Kind, Layout, Server, Workbench, digest_of};

/// The golden set, in OCI layouts.
#[derive(Debug)]
pub struct Golden {
    folder: PathBuf,
}

/// Everything that one image of the set is made of, and what belongs to it.
#[derive(Debug, Eq, PartialEq)]
pub struct Nodes {
    /// Every manifest and blob, by digest, but for the lists under fallback tags.
    pub content: BTreeMap<String, Vec<u8>>,
    /// The tags, but for fallback tags.
    pub tags: BTreeMap<String, String>,
    /// What refers to each manifest that something refers to, as their own manifests say it.
    pub referrers: BTreeMap<String, BTreeSet<String>>,
}

impl Golden {
    /// The images' names; each has the tag `1`.
    pub const NAMES: [&'static str; 11] = [
        "signed",
        "bundled",
        "nested",
        "cache",
        "mixed",
        "docker",
        "zstd",
        "empty-blob",
        "no-layers",
        "data",
        "sha512",
    ];

    /// An image's layout, as regctl writes it.
    pub fn layout(&self, name: &str) -> String {
        format!("ocidir://{}:1", self.folder.join(name).display())
    }

    /// What an image is made of.
    pub fn nodes(&self, name: &str) -> Nodes {
        Nodes::of(&self.folder.join(name))
    }

    /// The public key of all signatures.
    pub fn key(&self) -> PathBuf {
        self.folder.join("cosign.pub")
    }
}

impl Workbench {
    /// The golden set. It needs crane, regctl, skopeo, buildah, go-containerregistry's registry, and
    /// cosign in both versions.
    pub fn golden(&self) -> Golden {
        let kept = self.images().kept("golden", |scratch, folder| {
            std::fs::create_dir(folder).unwrap();
            Workshop { bench: self, server: self.start(Kind::GoContainerregistry), scratch }
                .make(folder);
        });
        Golden { folder: kept.folder().to_owned() }
    }
}

/// Where the set is made: cosign signs only what is in a registry.
struct Workshop<'a> {
    bench: &'a Workbench,
    server: Server,
    scratch: &'a Path,
}

impl Workshop<'_> {
    fn make(&self, folder: &Path) {
        let key = self.scratch.join("cosign");
        self.cosign("cosign2", &["generate-key-pair", "--output-key-prefix", path(&key)]);
        std::fs::copy(key.with_extension("pub"), folder.join("cosign.pub")).unwrap();
        let images = self.bench.images();
        let single = images.small("amd64", "golden");

        // cosign 2: `.sig` of the index and all its children, `.att` of the index, `.sbom` of a child.
        let signed = self.pushed(&images.index_with_attestations(), "signed");
        let child = self.child(&signed);
        let predicate = self.file("predicate.json", r#"{"golden":true}"#);
        self.cosign_with_key("cosign2", &key, &["sign", "--recursive", &signed]);
        let attest = ["attest", "--type", "custom", "--predicate", path(&predicate), &signed];
        self.cosign_with_key("cosign2", &key, &attest);
        let sbom = self.file("sbom.json", r#"{"spdxVersion":"SPDX-2.3"}"#);
        self.cosign("cosign2", &["attach", "sbom", "--sbom", path(&sbom), &child]);

        // cosign 3: bundles as referrers. Beside them an SBOM, and an SBOM of that.
        let bundled = self.pushed(&single, "bundled");
        let offline = "--use-signing-config=false";
        self.cosign_with_key("cosign", &key, &["sign", offline, &bundled]);
        let attest = ["attest", offline, "--type", "custom", "--predicate", path(&predicate)];
        self.cosign_with_key("cosign", &key, &[&attest[..], &[bundled.as_str()]].concat());
        let of_image = self.artifact(&["--subject", &bundled], &sbom);
        let of_image = format!("{}@{of_image}", self.name("bundled").trim_end_matches(":1"));
        self.artifact(&["--subject", &of_image], &predicate);

        // An artifact that belongs to an index within an index.
        let nested = self.pushed(&images.nested_index(), "nested");
        let inner = self.manifest(&nested)["manifests"][1]["digest"].as_str().unwrap().to_owned();
        let inner = format!("{}@{inner}", self.name("nested").trim_end_matches(":1"));
        self.artifact(&["--subject", &inner], &sbom);

        // Docker's media types, alone in a list and beside OCI's.
        self.skopeo(&single, "parts:docker", &["--format=v2s2"]);
        let (docker, oci) = (self.name("parts:docker"), self.pushed(&single, "parts"));
        self.regctl(&["index", "create", &self.name("mixed"), "--ref", &docker, "--ref", &oci]);
        let list = "application/vnd.docker.distribution.manifest.list.v2+json";
        self.regctl(&["index", "create", &self.name("docker"), "-m", list, "--ref", &docker]);

        self.skopeo(&single, "zstd:1", &["--dest-compress-format=zstd"]);
        let nothing = self.file("nothing", "");
        self.artifact(&[&self.name("empty-blob")], &nothing);
        let data = ["image", "mod", &oci, "--create", &self.name("data"), "--data-max", "1000"];
        self.regctl(&data);
        self.made("no-layers", Layout::add_artifact_without_layers);
        self.made("cache", Layout::add_build_cache);

        for name in Golden::NAMES.iter().filter(|name| **name != "sha512") {
            let layout = format!("ocidir://{}:1", folder.join(name).display());
            let copy = ["image", "copy", "--referrers", "--digest-tags"];
            self.regctl(&[&copy[..], &[&self.name(name), &layout]].concat());
        }
        // No registry here takes it by its digest, but a layout does.
        let layout = |name: &str| format!("ocidir://{}", folder.join(name).display());
        let (from, to) = (layout("zstd:1"), self.scratch.join("sha512"));
        let to = format!("ocidir://{}", to.display());
        self.regctl(&["image", "copy", &from, &format!("{to}:256")]);
        let to_sha512 = ["image", "mod", &format!("{to}:256"), "--digest-algo", "sha512"];
        self.regctl(&[&to_sha512[..], &["--create", &format!("{to}:512")]].concat());
        self.regctl(&["image", "copy", &format!("{to}:512"), &layout("sha512:1")]);
    }

    /// `HOST/NAME:1`, or with the tag that the name has.
    fn name(&self, name: &str) -> String {
        let tag = if name.contains(':') { "" } else { ":1" };
        format!("{}/{name}{tag}", self.server.host())
    }

    fn pushed(&self, layout: &Layout, name: &str) -> String {
        let name = self.name(name);
        self.bench.push(layout, &name);
        name
    }

    /// Pushes what cannot be made otherwise.
    fn made(&self, name: &str, make: impl Fn(&Layout) -> Value) {
        let layout = Layout::create(&self.scratch.join(name));
        layout.set_tagged_root(&make(&layout));
        let layout = format!("ocidir://{}:1", layout.folder().display());
        self.regctl(&["image", "copy", &layout, &self.name(name)]);
    }

    fn skopeo(&self, layout: &Layout, name: &str, options: &[&str]) {
        let target = format!("docker://{}", self.name(name));
        self.bench
            .tool("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"])
            .args(options)
            .args([&format!("oci:{}", layout.folder().display()), &target])
            .succeed();
    }

    /// Pushes an artifact of one file and returns its digest.
    fn artifact(&self, arguments: &[&str], file: &Path) -> String {
        let put = ["artifact", "put", "--artifact-type", "application/spdx+json", "--file"];
        let format = ["--format", "{{.Manifest.GetDescriptor.Digest}}"];
        self.regctl(&[&put[..], &[path(file)], &format, arguments].concat()).trim().to_owned()
    }

    fn manifest(&self, name: &str) -> Value {
        serde_json::from_str(&self.bench.crane(["manifest", name])).unwrap()
    }

    /// The first child of an index.
    fn child(&self, index: &str) -> String {
        let digest = self.manifest(index)["manifests"][0]["digest"].as_str().unwrap().to_owned();
        format!("{}@{digest}", index.trim_end_matches(":1"))
    }

    fn regctl(&self, arguments: &[&str]) -> String {
        self.bench.regctl(&[&self.server]).args(arguments).succeed()
    }

    fn cosign(&self, tool: &str, arguments: &[&str]) {
        self.bench.tool(tool).env("COSIGN_PASSWORD", "").args(arguments).succeed();
    }

    /// Signs without a transparency log: nothing here may need a network.
    fn cosign_with_key(&self, tool: &str, key: &Path, arguments: &[&str]) {
        let key = key.with_extension("key");
        let (command, rest) = arguments.split_first().unwrap();
        let all = [&[*command, "--key", path(&key), "--tlog-upload=false", "--yes"], rest].concat();
        self.cosign(tool, &all);
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.scratch.join(name);
        std::fs::write(&file, content).unwrap();
        file
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Nodes {
    /// Reads a layout that regctl wrote.
    pub fn of(folder: &Path) -> Self {
        let read = |digest: &str| {
            let file = folder.join("blobs").join(digest.replacen(':', "/", 1));
            let content = std::fs::read(&file);
            content.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        };
        let index = std::fs::read(folder.join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let mut nodes =
            Self { content: BTreeMap::new(), tags: BTreeMap::new(), referrers: BTreeMap::new() };
        let mut wanted = Vec::new();
        for entry in index["manifests"].as_array().unwrap() {
            let digest = entry["digest"].as_str().unwrap().to_owned();
            let tag = entry["annotations"]["org.opencontainers.image.ref.name"].as_str();
            match tag {
                Some(tag) if is_fallback_tag(tag) => {
                    wanted.extend(parts(&serde_json::from_slice(&read(&digest)).unwrap()));
                }
                _ => {
                    nodes.tags.extend(tag.map(|tag| (tag.to_owned(), digest.clone())));
                    wanted.push((digest, true));
                }
            }
        }
        while let Some((digest, is_manifest)) = wanted.pop() {
            if nodes.content.contains_key(&digest) {
                continue;
            }
            let content = read(&digest);
            if is_manifest {
                let manifest: Value = serde_json::from_slice(&content).unwrap();
                wanted.extend(parts(&manifest));
                if let Some(subject) = manifest["subject"]["digest"].as_str() {
                    let referrers = nodes.referrers.entry(subject.to_owned()).or_default();
                    referrers.insert(digest.clone());
                }
            }
            nodes.content.insert(digest, content);
        }
        nodes
    }

    /// The same, its manifests addressed by SHA-256: what registries make of a tag whose manifest is
    /// addressed otherwise elsewhere.
    #[must_use]
    pub fn with_tags_by_sha256(mut self) -> Self {
        for digest in self.tags.values_mut() {
            let content = self.content.remove(digest).unwrap();
            *digest = digest_of(&content);
            self.content.insert(digest.clone(), content);
        }
        self
    }
}

/// Whether the tag lists referrers where there is no API.
pub(crate) fn is_fallback_tag(tag: &str) -> bool {
    tag.split_once('-').is_some_and(|(algorithm, hex)| {
        algorithm.starts_with("sha")
            && hex.len() >= 64
            && hex.chars().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// The digests that a manifest names, and whether each is a manifest.
fn parts(manifest: &Value) -> Vec<(String, bool)> {
    let lists = ["layers", "manifests"].map(|name| manifest[name].as_array());
    let parts = lists.into_iter().flatten().flatten().chain(manifest.get("config"));
    parts
        .map(|part| {
            let media_type = part["mediaType"].as_str().unwrap();
            let is_manifest = ["manifest", "index"].iter().any(|word| media_type.contains(word));
            (part["digest"].as_str().unwrap().to_owned(), is_manifest)
        })
        .collect()
}
