//! What is in the format but not in this version: its shape is checked, then it is refused.

use crate::diagnostic::Code;
use crate::reader::{Field, Mapping, Reader};
use crate::yaml::{Content, Node};

/// What to do without signing.
pub(crate) const NO_SIGNING: &str =
    "images are copied with the signatures they have; write `sign: false`, or remove the key";

/// `tags` of an image: a rule that selects tags.
pub(crate) fn tag_selection(reader: &mut Reader<'_>, field: Field<'_>) {
    if let Content::List(_) = field.node.content {
        let error = reader.error(
            Code::WrongType,
            field.key_span,
            "`tags` of an image is a rule, not a list of tags",
        );
        reader.push(error.help("write an entry for each tag: `- source: NAME:TAG`"));
        return;
    }
    if let Some(mut keys) = Mapping::open(reader, field.node, "`tags`") {
        for key in ["semver", "per"] {
            if let Some(field) = keys.get(key) {
                reader.text(field);
            }
        }
        for key in ["include", "exclude"] {
            if let Some(field) = keys.get(key) {
                reader.one_or_more(field);
            }
        }
        for key in ["latest", "maxTags"] {
            if let Some(field) = keys.get(key) {
                reader.count(field);
            }
        }
        keys.close(reader);
    }
    reader.not_supported(field, "write an entry for each tag: `- source: NAME:TAG`");
}

/// A list of ECR repositories, below `repositories` or as the whole file.
pub(crate) fn repositories(reader: &mut Reader<'_>, items: &[Node]) {
    for item in items {
        let Some(mut keys) = Mapping::open(reader, item, "an ECR repository") else { continue };
        if let Some(field) = keys.require("name") {
            reader.text(field);
        }
        for key in ["image", "chart"] {
            if let Some(field) = keys.get(key) {
                upstream(reader, field, key);
            }
        }
        for key in ["lifecyclePolicy", "permissionPolicy", "resourceTags"] {
            if let Some(field) = keys.get(key)
                && !matches!(field.node.content, Content::Mapping(_))
            {
                reader.wrong_type::<()>(field, "a mapping");
            }
        }
        keys.close(reader);
    }
}

/// What an ECR repository is filled from.
fn upstream(reader: &mut Reader<'_>, field: Field<'_>, key: &str) {
    let what = if key == "image" { "`image`" } else { "`chart`" };
    let Some(mut keys) = Mapping::open(reader, field.node, what) else { return };
    if let Some(field) = keys.require("pull_url") {
        reader.text(field);
    }
    if let Some(field) = keys.get("tags") {
        reader.texts(field);
    }
    if key == "image"
        && let Some(field) = keys.get("aliases")
    {
        reader.boolean(field);
    }
    keys.close(reader);
}
