//! What is done about the signatures of something at the target, in one table. Pure.
//!
//! A valid signature by the mirror's key: nothing, unless it is to be in a transparency log and is not;
//! then it is signed anew. So it is where there is one by a former key of the mirror's only: whoever
//! verifies goes by today's. None: sign. One that is by neither and did not come with the image from its
//! source: refused, because somebody else publishes there.

use crate::SignatureFormat;

/// The signatures that the target has of one manifest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Seen {
    /// A valid one by the mirror's key, in cosign's first form.
    pub(crate) own_legacy: bool,
    /// A valid one by the mirror's key, as a bundle.
    pub(crate) own_bundle: bool,
    /// A valid one by the mirror's key that is in no transparency log, and should be.
    pub(crate) own_unlogged: bool,
    /// A valid one by a key that was the mirror's before. Looked for where there is none by today's.
    pub(crate) own_former: bool,
    /// Those that are neither by these keys nor from the source: whose, as far as can be told.
    pub(crate) strangers: Vec<String>,
}

impl Seen {
    /// Whether there is any by the mirror's key, today's or a former one.
    pub(crate) fn has_own(&self) -> bool {
        self.own_legacy || self.own_bundle || self.own_unlogged || self.own_former
    }
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing, it is signed.
    Signed,
    /// To sign, in these forms.
    Sign { legacy: bool, bundle: bool },
    /// Nothing may be done: these have signed there.
    Refused(Vec<String>),
}

/// Decides about one manifest.
pub(crate) fn decide(format: SignatureFormat, seen: &Seen) -> Verdict {
    let legacy = format.has_legacy() && !seen.own_legacy;
    let bundle = format.has_bundle() && !seen.own_bundle;
    match (seen.has_own(), legacy || bundle) {
        (false, _) if !seen.strangers.is_empty() => Verdict::Refused(seen.strangers.clone()),
        (_, true) => Verdict::Sign { legacy, bundle },
        (_, false) => Verdict::Signed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_has_a_verdict() {
        use SignatureFormat::{Both, Bundle, Legacy};
        let sign = |legacy, bundle| Verdict::Sign { legacy, bundle };
        let refused = Verdict::Refused(vec!["theirs".to_owned()]);
        let table = [
            ("nothing there", Legacy, "", sign(true, false)),
            ("nothing there", Bundle, "", sign(false, true)),
            ("nothing there", Both, "", sign(true, true)),
            ("ours is there", Legacy, "l", Verdict::Signed),
            ("ours is there", Bundle, "b", Verdict::Signed),
            ("ours are there", Both, "lb", Verdict::Signed),
            ("one form is missing", Both, "l", sign(false, true)),
            ("one form is missing", Both, "b", sign(true, false)),
            ("the other form is there", Legacy, "b", sign(true, false)),
            ("the other form is there", Bundle, "l", sign(false, true)),
            ("a stranger", Legacy, "s", refused.clone()),
            ("a stranger", Both, "s", refused),
            ("ours beside a stranger's", Legacy, "ls", Verdict::Signed),
            ("ours beside a stranger's", Both, "bs", sign(true, false)),
            ("ours is in no log", Legacy, "u", sign(true, false)),
            ("ours is in no log", Bundle, "u", sign(false, true)),
            ("one of ours is in no log", Both, "lu", sign(false, true)),
            ("one of ours is in no log", Legacy, "lu", Verdict::Signed),
            ("ours is in no log, beside a stranger's", Legacy, "us", sign(true, false)),
            ("a former key's alone", Legacy, "f", sign(true, false)),
            ("a former key's alone", Bundle, "f", sign(false, true)),
            ("a former key's alone", Both, "f", sign(true, true)),
            ("a former key's beside a stranger's", Legacy, "fs", sign(true, false)),
            ("a former key's beside ours", Legacy, "lf", Verdict::Signed),
            ("a former key's beside ours", Both, "lf", sign(false, true)),
            ("a former key's beside ours that is in no log", Bundle, "uf", sign(false, true)),
        ];
        for (case, format, there, verdict) in table {
            let seen = Seen {
                own_legacy: there.contains('l'),
                own_bundle: there.contains('b'),
                own_unlogged: there.contains('u'),
                own_former: there.contains('f'),
                strangers: there.matches('s').map(|_| "theirs".to_owned()).collect(),
            };
            assert_eq!(decide(format, &seen), verdict, "{case}: {format:?} {there}");
        }
    }
}
