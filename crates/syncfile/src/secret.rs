//! [`Secret`]: a password, a token or a user name, or where to find it.

use std::path::PathBuf;
use std::str::FromStr;
use std::{fmt, io};

use secrecy::{ExposeSecret, SecretString};

use crate::diagnostic::Code;
use crate::mapping::Mapping;
use crate::reader::{Field, Reader};
use crate::yaml::Content;

/// A text that is not shown, or where it is to be read from.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The text itself.
    Literal(SecretString),
    /// The environment variable that holds it.
    Environment(String),
    /// The file that holds it, as seen from the working directory.
    File(PathBuf),
    /// The secret of AWS Secrets Manager that holds it.
    Aws(AwsSecret),
}

/// A secret of AWS Secrets Manager, whole or one value of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AwsSecret {
    /// Its ARN.
    pub arn: String,
    /// The region in the ARN.
    pub region: String,
    /// The key of a secret that is a JSON object; without, the secret is the whole text.
    pub key: Option<String>,
    /// The version, a staging label or an id; without, the current one.
    pub version: Option<String>,
}

impl FromStr for AwsSecret {
    type Err = &'static str;

    /// Reads `ARN`, `ARN#KEY` or `ARN#KEY#VERSION`, as argocd-vault-plugin has it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('#');
        let whole = parts.next().unwrap_or_default();
        let part = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(str::to_owned);
        let (key, version) = (part(parts.next()), part(parts.next()));
        if parts.next().is_some() {
            return Err("it has more than a key and a version after the ARN");
        }
        let found = arn(whole, "secretsmanager")
            .filter(|found| !found.region.is_empty() && found.resource.starts_with("secret:"));
        match found {
            Some(found) => {
                Ok(Self { arn: whole.to_owned(), region: found.region.to_owned(), key, version })
            }
            None => Err("it is no ARN of a secret"),
        }
    }
}

/// The parts of an ARN that matter here.
pub(crate) struct Arn<'a> {
    pub(crate) region: &'a str,
    pub(crate) resource: &'a str,
}

/// Reads `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE` of this service, with an account.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
pub(crate) fn arn<'a>(text: &'a str, service: &str) -> Option<Arn<'a>> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next();
    let (word, partition, named) = (next()?, next()?, next()?);
    let (region, account, resource) = (next()?, next()?, next()?);
    let is_right = word == "arn"
        && partition.starts_with("aws")
        && named == service
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !resource.chars().any(|c| c.is_whitespace() || c.is_control());
    is_right.then_some(Arn { region, resource })
}

/// A secret that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or empty.
    #[error(
        "the environment variable {0} is not set; set it, or change the sync file's `env: {0}`"
    )]
    NotSet(String),
    /// The file cannot be read.
    #[error("cannot read the secret in {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Secret {
    /// Reads the secret, or none where somebody has to be asked for it; `variable` looks up an environment
    /// variable. Line breaks at the end of a file or a variable are not part of it.
    ///
    /// # Errors
    /// [`SecretError`], where the variable is not set or the file cannot be read.
    pub fn read(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<SecretString>, SecretError> {
        let text = match self {
            Self::Aws(_) => return Ok(None),
            Self::Literal(secret) => return Ok(Some(secret.clone())),
            Self::Environment(name) => variable(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| SecretError::NotSet(name.clone()))?,
            Self::File(file) => std::fs::read_to_string(file)
                .map_err(|source| SecretError::Unreadable { file: file.clone(), source })?,
        };
        Ok(Some(SecretString::from(text.trim_end_matches(['\r', '\n']))))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(a), Self::Literal(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Environment(a), Self::Environment(b)) => a == b,
            (Self::File(a), Self::File(b)) => a == b,
            (Self::Aws(a), Self::Aws(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("***"),
            Self::Environment(name) => write!(f, "${name}"),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Aws(secret) => f.write_str(&secret.arn),
        }
    }
}

/// The key of a header whose value need not be secret.
pub(crate) const HEADER: &str = "header";

/// Reads `STRING`, `{ env: NAME }`, `{ file: PATH }` or `{ awsSecret: ARN#KEY }`.
pub(crate) fn read(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Secret> {
    match &field.node.content {
        Content::Scalar { .. } => {
            let text = reader.text(field)?;
            if !["username", "accessKeyId", HEADER].contains(&field.key) {
                let message = format!("`{}` is in the file itself", field.key);
                reader.push(
                    reader
                        .warning(Code::SecretInFile, field.key_span, message)
                        .help("keep it elsewhere and write `{ env: NAME }` or `{ file: PATH }`"),
                );
            }
            Some(Secret::Literal(SecretString::from(text.value)))
        }
        Content::Mapping(_) => {
            let mut keys = Mapping::open(reader, field.node, "a secret")?;
            let span = keys.span();
            let (env, file, aws) = (keys.get("env"), keys.get("file"), keys.get("awsSecret"));
            let complete = keys.close(reader);
            match (env, file, aws) {
                (Some(env), None, None) => {
                    reader.text(env).map(|name| Secret::Environment(name.value))
                }
                (None, Some(file), None) => {
                    let path = reader.text(file)?;
                    Some(Secret::File(reader.text.resolve(path.value.as_ref())))
                }
                (None, None, Some(aws)) => aws_secret(reader, aws),
                (Some(_), Some(second), _)
                | (_, Some(_), Some(second))
                | (Some(_), _, Some(second)) => {
                    let message = "a secret is read from one place";
                    reader.push(reader.error(Code::ConflictingKeys, second.key_span, message));
                    None
                }
                (None, None, None) if !complete => None,
                (None, None, None) => {
                    let message = format!("`{}` says nothing about where to read it", field.key);
                    reader.push(
                        reader
                            .error(Code::MissingKey, span, message)
                            .help("write `{ env: NAME }` or `{ file: PATH }`"),
                    );
                    None
                }
            }
        }
        Content::List(_) => {
            reader.wrong_type(field, "a string, `{ env: NAME }` or `{ file: PATH }`")
        }
    }
}

fn aws_secret(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Secret> {
    let text = reader.text(field)?;
    match text.value.parse() {
        Ok(secret) => Some(Secret::Aws(secret)),
        Err(problem) => {
            let message = format!("`awsSecret` names no secret: {problem}");
            let error = reader.error(Code::InvalidArn, text.span, message);
            reader.push(error.help(
                "write `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`, and after it, if the secret is \
                 a JSON object, `#KEY`, and `#VERSION`",
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_where_it_is_without_the_line_break_at_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2 \r\n\n").expect("a file");
        let variable = |name: &str| match name {
            "SET" => Some("hunter2\n".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let read = |secret: Secret| {
            secret.read(variable).map(|it| it.expect("it is here").expose_secret().to_owned())
        };
        assert_eq!(read(Secret::Literal("hunter2\n".into())).expect("itself"), "hunter2\n");
        assert_eq!(read(Secret::Environment("SET".into())).expect("set"), "hunter2");
        assert_eq!(read(Secret::File(file)).expect("a file"), "hunter2 ");
        for name in ["EMPTY", "NONE"] {
            let error = read(Secret::Environment(name.into())).expect_err(name);
            assert!(matches!(error, SecretError::NotSet(_)), "{error}");
        }
        let error = read(Secret::File(folder.path().join("none"))).expect_err("no file");
        assert!(matches!(error, SecretError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn a_secret_of_aws_is_written_as_argocd_vault_plugin_has_it() {
        let arn =
            "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:team/registry-AbCdEf";
        let read = |end: &str| {
            let secret: AwsSecret = format!("{arn}{end}").parse()?;
            assert_eq!((secret.arn.as_str(), secret.region.as_str()), (arn, "us-gov-west-1"));
            Ok::<_, &str>((secret.key, secret.version))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(""), Ok((None, None)));
        assert_eq!(read("#password"), Ok((some("password"), None)));
        assert_eq!(read("#password#AWSPREVIOUS"), Ok((some("password"), some("AWSPREVIOUS"))));
        assert_eq!(read("##AWSPREVIOUS"), Ok((None, some("AWSPREVIOUS"))));
        assert!(read("#a#b#c").is_err());
        let wrong = [
            "",
            "registry",
            "arn:aws:secretsmanager:eu-west-1:111122223333:registry",
            "arn:aws:secretsmanager::111122223333:secret:registry",
            "arn:aws:secretsmanager:eu-west-1:1:secret:registry",
            "arn:aws:ssm:eu-west-1:111122223333:secret:registry",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a b",
        ];
        for text in wrong {
            assert!(text.parse::<AwsSecret>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::Literal("hunter2".into());
        assert_eq!(secret.to_string(), "***");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
