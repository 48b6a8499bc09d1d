//! What became of the notices: a card for each that was not delivered, and one line for those that were.

use maud::{Markup, html};

use crate::Document;
use crate::notices::told;

pub(super) fn section(document: &Document) -> Markup {
    let failed = document.notices.iter().filter(|notice| !notice.delivered).count();
    let told = told(&document.notices);
    html! {
        @if !told.is_empty() {
            section aria-labelledby="notices-title" {
                h2 #notices-title { "Notices" }
                @for line in told.iter().take(failed) { article.card.warn { p { (line) } } }
                @for line in told.iter().skip(failed) { p.muted { (line) } }
            }
        }
    }
}
