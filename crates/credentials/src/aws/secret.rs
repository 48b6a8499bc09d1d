//! [`SecretReference`]: a secret of AWS Secrets Manager, whole or one value of it.

use std::fmt;

use aws_sdk_secretsmanager::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Identity, failure};
use crate::cloud::{CloudError, CloudErrorKind};

const SERVICE: &str = "AWS Secrets Manager";

/// Where a secret is in AWS Secrets Manager.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SecretReference {
    /// The secret's ARN.
    pub arn: String,
    /// The region in it; a secret is nowhere else.
    pub region: String,
    /// The key of a secret that is a JSON object; without, the secret is the whole text.
    pub key: Option<String>,
    /// Which version: a staging label such as `AWSPREVIOUS`, or a version's id; without, the current one.
    pub version: Option<String>,
}

impl SecretReference {
    /// The secret's text. The whole of it is read, whatever the key.
    pub(crate) async fn read(&self, identity: &Identity) -> Result<SecretString, CloudError> {
        let config = identity.config(Some(&self.region), false).await?;
        let mut request = Client::new(&config).get_secret_value().secret_id(&self.arn);
        if let Some(version) = &self.version {
            request = match is_id(version) {
                true => request.version_id(version),
                false => request.version_stage(version),
            };
        }
        let what = format!("when asked for `{}`", self.arn);
        let answer = request.send().await;
        let answer = answer
            .map_err(|error| failure(SERVICE, &error, &what, "secretsmanager:GetSecretValue"))?;
        let text = answer.secret_string.map(SecretString::from).ok_or_else(|| {
            invalid(format!("the secret `{}` is not text", self.arn))
                .with_hint("store it as text, or as a JSON object")
        })?;
        match &self.key {
            None => Ok(text),
            Some(key) => self.value_of(key, &text),
        }
    }

    fn value_of(&self, key: &str, text: &SecretString) -> Result<SecretString, CloudError> {
        // serde's errors quote what they read.
        let object: Value = serde_json::from_str(text.expose_secret()).map_err(|_| {
            invalid(format!("the secret `{}` is no JSON object, so it has no `{key}`", self.arn))
                .with_hint("leave `#KEY` out to use the whole text")
        })?;
        match object.get(key) {
            Some(Value::String(value)) => Ok(SecretString::from(value.as_str())),
            Some(Value::Number(value)) => Ok(SecretString::from(value.to_string())),
            Some(_) => Err(invalid(format!("`{key}` of the secret `{}` is no text", self.arn))),
            None => Err(invalid(format!("the secret `{}` has no key `{key}`", self.arn))
                .with_hint("write the key as it is in the secret, after `#`")),
        }
    }
}

/// Whether a version is written as an id, which AWS makes as a UUID, and not as a staging label.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
fn is_id(version: &str) -> bool {
    version.len() >= 32 && version.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// As it is written in a sync file.
impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)?;
        for part in [&self.key, &self.version].into_iter().flatten() {
            write!(f, "#{part}")?;
        }
        Ok(())
    }
}

fn invalid(message: String) -> CloudError {
    CloudError::new(CloudErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference() -> SecretReference {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:registry-AbCdEf";
        let region = "eu-west-1".into();
        SecretReference { arn: arn.into(), region, key: None, version: None }
    }

    #[test]
    fn a_value_is_read_by_its_key_and_no_error_quotes_the_secret() {
        let value = |text: &str| {
            let value = reference().value_of("password", &SecretString::from(text));
            value.map(|value| value.expose_secret().to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(value(r#"{"user":"u","password":"p"}"#).unwrap(), "p");
        assert_eq!(value(r#"{"password":1234}"#).unwrap(), "1234");
        let table = [
            ("hunter2", "is no JSON object"),
            (r#"["hunter2"]"#, "has no key `password`"),
            (r#"{"other":"hunter2"}"#, "has no key `password`"),
            (r#"{"password":{"x":"hunter2"}}"#, "is no text"),
        ];
        for (text, expected) in table {
            let error = value(text).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn a_version_is_a_label_or_an_id() {
        assert!(is_id(
            "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111".replace("EXAMPLE", "0000000").as_str()
        ));
        for label in ["AWSCURRENT", "AWSPREVIOUS", "AWSPENDING", "blue", ""] {
            assert!(!is_id(label), "{label}");
        }
    }
}
