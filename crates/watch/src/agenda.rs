//! [`Agenda`]: which files are due, which pushes wait, and what the next run is for. Pure: it is told
//! what time it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use schedule::Schedule;

use crate::Moved;
use crate::moved::Gathered;
use crate::status::FileStatus;

/// A file that is watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WatchedFile {
    /// Its name.
    pub path: PathBuf,
    /// When it has its turn, where it says so.
    pub schedule: Option<Schedule>,
}

/// What a run is for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Request {
    /// All that these files want.
    pub files: BTreeSet<PathBuf>,
    /// What comes from there, whichever file wants it.
    pub moved: BTreeSet<Moved>,
}

impl Request {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.moved.is_empty()
    }
}

/// When each file has its turn.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    files: BTreeMap<PathBuf, Turns>,
    moved: Gathered,
    /// When the first of the pushes that wait came.
    moved_since: Option<Timestamp>,
}

#[derive(Debug)]
struct Turns {
    schedule: Schedule,
    /// When the first run began; intervals count from it.
    first: Option<Timestamp>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Its turn has come.
    Due,
    /// A run is made for it.
    Running,
    /// The same, and another one is wanted after it.
    RunningAndDue,
    /// It waits; for ever, where there is no further turn.
    Waiting(Option<Timestamp>),
}

impl Agenda {
    /// Takes the files that there are now. Those that are new or `changed` are due.
    pub(crate) fn replace(&mut self, files: Vec<(PathBuf, Schedule)>, changed: &BTreeSet<PathBuf>) {
        let mut before = std::mem::take(&mut self.files);
        for (path, schedule) in files {
            let turns = match before.remove(&path) {
                None => Turns { schedule, first: None, state: State::Due },
                Some(turns) => {
                    let is_due = changed.contains(&path) || turns.schedule != schedule;
                    let state = if is_due { turns.state.and_due() } else { turns.state };
                    Turns { schedule, state, ..turns }
                }
            };
            self.files.insert(path, turns);
        }
    }

    /// All files are due: another replica may have done less than we think.
    pub(crate) fn all_due(&mut self) {
        self.files.values_mut().for_each(|turns| turns.state = turns.state.and_due());
    }

    /// Sees whose turn has come.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        for turns in self.files.values_mut() {
            if let State::Waiting(Some(next)) = turns.state
                && next <= now
            {
                turns.state = State::Due;
            }
        }
    }

    /// The next turn of a file that waits for one.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let waiting = self.files.values().filter_map(|turns| match turns.state {
            State::Waiting(next) => next,
            State::Due | State::Running | State::RunningAndDue => None,
        });
        waiting.min()
    }

    /// Something was pushed.
    pub(crate) fn moved(&mut self, moved: Moved, now: Timestamp) {
        self.moved.add(moved);
        self.moved_since.get_or_insert(now);
    }

    /// How many pushes wait.
    pub(crate) fn waiting_pushes(&self) -> usize {
        self.moved.len()
    }

    /// Begins a run of all that is due: the files, where this replica makes the runs of schedules, and
    /// the pushes, where the first has waited for `settle`, so that a burst is one run. A file's run is
    /// for its pushes too.
    pub(crate) fn begin(&mut self, leads: bool, now: Timestamp, settle: Duration) -> Request {
        let mut request = Request::default();
        if leads {
            for (path, turns) in &mut self.files {
                if turns.state == State::Due {
                    turns.first.get_or_insert(now);
                    turns.state = State::Running;
                    request.files.insert(path.clone());
                }
            }
        }
        let waited = |since| Duration::try_from(now.duration_since(since)).unwrap_or(Duration::MAX);
        let has_settled = self.moved_since.is_some_and(|since| waited(since) >= settle);
        if has_settled || !request.files.is_empty() {
            request.moved = self.moved.take();
            self.moved_since = None;
        }
        request
    }

    /// A run has ended; its files wait for their next turn after `now`.
    pub(crate) fn ended(&mut self, request: &Request, now: Timestamp, chance: impl Fn() -> f64) {
        for path in &request.files {
            let Some(turns) = self.files.get_mut(path) else { continue };
            turns.state = match turns.state {
                State::RunningAndDue | State::Due => State::Due,
                State::Running | State::Waiting(_) => {
                    let first = turns.first.unwrap_or(now);
                    State::Waiting(turns.schedule.next(first, now, chance()))
                }
            };
        }
    }

    /// A run was stopped before its end: what it was for is due again.
    pub(crate) fn put_back(&mut self, request: Request, now: Timestamp) {
        for path in &request.files {
            if let Some(turns) = self.files.get_mut(path) {
                turns.state = State::Due;
            }
        }
        request.moved.into_iter().for_each(|moved| self.moved(moved, now));
    }

    /// The files, for people.
    pub(crate) fn files(&self) -> Vec<FileStatus> {
        let status = |(path, turns): (&PathBuf, &Turns)| FileStatus {
            file: path.display().to_string(),
            schedule: turns.schedule.to_string(),
            next: match turns.state {
                State::Waiting(next) => next,
                State::Due | State::Running | State::RunningAndDue => None,
            },
        };
        self.files.iter().map(status).collect()
    }
}

impl State {
    fn and_due(self) -> Self {
        match self {
            Self::Running | Self::RunningAndDue => Self::RunningAndDue,
            Self::Due | Self::Waiting(_) => Self::Due,
        }
    }
}

#[cfg(test)]
mod tests {
    use schedule::Slots;

    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn every(time: &str) -> Schedule {
        Schedule::new(Slots::Every(time.parse().unwrap()))
    }

    fn files(list: &[(&str, &str)]) -> Vec<(PathBuf, Schedule)> {
        list.iter().map(|(path, time)| (PathBuf::from(path), every(time))).collect()
    }

    fn names(request: &Request) -> Vec<&str> {
        request.files.iter().filter_map(|path| path.to_str()).collect()
    }

    fn push(tag: &str) -> Moved {
        Moved {
            host: "a.io".parse().unwrap(),
            repository: "b".parse().unwrap(),
            tag: Some(tag.parse().unwrap()),
            digest: None,
        }
    }

    #[test]
    fn files_that_are_due_together_share_a_run_and_slots_are_not_made_up() {
        let mut agenda = Agenda::default();
        agenda.replace(files(&[("a", "10s"), ("b", "60s")]), &BTreeSet::new());
        let first = agenda.begin(true, at(0), SETTLE);
        assert_eq!(names(&first), ["a", "b"]);
        assert!(
            agenda.begin(true, at(1), SETTLE).is_empty(),
            "no run overlaps another of its file"
        );
        // 35 s: the slots at 10, 20 and 30 went by.
        agenda.ended(&first, at(35), || 0.0);
        assert_eq!(agenda.next(), Some(at(40)));
        agenda.tick(at(39));
        assert!(agenda.begin(true, at(39), SETTLE).is_empty());
        agenda.tick(at(40));
        assert_eq!(names(&agenda.begin(true, at(40), SETTLE)), ["a"]);
        agenda.tick(at(61));
        assert_eq!(names(&agenda.begin(true, at(61), SETTLE)), ["b"]);
    }

    #[test]
    fn a_change_makes_a_file_due_also_while_it_runs() {
        let mut agenda = Agenda::default();
        agenda.replace(files(&[("a", "1h"), ("b", "1h")]), &BTreeSet::new());
        let run = agenda.begin(true, at(0), SETTLE);
        let changed = BTreeSet::from([PathBuf::from("a")]);
        agenda.replace(files(&[("a", "1h"), ("b", "1h"), ("c", "1h")]), &changed);
        assert_eq!(names(&agenda.begin(true, at(1), SETTLE)), ["c"]);
        agenda.ended(&run, at(2), || 0.0);
        assert_eq!(names(&agenda.begin(true, at(2), SETTLE)), ["a"]);
        // Another schedule is a change as well, and a file that went away is forgotten.
        agenda.replace(files(&[("b", "2h")]), &BTreeSet::new());
        assert_eq!(names(&agenda.begin(true, at(3), SETTLE)), ["b"]);
        assert_eq!(agenda.files().len(), 1);
    }

    #[test]
    fn a_burst_of_pushes_is_one_run_and_needs_no_lease() {
        let mut agenda = Agenda::default();
        agenda.replace(files(&[("a", "1h")]), &BTreeSet::new());
        agenda.moved(push("1"), at(0));
        agenda.moved(push("1"), at(1));
        agenda.moved(push("2"), at(1));
        assert!(agenda.begin(false, at(1), SETTLE).is_empty());
        let request = agenda.begin(false, at(2), SETTLE);
        assert_eq!(request.moved, BTreeSet::from([push("1"), push("2")]));
        assert!(request.files.is_empty(), "the files are for the replica with the lease");
        assert_eq!(agenda.waiting_pushes(), 0);
        // The clock was set back: what waits does not wait for it.
        agenda.moved(push("3"), at(1_000));
        assert_eq!(agenda.begin(false, at(10), SETTLE).moved.len(), 1);
    }

    #[test]
    fn what_was_stopped_is_due_again() {
        let mut agenda = Agenda::default();
        agenda.replace(files(&[("a", "1h")]), &BTreeSet::new());
        agenda.moved(push("1"), at(0));
        let request = agenda.begin(true, at(0), SETTLE);
        assert_eq!((request.files.len(), request.moved.len()), (1, 1));
        agenda.put_back(request.clone(), at(5));
        assert_eq!(agenda.begin(true, at(5), SETTLE), request);
    }
}
