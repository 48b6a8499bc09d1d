//! What happens when a side goes wrong: the item says so, and the target never has the tag.

use sync::{Class, Event, Outcome, Side};
use testkit::{ClosedPort, ContentLength, Fault, RetryAfter, image};

use crate::rig::{Rig, outcomes};

/// Everything a source can do to a blob, and what it is called.
#[tokio::test]
async fn wrong_bytes_never_get_a_tag() {
    let table = [
        ("flipped", Fault::flip_byte(10), Class::Content),
        ("too few, admitted", Fault::shorten(5, ContentLength::Sent), Class::Content),
        ("too few, unsaid", Fault::shorten(5, ContentLength::Unsaid), Class::Content),
        ("too many", Fault::lengthen(5), Class::Content),
        ("gone", Fault::status(404), Class::Content),
        ("forbidden", Fault::error(403, "DENIED", "not yours"), Class::Denied),
        ("broken", Fault::status(500), Class::Server),
    ];
    for (name, fault, class) in table {
        let rig = Rig::new().await;
        rig.offer("app", "1", &image::single(1)).await;
        rig.offer("other", "1", &image::single(2)).await;
        let injected = rig.source.inject(fault.on("GET", "/v2/app/blobs/*"));
        let report =
            rig.run(vec![rig.wish("app:1", "app:1"), rig.wish("other:1", "other:1")]).await;
        assert!(injected.hits() > 0, "{name}");
        assert_eq!(outcomes(&report), [Outcome::Failed, Outcome::Copied], "{name}: {report:?}");
        let failure = report.items[0].failure.as_ref().unwrap();
        assert_eq!((failure.side, failure.class), (Side::Source, class), "{name}: {failure:?}");
        rig.assert_absent("app", "1").await;
        assert_eq!(rig.target.log().count("PUT", "/v2/app/manifests/*"), 0, "{name}");
    }
}

#[tokio::test]
async fn wrong_manifests_never_get_a_tag() {
    let table = [
        ("flipped root", Fault::flip_byte(10).on("GET", "/v2/app/manifests/*")),
        ("lost child", Fault::status(404).on("GET", "/v2/app/manifests/*").after(1)),
    ];
    for (name, fault) in table {
        let rig = Rig::new().await;
        rig.offer("app", "1", &image::index(1)).await;
        let injected = rig.source.inject(fault);
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        assert!(injected.hits() > 0, "{name}");
        assert_eq!(item.outcome, Outcome::Failed, "{name}");
        let failure = item.failure.unwrap();
        assert_eq!((failure.side, failure.class), (Side::Source, Class::Content), "{name}");
        rig.assert_absent("app", "1").await;
    }
}

#[tokio::test]
async fn a_cut_download_goes_on_and_a_cut_upload_begins_again() {
    let rig = Rig::new().await;
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let cut = rig.source.inject(Fault::cut_response(100).on("GET", "/v2/app/blobs/*").once());
    let upload = rig.target.inject(Fault::cut_request(50).on("PUT", "/v2/app/blobs/**").once());
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    assert_eq!((cut.hits(), upload.hits()), (1, 1));
    rig.assert_holds("app", "1", &image).await;
    let retried = |event: &Event| matches!(event, Event::BlobRetried { .. });
    assert_eq!(rig.heard().iter().filter(|event| retried(event)).count(), 1);
}

#[tokio::test]
async fn a_broken_upload_goes_on_where_the_target_kept_what_came() {
    let rig = Rig::new().await;
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let broken = Fault::break_request(5000).on("PUT", "/v2/app/blobs/**").once();
    let broken = rig.target.inject(broken);
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    assert_eq!(broken.hits(), 1);
    rig.assert_holds("app", "1", &image).await;
    let log = rig.target.log();
    let rest: Vec<u64> =
        log.matching("PATCH", "/v2/app/blobs/**").iter().map(|it| it.bytes_in).collect();
    assert_eq!(rest.len(), 1, "{log}");
    assert!(image.blobs.iter().any(|(blob, _)| blob.size == rest[0] + 5000), "{log}");
    assert_eq!(log.count("POST", "/v2/app/blobs/uploads/"), image.blobs.len(), "{log}");
}

#[tokio::test]
async fn a_rest_that_the_target_refuses_is_begun_anew() {
    let rig = Rig::new().await;
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    rig.target.inject(Fault::break_request(5000).on("PUT", "/v2/app/blobs/**").once());
    let refusal = Fault::error(400, "DIGEST_INVALID", "it is not what was kept");
    let refused = rig.target.inject(refusal.on("PATCH", "/v2/app/blobs/**").once());
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(refused.hits(), 1);
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    rig.assert_holds("app", "1", &image).await;
}

#[tokio::test]
async fn what_belongs_to_an_image_stays_where_the_image_does() {
    let rig = Rig::new().await;
    let image = image::index(1);
    let referrer = image::referrer_of(&image.root, 2);
    rig.offer("app", "1", &image).await;
    rig.attach("app", &referrer).await;
    let root = format!("/v2/app/manifests/{}", image.digest());
    let refused = rig.target.inject(Fault::error(403, "DENIED", "not here").on("PUT", &root));
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!((item.outcome, refused.hits()), (Outcome::Failed, 1), "{item:?}");
    let put = format!("/v2/app/manifests/{}", referrer.digest());
    assert_eq!(rig.target.log().count("PUT", &put), 0, "{}", rig.target.log());
    rig.assert_absent("app", "1").await;
}

#[tokio::test]
async fn an_upload_that_never_works_fails_its_item_on_the_target_side() {
    let rig = Rig::new().await;
    rig.offer("app", "1", &image::single(1)).await;
    rig.target.inject(Fault::status(500).on("PUT", "/v2/app/blobs/**"));
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    let failure = item.failure.unwrap();
    assert_eq!((failure.side, failure.class), (Side::Target, Class::Server), "{failure:?}");
    rig.assert_absent("app", "1").await;
}

#[tokio::test]
async fn a_mount_that_is_refused_or_breaks_becomes_an_upload() {
    for fault in [Fault::refuse_mount(), Fault::mount_error(405), Fault::mount_error(500)] {
        let rig = Rig::new().await;
        let images = image::shared_base(1, 2);
        for (name, image) in ["a", "b"].into_iter().zip(&images) {
            rig.offer(name, "1", image).await;
        }
        rig.target.inject(fault);
        let report = rig.run(vec![rig.wish("a:1", "a:1"), rig.wish("b:1", "b:1")]).await;
        assert_eq!(outcomes(&report), [Outcome::Copied, Outcome::Copied], "{report:?}");
        rig.assert_holds("a", "1", &images[0]).await;
        rig.assert_holds("b", "1", &images[1]).await;
    }
}

#[tokio::test]
async fn a_rate_limit_that_outlasts_the_run_puts_the_item_off() {
    let rig = Rig::new().await;
    rig.offer("app", "1", &image::single(1)).await;
    rig.source.inject(Fault::too_many_requests(RetryAfter::Seconds(3600)));
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Deferred);
    let failure = item.failure.unwrap();
    assert_eq!((failure.side, failure.class), (Side::Source, Class::RateLimited));
}

#[tokio::test]
async fn a_target_that_answers_with_another_digest_is_not_believed() {
    let rig = Rig::new().await;
    rig.offer("app", "1", &image::single(1)).await;
    // The first two looks at the tag find nothing; the read-back finds something else.
    rig.target.inject(Fault::wrong_content_digest().on("HEAD", "/v2/app/manifests/1").after(2));
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Failed, "{item:?}");
    let failure = item.failure.unwrap();
    assert_eq!(failure.side, Side::Target, "{failure:?}");
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached_fails_its_item_alone() {
    let rig = Rig::new().await;
    rig.offer("app", "1", &image::single(1)).await;
    let nobody = ClosedPort::bind();
    let unreachable = crate::rig::wish(
        &format!("{}/app:1", nobody.host()),
        &format!("{}/unreachable:1", rig.target.host()),
    );
    let report = rig.run(vec![unreachable, rig.wish("app:1", "app:1")]).await;
    assert_eq!(outcomes(&report), [Outcome::Failed, Outcome::Copied]);
    let failure = report.items[0].failure.as_ref().unwrap();
    assert_eq!((failure.side, failure.class), (Side::Source, Class::Network), "{failure:?}");
    assert!(failure.message.contains(nobody.host().as_str()), "{}", failure.message);
}
