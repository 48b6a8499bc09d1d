//! Whether the world is still as a plan has it, in one table. Pure.

use oci::Digest;

use crate::{Class, ItemReport, Outcome};

/// What a plan has of one item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Planned {
    /// To copy this under a tag that is not there.
    Copy(Digest),
    /// The tag is there and holds this; at most something is added to it.
    There(Digest),
    /// Nothing: it was drift, or could not be done.
    Left,
}

/// How the world has moved since.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moved {
    /// The target's tag holds something else.
    TargetChanged {
        /// What it is to hold.
        planned: Digest,
        /// What it holds.
        there: Option<Digest>,
    },
    /// The target's tag is gone.
    TargetLost,
    /// Something that was planned is gone from the source.
    SourceGone,
    /// It is not allowed any more.
    Refused,
    /// It could not be looked at.
    NotSeen,
}

/// How the world has moved; nothing where what was planned can be done, or is done already.
pub fn compare(planned: Planned, seen: &ItemReport) -> Option<Moved> {
    use Outcome as O;
    let wanted = match planned {
        // Nothing will be done.
        Planned::Left => return None,
        Planned::Copy(digest) | Planned::There(digest) => digest,
    };
    let changed = Some(Moved::TargetChanged { planned: wanted, there: seen.target_digest });
    let is_copied = matches!(planned, Planned::Copy(_));
    match seen.outcome {
        O::Refused => Some(Moved::Refused),
        O::Drift => changed,
        O::UpToDate | O::SourceMoved | O::SourceLost | O::Copied => {
            // What the source has lost, nobody has compared.
            if seen.target_digest.is_some_and(|there| there != wanted) { changed } else { None }
        }
        O::WouldCopy if is_copied => None,
        O::SourceMissing if is_copied => Some(Moved::SourceGone),
        O::WouldCopy | O::SourceMissing => Some(Moved::TargetLost),
        O::Failed if seen.failure.as_ref().is_some_and(|why| why.class == Class::NotFound) => {
            Some(Moved::SourceGone)
        }
        O::Failed | O::Deferred => Some(Moved::NotSeen),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Failure, Side, Wanted, WantedSignatures};

    const S: Digest = Digest::Sha256([1; 32]);
    const T: Digest = Digest::Sha256([2; 32]);

    fn seen(outcome: Outcome, target: Option<Digest>, class: Option<Class>) -> ItemReport {
        let wanted = Wanted {
            source: "a.io/b:1".parse::<oci::Reference>().unwrap().try_into().unwrap(),
            written: "a.io/b:1".to_owned(),
            extent: oci::Extent::Whole,
            target: "m.io/b:1".parse::<oci::Reference>().unwrap().try_into().unwrap(),
            lists_images: false,
            signatures: WantedSignatures::default(),
            origin: None,
        };
        let failure = class.map(|class| Failure::new(Side::Source, class, "why"));
        let report = ItemReport::new(Arc::new(wanted), outcome);
        ItemReport { target_digest: target, failure, ..report }
    }

    #[test]
    fn every_combination_has_its_verdict() {
        use Outcome as O;
        let changed = |there| Some(Moved::TargetChanged { planned: S, there });
        // What was seen; the verdict of what was to be copied, of what was there.
        let table = [
            (seen(O::WouldCopy, None, None), None, Some(Moved::TargetLost)),
            (seen(O::UpToDate, Some(S), None), None, None),
            (seen(O::SourceMoved, Some(S), None), None, None),
            (seen(O::SourceLost, Some(S), None), None, None),
            (seen(O::SourceLost, Some(T), None), changed(Some(T)), changed(Some(T))),
            (seen(O::Drift, Some(T), None), changed(Some(T)), changed(Some(T))),
            (seen(O::SourceMissing, None, None), Some(Moved::SourceGone), Some(Moved::TargetLost)),
            (
                seen(O::Failed, None, Some(Class::NotFound)),
                Some(Moved::SourceGone),
                Some(Moved::SourceGone),
            ),
            (
                seen(O::Failed, None, Some(Class::Network)),
                Some(Moved::NotSeen),
                Some(Moved::NotSeen),
            ),
            (
                seen(O::Deferred, None, Some(Class::RateLimited)),
                Some(Moved::NotSeen),
                Some(Moved::NotSeen),
            ),
            (
                seen(O::Refused, None, Some(Class::Signature)),
                Some(Moved::Refused),
                Some(Moved::Refused),
            ),
        ];
        for (seen, copied, there) in table {
            let case = format!("{:?} {:?} {:?}", seen.outcome, seen.target_digest, seen.failure);
            assert_eq!(compare(Planned::Copy(S), &seen), copied, "to copy: {case}");
            assert_eq!(compare(Planned::There(S), &seen), there, "there: {case}");
            assert_eq!(compare(Planned::Left, &seen), None, "left: {case}");
        }
    }
}
