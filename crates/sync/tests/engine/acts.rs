//! What a witness is told: each act before its item has ended, nothing of what is up to date, and
//! nothing is begun that could not be recorded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use sync::{Act, ActKind, Class, Event, Outcome, Room, Unrecorded, Witness};
use testkit::{Fault, image};

use crate::rig::Rig;

/// Keeps acts, as long as there is room for them.
#[derive(Debug)]
struct Notebook {
    acts: Mutex<Vec<Act>>,
    /// How many more acts may begin.
    room: AtomicUsize,
    /// How many more may be recorded.
    lines: AtomicUsize,
    asked: AtomicUsize,
    taken: Arc<AtomicUsize>,
}

impl Notebook {
    fn new(room: usize, lines: usize) -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::default(),
            room: room.into(),
            lines: lines.into(),
            asked: AtomicUsize::default(),
            taken: Arc::default(),
        })
    }

    fn kinds(&self) -> Vec<ActKind> {
        self.acts.lock().unwrap().iter().map(|act| act.kind).collect()
    }
}

fn full() -> Unrecorded {
    Unrecorded { problem: "it is full".to_owned(), hint: Some("make room".to_owned()) }
}

fn one_less(number: &AtomicUsize) -> Result<(), Unrecorded> {
    let less =
        number.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |number| number.checked_sub(1));
    less.map(drop).map_err(|_| full())
}

impl Witness for Notebook {
    fn ready(&self) -> BoxFuture<'_, Result<Room, Unrecorded>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let room = one_less(&self.room).map(|()| Room::take(&self.taken));
        async move { room }.boxed()
    }

    fn record(&self, act: Act) -> BoxFuture<'_, Result<(), Unrecorded>> {
        let recorded = one_less(&self.lines).map(|()| self.acts.lock().unwrap().push(act));
        async move { recorded }.boxed()
    }
}

#[tokio::test]
async fn a_tag_is_on_record_before_its_item_has_ended() {
    let mut rig = Rig::new().await;
    let (one, other) = (image::single(1), image::single(2));
    rig.offer("app", "1", &one).await;
    rig.offer("app", "2", &other).await;
    rig.hold("m/app", "2", &image::single(3)).await;
    let notebook = Notebook::new(100, 100);
    rig.options.witness = Some(Arc::clone(&notebook) as Arc<dyn Witness>);
    let wanted = || vec![rig.wish("app:1", "m/app:1"), rig.wish("app:2", "m/app:2")];
    let report = rig.run(wanted()).await;
    assert_eq!(
        (report.items[0].outcome, report.items[1].outcome),
        (Outcome::Copied, Outcome::Drift)
    );
    {
        let acts = notebook.acts.lock().unwrap();
        let published = acts.iter().find(|act| act.kind == ActKind::TagPublished).unwrap();
        assert_eq!((published.from, published.to), (None, Some(one.digest())));
        assert_eq!(published.evidence.read_back, Some(one.digest()));
        assert_eq!(published.target, report.items[0].wanted.target());
        let drift = acts.iter().find(|act| act.kind == ActKind::DriftLeftAlone).unwrap();
        assert_eq!((drift.from, drift.to), (Some(image::single(3).digest()), Some(other.digest())));
        assert_eq!(acts.len(), 2);
    }
    assert_eq!(notebook.taken.load(Ordering::SeqCst), 0, "room is given back");
    // What is up to date costs nothing.
    notebook.acts.lock().unwrap().clear();
    notebook.asked.store(0, Ordering::SeqCst);
    let report = rig.run(vec![rig.wish("app:1", "m/app:1")]).await;
    assert_eq!(report.items[0].outcome, Outcome::UpToDate);
    assert_eq!((notebook.kinds(), notebook.asked.load(Ordering::SeqCst)), (vec![], 0));
}

#[tokio::test]
async fn nothing_is_published_once_there_is_no_room() {
    for room in 0..3 {
        let mut rig = Rig::new().await;
        rig.options.concurrency = 1;
        let mut wanted = Vec::new();
        for number in 1..=4 {
            let tag = number.to_string();
            rig.offer("app", &tag, &image::single(number)).await;
            wanted.push(rig.wish(&format!("app:{tag}"), &format!("m/app:{tag}")));
        }
        let notebook = Notebook::new(room, 100);
        rig.options.witness = Some(Arc::clone(&notebook) as Arc<dyn Witness>);
        let report = rig.run(wanted).await;
        assert_eq!(report.count(Outcome::Copied), room);
        let failed = report.items.iter().find(|item| item.outcome == Outcome::Failed).unwrap();
        let failure = failed.failure.as_ref().unwrap();
        assert_eq!((failure.class, failure.hint.as_deref()), (Class::Storage, Some("make room")));
        assert!(failure.message.contains("nothing was begun"), "{failure}");
        let put_off = report.items.iter().find(|item| item.outcome == Outcome::Deferred).unwrap();
        assert!(put_off.failure.as_ref().unwrap().message.contains("audit log"));
        let tags = rig.target.layout(&"m/app".parse().unwrap()).tags().await.unwrap();
        assert_eq!(tags.len(), room);
        let published = |kind: &&ActKind| **kind == ActKind::TagPublished;
        assert_eq!(notebook.kinds().iter().filter(published).count(), room);
    }
}

#[tokio::test]
async fn what_was_done_and_not_recorded_is_a_failure_that_says_so() {
    let mut rig = Rig::new().await;
    rig.offer("app", "1", &image::single(1)).await;
    let notebook = Notebook::new(100, 0);
    rig.options.witness = Some(Arc::clone(&notebook) as Arc<dyn Witness>);
    let report = rig.run(vec![rig.wish("app:1", "m/app:1")]).await;
    let failure = report.items[0].failure.as_ref().unwrap();
    assert_eq!(
        failure.message,
        "the tag was published, but that could not be recorded in the audit log: it is full"
    );
}

#[tokio::test]
async fn an_act_whose_end_is_not_known_is_on_record() {
    let mut rig = Rig::new().await;
    rig.offer("app", "1", &image::single(1)).await;
    rig.target.inject(Fault::status(403).on("PUT", "/v2/m/app/manifests/1"));
    let notebook = Notebook::new(100, 100);
    rig.options.witness = Some(Arc::clone(&notebook) as Arc<dyn Witness>);
    let report = rig.run(vec![rig.wish("app:1", "m/app:1")]).await;
    assert_eq!(report.items[0].outcome, Outcome::Failed);
    let mut kinds = notebook.kinds();
    kinds.sort_by_key(|kind| kind.as_str());
    assert_eq!(kinds, [ActKind::Failed, ActKind::Unfinished]);
    let acts = notebook.acts.lock().unwrap();
    let unfinished = acts.iter().find(|act| act.kind == ActKind::Unfinished).unwrap();
    assert_eq!(unfinished.evidence.begun, Some(ActKind::TagPublished));
}

#[tokio::test]
async fn what_comes_along_is_on_record_before_the_tag() {
    let mut rig = Rig::new().await;
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    rig.offer("app", "2", &image).await;
    rig.attach("app", &image::referrer_of(&image.root, 9)).await;
    let notebook = Notebook::new(100, 100);
    rig.options.witness = Some(Arc::clone(&notebook) as Arc<dyn Witness>);
    let report = rig.run(vec![rig.wish("app:1", "m/app:1")]).await;
    assert_eq!(report.items[0].outcome, Outcome::Copied, "{report:?}");
    let kinds = notebook.kinds();
    assert_eq!(kinds, [ActKind::ReferrerBrought, ActKind::TagPublished]);
    assert!(rig.heard().iter().any(|event| matches!(event, Event::ItemFinished { .. })));
    // With a second tag of the image it is pushed again: it may be there and not be listed.
    notebook.acts.lock().unwrap().clear();
    let report = rig.run(vec![rig.wish("app:2", "m/app:2")]).await;
    assert_eq!(report.items[0].outcome, Outcome::Copied);
    assert_eq!(notebook.kinds(), [ActKind::ReferrerBrought, ActKind::TagPublished]);
}
