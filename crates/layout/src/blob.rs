//! [`BlobReader`]: a blob's content as a stream.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, Take};
use tokio_util::io::ReaderStream;

use crate::Error;
use crate::durable::is_absent;

/// How much is read at once, in bytes: large enough that the way to the blocking pool and back
/// does not count, small enough for hundreds of streams.
const PIECE: usize = 256 * 1024;

/// A blob's content, from some offset to its end or to a limit. It is not checked against the
/// digest: whoever takes it has to.
#[derive(Debug)]
pub struct BlobReader {
    size: u64,
    remaining: u64,
    path: PathBuf,
    content: ReaderStream<Take<File>>,
}

impl BlobReader {
    /// Opens the blob at `path`, or the part of the archive there that begins at the first number
    /// and has the second number of bytes.
    pub(crate) async fn open(
        path: &Path,
        part: Option<(u64, u64)>,
        offset: u64,
    ) -> Result<Option<Self>, Error> {
        let mut file = match File::open(path).await {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let (start, size) = match part {
            Some(part) => part,
            None => (0, file.metadata().await.map_err(Error::io("read", path))?.len()),
        };
        let offset = offset.min(size);
        if start + offset > 0 {
            file.seek(SeekFrom::Start(start + offset)).await.map_err(Error::io("read", path))?;
        }
        file.set_max_buf_size(PIECE);
        let remaining = size - offset;
        let content = ReaderStream::with_capacity(file.take(remaining), PIECE);
        Ok(Some(Self { size, remaining, path: path.to_owned(), content }))
    }

    /// The size of the whole blob in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends after `length` bytes, if the blob does not end before.
    #[must_use]
    pub fn limit(self, length: u64) -> Self {
        Self { remaining: self.remaining.min(length), ..self }
    }
}

impl Stream for BlobReader {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let piece = ready!(Pin::new(&mut self.content).poll_next(cx));
        // A file that shrinks while it is read must not pass for a whole one.
        let piece = piece.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
        Poll::Ready(Some(match piece {
            Ok(mut piece) => {
                piece.truncate(usize::try_from(self.remaining).unwrap_or(usize::MAX));
                self.remaining -= piece.len() as u64;
                Ok(piece)
            }
            Err(error) => {
                self.remaining = 0;
                Err(Error::io("read", &self.path)(error))
            }
        }))
    }
}
