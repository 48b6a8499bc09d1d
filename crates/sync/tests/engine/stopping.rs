//! A run that is stopped, or that stops at its first failure.

use sync::{Class, Outcome};
use testkit::{Fault, image};

use crate::rig::{Rig, outcomes};

#[tokio::test]
async fn what_is_under_way_is_finished_and_nothing_new_begins() {
    let mut rig = Rig::new().await;
    rig.options.concurrency = 1;
    for name in ["a", "b"] {
        rig.offer(name, "1", &image::single(1)).await;
    }
    let stop = rig.stop.begin_nothing.clone();
    let stopping = move || {
        stop.cancel();
        async {}
    };
    rig.source.inject(Fault::hook(stopping).on("GET", "/v2/a/blobs/*").once());
    let report = rig.run(vec![rig.wish("a:1", "a:1"), rig.wish("b:1", "b:1")]).await;
    assert_eq!(outcomes(&report), [Outcome::Copied, Outcome::Deferred]);
    assert!(report.interrupted);
    rig.assert_absent("b", "1").await;
}

#[tokio::test]
async fn what_is_given_up_says_so_and_a_later_run_completes_it() {
    let rig = Rig::new().await;
    let image = image::index(1);
    rig.offer("app", "1", &image).await;
    let give_up = rig.stop.give_up.clone();
    let hook = move || {
        give_up.cancel();
        async {}
    };
    rig.target.inject(Fault::hook(hook).on("PUT", "/v2/app/manifests/*").once());
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Failed);
    assert_eq!(item.failure.unwrap().class, Class::Interrupted);
    rig.assert_absent("app", "1").await;

    let again = Rig::between(rig.source, rig.target);
    let item = again.run_one(again.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Copied);
    again.assert_holds("app", "1", &image).await;
}

#[tokio::test]
async fn fail_fast_begins_nothing_after_a_failure() {
    let mut rig = Rig::new().await;
    rig.options.concurrency = 1;
    rig.options.fail_fast = true;
    rig.offer("b", "1", &image::single(1)).await;
    let report = rig.run(vec![rig.wish("no:1", "a:1"), rig.wish("b:1", "b:1")]).await;
    assert_eq!(outcomes(&report), [Outcome::SourceMissing, Outcome::Deferred]);
    assert!(!report.interrupted);
    rig.assert_absent("b", "1").await;
}

#[tokio::test]
async fn what_the_deadline_leaves_undone_is_put_off() {
    let mut rig = Rig::new().await;
    rig.options.concurrency = 1;
    for name in ["a", "b"] {
        rig.offer(name, "1", &image::single(1)).await;
    }
    let stop = rig.stop.clone();
    let hook = move || {
        stop.reach_deadline();
        stop.give_up.cancel();
        async {}
    };
    rig.source.inject(Fault::hook(hook).on("GET", "/v2/a/blobs/*").once());
    let report = rig.run(vec![rig.wish("a:1", "a:1"), rig.wish("b:1", "b:1")]).await;
    assert_eq!(outcomes(&report), [Outcome::Deferred, Outcome::Deferred]);
    let class = |item: &sync::ItemReport| item.failure.as_ref().map(|failure| failure.class);
    assert!(report.items.iter().all(|item| class(item) == Some(Class::Deadline)));
    assert!(!report.interrupted);
    rig.assert_absent("a", "1").await;
}
