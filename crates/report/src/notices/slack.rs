//! A notice as a message of Slack's Block Kit, for an incoming webhook.
//!
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>,
//! <https://docs.slack.dev/reference/block-kit/blocks>

use serde_json::{Value, json};

use super::lines::{footer, more, numbers, reason, shortened};
use crate::Notice;

/// <https://docs.slack.dev/reference/block-kit/blocks/header-block>
const LONGEST_HEADER: usize = 150;
/// <https://docs.slack.dev/reference/block-kit/blocks/section-block>
const LONGEST_TEXT: usize = 3000;
/// Slack takes 50 blocks; nobody reads so many.
const MOST_SECTIONS: usize = 8;

/// The body of the message.
pub fn slack(notice: &Notice) -> Value {
    let lines = notice.items.iter().map(|item| {
        let why = reason(item, 250).map(|why| format!(": {}", escaped(&why))).unwrap_or_default();
        let target = escaped(&shortened(&item.target.replace('`', "'"), 250));
        format!("• *{}* `{target}`{why}", item.outcome.name())
    });
    let mut sections: Vec<String> = Vec::new();
    let mut shown = 0;
    for line in lines {
        // With every character escaped a line still fits into a section.
        let count = sections.len();
        match sections.last_mut() {
            Some(last) if length(last) + 1 + length(&line) <= LONGEST_TEXT => {
                last.push('\n');
                last.push_str(&line);
            }
            _ if count < MOST_SECTIONS => sections.push(line),
            _ => break,
        }
        shown += 1;
    }
    let hidden = notice.items.len() - shown + notice.omitted;
    let text = |text: String| json!({ "type": "mrkdwn", "text": text });
    let section = |content: String| json!({ "type": "section", "text": text(content) });
    let header = shortened(&notice.title, LONGEST_HEADER);
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": header } }),
        section(escaped(&numbers(notice))),
    ];
    blocks.extend(sections.into_iter().map(section));
    blocks.extend(more(hidden).map(section));
    blocks.push(json!({ "type": "context", "elements": [text(escaped(&footer(notice)))] }));
    // Shown where blocks are not, as in the notification on a phone.
    json!({ "text": escaped(&notice.title), "blocks": blocks })
}

/// Slack counts characters; one outside of the first plane counts as two there.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// <https://docs.slack.dev/messaging/formatting-message-text#escaping>
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notices::tests::{huge, notice};

    #[test]
    fn a_message_is_what_it_was() {
        insta::assert_json_snapshot!(slack(&notice()));
    }

    #[test]
    fn a_message_stays_within_slacks_limits() {
        for notice in [notice(), huge()] {
            let message = slack(&notice);
            let blocks = message["blocks"].as_array().unwrap();
            assert!(blocks.len() <= 50, "{} blocks", blocks.len());
            for block in blocks {
                let (text, most) = match block["type"].as_str().unwrap() {
                    "header" => (&block["text"]["text"], 150),
                    "section" => (&block["text"]["text"], 3000),
                    "context" => (&block["elements"][0]["text"], 3000),
                    other => panic!("{other} is no block that is sent"),
                };
                let text = text.as_str().unwrap();
                assert!((1..=most).contains(&length(text)), "{text}");
                // A name cannot mention everybody, and nothing is taken for a link.
                assert!(!text.contains('<') && !text.contains('>'), "{text}");
            }
        }
        let told = slack(&huge()).to_string();
        assert!(told.contains("the report has them all"), "{told}");
    }
}
