//! [`Text`]: the text of one file, and the lines of it that a diagnostic may show.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Excerpt, Place};
use crate::hidden;
use crate::yaml::{Node, Span};

/// The longest line, in bytes, that is shown; of a longer one only the position is told.
const LONGEST_LINE: usize = 2_000;

/// The text of one file.
#[derive(Debug)]
pub(crate) struct Text {
    name: PathBuf,
    folder: PathBuf,
    content: String,
    /// Where each line begins.
    lines: Vec<usize>,
    /// What is never shown, because it is or may be a secret.
    hidden: Hidden,
}

#[derive(Debug)]
enum Hidden {
    /// Nothing is known of the structure: a line is hidden where it looks like a secret's.
    Suspected,
    /// The values that are secret.
    Known(Vec<Span>),
}

impl Text {
    /// A text with the name it is shown by and the folder its relative paths begin at.
    pub(crate) fn new(name: PathBuf, folder: PathBuf, content: String) -> Self {
        let ends = content.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { name, folder, content, lines, hidden: Hidden::Suspected }
    }

    /// The name it is shown by.
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    pub(crate) fn content(&self) -> &str {
        &self.content
    }

    /// `path` as seen from the working directory.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        resolve(&self.folder, path)
    }

    /// Where its relative paths begin, as seen from the working directory.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// From now on hides what is secret in this tree, and nothing else.
    pub(crate) fn hide_secrets_of(&mut self, root: &Node) {
        self.hidden = Hidden::Known(hidden::secrets(&self.content, root));
    }

    /// Whether what is at a span may not be shown.
    pub(crate) fn hides(&self, span: Span) -> bool {
        match self.hidden {
            Hidden::Suspected => hidden::may_hold_secret(&self.content, span.start),
            Hidden::Known(_) => !self.secrets_in(span.start, span.end).is_empty(),
        }
    }

    /// Where a span begins, with the line it stands in.
    pub(crate) fn place(&self, span: Span) -> Place {
        let start = self.floor(span.start);
        let line = self.lines.partition_point(|&begin| begin <= start).saturating_sub(1);
        let begin = self.lines.get(line).copied().unwrap_or(0);
        let end = self.lines.get(line + 1).copied().unwrap_or(self.content.len());
        let shown = self.slice(begin, end).trim_end_matches(['\n', '\r']);
        let marked_end = self.floor(span.end).clamp(start, begin + shown.len().max(start - begin));
        Place {
            file: self.name.clone(),
            line: line + 1,
            column: self.slice(begin, start).chars().count() + 1,
            excerpt: self.excerpt(shown, begin, Span { start, end: marked_end }),
        }
    }

    /// The line with its secrets masked; nothing where a mask would move the mark.
    fn excerpt(&self, line: &str, begin: usize, marked: Span) -> Option<Excerpt> {
        let end = begin + line.len();
        let suspected = matches!(self.hidden, Hidden::Suspected)
            && hidden::may_hold_secret(&self.content, begin);
        let moved = self.secrets_in(begin, end).iter().any(|it| it.start < marked.start);
        if suspected || moved || line.len() > LONGEST_LINE {
            return None;
        }
        let shown = self.masked(begin, end);
        // A position in what is shown is the length of what is shown before it.
        let at = |position| self.masked(begin, position).len().min(shown.len());
        Some(Excerpt { marked: at(marked.start)..at(marked.end), line: shown })
    }

    /// A part of the text with a mask in place of each secret, also of one that goes on after it.
    fn masked(&self, start: usize, end: usize) -> String {
        let mut shown = String::new();
        let mut from = start;
        for secret in self.secrets_in(start, end) {
            shown.push_str(self.slice(from, secret.start));
            shown.push_str(MASK);
            from = secret.end;
        }
        shown.push_str(self.slice(from, end));
        shown
    }

    /// The secrets that are known and have a part between two positions.
    fn secrets_in(&self, start: usize, end: usize) -> &[Span] {
        let Hidden::Known(secrets) = &self.hidden else { return &[] };
        let first = secrets.partition_point(|secret| secret.end <= start);
        let after = secrets.partition_point(|secret| secret.start < end);
        secrets.get(first..after).unwrap_or_default()
    }

    fn slice(&self, start: usize, end: usize) -> &str {
        self.content.get(start..end).unwrap_or_default()
    }

    /// The nearest character boundary at or before `at`.
    fn floor(&self, at: usize) -> usize {
        self.content.floor_char_boundary(at)
    }
}

/// A path that begins at a folder, as seen from where the folder is.
pub(crate) fn resolve(folder: &Path, path: &Path) -> PathBuf {
    // Rebuilt from its components, `a/./b` is `a/b`.
    folder.join(path).components().collect()
}

const MASK: &str = "***";
