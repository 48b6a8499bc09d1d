//! [`Refusal`]: why a keyless signature does not count, in words for people.

use std::fmt;

use sigstore_verify::bundle::Error as Structure;
use sigstore_verify::crypto::CertificateInfo;
use sigstore_verify::{CertificateError, Error, TimestampError};

/// Why a keyless signature does not count.
#[derive(Clone, Debug)]
pub struct Refusal {
    check: Check,
    detail: String,
    signer: Option<Signer>,
}

/// The check that failed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Check {
    /// It can be read, and is of a form that can be judged here.
    Form,
    /// Its certificate comes from a trusted authority, was valid when it signed, and is logged where
    /// certificates are.
    Certificate,
    /// A log or a timestamp authority that is trusted says when it was signed.
    Time,
    /// A transparency log that is trusted has it.
    Log,
    /// The certificate's key made the signature.
    Signature,
    /// It is for the content asked about.
    Digest,
    /// It states what was asked for.
    Predicate,
    /// Its signer is one of those whose signatures count.
    Identity,
}

/// Whom a certificate names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signer {
    /// Who it is for: a mail address, or a URL as that of a workflow.
    pub subject: Option<String>,
    /// The OpenID Connect issuer that vouched for the subject.
    pub issuer: Option<String>,
}

impl Refusal {
    pub(super) fn new(check: Check, detail: impl AsRef<str>) -> Self {
        Self { check, detail: shown(detail.as_ref()), signer: None }
    }

    pub(super) fn keyed() -> Self {
        Self::new(Check::Form, "it is signed with a key: it has no certificate")
    }

    /// The refusal that a failure of the library is, of a bundle with this certificate.
    pub(super) fn because(error: &Error, certificate: &CertificateInfo) -> Self {
        let check = match error {
            Error::Certificate(_) => Check::Certificate,
            Error::Timestamp(_) => Check::Time,
            Error::TransparencyLog(_) => Check::Log,
            Error::SignatureInvalid(_) => Check::Signature,
            Error::ArtifactMismatch(_) => Check::Digest,
            // What is not there is an error of the bundle's structure to the library.
            Error::Bundle(
                Structure::UnsupportedMediaType(_)
                | Structure::UnsupportedVerificationMaterial
                | Structure::CertificateChainNotAllowed(_),
            ) => Check::Form,
            Error::Bundle(Structure::MissingSigningTimeEvidence | Structure::MissingTimestamp) => {
                Check::Time
            }
            Error::Bundle(_) => Check::Log,
            _ => Check::Form,
        };
        // Its own words repeat the check, and tell how its kinds of bundles differ.
        let detail = match error {
            Error::Certificate(error) => {
                let problem = match error {
                    CertificateError::ChainInvalid(problem) => problem.clone(),
                    error => error.to_string(),
                };
                let CertificateInfo { not_before, not_after, .. } = certificate;
                format!("{problem}; it was valid from {not_before} to {not_after}")
            }
            Error::SignatureInvalid(problem) | Error::ArtifactMismatch(problem) => problem.clone(),
            Error::Timestamp(TimestampError::NoVerifiedTimestamp(_))
            | Error::Bundle(Structure::MissingSigningTimeEvidence) => {
                "it has neither a log's promise nor a timestamp".to_owned()
            }
            Error::Bundle(Structure::MissingInclusionProof(_)) => {
                "it has no proof that it is in a log".to_owned()
            }
            _ => error.to_string(),
        };
        Self::new(check, detail).by(&Signer::claimed_by(certificate))
    }

    /// The same refusal, with whom the certificate names.
    pub(super) fn by(self, signer: &Signer) -> Self {
        Self { signer: Some(signer.clone()), ..self }
    }

    /// The check that failed.
    pub fn check(&self) -> Check {
        self.check
    }

    /// Whom the certificate names, if there is one. Anyone can have written that, unless the check that
    /// failed is [`Check::Predicate`] or [`Check::Identity`].
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, detail, .. } = self;
        match (check, &self.signer) {
            (Check::Identity, Some(signer)) => {
                write!(f, "{signer}, who signed it, is not allowed to: {detail}")
            }
            (Check::Predicate, Some(signer)) => {
                write!(f, "{signer} states something else: {detail}")
            }
            (_, Some(signer)) => write!(f, "{check}: {detail}; its certificate names {signer}"),
            (_, None) => write!(f, "{check}: {detail}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not a keyless signature that can be judged",
            Self::Certificate => "its certificate is not trusted",
            Self::Time => "the time of signing is not proven",
            Self::Log => "the transparency log does not vouch for it",
            Self::Signature => "its signature is wrong",
            Self::Digest => "it is for other content",
            Self::Predicate => "it states something else",
            Self::Identity => "its signer is not allowed to sign",
        })
    }
}

impl Signer {
    /// Whom a certificate names, whoever made it.
    pub(super) fn claimed_by(certificate: &CertificateInfo) -> Self {
        Self {
            subject: certificate.identity.as_ref().map(|subject| subject.as_str().to_owned()),
            issuer: certificate.issuer.clone(),
        }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.subject.as_deref().map_or_else(|| "nobody".to_owned(), shown);
        match &self.issuer {
            Some(issuer) => write!(f, "{subject} (issuer {})", shown(issuer)),
            None => write!(f, "{subject} (no issuer)"),
        }
    }
}

/// Text that strangers may have had a part in, fit for a terminal and a line of a report.
fn shown(text: &str) -> String {
    const LONGEST: usize = 1000;
    let mut shown = String::new();
    for character in text.chars().take(LONGEST) {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_cannot_do_harm() {
        let hostile = format!("\x1b[2J\r\n\u{202e}\"{}", "a".repeat(1_000_000));
        let signer = Signer { subject: Some(hostile.clone()), issuer: Some(hostile.clone()) };
        let text = Refusal::new(Check::Form, &hostile).by(&signer).to_string();
        assert!(text.len() < 3_500, "{}", text.len());
        assert!(text.contains(r#"\u{1b}[2J\r\n\u{202e}"a"#), "{text}");
        assert!(!text.contains(char::is_control), "{text}");
    }
}
