//! [`Results`]: what came of a run, as it is kept in a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::corpus::Floor;
use crate::link::Quality;
use crate::measure::Cost;
use crate::server::Traffic;

/// Everything of one or more runs of the harness.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) comparisons: Vec<Comparison>,
}

/// Where and when something was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Setting {
    /// Day and time, UTC.
    pub(crate) date: String,
    /// How busy the machine was before (load average of a minute); above 0.5 a processor, times say
    /// little.
    pub(crate) load: f64,
    /// Processors, memory, system.
    pub(crate) machine: String,
    /// The version of each program.
    pub(crate) versions: BTreeMap<String, String>,
    /// What could not be had.
    pub(crate) missing: Vec<String>,
}

/// All tools on the same work with the same registry.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) work: String,
    pub(crate) title: String,
    pub(crate) registry: String,
    pub(crate) setting: Setting,
    pub(crate) tags: usize,
    pub(crate) floor: Floor,
    pub(crate) source: Quality,
    pub(crate) target: Quality,
    pub(crate) contenders: Vec<Contender>,
}

/// A tool on a work.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Contender {
    pub(crate) tool: String,
    pub(crate) form: String,
    pub(crate) ours: bool,
    pub(crate) rounds: Vec<Round>,
    /// Why it was not run again.
    pub(crate) failure: Option<String>,
}

/// A tool on a work, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    #[serde(flatten)]
    pub(crate) cost: Cost,
    pub(crate) source: Traffic,
    pub(crate) target: Traffic,
}

impl Round {
    /// Requests of both sides.
    pub(crate) fn requests(&self) -> u64 {
        self.source.total() + self.target.total()
    }

    /// Bytes of both sides and directions.
    pub(crate) fn bytes(&self) -> u64 {
        let sides = [&self.source, &self.target];
        sides.iter().map(|side| side.received + side.sent).sum()
    }
}

impl Contender {
    /// The median over the rounds of something; none where there is no round.
    pub(crate) fn median(&self, of: impl Fn(&Round) -> f64) -> Option<f64> {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len().checked_sub(1)? / 2;
        let upper = values.len() / 2;
        Some((values.get(middle)? + values.get(upper)?) / 2.0)
    }
}

impl Comparison {
    /// The lowest of the others' medians of something.
    pub(crate) fn best_peer(&self, of: impl Fn(&Round) -> f64 + Copy) -> Option<f64> {
        let peers = self.contenders.iter().filter(|one| !one.ours && one.failure.is_none());
        peers.filter_map(|peer| peer.median(of)).min_by(f64::total_cmp)
    }
}

impl Results {
    /// Puts a comparison in the place of the one it repeats.
    pub(crate) fn put(&mut self, comparison: Comparison) {
        let same = |known: &Comparison| {
            known.work == comparison.work && known.registry == comparison.registry
        };
        match self.comparisons.iter_mut().find(|known| same(known)) {
            Some(known) => *known = comparison,
            None => self.comparisons.push(comparison),
        }
    }
}
