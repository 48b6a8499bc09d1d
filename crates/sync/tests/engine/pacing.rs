//! Registries that allow only so much: nothing fails of it, and what cannot be done is put off.

use std::sync::Arc;

use registry::{AnonymousEverywhere, Client, Settings};
use sync::{Class, Engine, Event, Options, Outcome};
use testkit::personality::Rule;
use testkit::{Fault, Personality, RateLimit, Registry, RetryAfter, image};

use crate::rig::{Rig, outcomes};

#[tokio::test]
async fn ten_requests_a_second_fail_nothing() {
    let limit = || Fault::beyond(RateLimit::Window { requests: 10 }, RetryAfter::Unsaid);
    let rig = Rig::new().await;
    let names = ["a", "b", "c", "d"];
    for (seed, name) in names.into_iter().enumerate() {
        rig.offer(name, "1", &image::single(seed as u64)).await;
    }
    let at_source = rig.source.inject(limit());
    let at_target = rig.target.inject(limit());
    let wanted = names.map(|name| rig.wish(&format!("{name}:1"), &format!("{name}:1")));
    // As patient as in earnest; the rig's own client hardly waits between attempts.
    let client = || Client::new(Settings::default(), Arc::new(AnonymousEverywhere)).unwrap();
    let engine = Engine::new(client(), client(), Options::default(), Arc::new(|_: &Event| {}));
    let report = engine.run(wanted.into(), &rig.stop).await;
    assert_eq!(outcomes(&report), [Outcome::Copied; 4], "{:?}", report.items);
    // The limit was met, and not much more than that.
    assert!(at_target.hits() > 0);
    let hits = at_source.hits() + at_target.hits();
    let requests = rig.source.log().requests().len() + rig.target.log().requests().len();
    assert!(hits * 2 < requests as u64, "{hits} of {requests}");
}

#[tokio::test]
async fn without_pulls_left_what_needs_none_is_done() {
    let hub = Personality { rules: vec![Rule::PullLimit(2)], ..Personality::default() };
    let hub = Registry::builder().personality(hub).start().await;
    let mut rig = Rig::between(hub, Registry::start().await);
    rig.options.concurrency = 1;
    for (seed, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        rig.offer(name, "1", &image::single(seed as u64)).await;
    }
    rig.hold("d", "1", &image::single(3)).await;
    let wanted = ["a:1", "b:1", "c:1", "d:1"].map(|name| rig.wish(name, name));
    let report = rig.run(wanted.into()).await;
    let expected = [Outcome::Copied, Outcome::Copied, Outcome::Deferred, Outcome::UpToDate];
    assert_eq!(outcomes(&report), expected);
    let failure = report.items[2].failure.as_ref().unwrap();
    assert_eq!(failure.class, Class::RateLimited);
    assert!(failure.message.contains("0 of 2 pulls in 6 h are left"), "{failure}");
    rig.assert_absent("c", "1").await;
}
