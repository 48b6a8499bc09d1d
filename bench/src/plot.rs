//! A comparison as a picture: bars of wall time and CPU, as SVG that is readable on light and on dark.

use std::fmt::Write;

use crate::results::{Comparison, Contender};

const WIDTH: usize = 720;
/// Where bars begin, and how long the longest is.
const LEFT: usize = 210;
const LONGEST: f64 = 400.0;
const ROW: usize = 44;
const HEAD: usize = 56;

/// Colours come from the page's scheme; the bars are the same hue on both grounds.
const STYLE: &str = "<style>\
    text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\
    .title{font-weight:600;font-size:14px}.quiet{fill:#59636e;font-size:12px}\
    .ours{fill:#0969da}.peer{fill:#8c959f}.cpu{opacity:.45}\
    @media(prefers-color-scheme:dark){text{fill:#f0f6fc}.quiet{fill:#9198a1}\
    .ours{fill:#4493f8}.peer{fill:#656c76}}</style>";

/// The picture of it; none if no tool came to an end.
pub(crate) fn svg(comparison: &Comparison) -> Option<String> {
    let measured: Vec<(&Contender, f64, f64)> = comparison
        .contenders
        .iter()
        .filter(|one| one.failure.is_none())
        .filter_map(|one| {
            Some((one, one.median(|round| round.cost.wall)?, one.median(|round| round.cost.cpu)?))
        })
        .collect();
    let longest = measured.iter().map(|(_, wall, cpu)| wall.max(*cpu)).max_by(f64::total_cmp)?;
    let height = HEAD + measured.len() * ROW + 8;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">{STYLE}<title>{0}</title>\n\
         <text class=\"title\" x=\"8\" y=\"22\">{0}</text>\n\
         <text class=\"quiet\" x=\"8\" y=\"42\">{1}; median seconds, wall above and CPU below</text>\n",
        escape(&comparison.title),
        escape(&comparison.registry),
    );
    for (number, (contender, wall, cpu)) in measured.iter().enumerate() {
        let top = HEAD + number * ROW;
        let class = if contender.ours { "ours" } else { "peer" };
        let (name, right) = (escape(&contender.tool), LEFT - 10);
        let _ = writeln!(
            text,
            "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
            top + 21
        );
        for (value, class, down) in [(wall, class, 0), (cpu, &*format!("{class} cpu"), 17)] {
            let length = (value / longest.max(f64::MIN_POSITIVE) * LONGEST).max(1.0);
            let (top, end) = (top + down, 216.0 + length);
            let _ = writeln!(
                text,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"14\" rx=\"2\"/>\
                 <text class=\"quiet\" x=\"{end:.1}\" y=\"{}\">{value:.2} s</text>",
                top + 11
            );
        }
    }
    text += "</svg>\n";
    Some(text)
}

/// The file of a comparison's picture.
pub(crate) fn file_name(comparison: &Comparison) -> String {
    let registry = comparison.registry.split(' ').next().unwrap_or_default();
    let registry = if registry == "image-syncer" { "serve" } else { registry };
    format!("{}-{registry}.svg", comparison.work)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Cost;
    use crate::results::Round;

    fn contender(tool: &str, walls: &[f64]) -> Contender {
        let round = |wall: &f64| Round {
            cost: Cost { wall: *wall, cpu: wall / 2.0, peak: 1 },
            source: crate::server::Traffic::default(),
            target: crate::server::Traffic::default(),
        };
        Contender {
            tool: tool.to_owned(),
            form: String::new(),
            ours: tool == "ours",
            rounds: walls.iter().map(round).collect(),
            failure: None,
        }
    }

    #[test]
    fn bars_are_as_long_as_medians() {
        let mut comparison = Comparison {
            work: "cold0".to_owned(),
            title: "a < b".to_owned(),
            contenders: vec![contender("ours", &[9.0, 1.0, 2.0]), contender("other", &[4.0])],
            ..Comparison::default()
        };
        let picture = svg(&comparison).unwrap();
        assert!(picture.contains("a &lt; b"), "{picture}");
        assert!(picture.contains("width=\"200.0\""), "{picture}");
        assert!(picture.contains("width=\"400.0\""), "{picture}");
        assert!(picture.contains(">2.00 s<") && picture.contains(">4.00 s<"), "{picture}");
        comparison.contenders.clear();
        assert_eq!(svg(&comparison), None);
    }
}
