//! [`Timeline`]: a listener that notes when things happened to each item. It keeps a handful of numbers for
//! an item and nothing for a blob, so ten thousand items take about a megabyte.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sync::{Event, ItemId, Listener, RunReport, Wanted, Way, Wish};

use crate::document::{Blobs, Timing, seconds};

/// Notes when things happened to each item of a run.
#[derive(Debug)]
pub struct Timeline {
    began: Instant,
    items: Mutex<HashMap<ItemId, Moments>>,
}

/// What is noted of one item; times since the run began.
#[derive(Debug)]
struct Moments {
    wanted: Arc<Wanted>,
    started: Duration,
    decided: Option<Duration>,
    copying: Option<Duration>,
    ended: Option<Duration>,
    blobs: Blobs,
    retries: usize,
}

impl Timeline {
    /// A timeline of a run that began then.
    pub fn since(began: Instant) -> Self {
        Self { began, items: Mutex::default() }
    }

    /// What was noted of each item of the report, in its order; none of an item that never had its turn.
    pub fn timings(&self, report: &RunReport) -> Vec<Option<Timing>> {
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        // An item's report holds the very `Wanted` that its events told of.
        let by_wanted: HashMap<*const Wanted, &Moments> =
            items.values().map(|moments| (Arc::as_ptr(&moments.wanted), moments)).collect();
        let noted = |wish: &Wish| match wish {
            Wish::Tag(wanted) => {
                by_wanted.get(&Arc::as_ptr(wanted)).map(|moments| moments.timing())
            }
            Wish::Selection(_) => None,
        };
        report.items.iter().map(|item| noted(&item.wanted)).collect()
    }

    fn note(&self, event: &Event, now: Duration) {
        // A number that is missing after a panic elsewhere is a gap in a picture.
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::ItemStarted { item, wanted } = event {
            items.insert(*item, Moments::new(Arc::clone(wanted), now));
        }
        let mut with = |item: &ItemId, note: &dyn Fn(&mut Moments)| {
            if let Some(moments) = items.get_mut(item) {
                note(moments);
            }
        };
        match event {
            Event::Decided { item, .. } => with(item, &|moments| moments.decided = Some(now)),
            // One that is copied a second time began the first time.
            Event::CopyStarted { item, .. } => with(item, &|moments| {
                moments.copying.get_or_insert(now);
            }),
            Event::BlobFinished { item, way, .. } => with(item, &|moments| match way {
                Way::Copied => moments.blobs.copied += 1,
                Way::Mounted => moments.blobs.mounted += 1,
                Way::Present => moments.blobs.present += 1,
            }),
            Event::BlobRetried { item, .. } => with(item, &|moments| moments.retries += 1),
            Event::ItemFinished { item, .. } => with(item, &|moments| moments.ended = Some(now)),
            _ => {}
        }
    }
}

impl Listener for Timeline {
    fn hear(&self, event: &Event) {
        // By far the most frequent event, and nothing to note.
        if !matches!(event, Event::BlobProgress { .. }) {
            self.note(event, self.began.elapsed());
        }
    }
}

impl Moments {
    fn new(wanted: Arc<Wanted>, started: Duration) -> Self {
        let blobs = Blobs::default();
        Self { wanted, started, decided: None, copying: None, ended: None, blobs, retries: 0 }
    }

    fn timing(&self) -> Timing {
        Timing {
            started: seconds(self.started),
            decided: self.decided.map(seconds),
            copying: self.copying.map(seconds),
            ended: self.ended.map(seconds),
            blobs: self.blobs,
            retries: self.retries,
        }
    }
}

#[cfg(test)]
mod tests {
    use sync::Outcome;

    use super::*;
    use crate::sample;

    #[test]
    fn each_item_has_its_own_times() {
        let report = sample::report();
        let timeline = Timeline::since(Instant::now());
        let after =
            |milliseconds, event| timeline.note(&event, Duration::from_millis(milliseconds));
        let wanted = |number: usize| match &report.items[number].wanted {
            Wish::Tag(wanted) => Arc::clone(wanted),
            Wish::Selection(_) => panic!("the sample has tags only"),
        };
        let digest = sample::SOURCE;
        let (first, second) = (ItemId(0), ItemId(1));
        after(1, Event::ItemStarted { item: first, wanted: wanted(0) });
        after(2, Event::ItemStarted { item: second, wanted: wanted(1) });
        after(10, Event::Decided { item: first, decision: sync::Decision::UpToDate(digest) });
        after(20, Event::CopyStarted { item: first, blobs: 3, bytes: 30 });
        after(30, Event::CopyStarted { item: first, blobs: 3, bytes: 30 });
        for way in [Way::Copied, Way::Copied, Way::Mounted, Way::Present] {
            after(40, Event::BlobFinished { item: first, digest, size: 10, way });
        }
        after(41, Event::BlobRetried { item: first, digest, lost: 1, reason: "cut".into() });
        let ended = sample::item("nginx:1.27", 3, Outcome::Copied);
        after(50, Event::ItemFinished { item: first, report: Arc::new(ended) });
        let timings = timeline.timings(&report);
        assert_eq!(timings.len(), report.items.len());
        let blobs = Blobs { copied: 2, mounted: 1, present: 1 };
        let expected = Timing {
            started: 0.001,
            decided: Some(0.01),
            copying: Some(0.02),
            ended: Some(0.05),
            blobs,
            retries: 1,
        };
        assert_eq!(timings[0], Some(expected));
        assert_eq!(timings[1], Some(Timing { started: 0.002, ..Timing::default() }));
        assert!(timings[2..].iter().all(Option::is_none));
    }
}
