//! [`Ranges`]: a large blob, read in ranges and handed on in order.
//!
//! The stretch that is being handed on comes straight from its connection. While its reader has to
//! wait, pieces that lie ahead are fetched by tasks, each into memory that was reserved for it, so
//! that they never wait for anybody; they get permits and memory only if there are some to spare.
//! A piece that fails is fetched again, with all patience, when it is its turn. So nothing that is
//! held here is waited for by what must come first.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tracing::Instrument;

use crate::answer::Opened;
use crate::blob_part::Part;
use crate::blob_source::{BlobSource, Turn};
use crate::error::Failure;
use crate::gate::Permit;
use crate::range_plan::{Measured, Plan, Width};

/// Less time than this says little of a connection.
const MEASURE: Duration = Duration::from_millis(100);

/// What is read ahead is copied into blocks of this size, in bytes: a piece as the HTTP client gives
/// it may hold on to a buffer several times its size.
const BLOCK: usize = 64 * 1024;

/// A large blob on its way.
pub(crate) struct Ranges {
    head: Segment,
    ahead: Ahead,
}

/// What is handed on after the head.
struct Ahead {
    source: Arc<BlobSource>,
    memory: Arc<Semaphore>,
    plan: Plan,
    width: Width,
    segments: VecDeque<Segment>,
    /// Permits or memory do not suffice for as much as would be worth it.
    is_short: bool,
    tasks: JoinSet<Fetched>,
    meter: Meter,
}

/// Where the reader is.
#[derive(Clone, Copy)]
struct Place {
    position: u64,
    /// Whether what it reads comes straight from a connection.
    is_stream: bool,
    /// Whether so little is left of that that what follows should be asked for.
    is_ending: bool,
}

/// A range of the blob.
enum Segment {
    Stream(Part),
    Piece(Piece),
}

/// A range that a task fetches.
struct Piece {
    /// What is not handed on yet.
    range: Range<u64>,
    content: mpsc::UnboundedReceiver<Bytes>,
    /// Given back as the content is handed on.
    memory: OwnedSemaphorePermit,
}

/// What became of a task.
#[derive(Clone, Copy)]
enum Fetched {
    /// It did what it could; so long it waited for its answer.
    Done(Duration),
    /// The server refused it, or the connection broke.
    Failed,
}

/// What is measured.
struct Meter {
    /// When to look again.
    tick: Interval,
    since: Instant,
    /// Bytes that had come by then.
    arrived: u64,
    /// How long the reader has waited since.
    waited: Duration,
    /// Since when it waits.
    waits: Option<Instant>,
    /// The longest that an answer has taken.
    latency: Duration,
}

impl Ranges {
    /// A blob from the start of `plan` on, the first stretch of which is `range` and comes from
    /// `opened`.
    pub(crate) fn new(
        source: Arc<BlobSource>,
        mut plan: Plan,
        latency: Duration,
        opened: Opened,
    ) -> Self {
        let endpoint = &source.repository.endpoint;
        let learned = endpoint.learned.width.load(Ordering::Relaxed);
        let width = Width::new(learned, endpoint.ranges.connections);
        let memory = Arc::clone(&endpoint.memory);
        let head = Segment::Stream(Part::range(Arc::clone(&source), plan.take_stretch(), opened));
        let meter = Meter::new(latency);
        let (segments, is_short, tasks) = (VecDeque::new(), false, JoinSet::new());
        Self {
            head,
            ahead: Ahead { source, memory, plan, width, segments, is_short, tasks, meter },
        }
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let Self { head, ahead } = self;
        loop {
            let place = head.place(ahead.plan.piece());
            ahead.extend(place);
            ahead.meter.waits = Some(Instant::now());
            let came = {
                let mut piece = pin!(head.piece());
                loop {
                    tokio::select! {
                        biased;
                        came = &mut piece => break came,
                        Some(fetched) = ahead.tasks.join_next() => ahead.fetched(fetched.ok()),
                        _ = ahead.meter.tick.tick() => {}
                    }
                    ahead.extend(place);
                }
            };
            ahead.meter.came();
            match (came, &mut *head) {
                (Ok(Some(piece)), _) => return Ok(Some(piece)),
                (Ok(None), _) => match ahead.advance(head) {
                    Some(next) => *head = next,
                    None => return Ok(None),
                },
                (Err(cause), Segment::Stream(part)) => {
                    ahead.let_go();
                    part.resume(&cause).await?;
                }
                (Err(cause), Segment::Piece(_)) => return Err(cause),
            }
        }
    }
}

impl Ahead {
    /// Begins what may be begun beside the head.
    fn extend(&mut self, head: Place) {
        while let Some(fetched) = self.tasks.try_join_next() {
            self.fetched(fetched.ok());
        }
        self.judge(head);
        if self.plan.is_done() || self.source.no_ranges.load(Ordering::Relaxed) {
            return;
        }
        self.read_ahead(head);
        if self.segments.is_empty() && head.is_ending {
            self.open_ahead();
        }
    }

    /// From time to time: whether more requests at once would help, or did.
    fn judge(&mut self, head: Place) {
        let arrived = self.source.arrived.load(Ordering::Relaxed);
        if self.is_short || !self.plan.reaches(head.position) {
            // Nothing more could be begun, so nothing can be said of what more would help.
            self.meter.begin(arrived);
            return;
        }
        let time = self.meter.since.elapsed();
        if time >= MEASURE.max(2 * self.meter.latency) {
            let (arrived_since, waited) = (arrived - self.meter.arrived, self.meter.waited());
            let judged = self.width.judge(Measured { time, arrived: arrived_since, waited });
            self.learn(judged);
            tracing::trace!(
                target: "registry",
                width = self.width.now(), arrived_since, ?waited, ?time, "measured"
            );
            self.meter.begin(arrived);
        }
    }

    /// The next large blob from there need not find out again.
    fn learn(&self, width: Option<usize>) {
        if let Some(width) = width {
            self.source.repository.endpoint.learned.width.store(width, Ordering::Relaxed);
        }
    }

    /// Fetches as many pieces as are worth it.
    fn read_ahead(&mut self, head: Place) {
        self.is_short = true;
        while self.tasks.len() + usize::from(head.is_stream) < self.width.now()
            && self.plan.reaches(head.position)
        {
            let Ok(size) = u32::try_from(self.plan.piece()) else { return };
            let Ok(memory) = Arc::clone(&self.memory).try_acquire_many_owned(size) else { return };
            let Some(permit) = self.source.repository.endpoint.permit_for_more() else { return };
            let range = self.plan.take_piece();
            let (sender, content) = mpsc::unbounded_channel();
            let fetched = fetch(Arc::clone(&self.source), range.clone(), permit, sender);
            self.tasks.spawn(fetched.in_current_span());
            self.segments.push_back(Segment::Piece(Piece { range, content, memory }));
        }
        self.is_short = false;
    }

    /// Asks for the next stretch while the one before it ends.
    fn open_ahead(&mut self) {
        let Some(permit) = self.source.repository.endpoint.permit_for_more() else { return };
        let range = self.plan.take_stretch();
        let (sender, coming) = oneshot::channel();
        let opened = open(Arc::clone(&self.source), range.clone(), permit, sender);
        self.tasks.spawn(opened.in_current_span());
        let part = Part::coming(Arc::clone(&self.source), range, coming);
        self.segments.push_back(Segment::Stream(part));
    }

    /// What follows a head that has ended.
    fn advance(&mut self, head: &Segment) -> Option<Segment> {
        let (source, position) = (&self.source, head.position());
        if self.source.no_ranges.load(Ordering::Relaxed) {
            self.segments.clear();
            self.tasks.abort_all();
            let rest = self.plan.take_rest(position);
            return (!rest.is_empty()).then(|| Segment::Stream(Part::later(source.clone(), rest)));
        }
        if let Segment::Piece(Piece { range, .. }) = head
            && !range.is_empty()
        {
            self.let_go();
            return Some(Segment::Stream(Part::later(Arc::clone(&self.source), range.clone())));
        }
        if let Some(next) = self.segments.pop_front() {
            return Some(next);
        }
        if self.plan.is_done() {
            return None;
        }
        let range = self.plan.take_stretch();
        Some(Segment::Stream(Part::later(Arc::clone(source), range)))
    }

    /// Gives the permits back that are held without being used: the head needs one.
    fn let_go(&mut self) {
        for segment in &mut self.segments {
            if let Segment::Stream(part) = segment {
                let range = part.position()..part.end().unwrap_or_default();
                *part = Part::later(Arc::clone(&self.source), range);
            }
        }
    }

    fn fetched(&mut self, fetched: Option<Fetched>) {
        match fetched {
            Some(Fetched::Done(latency)) => self.meter.latency = self.meter.latency.max(latency),
            Some(Fetched::Failed) => {
                let width = self.width.refused();
                self.learn(Some(width));
            }
            None => {}
        }
    }
}

impl Segment {
    fn position(&self) -> u64 {
        match self {
            Self::Stream(part) => part.position(),
            Self::Piece(piece) => piece.range.start,
        }
    }

    fn place(&self, piece: u64) -> Place {
        let is_ending = match self {
            Self::Stream(part) => part.end().is_some_and(|end| end - part.position() <= 2 * piece),
            Self::Piece(_) => true,
        };
        let is_stream = matches!(self, Self::Stream(_));
        Place { position: self.position(), is_stream, is_ending }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Stream(part) => part.piece().await,
            Self::Piece(piece) => {
                let content = piece.content.recv().await;
                if let Some(content) = &content {
                    piece.range.start += content.len() as u64;
                    drop(piece.memory.split(content.len()));
                }
                Ok(content)
            }
        }
    }
}

impl Meter {
    fn new(latency: Duration) -> Self {
        let since = Instant::now();
        let mut tick = tokio::time::interval_at(since + MEASURE, MEASURE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tick, since, arrived: 0, waited: Duration::ZERO, waits: None, latency }
    }

    fn begin(&mut self, arrived: u64) {
        let now = Instant::now();
        (self.since, self.arrived, self.waited) = (now, arrived, Duration::ZERO);
        self.waits = self.waits.map(|_| now);
    }

    fn waited(&self) -> Duration {
        self.waited + self.waits.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn came(&mut self) {
        self.waited = self.waited();
        self.waits = None;
    }
}

/// Fetches a piece. What does not come is for who misses it to fetch.
async fn fetch(
    source: Arc<BlobSource>,
    range: Range<u64>,
    permit: Permit,
    sender: mpsc::UnboundedSender<Bytes>,
) -> Fetched {
    let asked = Instant::now();
    let mut opened = match source.open_range(&range, Turn::Extra(permit)).await {
        Ok(Some(opened)) => opened,
        Ok(None) => return Fetched::Failed,
        Err(failure) => return failed(&source, &range, &failure),
    };
    let latency = asked.elapsed();
    let mut left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut block = BytesMut::new();
    let fetched = loop {
        let mut piece = match opened.piece().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break Fetched::Failed,
            Err(failure) => break failed(&source, &range, &failure),
        };
        piece.truncate(left);
        source.arrived.fetch_add(piece.len() as u64, Ordering::Relaxed);
        while !piece.is_empty() {
            if block.is_empty() {
                block.reserve(BLOCK.min(left));
            }
            let part = piece.split_to(piece.len().min(BLOCK - block.len()));
            left -= part.len();
            block.extend_from_slice(&part);
            if block.len() == BLOCK && sender.send(std::mem::take(&mut block).freeze()).is_err() {
                return Fetched::Done(latency);
            }
        }
        if left == 0 {
            break Fetched::Done(latency);
        }
    };
    // Also what came before a break counts.
    if !block.is_empty() {
        let _ = sender.send(block.freeze());
    }
    fetched
}

/// Asks for a stretch.
async fn open(
    source: Arc<BlobSource>,
    range: Range<u64>,
    permit: Permit,
    sender: oneshot::Sender<Opened>,
) -> Fetched {
    let asked = Instant::now();
    match source.open_range(&range, Turn::Extra(permit)).await {
        Ok(Some(opened)) => {
            // Nobody waits for it any more, or somebody has it now.
            let _ = sender.send(opened);
            Fetched::Done(asked.elapsed())
        }
        Ok(None) => Fetched::Failed,
        Err(failure) => failed(&source, &range, &failure),
    }
}

fn failed(source: &BlobSource, range: &Range<u64>, failure: &Failure) -> Fetched {
    let (digest, cause) = (&source.digest, failure.message());
    tracing::debug!(target: "registry", %digest, ?range, cause, "range not fetched");
    Fetched::Failed
}
