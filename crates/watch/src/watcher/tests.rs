//! The loop under tokio's paused clock: nothing sleeps, an hour takes no time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use schedule::Slots;

use super::*;

/// Runs that are noted; files that a test writes.
struct Fake {
    started: Instant,
    files: RefCell<Prints>,
    schedule: Option<Schedule>,
    wanted: &'static str,
    takes: Cell<Duration>,
    runs: RefCell<Vec<(u64, Request)>>,
    open: Cell<usize>,
    stopped: Cell<usize>,
}

impl Fake {
    fn new(files: &[(&str, &str)]) -> Rc<Self> {
        Rc::new(Self {
            started: Instant::now(),
            files: RefCell::new(prints(files)),
            schedule: None,
            wanted: "wanted",
            takes: Cell::new(Duration::from_secs(1)),
            runs: RefCell::default(),
            open: Cell::new(0),
            stopped: Cell::new(0),
        })
    }

    /// The second and the files of each run.
    fn runs(&self) -> Vec<(u64, String)> {
        let names = |request: &Request| {
            let files = request.files.iter().map(|path| path.display().to_string());
            let moved = request.moved.iter().map(|moved| moved.repository.to_string());
            files.chain(moved).collect::<Vec<_>>().join(" ")
        };
        self.runs.borrow().iter().map(|(at, request)| (*at, names(request))).collect()
    }
}

fn prints(files: &[(&str, &str)]) -> Prints {
    files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect()
}

impl Runner for Rc<Fake> {
    type Error = &'static str;

    fn prints(&self) -> Prints {
        self.files.borrow().clone()
    }

    fn load(&self) -> Result<Vec<WatchedFile>, &'static str> {
        let files = self.files.borrow();
        if files.values().any(|text| text == "bad") {
            return Err("bad");
        }
        let watched =
            |path: &PathBuf| WatchedFile { path: path.clone(), schedule: self.schedule.clone() };
        Ok(files.keys().map(watched).collect())
    }

    fn wants(&self, moved: &Moved) -> bool {
        moved.repository.as_str().starts_with(self.wanted)
    }

    async fn run(&self, request: Request, halt: Halt) -> Ended {
        self.runs.borrow_mut().push((self.started.elapsed().as_secs(), request));
        self.open.set(self.open.get() + 1);
        assert_eq!(self.open.get(), 1, "runs do not overlap");
        tokio::select! {
            () = tokio::time::sleep(self.takes.get()) => {}
            () = halt.give_up.cancelled() => self.stopped.set(self.stopped.get() + 1),
        }
        self.open.set(self.open.get() - 1);
        Ended::Well
    }
}

struct Started {
    fake: Rc<Fake>,
    door: Door,
    leads: watch::Sender<bool>,
    halt: Halt,
    task: tokio::task::JoinHandle<Result<(), &'static str>>,
}

/// Begins to watch, with an interval of ten minutes.
fn start(fake: &Rc<Fake>, leads: bool) -> Started {
    let begin = Timestamp::from_second(1_800_000_000).unwrap();
    let started = Instant::now();
    let clock =
        Clock { now: Arc::new(move || begin + started.elapsed()), chance: Arc::new(|| 0.0) };
    let (door, inbox) = doors();
    let (sender, receiver) = watch::channel(leads);
    let halt = Halt::default();
    let settings = Settings::new(Schedule::new(Slots::Every("10m".parse().unwrap())));
    let (runner, given) = (Rc::clone(fake), halt.clone());
    let task = tokio::task::spawn_local(async move {
        run(&runner, settings, clock, inbox, receiver, given).await
    });
    Started { fake: Rc::clone(fake), door, leads: sender, halt, task }
}

impl Started {
    async fn end(self) -> Rc<Fake> {
        self.halt.begin_nothing.cancel();
        self.task.await.unwrap().unwrap();
        self.fake
    }

    async fn push(&self, repository: &str, tag: &str) {
        let moved = Moved {
            host: "a.io".parse().unwrap(),
            repository: repository.parse().unwrap(),
            tag: Some(tag.parse().unwrap()),
            digest: None,
        };
        self.door.push.send(moved).await.unwrap();
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// A test on one thread with a clock that jumps.
fn paused(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    tokio::task::LocalSet::new().block_on(&runtime.unwrap(), test);
}

#[test]
fn the_first_run_is_at_once_and_a_long_one_is_followed_by_the_next_slot() {
    paused(async {
        let fake = Fake::new(&[("a", "1")]);
        let watch = start(&fake, true);
        pass(700).await;
        fake.takes.set(Duration::from_secs(1_500));
        pass(2_600).await;
        let fake = watch.end().await;
        let at: Vec<u64> = fake.runs().iter().map(|(at, _)| *at).collect();
        // The one from 1200 to 2700 lets 1800 and 2400 go by.
        assert_eq!(at, [0, 600, 1200, 3000]);
    });
}

#[test]
fn a_file_has_its_own_schedule() {
    paused(async {
        let fake = Fake::new(&[("a", "1")]);
        let mut own = Rc::into_inner(fake).unwrap();
        own.schedule = Some(Schedule::new(Slots::At("30 * * * *".parse().unwrap())));
        let fake = Rc::new(own);
        let watch = start(&fake, true);
        pass(2 * 3600).await;
        let fake = watch.end().await;
        // 1 800 000 000 is 2027-01-15T08:00:00Z.
        let at: Vec<u64> = fake.runs().iter().map(|(at, _)| *at).collect();
        assert_eq!(at, [0, 1800, 5400]);
    });
}

#[test]
fn a_change_is_used_at_once_and_a_bad_one_is_not() {
    paused(async {
        let fake = Fake::new(&[("a", "1"), ("b", "1")]);
        let watch = start(&fake, true);
        pass(100).await;
        *fake.files.borrow_mut() = prints(&[("a", "2"), ("b", "1")]);
        pass(10).await;
        assert_eq!(fake.runs(), [(0, "a b".into()), (101, "a".into())]);
        *fake.files.borrow_mut() = prints(&[("a", "bad"), ("b", "3")]);
        pass(10).await;
        let status = watch.door.status();
        assert_eq!(
            (status.reload_failures, status.reloads, status.files_are_current),
            (1, 1, false)
        );
        assert_eq!(fake.runs().len(), 2, "{:?}", fake.runs());
        // What is mended is used, with all that changed meanwhile.
        *fake.files.borrow_mut() = prints(&[("a", "2"), ("b", "3"), ("c", "1")]);
        pass(10).await;
        assert_eq!(fake.runs().last(), Some(&(121, "b c".into())));
        assert!(watch.door.status().files_are_current);
        watch.end().await;
    });
}

#[test]
fn a_file_that_is_still_written_is_not_read() {
    paused(async {
        let fake = Fake::new(&[("a", "1")]);
        let watch = start(&fake, true);
        for look in 0..20 {
            pass(1).await;
            *fake.files.borrow_mut() = prints(&[("a", &look.to_string())]);
        }
        assert_eq!(fake.runs().len(), 1);
        pass(3).await;
        assert_eq!(fake.runs().len(), 2);
        watch.end().await;
    });
}

#[test]
fn files_that_are_wrong_at_first_are_an_error() {
    paused(async {
        let watch = start(&Fake::new(&[("a", "bad")]), true);
        assert_eq!(watch.task.await.unwrap(), Err("bad"));
    });
}

#[test]
fn a_burst_is_one_run_of_what_is_wanted() {
    paused(async {
        let fake = Fake::new(&[("a", "1")]);
        let watch = start(&fake, true);
        pass(100).await;
        for tag in ["1", "2", "1"] {
            watch.push("wanted/app", tag).await;
            watch.push("others/app", tag).await;
        }
        pass(30).await;
        let fake = watch.end().await;
        assert_eq!(fake.runs()[1..], [(102, "wanted/app wanted/app".into())]);
    });
}

#[test]
fn what_is_pushed_during_a_run_has_the_next_one() {
    paused(async {
        let fake = Fake::new(&[("a", "1")]);
        fake.takes.set(Duration::from_secs(50));
        let watch = start(&fake, true);
        pass(10).await;
        watch.push("wanted/app", "1").await;
        pass(60).await;
        let fake = watch.end().await;
        assert_eq!(fake.runs(), [(0, "a".into()), (50, "wanted/app".into())]);
    });
}

#[test]
fn without_the_lease_only_pushes_are_synced() {
    paused(async {
        let fake = Fake::new(&[("a", "1")]);
        let watch = start(&fake, false);
        pass(700).await;
        watch.push("wanted/app", "1").await;
        pass(10).await;
        assert_eq!(fake.runs(), [(702, "wanted/app".into())]);
        watch.leads.send_replace(true);
        pass(10).await;
        assert_eq!(fake.runs()[1..], [(710, "a".into())]);
        watch.end().await;
    });
}

#[test]
fn a_lost_lease_stops_the_run_and_brings_it_back_with_the_lease() {
    paused(async {
        let fake = Fake::new(&[("a", "1")]);
        fake.takes.set(Duration::from_secs(500));
        let watch = start(&fake, true);
        pass(10).await;
        watch.leads.send_replace(false);
        pass(100).await;
        assert_eq!((fake.stopped.get(), fake.runs().len()), (1, 1));
        watch.leads.send_replace(true);
        pass(10).await;
        assert_eq!(fake.runs()[1..], [(110, "a".into())]);
        watch.halt.give_up.cancel();
        watch.end().await;
    });
}

#[test]
fn the_end_lets_a_run_be_finished_and_begins_none() {
    paused(async {
        let fake = Fake::new(&[("a", "1")]);
        fake.takes.set(Duration::from_secs(20));
        let watch = start(&fake, true);
        pass(10).await;
        watch.halt.begin_nothing.cancel();
        watch.push("wanted/app", "1").await;
        pass(1).await;
        assert!(watch.door.status().stopping);
        let fake = watch.end().await;
        assert_eq!((fake.started.elapsed().as_secs(), fake.runs().len()), (20, 1));
        assert_eq!(fake.stopped.get(), 0);
    });
}
