//! What faults do to the body of an answer, as it streams by.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use http_body::Body as _;

use super::gate::Gate;
use crate::listener::Connection;

/// A change of a body.
#[derive(Clone)]
pub(crate) enum Change {
    /// So many bytes, then the connection closes.
    Cut(u64),
    /// So many bytes, then a wait, then the rest.
    Hold(u64, Gate),
    /// The byte at this offset is another.
    Flip(u64),
    /// Only so many bytes, cleanly ended; with a Content-Length or without.
    Shorten(u64, bool),
    /// So many bytes more.
    Lengthen(u64),
}

type Item = Result<Bytes, axum::Error>;

/// Changes the body of `response`, which goes out over `connection`.
pub(crate) fn change(response: Response, change: Change, connection: &Connection) -> Response {
    let (mut parts, body) = response.into_parts();
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let whole = announced.and_then(|text| text.parse().ok()).or(body.size_hint().exact());
    // A body that streams has no length of its own, so only this header tells one.
    let length = match &change {
        Change::Cut(_) | Change::Hold(..) | Change::Flip(_) => whole,
        Change::Shorten(bytes, true) => whole.map(|whole| whole.min(*bytes)),
        Change::Shorten(_, false) => None,
        Change::Lengthen(bytes) => whole.map(|whole| whole + bytes),
    };
    parts.headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let content = body.into_data_stream();
    let body = match change {
        Change::Cut(bytes) => {
            let connection = connection.clone();
            let close = stream::once(async move {
                connection.flushed().await;
                absurd(connection.close().await)
            });
            Body::from_stream(first(content, bytes).chain(close))
        }
        Change::Hold(bytes, gate) => Body::from_stream(held(content, bytes, gate)),
        Change::Flip(offset) => Body::from_stream(flipped(content, offset)),
        Change::Shorten(bytes, _) => Body::from_stream(first(content, bytes)),
        Change::Lengthen(bytes) => {
            let more = vec![b'+'; usize::try_from(bytes).unwrap_or_default()];
            Body::from_stream(content.chain(stream::once(async { Ok(Bytes::from(more)) })))
        }
    };
    Response::from_parts(parts, body)
}

fn absurd(never: Infallible) -> Item {
    match never {}
}

/// The first `limit` bytes.
pub(crate) fn first<S>(content: S, limit: u64) -> impl Stream<Item = Item> + Send
where
    S: Stream<Item = Item> + Send + Unpin,
{
    stream::unfold((content, limit), |(mut content, left)| async move {
        if left == 0 {
            return None;
        }
        let item = content.next().await?;
        let Ok(mut chunk) = item else { return Some((item, (content, 0))) };
        let left_in_chunk = usize::try_from(left).unwrap_or(usize::MAX);
        chunk.truncate(left_in_chunk);
        let left = left - chunk.len() as u64;
        Some((Ok(chunk), (content, left)))
    })
}

/// Each chunk with the offset of its first byte.
fn with_offsets<S>(content: S) -> impl Stream<Item = (u64, Item)> + Send
where
    S: Stream<Item = Item> + Send,
{
    content.scan(0, |offset, item| {
        let start = *offset;
        *offset += item.as_ref().map_or(0, Bytes::len) as u64;
        futures::future::ready(Some((start, item)))
    })
}

fn flipped<S>(content: S, at: u64) -> impl Stream<Item = Item> + Send
where
    S: Stream<Item = Item> + Send,
{
    with_offsets(content).map(move |(start, item)| {
        let chunk = item?;
        let index = at.checked_sub(start).and_then(|index| usize::try_from(index).ok());
        let mut changed = BytesMut::from(chunk);
        if let Some(byte) = index.and_then(|index| changed.get_mut(index)) {
            *byte ^= 0xff;
        }
        Ok(changed.freeze())
    })
}

fn held<S>(content: S, at: u64, gate: Gate) -> impl Stream<Item = Item> + Send
where
    S: Stream<Item = Item> + Send,
{
    with_offsets(content)
        .flat_map(move |(start, item)| {
            // The chunk around the mark is two, so that exactly what is before it goes out.
            let split = match (&item, at.checked_sub(start).and_then(|at| usize::try_from(at).ok()))
            {
                (Ok(chunk), Some(index)) if index < chunk.len() => Some(index),
                _ => None,
            };
            let pieces = match (item, split) {
                (Ok(mut chunk), Some(index)) => {
                    let before = chunk.split_to(index);
                    vec![(false, Ok(before)), (true, Ok(chunk))]
                }
                (item, _) => vec![(false, item)],
            };
            stream::iter(pieces)
        })
        .then(move |(waits, item)| {
            let gate = gate.clone();
            async move {
                if waits {
                    gate.pass().await;
                }
                item
            }
        })
}
