//! kyma's target names are kept, and its accidents are errors: `data/target-names.tsv`.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use syncfile::{Code, Defaults, Diagnostics, Input, Loaded, load};

fn load_one(source: &str, tag: &str) -> Result<Loaded, Diagnostics> {
    // A JSON string is a YAML string.
    let quoted = |text: &str| serde_json::to_string(text).expect("a string");
    let mut text = format!("images:\n- source: {}\n", quoted(source));
    if !tag.is_empty() {
        text.push_str(&format!("  tag: {}\n", quoted(tag)));
    }
    let defaults =
        Defaults { target_repo_prefixes: vec!["reg.example/ext/".into()], ..Defaults::default() };
    load(&[Input::Stdin(text)], &defaults)
}

fn code_of(reason: &str) -> Code {
    match reason {
        "digest without tag" => Code::DigestWithoutTag,
        "neither tag nor digest" => Code::NoTagOrDigest,
        "tag for a source without a tag" => Code::TagWithoutSourceTag,
        "not a tag" => Code::InvalidTag,
        "empty source" => Code::InvalidReference,
        other => panic!("the table has a reason that is not known here: {other}"),
    }
}

#[test]
fn every_row_of_the_table_holds() {
    let table = include_str!("data/target-names.tsv");
    let rows: Vec<_> = table.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rows.len(), 23, "rows of the table");
    for row in rows {
        let mut columns = row.split('\t');
        let mut column = || columns.next().unwrap_or_default();
        let (source, tag, wanted) = (column(), column(), column());
        match (wanted.strip_prefix("error "), load_one(source, tag)) {
            (None, Ok(loaded)) => {
                let [image] = loaded.sync_file.images.as_slice() else { panic!("{row}") };
                let [target] = image.targets.as_slice() else { panic!("{row}") };
                assert_eq!(target.to_string(), wanted, "{row}");
            }
            (Some(reason), Err(diagnostics)) => {
                let codes: Vec<_> = diagnostics.iter().map(|found| found.code).collect();
                assert_eq!(codes, [code_of(reason)], "{row}");
            }
            (_, Ok(loaded)) => panic!("{row}: became {loaded:?}"),
            (_, Err(diagnostics)) => panic!("{row}: became\n{diagnostics}"),
        }
    }
}
