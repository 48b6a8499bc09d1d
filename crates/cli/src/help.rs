//! The command line as clap knows it, with what the types cannot say: each flag's variable, and the
//! exit codes.

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};
use report::ExitStatus;

use crate::arguments::Arguments;
use crate::environment::VARIABLES;

/// The whole command line.
pub(crate) fn command() -> Command {
    let root = with_variables(Arguments::command()).mut_subcommands(|command| {
        let command = without_file(command);
        with_variables(command).mut_subcommands(|command| with_exit_codes(with_variables(command)))
    });
    with_exit_codes(root).mut_subcommands(|command| match command.get_name() {
        "sync" | "plan" | "watch" | "verify" | "copy" | "doctor" | "tags" | "sign"
        | "verify-signature" => with_exit_codes(command),
        _ => command,
    })
}

fn with_variables(command: Command) -> Command {
    command.mut_args(|arg| {
        let Some(suffix) = variable_of(&arg) else { return arg };
        let with_suffix = |text: &StyledStr| {
            let text = text.to_string();
            // Beside the default, which stands in the first paragraph.
            match text.split_once("\n\n") {
                Some((first, rest)) => format!("{first} {suffix}\n\n{rest}"),
                None => format!("{text} {suffix}"),
            }
        };
        let (help, long_help) =
            (arg.get_help().map(with_suffix), arg.get_long_help().map(with_suffix));
        let arg = match help {
            Some(help) => arg.help(help),
            None => arg,
        };
        match long_help {
            Some(long_help) => arg.long_help(long_help),
            None => arg,
        }
    })
}

/// What flags mean to the commands that sign without a sync file: each flag, its help, and what the long help
/// has besides.
const WITHOUT_FILE: [(&str, &str, Option<&str>); 8] = [
    (
        "kms-key",
        "Sign with this key: `awskms://…`, `gcpkms://…`, `azurekms://…`, `hashivault://…`, `env://NAME`, \
         or a file",
        Some("Keys are named as cosign does it. `copy` signs where it is given a key."),
    ),
    (
        "former-key",
        "Count signatures by this key as ours, and sign anew what has no other; repeatable",
        Some(
            "For after the signing key was changed: a file with the former public key, or a key in a key \
             service.",
        ),
    ),
    ("sign", "Sign the copy [default: where there is a key]", None),
    ("signature-format", "How signatures are written [default: legacy]", None),
    ("sign-recursively", "Sign the children of an index too", None),
    ("attest", "Write a signed statement about the mirroring beside each signature", None),
    (
        "rekor-url",
        "Write every signature into this transparency log first, a Rekor; what it learns is public",
        None,
    ),
    (
        "rekor-key",
        "Believe the log by this public key, or by a trusted root [default: SIGSTORE_REKOR_PUBLIC_KEY]",
        None,
    ),
];

fn without_file(command: Command) -> Command {
    if !["copy", "sign"].contains(&command.get_name()) {
        return command;
    }
    command.mut_args(|arg| {
        let own = WITHOUT_FILE.iter().find(|(flag, ..)| arg.get_long() == Some(flag));
        match own {
            Some((_, help, Some(besides))) => {
                arg.help(*help).long_help(format!("{help}\n\n{besides}"))
            }
            Some((_, help, None)) => arg.help(*help),
            None => arg,
        }
    })
}

fn with_exit_codes(command: Command) -> Command {
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    command.after_long_help(format!("{examples}\n\n{}", exit_codes()))
}

/// Such as `[env: SYNCER_DRY_RUN, DRY_RUN]`.
fn variable_of(arg: &Arg) -> Option<String> {
    let flag = arg.get_long()?;
    let variable = VARIABLES.iter().find(|variable| variable.flag == flag)?;
    let old_name = variable.old_name.map(|name| format!(", {name}")).unwrap_or_default();
    Some(format!("[env: {}{old_name}]", variable.name))
}

fn exit_codes() -> String {
    let lines: Vec<String> = ExitStatus::ALL
        .into_iter()
        .map(|status| format!("  {:<4} {}", status.code(), status.meaning()))
        .collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn help_names_the_variable_short_and_long() {
        let mut root = command();
        root.build();
        for command in root.get_subcommands() {
            for arg in command.get_arguments().filter(|arg| variable_of(arg).is_some()) {
                let variable = variable_of(arg).unwrap();
                for help in [arg.get_help(), arg.get_long_help()].into_iter().flatten() {
                    let found = help.to_string().matches(&variable).count();
                    assert_eq!(found, 1, "{} {}: {help}", command.get_name(), arg.get_id());
                }
            }
        }
    }

    #[test]
    fn nothing_is_taken_from_a_file_that_is_not_there() {
        let root = command();
        for name in ["copy", "sign"] {
            let command = root.find_subcommand(name).unwrap();
            for arg in command.get_arguments() {
                for help in [arg.get_help(), arg.get_long_help()].into_iter().flatten() {
                    assert!(!help.to_string().contains("of the sync file"), "{name}: {help}");
                }
            }
        }
    }

    #[test]
    fn every_flag_has_a_variable_and_every_variable_a_flag() {
        let mut flags: Vec<String> = Vec::new();
        let root = command();
        let nested = root.get_subcommands().flat_map(Command::get_subcommands);
        for command in root.get_subcommands().chain(nested).chain([&root]) {
            for arg in command.get_arguments() {
                let Some(flag) = arg.get_long().filter(|flag| !["help", "version"].contains(flag))
                else {
                    continue;
                };
                assert!(VARIABLES.iter().any(|one| one.flag == flag), "--{flag} has no variable");
                flags.push(flag.to_owned());
            }
        }
        for variable in VARIABLES {
            assert!(flags.iter().any(|flag| flag == variable.flag), "{}", variable.name);
        }
    }
}
