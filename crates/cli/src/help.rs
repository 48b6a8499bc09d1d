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
        let with_suffix = |text: &StyledStr| format!("{text} {suffix}");
        match arg.get_help().map(with_suffix) {
            Some(help) => arg.help(help),
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
