//! [`TransparencyLog`]: a Rekor that is told of signatures, so that whoever verifies them can demand
//! that they were made in public.
//!
//! The interface is that of Rekor's version 1 (sigstore/rekor, `openapi.yaml`): `POST` of an entry, and
//! `GET` of it where the log has it already. What the log answers is believed only as far as its keys
//! prove it: the entry is the one that was sent, the log's promise (the "signed entry timestamp") is
//! by a key of the log's, and so is the root of the tree that the entry is in. Nothing is published
//! before that.
//!
//! The tiles of version 2 have no promise, and the first form of signatures has no place for anything
//! else (cosign 3.1, `pkg/cosign/verify.go`, `VerifyBundle`), so they are not spoken here.

mod entry;
mod keys;
mod logged;

use std::fmt;

use credentials::cloud::{Http, Reach};
use reqwest::{StatusCode, Url};

pub use entry::Proposal;
pub use keys::LogKeys;
pub use logged::Logged;
pub(crate) use logged::{ANNOTATION as LOGGED_ANNOTATION, Written as WrittenEntry};

use crate::judge::Evidence;
use crate::{Algorithm, KeyKind, PublicKey, SigningError, SigningErrorKind};

const SERVICE: &str = "the transparency log";

/// A Rekor, and the keys by which it is believed. Two are equal that are in the same place and
/// believed by the same keys.
#[derive(Clone)]
pub struct TransparencyLog {
    url: Url,
    keys: LogKeys,
    http: Http,
}

impl TransparencyLog {
    /// The log at this URL, such as `https://rekor.example.com`. No request is made.
    ///
    /// # Errors
    /// [`SigningErrorKind::Invalid`]: it is no URL of a server, or no client can be made.
    pub fn new(url: &str, keys: LogKeys) -> Result<Self, SigningError> {
        let url = Url::parse(url).ok().filter(|url| {
            let is_plain = url.query().is_none() && url.fragment().is_none();
            let is_anonymous = url.username().is_empty() && url.password().is_none();
            matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain && is_anonymous
        });
        let url = url.ok_or_else(|| {
            let message = "the transparency log's URL is none of a server";
            SigningError::new(SigningErrorKind::Invalid, message)
                .with_hint("write it as in https://rekor.example.com")
        })?;
        Ok(Self { url, keys, http: Http::new(SERVICE, Reach::Outside(None))? })
    }

    /// Whether Rekor, and cosign after it, takes signatures by such a key in this form. To be asked
    /// before anything is signed.
    ///
    /// Of the first form ("hashedrekord") Rekor wants Ed25519ph of an Ed25519 key (sigstore/rekor,
    /// `pkg/types/hashedrekord/v0.0.1/entry.go`) and the curve's own hash of the others
    /// (`pkg/api/api.go`, `AllowedClientSigningAlgorithms`), while cosign verifies entries with SHA-256
    /// alone (`pkg/cosign/verify.go`, `VerifyBundle`). Envelopes ("dsse") are verified with SHA-256, or
    /// Ed25519 itself, on every curve (`pkg/types/dsse/v0.0.1/entry.go`, `verifyEnvelope`).
    ///
    /// # Errors
    /// [`SigningErrorKind::Unsupported`]
    pub fn takes(form: LogForm, kind: KeyKind, algorithm: Algorithm) -> Result<(), SigningError> {
        use Algorithm as A;
        let is_taken = match form {
            LogForm::Payload => matches!(
                (kind, algorithm),
                (KeyKind::EcdsaP256, A::EcdsaSha256) | (KeyKind::Rsa, A::RsaPkcs1Sha256)
            ),
            LogForm::Envelope => {
                matches!(algorithm, A::EcdsaSha256 | A::RsaPkcs1Sha256 | A::Ed25519)
            }
        };
        if is_taken {
            return Ok(());
        }
        let (form, hint) = match form {
            LogForm::Payload => (
                "simple signing",
                "sign with ECDSA P-256, or RSA with PKCS#1 v1.5 and SHA-256; bundles are logged with \
                 Ed25519 and every curve as well",
            ),
            LogForm::Envelope => {
                ("bundles", "sign with SHA-256 (PKCS#1 v1.5 for RSA), or with Ed25519")
            }
        };
        let message = format!(
            "a transparency log takes no {form} of a key {kind} that signs with {algorithm}"
        );
        Err(SigningError::new(SigningErrorKind::Unsupported, message).with_hint(hint))
    }

    /// Writes an entry into the log, unless it is there, and returns what the log says of it once that
    /// is proven.
    ///
    /// # Errors
    /// The log cannot be reached or refuses ([`SigningErrorKind::Unreachable`],
    /// [`SigningErrorKind::Denied`], [`SigningErrorKind::Invalid`]), or what it says is not true
    /// ([`SigningErrorKind::BadSignature`]).
    pub async fn record(&self, proposal: &Proposal) -> Result<Logged, SigningError> {
        let request = self.http.post(self.entries(None)?).json(proposal.request());
        let mut answer = self.http.send(request).await?;
        // "an equivalent entry already exists", as after an answer that got lost on its way.
        if answer.status == StatusCode::CONFLICT {
            let request = self.http.get(self.entries(Some(&proposal.uuid()))?);
            answer = self.http.send(request).await?;
        }
        let answer = answer.json("when told of a signature").map_err(SigningError::from)?;
        let logged = Logged::of_answer(answer)?;
        self.keys.prove(&logged, proposal).map_err(|untrue| {
            let message = format!("the transparency log's answer proves nothing: {untrue}");
            SigningError::new(SigningErrorKind::BadSignature, message)
                .with_hint("are the log's keys those of this very log?")
        })?;
        tracing::debug!(target: "signing", log = %self.url, index = logged.index(), "logged");
        Ok(logged)
    }

    /// Whether a signature by this key says itself, and proves, that the log has it.
    pub fn has(&self, evidence: &Evidence, key: &PublicKey) -> bool {
        match evidence {
            Evidence::Layer(layer) => {
                let proposal = Proposal::of_layer(layer, key);
                let logged = Logged::of_layer(layer);
                proposal
                    .zip(logged)
                    .is_some_and(|(it, logged)| self.keys.prove(&logged, &it).is_ok())
            }
            Evidence::Bundle(bundle) => bundle.logged().iter().any(|logged| {
                let proposal = Proposal::of_logged_envelope(bundle.envelope(), key, logged);
                // Without a proof of inclusion a bundle of today's version is none for cosign.
                logged.has_proof()
                    && proposal.is_some_and(|it| self.keys.prove(logged, &it).is_ok())
            }),
            Evidence::Envelope { .. } => false,
        }
    }

    /// `URL/api/v1/log/entries[/UUID]`
    fn entries(&self, uuid: Option<&str>) -> Result<Url, SigningError> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| {
                SigningError::new(SigningErrorKind::Invalid, "the log's URL has no path")
            })?
            .pop_if_empty()
            .extend(["api", "v1", "log", "entries"])
            .extend(uuid);
        Ok(url)
    }
}

/// What of a signature a log is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogForm {
    /// The hash of a payload: cosign's first form.
    Payload,
    /// An envelope, of which the log keeps hashes: a bundle.
    Envelope,
}

impl PartialEq for TransparencyLog {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, &self.keys) == (&other.url, &other.keys)
    }
}

impl Eq for TransparencyLog {}

impl fmt::Debug for TransparencyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransparencyLog").field(&self.url.as_str()).finish()
    }
}

impl fmt::Display for TransparencyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests;
