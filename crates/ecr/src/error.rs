//! [`Error`]: a call that ECR did not answer as it should.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use oci::Repository;
use serde::Serialize;

/// A failed call of ECR. Never carries a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}{message}", Of(repository.as_ref()))]
pub struct Error {
    class: ErrorClass,
    repository: Option<Repository>,
    action: &'static str,
    message: String,
    hint: Option<String>,
    /// AWS's name of it.
    code: String,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// AWS does not know us, or we may not do it: run again with other credentials or permissions.
    Denied,
    /// Too many requests, after all that the SDK tried: run again later.
    Throttled,
    /// Anything else.
    Failed,
}

impl Error {
    pub(crate) fn failed(action: &'static str, message: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::Failed,
            repository: None,
            action,
            message: message.into(),
            hint: None,
            code: String::new(),
        }
    }

    /// What an answer of AWS, or the want of one, means.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>, action: &'static str) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let Some(refusal) = error.as_service_error() else {
            return Self::without_answer(error, action);
        };
        let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
        // Who stands between us and AWS does not name its errors.
        let code = refusal.code().map_or_else(|| status.to_string(), ToOwned::to_owned);
        let class = class_of(&code, status);
        let said = refusal.message().unwrap_or_default().to_owned();
        let hint = hint(&code, class, action, &said);
        let colon = if said.is_empty() { "" } else { ": " };
        let message = format!("{action} was answered with {code}{colon}{said}");
        Self { class, hint, code, ..Self::failed(action, message) }
    }

    /// A call that AWS did not answer: we could not say who we are, or it was not reached.
    fn without_answer<E>(error: &SdkError<E, HttpResponse>, action: &'static str) -> Self
    where
        E: StdError + 'static,
    {
        let causes = causes(error);
        // The SDK's own words ("the credential provider was not enabled", "no providers in chain
        // provided credentials"): it has no type for them that can be reached.
        if causes.to_ascii_lowercase().contains("credential") {
            let message = format!("{action} was not sent, there are no credentials: {causes}");
            let hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, log in \
                        (aws sso login), or run where a role is attached";
            let class = ErrorClass::Denied;
            return Self { class, hint: Some(hint.into()), ..Self::failed(action, message) };
        }
        // The endpoint rules of AWS's SDKs do not take both.
        let hint = if causes.contains("FIPS and custom endpoint") {
            "AWS_ENDPOINT_URL_ECR says the endpoint, so turn AWS_USE_FIPS_ENDPOINT off, and write the \
             registry without -fips"
        } else {
            "check the region, the network and AWS_ENDPOINT_URL_ECR"
        };
        let message = format!("{action} got no answer: {causes}");
        Self { hint: Some(hint.into()), ..Self::failed(action, message) }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn of_repository(self, repository: &Repository) -> Self {
        Self { repository: Some(repository.clone()), ..self }
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// What AWS says, or we.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The class of failure.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// The repository that it was about.
    pub fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }

    /// The action that failed, as IAM calls it: `ecr:CreateRepository`.
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// What a message begins with.
struct Of<'a>(Option<&'a Repository>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |repository| write!(f, "{repository}: "))
    }
}

fn causes(error: &dyn StdError) -> String {
    let causes: Vec<String> = std::iter::successors(error.source(), |&cause| cause.source())
        .map(ToString::to_string)
        .collect();
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html>, and what services say
/// of credentials that they do not take. ECR answers with ThrottlingException and status 400; what stands
/// in front of it, with 429.
fn class_of(code: &str, status: u16) -> ErrorClass {
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "NotAuthorized"
        | "OptInRequired"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => ErrorClass::Denied,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "SlowDown" => ErrorClass::Throttled,
        _ => match status {
            401 | 403 | 407 => ErrorClass::Denied,
            429 => ErrorClass::Throttled,
            _ => ErrorClass::Failed,
        },
    }
}

fn hint(code: &str, class: ErrorClass, action: &str, said: &str) -> Option<String> {
    let hint = match (code, class) {
        (_, ErrorClass::Denied) => match code {
            "ExpiredToken" | "ExpiredTokenException" => {
                "the credentials have expired: get new ones".to_owned()
            }
            "AccessDenied" | "AccessDeniedException" | "NotAuthorized" => {
                let missing = missing_action(said).unwrap_or(action);
                format!("allow {missing} on the repository in a policy of who runs this")
            }
            "OptInRequired" => "enable the region for the account".to_owned(),
            "SignatureDoesNotMatch" | "InvalidSignatureException" => {
                "check the secret access key and the clock".to_owned()
            }
            "InvalidClientTokenId" | "UnrecognizedClientException" => {
                "check the access key, the account and the region".to_owned()
            }
            _ => format!("check the access key, and allow {action} in a policy of who runs this"),
        },
        (_, ErrorClass::Throttled) => {
            "run again later, with a lower MAX_PARALLEL_OPERATIONS".to_owned()
        }
        // https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
        ("KmsException", _) => "the key must exist in the repository's region, be enabled and \
                                symmetric, and allow us kms:DescribeKey, kms:CreateGrant and \
                                kms:RetireGrant"
            .to_owned(),
        ("LimitExceededException", _) => "raise the quota in Service Quotas".to_owned(),
        ("TooManyTagsException", _) => {
            "a repository has 50 tags at most, those that others set included".to_owned()
        }
        ("InvalidParameterException", _) if said.contains("Principal not found") => {
            "a principal of permissionPolicy does not exist (yet), or is in another partition"
                .to_owned()
        }
        ("InvalidParameterException", _) if action == "ecr:SetRepositoryPolicy" => {
            "check permissionPolicy; AWS also refuses one that would lock us out of changing it"
                .to_owned()
        }
        ("ValidationException", _) if action == "ecr:PutImageScanningConfiguration" => {
            "the registry's own scanning settings may forbid it: leave scanOnPush out".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

/// `User: arn:… is not authorized to perform: ecr:CreateRepository on resource: …`
fn missing_action(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("not authorized to perform: ")?;
    let action = rest.split_whitespace().next()?.trim_end_matches(['.', ',']);
    let is_action = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '-';
    (action.contains(':') && action.chars().all(is_action)).then_some(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_class() {
        let table = [
            ("AccessDeniedException", 400, ErrorClass::Denied),
            ("ExpiredTokenException", 403, ErrorClass::Denied),
            ("UnrecognizedClientException", 400, ErrorClass::Denied),
            ("ThrottlingException", 400, ErrorClass::Throttled),
            ("429", 429, ErrorClass::Throttled),
            ("403", 403, ErrorClass::Denied),
            ("InvalidParameterException", 400, ErrorClass::Failed),
            ("ServerException", 500, ErrorClass::Failed),
        ];
        for (code, status, class) in table {
            assert_eq!(class_of(code, status), class, "{code}");
        }
    }

    #[test]
    fn a_denial_names_the_action_that_is_missing() {
        let said = "User: arn:aws:sts::123456789012:assumed-role/ci/x is not authorized to perform: \
                    ecr:TagResource on resource: arn:aws:ecr:eu-west-1:123456789012:repository/a \
                    because no identity-based policy allows the ecr:TagResource action";
        assert_eq!(missing_action(said), Some("ecr:TagResource"));
        let hint = hint("AccessDeniedException", ErrorClass::Denied, "ecr:CreateRepository", said)
            .unwrap();
        assert!(hint.starts_with("allow ecr:TagResource "), "{hint}");
        assert_eq!(missing_action("no"), None);
        assert_eq!(missing_action("not authorized to perform: "), None);
    }

    #[test]
    fn a_message_names_the_repository() {
        let error = Error::failed("ecr:TagResource", "ecr:TagResource got no answer: x");
        let error = error.of_repository(&"team/app".parse().unwrap());
        assert_eq!(error.to_string(), "team/app: ecr:TagResource got no answer: x");
    }
}
