//! Values are what is written.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use syncfile::{Code, Defaults, Diagnostics, Input, Loaded, SyncFile, load};

fn try_load(text: &str) -> Result<Loaded, Diagnostics> {
    let defaults =
        Defaults { target_repo_prefixes: vec!["reg.example".into()], ..Defaults::default() };
    load(&[Input::Stdin(text.to_owned())], &defaults)
}

fn loaded(text: &str) -> SyncFile {
    try_load(text).unwrap_or_else(|diagnostics| panic!("{text}:\n{diagnostics}")).sync_file
}

fn codes(text: &str) -> Vec<&'static str> {
    match try_load(text) {
        Ok(loaded) => loaded.warnings.iter().map(|found| found.code.as_str()).collect(),
        Err(diagnostics) => diagnostics.iter().map(|found| found.code.as_str()).collect(),
    }
}

/// The only target's tag.
fn tag_of(text: &str) -> String {
    let sync_file = loaded(text);
    let [image] = sync_file.images.as_slice() else { panic!("{text}") };
    let [target] = image.targets.as_slice() else { panic!("{text}") };
    target.tag.to_string()
}

#[test]
fn an_unquoted_tag_is_the_text_that_is_written() {
    for tag in ["3.10", "1e3", "0x1F", "true", "010", "2024-01-01", "1_000", "no", "1.0", "3.63.0"]
    {
        assert_eq!(tag_of(&format!("images: [{{source: a:1, tag: {tag}}}]")), tag);
        assert_eq!(tag_of(&format!("images:\n- source: a:{tag}\n")), tag);
        assert_eq!(tag_of(&format!("images:\n- source: a:1\n  tag: \"{tag}\" # why\n")), tag);
    }
}

#[test]
fn null_is_no_tag_and_quoted_null_is_one() {
    for null in ["null", "~", "", "Null", "NULL", "# nothing"] {
        assert_eq!(tag_of(&format!("images:\n- source: a:1\n  tag: {null}\n")), "1", "{null}");
    }
    assert_eq!(tag_of("images:\n- source: a:1\n  tag: 'null'\n"), "null");
    assert_eq!(tag_of("images:\n- source: a:1\n  tag: !!str null\n"), "null");
}

#[test]
fn booleans_are_those_of_yaml_1_1() {
    let signs = |text: &str| {
        let text = format!("sign: {text}\nimages: [{{source: a:1}}]");
        loaded(&text).images[0].signing.signs(None)
    };
    for no in ["false", "False", "FALSE", "no", "off"] {
        assert!(!signs(no), "{no}");
    }
    for yes in ["true", "True", "TRUE", "yes", "on"] {
        assert!(signs(yes), "{yes}");
    }
    for neither in ["1", "0", "tRue", "'true'", "[]", "{}"] {
        let text = format!("sign: {neither}\nimages: [{{source: a:1}}]");
        assert_eq!(codes(&text), ["wrong-type"], "{neither}");
    }
}

#[test]
fn an_empty_list_is_a_warning() {
    for text in
        ["", "# nothing\n", "---\n", "null", "images:", "images: []", "[]", "{}", "sign: no"]
    {
        assert_eq!(codes(text), ["empty-list"], "{text:?}");
    }
    assert_eq!(codes("image: [{source: a:1}]"), ["unknown-key"], "a typing error is none");
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_change_nothing() {
    let text = "\u{feff}images:\r\n- source: a:1\r\n  tag: x\r\n";
    assert_eq!(tag_of(text), "x");
    let sync_file = loaded(text);
    assert_eq!(sync_file.images[0].origin.to_string(), "<stdin>:2:3");
    let wrong = try_load("\u{feff}imges: []\r\nimages: []").expect_err("an unknown key");
    let place = wrong.iter().next().and_then(|found| found.place.as_ref()).expect("a place");
    assert_eq!((place.line, place.column), (1, 1));
}

#[test]
fn columns_are_counted_in_characters() {
    let wrong = try_load("images: [{source: 'ä', zzz: 1}]").expect_err("wrong");
    let places: Vec<_> =
        wrong.iter().filter_map(|found| found.place.as_ref()).map(|place| place.column).collect();
    assert_eq!(places, [19, 24]);
}

#[test]
fn a_selection_is_what_the_source_says() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let list = format!(
        "images: [{{source: a:1}}, {{source: 'a@{digest}', tag: 2}}, {{source: 'a:3@{digest}'}}]"
    );
    let sync_file = loaded(&list);
    let sources: Vec<_> = sync_file.images.iter().map(|image| image.source.to_string()).collect();
    assert_eq!(
        sources,
        [
            "docker.io/library/a:1".to_owned(),
            format!("docker.io/library/a@{digest}"),
            format!("docker.io/library/a:3@{digest}"),
        ]
    );
}

#[test]
fn anchors_cannot_fill_the_memory() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    assert_eq!(codes(&text), ["too-large"]);
    assert_eq!(codes(&"[".repeat(10_000)), ["too-large"]);
    assert_eq!(codes(&"- ".repeat(10_000)), ["too-large"]);
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..200 {
        deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(codes(&deep), ["too-large"]);
    assert_eq!(codes("a: &a [*a]"), ["invalid-yaml"]);
}

#[test]
fn a_list_may_have_any_number_of_comments() {
    let text = format!("images:\n{}- source: a:1\n", "# a comment\n".repeat(1_000));
    assert_eq!(codes(&text), [""; 0]);
}

#[test]
fn codes_are_different_and_stable_in_form() {
    let mut texts: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let form = |text: &&str| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    assert!(texts.iter().all(form));
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), Code::ALL.len());
}
