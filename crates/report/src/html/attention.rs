//! What must be looked at, the most urgent first, one card each.

use maud::{Markup, html};

use super::overview::grouped;
use super::{badge, difference, origin, source};
use crate::{Document, Item, Outcome};

/// More cards than these nobody reads; all items are in the list below.
const CARDS: usize = 50;

pub(super) fn section(document: &Document) -> Markup {
    let items = document.to_look_at();
    let stopped = document.never_begun();
    html! {
        @if !items.is_empty() || !stopped.is_empty() {
            section aria-labelledby="attention-title" {
                h2 #attention-title { "Look at these first" }
                @for item in items.iter().take(CARDS) { (card(document, item)) }
                @if items.len() > CARDS {
                    p.more { "and " (grouped(items.len() - CARDS)) " more, among the items below" }
                }
                @if let Some(error) = stopped.first().and_then(|item| item.error.as_ref()) {
                    article.card.warn {
                        h3 { span.badge.warn { "deferred" } " " (grouped(stopped.len())) " whose turn never came" }
                        p { (error.message) }
                        @if let Some(hint) = &error.hint { p.hint { b { "Hint: " } (hint) } }
                    }
                }
            }
        }
    }
}

fn card(document: &Document, item: &Item) -> Markup {
    html! {
        article class={ "card " (super::tone(document.severity(item), item)) } {
            h3 { (badge(document, item)) " " span.name { (item.target) } }
            p.muted {
                @if let Some(source) = source(item) { "from " (source) " " }
                @if let Some(origin) = origin(item) { "wanted in " code { (origin) } }
            }
            (explanation(item))
        }
    }
}

/// Why an item is as it is, and what to do.
pub(super) fn explanation(item: &Item) -> Markup {
    html! {
        @if item.outcome == Outcome::Drift { (sides(item)) }
        @match &item.error {
            Some(error) => {
                p { (error.message) }
                @if let Some(hint) = &error.hint { p.hint { b { "Hint: " } (hint) } }
            }
            None => p { (super::sentence(item)) }
        }
        @if let Some(pin) = &item.pin_line {
            p.hint { b { "To keep what the target has" } ", write in the sync file:" }
            pre.block tabindex="0" { (pin) }
        }
        (difference(&item.changes))
        @for note in &item.notes { p.note { b { "Note: " } (note) } }
    }
}

/// What both sides have, one beside the other.
fn sides(item: &Item) -> Markup {
    let sides = [("The source has", &item.source_digest), ("The target has", &item.target_digest)];
    html! {
        @if item.source_digest.is_some() || item.target_digest.is_some() {
            dl.sides {
                @for (side, digest) in sides {
                    div {
                        dt { (side) }
                        dd { code { (digest.as_deref().unwrap_or("not known")) } }
                    }
                }
            }
        }
    }
}
