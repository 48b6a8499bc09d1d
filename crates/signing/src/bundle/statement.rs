//! An in-toto statement: what is said (a predicate) of what (subjects, by digest).
//! <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>

use std::collections::BTreeMap;

use oci::Digest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The payload type of an envelope that holds a statement.
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";

/// The predicate type of a statement that says nothing but "signed"
/// (cosign, `pkg/types/predicate.go`, `CosignSignPredicateType`).
pub const SIGNATURE_PREDICATE_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The most subjects that are looked at, as in sigstore-go (`pkg/verify/signature.go`).
const MOST_SUBJECTS: usize = 1024;

const TYPES: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];

/// What was read of a statement.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Statement {
    #[serde(rename = "_type")]
    version: String,
    #[serde(default)]
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// The predicate type that one of cosign's short names stands for, or else the text itself, which is
/// one (cosign, `cmd/cosign/cli/options/predicate.go`).
pub fn predicate_type(name: &str) -> &str {
    match name {
        "custom" => "https://cosign.sigstore.dev/attestation/v1",
        "slsaprovenance" | "slsaprovenance02" => "https://slsa.dev/provenance/v0.2",
        "slsaprovenance1" => "https://slsa.dev/provenance/v1",
        "spdx" | "spdxjson" => "https://spdx.dev/Document",
        "cyclonedx" => "https://cyclonedx.org/bom",
        "link" => "https://in-toto.io/Link/v1",
        "vuln" => "https://cosign.sigstore.dev/attestation/vuln/v1",
        "openvex" => "https://openvex.dev/ns",
        other => other,
    }
}

/// The statement that cosign 3 signs for an image, byte for byte.
pub fn signature_statement(subject: &Digest) -> Vec<u8> {
    let (algorithm, hex) = (subject.algorithm(), subject.hex());
    format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"{algorithm}":"{hex}"}},"annotations":{{}}}}],"predicateType":"{SIGNATURE_PREDICATE_TYPE}","predicate":{{}}}}"#
    )
    .into_bytes()
}

/// A statement with a predicate of any type about the image `name`, `host/path`, with this digest.
pub fn statement(
    name: &str,
    subject: &Digest,
    predicate_type: &str,
    predicate: &RawValue,
) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a> {
        #[serde(rename = "_type")]
        version: &'a str,
        subject: [WrittenSubject<'a>; 1],
        predicate_type: &'a str,
        predicate: &'a RawValue,
    }
    #[derive(Serialize)]
    struct WrittenSubject<'a> {
        name: &'a str,
        digest: BTreeMap<&'a str, String>,
    }
    let digest = BTreeMap::from([(subject.algorithm().as_str(), subject.hex())]);
    serde_json::to_vec(&Written {
        version: "https://in-toto.io/Statement/v1",
        subject: [WrittenSubject { name, digest }],
        predicate_type,
        predicate,
    })
}

impl Statement {
    /// The statement in the payload of an envelope, where it is one.
    pub(crate) fn read(payload_type: &str, payload: &[u8]) -> Option<Self> {
        if payload_type != STATEMENT_TYPE {
            return None;
        }
        let statement: Self = serde_json::from_slice(payload).ok()?;
        let known = TYPES.contains(&statement.version.as_str());
        (known && statement.subject.len() <= MOST_SUBJECTS).then_some(statement)
    }

    /// What kind of thing it says.
    pub(crate) fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// Whether it is about this digest.
    pub(crate) fn is_about(&self, digest: &Digest) -> bool {
        let hex = digest.hex();
        let named =
            |subject: &Subject| subject.digest.get(digest.algorithm().as_str()) == Some(&hex);
        self.subject.iter().any(named)
    }

    /// What it is about, for people: one digest.
    pub(crate) fn subject(&self) -> Option<String> {
        let first = |subject: &Subject| {
            let (algorithm, hex) = subject.digest.first_key_value()?;
            Some(format!("{algorithm}:{hex}"))
        };
        self.subject.iter().find_map(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:839e792f397168142de54365427ff7f85318e06cb6fe668a10d245574363ad93";

    #[test]
    fn a_signature_is_what_cosign_writes() {
        // cosign 3.1.3, `sign --use-signing-config=false`.
        let cosign = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"839e792f397168142de54365427ff7f85318e06cb6fe668a10d245574363ad93"},"annotations":{}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}"#;
        assert_eq!(signature_statement(&DIGEST.parse().unwrap()), cosign.as_bytes());
    }

    #[test]
    fn what_is_written_is_read() {
        let digest: Digest = DIGEST.parse().unwrap();
        let predicate = RawValue::from_string(r#"{"a": [1.0]}"#.to_owned()).unwrap();
        let written = statement("host/app", &digest, "https://example.com/p", &predicate).unwrap();
        assert!(std::str::from_utf8(&written).unwrap().contains(predicate.get()));
        let read = Statement::read(STATEMENT_TYPE, &written).unwrap();
        assert_eq!(read.predicate_type(), "https://example.com/p");
        assert!(read.is_about(&digest));
        assert!(!read.is_about(&Digest::sha256(b"another")));
        assert_eq!(read.subject().as_deref(), Some(DIGEST));
    }

    #[test]
    fn what_is_no_statement_is_not_read() {
        let statement = String::from_utf8(signature_statement(&DIGEST.parse().unwrap())).unwrap();
        let read = |kind: &str, text: &str| Statement::read(kind, text.as_bytes());
        assert!(read(STATEMENT_TYPE, &statement).is_some());
        assert!(read("application/json", &statement).is_none());
        assert!(read(STATEMENT_TYPE, &statement.replace("Statement/v1", "Statement/v9")).is_none());
        assert!(read(STATEMENT_TYPE, "[]").is_none());
        let twice = statement.replacen("{\"_type", "{\"predicateType\":\"x\",\"_type", 1);
        assert!(read(STATEMENT_TYPE, &twice).is_none(), "one field twice can mean two things");
    }
}
