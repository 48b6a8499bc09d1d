//! One file per command, and the way from what was typed to the one that is meant.

mod apply;
mod audit;
mod check;
mod completions;
mod convert;
mod copy;
mod doctor;
mod lock;
mod man;
mod plan;
mod reports;
mod schema;
mod serve;
mod signature;
mod sync;
mod tags;
mod verify;
mod watch;

use std::ffi::OsString;
use std::sync::OnceLock;

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use report::{ExitStatus, Metrics};
use tokio::runtime::Runtime;

use crate::arguments::{Arguments, Command};
use crate::environment::{Environment, boolean};
use crate::error::CliError;
use crate::help;
use crate::run::Context;
use crate::terminal::Terminal;

/// Does what was typed, tells what went wrong, and returns what the process ends with.
pub(crate) fn main(
    typed: impl Iterator<Item = OsString>,
    environment: &Environment,
    terminal: &Terminal,
) -> ExitStatus {
    let typed: Vec<OsString> = typed.collect();
    let arguments = match parse(&typed) {
        Ok(arguments) => arguments,
        Err(Refused::ByClap(error)) => return shown_by_clap(&error),
        Err(Refused::ByUs(error)) => return failed(&error, terminal),
    };
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), signing::is_fips());
    let (logging, telemetry) = (&arguments.logging, OnceLock::new());
    let context = Context { environment, terminal, logging, metrics, telemetry };
    let done = match &arguments.command {
        None => block_on(sync::execute(&arguments.sync, &context)),
        Some(Command::Sync(typed)) => block_on(sync::execute(typed, &context)),
        Some(Command::Plan(typed)) => block_on(plan::execute(typed, &context)),
        Some(Command::Apply(typed)) => block_on(apply::execute(typed, &context)),
        Some(Command::Lock(typed)) => block_on(lock::execute(typed, &context)),
        Some(Command::Verify(typed)) => block_on(verify::execute(typed, &context)),
        Some(Command::Copy(typed)) => block_on(copy::execute(typed, &context)),
        Some(Command::Doctor(typed)) => block_on(doctor::execute(typed, &context)),
        Some(Command::Tags(typed)) => block_on(tags::execute(typed, &context)),
        Some(Command::Sign(typed)) => block_on(signature::sign(typed, &context)),
        Some(Command::VerifySignature(typed)) => block_on(signature::verify(typed, &context)),
        Some(Command::Audit(typed)) => block_on(audit::execute(typed, &context)),
        Some(Command::Watch(typed)) => block_on(watch::execute(typed, &context)),
        Some(Command::Serve(typed)) => block_on(serve::execute(typed, &context)),
        Some(Command::Check(typed)) => check::execute(typed, &context),
        Some(Command::Convert(typed)) => convert::execute(typed, &context),
        Some(Command::Report(typed)) => reports::execute(typed, &context),
        Some(Command::Schema(typed)) => schema::execute(typed, &context),
        Some(Command::Completions(typed)) => completions::execute(typed, &context),
        Some(Command::Man(typed)) => man::execute(typed, &context),
    };
    if let Some(telemetry) = context.telemetry.get() {
        telemetry.end();
    }
    done.unwrap_or_else(|error| failed(&error, terminal))
}

fn failed(error: &CliError, terminal: &Terminal) -> ExitStatus {
    terminal.message(&error.render(|word| terminal.painted(word)));
    error.status()
}

/// Help and version go to standard output and are a success; a reader that went away had enough.
fn shown_by_clap(error: &clap::Error) -> ExitStatus {
    let _reader_went_away = error.print();
    if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Success }
}

fn block_on(
    work: impl Future<Output = Result<ExitStatus, CliError>>,
) -> Result<ExitStatus, CliError> {
    let runtime = Runtime::new()
        .map_err(|error| CliError::failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(work)
}

enum Refused {
    ByClap(clap::Error),
    ByUs(CliError),
}

fn parse(typed: &[OsString]) -> Result<Arguments, Refused> {
    let matches =
        help::command().try_get_matches_from(typed).map_err(|error| {
            match stray_boolean(typed) {
                Some(error) => Refused::ByUs(error),
                None => Refused::ByClap(error),
            }
        })?;
    if let Some(error) = misplaced(&matches) {
        return Err(Refused::ByUs(error));
    }
    Arguments::from_arg_matches(&matches).map_err(Refused::ByClap)
}

/// `--dry-run false` was read by kyma's image-syncer as a dry run and a word to ignore, and looks
/// like the opposite. It is refused, with what was probably meant.
fn stray_boolean(typed: &[OsString]) -> Option<CliError> {
    let mut words = typed.iter().map(|word| word.to_str()).peekable();
    while let Some(word) = words.next() {
        let flag = word.filter(|word| {
            [
                "--dry-run",
                "--debug",
                "--fail-fast",
                "--push",
                "--verbose",
                "--allow-empty",
                "--no-lock",
                "--check",
            ]
            .contains(word)
        });
        let value = words.peek().copied().flatten().filter(|value| boolean(value).is_ok());
        if let (Some(flag), Some(value)) = (flag, value) {
            return Some(
                CliError::usage(format!(
                    "`{flag} {value}` is ambiguous: `{flag}` alone turns it on, and `{value}` is \
                     a word of its own"
                ))
                .hint(format!("write `{flag}={value}`")),
            );
        }
    }
    None
}

/// Flags of `sync` before another command would be dropped in silence.
fn misplaced(matches: &ArgMatches) -> Option<CliError> {
    let (command, _) = matches.subcommand()?;
    let root = help::command();
    let flag = root
        .get_arguments()
        .filter(|arg| !arg.is_global_set())
        .filter(|arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine))
        .find_map(|arg| arg.get_long())?;
    let name = root.get_name();
    Some(
        CliError::usage(format!("`--{flag}` stands before the command `{command}`"))
            .hint(format!("write it after the command: `{name} {command} --{flag} …`")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(typed: &[&str]) -> String {
        let typed: Vec<OsString> =
            ["image-syncer"].iter().chain(typed).map(OsString::from).collect();
        match parse(&typed) {
            Ok(_) => "accepted".to_owned(),
            Err(Refused::ByClap(error)) => error.kind().to_string(),
            Err(Refused::ByUs(error)) => error.message().to_owned(),
        }
    }

    #[test]
    fn flags_work_with_and_without_the_word_sync() {
        for typed in [
            &["-i", "a.yaml"][..],
            &["sync", "-i", "a.yaml"],
            &["--images-file=a.yaml", "--dry-run", "--debug"],
            &["--debug", "sync", "-i", "a.yaml", "--dry-run=false"],
            &["sync", "--debug=true", "--dry-run=T", "-i", "a.yaml", "-i", "b.yaml"],
            &["--log-level", "WARNING", "plan", "-i", "a.yaml"],
            &["-ia.yaml", "-ra.io/m/", "-tkey", "-atoken", "-v"],
        ] {
            assert_eq!(refused(typed), "accepted", "{typed:?}");
        }
    }

    #[test]
    fn a_boolean_after_a_space_is_refused() {
        for typed in [
            &["--dry-run", "false", "-i", "a.yaml"][..],
            &["-i", "a.yaml", "--dry-run", "true"],
            &["sync", "-i", "a.yaml", "--debug", "0"],
        ] {
            assert!(refused(typed).contains("is ambiguous"), "{typed:?}");
        }
    }

    #[test]
    fn flags_of_sync_do_not_stand_before_other_commands() {
        let message = refused(&["-i", "a.yaml", "plan"]);
        assert_eq!(message, "`--images-file` stands before the command `plan`");
        let message = refused(&["--dry-run", "sync", "-i", "a.yaml"]);
        assert_eq!(message, "`--dry-run` stands before the command `sync`");
    }
}
