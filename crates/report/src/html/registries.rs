//! What was asked of each registry, and what it made of it.

use maud::{Markup, html};

use super::overview::grouped;
use crate::{Document, ErrorSide, Pulls, RegistryUse};

pub(super) fn section(document: &Document) -> Markup {
    html! {
        @if !document.registries.is_empty() {
            section aria-labelledby="registries-title" {
                h2 #registries-title { "Registries" }
                div.scrolls tabindex="0" role="region" aria-label="What registries answered" {
                    table.plain {
                        thead {
                            tr {
                                th scope="col" { "Registry" }
                                th scope="col" { "As" }
                                th.size scope="col" { "Answers" }
                                th scope="col" { "By status" }
                                th.size scope="col" { "Too many (429)" }
                                th scope="col" { "Pulls left" }
                            }
                        }
                        tbody { @for registry in &document.registries { (row(registry)) } }
                    }
                }
            }
        }
    }
}

fn row(registry: &RegistryUse) -> Markup {
    let side = match registry.side {
        ErrorSide::Source => "source",
        ErrorSide::Target => "target",
    };
    let all: u64 = registry.answers.values().sum();
    html! {
        tr {
            th scope="row" { (registry.registry) }
            td { (side) }
            td.size { (number(all)) }
            td.statuses {
                @for (status, count) in &registry.answers {
                    span class={ "status" @if *status >= 400 { " refused" } } { (status) " × " (number(*count)) } " "
                }
            }
            td.size {
                (number(registry.throttled))
                @if let Some(rate) = registry.slowed_to {
                    br; small { "slowed to " (format!("{rate:.1}")) "/s" }
                }
            }
            td { (registry.pulls.as_ref().map(pulls).unwrap_or_else(|| "–".to_owned())) }
        }
    }
}

fn pulls(pulls: &Pulls) -> String {
    let left = pulls.left().map(|left| left.replace(" are left", ""));
    let planned = pulls.planned.map(|planned| format!("at least {planned} are planned"));
    let said: Vec<String> = [left, planned].into_iter().flatten().collect();
    if said.is_empty() { "–".to_owned() } else { said.join("; ") }
}

fn number(number: u64) -> String {
    grouped(usize::try_from(number).unwrap_or(usize::MAX))
}
