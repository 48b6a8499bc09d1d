//! All items: a table that can be read without JavaScript, and filtered and sorted with it.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::overview::grouped;
use super::{attention, badge, origin, source};
use crate::{Document, Item, Kind, Outcome, words};

pub(super) fn section(document: &Document) -> Markup {
    let registries: BTreeSet<&str> = document.items.iter().flat_map(registries).collect();
    let kinds = [Kind::Image, Kind::Chart, Kind::Repository];
    let kinds =
        kinds.into_iter().filter(|kind| document.items.iter().any(|item| item.kind == *kind));
    html! {
        section #items aria-labelledby="items-title" {
            h2 #items-title { "Items" }
            form #filter.filter role="search" aria-label="Filter the items" hidden {
                label.grow { span { "Text" }
                    input #text type="search" placeholder="name, digest, error …" autocomplete="off" spellcheck="false";
                }
                label { span { "Outcome" }
                    select #outcome {
                        option value="" { "all" }
                        @for outcome in Outcome::ALL {
                            @if let Some(count) = document.summary.outcomes.get(&outcome) {
                                option value=(outcome.name()) { (outcome.name()) " (" (grouped(*count)) ")" }
                            }
                        }
                    }
                }
                label { span { "Kind" }
                    select #kind {
                        option value="" { "all" }
                        @for kind in kinds { option value=(kind.name()) { (kind.name()) } }
                    }
                }
                label { span { "Registry" }
                    select #registry {
                        option value="" { "all" }
                        @for registry in registries { option value=(registry) { (registry) } }
                    }
                }
                p #shown.shown role="status" {}
            }
            @if document.items.is_empty() {
                p { "Nothing was wanted." }
            } @else {
                table #list {
                    thead {
                        tr {
                            th.outcome scope="col" data-key="outcome" { "Outcome" }
                            th.target scope="col" data-key="name" { "Target" }
                            th.size scope="col" data-key="copied" { "Copied" }
                            th.size scope="col" data-key="mounted" { "Mounted" }
                            th.size scope="col" data-key="present" { "There" }
                            th.size scope="col" data-key="time" { "Time" }
                        }
                    }
                    tbody { @for item in &document.items { (row(document, item)) } }
                }
                p #none.none hidden { "No item is like that." }
            }
        }
    }
}

fn row(document: &Document, item: &Item) -> Markup {
    let both: Vec<&str> = registries(item).collect();
    html! {
        tr data-outcome=(item.outcome.name()) data-kind=(item.kind.name()) data-registry=(both.join(" "))
            data-rank=(item.outcome.urgency()) data-time=(item.seconds)
            data-copied=(item.bytes.copied) data-mounted=(item.bytes.mounted) data-present=(item.bytes.present) {
            td.outcome { (badge(document, item)) }
            td.target {
                details {
                    summary { span.name { (item.target) } (flags(item)) }
                    (details(document, item))
                }
            }
            td.size data-label="copied" { (size(item.bytes.copied)) }
            td.size data-label="mounted" { (size(item.bytes.mounted)) }
            td.size data-label="there" { (size(item.bytes.present)) }
            td.size data-label="time" { (words::seconds(item.seconds)) }
        }
    }
}

/// What should be seen before an item is opened.
fn flags(item: &Item) -> Markup {
    html! {
        @if item.kind != Kind::Image { " " span.flag { (item.kind.name()) } }
        @if let Some(signature) = &item.signature { " " span.flag { "signature " (signature.state.name()) } }
        @if !item.verified.is_empty() { " " span.flag { "verified" } }
        @if !item.notes.is_empty() { " " span.flag { (words::count(item.notes.len(), "note")) } }
        @if !item.changes.is_empty() { " " span.flag { (words::count(item.changes.len(), "change")) } }
    }
}

fn details(document: &Document, item: &Item) -> Markup {
    let same = item.source_digest.is_some() && item.source_digest == item.target_digest;
    html! {
        dl {
            @if let Some(source) = source(item) { (field("Source", source)) }
            @if let Some(origin) = origin(item) { (field("Wanted in", &origin)) }
            @if !item.platforms.is_empty() { (field("Platforms", &item.platforms.join(", "))) }
            @if same {
                @if let Some(digest) = &item.target_digest { (field("Digest", digest)) }
            } @else {
                @if let Some(digest) = &item.source_digest { (field("Source's digest", digest)) }
                @if let Some(digest) = &item.target_digest { (field("Target's digest", digest)) }
            }
            @if !item.verified.is_empty() { (field("Signed by", &item.verified.join(", "))) }
            @if let Some(signature) = &item.signature {
                (field("Signature", &signature.in_words()))
                @if let Some(statement) = signature.statement {
                    (field("Statement about its mirroring", statement.name()))
                }
            }
            @if let Some(timing) = &item.timing {
                @if timing.blobs != crate::Blobs::default() {
                    (field("Blobs", &format!(
                        "{} copied, {} mounted, {} already there",
                        timing.blobs.copied, timing.blobs.mounted, timing.blobs.present
                    )))
                }
                @if timing.retries > 0 { (field("Begun again", &words::count(timing.retries, "transfer"))) }
            }
        }
        @if document.severity(item) > crate::Severity::Fine || !item.notes.is_empty() || !item.changes.is_empty() {
            (attention::explanation(item))
        }
    }
}

fn field(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { code { (value) } } } }
}

fn size(bytes: u64) -> String {
    if bytes == 0 { "–".to_owned() } else { words::size(bytes) }
}

/// The registries that an item has to do with; a folder or an archive is none.
fn registries(item: &Item) -> impl Iterator<Item = &str> {
    let both = [source(item), Some(item.target.as_str())];
    let mut hosts: Vec<&str> = both.into_iter().flatten().filter_map(registry).collect();
    hosts.dedup();
    hosts.into_iter()
}

fn registry(place: &str) -> Option<&str> {
    let place = place.split_once("://").map_or(place, |(_, rest)| rest);
    let (host, _) = place.split_once('/')?;
    let is_folder = host.starts_with("oci:") || host.starts_with("oci-archive:") || host.is_empty();
    (!is_folder).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_registry_or_not() {
        let table = [
            ("docker.io/library/nginx:1.27", Some("docker.io")),
            ("localhost:5000/a", Some("localhost:5000")),
            ("https://charts.example.com/stable/nginx", Some("charts.example.com")),
            ("oci:./mirror/library/nginx:1.27", None),
            ("oci-archive:/tmp/build.tar:1", None),
            ("images.yaml", None),
        ];
        for (place, expected) in table {
            assert_eq!(registry(place), expected, "{place}");
        }
    }
}
