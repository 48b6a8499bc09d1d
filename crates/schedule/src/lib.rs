//! When a sync file has its turn: an interval, or a cron expression in a time zone, with some
//! chance added so that many do not come at once.
//!
//! Like the rules for tags this is a crate of its own: the sync file checks a [`Schedule`] with line
//! and column, the command line takes one, and the long-running mode keeps to it. There is no clock
//! here: who asks says what time it is.

mod cron;
mod interval;

use std::time::Duration;

use jiff::Timestamp;

pub use cron::{Cron, InvalidCron, InvalidZone};
pub use interval::{Interval, InvalidTime, LONGEST, jitter};

/// When a file has its turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schedule {
    /// The slots.
    pub slots: Slots,
    /// The most that is added to each slot, by chance.
    pub jitter: Duration,
}

/// The slots of a schedule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Slots {
    /// One after each interval, counted from the first run.
    Every(Interval),
    /// Those that the expression names.
    At(Cron),
}

impl Schedule {
    /// These slots, to the second.
    pub fn new(slots: Slots) -> Self {
        Self { slots, jitter: Duration::ZERO }
    }

    /// The next turn after `now`, for a file whose first run began at `first`. Slots that went by are
    /// not made up. `chance`, from 0 to 1, says how much of the jitter is added.
    ///
    /// Nothing where there is none before the calendar ends, in the year 9999.
    pub fn next(&self, first: Timestamp, now: Timestamp, chance: f64) -> Option<Timestamp> {
        let slot = match &self.slots {
            Slots::Every(interval) => interval.next(first, now),
            Slots::At(cron) => cron.next(now),
        }?;
        let chance = if chance > 0.0 { chance.min(1.0) } else { 0.0 };
        slot.checked_add(self.jitter.mul_f64(chance)).ok()
    }
}

impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.slots {
            Slots::Every(interval) => write!(f, "every {interval}")?,
            Slots::At(cron) => write!(f, "at `{cron}` in {}", cron.zone_name())?,
        }
        if self.jitter.is_zero() {
            return Ok(());
        }
        write!(f, ", up to {} later", interval::shown(self.jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn chance_adds_no_more_than_the_jitter() {
        let slots = Slots::At("0 3 * * *".parse().unwrap());
        let schedule = Schedule { jitter: Duration::from_secs(300), ..Schedule::new(slots) };
        let now = time("2026-11-21T02:59:59Z");
        let table = [
            (0.0, "2026-11-21T03:00:00Z"),
            (0.5, "2026-11-21T03:02:30Z"),
            (1.0, "2026-11-21T03:05:00Z"),
            (7.0, "2026-11-21T03:05:00Z"),
            (f64::NAN, "2026-11-21T03:00:00Z"),
        ];
        for (chance, turn) in table {
            assert_eq!(schedule.next(now, now, chance), Some(time(turn)), "{chance}");
        }
        // A slot whose turn came late is not had twice.
        let late = schedule.next(now, time("2026-11-21T03:04:00Z"), 0.0);
        assert_eq!(late, Some(time("2026-11-22T03:00:00Z")));
    }

    #[test]
    fn it_says_in_words_when_that_is() {
        let every = Schedule::new(Slots::Every("90m".parse().unwrap()));
        assert_eq!(every.to_string(), "every 1h 30m");
        let cron: Cron = "0 3 * * 1-5".parse().unwrap();
        let cron = cron.in_zone("Europe/Berlin").unwrap();
        let jitter = Duration::from_secs(300);
        let schedule = Schedule { slots: Slots::At(cron), jitter };
        assert_eq!(schedule.to_string(), "at `0 3 * * 1-5` in Europe/Berlin, up to 5m later");
    }
}
