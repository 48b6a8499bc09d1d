//! A notice as an Adaptive Card, for a webhook of Teams' Workflows; the connectors of Office 365 are gone.
//!
//! <https://support.microsoft.com/office/8ae491c7-0394-4861-ba59-055e33f75498> (the webhook),
//! <https://adaptivecards.io/explorer/> (the elements),
//! <https://learn.microsoft.com/microsoftteams/limits-specifications-teams> (28 KB a message).

use serde_json::{Value, json};

use super::lines::{footer, more, numbers, rank, reason, shortened};
use crate::document::Item;
use crate::{Notice, Outcome};

/// Teams takes 28 KB and wraps the card into a message of its own first.
const MOST_BYTES: usize = 20_000;

/// The body of the request.
pub fn teams(notice: &Notice) -> Value {
    let mut shown = notice.items.len();
    loop {
        let message = message(notice, shown);
        if shown == 0 || message.to_string().len() <= MOST_BYTES {
            return message;
        }
        shown = shown * 3 / 4;
    }
}

fn message(notice: &Notice, shown: usize) -> Value {
    let worst = notice.items.first().map(|item| rank(item.outcome));
    let color = match worst {
        Some(worst) if worst <= rank(Outcome::SourceMissing) => "Attention",
        Some(worst) if worst <= rank(Outcome::SourceMoved) => "Warning",
        Some(_) | None => "Good",
    };
    let facts: Vec<Value> = notice
        .summary
        .outcomes
        .iter()
        .map(|(outcome, items)| json!({ "title": outcome.name(), "value": items.to_string() }))
        .collect();
    let mut body = vec![
        json!({
            "type": "TextBlock", "text": shortened(&notice.title, 300), "size": "Large",
            "weight": "Bolder", "color": color, "wrap": true,
        }),
        json!({ "type": "FactSet", "facts": facts }),
        runs(&[run(&numbers(notice), "Default", false)]),
    ];
    body.extend(notice.items.iter().take(shown).map(line));
    let hidden = notice.items.len() - shown + notice.omitted;
    body.extend(more(hidden).map(|more| runs(&[run(&more, "Default", false)])));
    let footer = footer(notice);
    body.push(json!({
        "type": "TextBlock", "text": footer, "size": "Small", "isSubtle": true, "wrap": true,
    }));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
            },
        }],
    })
}

fn line(item: &Item) -> Value {
    let color = match rank(item.outcome) {
        wrong if wrong <= rank(Outcome::SourceMissing) => "Attention",
        odd if odd <= rank(Outcome::SourceMoved) => "Warning",
        _ => "Good",
    };
    let mut inlines = vec![
        run(item.outcome.name(), color, true),
        run(&format!(" {}", shortened(&item.target, 300)), "Default", false),
    ];
    inlines.extend(reason(item, 400).map(|why| run(&format!(": {why}"), "Default", false)));
    runs(&inlines)
}

/// Runs of text have no Markdown, so that nothing in a name means anything.
fn runs(inlines: &[Value]) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines })
}

fn run(text: &str, color: &str, bold: bool) -> Value {
    let weight = if bold { "Bolder" } else { "Default" };
    json!({ "type": "TextRun", "text": text, "color": color, "weight": weight })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notices::tests::{huge, notice};

    #[test]
    fn a_card_is_what_it_was() {
        insta::assert_json_snapshot!(teams(&notice()));
    }

    #[test]
    fn a_card_stays_within_the_limit_and_tells_what_it_leaves_out() {
        for notice in [notice(), huge()] {
            let message = teams(&notice).to_string();
            assert!(message.len() <= MOST_BYTES, "{} bytes", message.len());
        }
        assert!(teams(&huge()).to_string().contains("the report has them all"));
    }
}
