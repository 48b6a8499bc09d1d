//! [`Referrers`]: which of the artifacts that belong to an image travel with it.

/// Which of the artifacts that belong to an image travel with it, and how much that matters.
///
/// Artifacts belong to an image as referrers (OCI 1.1), or under the tags that cosign names after
/// the image's digest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Referrers {
    /// Which travel.
    pub which: WhichReferrers,
    /// Whether an item fails where one cannot be copied, or nobody says whether there are any.
    /// Otherwise its report has a note.
    pub required: bool,
}

/// Which of the artifacts that belong to an image travel with it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum WhichReferrers {
    /// Every one.
    #[default]
    All,
    /// None.
    None,
    /// Those of these artifact types.
    Types(Vec<String>),
}

impl WhichReferrers {
    /// Whether artifacts of this type travel.
    pub fn include(&self, artifact_type: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Types(types) => types.iter().any(|wanted| wanted == artifact_type),
        }
    }
}
