//! [`Diagnostic`]: one mistake in a sync file, with its place and what would be right.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably says something else than was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Defines [`Code`] and the stable text of each.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What kind of mistake it is. The texts are stable: scripts may compare them.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code's stable text, such as `unknown-key`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// A file cannot be read, or is not text.
    UnreadableFile = "unreadable-file",
    /// A folder holds no sync file.
    NoFiles = "no-files",
    /// The text is not YAML.
    InvalidYaml = "invalid-yaml",
    /// `//` stands where YAML has `#`.
    SlashComment = "slash-comment",
    /// The file has a second YAML document.
    SecondDocument = "second-document",
    /// The file is larger or nested deeper than any list is.
    TooLarge = "too-large",
    /// A key that does not exist.
    UnknownKey = "unknown-key",
    /// A key that stands twice.
    DuplicateKey = "duplicate-key",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// A key without a value.
    NoValue = "no-value",
    /// A value of the wrong type.
    WrongType = "wrong-type",
    /// Keys that exclude each other.
    ConflictingKeys = "conflicting-keys",
    /// An image reference that is not one.
    InvalidReference = "invalid-reference",
    /// A tag that is not one.
    InvalidTag = "invalid-tag",
    /// A registry host that is not one.
    InvalidHost = "invalid-host",
    /// A kind of registry that is none.
    InvalidKind = "invalid-kind",
    /// A URL that is not one.
    InvalidUrl = "invalid-url",
    /// An ARN that is not one, or of something else.
    InvalidArn = "invalid-arn",
    /// A platform that is not one.
    InvalidPlatform = "invalid-platform",
    /// A source without tag and digest.
    NoTagOrDigest = "no-tag-or-digest",
    /// A digest, and no tag for the target.
    DigestWithoutTag = "digest-without-tag",
    /// `tag` beside a source without a tag.
    TagWithoutSourceTag = "tag-without-source-tag",
    /// A destination with a digest.
    DigestInDestination = "digest-in-destination",
    /// `tag` and the destination name different tags.
    ConflictingTags = "conflicting-tags",
    /// A tag or a digest where `tags` selects tags.
    TagWithTags = "tag-with-tags",
    /// A time, a cron expression or a time zone that is not one.
    InvalidSchedule = "invalid-schedule",
    /// A range of versions that is not one.
    InvalidRange = "invalid-range",
    /// A version of a chart that is not one.
    InvalidVersion = "invalid-version",
    /// Several tags for one image that is named by another tag.
    UnclearTags = "unclear-tags",
    /// A pattern that is neither a glob nor a regex, or can match nothing.
    InvalidPattern = "invalid-pattern",
    /// A key that is none, or none that can do what it is for.
    InvalidKey = "invalid-key",
    /// A type of predicate that is not one.
    InvalidPredicateType = "invalid-predicate-type",
    /// Something is to be signed, and there is no key.
    NoSigningKey = "no-signing-key",
    /// An occasion of a notice that is none.
    InvalidOccasion = "invalid-occasion",
    /// A header of a notice that is none.
    InvalidHeader = "invalid-header",
    /// A template of a notice that is none.
    InvalidTemplate = "invalid-template",
    /// An image that has nowhere to go.
    NoTarget = "no-target",
    /// ECR repositories, and not said of which account or region.
    NoEcrRegistry = "no-ecr-registry",
    /// `ecr` in an image with no target in ECR.
    NotEcr = "not-ecr",
    /// A file with defaults of ECR repositories that is not what it must be.
    InvalidDefaultFile = "invalid-default-file",
    /// A file with defaults of ECR repositories that was taken because of its name.
    DefaultFile = "default-file",
    /// A target that cannot be written as a name.
    InvalidTarget = "invalid-target",
    /// A target that names no registry.
    NoRegistry = "no-registry",
    /// Source and target are the same.
    SourceIsTarget = "source-is-target",
    /// One target, wanted from different sources.
    DuplicateTarget = "duplicate-target",
    /// One image, wanted twice.
    DuplicateImage = "duplicate-image",
    /// One registry, described twice and differently.
    DuplicateRegistry = "duplicate-registry",
    /// One ECR repository, described twice.
    DuplicateRepository = "duplicate-repository",
    /// A setting that another one goes before.
    IgnoredSetting = "ignored-setting",
    /// One file, given twice.
    DuplicateFile = "duplicate-file",
    /// A secret that stands in the file itself.
    SecretInFile = "secret-in-file",
    /// A value that a list has twice.
    DuplicateValue = "duplicate-value",
    /// A rule that is for no source of any file.
    UnmatchedRule = "unmatched-rule",
    /// A file, or all files, without an image.
    EmptyList = "empty-list",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where something stands. Compared and ordered by file, line and column.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file as it was given; `<stdin>` for standard input.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    pub(crate) excerpt: Option<Excerpt>,
}

impl Place {
    /// The file as a whole.
    pub(crate) fn file(file: PathBuf) -> Self {
        Self { file, line: 0, column: 0, excerpt: None }
    }

    fn key(&self) -> (&PathBuf, usize, usize) {
        (&self.file, self.line, self.column)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}:{}", self.file.display(), self.column),
        }
    }
}

/// A line of a file as it may be shown, and what of it is marked, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Excerpt {
    pub(crate) line: String,
    pub(crate) marked: Range<usize>,
}

/// One mistake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub code: Code,
    /// What is wrong, one sentence without the place.
    pub message: String,
    /// Where it is wrong; nothing where it is in no file.
    pub place: Option<Place>,
    /// What stands beside the mark.
    pub label: Option<String>,
    /// Other places that belong to it, each with what it is.
    pub related: Vec<(Place, String)>,
    /// What to do next.
    pub help: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn error(code: Code, place: Option<Place>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            place,
            label: None,
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    pub(crate) fn warning(code: Code, place: Option<Place>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn related(mut self, place: Place, what: impl Into<String>) -> Self {
        self.related.push((place, what.into()));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The diagnostic as the Rust compiler draws its own, with terminal colours if asked for.
    pub fn render(&self, colors: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group =
            Group::with_title(level.primary_title(&self.message).id(self.code.as_str()));
        if let Some(place) = &self.place {
            group = draw(group, place, AnnotationKind::Primary, self.label.as_deref());
        }
        for (place, what) in &self.related {
            group = draw(group, place, AnnotationKind::Context, Some(what));
        }
        let group =
            self.help.iter().fold(group, |group, help| group.element(Level::HELP.message(help)));
        let renderer = if colors { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

fn draw<'a>(
    group: Group<'a>,
    place: &'a Place,
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Group<'a> {
    let path = place.file.to_string_lossy();
    match &place.excerpt {
        Some(Excerpt { line, marked }) => group.element(
            Snippet::source(line)
                .path(path)
                .line_start(place.line)
                .annotation(kind.span(marked.clone()).label(label)),
        ),
        None => {
            let origin = Origin::path(path);
            let group = group.element(match place.line {
                0 => origin,
                line => origin.line(line).char_column(place.column),
            });
            match label {
                Some(label) => group.element(Level::NOTE.message(label)),
                None => group,
            }
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// All that is wrong with the files, at least one error among it, and the warnings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(crate) fn new(diagnostics: Vec<Diagnostic>) -> Self {
        Self(diagnostics)
    }

    /// The diagnostics, file by file in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// All of them, with terminal colours if asked for and an empty line between two.
    pub fn render(&self, colors: bool) -> String {
        let rendered: Vec<_> = self.iter().map(|diagnostic| diagnostic.render(colors)).collect();
        rendered.join("\n\n")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
