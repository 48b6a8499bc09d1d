//! Makes the images of a benchmark as a tree of OCI layouts: `corpus FOLDER IMAGES BIG_LAYER_BYTES`.
//!
//! The images are `image-0:1`, `image-1:1`, … with a shared base; the big one is `big:1`.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a tool of the benchmarks; what goes wrong ends it"
)]

use std::path::PathBuf;

use layout::Layout;
use oci::Tag;
use testkit::image;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("usage: corpus FOLDER IMAGES BIG_LAYER_BYTES");
    let folder = PathBuf::from(next());
    let images: usize = next().parse().unwrap();
    let big: u64 = next().parse().unwrap();
    let tag: Tag = "1".parse().unwrap();
    for (number, image) in image::shared_base(1, images).iter().enumerate() {
        let layout = Layout::at(folder.join(format!("image-{number}")));
        image.write_to(&layout).await;
        layout.tag(&tag, &image.root).await.unwrap();
    }
    if big > 0 {
        let image = image::big(2, big);
        let layout = Layout::at(folder.join("big"));
        image.write_to(&layout).await;
        layout.tag(&tag, &image.manifest.descriptor()).await.unwrap();
    }
}
