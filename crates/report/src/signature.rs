//! What `sign` and `verify-signature` found or made, for machines: a contract as the report's is; its
//! schema lies in `schema/signature.schema.json`.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::ExitStatus;

/// The name of this contract, the first field of every document.
const SCHEMA: &str = "image-syncer/signature/v1";

/// One image's signature, made or judged.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "image-syncer signature")]
pub struct SignatureDocument {
    /// The name of this contract.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The image, as it was asked for.
    pub reference: String,
    /// The digest that was signed or judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What became of it.
    pub state: SignatureVerdict,
    /// By whom it is signed: the key as it was named, or its fingerprint, or the identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// Why there is no valid signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The code that the process exits with.
    pub exit_code: u8,
}

/// What became of a signature.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureVerdict {
    /// `sign`: it was made.
    Signed,
    /// `sign`: a valid one by the key was there.
    Present,
    /// `verify-signature`: there is one by whom it should be.
    Valid,
    /// `verify-signature`: there is none.
    Refused,
}

impl SignatureDocument {
    /// The document of an image that has a signature.
    pub fn new(
        reference: String,
        digest: String,
        state: SignatureVerdict,
        by: Vec<String>,
    ) -> Self {
        let (schema, exit_code) = (SCHEMA.to_owned(), ExitStatus::Success.code());
        Self { schema, reference, digest: Some(digest), state, by, problem: None, exit_code }
    }

    /// The document of an image that has none by whom it should be.
    pub fn refused(reference: String, digest: String, problem: String) -> Self {
        let by_nobody = Self::new(reference, digest, SignatureVerdict::Refused, Vec::new());
        let exit_code = ExitStatus::Refused.code();
        Self { problem: Some(problem), exit_code, ..by_nobody }
    }

    /// The document as indented JSON with a line end.
    ///
    /// # Errors
    /// None that a document can cause; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

/// The JSON Schema of [`SignatureDocument`].
pub fn signature_schema() -> Schema {
    schemars::schema_for!(SignatureDocument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_fit_their_schema() {
        let schema = serde_json::to_value(signature_schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let [reference, digest, by] = ["r.example/app:1", "sha256:00", "key 1"].map(str::to_owned);
        let good = SignatureVerdict::Valid;
        let good = SignatureDocument::new(reference.clone(), digest.clone(), good, vec![by]);
        let bad = SignatureDocument::refused(reference, digest, "it has no signature".to_owned());
        assert_eq!((good.exit_code, bad.exit_code), (0, 5));
        for document in [good, bad] {
            let mut value = serde_json::from_str(&document.to_json().unwrap()).unwrap();
            assert!(validator.is_valid(&value), "{value}");
            assert_eq!(
                serde_json::from_value::<SignatureDocument>(value.clone()).unwrap(),
                document
            );
            value["state"] = "whim".into();
            assert!(!validator.is_valid(&value));
        }
    }

    /// After a wanted change: `image-syncer schema signature > schema/signature.schema.json`.
    #[test]
    fn the_schema_in_the_repository_is_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/signature.schema.json");
        let expected = serde_json::to_string_pretty(&signature_schema()).unwrap() + "\n";
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    }
}
