//! The top of the page: how the run ended, in one line and four figures. And its foot: which run it was.

use maud::{Markup, html};

use super::tone;
use crate::{Document, ExitStatus, Item, Mode, Outcome, Severity, words};

/// How the run ended, in a few words.
pub(super) fn verdict(document: &Document) -> String {
    let all = grouped(document.summary.items);
    let bad =
        document.items.iter().filter(|item| document.severity(item) >= Severity::Warning).count();
    let pending = document.pending().count();
    match (bad, pending, document.summary.items) {
        (_, _, 0) => "Nothing was wanted".to_owned(),
        (0, 0, 1) => "The item is as wanted".to_owned(),
        (0, 0, _) => format!("All {all} items are as wanted"),
        (0, _, 1) => "The item would change".to_owned(),
        (0, pending, _) => format!("{} of {all} items would change", grouped(pending)),
        (1, _, 1) => "The item needs a look".to_owned(),
        (1, _, _) => format!("1 of {all} items needs a look"),
        (bad, _, _) => format!("{} of {all} items need a look", grouped(bad)),
    }
}

/// The top of the page.
pub(super) fn header(document: &Document) -> Markup {
    let run = &document.run;
    let worst = document.items.iter().map(|item| document.severity(item)).max();
    let class = match worst.unwrap_or(Severity::Fine) {
        Severity::Fine => "good",
        Severity::Pending => "todo",
        Severity::Warning => "warn",
        Severity::Error => "bad",
    };
    let did = match run.mode {
        Mode::Sync => "Sync",
        Mode::Plan => "Plan, nothing was written",
        Mode::Verify => "Verification, nothing was written",
    };
    let code = document.summary.exit_code;
    html! {
        header class={ "top " (class) } {
            p.brand { "image-syncer report" }
            h1 { (verdict(document)) }
            p.facts {
                span { (did) }
                span { time datetime=(run.started_at) { (run.started_at.strftime("%-d %B %Y, %H:%M UTC")) } }
                span { "took " (words::seconds(document.summary.seconds)) }
                @if run.interrupted { span { "stopped by a signal" } }
                span {
                    "exit code " (code)
                    @if let Some(status) = ExitStatus::of_code(code) { ": " (status.meaning()) }
                }
            }
        }
    }
}

/// Four figures.
pub(super) fn figures(document: &Document) -> Markup {
    let bytes = document.summary.bytes;
    html! {
        section.figures aria-label="Figures" {
            div.figure {
                h2 { "Outcomes" }
                p.number { (grouped(document.summary.items)) " " small { (noun(document)) } }
                (outcome_bar(document))
                ul.legend {
                    @for (outcome, count) in outcomes(document) {
                        li { span class={ "dot " (tone_of(document, outcome)) } {} (outcome.name()) " " b { (grouped(count)) } }
                    }
                }
                @for besides in document.besides() { p.saved { (besides) } }
            }
            div.figure {
                h2 { "Bytes" }
                p.number { (words::size(bytes.copied)) " " small { "moved" } }
                (bar(&[("good", bytes.copied), ("todo", bytes.mounted), ("calm", bytes.present)]))
                ul.legend {
                    li { span.dot.good {} "copied " b { (words::size(bytes.copied)) } }
                    li { span.dot.todo {} "mounted " b { (words::size(bytes.mounted)) } }
                    li { span.dot.calm {} "already there " b { (words::size(bytes.present)) } }
                }
                @if bytes.saved() > 0 {
                    p.saved {
                        b { (words::size(bytes.saved())) } " saved by mounts and by what was there: "
                        (percent(bytes.saved(), bytes.total())) " of all"
                    }
                }
            }
        }
    }
}

/// The foot of the page.
pub(super) fn footer(document: &Document) -> Markup {
    let run = &document.run;
    html! {
        footer {
            p {
                "Run " code { (run.id) } ", image-syncer " (run.version) ", "
                (run.started_at.strftime("%Y-%m-%d %H:%M:%S")) " to "
                (run.finished_at.strftime("%Y-%m-%d %H:%M:%S UTC"))
            }
        }
    }
}

fn noun(document: &Document) -> &'static str {
    if document.summary.items == 1 { "item" } else { "items" }
}

fn outcomes(document: &Document) -> Vec<(Outcome, usize)> {
    let count = |outcome| document.summary.outcomes.get(&outcome).copied();
    Outcome::ALL.into_iter().filter_map(|one| Some((one, count(one)?))).collect()
}

/// The colour of an outcome, as the least remarkable of its items has it: one that is to be signed does not
/// colour all that are up to date.
pub(super) fn tone_of(document: &Document, outcome: Outcome) -> &'static str {
    let items = document.items.iter().filter(|item| item.outcome == outcome);
    let least: Option<&Item> = items.min_by_key(|item| document.severity(item));
    least.map_or("calm", |item| tone(document.severity(item), item))
}

fn outcome_bar(document: &Document) -> Markup {
    let parts: Vec<(&str, u64)> = outcomes(document)
        .into_iter()
        .map(|(outcome, count)| {
            (tone_of(document, outcome), u64::try_from(count).unwrap_or(u64::MAX))
        })
        .collect();
    bar(&parts)
}

/// A bar of parts, drawn in proportion; the legend beside it has the numbers.
fn bar(parts: &[(&str, u64)]) -> Markup {
    let total: u64 = parts.iter().map(|(_, size)| size).sum();
    let parts = parts.iter().filter(|(_, size)| *size > 0).scan(0, |end, (class, size)| {
        let from = *end;
        *end += size;
        Some((class, from, *size))
    });
    html! {
        svg.bar aria-hidden="true" width="100%" height="10" {
            rect.track width="100%" height="10" {}
            @for (class, from, size) in parts {
                rect class=(class) x=(percent_exact(from, total)) width=(percent_exact(size, total)) height="10" {}
            }
        }
    }
}

/// A share with two digits, as an attribute of SVG.
#[allow(clippy::cast_precision_loss, reason = "a picture")]
fn percent_exact(part: u64, whole: u64) -> String {
    format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64)
}

/// A share without digits; what is not whole is never 100.
fn percent(part: u64, whole: u64) -> String {
    format!("{} %", u128::from(part) * 100 / u128::from(whole.max(1)))
}

/// `2,000`.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_verdict_says_how_it_ended() {
        use sync::Mode as M;
        use sync::Outcome as O;
        let item = |outcome| sample::item("a:1", 1, outcome);
        let table = [
            (M::Sync, vec![], "Nothing was wanted"),
            (M::Sync, vec![O::Copied], "The item is as wanted"),
            (M::Sync, vec![O::Copied, O::UpToDate], "All 2 items are as wanted"),
            (M::Plan, vec![O::WouldCopy, O::UpToDate], "1 of 2 items would change"),
            (M::Verify, vec![O::WouldCopy, O::UpToDate], "1 of 2 items needs a look"),
            (M::Sync, vec![O::Drift], "The item needs a look"),
            (M::Plan, vec![O::Drift, O::WouldCopy, O::Failed], "2 of 3 items need a look"),
        ];
        for (mode, outcomes, expected) in table {
            let document = sample::document_of(mode, outcomes.into_iter().map(item).collect());
            assert_eq!(verdict(&document), expected);
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
