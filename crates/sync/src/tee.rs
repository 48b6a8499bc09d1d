//! One reading of a blob for several writers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::place::BlobContent;
use crate::{Class, Failure, Side};

/// How many pieces a writer may lag behind the fastest one.
const PIECES: usize = 8;

/// A writer that takes nothing for so long is let go: it may wait for something that another writer
/// of the same content holds, such as its turn at a registry. It reads for itself then.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same content `writers` times. It is read as fast as the slowest writer takes it.
pub(crate) fn split(content: BlobContent, writers: usize) -> Vec<BlobContent> {
    if writers <= 1 {
        return vec![content];
    }
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..writers).map(|_| mpsc::channel(PIECES)).unzip();
    let pump =
        Arc::new(AbortOnDropHandle::new(tokio::spawn(pump(content, senders).in_current_span())));
    let content = |receiver: mpsc::Receiver<Result<Bytes, Failure>>| {
        // The pump ends with the last of its readers.
        let state = (receiver, Arc::clone(&pump), true);
        futures::stream::unfold(state, |(mut receiver, pump, goes_on)| async move {
            if !goes_on {
                return None;
            }
            let piece = receiver.recv().await?;
            let goes_on = piece.is_ok();
            Some((piece, (receiver, pump, goes_on)))
        })
        .boxed()
    };
    receivers.into_iter().map(content).collect()
}

async fn pump(mut content: BlobContent, senders: Vec<mpsc::Sender<Result<Bytes, Failure>>>) {
    let mut senders: Vec<Option<_>> = senders.into_iter().map(Some).collect();
    while let Some(piece) = content.next().await {
        let sends = senders.iter_mut().map(|slot| async {
            let Some(sender) = slot else { return };
            match sender.send_timeout(piece.clone(), PATIENCE).await {
                Ok(()) => {}
                Err(mpsc::error::SendTimeoutError::Closed(_)) => *slot = None,
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                    let sender = slot.take();
                    // It must not take what it got for the whole.
                    tokio::spawn(async move {
                        let Some(sender) = sender else { return };
                        drop(sender.send(Err(left_behind())).await);
                    });
                }
            }
        });
        futures::future::join_all(sends).await;
        if piece.is_err() || senders.iter().all(Option::is_none) {
            return;
        }
    }
}

fn left_behind() -> Failure {
    let message = "another target that takes the same content was waited for too long";
    Failure::new(Side::Target, Class::Network, message).again()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use futures::stream;

    use super::*;

    fn content(pieces: usize) -> BlobContent {
        let pieces = (0..pieces).map(|number| Ok(Bytes::from(number.to_string())));
        stream::iter(pieces.collect::<Vec<_>>()).boxed()
    }

    #[tokio::test]
    async fn each_writer_gets_all_of_it() {
        let writers = split(content(100), 3);
        let got = writers.into_iter().map(TryStreamExt::try_collect::<Vec<_>>);
        let expected: Vec<Bytes> = content(100).try_collect().await.unwrap();
        for got in futures::future::join_all(got).await {
            assert_eq!(got.unwrap(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_leaves_or_stands_still_does_not_hold_the_others() {
        let mut writers = split(content(100), 3);
        let still = writers.pop().unwrap();
        drop(writers.pop());
        let got: Vec<Bytes> = writers.remove(0).try_collect().await.unwrap();
        assert_eq!(got.len(), 100);
        let still: Result<Vec<Bytes>, Failure> = still.try_collect().await;
        assert!(still.unwrap_err().temporary);
    }

    #[tokio::test]
    async fn a_broken_source_breaks_for_all() {
        let broken = Failure::new(Side::Source, Class::Content, "broken");
        let content = content(3).chain(stream::iter([Err(broken.clone())])).boxed();
        for writer in split(content, 2) {
            assert_eq!(writer.try_collect::<Vec<_>>().await.unwrap_err(), broken);
        }
    }
}
