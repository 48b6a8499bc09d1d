//! Copies everything below a manifest and everything that belongs to it, then sets the tags, then
//! reads them back.

use std::collections::HashMap;

use futures::future::{join, join_all};
use oci::{Digest, Location, Manifest, Selector, Tag};
use tracing::{Instrument, Span};

use crate::act::Act;
use crate::carry::{Carrier, Parts, Root};
use crate::closure::Closure;
use crate::companions::{Companions, Search};
use crate::destination::Destination;
use crate::item::Item;
use crate::place::{Place, Tagged};
use crate::signatures::{self, Subject};
use crate::walk::Walk;
use crate::{Class, Failure, Outcome, Side, closure, spans, subset};

/// Brings an image to every target that lacks it, under the tags that are wanted there. Each of the
/// items has come to its end afterwards.
///
/// The order: blobs, manifests, what belongs to them, the tag. Whoever admits images by their
/// signature never sees the tag of one whose signature is still to come.
pub(crate) async fn image(
    walk: &Walk,
    source: &Place,
    root: subset::Root,
    wanting: &[(&Item, &Place)],
) {
    if walk.acts.have_failed() {
        wanting.iter().for_each(|(item, _)| item.ends(Err(nothing_is_begun())));
        return;
    }
    let is_at_source = |node: &Digest| !root.is_made || *node != root.manifest.digest();
    let foreign_layers = walk.options.foreign_layers;
    let closure = closure::read(source, Side::Source, root.manifest.clone(), foreign_layers).await;
    let closure = match closure {
        Ok(closure) => closure,
        Err(failure) => {
            wanting.iter().for_each(|(item, _)| item.ends(Err(failure.clone())));
            return;
        }
    };
    let destinations = destinations(walk, wanting).await;
    let to: Vec<&Destination<'_>> = destinations.iter().collect();
    let search = Search::new(walk, source);
    // The root first: of several problems, one with the root is told.
    let nodes = closure.levels.iter().rev().flatten().map(Manifest::digest);
    let nodes = nodes.filter(is_at_source).collect();
    if let Some(note) = subset::left_behind(walk, source, &root).await {
        wanting.iter().for_each(|(item, _)| item.report().notes.push(note.clone()));
    }
    let carrier = Carrier { walk, source };
    let brought = async {
        to.iter().for_each(|destination| destination.announce(&closure));
        carrier.closure(&closure, &to, Root::LeftToCaller).await
    };
    let brought = brought.instrument(spans::transfer());
    let companions = search.for_targets(wanting.iter().map(|(item, _)| &item.wanted.target), nodes);
    let companions = companions.instrument(spans::companions());
    let (brought, companions) = if must_have_all(walk) {
        // What would keep the image from being published keeps all of it from being sent.
        let companions = companions.await;
        if !settled(walk, &companions, wanting) {
            return;
        }
        (brought.await, companions)
    } else {
        let (brought, companions) = join(brought, companions).await;
        settled(walk, &companions, wanting);
        (brought, companions)
    };
    let (there, parts) = those_that_have_it(&to, brought);
    let copy = Copy { walk, carrier, closure, companions };
    copy.finish(there, parts).await;
}

/// What becomes of a copy that would be for nothing, because its tag could not be recorded.
fn nothing_is_begun() -> Failure {
    let message = "the audit log cannot be written, so nothing more was begun";
    Failure::new(Side::Target, Class::Storage, message)
}

/// Says what may be missing of companions; whether the copy may go on.
fn settled(walk: &Walk, companions: &Companions, wanting: &[(&Item, &Place)]) -> bool {
    wanting.iter().all(|(item, _)| {
        item.report().notes.extend(companions.newcomers());
        let settled = settle(walk, companions.problems.clone(), item);
        let is_settled = settled.is_ok();
        if let Err(failure) = settled {
            item.ends(Err(failure));
        }
        is_settled
    })
}

/// The places, each with all items that want it there.
async fn destinations<'a>(walk: &Walk, wanting: &[(&'a Item, &'a Place)]) -> Vec<Destination<'a>> {
    let mut numbers: HashMap<&Location, usize> = HashMap::new();
    let mut places: Vec<(&'a Place, &'a Item, Vec<&'a Item>)> = Vec::new();
    for (item, place) in wanting {
        let number = *numbers.entry(place.location()).or_insert(places.len());
        match places.get_mut(number) {
            Some((_, _, others)) => others.push(item),
            None => places.push((place, item, Vec::new())),
        }
    }
    let looks = places.into_iter().map(|(place, first, others)| async move {
        let mut destination = Destination::new(walk, place, first).await;
        destination.items.extend(others);
        destination
    });
    join_all(looks).await
}

/// Ends the items of those that could not be brought to their destination.
fn those_that_have_it<'a>(
    to: &[&'a Destination<'a>],
    brought: impl IntoIterator<Item = Result<Parts, Failure>>,
) -> (Vec<&'a Destination<'a>>, Vec<Parts>) {
    let mut there = (Vec::new(), Vec::new());
    for (destination, brought) in to.iter().zip(brought) {
        match brought {
            Ok(parts) => {
                there.0.push(*destination);
                there.1.push(parts);
            }
            Err(failure) => end_all(destination, &failure),
        }
    }
    there
}

fn end_all(destination: &Destination<'_>, failure: &Failure) {
    destination.items.iter().for_each(|item| item.ends(Err(failure.clone())));
}

/// An image whose parts are at its destinations.
struct Copy<'a> {
    walk: &'a Walk,
    carrier: Carrier<'a>,
    closure: Closure,
    companions: Companions,
}

impl Copy<'_> {
    /// Brings what belongs to the image, then sets the tags.
    async fn finish<'d>(&self, mut to: Vec<&'d Destination<'d>>, mut parts: Vec<Parts>) {
        let Some(root) = self.closure.root() else { return };
        let foreign = self.foreign_layers();
        let rings = &self.companions.rings;
        for item in to.iter().flat_map(|destination| &destination.items) {
            if foreign > 0 {
                let note = format!(
                    "left out foreign layers, which registries need not hold: {foreign} \
                     (--foreign-layers copies them)"
                );
                item.report().notes.push(note);
            }
        }
        // What belongs to the root can only be listed there when the root is there.
        let has_companions = rings.iter().any(|ring| !ring.is_empty());
        let is_signed = |destination: &&Destination<'_>| destination.is_signed();
        if has_companions || root.subject().is_some() || to.iter().any(is_signed) {
            let pushed = to.iter().map(|destination| self.root(destination, root));
            let pushed = join_all(pushed).await;
            let brought =
                pushed.into_iter().zip(parts).map(|(pushed, parts)| pushed.map(|()| parts));
            (to, parts) = those_that_have_it(&to, brought);
            for (destination, parts) in to.iter().zip(&parts) {
                parts.are_committed();
                destination.announce_more(rings);
            }
        }
        let (to, parts) = (&to, &parts);
        let left = self.carrier.companions(rings, to).await;
        let tagged =
            to.iter().zip(parts).zip(left).map(|((destination, parts), left)| async move {
                for item in &destination.items {
                    item.report().notes.extend(left.held.iter().cloned());
                    let done = match settle(self.walk, left.problems.clone(), item) {
                        Ok(()) if !item.has_ended() => {
                            self.publish(destination, item, root, parts).await
                        }
                        Ok(()) => continue,
                        Err(failure) => Err(failure),
                    };
                    item.ends(done);
                }
            });
        join_all(tagged).await;
    }

    fn foreign_layers(&self) -> usize {
        let others = self.companions.rings.iter().flatten().map(|companion| &companion.closure);
        self.closure.foreign.len() + others.map(|closure| closure.foreign.len()).sum::<usize>()
    }

    async fn root(&self, destination: &Destination<'_>, root: &Manifest) -> Result<(), Failure> {
        match self.carrier.manifest(destination, root).await {
            Err(failure) if failure.content_unknown => {
                self.carrier.all_again(&self.closure, destination, Root::Pushed).await
            }
            done => done,
        }
    }

    /// Signs it, then sets the tag.
    async fn publish(
        &self,
        destination: &Destination<'_>,
        item: &Item,
        root: &Manifest,
        parts: &Parts,
    ) -> Result<Outcome, Failure> {
        let children = self.closure.levels.iter().rev().flatten();
        let all = item.wanted.signatures.sign.as_ref().is_some_and(|with| with.recursively);
        let nodes = children.filter(|node| all || node.digest() == root.digest());
        let nodes: Vec<Subject> = nodes.map(Subject::of).collect();
        let (source, target) = (self.carrier.source, destination.place);
        let is_signed = item.wanted.signatures.sign.is_some();
        let span = if is_signed { spans::sign(&item.span) } else { Span::none() };
        signatures::sign(self.walk, item, source, target, &nodes).instrument(span).await?;
        let span = spans::publish(&item.span);
        self.tag(destination, item, root, parts).instrument(span).await
    }

    /// Sets the tag and reads it back.
    async fn tag(
        &self,
        destination: &Destination<'_>,
        item: &Item,
        root: &Manifest,
        parts: &Parts,
    ) -> Result<Outcome, Failure> {
        let (place, tag) = (destination.place, &item.wanted.target.tag);
        let published = self.walk.acts.begin(|| Act::published(item, root.digest())).await?;
        let tagged = match place.tag(tag, root).await {
            Err(failure) if failure.content_unknown => {
                self.carrier.all_again(&self.closure, destination, Root::LeftToCaller).await?;
                place.tag(tag, root).await
            }
            tagged => tagged,
        };
        let tagged = tagged?;
        if let Tagged::Holds(other) = tagged {
            // Someone else set the tag while this copy was under way. It stays theirs.
            published.was_nothing();
            item.report().target_digest = Some(other);
            return Ok(Outcome::Drift);
        }
        parts.are_committed();
        self.walk.blobs.add_manifest(place, root.digest());
        let outcome = read_back(place, item, tag, root).await;
        if tagged == Tagged::Same {
            published.was_nothing();
            return outcome;
        }
        published.done(|act| act.evidence.read_back = item.report().target_digest).await?;
        outcome
    }
}

async fn read_back(
    place: &Place,
    item: &Item,
    tag: &Tag,
    root: &Manifest,
) -> Result<Outcome, Failure> {
    let held = place.resolve(&Selector::Tag(tag.clone())).await?;
    item.report().target_digest = held;
    let digest = root.digest();
    if held.is_some_and(|held| root.has_digest(&held)) {
        return Ok(item.copied());
    }
    let says = held.map_or("does not know the tag".to_owned(), |held| format!("says {held}"));
    let message = format!("tag {tag} was set to {digest}, but read back the target {says}");
    Err(Failure::new(Side::Target, Class::Content, message)
        .with_hint("the target rewrites what is pushed, or someone else set the tag meanwhile"))
}

/// Whether what belongs to an image must come with it: it is required, or planned.
fn must_have_all(walk: &Walk) -> bool {
    let carries_out = walk.options.mode == crate::Mode::Sync && walk.options.fence.is_some();
    walk.options.referrers.required || carries_out
}

/// What could not be had of what belongs to an image: a failure where that is required, else a
/// note. Never nothing: "not allowed" does not mean "none".
pub(crate) fn settle(walk: &Walk, problems: Vec<Failure>, item: &Item) -> Result<(), Failure> {
    let count = problems.len();
    let Some(first) = problems.into_iter().next() else { return Ok(()) };
    if must_have_all(walk) {
        let hint = "were referrers best-effort, this would be a note";
        return Err(if first.hint.is_some() { first } else { first.with_hint(hint) });
    }
    let more = match count {
        1 => String::new(),
        more => format!(" (and {} more such problems)", more - 1),
    };
    let note = format!("not all referrers or signatures may be there: {first}{more}");
    item.report().notes.push(note);
    Ok(())
}
