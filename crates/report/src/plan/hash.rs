//! A plan's own hash, and reading one that nobody has changed.

use oci::Digest;

use super::{PlanDocument, SCHEMA};

/// A text that is no plan, or not the one that was made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is not what the schema says.
    #[error("it is no plan that this version can read: {0}")]
    Shape(#[from] serde_json::Error),
    /// It is of another contract.
    #[error("it is `{0}`, and this version reads `{SCHEMA}`")]
    Schema(String),
    /// It is not what it was when it was made.
    #[error("it was changed since it was made: its hash is {expected}, and it says {said}")]
    Changed {
        /// The hash of what is there.
        expected: String,
        /// The hash that stands there.
        said: String,
    },
    /// Something in it is no name.
    #[error(transparent)]
    Name(#[from] oci::InvalidName),
    /// An item lacks what its outcome needs.
    #[error("the plan of `{0}` lacks a digest")]
    Lacking(String),
}

impl PlanDocument {
    /// Reads a plan.
    ///
    /// # Errors
    /// Where it is none, or is not as it was when it was made.
    pub fn read(text: &str) -> Result<Self, PlanError> {
        #[derive(serde::Deserialize)]
        struct Named {
            schema: String,
        }
        // A plan of another contract is told so, whatever else is in it.
        let Named { schema } = serde_json::from_str(text)?;
        if schema != SCHEMA {
            return Err(PlanError::Schema(schema));
        }
        let plan: Self = serde_json::from_str(text)?;
        let expected = plan.own_hash()?;
        match expected == plan.hash {
            true => Ok(plan),
            false => Err(PlanError::Changed { expected, said: plan.hash }),
        }
    }

    /// The same with its hash.
    pub(super) fn hashed(self) -> Result<Self, serde_json::Error> {
        Ok(Self { hash: self.own_hash()?, ..self })
    }

    /// Of what it means, not of how it is indented.
    fn own_hash(&self) -> Result<String, serde_json::Error> {
        let rest = Self { hash: String::new(), ..self.clone() };
        Ok(Digest::sha256(&serde_json::to_vec(&rest)?).to_string())
    }
}
