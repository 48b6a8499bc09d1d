//! What is in the format but not in this version: its shape is checked, then it is refused.

use crate::reader::{Field, Mapping, Reader};
use crate::yaml::{Content, Node};

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
