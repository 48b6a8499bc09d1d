//! Large blobs, down: in ranges, several at once, in order, and from servers that give none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use oci::Descriptor;
use registry::{ErrorKind, RangePolicy, RegistrySettings, RepositoryClient, Settings};
use testkit::{ContentLength, Fault, Registry, image, path};

use crate::{Known, client, content, repository, settings, tag};

const KIB: u64 = 1024;

/// What is large for these tests: pieces of 16 KiB, first stretch 64 KiB.
const RANGES: RangePolicy =
    RangePolicy { threshold: 256 * KIB, connections: 4, memory: 64 * 1024 };

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

/// The ranges that were asked for, in order of their beginnings, as first byte and length.
fn ranges(registry: &Registry) -> Vec<(u64, u64)> {
    let requests = registry.log().matching("GET", path::BLOBS);
    let mut ranges: Vec<_> = requests
        .iter()
        .filter_map(|request| {
            let (first, last) = request.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
            let first: u64 = first.parse().ok()?;
            Some((first, last.parse::<u64>().ok()? + 1 - first))
        })
        .collect();
    ranges.sort_unstable();
    ranges
}

#[tokio::test]
async fn a_large_blob_comes_in_stretches_that_follow_each_other() {
    let (registry, blob, expected) = with_blob(Registry::builder(), 2000 * KIB).await;
    let reader = open(&registry).read_blob(&blob.digest, Some(blob.size)).await.unwrap();
    assert_eq!(content(reader).await.unwrap(), expected);
    let ranges = ranges(&registry);
    assert_eq!(ranges.len(), registry.log().count("GET", path::BLOBS), "{}", registry.log());
    let mut end = 0;
    for (start, length) in ranges {
        assert_eq!(start, end, "{}", registry.log());
        end += length;
    }
    assert_eq!(end, blob.size);
}

#[tokio::test]
async fn a_small_blob_and_one_of_unknown_size_come_in_one_stream() {
    let (registry, blob, expected) = with_blob(Registry::builder(), 200 * KIB).await;
    let a = open(&registry);
    for size in [Some(blob.size), None] {
        let reader = a.read_blob(&blob.digest, size).await.unwrap();
        assert_eq!(content(reader).await.unwrap(), expected);
    }
    let requests = registry.log().matching("GET", path::BLOBS);
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| request.header("range").is_none()));
}
