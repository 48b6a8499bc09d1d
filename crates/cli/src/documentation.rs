//! Holds `docs/commands.md` and `docs/exit-codes.md` to what the program says of itself.

use std::path::PathBuf;

use clap::Command;
use report::ExitStatus;

use crate::help;

/// The text of `docs/commands.md`.
fn commands() -> String {
    let mut root = help::command().term_width(100);
    root.build();
    let mut text = String::from(
        "# Commands\n\n\
         What `image-syncer --help` and `image-syncer COMMAND --help` say, in one place. A test holds\n\
         this page to the program; `UPDATE_DOCS=1 cargo test -p image-syncer documentation` writes it\n\
         anew. The [exit codes](exit-codes.md) have a page of their own.\n",
    );
    section(&mut text, &mut root, 2);
    let names: Vec<String> =
        root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        if let Some(command) = root.find_subcommand_mut(&name).filter(|_| name != "help") {
            section(&mut text, command, 2);
            let nested = command.get_subcommands_mut();
            nested.filter(|nested| nested.get_name() != "help").for_each(|nested| {
                section(&mut text, nested, 3);
            });
        }
    }
    text
}

fn section(text: &mut String, command: &mut Command, level: usize) {
    let title = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n{} {title}\n\n```text\n", "#".repeat(level)));
    text.push_str(help.join("\n").trim_end());
    text.push_str("\n```\n");
}

fn document(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "docs", name].iter().collect()
}

#[test]
fn the_command_reference_is_what_the_program_says() {
    let file = document("commands.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, commands()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written == commands(),
        "docs/commands.md is not what the program says; UPDATE_DOCS=1 writes it anew"
    );
}

#[test]
fn the_page_of_exit_codes_has_every_code_and_no_other() {
    let page = std::fs::read_to_string(document("exit-codes.md")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| {
            line.starts_with("| ") && line.as_bytes().get(2).is_some_and(u8::is_ascii_digit)
        })
        .collect();
    let expected: Vec<String> = ExitStatus::ALL
        .into_iter()
        .map(|status| format!("| {} | {} |", status.code(), status.meaning()))
        .collect();
    assert_eq!(rows, expected);
}

/// The text of every Rust file below a folder, but for what was built.
fn sources(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_quirk_has_tests_that_exist() {
    let page = std::fs::read_to_string(document("registries.md")).unwrap();
    let (_, table) = page.split_once("## Quirks").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| #"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<String> = rows.iter().map(|row| row[1].to_owned()).collect();
    assert_eq!(numbers, (1..=37).map(|number| number.to_string()).collect::<Vec<_>>());
    let mut text = String::new();
    for folder in ["crates", "tests"] {
        sources(&document("..").join(folder), &mut text);
    }
    for row in rows {
        let tests = quoted(row[5]);
        assert!(!tests.is_empty(), "quirk {} has no test", row[1]);
        for test in tests {
            assert!(text.contains(&format!("fn {test}(")), "quirk {}: {test} is gone", row[1]);
        }
    }
}

#[test]
fn every_kind_of_registry_is_on_the_page() {
    let page = std::fs::read_to_string(document("registries.md")).unwrap();
    for kind in oci::RegistryKind::ALL {
        assert!(page.contains(&format!("\n| `{kind}` |")), "{kind}");
    }
}
