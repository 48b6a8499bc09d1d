//! What is temporary is tried again, at the registry's pace.

use std::time::{Duration, Instant};

use futures::future::join_all;
use registry::{ErrorKind, RegistrySettings, RetryPolicy, Settings, Upload};
use testkit::{ClosedPort, Fault, Personality, RateLimit, Registry, RetryAfter, image, path};

use testkit::personality::Rule;

use crate::{Known, by_tag, client, content, open, repository, settings, settings_for, tag};

async fn with_image(fault: Fault) -> Registry {
    let registry = Registry::builder().fault(fault).start().await;
    registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
    registry
}

#[tokio::test]
async fn temporary_failures_pass() {
    let on = |fault: Fault| fault.on("HEAD", path::MANIFESTS).times(2);
    let faults = [
        on(Fault::status(408)),
        on(Fault::status(429)),
        on(Fault::status(499)),
        on(Fault::status(500)),
        on(Fault::status(502)),
        on(Fault::status(503)),
        on(Fault::status(504)),
        on(Fault::status(522)),
        on(Fault::drop_connection()),
        on(Fault::too_many_requests(RetryAfter::Unsaid)),
        on(Fault::too_many_requests(RetryAfter::Seconds(0))),
        on(Fault::too_many_requests(RetryAfter::DateIn(Duration::ZERO))),
        Fault::throttling_exception().on("GET", path::MANIFESTS).times(2),
    ];
    for fault in faults {
        let shown = format!("{fault:?}");
        let registry = with_image(fault).await;
        let a = open(&registry, "a");
        assert!(a.resolve(&by_tag("1")).await.unwrap().is_some(), "{shown}");
        assert!(a.manifest(&by_tag("1")).await.unwrap().is_some(), "{shown}");
        assert_eq!(registry.log().count("*", path::MANIFESTS), 4, "{shown}");
    }
}

#[tokio::test]
async fn lasting_failures_are_told_at_once() {
    for status in [400, 404, 405, 409, 412, 501] {
        let registry = with_image(Fault::status(status).on("GET", path::MANIFESTS)).await;
        let result = open(&registry, "a").manifest(&by_tag("1")).await;
        assert_eq!(result.is_ok(), status == 404, "{status}");
        assert_eq!(registry.log().count("GET", path::MANIFESTS), 1, "{status}");
    }
}

#[tokio::test]
async fn attempts_have_an_end() {
    let registry = with_image(Fault::status(503).on("*", path::MANIFESTS)).await;
    let settings = Settings { attempts: 3, ..settings() };
    let a = client(settings, Known::nobody()).repository(&registry.host(), &repository("a"));
    let error = a.resolve(&by_tag("1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(error.is_temporary());
    assert_eq!(registry.log().count("HEAD", path::MANIFESTS), 3);
}

#[tokio::test]
async fn retry_after_holds_everyone_back() {
    let limited =
        Fault::too_many_requests(RetryAfter::Seconds(1)).on("HEAD", path::MANIFESTS).once();
    let registry = with_image(limited).await;
    let client = client(settings(), Known::nobody());
    let a = client.repository(&registry.host(), &repository("a"));
    // The first is told to wait; those after it wait as well, without being told.
    let selector = by_tag("1");
    let first = async { (a.resolve(&selector).await, Instant::now()) };
    let later = async {
        let told = async {
            while client.usage().iter().all(|usage| usage.throttled == 0) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
        join_all((0..5).map(|_| a.resolve(&selector))).await
    };
    let started = Instant::now();
    let ((first, first_done), later) = futures::join!(first, later);
    assert!(first.unwrap().is_some());
    assert!(later.iter().all(Result::is_ok));
    assert!(first_done - started >= Duration::from_millis(900));
    let times: Vec<_> =
        registry.log().matching("HEAD", path::MANIFESTS).iter().map(|r| r.at).collect();
    assert_eq!(times.len(), 7, "{}", registry.log());
    assert!(
        times.iter().skip(1).all(|at| *at - times[0] >= Duration::from_millis(900)),
        "{times:?}"
    );
}

#[tokio::test]
async fn a_long_limit_is_told_and_not_waited_for() {
    let limited = Fault::too_many_requests(RetryAfter::Seconds(3600)).on("HEAD", path::MANIFESTS);
    let registry = with_image(limited).await;
    let a = open(&registry, "a");
    for _ in 0..3 {
        let error = a.resolve(&by_tag("1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert!(error.is_temporary());
        assert!(error.retry_after().unwrap() > Duration::from_secs(3590), "{error:?}");
    }
    assert_eq!(registry.log().count("HEAD", path::MANIFESTS), 1, "{}", registry.log());
}

#[tokio::test]
async fn no_more_requests_at_once_than_allowed() {
    let (stall, release) = Fault::stall();
    let registry = with_image(stall.on("HEAD", path::MANIFESTS)).await;
    let limits = RegistrySettings { concurrency: Some(3), ..RegistrySettings::default() };
    let a = client(settings_for(&registry, limits), Known::nobody())
        .repository(&registry.host(), &repository("a"));
    let selector = by_tag("1");
    let all = join_all((0..10).map(|_| a.resolve(&selector)));
    let watched = async {
        release.reached(3).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(registry.log().count("HEAD", path::MANIFESTS), 3);
        release.release();
    };
    let (all, ()) = futures::join!(all, watched);
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(registry.log().peak(), 3);
}

#[tokio::test]
async fn a_blob_being_read_keeps_its_permit() {
    let registry = with_image(Fault::status(500).on("GET", "/nothing")).await;
    let limits = RegistrySettings { concurrency: Some(1), ..RegistrySettings::default() };
    let a = client(settings_for(&registry, limits), Known::nobody())
        .repository(&registry.host(), &repository("a"));
    let blob = image::single(1).layers()[0].clone();
    let first = a.read_blob(&blob.digest, Some(blob.size)).await.unwrap();
    let soon = Duration::from_millis(50);
    let second = a.read_blob(&blob.digest, Some(blob.size));
    assert!(tokio::time::timeout(soon, second).await.is_err());
    // Other requests go on: the copy within one registry needs them.
    assert!(a.resolve(&by_tag("1")).await.unwrap().is_some());
    content(first).await.unwrap();
    assert!(a.read_blob(&blob.digest, Some(blob.size)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_silent_registry_is_given_up() {
    let (stall, release) = Fault::stall();
    let registry = with_image(stall.on("HEAD", path::MANIFESTS)).await;
    let mut settings = Settings { attempts: 2, ..settings() };
    settings.timeouts.response = Duration::from_millis(100);
    let a = client(settings, Known::nobody()).repository(&registry.host(), &repository("a"));
    let error = a.resolve(&by_tag("1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    release.release();
}

#[tokio::test]
async fn a_blob_that_falls_silent_is_resumed() {
    let (stall, release) = Fault::stall_response(10);
    let registry = with_image(stall.on("GET", path::BLOBS).once()).await;
    let mut settings = settings();
    settings.timeouts.idle = Duration::from_millis(300);
    let a = client(settings, Known::nobody()).repository(&registry.host(), &repository("a"));
    let blob = image::single(1).layers()[0].clone();
    let reader = a.read_blob(&blob.digest, Some(blob.size)).await.unwrap();
    assert_eq!(content(reader).await.unwrap().len() as u64, blob.size);
    // On a busy machine what follows may fall silent as well.
    assert!(registry.log().count("GET", path::BLOBS) >= 2);
    release.release();
}

#[tokio::test]
async fn a_dead_registry_is_not_tried_by_everyone_in_turn() {
    let nobody = ClosedPort::bind();
    let second = Duration::from_secs(1);
    let policy = RetryPolicy { first_delay: second, longest_delay: second, ..settings().retry };
    let settings = Settings { attempts: 2, retry: policy, ..settings() };
    let client = client(settings, Known::nobody());
    let started = Instant::now();
    for number in 0..20 {
        let repository = repository(&format!("r{number}"));
        let error =
            client.repository(&nobody.host(), &repository).resolve(&by_tag("1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network, "{error}");
        assert!(error.to_string().contains("refused the connection"), "{error}");
        assert!(error.to_string().contains(repository.as_str()), "{error}");
    }
    // In turn it would be twenty seconds.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_limit_that_is_not_told_is_found() {
    let limits =
        [RateLimit::Bucket { rate: 40.0, burst: 40.0 }, RateLimit::Window { requests: 40 }];
    for limit in limits {
        let registry = with_image(Fault::beyond(limit, RetryAfter::Unsaid)).await;
        let client = client(
            Settings { retry: RetryPolicy::default(), attempts: 1, ..settings() },
            Known::nobody(),
        );
        let a = client.repository(&registry.host(), &repository("a"));
        let (selector, requests) = (by_tag("1"), 120);
        let started = Instant::now();
        let all = join_all((0..requests).map(|_| a.resolve(&selector))).await;
        assert!(all.iter().all(|found| matches!(found, Ok(Some(_)))), "{limit:?}");
        // 3 s at best; what may be lost beyond that is the machine's. The gate's own tests know how long
        // it takes and what rate is found where no machine is in the way.
        assert!(started.elapsed() < Duration::from_secs(30), "{limit:?} {:?}", started.elapsed());
        let [usage] = &client.usage()[..] else { panic!("one registry") };
        assert_eq!(usage.answers.get(&200), Some(&(requests + 1)), "{usage:?}");
        let refused = usage.answers.get(&429).copied().unwrap_or_default();
        assert_eq!(refused, usage.throttled, "{usage:?}");
        assert!(refused < requests, "{usage:?}");
        // A machine that is very busy does not meet the limit at all.
        assert_eq!(usage.slowed_to.is_some(), refused > 0, "{usage:?}");
    }
}

#[tokio::test]
async fn what_goes_up_once_is_refused_as_often_as_it_takes() {
    // Six refusals are more than there are attempts, and a mount has only one.
    let limited = || Fault::too_many_requests(RetryAfter::Unsaid).times(6);
    let registry = with_image(limited().on("POST", path::UPLOADS)).await;
    let a = open(&registry, "a");
    let blob = image::single(1).layers()[0].clone();
    let upload = a.start_upload(&blob.digest, Some(&repository("a"))).await.unwrap();
    assert!(matches!(upload, Upload::Mounted), "{upload:?}");
    assert_eq!(registry.log().count("POST", path::UPLOADS), 7);
}

#[tokio::test]
async fn a_fast_registry_gets_more_and_more_at_once() {
    let (stall, release) = Fault::stall();
    let registry = Registry::start().await;
    registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
    let a = open(&registry, "a");
    let selector = by_tag("1");
    // Good answers to requests that use what there is.
    let good = join_all((0..1000).map(|_| a.resolve(&selector))).await;
    assert!(good.iter().all(Result::is_ok));
    registry.inject(stall.on("HEAD", path::MANIFESTS));
    let all = join_all((0..200).map(|_| a.resolve(&selector)));
    let watched = async {
        release.reached(128).await;
        release.release();
    };
    let (all, ()) = futures::join!(all, watched);
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(registry.log().peak(), 128);
}

#[tokio::test]
async fn overload_is_answered_with_fewer_requests() {
    let registry = with_image(Fault::status(503).on("HEAD", path::MANIFESTS).times(32)).await;
    let a = open(&registry, "a");
    let selector = by_tag("1");
    // All are there before the first is answered, so that none of them is a second attempt.
    let (stall, release) = Fault::stall();
    registry.inject(stall.on("HEAD", path::MANIFESTS));
    let all = join_all((0..32).map(|_| a.resolve(&selector)));
    let held = async {
        release.reached(32).await;
        release.release();
    };
    let (first, ()) = futures::join!(all, held);
    assert!(first.iter().all(Result::is_ok));
    registry.log().clear();
    let (stall, release) = Fault::stall();
    registry.inject(stall.on("GET", path::MANIFESTS));
    let all = join_all((0..40).map(|_| a.manifest(&selector)));
    let watched = async {
        release.reached(16).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!((16..32).contains(&registry.log().count("GET", path::MANIFESTS)));
        release.release();
    };
    let (all, ()) = futures::join!(all, watched);
    assert!(all.iter().all(Result::is_ok));
}

async fn counting_pulls(limit: u32) -> Registry {
    let personality = Personality { rules: vec![Rule::PullLimit(limit)], ..Personality::default() };
    let registry = Registry::builder().personality(personality).start().await;
    registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
    registry
}

#[tokio::test]
async fn the_reserve_of_pulls_is_left_to_others() {
    let registry = counting_pulls(5).await;
    let limits = RegistrySettings { reserve: 2, ..RegistrySettings::default() };
    let client = client(settings_for(&registry, limits), Known::nobody());
    let a = client.repository(&registry.host(), &repository("a"));
    let selector = by_tag("1");
    a.resolve(&selector).await.unwrap();
    let all = join_all((0..8).map(|_| a.manifest(&selector))).await;
    let refused: Vec<_> = all.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 5);
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        let said = error.to_string();
        assert!(said.contains("of 5 pulls in 6 h are left, and 2 are kept in reserve"), "{said}");
    }
    assert_eq!(registry.log().count("GET", path::MANIFESTS), 3);
    // What is no pull goes on.
    assert!(a.resolve(&selector).await.unwrap().is_some());
    let [usage] = &client.usage()[..] else { panic!("one registry") };
    assert!(usage.counts_pulls);
    let budget = usage.budget.as_ref().unwrap();
    assert_eq!((budget.limit, budget.remaining), (Some(5), 2));
}

#[tokio::test]
async fn without_pulls_left_nothing_is_waited_for() {
    let registry = counting_pulls(0).await;
    let a = open(&registry, "a");
    let selector = by_tag("1");
    for _ in 0..2 {
        let error = a.manifest(&selector).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
    }
    // The first learns it from the registry, the second knows it.
    assert_eq!(registry.log().count("GET", path::MANIFESTS), 1);
    assert!(a.resolve(&selector).await.unwrap().is_some());
}
