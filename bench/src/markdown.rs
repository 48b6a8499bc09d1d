//! Results as Markdown tables.

use std::fmt::Write;

use crate::plot;
use crate::results::{Comparison, Contender, Results, Round, Setting};

/// A comparison as a table with a line before it.
pub(crate) fn table(comparison: &Comparison) -> String {
    let mut text = format!("**{}** · {}\n\n", comparison.title, comparison.registry);
    text += "| tool | wall s | CPU s | peak MiB | requests (source + target) | connections | MB from source | MB to target | rounds |\n";
    text += "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for contender in &comparison.contenders {
        text += &row(contender);
    }
    let floor = &comparison.floor;
    let (source, target) = (count(floor.source), count(floor.target));
    let _ = writeln!(
        text,
        "| *floor* | | | | {source} + {target} | | {:.1} | | |",
        megabytes(floor.bytes)
    );
    let ours = comparison.contenders.iter().filter(|one| one.ours);
    for contender in ours {
        if let Some(line) = ratios(comparison, contender) {
            let _ = write!(text, "\n{}: {line}\n", contender.tool);
        }
    }
    for contender in &comparison.contenders {
        if let Some(failure) = &contender.failure {
            let first = failure.lines().next().unwrap_or_default();
            let _ = write!(text, "\n{}: {first}\n", contender.tool);
        }
    }
    text
}

/// All comparisons, each with where and when it was measured and its picture in that folder.
pub(crate) fn page(results: &Results, pictures: &str) -> String {
    let mut text = String::new();
    let mut before: Option<&Setting> = None;
    for comparison in &results.comparisons {
        let setting = &comparison.setting;
        if before.is_none_or(|before| before.date != setting.date) {
            let _ = write!(text, "\n### {}\n\n{}", setting.date, described(setting));
        }
        before = Some(setting);
        let _ = write!(text, "\n{}", table(comparison));
        if plot::svg(comparison).is_some() {
            let (title, file) = (&comparison.title, plot::file_name(comparison));
            let _ = write!(text, "\n![{title}]({pictures}/{file})\n");
        }
    }
    text + "\n"
}

fn described(setting: &Setting) -> String {
    let versions: Vec<String> =
        setting.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let mut text = format!("{}. {}.\n", setting.machine, versions.join(", "));
    if setting.load > 0.0 {
        let _ = writeln!(text, "Load before: {:.1}.", setting.load);
    }
    if !setting.missing.is_empty() {
        let names: Vec<&str> =
            setting.missing.iter().filter_map(|line| line.split(' ').next()).collect();
        let _ = writeln!(text, "Not there: {}.", names.join(", "));
    }
    text
}

fn row(contender: &Contender) -> String {
    let name =
        if contender.ours { format!("**{}**", contender.tool) } else { contender.tool.clone() };
    let median = |of: &dyn Fn(&Round) -> f64| contender.median(of);
    let Some(wall) = median(&|round| round.cost.wall) else {
        return format!("| {name} | failed | | | | | | | 0 |\n");
    };
    let of = |value: &dyn Fn(&Round) -> f64| median(value).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "numbers for people")]
    let requests = (
        of(&|round| round.source.total() as f64),
        of(&|round| round.target.total() as f64),
        of(&|round| (round.source.connections + round.target.connections) as f64),
    );
    format!(
        "| {name} | {wall:.2} | {:.2} | {:.0} | {} + {} | {} | {:.1} | {:.1} | {} |\n",
        of(&|round| round.cost.cpu),
        of(&|round| megabytes(round.cost.peak) * 1e6 / (1024.0 * 1024.0)),
        whole(requests.0),
        whole(requests.1),
        whole(requests.2),
        of(&|round| megabytes(round.source.sent)),
        of(&|round| megabytes(round.target.received)),
        contender.rounds.len(),
    )
}

/// What is compared.
type Respect = fn(&Round) -> f64;

/// How ours does beside the best of the others in each respect, and beside the floor.
fn ratios(comparison: &Comparison, ours: &Contender) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "numbers for people")]
    let respects: [(&str, Respect); 5] = [
        ("wall", |round| round.cost.wall),
        ("CPU", |round| round.cost.cpu),
        ("peak", |round| round.cost.peak as f64),
        ("requests", |round| round.requests() as f64),
        ("bytes", |round| round.bytes() as f64),
    ];
    let mut parts = Vec::new();
    for (name, of) in respects {
        if let (Some(own), Some(best)) = (ours.median(of), comparison.best_peer(of)) {
            parts.push(format!("{name} {:.2}", own / best.max(f64::MIN_POSITIVE)));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers for people")]
    let (own, floor) = (
        ours.median(|round| round.requests() as f64)?,
        (comparison.floor.source + comparison.floor.target) as f64,
    );
    let peers = if parts.is_empty() {
        String::new()
    } else {
        format!("{} of the best peer's each; ", parts.join(", "))
    };
    Some(format!("{peers}requests {:.3} of the floor's", own / floor))
}

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn whole(number: f64) -> String {
    count(number.round() as u64)
}

/// A number with commas.
fn count(number: u64) -> String {
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

    #[test]
    fn thousands_have_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
