//! [`Fence`]: holds a run to what a plan has foreseen. Nothing else is written.

use std::collections::{HashMap, HashSet};

use oci::{Digest, Location, Target};

use super::{Foreseen, ForeseenCompanion};
use crate::{Class, Failure, Side};

/// What a run may write, by tag and by repository.
#[derive(Debug, Default)]
pub struct Fence {
    items: HashMap<Target, Foreseen>,
    manifests: HashMap<Location, HashSet<Digest>>,
    signatures: HashMap<Location, HashSet<Digest>>,
}

impl Fence {
    /// What a plan has foreseen of each of these tags, and nothing else.
    pub fn new(items: impl IntoIterator<Item = (Target, Foreseen)>) -> Self {
        let mut fence = Self::default();
        for (target, foreseen) in items {
            let manifests = fence.manifests.entry(target.location.clone()).or_default();
            manifests.extend(foreseen.digests());
            let signatures = fence.signatures.entry(target.location.clone()).or_default();
            signatures.extend(foreseen.signatures.iter().copied());
            fence.items.insert(target, foreseen);
        }
        fence
    }

    /// What was foreseen of a tag.
    pub(crate) fn of(&self, target: &Target) -> Option<&Foreseen> {
        self.items.get(target)
    }

    /// The companions that were foreseen of any of these tags, in rings.
    pub(crate) fn rings<'t>(
        &self,
        targets: impl Iterator<Item = &'t Target>,
    ) -> Vec<Vec<&ForeseenCompanion>> {
        let mut rings: Vec<Vec<&ForeseenCompanion>> = Vec::new();
        let mut seen = HashSet::new();
        for companion in targets.filter_map(|one| self.of(one)).flat_map(|it| &it.companions) {
            if seen.insert((companion.digest, companion.tag.as_ref())) {
                if rings.len() <= companion.ring {
                    rings.resize_with(companion.ring + 1, Vec::new);
                }
                rings.get_mut(companion.ring).into_iter().for_each(|ring| ring.push(companion));
            }
        }
        rings
    }

    /// Whether all of these may be put into a repository.
    pub(crate) fn check(
        &self,
        to: &Location,
        mut manifests: impl Iterator<Item = Digest>,
    ) -> Result<(), Failure> {
        let foreseen = self.manifests.get(to);
        match manifests.find(|one| !foreseen.is_some_and(|known| known.contains(one))) {
            None => Ok(()),
            Some(strange) => Err(not_planned(&format!("manifest {strange} is not in the plan"))),
        }
    }

    /// Whether a manifest may be signed in a repository.
    pub(crate) fn check_signature(&self, at: &Location, subject: Digest) -> Result<(), Failure> {
        match self.signatures.get(at).is_some_and(|known| known.contains(&subject)) {
            true => Ok(()),
            false => Err(not_planned(&format!("that {subject} is signed is not in the plan"))),
        }
    }

    /// Whether a statement about the mirroring of a manifest may be made. It names the tag.
    pub(crate) fn check_statement(&self, target: &Target, root: Digest) -> Result<(), Failure> {
        match self.of(target).is_some_and(|known| known.attests && known.root == root) {
            true => Ok(()),
            false => {
                Err(not_planned(&format!("a statement about mirroring {root} is not in the plan")))
            }
        }
    }
}

fn not_planned(message: &str) -> Failure {
    Failure::new(Side::Target, Class::NotPlanned, message).with_hint("make a new plan")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_planned_for_a_repository_may_be_written_there() {
        let [planned, strange] = [b"a", b"b"].map(|text| Digest::sha256(text));
        let target =
            |text: &str| Target::try_from(text.parse::<oci::Reference>().unwrap()).unwrap();
        let companion = |ring, digest| ForeseenCompanion {
            digest,
            tag: None,
            artifact_type: None,
            ring,
            manifests: vec![digest],
        };
        let foreseen = Foreseen {
            companions: vec![companion(1, planned)],
            signatures: vec![planned],
            ..Foreseen::nothing(planned)
        };
        let fence = Fence::new([(target("a.io/b:1"), foreseen)]);
        let (here, there) = (target("a.io/b:1"), target("a.io/c:1"));
        let fits = |at: &Target, digest| fence.check(&at.location, [digest].into_iter()).is_ok();
        assert!(fits(&here, planned));
        assert!(!fits(&here, strange));
        assert!(!fits(&there, planned));
        assert!(fence.check_signature(&here.location, planned).is_ok());
        assert!(fence.check_signature(&here.location, strange).is_err());
        assert!(fence.check_statement(&here, planned).is_err());
        let attests = |root| Foreseen { attests: true, ..Foreseen::nothing(root) };
        let attesting = Fence::new([(target("a.io/b:1"), attests(planned))]);
        assert!(attesting.check_statement(&here, planned).is_ok());
        assert!(attesting.check_statement(&here, strange).is_err());
        assert!(attesting.check_statement(&target("a.io/b:2"), planned).is_err());
        assert!(attesting.check_signature(&here.location, planned).is_err());
        let rings = fence.rings([&here, &here, &there].into_iter());
        assert_eq!(rings.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
    }
}
