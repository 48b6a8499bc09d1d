//! [`Extent`]: how much of a source is wanted.

use std::collections::BTreeSet;
use std::fmt;

use crate::Platform;

/// How much of a source is wanted.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Extent {
    /// All of it, exact to the byte.
    #[default]
    Whole,
    /// Of an index a new one with these platforms only; see [`crate::subset`].
    Platforms(Platforms),
    /// The image for this platform itself, without an index around it.
    Image(Platform),
    /// The Helm chart in it: what is there is the same where its chart is, whoever pushed it. Helm
    /// writes the time of the push into the manifest, so the manifest is another each time.
    Chart,
}

/// Platforms, at least one and none twice, each by its usual name ([`Platform::normalized`]).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Platforms(BTreeSet<Platform>);

impl Platforms {
    /// These platforms; none where there is none.
    pub fn new(platforms: impl IntoIterator<Item = Platform>) -> Option<Self> {
        let platforms: BTreeSet<Platform> =
            platforms.into_iter().map(|platform| platform.normalized()).collect();
        (!platforms.is_empty()).then_some(Self(platforms))
    }

    /// The platforms, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Platform> {
        self.0.iter()
    }

    /// Whether this platform is one of them, by whatever name.
    pub fn contain(&self, platform: &Platform) -> bool {
        self.0.iter().any(|one| one.is_for(platform))
    }
}

impl Extent {
    /// The platforms that are wanted; nothing where all are.
    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        let (several, one) = match self {
            Self::Whole | Self::Chart => (None, None),
            Self::Platforms(platforms) => (Some(platforms), None),
            Self::Image(platform) => (None, Some(platform)),
        };
        several.into_iter().flat_map(Platforms::iter).chain(one)
    }
}

impl fmt::Display for Platforms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, platform) in self.0.iter().enumerate() {
            write!(f, "{}{platform}", if number == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_a_set_of_usual_names() {
        let platforms = |texts: &[&str]| Platforms::new(texts.iter().map(|t| t.parse().unwrap()));
        assert_eq!(platforms(&[]), None);
        let some = platforms(&["linux/arm64/v8", "linux/amd64", "linux/aarch64"]).unwrap();
        assert_eq!(some.to_string(), "linux/amd64, linux/arm64");
        assert_eq!(Some(&some), platforms(&["linux/amd64", "linux/arm64"]).as_ref());
        assert!(some.contain(&"linux/x86_64".parse().unwrap()));
        assert!(!some.contain(&"linux/arm".parse().unwrap()));
        assert_eq!(Extent::Platforms(some).platforms().count(), 2);
        assert_eq!(Extent::Whole.platforms().count(), 0);
    }
}
