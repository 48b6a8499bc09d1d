//! [`failure`]: what it means that AWS did not do what it was asked for.

use std::error::Error as StdError;

use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};

use crate::cloud::{CloudError, CloudErrorKind};

/// The error of a `service`, such as `AWS KMS`, that did not do `what`, such as `when asked to sign`, for
/// which one needs a `permission`.
pub fn failure<E>(
    service: &str,
    error: &SdkError<E, HttpResponse>,
    what: &str,
    permission: &str,
) -> CloudError
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let Some(refusal) = error.as_service_error() else {
        return no_answer(service, error, what);
    };
    let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
    let (kind, code) = match refusal.code() {
        Some(code) => (kind_of(code), code.to_owned()),
        // Who stands between us and the service does not name its errors.
        None => (kind_of_status(status), status.to_string()),
    };
    let said = refusal.message().map(|message| format!(": {message}")).unwrap_or_default();
    let failure = CloudError::new(kind, format!("{service} answered {code} {what}{said}"));
    match kind {
        CloudErrorKind::Denied => failure.with_hint(format!(
            "are these the right credentials, and does a policy of IAM, or of the thing itself, allow \
             {permission}?"
        )),
        CloudErrorKind::NotFound => {
            failure.with_hint("check the region (AWS_REGION), the account and the name")
        }
        _ => failure,
    }
}

/// An attempt that AWS did not answer: we could not say who we are, or it was not reached.
fn no_answer<E: StdError + 'static>(
    service: &str,
    error: &SdkError<E, HttpResponse>,
    what: &str,
) -> CloudError {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    let causes = causes.join(": ");
    if causes.contains("credential") {
        let message = format!("there are no credentials for AWS: {causes}");
        return CloudError::new(CloudErrorKind::Denied, message).with_hint(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or run where a role is \
             attached",
        );
    }
    let message = format!("{service} cannot be reached {what}: {causes}");
    CloudError::new(CloudErrorKind::Unreachable, message)
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html#API_Sign_Errors> and
/// <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html>; the names are those of all
/// services.
fn kind_of(code: &str) -> CloudErrorKind {
    match code {
        "AccessDeniedException"
        | "AccessDenied"
        | "NotAuthorized"
        | "OptInRequired"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidGrantTokenException"
        | "DecryptionFailure" => CloudErrorKind::Denied,
        "NotFoundException" | "ResourceNotFoundException" | "InvalidArnException" => {
            CloudErrorKind::NotFound
        }
        "InvalidKeyUsageException" | "UnsupportedOperationException" => CloudErrorKind::Unsupported,
        "ThrottlingException"
        | "KeyUnavailableException"
        | "DependencyTimeoutException"
        | "KMSInternalException"
        | "InternalServiceError"
        | "ServerException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "LimitExceededException"
        | "RequestExpired" => CloudErrorKind::Unreachable,
        _ => CloudErrorKind::Invalid,
    }
}

fn kind_of_status(status: u16) -> CloudErrorKind {
    match status {
        401 | 403 | 407 => CloudErrorKind::Denied,
        404 => CloudErrorKind::NotFound,
        429 | 500.. => CloudErrorKind::Unreachable,
        _ => CloudErrorKind::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_means() {
        let table = [
            ("AccessDeniedException", CloudErrorKind::Denied),
            ("UnrecognizedClientException", CloudErrorKind::Denied),
            ("NotFoundException", CloudErrorKind::NotFound),
            ("ThrottlingException", CloudErrorKind::Unreachable),
            ("InvalidKeyUsageException", CloudErrorKind::Unsupported),
            ("DisabledException", CloudErrorKind::Invalid),
        ];
        for (code, kind) in table {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }
}
