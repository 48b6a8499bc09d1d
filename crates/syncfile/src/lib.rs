//! The sync file: which images, charts and ECR repositories are wanted, and where they go.
//!
//! [`load`] reads files, checks all of them and resolves them into a [`SyncFile`] with nothing
//! left to check, or into [`Diagnostics`] that tell every mistake of every file in one go, each
//! with its place, the line it stands in and what would be right. No registry is asked.
//!
//! A text walks through these modules: `input` (files to texts), `yaml` (text to a tree),
//! `reader` (shape), `document`, `image`, `extent`, `tag_selection`, `signing`, `verify`, `registry`,
//! `auth`, `repository` with its parts, `chart` and `schedule` (meaning), `combine` (all files together),
//! `default_files` (what ECR repositories do not say themselves).

mod auth;
mod chart;
mod chart_source;
mod combine;
mod convert;
mod default_files;
mod diagnostic;
mod document;
mod ecr_registry;
mod extent;
mod hidden;
mod image;
mod input;
mod key;
mod mapping;
mod notice;
mod policy;
mod reader;
mod registry;
mod repository;
mod repository_image;
mod repository_settings;
mod schedule;
mod schema;
mod secret;
mod signing;
mod source_pattern;
mod sync_file;
mod tag_selection;
mod target_name;
mod text;
mod verify;
mod yaml;

pub use auth::{Auth, AwsAccessKey, AwsAuth, AzureAuth, GoogleAuth};
pub use chart::{Chart, ChartVersions};
pub use chart_source::ChartSource;
pub use convert::{ConvertError, Converted, ForeignFormat, convert};
pub use diagnostic::{Code, Diagnostic, Diagnostics, Place, Severity};
pub use input::{Fingerprint, Input, fingerprints};
pub use key::Key;
pub use notice::{Channel, Notice, Occasion, Template};
pub use registry::{ClientCertificate, RegistryEntry};
pub use repository::EcrRepository;
pub use repository_settings::{Encryption, Mutability, RepositorySettings};
pub use schema::schema;
pub use secret::{AwsSecret, Secret, SecretError};
pub use signing::{Outside, Placed, SignatureFormat, Signing, SigningDefaults};
pub use source_pattern::SourcePattern;
pub use sync_file::{Image, Origin, SyncFile, TagSelection};
pub use verify::{Identity, IdentityText, Keyless, VerifyMode, VerifyRule};

use std::path::{Path, PathBuf};

use document::{Document, Given};
use oci::Digest;
use target_name::Prefix;
use text::Text;

/// What flags and variables say; it beats what the files say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Defaults {
    /// Where images without a destination go, `HOST/PATH/` or `oci:FOLDER`; where there are
    /// several, each image goes to all of them. Where there is none, the file's own
    /// `targetRepoPrefix` is taken.
    pub target_repo_prefixes: Vec<String>,
    /// What holds for the ECR repositories of all files.
    pub ecr: EcrDefaults,
}

/// What flags and variables say of ECR repositories.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EcrDefaults {
    /// The AWS account of repositories that name no registry, 12 digits.
    pub account: Option<String>,
    /// The region of repositories that name no registry.
    pub region: Option<String>,
    /// The JSON file with the lifecycle policy of repositories without one of their own. Where no file
    /// is named, `ecr-lifecycle.json` is taken if there is one.
    pub lifecycle_policy_file: Option<PathBuf>,
    /// The same for permission policies: `ecr-permissions.json`.
    pub permission_policy_file: Option<PathBuf>,
    /// The JSON file with the tags of all repositories, `default_resource_tags.json`; a repository's
    /// own tags go before them.
    pub resource_tags_file: Option<PathBuf>,
}

/// Files that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What they ask for, all together.
    pub sync_file: SyncFile,
    /// The files that were read, in their order, with when each has its turn where it says so.
    pub files: Vec<ReadFile>,
    /// What should be looked at nevertheless.
    pub warnings: Vec<Diagnostic>,
}

/// A file that was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadFile {
    /// Its name, as it is in every [`Origin`] of it; `<stdin>` for standard input.
    pub path: PathBuf,
    /// Of its text, without a byte order mark.
    pub digest: Digest,
    /// When it has its turn in the long-running mode, where it says so.
    pub schedule: Option<::schedule::Schedule>,
}

/// Reads, checks and resolves sync files.
///
/// # Errors
/// All errors and warnings of all files, where there is an error.
pub fn load(inputs: &[Input], defaults: &Defaults) -> Result<Loaded, Diagnostics> {
    let mut found = Vec::new();
    let prefixes = given_prefixes(defaults, &mut found);
    let mut texts = input::read(inputs, &mut found);
    let registry = ecr_registry::given(&defaults.ecr);
    let given = Given { prefixes: prefixes.as_deref(), registry: registry.as_ref() };
    let documents: Vec<Document> =
        texts.iter_mut().map(|text| document::read(text, &given)).collect();
    let read = |(text, document): (&Text, &Document)| ReadFile {
        path: text.name().to_owned(),
        digest: Digest::sha256(text.content().as_bytes()),
        schedule: document.schedule.clone(),
    };
    let files = texts.iter().zip(&documents).map(read).collect();
    let (mut sync_file, in_files) = combine::combine(&texts, documents);
    found.extend(in_files);
    default_files::apply(&mut sync_file, &defaults.ecr, &mut found);
    if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(Diagnostics::new(found));
    }
    if sync_file.is_empty() && found.is_empty() {
        let message = "nothing is wanted in what was given";
        found.push(Diagnostic::warning(Code::EmptyList, None, message));
    }
    Ok(Loaded { sync_file, files, warnings: found })
}

/// The prefixes of the command line, whose paths begin at the working directory, where it has some.
fn given_prefixes(defaults: &Defaults, found: &mut Vec<Diagnostic>) -> Option<Vec<Prefix>> {
    if defaults.target_repo_prefixes.is_empty() {
        return None;
    }
    let mut prefixes = Vec::new();
    for text in &defaults.target_repo_prefixes {
        match Prefix::parse(text, Path::to_path_buf) {
            Ok(prefix) => prefixes.push(prefix),
            Err(error) => found.push(target_name::describe(&error, None)),
        }
    }
    Some(prefixes)
}
