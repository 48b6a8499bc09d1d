//! The guides in `docs/deploy` and `docs/migrating`: their commands, run in the order of the page over the files
//! that the page shows.
//!
//! A YAML block whose first line is a comment with a file's name is that file. Of the shell blocks, what needs no
//! cluster and no account is run: helm, and those commands of image-syncer that ask no registry.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};

use interop::Workbench;

const TOOLS: [&str; 2] = ["bash", "helm"];
/// How lines begin that are run.
const RUN: [&str; 4] =
    ["helm template ", "helm lint ", "image-syncer check ", "image-syncer convert "];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The blocks of a page: what they are, and their text without its indentation.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.trim_start().strip_prefix("```").filter(|kind| !kind.is_empty())
        else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let text: String =
            inside.map(|line| format!("{}\n", line.get(indent..).unwrap_or(""))).collect();
        found.push((kind.to_owned(), text));
    }
    found
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn every_command_that_needs_nobody_else_works() {
    let Some(bench) = Workbench::with_image_syncer("delivery docs", &TOOLS) else { return };
    let mut ran = 0;
    for folder in ["docs/deploy", "docs/migrating"] {
        for page in std::fs::read_dir(project().join(folder)).unwrap() {
            let page = page.unwrap().path();
            let work = bench.folder().join(page.file_stem().unwrap());
            std::fs::create_dir(&work).unwrap();
            std::os::unix::fs::symlink(project().join("deploy"), work.join("deploy")).unwrap();
            for (kind, text) in blocks(&std::fs::read_to_string(&page).unwrap()) {
                let (first, rest) = text.split_once('\n').unwrap_or_default();
                let name = first.strip_prefix("# ").filter(|name| {
                    kind == "yaml" && (name.ends_with(".yaml") || name.ends_with(".yml"))
                });
                if let Some(name) = name {
                    let file = work.join(name);
                    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                    std::fs::write(file, rest).unwrap();
                }
                if kind != "sh" {
                    continue;
                }
                for line in
                    text.lines().filter(|line| RUN.iter().any(|start| line.starts_with(start)))
                {
                    let binary = bench.binary().parent().unwrap();
                    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
                    let helm = bench.command("helm").get_program().to_owned();
                    let tools = Path::new(&helm).parent().unwrap().display().to_string();
                    let shell = bench.tool("bash").env("PATH", format!("{tools}:{path}"));
                    let output = shell.in_folder(&work).args(["-euc", line]).run();
                    assert_eq!(output.code, Some(0), "{}: {line}\n{output:?}", page.display());
                    ran += 1;
                }
            }
        }
    }
    assert!(ran >= 13, "{ran} commands were run");
}
