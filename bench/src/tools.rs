//! [`Tool`]: the tools that are compared, each in the form that is fastest for it, and [`Tools`]:
//! where they are and in which version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::authority::Authority;
use crate::corpus::Corpus;
use crate::error::{Context, Error, Result};
use crate::measure::Commands;
use crate::storage::Kind;

/// What can do the work.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub(crate) enum Tool {
    /// Ours as it is.
    ImageSyncer,
    /// Ours, which does not look again at what is up to date for referrers that came late.
    ImageSyncerLateOff,
    /// go-containerregistry's.
    Crane,
    /// regclient's.
    Regsync,
    /// containers/skopeo.
    Skopeo,
    /// Used when found.
    Ocync,
    /// Used when found.
    Oras,
}

/// Which programs there are.
#[derive(Debug)]
pub(crate) struct Tools {
    found: BTreeMap<&'static str, PathBuf>,
    /// What could not be had, and what it would be for.
    pub(crate) missing: Vec<String>,
    /// What each says of its version.
    pub(crate) versions: BTreeMap<&'static str, String>,
}

/// What is to be done: all tags of the corpus, from one registry to others.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) corpus: &'a Corpus,
    pub(crate) source: String,
    pub(crate) targets: Vec<String>,
    pub(crate) authority: &'a Authority,
    /// An empty folder.
    pub(crate) folder: &'a Path,
    /// How many transfers are wanted at once, where that is the work; else what is best for the tool.
    pub(crate) streams: Option<usize>,
}

impl Tool {
    pub(crate) const ALL: [Self; 7] = [
        Self::ImageSyncer,
        Self::ImageSyncerLateOff,
        Self::Crane,
        Self::Regsync,
        Self::Skopeo,
        Self::Ocync,
        Self::Oras,
    ];

    /// As it is called in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ImageSyncer => "image-syncer",
            Self::ImageSyncerLateOff => "image-syncer, late referrers off",
            Self::Crane => "crane",
            Self::Regsync => "regsync",
            Self::Skopeo => "skopeo",
            Self::Ocync => "ocync",
            Self::Oras => "oras",
        }
    }

    /// Whether it is the one that is to be judged.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::ImageSyncer | Self::ImageSyncerLateOff)
    }

    fn program(self) -> &'static str {
        if self.is_ours() { "image-syncer" } else { self.name() }
    }

    /// In which form it is run: what was the fastest of those tried.
    pub(crate) fn form(self) -> &'static str {
        match self {
            Self::ImageSyncer => "`sync -i FILE`",
            Self::ImageSyncerLateOff => "`sync -i FILE --late-referrers=off`",
            Self::Crane => "`copy --all-tags --jobs 8` for each repository, 4 at once",
            Self::Regsync => "`once`, repositories, `parallel: 32`, `reqConcurrent: 32`",
            Self::Skopeo => "`sync --all --src yaml`",
            Self::Ocync => "`sync -c FILE`",
            Self::Oras => "`copy` for each tag, 16 at once",
        }
    }

    /// The programs that do this job.
    pub(crate) fn commands(self, tools: &Tools, job: &Job<'_>) -> Result<Commands> {
        let mut parallel = 1;
        let commands = match self {
            Self::ImageSyncer | Self::ImageSyncerLateOff => {
                let file = job.write("images.yaml", &image_syncer(job))?;
                let mut command = job.command(tools, self)?;
                command.args(["sync", "--no-progress", "-i"]).arg(file);
                if self == Self::ImageSyncerLateOff {
                    command.arg("--late-referrers=off");
                }
                if let Some(streams) = job.streams {
                    command.args(["--concurrency", &streams.to_string()]);
                }
                vec![command]
            }
            Self::Crane => {
                parallel = job.streams.unwrap_or(4);
                let copy = |name: &str, target: &str| {
                    let mut command = job.command(tools, self)?;
                    command.args(["copy", "--all-tags", "--jobs", "8"]);
                    command.arg(format!("{}/{name}", job.source)).arg(format!("{target}/{name}"));
                    Ok(command)
                };
                job.each_repository(copy)?
            }
            Self::Regsync => {
                let file = job.write("regsync.yaml", &regsync(job))?;
                let mut command = job.command(tools, self)?;
                command.args(["once", "-v", "warn", "-c"]).arg(file);
                vec![command]
            }
            Self::Skopeo => {
                let file = job.write("skopeo.yaml", &skopeo(job))?;
                parallel = job.targets.len();
                let sync = |target: &String| {
                    let mut command = job.command(tools, self)?;
                    command.args(["--insecure-policy", "sync", "--all", "--src", "yaml"]);
                    command.args(["--dest", "docker"]).arg(&file).arg(target);
                    Ok(command)
                };
                job.targets.iter().map(sync).collect::<Result<_>>()?
            }
            Self::Ocync => {
                let file = job.write("ocync.yaml", &ocync(job))?;
                let mut command = job.command(tools, self)?;
                command.args(["sync", "-c"]).arg(file);
                vec![command]
            }
            Self::Oras => {
                parallel = job.streams.unwrap_or(16);
                let mut commands = Vec::new();
                for repository in &job.corpus.repositories {
                    for ((tag, _), target) in repository
                        .tags
                        .iter()
                        .flat_map(|tag| job.targets.iter().map(move |to| (tag, to)))
                    {
                        let mut command = job.command(tools, self)?;
                        let name = &repository.name;
                        command
                            .args(["copy", "--no-tty"])
                            .arg(format!("{}/{name}:{tag}", job.source));
                        command.arg(format!("{target}/{name}:{tag}"));
                        commands.push(command);
                    }
                }
                commands
            }
        };
        Ok(Commands { commands, parallel })
    }
}

impl Job<'_> {
    /// The tool's program, with nothing of this user's settings.
    fn command(&self, tools: &Tools, tool: Tool) -> Result<Command> {
        let mut command = Command::new(tools.path(tool.program())?);
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.env("HOME", self.folder).env("TMPDIR", self.folder);
        command.env("XDG_RUNTIME_DIR", self.folder).env("DOCKER_CONFIG", self.folder);
        command.env("SSL_CERT_FILE", &self.authority.trusted);
        command.current_dir(self.folder);
        Ok(command)
    }

    fn each_repository(
        &self,
        command: impl Fn(&str, &str) -> Result<Command>,
    ) -> Result<Vec<Command>> {
        let repositories = self.corpus.repositories.iter();
        let pairs = repositories
            .flat_map(|repository| self.targets.iter().map(|target| (&repository.name, target)));
        pairs.map(|(name, target)| command(name, target)).collect()
    }

    fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, content).context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

fn image_syncer(job: &Job<'_>) -> String {
    let mut text = "registries:\n".to_owned();
    for host in std::iter::once(&job.source).chain(&job.targets) {
        text += &format!("  \"{host}\": {{ ca: \"{}\" }}\n", job.authority.trusted.display());
    }
    text += "images:\n";
    for repository in &job.corpus.repositories {
        let name = &repository.name;
        let targets: Vec<_> =
            job.targets.iter().map(|target| format!("\"{target}/{name}\"")).collect();
        for (tag, _) in &repository.tags {
            text += &format!("- source: \"{}/{name}:{tag}\"\n", job.source);
            text += &format!("  destination: [{}]\n", targets.join(", "));
        }
    }
    text
}

fn regsync(job: &Job<'_>) -> String {
    let parallel = job.streams.unwrap_or(32);
    let mut text = "version: 1\ncreds:\n".to_owned();
    for host in std::iter::once(&job.source).chain(&job.targets) {
        text += &format!("  - {{ registry: \"{host}\", reqConcurrent: {parallel} }}\n");
    }
    text += &format!("defaults: {{ parallel: {parallel}, skipDockerConfig: true }}\nsync:\n");
    for repository in &job.corpus.repositories {
        let name = &repository.name;
        for target in &job.targets {
            text += &format!("  - source: \"{}/{name}\"\n", job.source);
            text += &format!("    target: \"{target}/{name}\"\n    type: repository\n");
        }
    }
    text
}

fn skopeo(job: &Job<'_>) -> String {
    let mut text = format!("\"{}\":\n  images:\n", job.source);
    for repository in &job.corpus.repositories {
        let tags: Vec<_> = repository.tags.iter().map(|(tag, _)| format!("\"{tag}\"")).collect();
        text += &format!("    {}: [{}]\n", repository.name, tags.join(", "));
    }
    text
}

fn ocync(job: &Job<'_>) -> String {
    let mut text = format!(
        "global: {{ cache_ttl: \"0\" }}\nregistries:\n  source: {{ url: \"{}\", auth_type: anonymous }}\n",
        job.source
    );
    let mut names = Vec::new();
    for (number, target) in job.targets.iter().enumerate() {
        text += &format!("  target-{number}: {{ url: \"{target}\", auth_type: anonymous }}\n");
        names.push(format!("target-{number}"));
    }
    text += &format!("target_groups: {{ all: [{}] }}\n", names.join(", "));
    text += "defaults: { source: source, targets: all, tags: { glob: \"*\" } }\nmappings:\n";
    for repository in &job.corpus.repositories {
        text += &format!("  - {{ from: {0}, to: {0} }}\n", repository.name);
    }
    text
}

impl Tools {
    /// Looks for all programs.
    pub(crate) async fn find(image_syncer: &Path) -> Self {
        let mut tools =
            Self { found: BTreeMap::new(), missing: Vec::new(), versions: BTreeMap::new() };
        tools.found.insert("image-syncer", image_syncer.to_owned());
        let named = [
            ("distribution3", "its registry", true),
            ("crane", "comparison, and a second look at what was copied", true),
            ("regsync", "comparison", true),
            ("skopeo", "comparison", true),
            ("ocync", "comparison; used when on PATH", false),
            ("oras", "comparison; used when on PATH", false),
        ];
        for (name, purpose, installed) in named {
            if let Some(path) = locate(name) {
                tools.found.insert(name, path);
            } else if installed {
                tools.missing.push(format!("{name} ({purpose}; tests/tools/install {name})"));
            } else {
                tools.missing.push(format!("{name} ({purpose})"));
            }
        }
        for (name, path) in &tools.found {
            let argument = match *name {
                "image-syncer" | "distribution3" | "skopeo" => "--version",
                _ => "version",
            };
            let said = Command::new(path).arg(argument).output().await;
            let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
            let version = said.ok().as_deref().and_then(version).unwrap_or_else(|| pinned(path));
            tools.versions.insert(name, version);
        }
        tools
    }

    /// Whether the tool is there.
    pub(crate) fn has(&self, tool: Tool) -> bool {
        self.found.contains_key(tool.program())
    }

    /// Whether the registry is there.
    pub(crate) fn has_registry(&self, kind: Kind) -> bool {
        self.registry(kind).is_ok()
    }

    /// The program of the registry.
    pub(crate) fn registry(&self, kind: Kind) -> Result<&Path> {
        self.path(match kind {
            Kind::Distribution => "distribution3",
            Kind::Serve => "image-syncer",
        })
    }

    /// What `crane digest` says of a tag; none where there is no crane.
    pub(crate) async fn digest(&self, job: &Job<'_>, reference: &str) -> Result<Option<String>> {
        if !self.has(Tool::Crane) {
            return Ok(None);
        }
        let mut command = job.command(self, Tool::Crane)?;
        let said = command.args(["digest", reference]).output().await;
        let said = said.context(|| "running crane".to_owned())?;
        Ok(Some(String::from_utf8_lossy(&said.stdout).trim().to_owned()))
    }

    fn path(&self, name: &str) -> Result<&Path> {
        let missing = || Error::new(format!("{name} is not here; tests/tools/install {name}"));
        self.found.get(name).map(PathBuf::as_path).ok_or_else(missing)
    }
}

/// What looks like a version in what a tool said of itself.
fn version(said: &str) -> Option<String> {
    let words = said.split_whitespace().map(|word| word.trim_start_matches('v'));
    let is_version = |word: &&str| {
        word.starts_with(|first: char| first.is_ascii_digit()) && word.split('.').count() >= 3
    };
    Some(words.into_iter().find(is_version)?.trim_end_matches(',').to_owned())
}

/// The version that tests/tools/install wrote down beside what it built.
fn pinned(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let note = std::fs::read_to_string(path.with_file_name(format!(".{name}.version")));
    let note = note.unwrap_or_default();
    note.trim().rsplit_once("@v").map_or("unknown", |(_, version)| version).to_owned()
}

/// What tests/tools/install built goes before what the system has: its version is pinned.
fn locate(name: &str) -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = folder("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| folder("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    let path = folder("PATH").unwrap_or_default();
    std::iter::once(cache.join("image-syncer/tools"))
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
