//! Two registries, an engine between them, and what was heard of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oci::{Digest, Extent, Manifest, Reference, RegistryKind, Repository, Tag};
use registry::{AnonymousEverywhere, Client, RegistrySettings, RetryPolicy, Settings};
use sync::{
    Engine, Event, ItemReport, Mode, Options, Outcome, RunReport, Stop, TagSelection, Wanted,
};
use testkit::Registry;
use testkit::image::MadeImage;

pub(crate) struct Rig {
    pub(crate) source: Registry,
    pub(crate) target: Registry,
    pub(crate) options: Options,
    pub(crate) stop: Stop,
    /// What both registries are said to be, where their answers do not tell.
    pub(crate) kind: Option<RegistryKind>,
    heard: Arc<Mutex<Vec<Event>>>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::between(Registry::start().await, Registry::start().await)
    }

    pub(crate) fn between(source: Registry, target: Registry) -> Self {
        Self {
            source,
            target,
            options: Options::default(),
            stop: Stop::default(),
            kind: None,
            heard: Arc::default(),
        }
    }

    pub(crate) fn mode(mut self, mode: Mode) -> Self {
        self.options.mode = mode;
        self
    }

    /// Puts an image into the source.
    pub(crate) async fn offer(&self, repository: &str, tag: &str, image: &MadeImage) {
        self.source.add(&repository_name(repository), &tag_name(tag), image).await;
    }

    /// Puts an artifact into the source, without a tag.
    pub(crate) async fn attach(&self, repository: &str, artifact: &MadeImage) {
        artifact.write_to(&self.source.layout(&repository_name(repository))).await;
    }

    /// Puts an image into the target.
    pub(crate) async fn hold(&self, repository: &str, tag: &str, image: &MadeImage) {
        self.target.add(&repository_name(repository), &tag_name(tag), image).await;
    }

    /// A wish for `source` (a name within the source registry) as `target` (within the target's).
    pub(crate) fn wish(&self, source: &str, target: &str) -> Wanted {
        wish(
            &format!("{}/{source}", self.source.host()),
            &format!("{}/{target}", self.target.host()),
        )
    }

    pub(crate) async fn run(&self, wanted: Vec<Wanted>) -> RunReport {
        self.run_with(self.client(), wanted).await
    }

    /// Runs named tags together with what rules select.
    pub(crate) async fn run_all(
        &self,
        named: Vec<Wanted>,
        selections: Vec<TagSelection>,
    ) -> RunReport {
        let engine = self.engine(self.client());
        engine.run_selecting(named, selections, &self.stop).await
    }

    fn client(&self) -> Client {
        let registries = [&self.source, &self.target].map(|registry| {
            (registry.host(), RegistrySettings { kind: self.kind, ..Default::default() })
        });
        let settings = Settings { registries: registries.into(), ..settings() };
        Client::new(settings, Arc::new(AnonymousEverywhere)).unwrap()
    }

    /// Runs with a client of its own for the source.
    pub(crate) async fn run_through(&self, source: &Client, wanted: Wanted) -> ItemReport {
        self.run_with(source.clone(), vec![wanted]).await.items.remove(0)
    }

    async fn run_with(&self, source: Client, wanted: Vec<Wanted>) -> RunReport {
        self.engine(source).run(wanted, &self.stop).await
    }

    fn engine(&self, source: Client) -> Engine {
        let heard = Arc::clone(&self.heard);
        let listener = move |event: &Event| heard.lock().unwrap().push(event.clone());
        Engine::new(source, self.client(), self.options.clone(), Arc::new(listener))
    }

    pub(crate) async fn run_one(&self, wanted: Wanted) -> ItemReport {
        self.run(vec![wanted]).await.items.remove(0)
    }

    pub(crate) fn heard(&self) -> Vec<Event> {
        self.heard.lock().unwrap().clone()
    }

    /// Forgets what was asked of both registries.
    pub(crate) fn forget(&self) {
        self.source.log().clear();
        self.target.log().clear();
    }

    /// The digests that the target lists as referring to a manifest.
    pub(crate) async fn referrers(&self, repository: &str, subject: &Digest) -> Vec<Digest> {
        let client = client().repository(&self.target.host(), &repository_name(repository));
        let listed = client.referrers(subject).await.unwrap().manifests;
        let mut digests: Vec<Digest> = listed.iter().map(|referrer| referrer.digest).collect();
        digests.sort_unstable();
        digests
    }

    /// That the target lists this, and nothing else, as referring to a manifest, and has all of it.
    pub(crate) async fn assert_refer(
        &self,
        repository: &str,
        subject: &Digest,
        artifacts: &[&MadeImage],
    ) {
        let mut expected: Vec<Digest> =
            artifacts.iter().map(|artifact| artifact.digest()).collect();
        expected.sort_unstable();
        assert_eq!(self.referrers(repository, subject).await, expected);
        for artifact in artifacts {
            let missing = self.target.missing(&repository_name(repository), artifact).await;
            assert!(missing.is_empty(), "{repository} lacks {missing:?}");
        }
    }

    /// That the target's tag holds this image, with all it is made of.
    pub(crate) async fn assert_holds(&self, repository: &str, tag: &str, image: &MadeImage) {
        let name = repository_name(repository);
        let held = self.target.resolve(&name, &tag_name(tag)).await;
        assert_eq!(held, Some(image.digest()), "{repository}:{tag}");
        let missing = self.target.missing(&name, image).await;
        assert!(missing.is_empty(), "{repository}:{tag} lacks {missing:?}");
    }

    pub(crate) async fn assert_absent(&self, repository: &str, tag: &str) {
        let held = self.target.resolve(&repository_name(repository), &tag_name(tag)).await;
        assert_eq!(held, None, "{repository}:{tag}");
    }
}

pub(crate) fn wish(source: &str, target: &str) -> Wanted {
    let parse = |text: &str| text.parse::<Reference>().unwrap();
    Wanted {
        source: parse(source).try_into().unwrap(),
        written: source.to_owned(),
        extent: Extent::Whole,
        lists_images: false,
        signatures: sync::WantedSignatures::default(),
        target: parse(target).try_into().unwrap(),
        origin: None,
    }
}

/// A client that does not wait long before it tries again.
pub(crate) fn client() -> Client {
    Client::new(settings(), Arc::new(AnonymousEverywhere)).unwrap()
}

/// Settings with pauses that no test has to wait for.
pub(crate) fn settings() -> Settings {
    let retry = RetryPolicy {
        first_delay: Duration::from_millis(1),
        longest_delay: Duration::from_millis(2),
        longest_retry_after: Duration::from_secs(1),
    };
    Settings { retry, attempts: 3, ..Settings::default() }
}

/// A list of referrers, as it stands under a fallback tag.
pub(crate) fn referrers_list(artifacts: &[&MadeImage]) -> MadeImage {
    let entries: Vec<_> = artifacts.iter().map(|one| one.manifest().as_referrer()).collect();
    let index = oci::MediaType::OCI_INDEX;
    let list = serde_json::json!({
        "schemaVersion": 2, "mediaType": index, "manifests": entries,
    });
    let list = Manifest::parse(list.to_string().into(), None, oci::Algorithm::Sha256).unwrap();
    MadeImage { root: list.descriptor(), manifests: vec![list], blobs: Vec::new() }
}

/// The tag under which cosign keeps something of an image.
pub(crate) fn cosign_tag(image: &Digest, kind: &str) -> String {
    format!("sha256-{}.{kind}", image.hex())
}

pub(crate) fn outcomes(report: &RunReport) -> Vec<Outcome> {
    report.items.iter().map(|item| item.outcome).collect()
}

pub(crate) fn repository_name(text: &str) -> Repository {
    text.parse().unwrap()
}

pub(crate) fn tag_name(text: &str) -> Tag {
    text.parse().unwrap()
}
