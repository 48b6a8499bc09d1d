//! [`Progress`]: bars on a terminal while a run goes on. They vanish when it ends; what stays is
//! the summary.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sync::{Event, ItemId, Listener, Wanted};

use crate::words;

/// More bars than these tell a person nothing.
const BARS: usize = 6;

/// How often the time and the rate are redrawn while no byte comes.
const TICK: Duration = Duration::from_millis(200);

/// The first line while both sides are looked at and nothing is to be copied yet.
const LOOKING: &str = "{spinner} {msg} {elapsed}";

/// The first line while something is copied: what is done of what is known to be done by now.
const COPYING: &str = "{spinner} {msg} {elapsed} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec}";

/// The line of one item that is copied.
const ITEM: &str = "  [{bar:24}] {bytes}/{total_bytes} {wide_msg}";

/// A listener that draws bars.
pub struct Progress {
    bars: MultiProgress,
    state: Mutex<State>,
}

struct State {
    total: ProgressBar,
    items: usize,
    finished: usize,
    copies: HashMap<ItemId, Copy>,
    waiting: HashMap<ItemId, Arc<Wanted>>,
}

/// An item that is being copied.
struct Copy {
    /// None if there were enough bars when it began.
    bar: Option<ProgressBar>,
    /// How many bytes it has.
    size: u64,
    /// How many of them are done.
    done: u64,
}

impl Progress {
    /// Bars that are drawn on `target`.
    pub fn new(target: ProgressDrawTarget) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let total = bars.add(ProgressBar::new(0).with_style(style(LOOKING)));
        let state =
            State { total, items: 0, finished: 0, copies: HashMap::new(), waiting: HashMap::new() };
        Self { bars, state: Mutex::new(state) }
    }

    /// Runs `write` while the bars are out of its way.
    pub fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        self.bars.suspend(write)
    }

    /// Takes the bars away.
    pub fn vanish(&self) {
        let mut state = self.lock();
        for (_, copy) in state.copies.drain() {
            if let Some(bar) = copy.bar {
                bar.finish_and_clear();
            }
        }
        state.total.finish_and_clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Bars are for looking at: a state left by a panic elsewhere is good enough to draw.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Progress {
    fn hear(&self, event: &Event) {
        let mut state = self.lock();
        match event {
            Event::RunStarted { items } => {
                state.items = *items;
                state.tell();
                state.total.enable_steady_tick(TICK);
            }
            Event::ItemStarted { item, wanted } => {
                state.waiting.insert(*item, Arc::clone(wanted));
            }
            Event::CopyStarted { item, bytes, .. } => {
                let wanted = state.waiting.remove(item);
                if state.total.length() == Some(0) {
                    state.total.set_style(style(COPYING));
                }
                state.total.inc_length(*bytes);
                let drawn = state.copies.values().filter(|copy| copy.bar.is_some()).count();
                let bar = wanted.filter(|_| drawn < BARS).map(|wanted| {
                    let bar = ProgressBar::new(*bytes)
                        .with_style(style(ITEM))
                        .with_message(wanted.target.to_string());
                    self.bars.add(bar)
                });
                state.copies.insert(*item, Copy { bar, size: *bytes, done: 0 });
            }
            Event::CopyGrew { item, bytes, .. } => state.grow(*item, *bytes),
            Event::BlobProgress { item, bytes, .. } => state.advance(*item, *bytes),
            Event::BlobFinished { item, size, way, .. } => match way {
                // Its bytes were counted as they passed.
                sync::Way::Copied => {}
                sync::Way::Mounted | sync::Way::Present => state.advance(*item, *size),
            },
            Event::BlobRetried { item, lost, .. } => state.lose(*item, *lost),
            Event::ItemFinished { item, .. } => {
                state.waiting.remove(item);
                state.finished += 1;
                if let Some(copy) = state.copies.remove(item) {
                    // What a failed copy leaves is not waited for any more.
                    state.total.inc(copy.size.saturating_sub(copy.done));
                    if let Some(bar) = copy.bar {
                        bar.finish_and_clear();
                        self.bars.remove(&bar);
                    }
                }
                state.tell();
            }
            _ => {}
        }
    }
}

impl State {
    fn tell(&self) {
        let items = words::count(self.items, "item");
        self.total.set_message(format!("{}/{items}", self.finished));
    }

    fn grow(&mut self, item: ItemId, bytes: u64) {
        if let Some(copy) = self.copies.get_mut(&item) {
            copy.size += bytes;
            self.total.inc_length(bytes);
            if let Some(bar) = &copy.bar {
                bar.inc_length(bytes);
            }
        }
    }

    fn advance(&mut self, item: ItemId, bytes: u64) {
        if let Some(copy) = self.copies.get_mut(&item) {
            copy.done += bytes;
            self.total.inc(bytes);
            if let Some(bar) = &copy.bar {
                bar.inc(bytes);
            }
        }
    }

    fn lose(&mut self, item: ItemId, bytes: u64) {
        if let Some(copy) = self.copies.get_mut(&item) {
            let bytes = bytes.min(copy.done);
            copy.done -= bytes;
            self.total.dec(bytes);
            if let Some(bar) = &copy.bar {
                bar.dec(bytes);
            }
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// A template is a constant here, checked by the tests; a wrong one would draw the default bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;
    use sync::{Outcome, Way};

    use super::*;
    use crate::sample;

    #[test]
    fn bars_show_what_is_under_way_and_vanish() {
        let screen = InMemoryTerm::new(12, 100);
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255);
        let progress = Progress::new(target);
        let item = ItemId(0);
        let report = sample::item("nginx:1.27", 1, Outcome::Copied);
        let wanted = sample::wanted("nginx:1.27", 1);
        let digest = sample::SOURCE;
        progress.hear(&Event::RunStarted { items: 2 });
        progress.hear(&Event::ItemStarted { item, wanted });
        progress.hear(&Event::CopyStarted { item, blobs: 2, bytes: 4096 });
        progress.hear(&Event::BlobFinished { item, digest, size: 1024, way: Way::Mounted });
        progress.hear(&Event::BlobProgress { item, digest, bytes: 2048 });
        let lost = Event::BlobRetried { item, digest, lost: 1024, reason: "cut".into() };
        progress.hear(&lost);
        {
            let state = progress.lock();
            assert_eq!((state.total.position(), state.total.length()), (2048, Some(4096)));
            let bar = state.copies[&item].bar.clone().unwrap();
            bar.force_draw();
            state.total.force_draw();
        }
        let drawn = screen.contents();
        assert!(drawn.contains("0/2 items 0s [============>"), "{drawn}");
        assert!(drawn.contains("2.00 KiB/4.00 KiB"), "{drawn}");
        assert!(drawn.contains("registry.example.com/mirror/library/nginx:1.27"), "{drawn}");

        progress.hear(&Event::ItemFinished { item, report: Arc::new(report) });
        assert_eq!(progress.lock().total.position(), 4096, "nothing is waited for any more");
        progress.vanish();
        assert_eq!(screen.contents(), "");
    }

    #[test]
    fn every_template_is_one() {
        for template in [LOOKING, COPYING, ITEM] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn many_copies_draw_few_bars() {
        let progress = Progress::new(ProgressDrawTarget::hidden());
        for number in 0..100 {
            let item = ItemId(number);
            let wanted = sample::wanted("nginx:1", 1);
            progress.hear(&Event::ItemStarted { item, wanted });
            progress.hear(&Event::CopyStarted { item, blobs: 1, bytes: 1 });
        }
        let bars = progress.lock().copies.values().filter(|copy| copy.bar.is_some()).count();
        assert_eq!(bars, BARS);
    }
}
