//! [`Secret`]: a password, a token or a user name, or where to find it.

use std::path::PathBuf;
use std::{fmt, io};

use secrecy::{ExposeSecret, SecretString};

use crate::diagnostic::Code;
use crate::reader::{Field, Mapping, Reader};
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
    /// Reads the secret; `variable` looks up an environment variable. Line breaks at the end of a
    /// file or a variable are not part of it.
    ///
    /// # Errors
    /// [`SecretError`], where the variable is not set or the file cannot be read.
    pub fn read(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<SecretString, SecretError> {
        let text = match self {
            Self::Literal(secret) => return Ok(secret.clone()),
            Self::Environment(name) => variable(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| SecretError::NotSet(name.clone()))?,
            Self::File(file) => std::fs::read_to_string(file)
                .map_err(|source| SecretError::Unreadable { file: file.clone(), source })?,
        };
        Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(a), Self::Literal(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Environment(a), Self::Environment(b)) => a == b,
            (Self::File(a), Self::File(b)) => a == b,
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
        }
    }
}

/// Reads `STRING`, `{ env: NAME }` or `{ file: PATH }`.
pub(crate) fn read(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Secret> {
    match &field.node.content {
        Content::Scalar { .. } => {
            let text = reader.text(field)?;
            if field.key != "username" {
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
            let (env, file) = (keys.get("env"), keys.get("file"));
            let complete = keys.close(reader);
            match (env, file) {
                (Some(env), None) => reader.text(env).map(|name| Secret::Environment(name.value)),
                (None, Some(file)) => {
                    let path = reader.text(file)?;
                    Some(Secret::File(reader.text.resolve(path.value.as_ref())))
                }
                (Some(_), Some(file)) => {
                    let message = "a secret is read from `env` or from `file`, not from both";
                    reader.push(reader.error(Code::ConflictingKeys, file.key_span, message));
                    None
                }
                (None, None) if !complete => None,
                (None, None) => {
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
        let read = |secret: Secret| secret.read(variable).map(|it| it.expose_secret().to_owned());
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
    fn a_secret_is_not_shown() {
        let secret = Secret::Literal("hunter2".into());
        assert_eq!(secret.to_string(), "***");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
