//! `notices`: who is told of a run, and when.
#![allow(clippy::panic, reason = "test code")]

use std::collections::BTreeSet;

use syncfile::{Channel, Code, Defaults, Input, Notice, Occasion, Secret, load};

fn notices(text: &str) -> Vec<Notice> {
    let images = Input::Stdin("images: [{ source: a:1, destination: r.example/a }]".into());
    let inputs = [Input::Stdin(text.to_owned()), images];
    match load(&inputs, &Defaults::default()) {
        Ok(loaded) => loaded.sync_file.notices,
        Err(found) => panic!("{}", found.render(false)),
    }
}

fn told(text: &str) -> String {
    let images = Input::Stdin("images: [{ source: a:1, destination: r.example/a }]".into());
    match load(&[Input::Stdin(text.to_owned()), images], &Defaults::default()) {
        Ok(loaded) => loaded.warnings.iter().map(|warning| warning.render(false)).collect(),
        Err(found) => found.render(false),
    }
}

#[test]
fn a_notice_has_a_place_and_occasions() {
    let found = notices(
        "notices:
- slack: { env: SLACK_URL }
- teams: { file: teams-url }
  on: [always]
- webhook: { env: HOOK }
  secret: { env: HOOK_SECRET }
  template: '{\"text\": {{ title }}}'
  headers: { X-Team: mirror, Authorization: { env: TOKEN } }
  on: change
  insecure: true
",
    );
    let [slack, teams, webhook] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(slack.channel, Channel::Slack(Secret::Environment("SLACK_URL".into())));
    assert_eq!(slack.on, BTreeSet::from([Occasion::Failure, Occasion::Drift]));
    assert_eq!((slack.origin.line, slack.insecure), (2, false));
    assert_eq!(teams.channel, Channel::Teams(Secret::File("teams-url".into())));
    assert_eq!(teams.on, BTreeSet::from([Occasion::Always]));
    let Channel::Webhook { url, secret, template, headers } = &webhook.channel else {
        panic!("{webhook:?}")
    };
    assert_eq!(url, &Secret::Environment("HOOK".into()));
    assert_eq!(secret, &Some(Secret::Environment("HOOK_SECRET".into())));
    assert_eq!(template.as_ref().map(syncfile::Template::as_str), Some("{\"text\": {{ title }}}"));
    assert_eq!(headers.len(), 2);
    assert_eq!((webhook.on.len(), webhook.insecure), (1, true));
}

#[test]
fn the_same_notice_of_two_files_is_one() {
    let text = "notices: [{ slack: { env: A } }, { slack: { env: A } }, { slack: { env: B } }]";
    assert_eq!(notices(text).len(), 2);
}

#[test]
fn what_is_wrong_has_its_place_and_shows_no_address() {
    for (text, code, at) in [
        ("notices:\n- on: [drift]", Code::MissingKey, ":2:3"),
        ("notices:\n- slack: { env: A }\n  on: [sometimes]", Code::InvalidOccasion, ":3:8"),
        ("notices:\n- slack: { env: A }\n  teams: { env: A }", Code::ConflictingKeys, ":3:3"),
        ("notices:\n- slack: { env: A }\n  secret: { env: A }", Code::ConflictingKeys, ":3:3"),
        ("notices:\n- slak: https://hooks.example/T0/hunter2", Code::UnknownKey, ":2:3"),
        ("notices:\n- slack: https://hooks.example/T0/hunter2", Code::SecretInFile, ":2:3"),
        (
            "notices:\n- webhook: { env: A }\n  headers: { Authorization: hunter2 }",
            Code::SecretInFile,
            ":3:14",
        ),
        (
            "notices:\n- webhook: { env: A }\n  headers: { 'a b': hunter2 }",
            Code::InvalidHeader,
            ":3:14",
        ),
    ] {
        let told = told(text);
        assert!(told.contains(&format!("[{code}]")), "{told}");
        assert!(told.contains(at), "{at}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    assert_eq!(told("notices:\n- webhook: { env: A }\n  headers: { X-Team: mirror }"), "");
}

#[test]
fn a_template_that_is_wrong_has_its_place() {
    let text = "notices:\n- webhook: { env: A }\n  template: '{{ title'";
    let images = Input::Stdin("images: [{ source: a:1, destination: r.example/a }]".into());
    let loaded =
        load(&[Input::Stdin(text.to_owned()), images], &Defaults::default()).expect("read");
    assert!(loaded.sync_file.check_templates(|_| Ok(())).is_ok());
    let wrong = loaded.sync_file.check_templates(|text| Err(format!("`{text}` does not end")));
    let told = wrong.expect_err("a mistake").render(false);
    assert!(told.contains(":3:13") && told.contains("`{{ title` does not end"), "{told}");
}
