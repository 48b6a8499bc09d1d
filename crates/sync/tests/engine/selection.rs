//! Rules become wanted tags: one listing a repository, one item for what cannot be selected, and
//! nothing of a doubtful tag is written.

use oci::{Location, Reference};
use signing::KeyReference;
use sync::{
    Choice, Class, Event, Mode, Outcome, RunReport, SignWith, SignatureFormat, TagSelection, Wish,
};
use tagrules::{Latest, Rules};
use testkit::{Fault, Registry, image, path};

use crate::rig::{Rig, cosign_tag, outcomes};

fn location(text: &str) -> Location {
    text.parse::<Reference>().unwrap().location
}

fn semver(range: &str) -> Rules {
    Rules { semver: Some(range.parse().unwrap()), ..Rules::default() }
}

impl Rig {
    fn selection(&self, source: &str, rules: Rules, target: &str) -> TagSelection {
        let written = format!("{}/{source}", self.source.host());
        let target = location(&format!("{}/{target}", self.target.host()));
        let extent = oci::Extent::Whole;
        let (source, signatures) = (location(&written), sync::WantedSignatures::default());
        TagSelection {
            source,
            written,
            choice: Choice::Rules(rules),
            otherwise: None,
            extent,
            target,
            lists_images: false,
            signatures,
            origin: None,
        }
    }

    /// Offers one image under several tags.
    async fn offer_tags(&self, repository: &str, seed: u64, tags: &str) {
        let image = image::single(seed);
        for tag in tags.split_whitespace() {
            self.offer(repository, tag, &image).await;
        }
    }

    async fn select(&self, selections: Vec<TagSelection>) -> RunReport {
        self.run_all(Vec::new(), selections).await
    }
}

/// `target: outcome` of each item, without the host.
fn told(rig: &Rig, report: &RunReport) -> Vec<String> {
    let host = format!("{}/", rig.target.host());
    let items = report.items.iter();
    items
        .map(|item| format!("{} {:?}", item.wanted.target().replace(&host, ""), item.outcome))
        .collect()
}

#[tokio::test]
async fn selected_tags_are_copied_the_highest_first_and_are_up_to_date_after_it() {
    let rig = Rig::new().await;
    rig.offer_tags("tool", 1, "latest 1.9.0 2.0.0 2.1.0 v2.2.0 2.3.0-rc.1 3.0.0").await;
    let rules = Rules {
        latest: Some(Latest { count: 2.try_into().unwrap(), per: None }),
        ..semver(">=2, <3")
    };
    let selection = rig.selection("tool", rules, "mirror/tool");
    let first = rig.select(vec![selection.clone()]).await;
    assert_eq!(told(&rig, &first), ["mirror/tool:v2.2.0 Copied", "mirror/tool:2.1.0 Copied"]);
    rig.assert_holds("mirror/tool", "2.1.0", &image::single(1)).await;
    rig.assert_absent("mirror/tool", "2.0.0").await;
    let second = rig.select(vec![selection.clone()]).await;
    assert_eq!(outcomes(&second), [Outcome::UpToDate, Outcome::UpToDate]);
    let heard = rig.heard();
    let counts: Vec<_> = heard
        .iter()
        .filter_map(|event| match event {
            Event::Selected { tags, selected, .. } => Some((*tags, *selected)),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [(7, 2), (7, 2)]);

    let rig = rig.mode(Mode::Verify);
    let verified = rig.select(vec![selection]).await;
    assert_eq!(outcomes(&verified), [Outcome::UpToDate, Outcome::UpToDate]);
}

#[tokio::test]
async fn a_repository_is_listed_once_however_many_entries_and_referrers_want_it() {
    let rig = Rig::new().await;
    let image = image::single(1);
    rig.offer("tool", "1.0", &image).await;
    rig.offer("tool", "2.0", &image::single(2)).await;
    rig.offer("tool", &cosign_tag(&image.digest(), "sig"), &image::single(3)).await;
    let report = rig
        .select(vec![
            rig.selection("tool", semver("1"), "one"),
            rig.selection("tool", semver("2"), "two"),
            rig.selection("tool", semver("*"), "all"),
        ])
        .await;
    let expected = ["one:1.0 Copied", "two:2.0 Copied", "all:2.0 Copied", "all:1.0 Copied"];
    assert_eq!(told(&rig, &report), expected);
    let source = rig.source.log();
    assert_eq!(source.count("GET", "/v2/tool/tags/list"), 1, "{:?}", source.requests());
    // What is named after a digest is never selected, and travels all the same.
    rig.assert_holds("one", &cosign_tag(&image.digest(), "sig"), &image::single(3)).await;
}

#[tokio::test]
async fn a_plan_selects_and_writes_nothing() {
    let rig = Rig::new().await.mode(Mode::Plan);
    rig.offer_tags("tool", 1, "1.0 2.0").await;
    let report = rig.select(vec![rig.selection("tool", semver(">=2"), "tool")]).await;
    assert_eq!(told(&rig, &report), ["tool:2.0 WouldCopy"]);
    assert_eq!(rig.target.log().writes().len(), 0);
}

#[tokio::test]
async fn what_cannot_be_selected_is_one_item_in_its_place_and_the_others_go_on() {
    let rig = Rig::new().await;
    rig.offer_tags("tool", 1, "1.0 2.0 2.1 latest").await;
    rig.source.inject(Fault::error(403, "DENIED", "no").on("GET", "/v2/secret/tags/list"));
    rig.source.inject(Fault::status(429).on("GET", "/v2/busy/tags/list"));
    let flood = Rules { max_tags: 2.try_into().ok(), ..semver("*") };
    let nothing = Rules { allow_empty: true, ..semver(">=9") };
    let report = rig
        .run_all(
            vec![rig.wish("tool:1.0", "named:1.0")],
            vec![
                rig.selection("tool", semver(">=9"), "empty"),
                rig.selection("tool", flood, "flood"),
                rig.selection("gone", semver("*"), "gone"),
                rig.selection("secret", semver("*"), "secret"),
                rig.selection("busy", semver("*"), "busy"),
                rig.selection("tool", nothing, "nothing"),
                rig.selection("tool", semver("1"), "tool"),
            ],
        )
        .await;
    let expected = [
        "named:1.0 Copied",
        "empty Failed",
        "flood Failed",
        "gone Failed",
        "secret Failed",
        "busy Deferred",
        "tool:1.0 Copied",
    ];
    assert_eq!(told(&rig, &report), expected);
    let failures: Vec<_> = report.items.iter().filter_map(|item| item.failure.clone()).collect();
    let classes: Vec<Class> = failures.iter().map(|failure| failure.class).collect();
    assert_eq!(
        classes,
        [Class::Selection, Class::Selection, Class::NotFound, Class::Denied, Class::RateLimited]
    );
    assert_eq!(
        failures[0].message,
        "none of the 4 tags is selected: 3 not in `>=9` (`2.1`, `2.0`, …), 1 without a version (`latest`)"
    );
    let hint = failures[0].hint.as_deref().unwrap();
    let command = format!("`image-syncer tags {}/tool --semver '>=9'`", rig.source.host());
    assert!(hint.starts_with(&command), "{hint}");
    assert!(failures[1].message.starts_with("3 tags are selected"), "{}", failures[1].message);
    assert!(matches!(report.items[1].wanted, Wish::Selection(_)));
    let told_early = |event: &&Event| matches!(event, Event::NotSelected { .. });
    assert_eq!(rig.heard().iter().filter(told_early).count(), 5);
}

#[tokio::test]
async fn one_target_tag_from_several_sources_fails_before_anything_is_written_to_it() {
    let rig = Rig::new().await;
    rig.offer_tags("one", 1, "1.0 1.1").await;
    rig.offer_tags("two", 2, "1.1 1.2").await;
    let report = rig
        .select(vec![
            rig.selection("one", semver("*"), "both"),
            rig.selection("two", semver("*"), "both"),
        ])
        .await;
    let expected = ["both:1.1 Failed", "both:1.0 Copied", "both:1.2 Copied", "both:1.1 Failed"];
    assert_eq!(told(&rig, &report), expected);
    let failure = report.items[0].failure.clone().unwrap();
    assert_eq!(failure.class, Class::Selection);
    let (source, target) = (rig.source.host(), rig.target.host());
    assert_eq!(
        failure.message,
        format!(
            "`{target}/both:1.1` is wanted from several sources: `{source}/one:1.1`, `{source}/two:1.1`"
        )
    );
    rig.assert_absent("both", "1.1").await;
}

#[tokio::test]
async fn a_tag_that_is_named_or_selected_again_is_one_item_and_the_name_goes_first() {
    let rig = Rig::new().await;
    rig.offer_tags("tool", 1, "1.0 1.1").await;
    let pin = image::single(1).digest();
    let named = rig.wish(&format!("tool:1.1@{pin}"), "tool:1.1");
    // Under another name it is another tag, which nobody can tell from the selected one.
    let renamed = rig.wish("tool:1.1", "tool:1.0");
    let selections = || {
        vec![
            rig.selection("tool", semver("*"), "tool"),
            rig.selection("tool", semver("1.1"), "tool"),
        ]
    };
    let report = rig.run_all(vec![named.clone()], selections()).await;
    assert_eq!(told(&rig, &report), ["tool:1.1 Copied", "tool:1.0 Copied"]);
    assert!(matches!(&report.items[0].wanted, Wish::Tag(wanted) if **wanted == named));
    let report = rig.run_all(vec![renamed], selections()).await;
    assert_eq!(told(&rig, &report), ["tool:1.0 Failed", "tool:1.1 UpToDate", "tool:1.0 Failed"]);
}

/// The engine takes no side between two entries that both select a tag.
#[tokio::test]
async fn a_tag_that_is_selected_in_two_ways_fails_and_a_name_settles_it() {
    let rig = Rig::new().await;
    rig.offer_tags("tool", 1, "1.0 1.1").await;
    let plain = || rig.selection("tool", semver("*"), "tool");
    let mut signed = rig.selection("tool", semver("1.1"), "tool");
    signed.signatures.sign = Some(SignWith {
        key: KeyReference::File("mirror.key".into()),
        former: Vec::new(),
        format: SignatureFormat::Legacy,
        recursively: false,
        attest: false,
        log: None,
    });
    let platform = "linux/amd64".parse().unwrap();
    let mut part = rig.selection("tool", semver("1.1"), "tool");
    part.extent = oci::Extent::Image(platform);
    for (other, how) in
        [(&signed, "to be signed in different ways"), (&part, "wanted with different platforms")]
    {
        let report = rig.select(vec![plain(), other.clone()]).await;
        assert_eq!(outcomes(&report).iter().filter(|one| **one == Outcome::Failed).count(), 2);
        let failure = report.items[0].failure.clone().unwrap();
        assert_eq!(failure.class, Class::Selection);
        assert!(failure.message.contains(how), "{}", failure.message);
        rig.assert_absent("tool", "1.1").await;
    }
    let named = rig.wish("tool:1.1", "tool:1.1");
    let report = rig.run_all(vec![named], vec![plain(), signed, part]).await;
    assert_eq!(told(&rig, &report), ["tool:1.1 Copied", "tool:1.0 UpToDate"]);
}

#[tokio::test]
async fn with_fail_fast_nothing_begins_after_a_selection_that_failed() {
    let mut rig = Rig::new().await;
    rig.options.fail_fast = true;
    rig.offer_tags("tool", 1, "1.0").await;
    let report = rig
        .select(vec![
            rig.selection("tool", semver("1"), "tool"),
            rig.selection("tool", semver("9"), "empty"),
        ])
        .await;
    assert_eq!(told(&rig, &report), ["tool:1.0 Deferred", "empty Failed"]);
    assert_eq!(rig.target.log().requests().len(), 0);
}

#[tokio::test]
async fn a_stop_while_tags_are_listed_puts_everything_off() {
    let rig = Rig::new().await;
    rig.offer_tags("tool", 1, "1.0").await;
    rig.stop.begin_nothing.cancel();
    let report = rig.select(vec![rig.selection("tool", semver("1"), "tool")]).await;
    assert_eq!(told(&rig, &report), ["tool Deferred"]);
    assert!(report.interrupted);
    assert_eq!(rig.source.log().requests().len(), 0);

    let rig = Rig::new().await;
    rig.stop.reach_deadline();
    let report = rig.select(vec![rig.selection("tool", semver("1"), "tool")]).await;
    assert_eq!(told(&rig, &report), ["tool Deferred"]);
    assert_eq!(report.items[0].failure.as_ref().unwrap().class, Class::Deadline);
    assert!(!report.interrupted);
}

#[tokio::test]
async fn layouts_and_archives_are_selected_from_as_registries_are() {
    let rig = Rig::new().await;
    rig.offer_tags("tool", 1, "1.0 1.1 2.0").await;
    let folder = tempfile::tempdir().unwrap();
    let places = ["oci:layout", "oci-archive:file.tar"].map(|name| {
        let (scheme, name) = name.split_once(':').unwrap();
        format!("{scheme}:{}", folder.path().join(name).display())
    });
    for place in &places {
        let mut into = rig.selection("tool", semver("1"), "unused");
        into.target = location(place);
        assert_eq!(outcomes(&rig.select(vec![into]).await), [Outcome::Copied, Outcome::Copied]);
        let mut out = rig.selection("tool", semver(">=1.1"), "back");
        out.source = location(place);
        let report = rig.select(vec![out]).await;
        assert_eq!(told(&rig, &report).len(), 1, "{report:?}");
        rig.assert_holds("back", "1.1", &image::single(1)).await;
    }
    let mut missing = rig.selection("tool", semver("1"), "missing");
    missing.source = Location::Layout(folder.path().join("nowhere"));
    let report = rig.select(vec![missing]).await;
    assert_eq!(report.items[0].failure.as_ref().unwrap().class, Class::NotFound);
}

#[tokio::test]
async fn a_long_list_of_tags_is_read_page_by_page() {
    let source = Registry::builder().fault(Fault::tag_pages(7)).start().await;
    let rig = Rig::between(source, Registry::start().await).mode(Mode::Plan);
    let tags: Vec<String> = (0..40).map(|minor| format!("1.{minor}.0")).collect();
    rig.offer_tags("tool", 1, &tags.join(" ")).await;
    let report = rig.select(vec![rig.selection("tool", semver(">=1.20"), "tool")]).await;
    assert_eq!(report.items.len(), 20);
    assert_eq!(report.items[0].wanted.source(), format!("{}/tool:1.39.0", rig.source.host()));
    assert_eq!(rig.source.log().count("GET", path::TAGS), 6);
}
