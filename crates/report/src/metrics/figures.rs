//! [`FamilyFigures`]: metrics as values, for protocols that are no text.
//!
//! `prometheus-client` keeps its values to itself and tells them as text alone, so they are read from that
//! text. It is ours, so what cannot be read in it is left out, and a test looks that nothing is.

use std::collections::BTreeMap;

use super::exposition::unescaped;

/// A family of metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyFigures {
    /// As in the text format: those of counters end with `_total`.
    pub name: String,
    /// What it is.
    pub help: String,
    /// Its unit, such as `seconds` and `bytes`.
    pub unit: Option<String>,
    /// Its values.
    pub figures: Figures,
}

/// The values of a family.
#[derive(Clone, Debug, PartialEq)]
pub enum Figures {
    /// What only grows.
    Counter(Vec<Sample>),
    /// What rises and falls.
    Gauge(Vec<Sample>),
    /// How values are distributed.
    Histogram(Vec<Distribution>),
}

/// Labels with their values, in the order of the text.
pub type Labels = Vec<(String, String)>;

/// A value and its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The labels.
    pub labels: Labels,
    /// The value.
    pub value: Number,
}

/// A number; of one family all are of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Whole(i64),
    /// Any other.
    Real(f64),
}

/// How values are distributed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// The labels.
    pub labels: Labels,
    /// The upper bounds of the buckets but the last, which has none.
    pub bounds: Vec<f64>,
    /// How many values are in each bucket alone: one more than there are bounds.
    pub counts: Vec<u64>,
    /// All values together.
    pub sum: f64,
}

/// The families in a text of OpenMetrics that `prometheus-client` wrote.
pub(super) fn read(open_metrics: &str) -> Vec<FamilyFigures> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            if let (Some(family), Some(sample)) = (families.last_mut(), TextSample::read(line)) {
                family.samples.push(sample);
            }
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (Some(what), Some(name)) = (words.next(), words.next()) else { continue };
        let rest = words.next().unwrap_or_default();
        if families.last().is_none_or(|family| family.name != name) {
            families.push(Family { name, ..Family::default() });
        }
        let Some(family) = families.last_mut() else { continue };
        match what {
            "HELP" => family.help = rest,
            "TYPE" => family.kind = rest,
            "UNIT" => family.unit = Some(rest),
            _ => {}
        }
    }
    families.into_iter().filter_map(Family::figures).collect()
}

/// A family as it is written.
#[derive(Default)]
struct Family<'t> {
    name: &'t str,
    help: &'t str,
    kind: &'t str,
    unit: Option<&'t str>,
    samples: Vec<TextSample<'t>>,
}

impl Family<'_> {
    fn figures(self) -> Option<FamilyFigures> {
        let counted = self.samples.iter().map(TextSample::sample);
        let (name, figures) = match self.kind {
            "counter" => (format!("{}_total", self.name), Figures::Counter(counted.collect())),
            "gauge" => (self.name.to_owned(), Figures::Gauge(counted.collect())),
            "histogram" => (self.name.to_owned(), Figures::Histogram(distributions(&self.samples))),
            _ => return None,
        };
        let (help, unit) = (self.help.to_owned(), self.unit.map(str::to_owned));
        Some(FamilyFigures { name, help, unit, figures })
    }
}

/// A line that is no comment.
struct TextSample<'t> {
    name: &'t str,
    labels: Labels,
    value: &'t str,
}

impl<'t> TextSample<'t> {
    fn read(line: &'t str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at_checked(end)?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Labels::new(), rest),
        };
        Some(Self { name, labels, value: rest.trim() })
    }

    fn sample(&self) -> Sample {
        let value = match self.value.parse() {
            Ok(whole) => Number::Whole(whole),
            Err(_) => Number::Real(self.real()),
        };
        Sample { labels: self.labels.clone(), value }
    }

    fn real(&self) -> f64 {
        self.value.parse().unwrap_or(f64::NAN)
    }
}

/// What stands between braces, and what comes after them.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, value) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = value.find(|character| {
            let ends = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            ends
        })?;
        labels.push((name.to_owned(), unescaped(value.get(..end)?)));
        rest = value.get(end + 1..)?;
    }
}

/// The lines of histograms, those with the same labels together.
fn distributions(samples: &[TextSample<'_>]) -> Vec<Distribution> {
    let mut found: BTreeMap<Labels, Distribution> = BTreeMap::new();
    for sample in samples {
        let (bounds, labels): (Labels, Labels) =
            sample.labels.iter().cloned().partition(|(name, _)| name == "le");
        let one = found
            .entry(labels.clone())
            .or_insert_with(|| Distribution { labels, ..Distribution::default() });
        if sample.name.ends_with("_sum") {
            one.sum = sample.real();
        } else if let (Some((_, bound)), Ok(count)) = (bounds.first(), sample.value.parse::<u64>())
        {
            // Each bucket of the text has those of all smaller ones as well.
            let smaller: u64 = one.counts.iter().sum();
            one.counts.push(count.saturating_sub(smaller));
            if bound != "+Inf" {
                one.bounds.extend(bound.parse::<f64>().ok());
            }
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::families::{GroupLabels, ItemLabels, ModeLabels, RunLabels};
    use crate::metrics::{Exposition, Metrics};

    fn family<'f>(families: &'f [FamilyFigures], name: &str) -> &'f FamilyFigures {
        let name = format!("image_syncer_{name}");
        families.iter().find(|family| family.name == name).unwrap_or_else(|| panic!("{name}"))
    }

    #[test]
    fn values_are_those_of_the_text() {
        let metrics = Metrics::new("1.2.3", false);
        let families = &metrics.0.families;
        let labels = RunLabels { mode: "sync", result: "drift" };
        families.runs.get_or_create(&labels).inc_by(3);
        let odd = "a \"b\",\\{c}=\n.yaml".to_owned();
        families.last_success.get_or_create(&GroupLabels { group: odd.clone() }).set(1.5);
        for seconds in [0.5, 7.0, 7.0, 1e9] {
            families.run_duration.get_or_create(&ModeLabels { mode: "sync" }).observe(seconds);
        }
        let read = metrics.figures();
        let runs = family(&read, "runs_total");
        assert_eq!((runs.help.as_str(), &runs.unit), ("Runs that have ended, by how.", &None));
        let labels = [("mode", "sync"), ("result", "drift")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sample = Sample { labels: labels.to_vec(), value: Number::Whole(3) };
        assert_eq!(runs.figures, Figures::Counter(vec![sample]));
        let success = family(&read, "last_success_timestamp_seconds");
        assert_eq!(success.unit.as_deref(), Some("seconds"));
        let sample = Sample { labels: vec![("group".to_owned(), odd)], value: Number::Real(1.5) };
        assert_eq!(success.figures, Figures::Gauge(vec![sample]));
        let Figures::Histogram(durations) = &family(&read, "run_duration_seconds").figures else {
            panic!("no histogram");
        };
        let [duration] = durations.as_slice() else { panic!("{durations:?}") };
        assert_eq!(duration.labels, [("mode".to_owned(), "sync".to_owned())]);
        assert_eq!(duration.counts, [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(duration.bounds.len() + 1, duration.counts.len());
        assert!((duration.sum - 1_000_000_014.5).abs() < 0.001, "{}", duration.sum);
    }

    #[test]
    fn nothing_of_the_text_is_left_out() {
        let metrics = Metrics::new("1.2.3", false);
        let families = &metrics.0.families;
        let labels = ItemLabels { mode: "sync", outcome: "copied" };
        families.item_duration.get_or_create(&labels).observe(1.0);
        families.items.get_or_create(&labels).inc();
        let text = metrics.encode(Exposition::Text);
        let read = metrics.figures();
        let mut samples = 0;
        for one in &read {
            assert!(text.contains(&format!("# HELP {} {}\n", one.name, one.help)), "{one:?}");
            samples += match &one.figures {
                Figures::Counter(all) | Figures::Gauge(all) => all.len(),
                // A sum and a count beside the buckets.
                Figures::Histogram(all) => all.iter().map(|one| one.counts.len() + 2).sum(),
            };
        }
        assert_eq!(samples, text.lines().filter(|line| !line.starts_with('#')).count());
        assert_eq!(read.len(), text.lines().filter(|line| line.starts_with("# TYPE ")).count());
    }
}
