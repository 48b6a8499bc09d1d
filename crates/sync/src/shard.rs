//! [`Shard`]: one of several processes that share a list. Nothing coordinates them: each knows by itself
//! which repositories are its own.

use std::fmt;
use std::num::NonZeroU32;

use oci::{Digest, Location};

/// The share of one process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shard {
    index: u32,
    count: NonZeroU32,
}

impl Shard {
    /// The share with this number, from 0, of so many; none if there are not so many.
    pub fn new(index: u32, count: NonZeroU32) -> Option<Self> {
        (index < count.get()).then_some(Self { index, count })
    }

    /// Whether it is this process that writes there.
    ///
    /// It goes by the path of the repository and not by its host: a registry may have several names, and
    /// targets of one source in several registries often share their path, so that one process reads it
    /// once. The digest is the same on every machine and in every version.
    pub fn has(self, target: &Location) -> bool {
        let path = match target {
            Location::Registry { repository, .. } => repository.to_string(),
            Location::Layout(_) | Location::Archive(_) | Location::Chart(_) => target.to_string(),
        };
        let digest = Digest::sha256(path.as_bytes());
        // Any bits of a digest are as good as others: the first 32.
        let number = digest.hex().get(..8).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        number.unwrap_or_default() % self.count == self.index
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use oci::Reference;

    use super::*;

    fn shards(count: u32) -> Vec<Shard> {
        let count = NonZeroU32::new(count).unwrap();
        (0..count.get()).map(|index| Shard::new(index, count).unwrap()).collect()
    }

    fn location(text: &str) -> Location {
        text.parse::<Reference>().unwrap().location
    }

    /// The index of the one shard that has it.
    fn owner(count: u32, place: &str) -> usize {
        let place = location(place);
        let has = |shard: &Shard| shard.has(&place);
        assert_eq!(shards(count).iter().filter(|shard| has(shard)).count(), 1);
        shards(count).iter().position(has).unwrap()
    }

    #[test]
    fn each_repository_has_one_shard() {
        for count in [1, 2, 3, 7, 100] {
            let mut sizes = vec![0; count as usize];
            for number in 0..1000 {
                sizes[owner(count, &format!("registry.example.com/mirror/image-{number}:1"))] += 1;
            }
            let fair = 1000 / count as usize;
            assert!(sizes.iter().all(|size| *size <= fair * 3), "{count}: {sizes:?}");
        }
    }

    #[test]
    fn a_tag_and_a_host_change_nothing() {
        let same = [
            "registry.example.com/team/app:1",
            "registry.example.com/team/app:2",
            "mirror.example.com:5000/team/app:1",
        ];
        assert_eq!(same.map(|place| owner(7, place)), [owner(7, same[0]); 3]);
    }

    /// Another version of the program in the same Job must share the list in the same way.
    #[test]
    fn the_shares_never_change() {
        let places = ["a.example/library/nginx:1", "a.example/team/app:1"];
        assert_eq!(places.map(|place| owner(1000, place)), [334, 860]);
    }

    #[test]
    fn a_number_is_below_the_count() {
        let three = NonZeroU32::new(3).unwrap();
        assert_eq!(Shard::new(2, three).unwrap().to_string(), "2/3");
        assert_eq!(Shard::new(3, three), None);
    }
}
