//! `schedule` of a file: when it has its turn in the long-running mode.

use ::schedule::{Cron, InvalidTime, Schedule, Slots};

use crate::diagnostic::Code;
use crate::mapping::Mapping;
use crate::reader::{Field, Reader, Spanned};

/// The schedule; nothing where it is wrong.
pub(crate) fn read(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Schedule> {
    let mut keys = Mapping::open(reader, field.node, "`schedule`")?;
    let before = reader.found.len();
    let interval = keys.get("interval");
    let cron = keys.get("cron");
    let zone = keys.get("timezone");
    let jitter = keys.get("jitter");
    keys.close(reader);
    let slots = match (interval, cron) {
        (Some(interval), None) => parsed(reader, interval, str::parse).map(Slots::Every),
        (None, Some(cron)) => parsed(reader, cron, str::parse::<Cron>).map(Slots::At),
        (Some(interval), Some(cron)) => {
            let message = "a schedule has `interval` or `cron`, not both";
            let error = reader.error(Code::ConflictingKeys, cron.key_span, message);
            let first = reader.text.place(interval.key_span);
            reader.push(error.related(first, "the other one"));
            None
        }
        // A key that was misspelt has been told.
        (None, None) if reader.found.len() == before => {
            let message = "`schedule` must have `interval` or `cron`";
            let error = reader.error(Code::MissingKey, field.key_span, message);
            reader.push(error.help("such as `interval: 10m` or `cron: \"0 3 * * *\"`"));
            None
        }
        (None, None) => None,
    };
    let slots = match (zone, slots) {
        (Some(zone), Some(Slots::At(cron))) => {
            parsed(reader, zone, |name| cron.in_zone(name)).map(Slots::At)
        }
        (Some(zone), Some(Slots::Every(_))) => {
            let message = "an interval has no time zone";
            let error = reader.error(Code::ConflictingKeys, zone.key_span, message);
            reader.push(error.help("remove `timezone`"));
            None
        }
        (_, slots) => slots,
    };
    let jitter = jitter.map(|field| match &slots {
        Some(Slots::Every(interval)) => parsed(reader, field, |text| {
            let jitter = ::schedule::jitter(text).map_err(|error| error.to_string())?;
            match jitter < interval.as_duration() {
                true => Ok(jitter),
                false => Err("it must be less than the interval".to_owned()),
            }
        }),
        Some(Slots::At(_)) | None => parsed::<_, InvalidTime>(reader, field, ::schedule::jitter),
    });
    let schedule = Schedule { slots: slots?, jitter: jitter.unwrap_or(Some(Default::default()))? };
    Some(schedule).filter(|_| reader.found.len() == before)
}

fn parsed<T, E: ToString>(
    reader: &mut Reader<'_>,
    field: Field<'_>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let Spanned { value, span } = reader.text(field)?;
    parse(&value)
        .map_err(|problem| {
            let message = format!("`{}` of the schedule is wrong", field.key);
            let error = reader.error(Code::InvalidSchedule, span, message);
            reader.push(error.label(problem.to_string()));
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use crate::{Defaults, Input, load};

    fn told(schedule: &str) -> Vec<String> {
        let text = format!(
            "targetRepoPrefix: r.example/m\nschedule: {schedule}\nimages: [{{ source: a:1 }}]\n"
        );
        match load(&[Input::Stdin(text)], &Defaults::default()) {
            Ok(loaded) => loaded
                .files
                .iter()
                .map(|file| file.schedule.as_ref().map_or("none".to_owned(), ToString::to_string))
                .collect(),
            Err(found) => found
                .into_iter()
                .map(|found| {
                    let place = found.place.as_ref().unwrap();
                    format!("{}:{} {}: {}", place.line, place.column, found.code, found.message)
                })
                .collect(),
        }
    }

    #[test]
    fn a_schedule_is_an_interval_or_an_expression() {
        let table = [
            ("{ interval: 10m }", "every 10m"),
            ("{ interval: 1h, jitter: 5m }", "every 1h, up to 5m later"),
            ("{ cron: '0 3 * * *' }", "at `0 3 * * *` in UTC"),
            (
                "{ cron: 0 3 * * *, timezone: Europe/Berlin, jitter: 5m }",
                "at `0 3 * * *` in Europe/Berlin, up to 5m later",
            ),
            ("{ interval: 10 }", "2:23 invalid-schedule: `interval` of the schedule is wrong"),
            ("{ cron: 0 3 * * }", "2:19 invalid-schedule: `cron` of the schedule is wrong"),
            (
                "{ cron: '@daily', timezone: Berlin }",
                "2:39 invalid-schedule: `timezone` of the schedule is wrong",
            ),
            (
                "{ interval: 10m, jitter: 10m }",
                "2:36 invalid-schedule: `jitter` of the schedule is wrong",
            ),
            (
                "{ interval: 10m, timezone: UTC }",
                "2:28 conflicting-keys: an interval has no time zone",
            ),
            (
                "{ interval: 10m, cron: '@daily' }",
                "2:28 conflicting-keys: a schedule has `interval` or `cron`, not both",
            ),
            ("{}", "2:1 missing-key: `schedule` must have `interval` or `cron`"),
            ("{ intervall: 10m }", "2:13 unknown-key: unknown key `intervall`"),
            ("10m", "2:11 wrong-type: `schedule` must be a mapping of keys to values"),
        ];
        for (schedule, expected) in table {
            assert_eq!(told(schedule), [expected], "{schedule}");
        }
    }
}
