//! What a run changed for an item at the target, or would change: one rule, from which the exit code, the
//! severity and every format take it. An image that is up to date may still be signed, or get what came late.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, Item, Outcome, Severity, Signature, SignatureState};

/// Referrers and signatures that came to belong to an image after it was copied.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LateArrivals {
    /// How many they are.
    pub artifacts: usize,
    /// What became of them.
    pub state: LateState,
}

/// What became of late arrivals.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LateState {
    /// They were copied.
    Copied,
    /// A plan left them.
    WouldCopy,
}

impl Item {
    /// Whether a sync would write something for it: the tag, a signature, or what came late. A signature that
    /// is there and that a plan did not check is no work that is known of.
    pub fn is_pending(&self) -> bool {
        match self.outcome {
            Outcome::WouldCopy | Outcome::WouldCreate | Outcome::WouldUpdate => true,
            Outcome::UpToDate | Outcome::SourceMoved | Outcome::SourceLost => {
                self.has_signature(SignatureState::WouldSign) || self.late(LateState::WouldCopy) > 0
            }
            _ => false,
        }
    }

    /// Whether the run wrote something for it.
    pub fn has_changed(&self) -> bool {
        match self.outcome {
            Outcome::Copied | Outcome::Created | Outcome::Updated => true,
            // Its source's tag had moved, and it was copied by its pin.
            Outcome::SourceMoved if self.bytes.total() > 0 => true,
            _ => self.has_signature(SignatureState::Signed) || self.late(LateState::Copied) > 0,
        }
    }

    /// What was done or would be done besides what the outcome says, each as words.
    pub fn besides(&self) -> Vec<String> {
        let signature = self
            .signature
            .as_ref()
            .filter(|one| !matches!(one.state, SignatureState::Present | SignatureState::Missing));
        let late = self.late_arrivals.map(|late| late.in_words());
        signature.map(Signature::in_words).into_iter().chain(late).collect()
    }

    fn has_signature(&self, state: SignatureState) -> bool {
        self.signature.as_ref().is_some_and(|signature| signature.state == state)
    }

    fn late(&self, state: LateState) -> usize {
        let late = self.late_arrivals.filter(|late| late.state == state);
        late.map_or(0, |late| late.artifacts)
    }
}

impl Document {
    /// The items for which a sync would write something. What is missing in a verification is a failure.
    pub fn pending(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.is_pending() && self.severity(item) < Severity::Error)
    }

    /// What was done or would be done besides what the outcomes say, in all, each as words.
    pub fn besides(&self) -> Vec<String> {
        let signatures = [
            (SignatureState::Signed, "signed"),
            (SignatureState::WouldSign, "would be signed"),
            (SignatureState::Unchecked, "may be signed: the plan does not ask the key service"),
        ]
        .map(|(state, words)| {
            let items = self.items.iter().filter(|item| item.has_signature(state));
            (items.count(), words)
        });
        let late = [LateState::Copied, LateState::WouldCopy].map(|state| LateArrivals {
            artifacts: self.items.iter().map(|item| item.late(state)).sum(),
            state,
        });
        let signatures = signatures.into_iter().filter(|(items, _)| *items > 0);
        let signatures = signatures.map(|(items, words)| format!("{items} {words}"));
        let late = late.iter().filter(|late| late.artifacts > 0).map(LateArrivals::in_words);
        signatures.chain(late).collect()
    }
}

impl Signature {
    /// What became of it.
    pub(crate) fn in_words(&self) -> String {
        let key = &self.key;
        let with = match self.statement {
            Some(SignatureState::WouldSign | SignatureState::Signed) => {
                ", with a statement about its mirroring"
            }
            _ => "",
        };
        match self.state {
            SignatureState::Present => format!("signed by {key} already"),
            SignatureState::Unchecked => {
                format!("may be signed by {key}: the plan does not ask the key service")
            }
            SignatureState::WouldSign => format!("would be signed by {key}{with}"),
            SignatureState::Signed => format!("signed by {key}{with}"),
            SignatureState::Missing => format!("not signed by {key}"),
        }
    }
}

impl LateArrivals {
    fn in_words(&self) -> String {
        let artifacts = match self.artifacts {
            1 => "1 late referrer or signature".to_owned(),
            several => format!("{several} late referrers or signatures"),
        };
        match self.state {
            LateState::Copied => format!("{artifacts} copied"),
            LateState::WouldCopy => format!("{artifacts} would be copied"),
        }
    }
}

impl From<sync::LateArrivals> for LateArrivals {
    fn from(late: sync::LateArrivals) -> Self {
        match late {
            sync::LateArrivals::Copied(artifacts) => Self { artifacts, state: LateState::Copied },
            sync::LateArrivals::WouldCopy(artifacts) => {
                Self { artifacts, state: LateState::WouldCopy }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sync::Outcome as O;
    use sync::SignatureState as S;

    use super::*;
    use crate::{ExitStatus, Format, Notice, Occasion, Rules, RunFacts, SourceLost, sample};

    fn item(
        outcome: O,
        signature: Option<S>,
        late: Option<sync::LateArrivals>,
    ) -> sync::ItemReport {
        let signature = signature.map(|state| sync::SignatureReport {
            key: "awskms:///alias/mirror".parse().unwrap(),
            state,
            statement: None,
        });
        sync::ItemReport { signature, late, ..sample::item("a:1", 1, outcome) }
    }

    #[test]
    fn what_is_pending_and_what_has_changed() {
        let (copied, would) =
            (Some(sync::LateArrivals::Copied(1)), Some(sync::LateArrivals::WouldCopy(2)));
        let table = [
            // The outcome alone.
            (O::Copied, None, None, "changed"),
            (O::WouldCopy, None, None, "pending"),
            (O::UpToDate, None, None, ""),
            (O::SourceMoved, None, None, ""),
            (O::SourceLost, None, None, ""),
            (O::Drift, None, None, ""),
            (O::Failed, None, None, ""),
            // Its signature.
            (O::Copied, Some(S::Signed), None, "changed"),
            (O::WouldCopy, Some(S::WouldSign), None, "pending"),
            (O::UpToDate, Some(S::Present), None, ""),
            (O::UpToDate, Some(S::Unchecked), None, ""),
            (O::UpToDate, Some(S::WouldSign), None, "pending"),
            (O::UpToDate, Some(S::Signed), None, "changed"),
            (O::UpToDate, Some(S::Missing), None, ""),
            (O::SourceLost, Some(S::WouldSign), None, "pending"),
            (O::SourceMoved, Some(S::WouldSign), None, "pending"),
            (O::SourceMoved, Some(S::Signed), None, "changed"),
            // What could not be foreseen is nothing that a sync is known to write.
            (O::Failed, Some(S::WouldSign), None, ""),
            (O::Refused, Some(S::Missing), None, ""),
            // What failed after it was signed.
            (O::Failed, Some(S::Signed), None, "changed"),
            // What came late.
            (O::UpToDate, None, would, "pending"),
            (O::UpToDate, None, copied, "changed"),
            (O::UpToDate, Some(S::Unchecked), would, "pending"),
            (O::UpToDate, Some(S::Present), copied, "changed"),
            (O::SourceMoved, None, would, "pending"),
            (O::Failed, None, would, ""),
        ];
        for (outcome, signature, late, expected) in table {
            let item = Item::from(&item(outcome, signature, late));
            let told = (item.is_pending(), item.has_changed());
            let expected = (expected == "pending", expected == "changed");
            assert_eq!(told, expected, "{outcome:?} {signature:?} {late:?}");
        }
    }

    /// Every form of one report says the same of whether something is to be done.
    #[test]
    fn every_form_agrees_on_what_is_pending() {
        let would = Some(sync::LateArrivals::WouldCopy(2));
        let table = [
            (O::WouldCopy, None, None, Some("1 would-copy")),
            (O::UpToDate, Some(S::WouldSign), None, Some("1 would be signed")),
            (O::UpToDate, None, would, Some("2 late referrers or signatures would be copied")),
            (
                O::UpToDate,
                Some(S::Unchecked),
                would,
                Some("2 late referrers or signatures would be copied"),
            ),
            (O::UpToDate, Some(S::Unchecked), None, None),
            (O::UpToDate, Some(S::Present), None, None),
            (O::UpToDate, None, None, None),
        ];
        for (outcome, signature, late, words) in table {
            let case = format!("{outcome:?} {signature:?} {late:?}");
            let report = sample::report_of(vec![item(outcome, signature, late)]);
            let mode = sync::Mode::Plan;
            let rules =
                Rules { mode, source_lost: SourceLost::Warn, pending_has_code: true, signal: None };
            let status = ExitStatus::of(&report, &[], &rules);
            let document = Document::new(&RunFacts { mode, ..sample::facts() }, &report, status);
            let is_pending = words.is_some();
            assert_eq!(status == ExitStatus::ChangesPending, is_pending, "{case}");
            let severity = document.severity(&document.items[0]);
            assert_eq!(severity == Severity::Pending, is_pending, "{case}");
            let notice = Notice::of(&document, &[Occasion::Pending].into());
            assert_eq!(notice.is_some(), is_pending, "{case}");
            assert_eq!(notice.map_or(0, |notice| notice.items.len()), usize::from(is_pending));
            let written = |format: Format| document.written_as(format).unwrap();
            let html = written(Format::Html);
            assert_eq!(html.contains("The item would change"), is_pending, "{case}: {html}");
            assert_eq!(html.contains("The item is as wanted"), !is_pending, "{case}: {html}");
            assert_eq!(written(Format::Junit).contains("<skipped"), is_pending, "{case}");
            let markdown = written(Format::Markdown);
            assert_eq!(markdown.contains("### Would change"), is_pending, "{case}: {markdown}");
            assert_eq!(markdown.contains("✅"), !is_pending, "{case}: {markdown}");
            assert_eq!(document.step_summary(usize::MAX), markdown);
            let view = crate::View { mode, width: None, colour: false, verbose: false };
            let terminal = crate::summary(&report, &document, &view);
            for text in [&markdown, &terminal] {
                assert!(words.is_none_or(|words| text.contains(words)), "{case}: {text}");
            }
        }
    }
}
