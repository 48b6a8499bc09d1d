//! Any order of claims, ends, failures and drops, beside somebody who looks at everything each time:
//! every decision is right, and nobody waits for nothing.

use std::collections::HashSet;
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use super::*;

/// What happens next in a run.
#[derive(Clone, Debug)]
enum Step {
    /// A copy claims one of two blobs for one of a few places.
    Claim { place: usize, copy: usize, blob: usize },
    /// One of those whose turn it is comes to its end.
    End { turn: usize, how: End },
    /// A copy's manifests are there.
    Commit { copy: usize },
    /// A copy is over, whatever it has reached.
    Over { copy: usize },
    /// One of those that wait is dropped.
    Drop { waiting: usize },
}

#[derive(Clone, Copy, Debug)]
enum End {
    Brought,
    Mounted,
    MountRefused,
    Failed,
}

/// Whether somebody was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const PLACES: usize = 6;
const COPIES: usize = 5;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![
        Just(End::Brought),
        Just(End::Mounted),
        Just(End::MountRefused),
        Just(End::Failed)
    ];
    let step = prop_oneof![
        6 => (0..PLACES, 0..COPIES, 0..2_usize)
            .prop_map(|(place, copy, blob)| Step::Claim { place, copy, blob }),
        4 => (any::<usize>(), end).prop_map(|(turn, how)| Step::End { turn, how }),
        1 => (0..COPIES).prop_map(|copy| Step::Commit { copy }),
        1 => (0..COPIES).prop_map(|copy| Step::Over { copy }),
        1 => any::<usize>().prop_map(|waiting| Step::Drop { waiting }),
    ];
    prop::collection::vec(step, 1..80)
}

/// A run as somebody sees it who looks at everything each time.
struct Model {
    blobs: Arc<Blobs>,
    places: Vec<Place>,
    copies: Vec<(Copying, Option<watch::Sender<Stage>>)>,
    /// For each blob, in the order in which they came: a place and the copy that brought it there.
    holders: [Vec<(usize, usize)>; 2],
    turns: Vec<(Claimed, Turn)>,
    waiting: FuturesUnordered<BoxFuture<'static, (Claimed, Option<Answer>)>>,
    /// Those that are still waited with, each by its own mark.
    marks: Vec<(Claimed, Arc<Notify>)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Claimed {
    number: usize,
    place: usize,
    copy: usize,
    blob: usize,
}

fn digest(blob: usize) -> Digest {
    Digest::sha256(&[u8::try_from(blob).unwrap()])
}

impl Model {
    fn new() -> Self {
        let blobs = Arc::<Blobs>::default();
        // Two thirds of them are in one registry.
        let host = |number| if number % 3 == 2 { "two.example" } else { "one.example" };
        let places = (0..PLACES).map(|number| place(&format!("{}/{number}", host(number))));
        let copies = (0..COPIES).map(|_| {
            let (copying, stage) = blobs.copying(blobs.next_copy());
            (copying, Some(stage))
        });
        let (places, copies) = (places.collect(), copies.collect());
        let (holders, turns) = (Default::default(), Vec::new());
        let (waiting, marks) = (FuturesUnordered::new(), Vec::new());
        Self { blobs, places, copies, holders, turns, waiting, marks }
    }

    fn step(&mut self, number: usize, step: &Step) {
        match *step {
            Step::Claim { place, copy, blob } => {
                let claimed = Claimed { number, place, copy, blob };
                let wants = Wants {
                    place: self.places[place].clone(),
                    copying: self.copies[copy].0.clone(),
                    asked: Arc::default(),
                    has_given_up: Arc::default(),
                };
                let answer = claims(&self.blobs, digest(blob), wants);
                let dropped = Arc::new(Notify::new());
                self.marks.push((claimed, Arc::clone(&dropped)));
                let answer = async move {
                    tokio::select! {
                        biased;
                        () = dropped.notified() => (claimed, None),
                        answer = answer => (claimed, answer),
                    }
                };
                self.waiting.push(answer.boxed());
            }
            Step::End { turn, how } if !self.turns.is_empty() => {
                let (claimed, turn) = self.turns.swap_remove(turn % self.turns.len());
                self.end(claimed, turn, how);
            }
            Step::Commit { copy } => {
                if let Some(stage) = &self.copies[copy].1 {
                    stage.send_replace(Stage::Committed);
                }
            }
            Step::Over { copy } => drop(self.copies[copy].1.take()),
            Step::Drop { waiting } if !self.marks.is_empty() => {
                self.marks[waiting % self.marks.len()].1.notify_one();
            }
            Step::End { .. } | Step::Drop { .. } => {}
        }
        self.hear();
        self.nobody_waits_for_nothing();
    }

    fn end(&mut self, claimed: Claimed, turn: Turn, how: End) {
        match how {
            End::Failed => return,
            End::Brought => {}
            End::Mounted if turn.donor.is_some() => turn.was_mounted(),
            End::MountRefused if turn.donor.is_some() => turn.mount_was_refused(),
            End::Mounted | End::MountRefused => {}
        }
        turn.done(&self.copies[claimed.copy].0);
        self.holders[claimed.blob].push((claimed.place, claimed.copy));
    }

    /// Takes all answers that are there: only who was woken is looked at.
    fn hear(&mut self) {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            let next = self.waiting.poll_next_unpin(&mut Context::from_waker(&waker));
            let (claimed, answer) = match next {
                Poll::Ready(Some(answered)) => answered,
                // Many that wake each other are not all looked at in one go.
                Poll::Pending if woken.0.swap(false, Ordering::Relaxed) => continue,
                Poll::Ready(None) | Poll::Pending => return,
            };
            self.marks.retain(|(other, _)| *other != claimed);
            match answer {
                None => {}
                Some((_, None)) => assert!(self.has(claimed), "{claimed:?}"),
                Some((_, Some(turn))) => {
                    self.is_right(claimed, &turn);
                    self.turns.push((claimed, turn));
                }
            }
        }
    }

    fn has(&self, claimed: Claimed) -> bool {
        self.holders[claimed.blob].iter().any(|(place, _)| *place == claimed.place)
    }

    /// The holders in the realm of a place.
    fn holders(&self, claimed: Claimed) -> impl Iterator<Item = (&Place, &Copying)> {
        let realm = self.places[claimed.place].realm();
        let holders = self.holders[claimed.blob].iter();
        let holders = holders.map(|(place, copy)| (&self.places[*place], &self.copies[*copy].0));
        holders.filter(move |(place, _)| place.realm() == realm)
    }

    /// The turns for the same blob in the same realm.
    fn others(&self, claimed: Claimed) -> impl Iterator<Item = &(Claimed, Turn)> {
        let realm = self.places[claimed.place].realm();
        let same = move |(other, turn): &&(Claimed, Turn)| {
            other.blob == claimed.blob && turn.place.realm() == realm
        };
        self.turns.iter().filter(same)
    }

    fn is_right(&self, claimed: Claimed, turn: &Turn) {
        assert!(!self.has(claimed), "{claimed:?}");
        let realm = self.places[claimed.place].realm();
        let holders: Vec<_> = self.holders(claimed).collect();
        let committed: HashSet<_> = holders
            .iter()
            .filter(|(_, copy)| copy.is_committed())
            .map(|(place, _)| place.location())
            .collect();
        let donor = turn.donor.as_ref().map(Place::location);
        assert_eq!(turn.is_committed, !committed.is_empty());
        match donor {
            Some(donor) if turn.is_committed => assert!(committed.contains(donor)),
            donor => assert_eq!(donor, holders.first().map(|(place, _)| place.location())),
        }
        let mounts = turn.is_committed && lock(&self.blobs.mounting).contains(&realm);
        assert_eq!(turn.alone.is_none(), mounts);
        for (other, theirs) in self.others(claimed) {
            assert_ne!(other.place, claimed.place, "{claimed:?}");
            assert!(turn.alone.is_none() || theirs.alone.is_none(), "{claimed:?}");
        }
        if !turn.is_committed && !self.blobs.refuses(&realm) {
            let own = self.copies[claimed.copy].0.id;
            for (_, copy) in holders.iter().filter(|(_, copy)| copy.may_be_committed()) {
                let closes_a_circle = self.blobs.waits.begin(own, copy.id).is_none();
                assert!(closes_a_circle, "{claimed:?} need not mount too early");
            }
        }
    }

    fn nobody_waits_for_nothing(&self) {
        for (claimed, _) in &self.marks {
            let mut others = self.others(*claimed);
            let waits = others
                .any(|(other, turn)| other.place == claimed.place || turn.alone.is_some())
                || self
                    .holders(*claimed)
                    .any(|(_, copy)| !copy.is_committed() && copy.may_be_committed());
            assert!(waits, "{claimed:?} waits for nothing");
        }
    }

    /// Everything under way ends well; then nobody waits.
    fn ends(&mut self) {
        while !self.marks.is_empty() {
            let before = self.marks.len();
            for copy in 0..COPIES {
                self.step(usize::MAX, &Step::Over { copy });
            }
            while !self.turns.is_empty() {
                self.step(usize::MAX, &Step::End { turn: 0, how: End::Brought });
            }
            assert!(self.marks.len() < before, "{:?} wait for ever", self.marks);
        }
    }
}

proptest! {
    #[test]
    fn decisions_are_those_of_who_looks_at_everything(steps in steps()) {
        let mut model = Model::new();
        for (number, step) in steps.iter().enumerate() {
            model.step(number, step);
        }
        model.ends();
    }
}
