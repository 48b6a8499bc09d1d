//! `image` of an entry of `repositories`: which content of `pull_url` each of `tags` is to hold.
//!
//! ecr-sync left open whether `nginx:latest` under the tags `latest` and `1.20` is one content with two
//! names or two. As one it would publish `latest` as `1.20`, so that must be asked for.

use oci::{Extent, Location, Reference, Selection, Source, Tag, Target};

use crate::diagnostic::Code;
use crate::image::{self, Entry, Wants};
use crate::mapping::Mapping;
use crate::reader::{Field, Reader, Spanned};
use crate::signing::Signing;
use crate::sync_file::Image;
use crate::tag_selection::without_selector;
use crate::yaml::Span;

/// `image` as it is written, with nothing wrong in it.
pub(crate) struct RepositoryImage {
    url: Spanned<String>,
    location: Location,
    contents: Vec<Content>,
    /// Where each tag stands.
    tags: Vec<(Tag, Span)>,
}

/// One content, and the tags that hold it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Content {
    selection: Selection,
    tags: Vec<Tag>,
}

/// Reads it; nothing where it is wrong.
pub(crate) fn read(reader: &mut Reader<'_>, field: Field<'_>) -> Option<RepositoryImage> {
    let mut keys = Mapping::open(reader, field.node, "`image`")?;
    let url = keys.require("pull_url").and_then(|field| reader.text(field));
    let tags_field = keys.get("tags");
    let tags = tags_field.map_or(Some(Vec::new()), |field| tags(reader, field));
    let aliases_field = keys.get("aliases");
    let aliases = aliases_field.map_or(Some(None), |field| reader.boolean(field).map(Some));
    keys.close(reader);
    let url = url?;
    let reference = image::parse_reference(reader, &url)?;
    let (tags, aliases) = (tags?, aliases?);
    let names: Vec<Tag> = tags.iter().map(|(tag, _)| tag.clone()).collect();
    match contents(&reference, &names, aliases) {
        Ok(contents) => Some(RepositoryImage { url, location: reference.location, contents, tags }),
        Err(problem) => {
            let at = match problem {
                Problem::NoTags | Problem::NoTagForDigest => tags_field,
                Problem::SeveralTags(_) => None,
                Problem::NothingToAlias | Problem::OneContent => aliases_field,
            };
            let at = at.map_or(url.span, |field| field.key_span);
            let error = reader.error(problem.code(), at, problem.to_string());
            reader.push(error.help(problem.help(&url.value)));
            None
        }
    }
}

impl RepositoryImage {
    /// One entry for each content, with tags of this repository as its targets.
    pub(crate) fn entries(
        &self,
        reader: &mut Reader<'_>,
        repository: &Location,
        signing: &Signing,
    ) -> Vec<Entry> {
        let name = match self.location {
            Location::Registry { .. } => without_selector(&self.url.value).to_owned(),
            Location::Layout(_) | Location::Archive(_) | Location::Chart(_) => {
                self.location.to_string()
            }
        };
        let location = image::in_file(reader.text, self.location.clone());
        let mut entries = Vec::new();
        for content in &self.contents {
            if location == *repository
                && content.selection.tag().is_some_and(|tag| content.tags.contains(tag))
            {
                let message = "source and target are the same";
                reader.push(reader.error(Code::SourceIsTarget, self.url.span, message));
                continue;
            }
            let target_spans: Vec<Span> = content.tags.iter().map(|tag| self.span(tag)).collect();
            let span = match target_spans.as_slice() {
                [only] => *only,
                _ => self.url.span,
            };
            let target = |tag: &Tag| Target { location: repository.clone(), tag: tag.clone() };
            let image = Image {
                source: Source { location: location.clone(), selection: content.selection.clone() },
                written: format!("{name}{}", content.selection),
                extent: Extent::Whole,
                targets: content.tags.iter().map(target).collect(),
                signing: signing.clone(),
                origin: image::origin(reader, span),
            };
            entries.push(Entry { wants: Wants::Image(image), span, target_spans, ecr: None });
        }
        entries
    }

    /// Where a tag stands; what is not among `tags` is that of `pull_url`.
    fn span(&self, tag: &Tag) -> Span {
        let written = self.tags.iter().find(|(written, _)| written == tag);
        written.map_or(self.url.span, |(_, span)| *span)
    }
}

/// Why it is not said which content a tag holds.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum Problem {
    #[error("the image has no tag, neither in `pull_url` nor in `tags`")]
    NoTags,
    #[error("`pull_url` has a digest, but there is no tag for the target")]
    NoTagForDigest,
    #[error("`pull_url` names the tag `{0}`, which is not among the several `tags`")]
    SeveralTags(Tag),
    #[error("`aliases: true` gives one content many names, but `pull_url` names none")]
    NothingToAlias,
    #[error("`pull_url` has a digest, which is one content under each of `tags`")]
    OneContent,
}

impl Problem {
    fn code(&self) -> Code {
        match self {
            Self::NoTags | Self::NothingToAlias => Code::NoTagOrDigest,
            Self::NoTagForDigest => Code::DigestWithoutTag,
            Self::SeveralTags(_) => Code::UnclearTags,
            Self::OneContent => Code::ConflictingKeys,
        }
    }

    fn help(&self, url: &str) -> String {
        match self {
            Self::NoTags => format!("add `tags`, or write `pull_url: {url}:TAG`"),
            Self::NoTagForDigest => "add `tags`".to_owned(),
            Self::SeveralTags(tag) => format!(
                "`aliases: false` copies each of `tags` under its own name, as `pull_url` without \
                 `:{tag}` does; `aliases: true` gives the content of `{tag}` all these names"
            ),
            Self::NothingToAlias => "write the tag into `pull_url`, or remove `aliases`".to_owned(),
            Self::OneContent => "remove `aliases: false`, or the digest".to_owned(),
        }
    }
}

/// What each of `tags` is to hold.
fn contents(url: &Reference, tags: &[Tag], aliases: Option<bool>) -> Result<Vec<Content>, Problem> {
    let own =
        |tag: &Tag| Content { selection: Selection::Tag(tag.clone()), tags: vec![tag.clone()] };
    let each_its_own = || tags.iter().map(own).collect();
    let one = |selection: Selection| {
        let of_url = || selection.tag().cloned().into_iter().collect();
        let tags: Vec<Tag> = if tags.is_empty() { of_url() } else { tags.to_vec() };
        vec![Content { selection, tags }]
    };
    match (url.tag.clone(), url.digest) {
        (_, Some(_)) if aliases == Some(false) => Err(Problem::OneContent),
        (Some(tag), Some(digest)) => Ok(one(Selection::Pinned { tag, digest })),
        (None, Some(_)) if tags.is_empty() => Err(Problem::NoTagForDigest),
        (None, Some(digest)) => Ok(one(Selection::Digest(digest))),
        (None, None) if aliases == Some(true) => Err(Problem::NothingToAlias),
        (None, None) if tags.is_empty() => Err(Problem::NoTags),
        (None, None) => Ok(each_its_own()),
        (Some(tag), None) => match (aliases, tags) {
            (_, []) | (Some(true), _) => Ok(one(Selection::Tag(tag))),
            (Some(false), _) => Ok(each_its_own()),
            (None, tags) if tags.contains(&tag) => Ok(each_its_own()),
            (None, [_]) => Ok(one(Selection::Tag(tag))),
            (None, _) => Err(Problem::SeveralTags(tag)),
        },
    }
}

/// Each tag once, with where it stands; nothing where one is none.
fn tags(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Vec<(Tag, Span)>> {
    let before = reader.found.len();
    let mut tags: Vec<(Tag, Span)> = Vec::new();
    for text in reader.texts(field)? {
        let Some(tag) = image::parse_tag(reader, &text) else { continue };
        if tags.iter().any(|(known, _)| *known == tag) {
            let message = format!("the tag `{tag}` is listed twice");
            reader.push(reader.warning(Code::DuplicateValue, text.span, message));
        } else {
            tags.push((tag, text.span));
        }
    }
    let is_error = |found: &crate::Diagnostic| found.severity == crate::Severity::Error;
    let found = reader.found.get(before..).unwrap_or_default();
    (!found.iter().any(is_error)).then_some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:31a54a0cf86d7354788a8265f60ae6acb4b348a67efbcf7c1007dd3cf7af05ab";

    /// Each content and its tags, as `:1.27 -> a b`.
    fn told(url: &str, tags: &[&str], aliases: Option<bool>) -> Result<Vec<String>, Problem> {
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().expect(tag)).collect();
        let contents = contents(&url.parse().expect(url), &tags, aliases)?;
        let told = contents.iter().map(|content| {
            let tags: Vec<&str> = content.tags.iter().map(Tag::as_str).collect();
            format!("{} -> {}", content.selection, tags.join(" "))
        });
        Ok(told.collect())
    }

    #[test]
    fn every_tag_has_the_content_that_was_meant() {
        let (digest, pinned) = (format!("nginx@{DIGEST}"), format!("nginx:1@{DIGEST}"));
        let by_digest = format!("@{DIGEST} -> a b");
        let by_pin = [format!(":1@{DIGEST} -> a b"), format!(":1@{DIGEST} -> 1")];
        type Row<'a> = (&'a str, &'a [&'a str], Option<bool>, &'a [&'a str]);
        let table: [Row<'_>; 14] = [
            // No tag, or one that is among `tags`: each from upstream under its own name.
            ("nginx", &["1.27", "1.26"], None, &[":1.27 -> 1.27", ":1.26 -> 1.26"]),
            ("nginx:latest", &["latest", "1.21"], None, &[":latest -> latest", ":1.21 -> 1.21"]),
            ("nginx:latest", &["latest"], None, &[":latest -> latest"]),
            // A digest: that content under each.
            (&digest, &["a", "b"], None, &[&by_digest]),
            (&digest, &["a", "b"], Some(true), &[&by_digest]),
            (&pinned, &["a", "b"], None, &[&by_pin[0]]),
            (&pinned, &[], None, &[&by_pin[1]]),
            // A tag that is not among `tags`, and one tag: a new name.
            ("nginx:latest", &["stable"], None, &[":latest -> stable"]),
            // No `tags`: the name that it has.
            ("nginx:1.27", &[], None, &[":1.27 -> 1.27"]),
            // `aliases` says which.
            ("nginx:latest", &["a", "b"], Some(true), &[":latest -> a b"]),
            ("nginx:latest", &["a", "b"], Some(false), &[":a -> a", ":b -> b"]),
            ("nginx:latest", &["latest", "a"], Some(true), &[":latest -> latest a"]),
            ("nginx:latest", &["a"], Some(false), &[":a -> a"]),
            ("nginx", &["a"], Some(false), &[":a -> a"]),
        ];
        for (url, tags, aliases, expected) in table {
            let expected = expected.iter().map(ToString::to_string).collect();
            assert_eq!(told(url, tags, aliases), Ok(expected), "{url} {tags:?} {aliases:?}");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        let digest = format!("nginx@{DIGEST}");
        let latest = "latest".parse().expect("a tag");
        let table = [
            ("nginx:latest", ["1.21", "1.20"].as_slice(), None, Problem::SeveralTags(latest)),
            ("nginx", &[], None, Problem::NoTags),
            ("nginx", &["a", "b"], Some(true), Problem::NothingToAlias),
            (&digest, &[], None, Problem::NoTagForDigest),
            (&digest, &["a", "b"], Some(false), Problem::OneContent),
        ];
        for (url, tags, aliases, problem) in table {
            assert_eq!(told(url, tags, aliases), Err(problem), "{url} {tags:?} {aliases:?}");
        }
    }
}
