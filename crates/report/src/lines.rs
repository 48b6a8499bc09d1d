//! [`Lines`]: what happens, as log events for where no bars can be drawn. How they look, text or
//! JSON, and where they go is the subscriber's business.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sync::{Event, ItemId, Listener, Outcome, Wanted};

use crate::hint::next_step;
use crate::words;

/// A listener that logs one line for each copy that starts, each transfer that begins again and
/// each item that is done.
#[derive(Debug, Default)]
pub struct Lines {
    under_way: Mutex<HashMap<ItemId, Arc<Wanted>>>,
}

impl Listener for Lines {
    fn hear(&self, event: &Event) {
        // A listener that panicked elsewhere left the map whole: no invariant spans two entries.
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::ItemStarted { item, wanted } => {
                under_way.insert(*item, Arc::clone(wanted));
            }
            Event::CopyStarted { item, blobs, bytes } => {
                if let Some(wanted) = under_way.get(item) {
                    tracing::info!(
                        source = %wanted.source,
                        target = %wanted.target,
                        blobs,
                        size = words::size(*bytes),
                        "copying"
                    );
                }
            }
            Event::BlobRetried { item, digest, lost, reason } => {
                if let Some(wanted) = under_way.get(item) {
                    tracing::warn!(
                        target = %wanted.target,
                        blob = %digest,
                        lost = words::size(*lost),
                        reason,
                        "transfer broke, beginning again"
                    );
                }
            }
            Event::Selected { selection, tags, selected } => tracing::info!(
                source = %selection.source,
                target = %selection.target,
                tags,
                selected,
                "tags selected"
            ),
            Event::NotSelected { report } => finished(report),
            Event::ItemFinished { item, report } => {
                under_way.remove(item);
                finished(report);
            }
            _ => {}
        }
    }
}

fn finished(report: &sync::ItemReport) {
    let target = report.wanted.target();
    let outcome = words::outcome(report.outcome);
    let digest = report.target_digest.or(report.source_digest).map(tracing::field::display);
    let time = words::time(report.duration);
    let reason = report.failure.as_ref().map(ToString::to_string);
    let hint = report.failure.as_ref().map(next_step);
    match report.outcome {
        Outcome::Copied => tracing::info!(
            %target,
            digest,
            copied = words::size(report.transferred.copied),
            mounted = words::size(report.transferred.mounted),
            present = words::size(report.transferred.present),
            time,
            "{outcome}"
        ),
        Outcome::WouldCopy | Outcome::UpToDate => {
            tracing::info!(%target, digest, time, "{outcome}");
        }
        Outcome::Drift => tracing::error!(
            %target,
            source_digest = report.source_digest.map(tracing::field::display),
            target_digest = report.target_digest.map(tracing::field::display),
            time,
            "{outcome}"
        ),
        Outcome::SourceMoved | Outcome::SourceLost | Outcome::Deferred => {
            tracing::warn!(%target, digest, reason, hint, time, "{outcome}");
        }
        Outcome::SourceMissing | Outcome::Refused | Outcome::Failed => {
            tracing::error!(%target, reason, hint, time, "{outcome}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::sample;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Page {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_line_for_each_copy_and_each_end() {
        let page = Page::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(page.clone())
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let lines = Lines::default();
            for (number, report) in sample::report().items.into_iter().enumerate() {
                let item = ItemId(number);
                let sync::Wish::Tag(wanted) = report.wanted.clone() else { continue };
                lines.hear(&Event::ItemStarted { item, wanted });
                if report.outcome == Outcome::Copied {
                    lines.hear(&Event::CopyStarted { item, blobs: 3, bytes: 74_450_396 });
                    let (digest, reason) = (sample::SOURCE, "connection reset".to_owned());
                    lines.hear(&Event::BlobRetried { item, digest, lost: 2048, reason });
                }
                lines.hear(&Event::ItemFinished { item, report: Arc::new(report) });
            }
            assert!(lines.under_way.lock().unwrap().is_empty());
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text);
    }
}
