//! [`ForeignLayers`]: what is done with layers that registries need not hold.

/// What is done with an image's foreign layers: those whose media type says that registries need not
/// hold them, such as the base layers of Windows images of old.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ForeignLayers {
    /// They are left out, and the report says so. Whoever pulls gets them from where the image says.
    #[default]
    LeaveOut,
    /// They are copied as all others are: from the source, or from the URLs in the manifest.
    Include,
}
