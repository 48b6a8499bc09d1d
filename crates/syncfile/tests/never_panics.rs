//! No text makes the crate panic or hang, and no secret of a text is ever shown.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use proptest::prelude::*;
use syncfile::{Defaults, EcrDefaults, Input, load};

/// Loads a text and renders all that is found; what is rendered.
fn load_and_render(text: String) -> String {
    let ecr = EcrDefaults {
        account: Some("123456789012".into()),
        region: Some("us-east-1".into()),
        ..EcrDefaults::default()
    };
    let defaults = Defaults { target_repo_prefixes: vec!["reg.example/ext".into()], ecr };
    match load(&[Input::Stdin(text)], &defaults) {
        Ok(loaded) => format!(
            "{:?}{}",
            loaded.sync_file,
            loaded.warnings.iter().map(|found| found.render(true)).collect::<String>()
        ),
        Err(diagnostics) => format!("{diagnostics:?}{}", diagnostics.render(true)),
    }
}

/// Words that a sync file is made of, and what breaks one.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "images",
        "source",
        "tag",
        "destination",
        "target",
        "targetRepoPrefix",
        "registries",
        "auth",
        "username",
        "password",
        "token",
        "env",
        "file",
        "awsSecret",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a#b",
        "dockerConfig",
        "kubernetes",
        "aws",
        "assumeRole",
        "externalId",
        "accessKeyId",
        "secretAccessKey",
        "google",
        "impersonate",
        "azure",
        "anonymous",
        "ca",
        "mirrors",
        "endpoint",
        "sign",
        "kmsKey",
        "verify",
        "keys",
        "identities",
        "issuerPattern",
        "trustedRoot",
        "ghcr.io/**",
        "platforms",
        "tags",
        "repositories",
        "name",
        "registry",
        "image",
        "chart",
        "pull_url",
        "aliases",
        "lifecyclePolicy",
        "resourceTags",
        "mutability",
        "encryption",
        "ecr",
        "create",
        "charts",
        "versions",
        "oci://r.example/a:1.0.0",
        "https://h/a/b",
        "^1.2",
        "r.example",
        "nginx:1.27",
        "nginx",
        "oci:x:1",
        "true",
        "null",
        "1",
        ":",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n- ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "'",
        "|",
        ">",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "!x ",
        "# ",
        " // ",
        "---\n",
        "...\n",
        "\r\n",
        "ä",
        "日本",
        "\u{feff}",
        "\u{1b}[31m",
        "@sha256:",
        "https://u:p@h/",
    ];
    proptest::sample::select(words.to_vec()).prop_map(str::to_owned)
}

/// Entries of `repositories` and `charts` with the right keys and any values.
fn nearly_right_others() -> impl Strategy<Value = String> {
    let value = || "[ -~äß☃]{0,20}|oci://r.io/[a-z:/@]{0,9}|https://[a-z./:@]{0,12}";
    let tags = || "[0-9.+_^, ]{0,8}";
    (value(), value(), tags(), value(), tags(), value()).prop_map(
        |(name, image, image_tags, chart, tags, policy)| {
            format!(
                "repositories:\n- name: {name}\n- name: app\n  image:\n    pull_url: {image}\n    \
                 tags: [{image_tags}]\n  chart:\n    pull_url: {chart}\n    tags: [{tags}]\n  \
                 lifecyclePolicy:\n    a: {policy}\n  resourceTags:\n    a: {policy}\n  \
                 mutability: {policy}\ncharts:\n- source: {chart}\n  versions: {tags}\n"
            )
        },
    )
}

/// Entries with the right keys and any values.
fn nearly_right() -> impl Strategy<Value = String> {
    let key = proptest::sample::select(
        ["source", "tag", "destination", "target", "sign", "tags", "amd64Only"].as_slice(),
    );
    let entry = proptest::collection::vec((key, "[ -~äß☃]{0,20}"), 1..5);
    proptest::collection::vec(entry, 0..5).prop_map(|entries| {
        let entries = entries.iter().map(|keys| {
            let keys = keys.iter().map(|(key, value)| format!("  {key}: {value}\n"));
            format!("-\n{}", keys.collect::<String>())
        });
        format!("images:\n{}", entries.collect::<String>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        load_and_render(text);
    }

    #[test]
    fn no_text_of_known_words_panics(words in proptest::collection::vec(word(), 0..40)) {
        load_and_render(words.concat());
    }

    /// A pull request's file must not be able to write to the terminal of who checks it.
    #[test]
    fn no_text_reaches_the_terminal_as_control_characters(
        words in proptest::collection::vec(word(), 0..40),
    ) {
        let text = words.concat().replace("nginx", "ng\u{1b}]0;inx\u{7}");
        let defaults = Defaults { target_repo_prefixes: vec!["reg.example/ext".into()], ..Defaults::default() };
        if let Err(diagnostics) = load(&[Input::Stdin(text)], &defaults) {
            let shown = diagnostics.to_string();
            prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        }
    }

    #[test]
    fn no_nearly_right_list_panics(text in nearly_right()) {
        load_and_render(text);
    }

    #[test]
    fn no_nearly_right_list_of_repositories_and_charts_panics(text in nearly_right_others()) {
        load_and_render(text);
    }
}

/// A file with secrets, in block style and in flow style.
const WITH_SECRETS: [&str; 2] = [
    "images:
- source: nginx:1
registries:
  r.example:
    auth:
      username: robot
      password: S3cr3t
      token: \"S3cr3t\"
    passwort: S3cr3t
",
    "registries: { r.example: { auth: { username: robot,
 password: S3cr3t, token:
   S3cr3t }, passwort: S3cr3t } }
images: [{ source: nginx:1 }]
",
];

fn assert_hidden(text: &str) {
    let shown = load_and_render(text.to_owned());
    assert!(!shown.contains("S3cr3t"), "{text}\n===\n{shown}");
}

#[test]
fn a_file_that_is_cut_shows_no_secret() {
    let with_key = "kmsKey: |\n  -----BEGIN PRIVATE KEY-----\n  S3cr3t\n  -----END PRIVATE KEY-----\n\
                    images: [{ source: nginx:1 }, [\n";
    for text in WITH_SECRETS.into_iter().chain([with_key]) {
        (0..=text.len()).for_each(|cut| assert_hidden(&text[..cut]));
    }
}

#[test]
fn a_file_with_a_line_taken_out_or_dedented_shows_no_secret() {
    for text in WITH_SECRETS {
        for at in 0..text.lines().count() {
            let mut lines: Vec<&str> = text.lines().collect();
            lines[at] = lines[at].trim_start();
            assert_hidden(&lines.join("\n"));
            lines.remove(at);
            assert_hidden(&lines.join("\n"));
        }
    }
}

#[test]
fn a_file_with_a_stray_character_shows_no_secret() {
    for text in WITH_SECRETS {
        for at in 0..=text.len() {
            for stray in [
                ":", ": ", "- ", "\n", "{", "}", "[", "]", ",", "\"", "'", "#", " #", "|", "*", "&",
            ] {
                let mut broken = text.to_owned();
                broken.insert_str(at, stray);
                assert_hidden(&broken);
            }
        }
    }
}
