//! [`RegistryUse`]: what a run asked of a registry, and what the registry made of it.

use std::collections::{BTreeMap, HashSet};

use oci::{Host, Location};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sync::{Outcome, RunReport, Wish};

use crate::ErrorSide;
use crate::words::count;

/// What a run asked of one registry, on one side.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryUse {
    /// The registry.
    pub registry: String,
    /// The side that it was asked for.
    pub side: ErrorSide,
    /// How many requests it answered with which status.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub answers: BTreeMap<u16, u64>,
    /// How many requests it refused as too many.
    pub throttled: u64,
    /// The rate that its refusals taught, in requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowed_to: Option<f64>,
    /// Where it counts pulls: what they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulls: Option<Pulls>,
}

/// The pulls that a registry counts: GETs of manifests, not HEADs.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pulls {
    /// In a plan: how many its copies need at least. There is one for each image, and one more for
    /// each platform, signature and other manifest that belongs to it, which a plan cannot know
    /// without pulling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<usize>,
    /// How many there are in a window, as the registry says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How many were left at its last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// The length of the window, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u64>,
    /// For whom they are counted: an address, or an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// How many pulls the copies of a plan need at least, by source registry: content that several
/// targets want is pulled once.
pub fn planned_pulls(report: &RunReport) -> BTreeMap<Host, usize> {
    let mut seen = HashSet::new();
    let mut planned = BTreeMap::new();
    for item in report.items.iter().filter(|item| item.outcome == Outcome::WouldCopy) {
        if let Wish::Tag(wanted) = &item.wanted
            && let Location::Registry { host, repository } = &wanted.source.location
            && seen.insert((host, repository, item.source_digest))
        {
            *planned.entry(host.clone()).or_default() += 1;
        }
    }
    planned
}

impl RegistryUse {
    /// What a person should know of it, line by line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let registry = &self.registry;
        let mut lines = Vec::new();
        if self.throttled > 0 {
            let slowed =
                self.slowed_to.map(|rate| format!("; slowed to {rate:.1} requests a second"));
            lines.push(format!(
                "{registry} answered \"too many requests\" {}{}",
                match self.throttled {
                    1 => "once".to_owned(),
                    times => format!("{times} times"),
                },
                slowed.unwrap_or_default()
            ));
        }
        if let Some(pulls) = &self.pulls
            && let Some(planned) = pulls.planned
        {
            let left = pulls.left().map(|left| format!("; {left}")).unwrap_or_default();
            lines.push(format!(
                "{registry} counts pulls: the copies need at least {} (1 for each image, and 1 \
                 more for each platform and signature of it){left}",
                count(planned, "pull")
            ));
        }
        lines
    }
}

impl Pulls {
    pub(crate) fn left(&self) -> Option<String> {
        let remaining = self.remaining?;
        let of = self.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
        let window = self.window_seconds.map(|seconds| match seconds {
            hours if hours >= 3600 && hours % 3600 == 0 => format!(" in {} h", hours / 3600),
            minutes if minutes >= 60 && minutes % 60 == 0 => format!(" in {} min", minutes / 60),
            seconds => format!(" in {seconds} s"),
        });
        Some(format!("{remaining}{of} are left{}", window.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn hub() -> RegistryUse {
        RegistryUse {
            registry: "docker.io".into(),
            side: ErrorSide::Source,
            answers: [(200, 7), (429, 2)].into(),
            throttled: 0,
            slowed_to: None,
            pulls: None,
        }
    }

    #[test]
    fn what_was_slow_or_will_cost_is_told() {
        let left = Pulls { remaining: Some(76), ..Pulls::default() };
        let whole = Pulls { limit: Some(100), window_seconds: Some(21_600), ..left.clone() };
        let planned = |pulls: &Pulls| Some(Pulls { planned: Some(3), ..pulls.clone() });
        let table = [
            (hub(), vec![]),
            (
                RegistryUse { throttled: 12, slowed_to: Some(19.26), ..hub() },
                vec![
                    "docker.io answered \"too many requests\" 12 times; slowed to 19.3 requests a second",
                ],
            ),
            (
                RegistryUse { throttled: 1, ..hub() },
                vec!["docker.io answered \"too many requests\" once"],
            ),
            // What is left matters where it is to be spent.
            (RegistryUse { pulls: Some(left.clone()), ..hub() }, vec![]),
            (
                RegistryUse { pulls: planned(&Pulls::default()), ..hub() },
                vec![
                    "docker.io counts pulls: the copies need at least 3 pulls (1 for each image, and 1 more for each platform and signature of it)",
                ],
            ),
            (
                RegistryUse { pulls: planned(&whole), ..hub() },
                vec![
                    "docker.io counts pulls: the copies need at least 3 pulls (1 for each image, and 1 more for each platform and signature of it); 76 of 100 are left in 6 h",
                ],
            ),
        ];
        for (registry, expected) in table {
            assert_eq!(registry.lines(), expected);
        }
    }

    #[test]
    fn content_is_pulled_once_for_all_its_targets() {
        let mut again = sample::item("a:1", 2, Outcome::WouldCopy);
        let mut wanted = sync::Wanted::clone(&sample::wanted("a:1", 2));
        wanted.target = "b.example/a:1".parse::<oci::Reference>().unwrap().try_into().unwrap();
        again.wanted = std::sync::Arc::new(wanted).into();
        let report = sample::report_of(vec![
            sample::item("a:1", 1, Outcome::WouldCopy),
            again,
            sample::item("b:1", 3, Outcome::WouldCopy),
            sample::item("c:1", 4, Outcome::UpToDate),
        ]);
        let planned = planned_pulls(&report);
        assert_eq!(planned.into_iter().collect::<Vec<_>>(), [("docker.io".parse().unwrap(), 2)]);
    }
}
