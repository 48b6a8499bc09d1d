//! How a large blob is cut into ranges, and how many are asked for at once. Pure: what was
//! measured goes in, what to ask for comes out.
//!
//! A stream that nobody waits for is as good as eight, and costs one request. So a blob begins with
//! one stream, in stretches that grow; only while its reader has to wait for the source, the number
//! of requests at once is doubled, as long as that brings more. Of what is ahead of the stretch
//! that is being handed on, no more may lie in memory than the client allows.

use std::ops::Range;
use std::time::Duration;

/// The first stretch for a stream alone is as long as so many pieces.
const FIRST: u64 = 4;

/// Such a stretch is at most so many times as long as what may lie in memory.
const LONGEST: u64 = 8;

/// Beside the pieces that are on their way there is memory for one that is there and one that is
/// being handed on.
const SPARE: u64 = 2;

/// Twice the requests must bring so much more, or it is not worth it.
const GAIN: f64 = 1.25;

/// A reader that waits for more than one part in so many of its time is held up by the source.
const HUNGRY: u32 = 10;

/// After more requests did not help, so many measurements pass before the next attempt; doubled
/// each time.
const FIRST_REST: u32 = 4;
const LONGEST_REST: u32 = 64;

/// Where the next range begins, and how long it is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    size: u64,
    /// All before this is planned.
    planned: u64,
    /// The length of a range that is read ahead, into memory.
    piece: u64,
    /// No piece begins further ahead of the reader than this.
    reach: u64,
    /// The length of the next stretch for a stream alone.
    stretch: u64,
    longest: u64,
}

impl Plan {
    /// A plan for what lies from `position` up to `size`, with at most `connections` requests at
    /// once and `memory` bytes for what they bring.
    pub(crate) fn new(position: u64, size: u64, memory: u64, connections: u64) -> Self {
        let piece = (memory / connections.saturating_add(SPARE)).max(1);
        let (reach, stretch) = (memory.saturating_mul(2), piece.saturating_mul(FIRST));
        let longest = memory.saturating_mul(LONGEST).max(stretch);
        Self { size, planned: position, piece, reach, stretch, longest }
    }

    /// The length of a piece that is not the last.
    pub(crate) fn piece(&self) -> u64 {
        self.piece
    }

    /// Whether all is planned.
    pub(crate) fn is_done(&self) -> bool {
        self.planned >= self.size
    }

    /// Whether a piece may begin while the reader is at `position`.
    pub(crate) fn reaches(&self, position: u64) -> bool {
        !self.is_done() && self.planned < position.saturating_add(self.reach)
    }

    /// The next piece, to be read ahead.
    pub(crate) fn take_piece(&mut self) -> Range<u64> {
        self.stretch = self.piece.saturating_mul(FIRST);
        self.take(self.piece)
    }

    /// The next stretch, for a stream alone.
    pub(crate) fn take_stretch(&mut self) -> Range<u64> {
        let length = self.stretch;
        self.stretch = length.saturating_mul(2).min(self.longest);
        self.take(length)
    }

    /// Begins again at `position`, with all that is left.
    pub(crate) fn take_rest(&mut self, position: u64) -> Range<u64> {
        self.planned = position;
        self.take(u64::MAX)
    }

    fn take(&mut self, length: u64) -> Range<u64> {
        let start = self.planned;
        self.planned = start.saturating_add(length).min(self.size).max(start);
        start..self.planned
    }
}

/// What came in a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) time: Duration,
    /// Bytes that the source gave.
    pub(crate) arrived: u64,
    /// How long the reader had nothing to take.
    pub(crate) waited: Duration,
}

/// How many requests at once are worth it.
#[derive(Clone, Debug)]
pub(crate) struct Width {
    now: usize,
    most: usize,
    /// The width before the latest change and its bytes a second, until the change is judged.
    trial: Option<(usize, f64)>,
    /// So many measurements are let pass.
    rest: u32,
    next_rest: u32,
}

impl Width {
    /// Begins with `now` requests; there are never more than `most`.
    pub(crate) fn new(now: usize, most: usize) -> Self {
        let most = most.max(1);
        Self { now: now.clamp(1, most), most, trial: None, rest: 0, next_rest: FIRST_REST }
    }

    pub(crate) fn now(&self) -> usize {
        self.now
    }

    /// Judges the latest change by what was measured since, and makes the next. Says how many turned
    /// out to be worth it, where a change was judged.
    pub(crate) fn judge(&mut self, measured: Measured) -> Option<usize> {
        let rate = measured.arrived as f64 / measured.time.as_secs_f64().max(1e-9);
        let hungry = measured.waited * HUNGRY > measured.time;
        let trial = self.trial.take();
        if let Some((before, rate_before)) = trial {
            if hungry && rate < rate_before * GAIN {
                self.now = before;
                self.pause();
                return Some(before);
            }
            self.next_rest = FIRST_REST;
        }
        let judged = trial.map(|_| self.now);
        if self.rest > 0 {
            self.rest -= 1;
        } else if hungry && self.now < self.most {
            self.trial = Some((self.now, rate));
            self.now = (self.now * 2).min(self.most);
        }
        judged
    }

    /// One of several requests was refused or broke.
    pub(crate) fn refused(&mut self) -> usize {
        self.trial = None;
        self.now = (self.now / 2).max(1);
        self.pause();
        self.now
    }

    fn pause(&mut self) {
        self.rest = self.next_rest;
        self.next_rest = (self.next_rest * 2).min(LONGEST_REST);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Read(u64),
        Piece,
        Stretch,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..50_000_u64).prop_map(Step::Read),
            Just(Step::Piece),
            Just(Step::Piece),
            Just(Step::Stretch),
        ]
    }

    proptest! {
        #[test]
        fn ranges_follow_each_other_to_the_end(
            (position, size) in (0..1_000_000_u64).prop_flat_map(|size| (0..=size, Just(size))),
            memory in 0..100_000_u64,
            connections in 0..20_u64,
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let mut plan = Plan::new(position, size, memory, connections);
            let (start, mut reader, mut ahead, mut end) = (position, position, 0, position);
            for step in steps {
                let range = match step {
                    Step::Read(bytes) => {
                        reader = (reader + bytes).min(end);
                        continue;
                    }
                    Step::Piece if plan.reaches(reader) => {
                        let range = plan.take_piece();
                        prop_assert!(range.end - range.start <= plan.piece());
                        prop_assert!(range.end - reader <= 2 * memory + plan.piece());
                        ahead += 1;
                        range
                    }
                    Step::Piece => continue,
                    Step::Stretch if plan.is_done() => continue,
                    Step::Stretch => plan.take_stretch(),
                };
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start && range.end <= size);
                end = range.end;
            }
            prop_assert!(ahead == 0 || end > start);
            let rest = plan.take_rest(reader);
            prop_assert_eq!(rest, reader..size);
            prop_assert!(plan.is_done() && !plan.reaches(reader));
        }

        #[test]
        fn a_width_is_never_out_of_bounds(
            most in 0..12_usize,
            measurements in prop::collection::vec((0..200_u64, 0..1_000_000_u64, 0..200_u64), 0..100),
        ) {
            let mut width = Width::new(1, most);
            for (time, arrived, waited) in measurements {
                if time == 7 {
                    width.refused();
                } else {
                    let (time, waited) = (Duration::from_millis(time), Duration::from_millis(waited));
                    width.judge(Measured { time, arrived, waited });
                }
                prop_assert!((1..=most.max(1)).contains(&width.now()));
            }
        }
    }

    #[test]
    fn stretches_grow_until_something_is_read_ahead() {
        let mut plan = Plan::new(0, 1000, 20, 8);
        let lengths = |plan: &mut Plan| {
            let range = plan.take_stretch();
            range.end - range.start
        };
        let grown: Vec<_> = (0..5).map(|_| lengths(&mut plan)).collect();
        assert_eq!(grown, [8, 16, 32, 64, 128]);
        assert_eq!(plan.take_piece(), 248..250);
        assert_eq!(lengths(&mut plan), 8);
    }

    /// A source that gives `each` bytes a second on each connection and `all` on all of them, to a
    /// reader that takes `taken`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    fn settles(each: f64, all: f64, taken: f64) -> Vec<usize> {
        let mut width = Width::new(1, 8);
        let time = Duration::from_millis(100);
        let widths = (0..12).map(|_| {
            let given = (each * width.now() as f64).min(all);
            let rate = given.min(taken);
            let waited =
                if given < taken { time.mul_f64(1.0 - given / taken) } else { Duration::ZERO };
            width.judge(Measured { time, arrived: (rate / 10.0) as u64, waited });
            width.now()
        });
        widths.collect()
    }

    #[test]
    fn as_many_requests_as_help() {
        // A limit on each connection: all of them.
        assert_eq!(settles(40e6, 1e9, 1e9)[..4], [2, 4, 8, 8]);
        // A limit on all together: one is enough; asked again from time to time.
        assert_eq!(settles(40e6, 40e6, 1e9)[..8], [2, 1, 1, 1, 1, 1, 2, 1]);
        // Three times one: four.
        assert_eq!(settles(40e6, 120e6, 1e9)[..5], [2, 4, 8, 4, 4]);
        // A reader that is slower than the source needs no more than one, one that is a little
        // faster two.
        assert_eq!(settles(40e6, 1e9, 30e6)[..3], [1, 1, 1]);
        assert_eq!(settles(40e6, 1e9, 60e6)[..3], [2, 2, 2]);
    }

    #[test]
    fn refusals_make_it_narrower_for_a_while() {
        let mut width = Width::new(1, 8);
        let time = Duration::from_millis(100);
        let measured = |arrived| Measured { time, arrived, waited: time };
        for step in 1..4 {
            width.judge(measured(1000 << step));
        }
        assert_eq!(width.now(), 8);
        width.refused();
        assert_eq!(width.now(), 4);
        for _ in 0..FIRST_REST {
            width.judge(measured(1000));
            assert_eq!(width.now(), 4);
        }
        width.judge(measured(1000));
        assert_eq!(width.now(), 8);
    }
}
