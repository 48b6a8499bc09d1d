//! [`Images`]: images made by real tools, in OCI layouts that are kept in the user's cache.

use std::path::{Path, PathBuf};

use crate::layout::Layout;
use crate::process::Process;
use crate::tools::{Tools, cache};

/// Counts up when what is made here changes, so that old copies in caches are not used.
const VERSION: &str = "v1";

/// Makes images, each one only once for all runs on a machine.
#[derive(Debug)]
pub struct Images<'a> {
    tools: &'a Tools,
}

impl<'a> Images<'a> {
    pub(crate) fn new(tools: &'a Tools) -> Self {
        Self { tools }
    }

    /// A small image of two layers, made by buildah. All of them share the first layer; the text
    /// lies in the second.
    pub fn small(&self, architecture: &str, text: &str) -> Layout {
        self.kept(&format!("small-{architecture}-{text}"), |scratch, folder| {
            let base = scratch.join("base");
            std::fs::write(&base, "what all images share\n".repeat(2000)).unwrap();
            let greeting = scratch.join("greeting");
            std::fs::write(&greeting, text).unwrap();
            let buildah = Buildah { tools: self.tools, scratch };
            let container = buildah.run(&["from", "scratch"]);
            buildah.run(&["copy", "-q", &container, base.to_str().unwrap(), "/base"]);
            let base = buildah.run(&["commit", "-q", "--timestamp", "0", &container, "base"]);
            let container = buildah.run(&["from", "--pull-never", &base]);
            buildah.run(&["copy", "-q", &container, greeting.to_str().unwrap(), "/greeting"]);
            buildah.run(&["config", "--arch", architecture, "--cmd", "/greeting", &container]);
            buildah.commit(&container, folder, &["--timestamp", "0"]);
        })
    }

    /// An index for two platforms, each with its attestation manifest.
    pub fn index_with_attestations(&self) -> Layout {
        self.kept("index", |_, folder| {
            let layout = Layout::create(folder);
            let amd64 = layout.add_image(&self.small("amd64", "index"), "amd64");
            let arm64 = layout.add_image(&self.small("arm64", "index"), "arm64");
            let attestations = [layout.add_attestation(&amd64), layout.add_attestation(&arm64)];
            let [first, second] = attestations;
            let index = layout.add_index(&[amd64, arm64, first, second]);
            layout.set_root(&index);
        })
    }

    /// An index of an image and an index.
    pub fn nested_index(&self) -> Layout {
        self.kept("nested", |_, folder| {
            let layout = Layout::create(folder);
            let inner = layout.add_image(&self.small("arm64", "inner"), "arm64");
            let inner = layout.add_index(&[inner]);
            let outer = layout.add_image(&self.small("amd64", "outer"), "amd64");
            let index = layout.add_index(&[outer, inner]);
            layout.set_root(&index);
        })
    }

    /// An artifact that refers to the root of another layout.
    pub fn referrer_of(&self, subject: &Layout, artifact_type: &str) -> Layout {
        let root = subject.root();
        let hex = root["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let name = format!("referrer-{hex}-{}", artifact_type.replace('/', "_"));
        self.kept(&name, |_, folder| {
            let layout = Layout::create(folder);
            let referrer = layout.add_referrer(&root, artifact_type);
            layout.set_root(&referrer);
        })
    }

    /// A Debian root file system of more than 100 MB as one layer.
    pub fn debian(&self) -> Layout {
        let root = self.debian_root();
        self.kept("debian", |scratch, folder| {
            let buildah = Buildah { tools: self.tools, scratch };
            let container = buildah.run(&["from", "scratch"]);
            buildah.run(&["add", "-q", &container, root.to_str().unwrap(), "/"]);
            buildah.commit(&container, folder, &[]);
        })
    }

    /// The tar archive that [`Images::debian`] is made from.
    pub fn debian_root(&self) -> PathBuf {
        let folder = self.kept("debian-root", |_, folder| {
            std::fs::create_dir(folder).unwrap();
            Process::new(self.tools.path("mmdebstrap"))
                .args(["--quiet", "--variant=minbase", "--skip=output/mknod", "bookworm"])
                .args([folder.join("root.tar")])
                .succeed();
        });
        folder.folder().join("root.tar")
    }

    /// What is kept under this name. It is made by one test while others wait for it, in a temporary
    /// folder that is moved when it is whole: a killed run leaves no half of it.
    pub(crate) fn kept(&self, name: &str, make: impl Fn(&Path, &Path)) -> Layout {
        let images = cache().join("images").join(VERSION);
        let kept = images.join(name);
        std::fs::create_dir_all(&images).unwrap();
        let lock = std::fs::File::create(images.join(format!(".{name}.lock"))).unwrap();
        lock.lock().unwrap();
        if !kept.exists() {
            let scratch = tempfile::tempdir_in(&images).unwrap();
            let unfinished = scratch.path().join(name);
            make(scratch.path(), &unfinished);
            std::fs::rename(&unfinished, &kept).unwrap();
        }
        Layout::at(&kept)
    }
}

/// buildah with storage of its own, which needs neither a kernel module nor a daemon.
struct Buildah<'a> {
    tools: &'a Tools,
    scratch: &'a Path,
}

impl Buildah<'_> {
    fn run(&self, arguments: &[&str]) -> String {
        let storage = self.scratch.join("storage");
        Process::new(self.tools.path("buildah"))
            .env("BUILDAH_ISOLATION", "chroot")
            .args(["--storage-driver", "vfs"])
            .args(["--root", storage.join("root").to_str().unwrap()])
            .args(["--runroot", storage.join("run").to_str().unwrap()])
            .args(arguments)
            .succeed()
            .trim()
            .to_owned()
    }

    /// Writes the container's image as a layout, its layers compressed as registries have them.
    fn commit(&self, container: &str, folder: &Path, options: &[&str]) {
        let target = format!("oci:{}", folder.display());
        let mut arguments = vec!["commit", "-q", "--disable-compression=false"];
        arguments.extend(options);
        arguments.extend([container, &target]);
        self.run(&arguments);
    }
}
