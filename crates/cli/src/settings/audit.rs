//! [`AuditSettings`]: where the audit log is kept, who signs its head, and where it is pushed.

use std::path::PathBuf;

use oci::{Location, Reference};
use signing::KeyReference;

use super::key_reference;
use crate::arguments::AuditArguments;
use crate::environment::{self, Environment};
use crate::error::CliError;

/// What is kept of acts.
#[derive(Debug, Default)]
pub(crate) struct AuditSettings {
    /// The log; none where none is kept.
    pub(crate) log: Option<PathBuf>,
    /// The key that signs its head.
    pub(crate) key: Option<KeyReference>,
    /// The repository that it is pushed to.
    pub(crate) push: Option<Location>,
}

impl AuditSettings {
    pub(crate) fn new(typed: &AuditArguments, environment: &Environment) -> Result<Self, CliError> {
        let log = match &typed.audit_log {
            Some(file) => Some(file.clone()),
            None => environment.os_text(environment::AUDIT_LOG).map(|found| found.value.into()),
        };
        let text = |typed: &Option<String>, variable| match typed {
            Some(typed) => Ok(Some(typed.clone())),
            None => Ok::<_, CliError>(environment.text(variable)?.map(|found| found.value)),
        };
        let key = text(&typed.audit_key, environment::AUDIT_KEY)?;
        let key = key.map(|key| {
            key_reference(&key).map_err(|error| CliError::usage(format!("--audit-key: {error}")))
        });
        let push = text(&typed.audit_push, environment::AUDIT_PUSH)?;
        let push = push.map(|text| repository(&text)).transpose()?;
        let settings = Self { log, key: key.transpose()?, push };
        if settings.log.is_none() && (settings.key.is_some() || settings.push.is_some()) {
            return Err(CliError::usage("there is no audit log to sign or to push")
                .hint("name one with --audit-log"));
        }
        Ok(settings)
    }
}

/// Reads the name of a repository.
fn repository(text: &str) -> Result<Location, CliError> {
    let invalid = |problem: String| CliError::usage(format!("--audit-push: {problem}"));
    let reference: Reference =
        text.parse().map_err(|error: oci::InvalidName| invalid(error.to_string()))?;
    match (reference.tag, reference.digest, reference.location) {
        (None, None, location @ (Location::Registry { .. } | Location::Layout(_))) => Ok(location),
        (None, None, _) => Err(invalid(format!("`{text}` is neither a registry nor a folder"))),
        _ => Err(invalid(format!("`{text}` has a tag or a digest"))
            .hint("name the repository alone: each run has a tag of its own there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_signed_and_pushed_only_where_there_is_one() {
        let read = |log: Option<&str>, key: Option<&str>, push: Option<&str>| {
            let typed = AuditArguments {
                audit_log: log.map(PathBuf::from),
                audit_key: key.map(str::to_owned),
                audit_push: push.map(str::to_owned),
            };
            AuditSettings::new(&typed, &Environment::default())
        };
        let all = read(Some("a"), Some("k.key"), Some("r.example/team/audit")).unwrap();
        assert_eq!(all.push.unwrap().to_string(), "r.example/team/audit");
        assert!(read(None, None, None).unwrap().log.is_none());
        for (log, key, push) in [
            (None, Some("k.key"), None),
            (None, None, Some("r.example/audit")),
            (Some("a"), None, Some("r.example/audit:1")),
            (Some("a"), None, Some("oci-archive:a.tar")),
            (Some("a"), Some(" "), None),
        ] {
            assert!(read(log, key, push).is_err(), "{log:?} {key:?} {push:?}");
        }
    }
}
