//! Many claims to one blob: how often each is asked, and that none is left behind, whoever gives up.
//! What is decided in what state is in `model`.

mod model;

use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use registry::{AnonymousEverywhere, Client, Settings};

use super::*;
use crate::Side;
use crate::place::Places;

/// A repository of a registry that is never asked.
fn place(name: &str) -> Place {
    static PLACES: LazyLock<Places> = LazyLock::new(|| {
        let client = || Client::new(Settings::default(), Arc::new(AnonymousEverywhere)).unwrap();
        Places::new(client(), client(), Arc::default(), false)
    });
    let reference: oci::Reference = format!("{name}:1").parse().unwrap();
    let target: oci::Target = reference.try_into().unwrap();
    PLACES.open(Side::Target, &target.location).now_or_never().unwrap().unwrap()
}

/// Somebody who wants a blob, and counts how often it is asked.
#[derive(Clone)]
struct Wants {
    place: Place,
    copying: Copying,
    asked: Arc<AtomicUsize>,
    has_given_up: Arc<AtomicBool>,
}

impl Claimant for Wants {
    fn place(&self) -> &Place {
        &self.place
    }

    fn copying(&self) -> &Copying {
        &self.copying
    }

    fn has_given_up(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.has_given_up.load(Ordering::Relaxed)
    }
}

type Answer = (Wants, Option<Turn>);

/// Claims of its own, for one; none where it has given up.
fn claims(blobs: &Arc<Blobs>, digest: Digest, wants: Wants) -> BoxFuture<'static, Option<Answer>> {
    let blobs = Arc::clone(blobs);
    async move { Claims::new(&blobs, digest, vec![wants]).next().await?.pop() }.boxed()
}

/// A run in which many want one blob in one registry.
struct Many {
    blobs: Arc<Blobs>,
    digest: Digest,
    asked: Arc<AtomicUsize>,
    wants: Vec<Wants>,
    stages: Vec<watch::Sender<Stage>>,
}

impl Many {
    const COUNT: usize = 400;

    /// Each for a copy of its own, or all for one.
    fn new(own_copies: bool) -> Self {
        let (blobs, asked) = (Arc::<Blobs>::default(), Arc::default());
        let (mut wants, mut stages) = (Vec::new(), Vec::new());
        let one = blobs.next_copy();
        for number in 0..Self::COUNT {
            let id = if own_copies { blobs.next_copy() } else { one };
            let (copying, stage) = blobs.copying(id);
            stages.push(stage);
            let place = place(&format!("m.example/app{number}"));
            let (asked, has_given_up) = (Arc::clone(&asked), Arc::default());
            wants.push(Wants { place, copying, asked, has_given_up });
        }
        Self { blobs, digest: Digest::sha256(b"blob"), asked, wants, stages }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn brought((wants, turn): Answer) {
    turn.unwrap().done(&wants.copying);
}

fn mounted((wants, turn): Answer) {
    let turn = turn.unwrap();
    assert!(turn.donor.is_some());
    turn.was_mounted();
    turn.done(&wants.copying);
}

#[test]
fn one_after_the_other_each_is_asked_twice() {
    let many = Many::new(false);
    let mut claims = Claims::new(&many.blobs, many.digest, many.wants.clone());
    for number in 0..Many::COUNT {
        let mut answered = claims.next().now_or_never().flatten().unwrap();
        assert_eq!(answered.len(), 1, "no manifest names it anywhere");
        let (wants, turn) = answered.pop().unwrap();
        let first = many.wants.first().filter(|_| number > 0).map(|first| &first.place);
        let donor = turn.as_ref().and_then(|turn| turn.donor.as_ref());
        assert_eq!(donor.map(Place::location), first.map(Place::location));
        assert_eq!(wants.place.location(), many.wants[number].place.location());
        brought((wants, turn));
    }
    assert!(claims.next().now_or_never().flatten().is_none());
    assert_eq!(many.asked(), 2 * Many::COUNT - 1);
    let entries = lock(&many.blobs.entries);
    let looked_at = entries.values().map(|entry| entry.holders.under_way().count());
    assert_eq!(looked_at.collect::<Vec<_>>(), [1], "one copy is one look, wherever it goes");
}

#[test]
fn once_a_mount_is_known_to_work_all_go_on_and_each_was_asked_four_times_at_most() {
    let many = Many::new(true);
    // Walks of their own, woken one by one.
    let mut claims: FuturesUnordered<_> =
        many.wants.iter().map(|wants| claims(&many.blobs, many.digest, wants.clone())).collect();
    let mut next = || claims.next().now_or_never().map(Option::flatten);
    brought(next().unwrap().unwrap());
    assert!(next().is_none(), "no manifest names it anywhere");
    many.stages[0].send_replace(Stage::Committed);
    let first = next().unwrap().unwrap();
    assert!(next().is_none(), "no mount is known to work");
    mounted(first);
    let rest: Vec<Answer> = std::iter::from_fn(|| next().flatten()).collect();
    assert_eq!(rest.len(), Many::COUNT - 2);
    rest.into_iter().for_each(mounted);
    assert!(many.asked() <= 4 * Many::COUNT, "{}", many.asked());
}

#[test]
fn who_gives_up_hands_on_what_it_was_given() {
    let many = Many::new(false);
    let claim = |number: usize| claims(&many.blobs, many.digest, many.wants[number].clone());
    let first = claim(0).now_or_never().flatten().unwrap();
    let (mut dropped, mut fails, mut last) = (claim(1), claim(2), claim(3));
    for waits in [&mut dropped, &mut fails, &mut last] {
        assert!(waits.now_or_never().is_none());
    }
    // The first one fails, the second is dropped when its turn has come, the third has given up by
    // then.
    drop(first);
    drop(dropped);
    many.wants[2].has_given_up.store(true, Ordering::Relaxed);
    assert!(matches!((&mut fails).now_or_never(), Some(None)));
    let (_, turn) = (&mut last).now_or_never().flatten().unwrap();
    assert!(turn.unwrap().donor.is_none());
}

#[test]
fn what_was_believed_of_a_place_is_forgotten_with_it() {
    let many = Many::new(true);
    let place = |number: usize| &many.wants[number].place;
    let donor = |number: usize| {
        let claimed = claims(&many.blobs, many.digest, many.wants[number].clone());
        let (_, turn) = claimed.now_or_never().flatten().unwrap();
        turn.unwrap().donor.as_ref().map(|donor| donor.location().clone())
    };
    many.blobs.is_there(place(0), many.digest);
    many.blobs.is_there(place(1), many.digest);
    assert_eq!(donor(2).as_ref(), Some(place(0).location()));
    many.blobs.forget(place(0));
    assert_eq!(donor(2).as_ref(), Some(place(1).location()));
    many.blobs.forget(place(1));
    assert_eq!(donor(2), None);
    assert_eq!(donor(0), None);
}
