//! The body of an upload: exactly as many bytes as were promised, and a watch on who is slow.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio::time::Instant;

use crate::auth::lock;
use crate::error::{Error, ErrorKind, Failure};
use crate::settings::Timeouts;

type BoxError = Box<dyn StdError + Send + Sync>;

/// The largest piece that is handed on, in bytes. hyper queues 16 pieces for each connection whose
/// peer is slow (`MAX_BUF_LIST_BUFFERS`), and reads give up to 16 KiB at once.
const PIECE: usize = 4 * 1024;

/// A stream of exactly so many bytes.
pub(crate) struct UploadBody<S> {
    content: Pin<Box<S>>,
    /// What was read and is still to be handed on.
    rest: Bytes,
    size: u64,
    sent: u64,
    watch: Arc<Watch>,
}

/// What is known of an upload while the HTTP client has its body.
pub(crate) struct Watch {
    state: Mutex<State>,
    /// Why the content could not be read to its end.
    failed: Mutex<Option<BoxError>>,
}

#[derive(Clone, Copy)]
enum State {
    /// The registry should take the next piece.
    Sending(Instant),
    /// The next piece is not there yet. How long that may take is not our affair.
    Reading,
    /// The registry has all, and should answer.
    Committing(Instant),
}

impl<S, E> UploadBody<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    /// The body, and the watch on it.
    pub(crate) fn new(size: u64, content: S) -> (Self, Arc<Watch>) {
        let state = if size == 0 { State::Committing } else { State::Sending };
        let watch =
            Arc::new(Watch { state: Mutex::new(state(Instant::now())), failed: Mutex::default() });
        let (content, rest) = (Box::pin(content), Bytes::new());
        (Self { content, rest, size, sent: 0, watch: Arc::clone(&watch) }, watch)
    }

    fn fail(&self, error: BoxError) -> Poll<Option<Result<Bytes, BoxError>>> {
        // The first cause; what comes of asking on is none.
        lock(&self.watch.failed).get_or_insert(error);
        Poll::Ready(Some(Err("the content could not be read".into())))
    }
}

impl<S, E> Stream for UploadBody<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let next = match std::mem::take(&mut self.rest) {
                rest if rest.is_empty() => self.content.as_mut().poll_next(context),
                rest => Poll::Ready(Some(Ok(rest))),
            };
            match next {
                Poll::Pending => {
                    *lock(&self.watch.state) = State::Reading;
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(piece))) if piece.is_empty() => {}
                Poll::Ready(Some(Ok(mut piece))) => {
                    self.rest = piece.split_off(piece.len().min(PIECE));
                    self.sent += piece.len() as u64;
                    if self.sent > self.size {
                        let size = self.size;
                        return self.fail(format!("it has more than {size} bytes").into());
                    }
                    let now = Instant::now();
                    *lock(&self.watch.state) = if self.sent == self.size {
                        State::Committing(now)
                    } else {
                        State::Sending(now)
                    };
                    return Poll::Ready(Some(Ok(piece)));
                }
                Poll::Ready(Some(Err(error))) => return self.fail(error.into()),
                Poll::Ready(None) if self.sent < self.size => {
                    let (sent, size) = (self.sent, self.size);
                    return self.fail(format!("it ended after {sent} of {size} bytes").into());
                }
                Poll::Ready(None) => return Poll::Ready(None),
            }
        }
    }
}

impl Watch {
    /// Ends when the registry was silent for too long.
    pub(crate) async fn stalled(&self, timeouts: &Timeouts) -> Failure {
        loop {
            let state = *lock(&self.state);
            let deadline = match state {
                State::Sending(since) => since + timeouts.idle,
                State::Committing(since) => since + timeouts.commit,
                State::Reading => Instant::now() + timeouts.idle.max(Duration::from_millis(1)),
            };
            tokio::time::sleep_until(deadline).await;
            let unchanged = match (state, *lock(&self.state)) {
                (State::Sending(before), State::Sending(now))
                | (State::Committing(before), State::Committing(now)) => before == now,
                _ => false,
            };
            if unchanged {
                let message = match state {
                    State::Committing(_) => "the registry has all of it but does not answer",
                    _ => "the registry takes no more of it",
                };
                return Failure::new(ErrorKind::Network, message).temporary();
            }
        }
    }

    /// Why the content could not be read to its end, if that is what went wrong.
    pub(crate) fn content_failure(&self) -> Option<Failure> {
        let error = lock(&self.failed).take()?;
        Some(content_failure(error))
    }
}

/// The failure of an upload whose content could not be read.
pub(crate) fn content_failure(error: BoxError) -> Failure {
    let temporary = error.downcast_ref::<Error>().is_some_and(Error::is_temporary);
    let failure = Failure::new(ErrorKind::Content, "its content could not be read").source(error);
    if temporary { failure.temporary() } else { failure }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn large_pieces_are_handed_on_in_small_ones() {
        let content = Bytes::from((0..=255).cycle().take(2 * PIECE + 1).collect::<Vec<u8>>());
        let pieces = stream::iter([Ok::<_, BoxError>(content.clone())]);
        let (body, _watch) = UploadBody::new(content.len() as u64, pieces);
        let taken: Vec<Bytes> = body.map(|piece| piece.unwrap()).collect().await;
        assert_eq!(taken.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, 1]);
        assert_eq!(taken.concat(), content);
    }

    async fn send(size: u64, pieces: &[&'static str]) -> (Vec<bool>, Option<String>) {
        let pieces = pieces.iter().map(|piece| match *piece {
            "!" => Err("the source broke"),
            piece => Ok(Bytes::from_static(piece.as_bytes())),
        });
        let (body, watch) = UploadBody::new(size, stream::iter(pieces.collect::<Vec<_>>()));
        let taken = body.take(10).map(|piece| piece.is_ok()).collect::<Vec<_>>().await;
        let failed = lock(&watch.failed).take();
        (taken, failed.map(|error| error.to_string()))
    }

    #[tokio::test]
    async fn exactly_as_many_bytes_as_promised() {
        assert_eq!(send(4, &["ab", "", "cd"]).await, (vec![true, true], None));
        assert_eq!(send(0, &[""]).await, (vec![], None));
        let (taken, failed) = send(3, &["ab", "cd"]).await;
        assert_eq!(
            (taken.as_slice(), failed.unwrap().as_str()),
            ([true, false].as_slice(), "it has more than 3 bytes")
        );
        let (_, failed) = send(5, &["ab", "cd"]).await;
        assert_eq!(failed.unwrap(), "it ended after 4 of 5 bytes");
        let (_, failed) = send(5, &["ab", "!"]).await;
        assert_eq!(failed.unwrap(), "the source broke");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_is_not_a_silent_registry() {
        let timeouts = Timeouts::default();
        let pieces = stream::once(async { Ok::<_, BoxError>(Bytes::from_static(b"ab")) })
            .chain(stream::pending());
        let (mut body, watch) = UploadBody::new(4, pieces);
        let started = Instant::now();
        body.next().await;
        // Nobody asks for the next piece.
        let failure = watch.stalled(&timeouts).await;
        assert_eq!(started.elapsed(), timeouts.idle);
        assert!(failure.is_temporary());
        // It is asked for, but not there.
        let next = futures::FutureExt::now_or_never(body.next());
        assert!(next.is_none());
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, watch.stalled(&timeouts)).await.is_err());
    }
}
