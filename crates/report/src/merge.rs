//! [`Document::merge`]: the reports of processes that shared a list, as one.

use std::collections::HashSet;

use crate::{Document, ExitStatus, Item};

/// Why reports cannot be joined.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// There is none.
    #[error("there is no report")]
    Nothing,
    /// Some planned and some copied.
    #[error("the reports are of different kinds of runs: {0} and {1}")]
    Modes(String, String),
    /// Two tell of the same target: they are not shares of one list.
    #[error("two reports tell of {0}; they are no shares of one list")]
    Twice(String),
}

impl Document {
    /// One report of several, in their order: all items, sums, the time from the first beginning to the
    /// last end, and the code that a person should look at first. The id is that of the first.
    ///
    /// # Errors
    /// If there is none, or they are not shares of one list.
    pub fn merge(documents: Vec<Self>) -> Result<Self, MergeError> {
        let mut documents = documents.into_iter();
        let mut whole = documents.next().ok_or(MergeError::Nothing)?;
        let mut seen: HashSet<String> = whole.items.iter().map(place).collect();
        for document in documents {
            if document.run.mode != whole.run.mode {
                let modes =
                    [&whole, &document].map(|one| format!("{:?}", one.run.mode).to_lowercase());
                let [first, second] = modes;
                return Err(MergeError::Modes(first, second));
            }
            let twice = document.items.iter().find(|item| !seen.insert(place(item)));
            if let Some(item) = twice {
                return Err(MergeError::Twice(item.target.clone()));
            }
            whole.add(document);
        }
        let time = whole.run.finished_at.duration_since(whole.run.started_at);
        whole.summary.seconds = time.as_secs_f64();
        Ok(whole)
    }

    fn add(&mut self, other: Self) {
        self.run.started_at = self.run.started_at.min(other.run.started_at);
        self.run.finished_at = self.run.finished_at.max(other.run.finished_at);
        self.run.interrupted |= other.run.interrupted;
        self.items.extend(other.items);
        let (sum, more) = (&mut self.summary, other.summary);
        sum.items += more.items;
        for (outcome, count) in more.outcomes {
            *sum.outcomes.entry(outcome).or_default() += count;
        }
        sum.bytes.copied += more.bytes.copied;
        sum.bytes.mounted += more.bytes.mounted;
        sum.bytes.present += more.bytes.present;
        sum.exit_code = first_to_look_at(sum.exit_code, more.exit_code);
        self.notices.extend(other.notices);
        for registry in other.registries {
            let same = |one: &&mut crate::RegistryUse| {
                (&one.registry, one.side) == (&registry.registry, registry.side)
            };
            let Some(known) = self.registries.iter_mut().find(same) else {
                self.registries.push(registry);
                continue;
            };
            for (status, count) in registry.answers {
                *known.answers.entry(status).or_default() += count;
            }
            known.throttled += registry.throttled;
        }
    }
}

/// An image and its repository may have the same name.
fn place(item: &Item) -> String {
    format!("{:?} {}", item.kind, item.target)
}

/// Of two exit codes, the one that says more.
fn first_to_look_at(one: u8, other: u8) -> u8 {
    let order = [
        ExitStatus::Terminated,
        ExitStatus::Interrupted,
        ExitStatus::Usage,
        ExitStatus::Refused,
        ExitStatus::Drift,
        ExitStatus::Credentials,
        ExitStatus::ItemFailed,
        ExitStatus::RateLimited,
        ExitStatus::ChangesPending,
    ];
    let found = order.into_iter().map(ExitStatus::code).find(|code| [one, other].contains(code));
    found.unwrap_or(one.max(other))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;
    use crate::sample;

    fn document() -> Document {
        Document::new(&sample::facts(), &sample::report(), ExitStatus::Drift)
    }

    /// The same run with these items, from this second to that one.
    fn share(items: std::ops::Range<usize>, exit_code: u8) -> Document {
        let mut document = document();
        document.items = document.items.get(items).unwrap().to_vec();
        document.summary.items = document.items.len();
        document.summary.outcomes.clear();
        for item in &document.items {
            *document.summary.outcomes.entry(item.outcome).or_default() += 1;
        }
        document.summary.exit_code = exit_code;
        document
    }

    #[test]
    fn shares_are_the_whole_again() {
        let whole = document();
        let count = whole.items.len();
        let merged = Document::merge(vec![share(0..2, 0), share(2..count, 3)]).unwrap();
        assert_eq!(merged.items, whole.items);
        assert_eq!(merged.summary.items, count);
        assert_eq!(merged.summary.outcomes, whole.summary.outcomes);
        assert_eq!(merged.summary.exit_code, 3);
        assert_eq!(merged.summary.bytes.copied, 2 * whole.summary.bytes.copied);
        let throttled =
            |document: &Document| document.registries.iter().map(|one| one.throttled).sum::<u64>();
        assert_eq!(merged.registries.len(), whole.registries.len());
        assert_eq!(throttled(&merged), 2 * throttled(&whole));
    }

    #[test]
    fn the_time_is_from_the_first_to_the_last() {
        let (mut first, mut second) = (share(0..1, 0), share(1..2, 0));
        first.run.finished_at = "2026-11-21T08:00:10Z".parse().unwrap();
        second.run.started_at = "2026-11-21T08:00:20Z".parse().unwrap();
        second.run.finished_at = "2026-11-21T08:00:40Z".parse().unwrap();
        second.run.interrupted = true;
        let merged = Document::merge(vec![second, first]).unwrap();
        assert_eq!((merged.summary.seconds, merged.run.interrupted), (40.0, true));
    }

    #[test]
    fn the_code_to_look_at_first() {
        for (codes, expected) in [
            (&[0, 0][..], 0),
            (&[0, 75], 75),
            (&[75, 1, 0], 1),
            (&[1, 3, 75], 3),
            (&[3, 5], 5),
            (&[6, 0], 6),
            (&[4, 143], 143),
        ] {
            let shares =
                codes.iter().enumerate().map(|(at, code)| share(at..at + 1, *code)).collect();
            assert_eq!(Document::merge(shares).unwrap().summary.exit_code, expected, "{codes:?}");
        }
    }

    #[test]
    fn what_are_no_shares_of_one_list() {
        assert_eq!(Document::merge(Vec::new()), Err(MergeError::Nothing));
        let twice = Document::merge(vec![share(0..1, 0), share(0..1, 0)]);
        assert!(matches!(twice, Err(MergeError::Twice(_))));
        let mut plan = share(1..2, 0);
        plan.run.mode = crate::document::Mode::Plan;
        let message = Document::merge(vec![share(0..1, 0), plan]).unwrap_err().to_string();
        assert_eq!(message, "the reports are of different kinds of runs: sync and plan");
    }
}
