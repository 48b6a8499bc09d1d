//! [`Family`]: an image with what belongs to it.

use oci::Digest;
use testkit::image::{self, MadeImage};
use testkit::{Personality, Registry};

use crate::rig::{Rig, referrers_list};

/// A registry without a referrers API.
pub(crate) async fn without_api() -> Registry {
    Registry::builder().personality(Personality::distribution2()).start().await
}

/// An image, what refers to it and to its first child, and what refers to the first referrer.
pub(crate) struct Family {
    pub(crate) image: MadeImage,
    pub(crate) of_root: MadeImage,
    pub(crate) of_child: MadeImage,
    pub(crate) of_referrer: MadeImage,
}

impl Family {
    pub(crate) fn new() -> Self {
        let image = image::index(1);
        let of_root = image::referrer_of(&image.root, 2);
        let of_child = image::referrer_of(&image.manifests[0].descriptor(), 3);
        let of_referrer = image::referrer_of(&of_root.root, 4);
        Self { image, of_root, of_child, of_referrer }
    }

    pub(crate) fn artifacts(&self) -> [&MadeImage; 3] {
        [&self.of_root, &self.of_child, &self.of_referrer]
    }

    pub(crate) fn subjects(&self) -> [Digest; 3] {
        [self.image.digest(), self.image.manifests[0].digest(), self.of_root.digest()]
    }

    pub(crate) async fn offer(&self, rig: &Rig) {
        rig.offer("app", "1", &self.image).await;
        for artifact in self.artifacts() {
            rig.attach("app", artifact).await;
        }
    }

    /// Lists the referrers where the source does not do so itself.
    pub(crate) async fn list(&self, rig: &Rig) {
        for (subject, artifact) in self.subjects().iter().zip(self.artifacts()) {
            let tag = image::referrers_tag(subject);
            rig.offer("app", tag.as_str(), &referrers_list(&[artifact])).await;
        }
    }

    pub(crate) async fn assert_arrived(&self, rig: &Rig, repository: &str) {
        rig.assert_holds(repository, "1", &self.image).await;
        for (subject, artifact) in self.subjects().iter().zip(self.artifacts()) {
            rig.assert_refer(repository, subject, &[artifact]).await;
        }
    }
}
