//! The report as one page to look at: nothing is loaded from anywhere, it can be read without JavaScript, and
//! what its policy lets run is its own script and nothing else.
//!
//! Texts are put in by maud, which escapes whatever is not [`PreEscaped`]; only the style and the script are.
//! There are no `style` attributes, which the policy forbids: sizes in pictures are attributes of SVG.

mod attention;
mod items;
mod notices;
mod overview;
mod registries;
mod transfers;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use oci::Digest;

use crate::{Document, Kind, Severity, ecr_summary};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The page.
pub(crate) fn page(document: &Document) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="generator" content={ "image-syncer " (document.run.version) };
                title { "image-syncer: " (overview::verdict(document)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#items" { "Skip to the items" }
                (overview::header(document))
                main {
                    (overview::figures(document))
                    (attention::section(document))
                    (items::section(document))
                    (transfers::section(document))
                    (registries::section(document))
                    (notices::section(document))
                    (ecr(document))
                }
                (overview::footer(document))
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// The browser runs and applies what has these hashes, loads nothing, and sends nothing anywhere
/// (Content Security Policy Level 3, sections 2.3.1 and 3.3).
fn policy() -> String {
    let hash = |text: &str| match Digest::sha256(text.as_bytes()) {
        Digest::Sha256(bytes) => format!("'sha256-{}'", STANDARD.encode(bytes)),
        Digest::Sha512(bytes) => format!("'sha512-{}'", STANDARD.encode(bytes)),
    };
    format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// ecr-sync's summary, as those who come from there know it.
fn ecr(document: &Document) -> Markup {
    let summary = ecr_summary(document);
    html! {
        @if !summary.is_empty() {
            section aria-labelledby="ecr-title" {
                h2 #ecr-title { "ECR summary" }
                pre.block tabindex="0" { (summary) }
            }
        }
    }
}

/// An outcome, with its colour.
fn badge(document: &Document, item: &crate::Item) -> Markup {
    html! { span class={ "badge " (tone(document.severity(item), item)) } { (item.outcome.name()) } }
}

/// The class of a colour.
fn tone(severity: Severity, item: &crate::Item) -> &'static str {
    match severity {
        Severity::Error => "bad",
        Severity::Warning => "warn",
        Severity::Pending => "todo",
        Severity::Fine if item.outcome == crate::Outcome::UpToDate => "calm",
        Severity::Fine => "good",
    }
}

/// Changes of a repository, line by line.
fn difference(changes: &[String]) -> Markup {
    let class = |line: &str| match line.trim_start().chars().next() {
        Some('+') => Some("comes"),
        Some('-') => Some("goes"),
        _ => None,
    };
    html! {
        @if !changes.is_empty() {
            pre.block.diff tabindex="0" {
                @for line in changes.iter().flat_map(|change| change.lines()) {
                    span class=[class(line)] { (line) "\n" }
                }
            }
        }
    }
}

/// What an item's outcome means, as a sentence.
fn sentence(item: &crate::Item) -> String {
    let meaning = item.meaning();
    let mut characters = meaning.chars();
    let first = characters.next().map(|one| one.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

/// Where an item is wanted, as text.
fn origin(item: &crate::Item) -> Option<String> {
    item.origin.as_ref().map(|origin| format!("{}:{}", origin.file, origin.line))
}

/// Where an item comes from; of a repository that is only its file, which its origin names better.
fn source(item: &crate::Item) -> Option<&str> {
    (item.kind != Kind::Repository).then_some(item.source.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_whole_page() {
        let page = page(&sample::whole()).into_string();
        let body = page.replace(STYLE, "").replace(SCRIPT, "").replace("><", ">\n<");
        insta::assert_snapshot!(body);
    }

    #[test]
    fn whatever_is_said_stays_text() {
        let page = page(&sample::hostile()).into_string();
        let ours = page.replace(STYLE, "").replace(SCRIPT, "");
        let elements = ours.matches("<script").count();
        assert_eq!((elements, ours.matches("</script").count()), (1, 1));
        assert!(!ours.contains("alert(1)</script"));
        assert!(ours.contains("&lt;/script&gt;&lt;script&gt;alert(1)"));
        assert!(!ours.contains("<!--"));
        assert!(ours.contains("&quot; &amp;amp;"), "within attributes too");
    }

    /// A policy that allows what has a hash is broken by the first `style` or `onclick` attribute.
    #[test]
    fn there_is_no_style_and_no_script_but_those_with_a_hash() {
        let page = page(&sample::whole()).into_string();
        assert_eq!((page.matches("<style").count(), page.matches("<script").count()), (1, 1));
        for attribute in [" style=", " onclick=", " onload=", "javascript:", "http://", " src="] {
            let ours = page.replace(SCRIPT, "");
            assert!(!ours.contains(attribute), "{attribute}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
        // What ends the element would end the hash.
        assert!(!STYLE.contains("</style") && !SCRIPT.contains("</script"));
    }
}
