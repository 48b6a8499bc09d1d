//! Some platforms of an index: a new index, made of nothing but the bytes of the source's.
//!
//! The same source and the same platforms always give the same bytes. What is kept of the source is
//! copied as the text it is, so fields that no one here knows stay.
//!
//! A new index has a digest of its own, which nothing at the source vouches for. So it carries the
//! index it was made of, as text and with its digest, in two annotations. Whoever has the new index
//! and trusts the digest of the source can make it once more and compare, without the source being
//! read again: [`source_of`].

use std::collections::{BTreeMap, HashSet};

use serde_json::value::{RawValue, to_raw_value};

use crate::{Algorithm, Content, Descriptor, Digest, Index, Manifest, ManifestError};
use crate::{Platform, Platforms};

/// The annotation of a made index that has the digest of the index it was made of.
pub const SOURCE_DIGEST: &str = "io.image-syncer.source.digest";

/// The annotation of a made index that has the text of the index it was made of.
pub const SOURCE_INDEX: &str = "io.image-syncer.source.index";

/// By this annotation a child of an index says to which other child it belongs, as attestations
/// made by BuildKit do (BuildKit, `docs/attestations/attestation-storage.md`).
const BELONGS_TO: &str = "vnd.docker.reference.digest";

/// Why an index has no part with the platforms that are wanted.
#[derive(Debug, thiserror::Error)]
pub enum SubsetError {
    /// It is an image.
    #[error("it is no index")]
    NoIndex,
    /// Nothing in the index is for these platforms.
    #[error("the index has no {}; it has {}", joined(missing), joined(there))]
    Missing {
        /// The platforms that are not there.
        missing: Vec<String>,
        /// What the index has.
        there: Vec<String>,
    },
    /// There is an index in the index that does not say what it is for.
    #[error("the index has another index in it, {0}, that names no platform")]
    Nested(Digest),
    /// What was made is no manifest that registries take, such as one that is too large.
    #[error("an index of these platforms cannot be made: {0}")]
    Unmakeable(#[from] ManifestError),
}

/// The index with these platforms only. Where nothing is left out it is the source itself.
///
/// Children stay in their order. What belongs to another child goes where that goes; what names no
/// platform and is no index stays. The source's `subject` is left out: that the whole index refers
/// to something was said by who made it, of the whole.
///
/// # Errors
/// [`SubsetError`], also where only one of the platforms is missing.
pub fn of(source: &Manifest, platforms: &Platforms) -> Result<Manifest, SubsetError> {
    let Content::Index(index) = source.content() else { return Err(SubsetError::NoIndex) };
    require(index, platforms.iter())?;
    let kept = kept(index, platforms)?;
    if kept.iter().all(|kept| *kept) {
        return Ok(source.clone());
    }
    Ok(make(source, &kept)?)
}

/// The image for one platform: the first that is, as clients choose.
///
/// # Errors
/// [`SubsetError`].
pub fn image<'a>(source: &'a Manifest, platform: &Platform) -> Result<&'a Descriptor, SubsetError> {
    let Content::Index(index) = source.content() else { return Err(SubsetError::NoIndex) };
    require(index, [platform])?;
    let is_for = |child: &&Descriptor| own_platform(child).is_some_and(|own| own.is_for(platform));
    match index.manifests.iter().find(is_for) {
        Some(child) if child.media_type.is_index() => Err(SubsetError::Nested(child.digest)),
        Some(child) => Ok(child),
        None => Err(missing(index, [platform])),
    }
}

/// The index that an index made by [`of`] was made of, its text checked against the digest it is
/// said to have; none where it carries none. That the made index is the right part of it is still
/// to be seen.
pub fn source_of(made: &Manifest) -> Option<Manifest> {
    let digest: Digest = made.annotations().get(SOURCE_DIGEST)?.parse().ok()?;
    let text = made.annotations().get(SOURCE_INDEX)?.clone();
    let source = Manifest::parse(text.into(), Some(made.media_type()), digest.algorithm()).ok()?;
    (source.digest() == digest).then_some(source)
}

/// The digest of the index of which this is exactly the part with these platforms, as far as it
/// proves that itself.
pub fn proven_source(made: &Manifest, platforms: &Platforms) -> Option<Digest> {
    let source = source_of(made)?;
    let again = of(&source, platforms).ok()?;
    (again.bytes() == made.bytes()).then(|| source.digest())
}

/// Ends where one of these platforms is missing.
fn require<'a>(
    index: &Index,
    platforms: impl IntoIterator<Item = &'a Platform>,
) -> Result<(), SubsetError> {
    let there: Vec<&Platform> = index.manifests.iter().filter_map(own_platform).collect();
    let missed: Vec<&Platform> = platforms
        .into_iter()
        .filter(|platform| !there.iter().any(|one| one.is_for(platform)))
        .collect();
    match (missed.is_empty(), nested(index)) {
        (true, _) => Ok(()),
        // It may well be in there.
        (false, Some(inner)) => Err(SubsetError::Nested(inner)),
        (false, None) => Err(missing(index, missed)),
    }
}

fn missing<'a>(index: &Index, platforms: impl IntoIterator<Item = &'a Platform>) -> SubsetError {
    let mut there = Vec::new();
    for platform in index.manifests.iter().filter_map(own_platform) {
        let name = platform.to_string();
        if !there.contains(&name) {
            there.push(name);
        }
    }
    if there.is_empty() {
        there.push("nothing that names a platform".to_owned());
    }
    SubsetError::Missing {
        missing: platforms.into_iter().map(ToString::to_string).collect(),
        there,
    }
}

/// Which children stay, in their order.
fn kept(index: &Index, platforms: &Platforms) -> Result<Vec<bool>, SubsetError> {
    if let Some(inner) = nested(index) {
        return Err(SubsetError::Nested(inner));
    }
    let stays = |child: &Descriptor| {
        owner(child).is_none() && own_platform(child).is_none_or(|own| platforms.contain(own))
    };
    let owners: HashSet<String> = index
        .manifests
        .iter()
        .filter(|child| stays(child))
        .map(|child| child.digest.to_string())
        .collect();
    let follows = |child: &Descriptor| owner(child).is_some_and(|owner| owners.contains(owner));
    Ok(index.manifests.iter().map(|child| stays(child) || follows(child)).collect())
}

/// What a child is for; none where it does not say, or belongs to another child.
fn own_platform(child: &Descriptor) -> Option<&Platform> {
    child.platform.as_ref().filter(|platform| platform.is_said() && owner(child).is_none())
}

fn owner(child: &Descriptor) -> Option<&str> {
    child.annotations.get(BELONGS_TO).map(String::as_str)
}

/// An index in the index of which only its own bytes say what it is for.
fn nested(index: &Index) -> Option<Digest> {
    let is_nested = |child: &&Descriptor| {
        child.media_type.is_index() && owner(child).is_none() && own_platform(child).is_none()
    };
    index.manifests.iter().find(is_nested).map(|child| child.digest)
}

fn make(source: &Manifest, kept: &[bool]) -> Result<Manifest, ManifestError> {
    let text = std::str::from_utf8(source.bytes())
        .map_err(|_| ManifestError::Ambiguous("it is not UTF-8 text"))?;
    let mut fields: BTreeMap<String, &RawValue> = parsed(text)?;
    fields.remove("subject");

    let children: Vec<&RawValue> = field(&fields, "manifests")?.unwrap_or_default();
    let children: Vec<&RawValue> =
        children.into_iter().zip(kept).filter(|(_, kept)| **kept).map(|(child, _)| child).collect();
    let children = to_raw_value(&children).map_err(ManifestError::Shape)?;
    fields.insert("manifests".to_owned(), &children);

    let [digest, whole] = [source.digest().to_string(), text.to_owned()]
        .map(|text| to_raw_value(&text).map_err(ManifestError::Shape));
    let (digest, whole) = (digest?, whole?);
    let mut annotations: BTreeMap<String, &RawValue> =
        field(&fields, "annotations")?.unwrap_or_default();
    annotations.insert(SOURCE_DIGEST.to_owned(), &digest);
    annotations.insert(SOURCE_INDEX.to_owned(), &whole);
    let annotations = to_raw_value(&annotations).map_err(ManifestError::Shape)?;
    fields.insert("annotations".to_owned(), &annotations);

    let bytes = serde_json::to_vec(&fields).map_err(ManifestError::Shape)?;
    // Registries name what a tag holds by SHA-256, whatever the source's own digest is.
    Manifest::parse(bytes.into(), Some(source.media_type()), Algorithm::Sha256)
}

fn field<'a, T: serde::Deserialize<'a>>(
    fields: &BTreeMap<String, &'a RawValue>,
    name: &str,
) -> Result<Option<T>, ManifestError> {
    fields.get(name).map_or(Ok(None), |raw| parsed(raw.get()))
}

fn parsed<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, ManifestError> {
    serde_json::from_str(text).map_err(ManifestError::Shape)
}

fn joined(names: &[String]) -> String {
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::MediaType;

    fn index(document: &Value) -> Manifest {
        // Indented, so that a text that is written anew would not be the same.
        let text = serde_json::to_vec_pretty(document).unwrap();
        Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap()
    }

    fn child(name: &str, platform: Option<&str>) -> Value {
        let mut child = json!({
            "mediaType": MediaType::OCI_MANIFEST,
            "digest": Digest::sha256(name.as_bytes()),
            "size": 7,
        });
        if let Some(platform) = platform {
            child["platform"] = json!(platform.parse::<Platform>().unwrap());
        }
        child
    }

    fn belonging_to(name: &str, owner: &str) -> Value {
        let mut child = child(name, Some("unknown/unknown"));
        child["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": Digest::sha256(owner.as_bytes()),
        });
        child
    }

    fn platforms(texts: &[&str]) -> Platforms {
        Platforms::new(texts.iter().map(|text| text.parse().unwrap())).unwrap()
    }

    fn list(children: &[Value]) -> Manifest {
        index(&json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children,
        }))
    }

    fn value(manifest: &Manifest) -> Value {
        serde_json::from_slice(manifest.bytes()).unwrap()
    }

    #[test]
    fn everything_of_what_is_kept_is_kept() {
        let mut amd64 = child("amd64", Some("linux/amd64"));
        amd64["urls"] = json!(["https://a.example/x"]);
        amd64["data"] = json!("e30=");
        amd64["annotations"] = json!({ "b": "2", "a": "1" });
        amd64["platform"]["x-new"] = json!({ "of": [1.5, null] });
        amd64["x-new"] = json!({ "deep": [null, "\u{e9}"] });
        let arm64 = child("arm64", Some("linux/arm64/v8"));
        let document = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_INDEX,
            "artifactType": "application/vnd.example",
            "manifests": [
                child("s390x", Some("linux/s390x")), amd64, belonging_to("a", "amd64"),
                belonging_to("s", "s390x"), arm64, belonging_to("b", "arm64"),
            ],
            "annotations": { "z": "1", "org.opencontainers.image.version": "3" },
            "subject": child("subject", None),
            "x-new": 1,
        });
        let source = index(&document);
        let made = of(&source, &platforms(&["linux/arm64", "linux/amd64"])).unwrap();

        let mut expected = document.clone();
        let list = expected["manifests"].as_array_mut().unwrap();
        list.remove(3);
        list.remove(0);
        expected.as_object_mut().unwrap().remove("subject");
        expected["annotations"][SOURCE_DIGEST] = json!(source.digest());
        expected["annotations"][SOURCE_INDEX] = json!(std::str::from_utf8(source.bytes()).unwrap());
        assert_eq!(value(&made), expected);
        assert_eq!(made.media_type(), source.media_type());
    }

    #[test]
    fn a_child_is_copied_as_text() {
        // A number that no type holds, a text in two spellings, spaces: none of it is read.
        let digest = Digest::sha256(b"a");
        let odd = format!(
            r#"{{ "size":7,"x":1e400, "y" : 1.50,"mediaType":"{}","digest":"{digest}",
            "platform":{{"os":"linux","architecture":"amd64"}}, "z":"\u00e9\/"}}"#,
            MediaType::OCI_MANIFEST
        );
        let other = child("b", Some("linux/arm64"));
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{odd},{other}],"n": null}}"#);
        let source = Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap();
        let made = of(&source, &platforms(&["linux/amd64"])).unwrap();
        let text = std::str::from_utf8(made.bytes()).unwrap();
        assert!(text.contains(&format!(r#""manifests":[{odd}]"#)), "{text}");
        assert!(text.contains(r#""n":null"#), "{text}");
    }

    #[test]
    fn the_bytes_are_what_they_were() {
        let child = |digit: &str, architecture: &str| {
            let digest = format!("sha256:{}", digit.repeat(64));
            format!(
                r#"{{"mediaType":"{}","digest":"{digest}","size":7,"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
                MediaType::OCI_MANIFEST
            )
        };
        let (amd64, arm64) = (child("a", "amd64"), child("b", "arm64"));
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{amd64},{arm64}]}}"#);
        let source = Manifest::parse(text.clone().into(), None, Algorithm::Sha256).unwrap();
        let made = of(&source, &platforms(&["linux/arm64"])).unwrap();
        // Mirrors hold this text: whatever changes it makes every one of them drift.
        let annotations = format!(
            r#"{{"io.image-syncer.source.digest":"{}","io.image-syncer.source.index":"{}"}}"#,
            source.digest(),
            text.replace('"', r#"\""#),
        );
        assert_eq!(
            std::str::from_utf8(made.bytes()).unwrap(),
            format!(r#"{{"annotations":{annotations},"manifests":[{arm64}],"schemaVersion":2}}"#)
        );
    }

    #[test]
    fn a_docker_list_stays_one() {
        let mut document = json!({
            "schemaVersion": 2, "mediaType": MediaType::DOCKER_LIST,
            "manifests": [child("a", Some("linux/amd64")), child("b", Some("linux/arm64"))],
        });
        let made = of(&index(&document), &platforms(&["linux/arm64"])).unwrap();
        assert_eq!(*made.media_type(), MediaType::DOCKER_LIST);
        // An index that leaves its type to its registry does so after as well.
        document.as_object_mut().unwrap().remove("mediaType");
        let text = document.to_string();
        let silent =
            Manifest::parse(text.into(), Some(&MediaType::DOCKER_LIST), Algorithm::Sha256).unwrap();
        let made = of(&silent, &platforms(&["linux/arm64"])).unwrap();
        assert_eq!(*made.media_type(), MediaType::DOCKER_LIST);
        assert_eq!(value(&made).get("mediaType"), None);
        assert_eq!(proven_source(&made, &platforms(&["linux/arm64"])), Some(silent.digest()));
    }

    #[test]
    fn where_nothing_is_left_out_it_is_the_source() {
        let source = list(&[
            child("a", Some("linux/amd64")),
            belonging_to("a1", "a"),
            child("b", Some("linux/arm/v7")),
            child("note", None),
        ]);
        let all = platforms(&["linux/arm", "linux/amd64/v1"]);
        assert_eq!(of(&source, &all).unwrap(), source);
        assert_eq!(proven_source(&source, &all), None, "its digest says it better");
        // What names no platform stays beside every platform.
        let made = of(&source, &platforms(&["linux/arm/v7"])).unwrap();
        assert_eq!(
            value(&made)["manifests"],
            json!([child("b", Some("linux/arm/v7")), child("note", None)])
        );
    }

    #[test]
    fn what_is_missing_is_named_with_what_there_is() {
        let source = list(&[
            child("w1", Some("windows/amd64")),
            child("w2", Some("windows/amd64")),
            child("a", Some("linux/arm/v6")),
            belonging_to("a1", "a"),
            child("none", None),
        ]);
        let told = |texts: &[&str]| of(&source, &platforms(texts)).unwrap_err().to_string();
        let there = "it has windows/amd64, linux/arm/v6";
        assert_eq!(told(&["linux/arm"]), format!("the index has no linux/arm/v7; {there}"));
        assert_eq!(
            told(&["linux/arm/v6", "linux/s390x", "linux/386"]),
            format!("the index has no linux/386, linux/s390x; {there}")
        );
        assert_eq!(
            told(&["unknown/unknown"]),
            format!("the index has no unknown/unknown; {there}")
        );
        let image = image(&source, &"linux/amd64".parse().unwrap()).unwrap_err();
        assert_eq!(image.to_string(), format!("the index has no linux/amd64; {there}"));
        let empty = list(&[child("none", None)]);
        let told = of(&empty, &platforms(&["linux/amd64"])).unwrap_err().to_string();
        assert_eq!(told, "the index has no linux/amd64; it has nothing that names a platform");
    }

    #[test]
    fn an_index_in_the_index_is_not_guessed_at() {
        let mut inner = child("inner", None);
        inner["mediaType"] = json!(MediaType::OCI_INDEX);
        let source = list(&[child("a", Some("linux/amd64")), inner.clone()]);
        let nested = Digest::sha256(b"inner");
        for text in ["linux/amd64", "linux/arm64"] {
            let error = of(&source, &platforms(&[text])).unwrap_err();
            assert!(matches!(error, SubsetError::Nested(inner) if inner == nested), "{error}");
        }
        // Where the image is found without looking into it, it does not matter.
        let found = image(&source, &"linux/amd64".parse().unwrap()).unwrap();
        assert_eq!(found.digest, Digest::sha256(b"a"));
        assert!(image(&source, &"linux/arm64".parse().unwrap()).is_err());
        // One that names its platform is a child like any other, but no image.
        inner["platform"] = json!({ "os": "linux", "architecture": "arm64" });
        let source = list(&[child("a", Some("linux/amd64")), inner.clone()]);
        let made = of(&source, &platforms(&["linux/arm64"])).unwrap();
        assert_eq!(value(&made)["manifests"], json!([inner]));
        assert!(image(&source, &"linux/arm64".parse().unwrap()).is_err());
    }

    #[test]
    fn the_first_image_for_a_platform_is_taken() {
        let source = list(&[
            child("v3", Some("linux/amd64/v3")),
            child("first", Some("linux/amd64")),
            child("second", Some("linux/amd64")),
        ]);
        let found = image(&source, &"linux/amd64".parse().unwrap()).unwrap();
        assert_eq!(found.digest, Digest::sha256(b"first"));
    }

    #[test]
    fn a_made_index_proves_what_it_is_made_of() {
        let source = list(&[child("a", Some("linux/amd64")), child("b", Some("linux/arm64"))]);
        let amd64 = platforms(&["linux/amd64"]);
        let made = of(&source, &amd64).unwrap();
        assert_eq!(source_of(&made), Some(source.clone()));
        assert_eq!(proven_source(&made, &amd64), Some(source.digest()));
        assert_eq!(proven_source(&made, &platforms(&["linux/arm64"])), None);

        let changed = |change: &dyn Fn(&mut Value)| {
            let mut document = value(&made);
            change(&mut document);
            proven_source(&index(&document), &amd64)
        };
        // Written in another order or with other spaces, it has another digest.
        assert_eq!(changed(&|_| ()), None);
        let other = child("evil", Some("linux/amd64"));
        assert_eq!(changed(&|it| it["manifests"][0] = other.clone()), None);
        assert_eq!(
            changed(&|it| it["annotations"][SOURCE_DIGEST] = json!(Digest::sha256(b""))),
            None
        );
        assert_eq!(changed(&|it| it["annotations"][SOURCE_INDEX] = json!("{}")), None);
        assert_eq!(changed(&|it| it["annotations"]["more"] = json!("1")), None);
    }

    #[test]
    fn a_part_of_a_part_is_one_of_it() {
        let names = ["linux/amd64", "linux/arm64", "linux/s390x"];
        let source = list(&names.map(|name| child(name, Some(name))));
        let two = of(&source, &platforms(&["linux/amd64", "linux/arm64"])).unwrap();
        let one = of(&two, &platforms(&["linux/amd64"])).unwrap();
        assert_eq!(proven_source(&one, &platforms(&["linux/amd64"])), Some(two.digest()));
    }

    proptest! {
        #[test]
        fn every_index_has_one_part_that_proves_itself(
            children in proptest::collection::vec((0..4_usize, any::<bool>()), 1..12),
            wanted in proptest::collection::btree_set(0..4_usize, 1..4),
        ) {
            let names = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7", "windows/amd64"];
            let children: Vec<Value> = (0..)
                .zip(children)
                .map(|(number, (platform, attested)): (usize, _)| match attested {
                    true => belonging_to(&format!("{number}"), &format!("{}", number / 2)),
                    false => child(&format!("{number}"), Some(names[platform])),
                })
                .collect();
            let source = list(&children);
            let wanted: Vec<&str> = wanted.into_iter().map(|number| names[number]).collect();
            let wanted = platforms(&wanted);
            let Ok(made) = of(&source, &wanted) else { return Ok(()) };
            prop_assert_eq!(&of(&source, &wanted).unwrap(), &made);
            let (all, kept) = (value(&source), value(&made));
            let (all, kept) = (all["manifests"].as_array().unwrap(), kept["manifests"].as_array().unwrap());
            let mut rest = all.iter();
            prop_assert!(kept.iter().all(|child| rest.any(|one| one == child)), "in order");
            match made == source {
                true => prop_assert_eq!(all, kept),
                false => prop_assert_eq!(proven_source(&made, &wanted), Some(source.digest())),
            }
        }
    }
}
