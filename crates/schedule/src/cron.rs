//! [`Cron`]: five fields, in a time zone.
//!
//! Crate `croner` reads and evaluates them: it knows jiff, needs no chrono, and has Vixie cron's
//! meaning of days and of daylight saving time. A fixed time that the clock skips has its turn when
//! the gap ends, one that it shows twice has one turn.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A cron expression and the zone its times are of.
#[derive(Clone, Debug)]
pub struct Cron {
    text: String,
    expression: Arc<croner::Cron>,
    zone: TimeZone,
}

/// A text that is no cron expression.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{problem}")]
pub struct InvalidCron {
    problem: String,
}

/// A name that is no time zone's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no time zone of this name; such as `Europe/Berlin` or `UTC`")]
pub struct InvalidZone;

impl FromStr for Cron {
    type Err = InvalidCron;

    /// An expression, its times in UTC.
    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        let invalid = |problem: String| InvalidCron { problem };
        // Longer ones are no expression, and the reader of fields is not ours.
        if text.len() > 256 {
            return Err(invalid("it is longer than any cron expression".to_owned()));
        }
        let fields = text.split_whitespace().count();
        if fields != 5 && !text.starts_with('@') {
            return Err(invalid(format!(
                "it has {fields} fields; minute, hour, day, month and weekday are 5"
            )));
        }
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let expression = parser
            .parse(text)
            .map_err(|error| invalid(error.to_string().trim_end_matches('.').to_owned()))?;
        let cron =
            Self { text: text.to_owned(), expression: Arc::new(expression), zone: TimeZone::UTC };
        // Any day will do: without years, what has no turn from here on has none at all.
        if cron.next(Timestamp::UNIX_EPOCH).is_none() {
            return Err(invalid("it never has a turn".to_owned()));
        }
        Ok(cron)
    }
}

impl Cron {
    /// The same expression with its times in a zone of the IANA database.
    ///
    /// # Errors
    /// [`InvalidZone`] where there is no such zone.
    pub fn in_zone(self, name: &str) -> Result<Self, InvalidZone> {
        let zone = TimeZone::get(name).map_err(|_| InvalidZone)?;
        Ok(Self { zone, ..self })
    }

    /// The name of its zone.
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let now = Zoned::new(now, self.zone.clone());
        self.expression.find_next_occurrence(&now, false).ok().map(|next| next.timestamp())
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.zone) == (&other.text, &other.zone)
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let cron = expression.parse::<Cron>().unwrap().in_zone(zone).unwrap();
        let mut now: Timestamp = from.parse().unwrap();
        let mut turns = Vec::new();
        for _ in 0..count {
            now = cron.next(now).unwrap();
            turns.push(now.to_string());
        }
        turns
    }

    #[test]
    fn turns_are_of_the_zone() {
        let winter = turns("0 3 * * *", "Europe/Berlin", "2026-11-21T12:00:00Z", 2);
        assert_eq!(winter, ["2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z"]);
        let summer = turns("0 3 * * *", "Europe/Berlin", "2026-07-01T12:00:00Z", 1);
        assert_eq!(summer, ["2026-07-02T01:00:00Z"]);
        let weekdays = turns("30 6 * * MON-FRI", "UTC", "2026-11-20T07:00:00Z", 2);
        assert_eq!(weekdays, ["2026-11-23T06:30:00Z", "2026-11-24T06:30:00Z"]);
        assert_eq!(turns("@hourly", "UTC", "2026-11-20T07:00:01Z", 1), ["2026-11-20T08:00:00Z"]);
    }

    /// In Berlin the clock goes from 02:00 to 03:00 on 2027-03-28, and from 03:00 to 02:00 on 2026-10-25.
    #[test]
    fn daylight_saving_time_neither_skips_nor_doubles_a_turn() {
        let gap = turns("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", 2);
        assert_eq!(gap, ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]);
        let fold = turns("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(fold, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn what_is_no_expression_says_why() {
        let table = [
            ("", "it has 0 fields; minute, hour, day, month and weekday are 5"),
            ("0 3 * *", "it has 4 fields; minute, hour, day, month and weekday are 5"),
            ("0 0 3 * * *", "it has 6 fields; minute, hour, day, month and weekday are 5"),
            ("0 0 30 2 *", "it never has a turn"),
        ];
        for (text, problem) in table {
            assert_eq!(text.parse::<Cron>().unwrap_err().to_string(), problem, "{text}");
        }
        for text in ["61 * * * *", "* 24 * * *", "a b c d e", "@often", &"*".repeat(300)] {
            assert!(text.parse::<Cron>().is_err(), "{text}");
        }
        let cron: Cron = "0 3 * * *".parse().unwrap();
        assert_eq!(cron.in_zone("Middle/Earth"), Err(InvalidZone));
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[-0-9*/,?LW#+@A-Za-z ]{0,40}", any: String) {
            let _ = text.parse::<Cron>();
            let _ = any.parse::<Cron>();
        }
    }
}
