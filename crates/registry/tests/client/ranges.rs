//! Large blobs, down: in ranges, several at once, in order; and from servers that give none.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use oci::{Descriptor, Digest};
use registry::{Error, ErrorKind, RangePolicy, RepositoryClient, Settings};
use testkit::{Fault, Registry, RetryAfter, image, path};
use tokio::task::JoinHandle;

use crate::{Known, client, content, repository, settings, tag};

const KIB: u64 = 1024;

/// What is large for these tests.
const RANGES: RangePolicy = RangePolicy { threshold: 256 * KIB, connections: 4, memory: 96 * 1024 };

/// With these settings a piece that is read ahead has this size.
const PIECE: u64 = 16 * KIB;

/// So many of them are in memory.
const PIECES: usize = 6;

/// With these settings the first stretch has this size.
const FIRST: u64 = 64 * KIB;

async fn with_blob(builder: testkit::Builder, size: u64) -> (Registry, Descriptor, Bytes) {
    let registry = builder.start().await;
    let big = image::big(3, size);
    registry.add_big(&repository("a"), &tag("1"), &big).await;
    let pieces: Vec<Bytes> = big.content().try_collect().await.unwrap();
    (registry, big.layer, pieces.concat().into())
}

fn open(registry: &Registry) -> RepositoryClient {
    open_with(registry, Settings { ranges: RANGES, ..settings() })
}

fn open_with(registry: &Registry, settings: Settings) -> RepositoryClient {
    client(settings, Known::nobody()).repository(&registry.host(), &repository("a"))
}

async fn read(from: &RepositoryClient, blob: &Descriptor) -> Result<Bytes, Error> {
    content(from.read_blob(&blob.digest, Some(blob.size)).await?).await
}

/// Reads meanwhile.
fn reading(from: &RepositoryClient, blob: &Descriptor) -> JoinHandle<Result<Bytes, Error>> {
    let (from, blob) = (from.clone(), blob.clone());
    tokio::spawn(async move { read(&from, &blob).await })
}

/// The ranges that were asked for, by their beginnings: the first byte, and the one after the last.
fn ranges(log: &testkit::RequestLog) -> Vec<(u64, u64)> {
    let mut ranges: Vec<_> = log
        .matching("GET", path::BLOBS)
        .iter()
        .filter_map(|request| {
            let (first, last) = request.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse().ok()?, last.parse::<u64>().ok()? + 1))
        })
        .collect();
    ranges.sort_unstable();
    ranges
}

/// Asserts that every byte up to `size` was asked for once.
fn assert_each_byte_once(log: &testkit::RequestLog, size: u64) {
    let end = ranges(log).iter().fold(0, |end, (start, next)| {
        assert_eq!(*start, end, "{log}");
        *next
    });
    assert_eq!(end, size, "{log}");
    assert_eq!(ranges(log).len(), log.count("GET", path::BLOBS), "{log}");
}

#[tokio::test]
async fn a_large_blob_comes_in_stretches_that_follow_each_other() {
    let (registry, blob, expected) = with_blob(Registry::builder(), 2000 * KIB).await;
    assert_eq!(read(&open(&registry), &blob).await.unwrap(), expected);
    assert_eq!(ranges(registry.log())[0], (0, FIRST));
    assert_each_byte_once(registry.log(), blob.size);
}

#[tokio::test]
async fn other_blobs_come_in_one_stream() {
    let (registry, blob, expected) = with_blob(Registry::builder(), 300 * KIB).await;
    let a = open(&registry);
    assert_eq!(content(a.read_blob(&blob.digest, None).await.unwrap()).await.unwrap(), expected);
    let cases = [
        RangePolicy { threshold: blob.size + 1, ..RANGES },
        RangePolicy { connections: 1, ..RANGES },
        RangePolicy { memory: 0, ..RANGES },
    ];
    for ranges in cases {
        let a = open_with(&registry, Settings { ranges, ..settings() });
        assert_eq!(read(&a, &blob).await.unwrap(), expected);
    }
    let requests = registry.log().matching("GET", path::BLOBS);
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.header("range").is_none()));
}

#[tokio::test]
async fn while_its_reader_waits_as_much_is_read_ahead_as_there_is_memory() {
    let (stall, held) = Fault::stall_response(1000);
    let builder = Registry::builder().fault(stall.times(2));
    let (registry, blob, expected) = with_blob(builder, 2000 * KIB).await;
    let a = open(&registry);
    let both = [reading(&a, &blob), reading(&a, &blob)];
    let log = registry.log();
    log.wait_until(|log| {
        let requests = log.matching("GET", path::BLOBS);
        requests.iter().filter(|request| request.ended).count() == PIECES
    })
    .await;
    // Both together have no more.
    let ahead: Vec<_> = ranges(log).into_iter().filter(|(start, _)| *start > 0).collect();
    assert_eq!(ahead.len(), PIECES, "{log}");
    assert!(ahead.iter().all(|(start, end)| end - start == PIECE), "{log}");
    held.release();
    for one in both {
        assert_eq!(one.await.unwrap().unwrap(), expected);
    }
    let served: u64 = log.matching("GET", path::BLOBS).iter().map(|get| get.bytes_out).sum();
    assert_eq!(served, 2 * blob.size, "{log}");
}

#[tokio::test]
async fn what_is_read_ahead_is_handed_on_in_order() {
    let (stall, held) = Fault::stall_response(1000);
    let (registry, blob, expected) =
        with_blob(Registry::builder().fault(stall.once()), 700 * KIB).await;
    let reader = reading(&open(&registry), &blob);
    registry.log().wait_until(|log| ranges(log).len() == 1 + PIECES).await;
    held.release();
    assert_eq!(reader.await.unwrap().unwrap(), expected);
    assert_each_byte_once(registry.log(), blob.size);
}

#[tokio::test]
async fn only_permits_that_nobody_needs_are_taken() {
    let (stall, held) = Fault::stall_response(1000);
    let (registry, blob, expected) =
        with_blob(Registry::builder().fault(stall.once()), 700 * KIB).await;
    let a = open_with(&registry, Settings { ranges: RANGES, concurrency: Some(2), ..settings() });
    let reader = reading(&a, &blob);
    registry.log().wait_until(|log| ranges(log).len() == 1 + PIECES).await;
    held.release();
    assert_eq!(reader.await.unwrap().unwrap(), expected);
    registry
        .log()
        .wait_until(|log| log.matching("GET", path::BLOBS).iter().all(|get| get.ended))
        .await;
    assert_eq!(registry.log().peak(), 2, "{}", registry.log());
    let a = open_with(&registry, Settings { ranges: RANGES, concurrency: Some(1), ..settings() });
    registry.log().clear();
    assert_eq!(read(&a, &blob).await.unwrap(), expected);
    assert_each_byte_once(registry.log(), blob.size);
}

#[tokio::test]
async fn a_piece_that_breaks_is_fetched_again_by_itself() {
    let (stall, held) = Fault::stall_response(1000);
    let builder = Registry::builder().fault(stall.once()).fault(Fault::cut_response(5000).nth(3));
    let (registry, blob, expected) = with_blob(builder, 700 * KIB).await;
    let reader = reading(&open(&registry), &blob);
    registry.log().wait_until(|log| ranges(log).len() >= 3).await;
    let cut = registry.log().matching("GET", path::BLOBS)[2].clone();
    held.release();
    assert_eq!(reader.await.unwrap().unwrap(), expected, "{}", registry.log());
    // All that came of it counts; the rest is asked for once more.
    let cut: u64 =
        cut.header("range").unwrap()["bytes=".len()..].split('-').next().unwrap().parse().unwrap();
    let mut asked = ranges(registry.log());
    let again = asked.iter().position(|(start, _)| *start == cut + 5000).expect("the rest");
    assert_eq!(asked.remove(again), (cut + 5000, cut + PIECE), "{}", registry.log());
    assert!(asked.windows(2).all(|two| two[0].1 == two[1].0), "{}", registry.log());
}

#[tokio::test]
async fn a_stretch_that_breaks_goes_on_where_it_did() {
    let builder = Registry::builder().fault(Fault::cut_response(1000).once());
    let (registry, blob, expected) = with_blob(builder, 700 * KIB).await;
    assert_eq!(read(&open(&registry), &blob).await.unwrap(), expected);
    assert!(ranges(registry.log()).contains(&(1000, FIRST)), "{}", registry.log());
    let served: u64 =
        registry.log().matching("GET", path::BLOBS).iter().map(|get| get.bytes_out).sum();
    assert_eq!(served, blob.size, "{}", registry.log());
}

#[tokio::test]
async fn a_registry_that_wants_fewer_requests_gets_fewer() {
    let (stall, held) = Fault::stall_response(1000);
    let builder = Registry::builder().fault(stall.once());
    let (registry, blob, expected) = with_blob(builder, 700 * KIB).await;
    let limit = registry.inject(
        Fault::too_many_requests(RetryAfter::Unsaid).on("GET", path::BLOBS).after(2).times(2),
    );
    let reader = reading(&open(&registry), &blob);
    registry.log().wait_until(|log| ranges(log).len() >= 3).await;
    held.release();
    assert_eq!(reader.await.unwrap().unwrap(), expected, "{}", registry.log());
    assert!(limit.hits() > 0);
}

#[tokio::test]
async fn a_server_that_gives_no_ranges_is_read_in_one_stream() {
    let other_version = || Fault::answer_header("etag", "\"other\"").on("GET", path::BLOBS);
    let cases = [
        // What it does, how many requests are good, and whether it is asked for ranges again.
        ("ignores them", Fault::ignore_range(), 0, true),
        ("ignores them later", Fault::ignore_range(), 1, false),
        ("another range", Fault::wrong_content_range(), 0, false),
        ("another range later", Fault::wrong_content_range(), 1, false),
        ("no word of the range", Fault::no_content_range(), 1, false),
        ("refuses them", Fault::status(501).when(|get| get.headers.contains_key("range")), 0, true),
        ("another version", other_version(), 1, true),
    ];
    for (name, fault, good, again) in cases {
        let (registry, blob, expected) = with_blob(Registry::builder(), 700 * KIB).await;
        registry.inject(fault.on("GET", path::BLOBS).after(good));
        let a = open(&registry);
        let result = read(&a, &blob).await;
        assert_eq!(result.unwrap(), expected, "{name}:\n{}", registry.log());
        registry.log().clear();
        assert_eq!(read(&a, &blob).await.unwrap(), expected, "{name}:\n{}", registry.log());
        let first = &registry.log().matching("GET", path::BLOBS)[0];
        assert_eq!(first.header("range").is_some(), again, "{name}:\n{}", registry.log());
    }
}

#[tokio::test]
async fn ranges_are_those_of_one_version() {
    let (registry, blob, expected) = with_blob(Registry::builder(), 700 * KIB).await;
    assert_eq!(read(&open(&registry), &blob).await.unwrap(), expected);
    let version = format!("\"{}\"", blob.digest);
    let requests = registry.log().matching("GET", path::BLOBS);
    assert_eq!(requests[0].header("if-range"), None);
    assert!(requests[1..].iter().all(|get| get.header("if-range") == Some(version.as_str())));
}

#[tokio::test]
async fn a_redirect_is_followed_once_for_as_long_as_it_is_good() {
    let builder = Registry::builder().cdn().fault(Fault::redirect_to_cdn());
    let (registry, blob, expected) = with_blob(builder, 2000 * KIB).await;
    let (a, cdn) = (open(&registry), registry.cdn().unwrap());
    assert_eq!(read(&a, &blob).await.unwrap(), expected);
    assert_eq!(registry.log().count("GET", path::BLOBS), 1, "{}", registry.log());
    assert_each_byte_once(cdn.log(), blob.size);
    let expired = cdn.inject(Fault::status(403).on("GET", path::BLOBS).nth(3));
    assert_eq!(read(&a, &blob).await.unwrap(), expected);
    assert_eq!((expired.hits(), registry.log().count("GET", path::BLOBS)), (1, 1 + 2));
}

#[tokio::test]
async fn wrong_content_is_refused_before_its_last_piece() {
    let (registry, blob, expected) = with_blob(Registry::builder(), 700 * KIB).await;
    registry.inject(Fault::flip_byte(50).nth(2));
    let reader = open(&registry).read_blob(&blob.digest, Some(blob.size)).await.unwrap().unwrap();
    let items: Vec<_> = reader.collect().await;
    let (last, rest) = items.split_last().unwrap();
    assert_eq!(last.as_ref().unwrap_err().kind(), ErrorKind::Content);
    let given: usize = rest.iter().map(|item| item.as_ref().unwrap().len()).sum();
    assert!(given < expected.len());
}

#[tokio::test]
async fn the_rest_of_a_blob() {
    let (registry, blob, expected) = with_blob(Registry::builder(), 700 * KIB).await;
    let a = open(&registry);
    for offset in [0, 1, 100 * KIB, 600 * KIB, blob.size - 1] {
        registry.log().clear();
        let reader = a.read_blob_from(&blob.digest, blob.size, offset).await.unwrap();
        let rest = expected.slice(usize::try_from(offset).unwrap()..);
        assert_eq!(content(reader).await.unwrap(), rest, "{offset}");
        let served: u64 =
            registry.log().matching("GET", path::BLOBS).iter().map(|get| get.bytes_out).sum();
        assert_eq!(served, blob.size - offset);
    }
    registry.log().clear();
    let nothing = a.read_blob_from(&blob.digest, blob.size, blob.size).await.unwrap();
    assert_eq!(content(nothing).await.unwrap(), Bytes::new());
    assert!(registry.log().requests().is_empty());
    assert!(a.read_blob_from(&Digest::sha256(b"no"), 10, 5).await.unwrap().is_none());
    let error = a.read_blob_from(&blob.digest, blob.size + 1, 5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Content, "{error}");
    for fault in
        [Fault::ignore_range(), Fault::wrong_content_range(), Fault::cut_response(10).once()]
    {
        let shown = format!("{fault:?}");
        registry.clear_faults();
        registry.inject(fault);
        for offset in [5, 690 * KIB] {
            let reader =
                open(&registry).read_blob_from(&blob.digest, blob.size, offset).await.unwrap();
            let rest = expected.slice(usize::try_from(offset).unwrap()..);
            assert_eq!(content(reader).await.unwrap(), rest, "{shown} {offset}");
        }
    }
}
