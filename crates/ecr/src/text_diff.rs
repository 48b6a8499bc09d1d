//! JSON against JSON as lines: `- ` what goes, `+ ` what comes, with a little of what stays around it.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// Lines of what stays that are shown around what does not.
const CONTEXT: usize = 3;

/// The lines that lead from one to the other, either of which may be none.
pub(crate) fn lines(from: Option<&Value>, to: Option<&Value>) -> Vec<String> {
    let (from, to) = (pretty(from), pretty(to));
    let diff = TextDiff::from_lines(&from, &to);
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if number > 0 {
            lines.push("  …".to_owned());
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            lines.push(format!("{sign} {}", change.value().trim_end_matches('\n')));
        }
    }
    lines
}

fn pretty(value: Option<&Value>) -> String {
    value.map(|value| format!("{value:#}\n")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_and_little_else() {
        let from = json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9});
        let mut to = from.clone();
        to["a"] = json!(10);
        to["i"] = json!("\u{1b}[31mred");
        let expected = r#"
  {
-   "a": 1,
+   "a": 10,
    "b": 2,
    "c": 3,
    "d": 4,
  …
    "f": 6,
    "g": 7,
    "h": 8,
-   "i": 9
+   "i": "\u001b[31mred"
  }"#;
        assert_eq!(lines(Some(&from), Some(&to)).join("\n"), expected.trim_start_matches('\n'));
    }

    #[test]
    fn all_of_what_is_new_or_gone() {
        assert_eq!(lines(None, Some(&json!(["x"]))), ["+ [", "+   \"x\"", "+ ]"]);
        assert_eq!(lines(Some(&json!(1)), None), ["- 1"]);
        assert_eq!(lines(Some(&json!(1)), Some(&json!(1))), Vec::<String>::new());
    }
}
