//! [`Log`]: what a server writes, line by line, and the requests that are in it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The lines of a running program. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    shared: Arc<(Mutex<Vec<String>>, Condvar)>,
}

/// A request as a server's access log has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The status of the answer, where the server logs it.
    pub status: Option<u16>,
}

impl Request {
    /// Whether it only asked who we are: the ping, or a request that was sent back for a credential.
    pub(crate) fn is_auth(&self) -> bool {
        self.path == "/v2/" || self.status == Some(401)
    }

    /// Whether it changes something at the server.
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }

    /// Whether it moves a blob from the server.
    pub fn is_blob_read(&self) -> bool {
        self.method == "GET" && self.path.contains("/blobs/")
    }

    /// Reads a line of docker-registry's and distribution's access log (Apache's combined format),
    /// of go-containerregistry's (`date time METHOD path [status code message]`), or of
    /// `image-syncer serve --debug` (`… answered method=METHOD path="path" status=code …`).
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (method, target, status) = if let Some((_, rest)) = line.split_once("method=") {
            let (method, rest) = rest.split_once(" path=\"")?;
            let (target, rest) = rest.split_once("\" status=")?;
            (method, target, rest.split(' ').next())
        } else if let Some((_, rest)) = line.split_once('"') {
            let (request, rest) = rest.split_once('"')?;
            let (method, rest_of_request) = request.split_once(' ')?;
            (method, rest_of_request.split(' ').next()?, rest.split_whitespace().next())
        } else {
            let mut words = line.split(' ').skip(2);
            (words.next()?, words.next()?, words.next())
        };
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&method);
        let path = target.split('?').next()?;
        (known && path.starts_with("/v2")).then(|| Self {
            method: method.to_owned(),
            path: path.to_owned(),
            status: status.and_then(|status| status.parse().ok()),
        })
    }
}

impl Log {
    /// Keeps every line that comes out of the pipe, until it ends.
    pub(crate) fn follow(&self, pipe: impl Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let (lines, changed) = &*log.shared;
                lines.lock().unwrap().push(line);
                changed.notify_all();
            }
        });
    }

    /// Waits until a line gives something, and returns it. None: not within the limit.
    pub(crate) fn wait<T>(&self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.wait_for(limit, |lines| lines.iter().find_map(|line| find(line)))
    }

    /// Waits until all lines together give something, and returns it. None: not within the limit.
    pub(crate) fn wait_for<T>(
        &self,
        limit: Duration,
        find: impl Fn(&[String]) -> Option<T>,
    ) -> Option<T> {
        let (lines, changed) = &*self.shared;
        let deadline = Instant::now() + limit;
        let mut lines = lines.lock().unwrap();
        loop {
            if let Some(found) = find(&lines) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            lines = changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// All lines so far.
    pub(crate) fn text(&self) -> String {
        self.shared.0.lock().unwrap().join("\n")
    }

    /// How many lines there are so far.
    pub(crate) fn length(&self) -> usize {
        self.shared.0.lock().unwrap().len()
    }

    /// All requests so far, but for those in the first lines.
    pub(crate) fn requests(&self, skipped: usize) -> Vec<Request> {
        let lines = self.shared.0.lock().unwrap();
        lines.iter().skip(skipped).filter_map(|line| Request::parse(line)).collect()
    }
}
