//! When what was copied moved: one lane for each item, from its turn to its end.

use maud::{Markup, html};

use super::overview::grouped;
use crate::{Document, Item, Timing, words};

/// More lanes than these are no picture any more; those that moved most are drawn.
const LANES: usize = 60;

pub(super) fn section(document: &Document) -> Markup {
    let whole = document.summary.seconds.max(0.001);
    let mut lanes: Vec<Lane<'_>> = document.items.iter().filter_map(Lane::of).collect();
    let all = lanes.len();
    lanes.sort_by_key(|lane| std::cmp::Reverse(lane.item.bytes.copied));
    lanes.truncate(LANES);
    lanes.sort_by(|one, other| one.timing.started.total_cmp(&other.timing.started));
    html! {
        @if all > 0 {
            section aria-labelledby="transfers-title" {
                h2 #transfers-title { "Transfers" }
                p.muted {
                    "When each copy was looked at " span.dot.wait {} ", and when it moved " span.dot.good {} "."
                    @if all > LANES {
                        " Of " (grouped(all)) " copies, the " (LANES) " that moved most are shown."
                    }
                }
                ol.lanes {
                    li.axis aria-hidden="true" { (axis(whole)) }
                    @for lane in &lanes { (lane.drawn(whole)) }
                }
            }
        }
    }
}

/// The copy of one item.
struct Lane<'a> {
    item: &'a Item,
    timing: &'a Timing,
    copying: f64,
    ended: f64,
}

impl<'a> Lane<'a> {
    fn of(item: &'a Item) -> Option<Self> {
        let timing = item.timing.as_ref()?;
        Some(Self { item, timing, copying: timing.copying?, ended: timing.ended? })
    }

    fn drawn(&self, whole: f64) -> Markup {
        let (started, copying, ended) = (self.timing.started, self.copying, self.ended);
        let width = |from: f64, to: f64| share((to - from).max(whole / 400.0), whole);
        let (_, name) = self.item.target.split_once('/').unwrap_or(("", &self.item.target));
        html! {
            li {
                span.label title=(self.item.target) { bdi { (name) } }
                svg.lane aria-hidden="true" width="100%" height="12" {
                    rect.track width="100%" height="12" {}
                    rect.wait x=(share(started, whole)) width=(width(started, copying)) height="12" {}
                    rect.good x=(share(copying, whole)) width=(width(copying, ended)) height="12" {}
                }
                span.took {
                    (words::seconds(ended - started)) " · " (words::size(self.item.bytes.copied))
                    @if self.timing.retries > 0 { " · " (words::count(self.timing.retries, "retry")) }
                }
            }
        }
    }
}

/// Times at quarters of the run.
fn axis(whole: f64) -> Markup {
    let ticks = [(0.0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1.0, "end")];
    html! {
        svg.lane width="100%" height="16" {
            @for (at, anchor) in ticks {
                text x=(share(at, 1.0)) y="12" text-anchor=(anchor) { (words::seconds(at * whole)) }
            }
        }
    }
}

fn share(part: f64, whole: f64) -> String {
    format!("{:.2}%", (part * 100.0 / whole).clamp(0.0, 100.0))
}
