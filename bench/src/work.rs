//! [`Work`]: what the tools are given to do.

use crate::corpus::Shape;
use crate::link::Quality;
use crate::tools::Tool;

/// A task, with its network.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Everything is copied; no delay.
    Cold0,
    /// Everything is copied; 40 ms round trip.
    Cold40,
    /// Nothing to do, 1,000 tags; 40 ms.
    Unchanged,
    /// Nothing to do, 10,000 tags; 40 ms; ours alone.
    Unchanged10000,
    /// One new layer in each of 100 images; 40 ms.
    OneLayer,
    /// One layer of 4 GiB; 40 ms, 40 MB/s a connection at the source.
    LargeSource,
    /// One layer of 4 GiB; 40 ms, 40 MB/s a connection at both sides.
    LargeBoth,
    /// One source, four targets; 40 ms.
    FourTargets,
    /// A source that answers 429 beyond 20 requests a second; 40 ms.
    RateLimit,
    /// 64 large layers at once; 40 ms, 8 MB/s a connection.
    Memory,
}

/// All that a work is made of.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// What it is, in a line.
    pub(crate) title: String,
    pub(crate) shape: Shape,
    /// What the targets hold already.
    pub(crate) present: Option<Shape>,
    pub(crate) source: Quality,
    pub(crate) target: Quality,
    pub(crate) targets: usize,
    /// How many requests a second the source takes.
    pub(crate) limit: Option<u32>,
    /// How many transfers are wanted at once.
    pub(crate) streams: Option<usize>,
    pub(crate) tools: Vec<Tool>,
}

const LINUX: &[&str] = &["linux/amd64", "linux/arm64"];
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// 30 repositories of 5 tags, as judges of the field have them: index, two images, two attestations.
const MIRROR: Shape = Shape {
    repositories: 30,
    tags: 0..5,
    platforms: LINUX,
    base: Some(3 * MIB),
    own_layers: 3,
    layer_sizes: (4 * KIB, 128 * KIB),
    attestations: true,
    grows: false,
};

impl Work {
    pub(crate) const ALL: [Self; 10] = [
        Self::Cold0,
        Self::Cold40,
        Self::Unchanged,
        Self::Unchanged10000,
        Self::OneLayer,
        Self::LargeSource,
        Self::LargeBoth,
        Self::FourTargets,
        Self::RateLimit,
        Self::Memory,
    ];

    /// As it is called on the command line and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cold0 => "cold0",
            Self::Cold40 => "cold40",
            Self::Unchanged => "unchanged",
            Self::Unchanged10000 => "unchanged10000",
            Self::OneLayer => "one-layer",
            Self::LargeSource => "large-source",
            Self::LargeBoth => "large-both",
            Self::FourTargets => "four-targets",
            Self::RateLimit => "rate-limit",
            Self::Memory => "memory",
        }
    }

    /// Its task; `quick` is the same in small, `tiny` only shows that the harness works.
    pub(crate) fn task(self, size: Size) -> Task {
        let far = Quality { round_trip: 40, ..Quality::default() };
        let task = Task {
            title: String::new(),
            shape: MIRROR,
            present: None,
            source: far,
            target: far,
            targets: 1,
            limit: None,
            streams: None,
            tools: Tool::ALL.into_iter().filter(|tool| *tool != Tool::ImageSyncerLateOff).collect(),
        };
        let mut task = match self {
            Self::Cold0 => Task { source: Quality::default(), target: Quality::default(), ..task },
            Self::Cold40 => task,
            Self::Unchanged => {
                let shape = Shape {
                    repositories: 100,
                    tags: 0..10,
                    own_layers: 1,
                    layer_sizes: (KIB, 2 * KIB),
                    ..MIRROR
                };
                Task { present: Some(shape.clone()), shape, tools: Tool::ALL.to_vec(), ..task }
            }
            Self::Unchanged10000 => {
                let shape = Shape {
                    repositories: 100,
                    tags: 0..100,
                    platforms: &["linux/amd64"],
                    own_layers: 0,
                    attestations: false,
                    ..MIRROR
                };
                let tools = vec![Tool::ImageSyncer, Tool::ImageSyncerLateOff];
                Task { present: Some(shape.clone()), shape, tools, ..task }
            }
            Self::OneLayer => {
                let shape = Shape {
                    repositories: 100,
                    tags: 2..3,
                    platforms: &["linux/amd64"],
                    attestations: false,
                    grows: true,
                    ..MIRROR
                };
                let present = Some(Shape { tags: 1..2, ..shape.clone() });
                Task { shape, present, ..task }
            }
            Self::LargeSource | Self::LargeBoth => {
                let layer = match size {
                    Size::Full => 4 * KIB * MIB,
                    Size::Quick => KIB * MIB,
                    Size::Tiny => 32 * MIB,
                };
                let shape = one_layer(1, layer);
                let slow = Quality { bandwidth: Some(40_000_000), ..far };
                let target = if self == Self::LargeBoth { slow } else { far };
                Task { shape, source: slow, target, ..task }
            }
            Self::FourTargets => {
                let shape = Shape { repositories: 10, tags: 0..3, ..MIRROR };
                Task { shape, targets: 4, ..task }
            }
            Self::RateLimit => {
                let shape = Shape {
                    repositories: 20,
                    tags: 0..5,
                    platforms: &["linux/amd64"],
                    own_layers: 2,
                    attestations: false,
                    ..MIRROR
                };
                Task { shape, limit: Some(20), ..task }
            }
            Self::Memory => {
                let layer = if size == Size::Full { 32 * MIB } else { 8 * MIB };
                let shape = one_layer(64, layer);
                let slow = Quality { bandwidth: Some(8_000_000), ..far };
                Task { shape, source: slow, target: slow, streams: Some(64), ..task }
            }
        };
        if size == Size::Tiny {
            task.shape.shrink();
            task.present = task.present.map(|mut shape| {
                shape.shrink();
                shape
            });
        }
        task.title = self.title(&task);
        task
    }

    fn title(self, task: &Task) -> String {
        let shape = &task.shape;
        let (repositories, tags) = (shape.repositories, shape.tags.len());
        let layer = shape.layer_sizes.1 / MIB;
        match self {
            Self::Cold0 | Self::Cold40 => format!(
                "cold: {repositories} repositories × {tags} tags × {} platforms with attestations, {} ms",
                shape.platforms.len(),
                task.source.round_trip
            ),
            Self::Unchanged | Self::Unchanged10000 => {
                format!("nothing to do: {} tags, 40 ms", repositories * tags)
            }
            Self::OneLayer => format!("one new layer in each of {repositories} images, 40 ms"),
            Self::LargeSource => {
                format!("one layer of {layer} MiB, 40 ms, 40 MB/s a connection at the source")
            }
            Self::LargeBoth => {
                format!("one layer of {layer} MiB, 40 ms, 40 MB/s a connection at both sides")
            }
            Self::FourTargets => format!("{} tags to four targets, 40 ms", repositories * tags),
            Self::RateLimit => {
                format!(
                    "{} tags, the source answers 429 beyond 20 requests a second, 40 ms",
                    repositories * tags
                )
            }
            Self::Memory => {
                format!(
                    "memory: {repositories} layers of {layer} MiB at once, 40 ms, 8 MB/s a connection"
                )
            }
        }
    }
}

/// How much of a work is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Size {
    /// As the issue of it says.
    Full,
    /// Smaller layers.
    Quick,
    /// Hardly anything: whether the harness works.
    Tiny,
}

impl Shape {
    fn shrink(&mut self) {
        self.repositories = self.repositories.min(3);
        self.tags.end = self.tags.end.min(self.tags.start + 2);
        self.base = self.base.map(|size| size.min(256 * KIB));
    }
}

/// Repositories of one image with one layer of so many bytes, which no other shares.
fn one_layer(repositories: usize, layer: u64) -> Shape {
    Shape {
        repositories,
        tags: 0..1,
        platforms: &["linux/amd64"],
        base: None,
        own_layers: 1,
        layer_sizes: (layer, layer),
        attestations: false,
        grows: false,
    }
}
