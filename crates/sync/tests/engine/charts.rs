//! Helm charts: one of a classic repository is made an image, and what Helm pushed counts as there.

use std::sync::Arc;

use bytes::Bytes;
use charts::{Chart, ChartRepository};
use oci::{Algorithm, ChartLocation, Extent, Location, Manifest, Reference, Source, Tag};
use sync::{
    Charts, Choice, Class, Failure, ItemReport, Mode, Outcome, Side, TagSelection, WantedSignatures,
};
use testkit::image::MadeImage;
use testkit::{Fault, MadeChart, Registry, chart_repository};

use crate::rig::{Rig, repository_name, tag_name};

const VALUES: &str = "image:\n  repository: example.com/team/app\n  tag: \"1.27\"\n";

/// A repository of charts beside a rig.
struct Shelf {
    server: Registry,
    rig: Rig,
}

impl Shelf {
    async fn new(charts: &[MadeChart]) -> Self {
        Self::pointing(charts, |_| None).await
    }

    async fn pointing(charts: &[MadeChart], urls: impl Fn(&MadeChart) -> Option<String>) -> Self {
        let server =
            Registry::builder().serve(chart_repository("/stable", charts, urls)).start().await;
        Self { server, rig: Rig::new().await }
    }

    fn location(&self, path: &str, chart: &str) -> ChartLocation {
        ChartLocation::new(&format!("{}{path}", self.server.url()), chart).unwrap()
    }

    fn selection(&self, choice: Choice) -> TagSelection {
        let target = format!("{}/charts/app", self.rig.target.host());
        TagSelection {
            source: Location::Chart(self.location("/stable", "app")),
            otherwise: None,
            written: "the chart".into(),
            choice,
            extent: Extent::Chart,
            target: target.parse::<Reference>().unwrap().location,
            lists_images: false,
            signatures: WantedSignatures::default(),
            origin: None,
        }
    }

    fn named(&self, tags: &[&str]) -> TagSelection {
        self.selection(Choice::Named(tags.iter().map(|tag| tag_name(tag)).collect()))
    }

    /// A run of its own, which reads indexes anew.
    async fn run(&mut self, selection: TagSelection) -> Vec<ItemReport> {
        let locations = [Some(&selection.source), selection.otherwise.as_ref()];
        let locations = locations.into_iter().flatten().filter_map(|location| match location {
            Location::Chart(chart) => Some(chart.clone()),
            _ => None,
        });
        let client =
            |url: &str| Ok(ChartRepository::new(&url.parse().unwrap(), http(), None).unwrap());
        self.rig.options.charts = Arc::new(Charts::new(locations, client));
        self.server.log().clear();
        self.rig.forget();
        self.rig.run_all(Vec::new(), vec![selection]).await.items
    }

    async fn run_one(&mut self, selection: TagSelection) -> ItemReport {
        self.run(selection).await.remove(0)
    }

    fn fetched(&self) -> usize {
        self.server.log().count("GET", "/stable/*.tgz")
    }

    /// The archive of the chart that the target's tag holds.
    async fn held(&self, tag: &str) -> Option<oci::Digest> {
        let layout = self.rig.target.layout(&repository_name("charts/app"));
        let manifest = layout.manifest(&tag_name(tag).into()).await.unwrap()?;
        charts::chart_layer(&manifest).map(|layer| layer.digest)
    }
}

fn http() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// The chart as Helm would have pushed it at some other time.
fn pushed_by_helm(chart: &MadeChart) -> MadeImage {
    let image = Chart::from_archive(chart.archive.clone(), None).unwrap().image().unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(image.manifest.bytes()).unwrap();
    manifest["annotations"]["org.opencontainers.image.created"] = "2020-02-20T02:02:02Z".into();
    let bytes = Bytes::from(manifest.to_string());
    let manifest = Manifest::parse(bytes, None, Algorithm::Sha256).unwrap();
    assert_ne!(manifest.digest(), image.manifest.digest());
    MadeImage { root: manifest.descriptor(), manifests: vec![manifest], blobs: image.blobs }
}

#[tokio::test]
async fn a_chart_is_copied_once_and_then_only_the_index_is_read() {
    let charts = ["1.0.0", "1.1.0+b"].map(|version| MadeChart::new("app", version, VALUES));
    let mut shelf = Shelf::new(&charts).await;
    let wanted = shelf.named(&["1.0.0", "1.1.0_b"]);
    let items = shelf.run(wanted.clone()).await;
    assert!(items.iter().all(|item| item.outcome == Outcome::Copied), "{items:?}");
    for (chart, tag) in charts.iter().zip(["1.0.0", "1.1.0_b"]) {
        assert_eq!(shelf.held(tag).await, Some(chart.digest()));
    }
    assert_eq!(shelf.fetched(), 2);
    assert_eq!(items[0].source_digest, items[0].target_digest);
    let source = items[0].wanted.source();
    assert_eq!(source, format!("{}/stable/app:1.0.0", shelf.server.url()));

    let items = shelf.run(wanted.clone()).await;
    assert!(items.iter().all(|item| item.outcome == Outcome::UpToDate), "{items:?}");
    assert_eq!(shelf.fetched(), 0);
    assert_eq!(shelf.server.log().requests().len(), 1, "{}", shelf.server.log());
    assert_eq!(shelf.rig.target.log().writes().len(), 0, "{}", shelf.rig.target.log());
    shelf.rig.options.mode = Mode::Verify;
    let items = shelf.run(wanted).await;
    assert!(items.iter().all(|item| item.outcome == Outcome::UpToDate), "{items:?}");
}

#[tokio::test]
async fn a_chart_that_helm_pushed_is_up_to_date_and_another_is_drift() {
    let chart = MadeChart::new("app", "1.0.0", VALUES);
    let mut shelf = Shelf::new(std::slice::from_ref(&chart)).await;
    let helms = pushed_by_helm(&chart);
    shelf.rig.hold("charts/app", "1.0.0", &helms).await;
    let item = shelf.run_one(shelf.named(&["1.0.0"])).await;
    assert_eq!(item.outcome, Outcome::UpToDate, "{item:?}");
    assert_eq!(item.target_digest, Some(helms.digest()));
    assert_eq!(shelf.fetched(), 0);

    let other = MadeChart::new("app", "1.0.0", "changed: true\n");
    let mut shelf = Shelf::new(std::slice::from_ref(&other)).await;
    shelf.rig.hold("charts/app", "1.0.0", &helms).await;
    let item = shelf.run_one(shelf.named(&["1.0.0"])).await;
    assert_eq!(item.outcome, Outcome::Drift, "{item:?}");
    assert_eq!(item.pin_line(), None, "a chart is wanted by its version");
    assert_eq!(shelf.rig.target.log().writes().len(), 0, "{}", shelf.rig.target.log());
    assert_eq!(shelf.held("1.0.0").await, Some(chart.digest()));
}

/// Also from registry to registry: the manifest may be another, the chart is the same.
#[tokio::test]
async fn a_chart_in_a_registry_is_compared_by_its_archive() {
    let chart = MadeChart::new("app", "1.0.0", VALUES);
    let mut shelf = Shelf::new(&[]).await;
    let ours = Chart::from_archive(chart.archive.clone(), None).unwrap().image().unwrap();
    let root = ours.manifest.descriptor();
    let ours = MadeImage { root, manifests: vec![ours.manifest], blobs: ours.blobs };
    shelf.rig.offer("upstream/app", "1.0.0", &ours).await;
    shelf.rig.hold("charts/app", "1.0.0", &pushed_by_helm(&chart)).await;
    let source = format!("{}/upstream/app", shelf.rig.source.host());
    let source = source.parse::<Reference>().unwrap().location;
    let wanted = TagSelection { source, ..shelf.named(&["1.0.0", "2.0.0"]) };
    let items = shelf.run(wanted).await;
    assert_eq!(items[0].outcome, Outcome::UpToDate, "{items:?}");
    assert_eq!(items[1].outcome, Outcome::SourceMissing, "{items:?}");
}

#[tokio::test]
async fn a_range_takes_the_versions_in_it() {
    let versions = ["1.0.0", "1.2.0", "1.3.0-rc.1", "2.0.0"];
    let charts = versions.map(|version| MadeChart::new("app", version, VALUES));
    let mut shelf = Shelf::new(&charts).await;
    let wanted = shelf.selection(Choice::Versions("^1.0".parse().unwrap()));
    let mut tags: Vec<_> = shelf.run(wanted).await.iter().map(|one| one.wanted.target()).collect();
    tags.sort_unstable();
    let target = format!("{}/charts/app", shelf.rig.target.host());
    assert_eq!(tags, [format!("{target}:1.0.0"), format!("{target}:1.2.0")]);

    let wanted = shelf.selection(Choice::Versions(">=3".parse().unwrap()));
    let item = shelf.run_one(wanted).await;
    let failure = item.failure.unwrap();
    assert_eq!(failure.class, Class::Selection, "{failure:?}");
    assert!(failure.message.contains("`>=3`"), "{failure:?}");
}

#[tokio::test]
async fn what_is_not_in_one_place_is_in_the_other() {
    let chart = MadeChart::new("app", "1.0.0", VALUES);
    let mut shelf = Shelf::new(std::slice::from_ref(&chart)).await;
    let host = shelf.server.host();
    for (source, otherwise, expected) in [
        (shelf.location("", "stable"), shelf.location("/stable", "app"), Outcome::Copied),
        (shelf.location("/stable", "app"), shelf.location("/stable/app", "x"), Outcome::UpToDate),
        (shelf.location("", "a"), shelf.location("/stable", "b"), Outcome::Failed),
    ] {
        let wanted = TagSelection {
            source: Location::Chart(source),
            otherwise: Some(Location::Chart(otherwise)),
            ..shelf.named(&["1.0.0"])
        };
        let item = shelf.run_one(wanted).await;
        assert_eq!(item.outcome, expected, "{item:?}");
        if let Some(failure) = item.failure {
            assert_eq!(failure.class, Class::NotFound, "{failure:?}");
            assert!(failure.message.contains(&format!("{host}/stable/b`")), "{failure:?}");
        }
    }
}

/// Bitnami's index names registries.
#[tokio::test]
async fn an_index_may_point_at_a_registry() {
    let chart = MadeChart::new("app", "1.0.0", VALUES);
    let helms = pushed_by_helm(&chart);
    let registry = Registry::start().await;
    registry.add(&repository_name("bitnamicharts/app"), &tag_name("1.0.0"), &helms).await;
    let host = registry.host();
    let mut shelf = Shelf::pointing(std::slice::from_ref(&chart), |_| {
        Some(format!("oci://{host}/bitnamicharts/app:1.0.0"))
    })
    .await;
    let item = shelf.run_one(shelf.named(&["1.0.0"])).await;
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    assert_eq!(item.wanted.source(), format!("{host}/bitnamicharts/app:1.0.0"));
    shelf.rig.assert_holds("charts/app", "1.0.0", &helms).await;
    assert_eq!(shelf.run_one(shelf.named(&["1.0.0"])).await.outcome, Outcome::UpToDate);
}

#[tokio::test]
async fn what_is_not_what_the_index_says_is_not_published() {
    let chart = MadeChart::new("app", "1.0.0", VALUES);
    let mut shelf = Shelf::new(std::slice::from_ref(&chart)).await;
    let other = MadeChart::new("app", "1.0.0", "changed: true\n").archive;
    let other = String::from_utf8_lossy(&other).into_owned();
    shelf.server.inject(Fault::status(200).body(other).on("GET", "/stable/*.tgz"));
    let item = shelf.run_one(shelf.named(&["1.0.0"])).await;
    assert_eq!(item.outcome, Outcome::Failed, "{item:?}");
    assert_eq!(item.failure.map(|failure| failure.class), Some(Class::Content));
    assert_eq!(shelf.rig.target.log().writes().len(), 0, "{}", shelf.rig.target.log());
}

#[tokio::test]
async fn a_plan_says_which_images_a_chart_names() {
    let chart = MadeChart::new("app", "1.0.0", VALUES);
    let mut shelf = Shelf::new(std::slice::from_ref(&chart)).await;
    shelf.rig.options.mode = Mode::Plan;
    let item = shelf.run_one(TagSelection { lists_images: true, ..shelf.named(&["1.0.0"]) }).await;
    assert_eq!(item.outcome, Outcome::WouldCopy);
    let named = item.notes.iter().any(|note| note.contains("example.com/team/app:1.27"));
    assert!(named, "{:?}", item.notes);
}

/// However many versions, no more are in memory than are held at once.
#[tokio::test]
async fn many_versions_do_not_wait_for_each_other_forever() {
    let charts: Vec<_> =
        (0..40).map(|minor| MadeChart::new("app", &format!("1.{minor}.0"), VALUES)).collect();
    let mut shelf = Shelf::new(&charts).await;
    let wanted = shelf.selection(Choice::Versions("*".parse().unwrap()));
    let items = shelf.run(wanted).await;
    assert_eq!(items.len(), 40);
    assert!(items.iter().all(|item| item.outcome == Outcome::Copied), "{items:?}");
}

/// The others' charts are not concerned.
#[tokio::test]
async fn a_repository_that_cannot_be_asked_fails_its_own_charts_only() {
    let chart = MadeChart::new("app", "1.0.0", VALUES);
    let mut shelf = Shelf::new(std::slice::from_ref(&chart)).await;
    let locations = [shelf.location("/stable", "app"), shelf.location("/locked", "app")];
    let failure = Failure {
        side: Side::Source,
        class: Class::Credentials,
        message: "no password".into(),
        hint: None,
        temporary: false,
        content_unknown: false,
    };
    let client = |url: &str| match url.ends_with("/locked") {
        true => Err(failure.clone()),
        false => Ok(ChartRepository::new(&url.parse().unwrap(), http(), None).unwrap()),
    };
    shelf.rig.options.charts = Arc::new(Charts::new(locations.clone(), client));
    let [good, locked] = locations.map(|location| TagSelection {
        source: Location::Chart(location),
        ..shelf.named(&["1.0.0"])
    });
    let elsewhere = format!("{}/charts/other", shelf.rig.target.host());
    let locked =
        TagSelection { target: elsewhere.parse::<Reference>().unwrap().location, ..locked };
    let items = shelf.rig.run_all(Vec::new(), vec![locked, good]).await.items;
    assert_eq!(items[0].failure.as_ref(), Some(&failure), "{items:?}");
    assert_eq!(items[1].outcome, Outcome::Copied, "{items:?}");
}

/// Where the index points at something that can be nothing, only the version is concerned.
#[tokio::test]
async fn an_index_that_points_at_nonsense_does_so_for_one_version() {
    let charts = ["1.0.0", "1.1.0"].map(|version| MadeChart::new("app", version, VALUES));
    let mut shelf = Shelf::pointing(&charts, |chart| {
        (chart.archive == charts[0].archive).then(|| "oci://Not A Registry".to_owned())
    })
    .await;
    let items = shelf.run(shelf.named(&["1.0.0", "1.1.0"])).await;
    let failure = items[0].failure.as_ref().unwrap();
    assert!(failure.message.contains("it lies in a registry"), "{failure:?}");
    assert_eq!(items[1].outcome, Outcome::Copied, "{items:?}");
}

#[tokio::test]
async fn a_version_that_is_not_there_is_told_with_the_newest() {
    let chart = MadeChart::new("app", "v1.0.0", VALUES);
    let mut shelf = Shelf::new(std::slice::from_ref(&chart)).await;
    let items = shelf.run(shelf.named(&["1.0.0", "2.0.0"])).await;
    assert_eq!(items[0].outcome, Outcome::Copied, "a `v` does not matter: {items:?}");
    assert_eq!(items[1].outcome, Outcome::SourceMissing, "{items:?}");
    let hint = items[1].failure.as_ref().and_then(|failure| failure.hint.clone());
    assert_eq!(hint.as_deref(), Some("the newest version there is `v1.0.0`"));
}

#[test]
fn sources_of_charts_are_shown_as_they_are_asked_for() {
    let chart = ChartLocation::new("https://charts.example.com/stable", "nginx").unwrap();
    let source = Source {
        location: Location::Chart(chart),
        selection: oci::Selection::Tag("1.0.0".parse::<Tag>().unwrap()),
    };
    assert_eq!(source.to_string(), "https://charts.example.com/stable/nginx:1.0.0");
}
