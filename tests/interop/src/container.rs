//! [`ContainerImage`], made by `deploy/container/build`, and [`Container`]: one of it, run as it is meant to be
//! run: as nobody, without a capability, and with a root that nothing can write to.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::process::Process;
use crate::{Run, Workbench, skip};

/// The static binary; none, and a line that says so, where there is none: it alone runs where nothing else is.
pub fn static_binary(suite: &str) -> Option<PathBuf> {
    let path = std::env::var_os("IMAGE_SYNCER_STATIC_BIN").map(PathBuf::from);
    let path = path.filter(|path| path.is_file());
    if path.is_none() {
        skip(suite, "IMAGE_SYNCER_STATIC_BIN names no static binary, which `.ci/run` builds");
    }
    path
}

/// What `deploy/container/build` made.
#[derive(Clone, Debug)]
pub struct ContainerImage {
    /// The OCI layout that holds it, tagged with the project's version.
    pub folder: PathBuf,
    /// Its digest, as the script says.
    pub digest: String,
}

impl ContainerImage {
    /// Builds it of this binary into a folder of the workbench with this name.
    pub fn build(bench: &Workbench, name: &str, binary: &Path, platforms: &[&str]) -> Self {
        let folder = bench.folder().join(name);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/container/build");
        // Cargo finds its programs by their names.
        let programs = bench.tool_path("cargo-cyclonedx").parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::iter::once(programs).chain(std::env::split_paths(&path));
        let mut build = Process::new(&script.canonicalize().unwrap())
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .env("PATH", std::env::join_paths(path).unwrap())
            .args([&folder])
            // Whose certificates are in it is not what is looked at.
            .args(["--ca-bundle"])
            .args([bench.certificate_authority()]);
        for platform in platforms {
            let binary = format!("{platform}={}", binary.display());
            build = build.args(["--platform", platform, "--binary", &binary]);
        }
        Self { folder, digest: build.succeed().trim().to_owned() }
    }

    /// What skopeo and umoci call it.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.folder.display(), env!("CARGO_PKG_VERSION"))
    }
}

/// A container, in a storage of its own below the workbench's folder.
#[derive(Debug)]
pub struct Container<'a> {
    bench: &'a Workbench,
    name: String,
    root: PathBuf,
    arguments: Vec<String>,
}

impl<'a> Container<'a> {
    /// One of this image.
    pub fn of(bench: &'a Workbench, image: &ContainerImage) -> Self {
        // buildah names a container after its image, and takes no capital letter in that: not the whole path.
        let (above, folder) = (image.folder.parent().unwrap(), image.folder.file_name().unwrap());
        let buildah = |arguments: &[&str]| {
            let buildah = isolated(bench, "buildah").in_folder(above).args(storage(bench));
            buildah.args(arguments).succeed().trim().to_owned()
        };
        let from = format!("oci:{}:{}", folder.display(), env!("CARGO_PKG_VERSION"));
        let name = buildah(&["from", &from]);
        let root = PathBuf::from(buildah(&["mount", &name]));
        let arguments = ["--user", "65532:65532", "--cap-drop", "all"].map(str::to_owned).to_vec();
        Self { bench, name, root, arguments }
    }

    /// Its file system, as seen from outside.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Mounts a folder or a file, which the container's user can write to where the mode says so.
    #[must_use]
    pub fn volume(mut self, outside: &Path, inside: &str, mode: &str) -> Self {
        // Where it goes must be there before the root is made read-only.
        let place = self.root.join(inside.trim_start_matches('/'));
        std::fs::create_dir_all(place).unwrap();
        self.arguments
            .extend(["--volume".to_owned(), format!("{}:{inside}:{mode}", outside.display())]);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend(["--env".to_owned(), format!("{name}={value}")]);
        self
    }

    /// Runs its entry point with these arguments to its end.
    pub fn run<S: AsRef<OsStr>>(self, arguments: &[S]) -> Run {
        // buildah has no flag for a read-only root, so it is told nothing: the root is made so in a mount
        // namespace of its own. /run is buildah's, which keeps a file there while the container runs; the
        // places of /etc are those that it mounts its own files on.
        for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
            std::fs::File::create(self.root.join(file)).unwrap();
        }
        for folder in ["dev", "proc", "run", "sys"] {
            std::fs::create_dir_all(self.root.join(folder)).unwrap();
        }
        let script = r#"
            set -e
            root="$1"; shift
            mount --bind "$root" "$root"
            mount -o remount,bind,ro "$root"
            mount -t tmpfs tmpfs "$root/run"
            exec "$@"
        "#;
        let ran = isolated(self.bench, "unshare")
            .args(["--mount", "sh", "-c", script, "read-only"])
            .args([&self.root])
            .args([self.bench.tool_path("buildah")])
            .args(storage(self.bench))
            .args(["run"])
            .args(&self.arguments)
            .args([&self.name, "--", "/image-syncer"])
            .args(arguments)
            .run();
        Run::of(ran)
    }
}

/// A tool that knows neither the logins nor the containers of this machine.
fn isolated(bench: &Workbench, tool: &str) -> Process {
    bench
        .tool(tool)
        .without_env("DOCKER_CONFIG")
        .without_env("REGISTRY_AUTH_FILE")
        .env("BUILDAH_ISOLATION", "chroot")
}

fn storage(bench: &Workbench) -> [String; 6] {
    let folder = bench.folder().join("storage");
    let below = |name: &str| folder.join(name).display().to_string();
    ["--storage-driver", "vfs", "--root", &below("root"), "--runroot", &below("run")]
        .map(str::to_owned)
}
