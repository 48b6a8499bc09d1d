//! What a place lacks of a closure. A manifest that is there vouches for all it is made of, because
//! registries take no manifest without its parts; where one turns out to be wrong, the copy is made
//! again, trusting nothing.

use std::collections::{HashMap, HashSet};

use futures::future::try_join_all;
use oci::{Descriptor, Digest, Manifest};

use crate::Failure;
use crate::blobs::Blobs;
use crate::closure::Closure;
use crate::destination::Destination;

/// What a place lacks of a closure.
pub(crate) struct Needed<'a> {
    /// The manifests that are not there, in the closure's levels.
    pub(crate) levels: Vec<Vec<&'a Manifest>>,
    /// The blobs that a manifest names that is not there.
    pub(crate) blobs: HashSet<Digest>,
}

impl<'a> Needed<'a> {
    /// Asks for what cannot be known: the root, then the children of what is not there.
    pub(crate) async fn at(
        destination: &Destination<'_>,
        closure: &'a Closure,
        blobs: &Blobs,
    ) -> Result<Self, Failure> {
        if closure.blobs.iter().any(|blob| blob.media_type.is_foreign_layer()) {
            // A manifest does not vouch for what registries need not hold.
            return Ok(Self::all(closure));
        }
        let asks = destination.place.is_registry() && !destination.was_empty;
        let has = async |manifest: &Manifest| {
            if manifest.subject().is_some() {
                // It may be there and not be listed; only pushing it tells.
                return Ok::<_, Failure>(false);
            }
            let digest = manifest.digest();
            let known = blobs.has_manifest(destination.place, &digest);
            Ok(known || (asks && destination.place.has_manifest(digest).await?))
        };
        let manifests: HashMap<Digest, &Manifest> =
            closure.manifests().map(|manifest| (manifest.digest(), manifest)).collect();
        let mut lacking = HashSet::new();
        let mut next: Vec<&Manifest> = closure.root().into_iter().collect();
        while !next.is_empty() {
            let there = try_join_all(next.iter().map(|manifest| has(manifest))).await?;
            let absent = next.into_iter().zip(there).filter(|(_, there)| !there);
            let absent: Vec<&Manifest> = absent.map(|(manifest, _)| manifest).collect();
            let mut children = HashSet::new();
            for manifest in absent {
                lacking.insert(manifest.digest());
                children.extend(manifest.manifests().map(|child| child.digest));
            }
            children.retain(|child| !lacking.contains(child));
            next = children.iter().filter_map(|child| manifests.get(child).copied()).collect();
        }
        Ok(Self::of(closure, |manifest| lacking.contains(&manifest.digest())))
    }

    /// Everything, whatever is there.
    pub(crate) fn all(closure: &'a Closure) -> Self {
        Self::of(closure, |_| true)
    }

    fn of(closure: &'a Closure, lacks: impl Fn(&Manifest) -> bool) -> Self {
        let level = |level: &'a Vec<Manifest>| level.iter().filter(|it| lacks(it)).collect();
        let levels: Vec<Vec<&Manifest>> = closure.levels.iter().map(level).collect();
        let blobs = levels.iter().flatten().flat_map(|manifest| manifest.blobs());
        let blobs = blobs.map(|blob| blob.digest).collect();
        Self { levels, blobs }
    }

    /// Whether a blob is one of those that are needed.
    pub(crate) fn includes(&self, blob: &Descriptor) -> bool {
        self.blobs.contains(&blob.digest)
    }
}
