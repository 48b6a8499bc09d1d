//! Which lock files a command goes by.

use std::path::PathBuf;

use super::flag;
use crate::arguments::LockFileArguments;
use crate::environment::{self, Environment};
use crate::error::CliError;

/// Which lock files a command goes by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum LockChoice {
    /// The one beside each sync file, where there is one.
    Beside,
    /// This one, for all sync files.
    File(PathBuf),
    /// None.
    None,
}

pub(super) fn choice(
    typed: &LockFileArguments,
    environment: &Environment,
) -> Result<LockChoice, CliError> {
    let no_lock = flag(typed.no_lock, environment, environment::NO_LOCK)?;
    let of_variable =
        || environment.os_text(environment::LOCK_FILE).map(|found| found.value.into());
    match (no_lock, typed.lock_file.clone()) {
        (true, Some(_)) => Err(CliError::usage("--lock-file and --no-lock were both given")
            .hint("leave one of them out")),
        (true, None) => Ok(LockChoice::None),
        (false, typed) => {
            Ok(typed.or_else(of_variable).map_or(LockChoice::Beside, LockChoice::File))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_goes_before_the_variable() {
        let environment: Environment = [("SYNCER_LOCK_FILE", "v.lock")].into_iter().collect();
        let choice = |file: Option<&str>, no_lock| {
            let typed = LockFileArguments { lock_file: file.map(PathBuf::from), no_lock };
            super::choice(&typed, &environment)
        };
        assert_eq!(choice(None, None).unwrap(), LockChoice::File("v.lock".into()));
        assert_eq!(choice(Some("t.lock"), None).unwrap(), LockChoice::File("t.lock".into()));
        assert_eq!(choice(None, Some(true)).unwrap(), LockChoice::None);
        assert!(choice(Some("t.lock"), Some(true)).is_err());
        let typed = LockFileArguments::default();
        assert_eq!(super::choice(&typed, &Environment::default()).unwrap(), LockChoice::Beside);
    }
}
