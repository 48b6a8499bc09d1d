//! [`Interval`]: a time between turns, such as `10m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::friendly::SpanPrinter;
use jiff::{SignedDuration, Timestamp};

/// The longest time that is taken: a year. Who means more means no schedule.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The time from one turn to the next, from a second to a year.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interval(Duration);

/// A text that is no time between turns.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be a time from a second to a year, such as `10m` or `1h30m`")]
pub struct InvalidTime;

impl FromStr for Interval {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        duration(text).filter(|time| *time >= Duration::from_secs(1)).map(Self).ok_or(InvalidTime)
    }
}

/// Reads the most that is added by chance; it may be nothing.
///
/// # Errors
/// [`InvalidTime`] where the text is no time.
pub fn jitter(text: &str) -> Result<Duration, InvalidTime> {
    duration(text).ok_or(InvalidTime)
}

fn duration(text: &str) -> Option<Duration> {
    let time = text.parse::<SignedDuration>().ok()?;
    Duration::try_from(time).ok().filter(|time| *time <= LONGEST)
}

impl Interval {
    /// As a time.
    pub fn as_duration(self) -> Duration {
        self.0
    }

    /// The first of the slots `first`, `first` + interval, … that is after `now`.
    pub(crate) fn next(self, first: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let Ok(passed) = Duration::try_from(now.duration_since(first)) else {
            // The clock was set back: the next turn is an interval away, not years.
            return now.checked_add(self.0).ok();
        };
        let slots = passed.as_nanos().checked_div(self.0.as_nanos())? + 1;
        let after =
            slots.checked_mul(self.0.as_nanos()).and_then(|nanos| i128::try_from(nanos).ok())?;
        Timestamp::from_nanosecond(first.as_nanosecond().checked_add(after)?).ok()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.0))
    }
}

pub(crate) fn shown(time: Duration) -> String {
    SpanPrinter::new().unsigned_duration_to_string(&time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_time_between_turns() {
        for (text, seconds) in
            [("10m", 600), ("1h30m", 5400), ("1s", 1), ("24h", 86400), ("PT5M", 300)]
        {
            assert_eq!(
                text.parse::<Interval>().unwrap().as_duration().as_secs(),
                seconds,
                "{text}"
            );
        }
        for text in ["", "10", "0s", "999ms", "-10m", "often", "9000h", "1 month"] {
            assert_eq!(text.parse::<Interval>(), Err(InvalidTime), "{text}");
        }
        assert_eq!(jitter("0s"), Ok(Duration::ZERO));
        assert_eq!(jitter("soon"), Err(InvalidTime));
    }

    proptest! {
        #[test]
        fn the_next_slot_is_within_an_interval_and_on_the_grid(
            seconds in 1u32..100_000, passed in 0u32..1_000_000_000,
        ) {
            let interval: Interval = format!("{seconds}s").parse().unwrap();
            let first = Timestamp::from_second(1_700_000_000).unwrap();
            let now = first + Duration::from_secs(passed.into());
            let next = interval.next(first, now).unwrap();
            prop_assert!(next > now && next <= now + interval.as_duration());
            prop_assert_eq!((next.as_second() - first.as_second()) % i64::from(seconds), 0);
        }

        #[test]
        fn no_text_is_a_panic(text: String) {
            let _ = text.parse::<Interval>();
            let _ = jitter(&text);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_costs_one_interval() {
        let interval: Interval = "10m".parse().unwrap();
        let first = Timestamp::from_second(1_700_000_000).unwrap();
        let now = Timestamp::from_second(1_600_000_000).unwrap();
        assert_eq!(interval.next(first, now).unwrap().as_second(), 1_600_000_600);
    }
}
