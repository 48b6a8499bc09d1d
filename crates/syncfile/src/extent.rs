//! `platforms` and `amd64Only` of an image: how much of its source is wanted.

use oci::{Extent, Platform, Platforms};

use crate::diagnostic::Code;
use crate::mapping::Mapping;
use crate::reader::{Field, Reader};

/// Reads how much is wanted; nothing where that is wrong.
pub(crate) fn read(reader: &mut Reader<'_>, keys: &mut Mapping<'_>) -> Option<Extent> {
    let platforms = keys.get("platforms");
    // kyma's documentation has both spellings.
    let amd64_only = [keys.get("amd64Only"), keys.get("amd64only")].into_iter().flatten();
    let before = reader.found.len();
    let amd64_only = amd64_only.filter(|field| reader.boolean(*field) == Some(true)).last();
    let extent = match (platforms, amd64_only) {
        (None, None) => Some(Extent::Whole),
        (None, Some(_)) => Some(Extent::Image(amd64())),
        (Some(platforms), None) => several(reader, platforms),
        (Some(platforms), Some(only)) => {
            let message = format!("an image has `platforms` or `{}`, not both", only.key);
            let error = reader.error(Code::ConflictingKeys, only.key_span, message);
            let first = reader.text.place(platforms.key_span);
            reader.push(error.related(first, "the other one").help(format!(
                "`{}` is the linux/amd64 image itself; `platforms: [linux/amd64]` is an index with it",
                only.key
            )));
            None
        }
    };
    extent.filter(|_| reader.found.len() == before)
}

fn several(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Extent> {
    let mut platforms = Vec::new();
    for platform in reader.one_or_more(field)? {
        match platform.value.parse::<Platform>() {
            Ok(platform) => platforms.push(platform),
            Err(error) => {
                let error = reader.error(Code::InvalidPlatform, platform.span, error.to_string());
                reader.push(error);
            }
        }
    }
    Platforms::new(platforms).map(Extent::Platforms)
}

fn amd64() -> Platform {
    Platform {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        variant: None,
        os_version: None,
        os_features: Vec::new(),
    }
}
