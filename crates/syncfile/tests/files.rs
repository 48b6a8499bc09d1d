//! Several files and folders of files, together.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use oci::Location;
use serde_json::json;
use syncfile::{Auth, Defaults, Diagnostics, EcrDefaults, Input, Loaded, Secret, load};

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
    fs::write(&file, text).expect("a file");
    file
}

fn load_paths(paths: &[&Path]) -> Result<Loaded, Diagnostics> {
    let inputs: Vec<Input> = paths.iter().map(|path| Input::from(*path)).collect();
    load(
        &inputs,
        &Defaults { target_repo_prefixes: vec!["reg.example".into()], ..Defaults::default() },
    )
}

fn codes(result: &Result<Loaded, Diagnostics>) -> Vec<&'static str> {
    match result {
        Ok(loaded) => loaded.warnings.iter().map(|found| found.code.as_str()).collect(),
        Err(diagnostics) => diagnostics.iter().map(|found| found.code.as_str()).collect(),
    }
}

#[test]
fn a_folder_is_its_yaml_files_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "b.yml", "images: [{source: b:1}]");
    write(folder.path(), "a.yaml", "images: [{source: a:1}]");
    write(folder.path(), ".hidden.yaml", "wrong");
    write(folder.path(), "readme.md", "wrong");
    write(folder.path(), "below/c.yaml", "wrong");
    let loaded = load_paths(&[folder.path()]).expect("right");
    let sources: Vec<_> =
        loaded.sync_file.images.iter().map(|image| image.written.as_str()).collect();
    assert_eq!(sources, ["a:1", "b:1"]);
    assert_eq!(loaded.sync_file.images[1].origin.file, folder.path().join("b.yml"));
}

#[test]
fn what_cannot_be_read_is_told_and_the_others_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = folder.path().join("none.yaml");
    let wrong = write(folder.path(), "wrong.yaml", "imags: []");
    let latin = folder.path().join("latin.yaml");
    fs::write(&latin, b"images: []\n# caf\xe9\n").expect("a file");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    let result = load_paths(&[&none, &latin, &empty, &wrong]);
    assert_eq!(codes(&result), ["unreadable-file", "unreadable-file", "no-files", "unknown-key"]);
    let diagnostics = result.expect_err("wrong");
    let place = diagnostics.iter().nth(1).and_then(|found| found.place.clone()).expect("a place");
    assert_eq!((place.file, place.line), (latin, 2));
}

#[test]
fn a_file_given_twice_is_read_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), "a.yaml", "images: [{source: a:1}]");
    let result = load_paths(&[&file, folder.path()]);
    assert_eq!(codes(&result), ["duplicate-file"]);
    assert_eq!(result.expect("right").sync_file.images.len(), 1);
}

#[test]
fn a_target_has_one_source_in_all_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let a = write(folder.path(), "a.yaml", "images: [{source: a:1}]");
    let same = write(folder.path(), "same.yaml", "images: [{source: library/a:1}]");
    let other = write(
        folder.path(),
        "other.yaml",
        "images: [{source: 'quay.io/a/a:1', destination: reg.example/library/a}]",
    );
    let result = load_paths(&[&a, &same]);
    assert_eq!(codes(&result), ["duplicate-image"]);
    assert_eq!(result.expect("right").sync_file.images.len(), 1);
    let result = load_paths(&[&a, &other]);
    assert_eq!(codes(&result), ["duplicate-target"]);
    let text = result.expect_err("wrong").to_string();
    for file in [&a, &other] {
        assert!(text.contains(&file.display().to_string()), "{text}");
    }
}

#[test]
fn two_spellings_of_a_folder_are_one_target() {
    let text = "
images:
- { source: a:1, destination: 'oci:./out/a:1' }
- { source: b:1, destination: 'oci:out/./a:1' }
";
    let result = load(&[Input::Stdin(text.into())], &Defaults::default());
    assert_eq!(codes(&result), ["duplicate-target"]);
}

#[test]
fn of_an_image_with_several_targets_only_the_one_that_is_there_twice_is_left_out() {
    let text = "
images:
- { source: a:1, destination: [r.example/a, r.example/b] }
- { source: a:1, destination: [r.example/b, r.example/c] }
";
    let loaded = load(&[Input::Stdin(text.into())], &Defaults::default()).expect("right");
    let targets: Vec<Vec<String>> = loaded
        .sync_file
        .images
        .iter()
        .map(|image| image.targets.iter().map(ToString::to_string).collect())
        .collect();
    assert_eq!(targets, [vec!["r.example/a:1", "r.example/b:1"], vec!["r.example/c:1"]]);
}

#[test]
fn paths_begin_at_the_folder_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(
        folder.path(),
        "lists/a.yaml",
        "
targetRepoPrefix: oci:./mirror/
images:
- source: nginx:1
- source: oci:../layouts/app:1
  destination: oci-archive:out.tar
- source: oci:/srv/app:1
  destination: r.example/app
registries:
  r.example:
    ca: ca.pem
    clientCertificate: { cert: tls/client.pem, key: /etc/client.key }
    auth: { username: robot, password: { file: ./password } }
",
    );
    let loaded = load(&[Input::Path(file)], &Defaults::default()).expect("right").sync_file;
    let at = |path: &str| folder.path().join("lists").join(path);
    let [nginx, app, absolute] = loaded.images.as_slice() else { panic!("{loaded:?}") };
    assert_eq!(nginx.targets[0].location, Location::Layout(at("mirror/library/nginx")));
    assert_eq!(app.source.location, Location::Layout(at("../layouts/app")));
    assert_eq!(app.targets[0].location, Location::Archive(at("out.tar")));
    assert_eq!(absolute.source.location, Location::Layout("/srv/app".into()));
    let entry = loaded.registries.values().next().expect("a registry");
    assert_eq!(entry.ca, Some(at("ca.pem")));
    let certificate = entry.client_certificate.as_ref().expect("a certificate");
    assert_eq!(certificate.cert, at("tls/client.pem"));
    assert_eq!(certificate.key, Path::new("/etc/client.key"));
    let Some(Auth::Basic { password: Secret::File(password), .. }) = &entry.auth else {
        panic!("{entry:?}")
    };
    assert_eq!(*password, at("password"));
}

#[test]
fn paths_of_standard_input_and_of_flags_begin_at_the_working_directory() {
    let text = "images: [{source: nginx:1}, {source: 'oci:app:1', destination: r.example/app}]";
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), "a.yaml", "images: [{source: alpine:1}]");
    let defaults =
        Defaults { target_repo_prefixes: vec!["oci:./mirror".into()], ..Defaults::default() };
    let inputs = [Input::Stdin(text.into()), Input::Path(file)];
    let loaded = load(&inputs, &defaults).expect("right").sync_file;
    let [nginx, app, alpine] = loaded.images.as_slice() else { panic!("{loaded:?}") };
    assert_eq!(nginx.targets[0].to_string(), "oci:./mirror/library/nginx:1");
    assert_eq!(app.source.location, Location::Layout("app".into()));
    assert_eq!(alpine.targets[0].to_string(), "oci:./mirror/library/alpine:1");
}

#[test]
fn a_flag_beats_the_prefix_of_the_file_and_a_destination_beats_both() {
    let text = "
targetRepoPrefix: file.example/
images: [{source: a:1}, {source: b:1, destination: own.example/b}]
";
    let inputs = [Input::Stdin(text.into())];
    let targets = |defaults: &Defaults| -> Vec<String> {
        let images = load(&inputs, defaults).expect("right").sync_file.images;
        images.iter().flat_map(|image| &image.targets).map(ToString::to_string).collect()
    };
    assert_eq!(targets(&Defaults::default()), ["file.example/library/a:1", "own.example/b:1"]);
    let flags = Defaults {
        target_repo_prefixes: vec!["one.example".into(), "two.example/x".into()],
        ..Defaults::default()
    };
    assert_eq!(
        targets(&flags),
        ["one.example/library/a:1", "two.example/x/library/a:1", "own.example/b:1"]
    );
}

#[test]
fn a_wrong_prefix_of_the_command_line_is_told_once() {
    let defaults = Defaults { target_repo_prefixes: vec!["mirror/".into()], ..Defaults::default() };
    let inputs = [Input::Stdin("images: [{source: a:1}]".into())];
    let diagnostics = load(&inputs, &defaults).expect_err("wrong");
    insta::assert_snapshot!(diagnostics.to_string());
}

#[test]
fn files_may_share_a_registry_but_not_contradict_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = |name: &str, value: &str| {
        write(folder.path(), name, &format!("registries: {{r.example: {value}}}"))
    };
    let a = registry("a.yaml", "{concurrency: 2, auth: {username: u, password: {env: P}}}");
    let same = registry("same.yaml", "{auth: {password: {env: P}, username: u}, concurrency: 2}");
    let other = registry("other.yaml", "{concurrency: 3}");
    let images = write(folder.path(), "images.yaml", "images: [{source: a:1}]");
    assert_eq!(codes(&load_paths(&[&a, &same, &images])), [""; 0]);
    assert_eq!(codes(&load_paths(&[&a, &other, &images])), ["duplicate-registry"]);
    assert_eq!(codes(&load_paths(&[&a])), ["empty-list"], "nothing to do");
}

fn ecr() -> EcrDefaults {
    let (account, region) = (Some("123456789012".to_owned()), Some("us-east-1".to_owned()));
    EcrDefaults { account, region, ..EcrDefaults::default() }
}

fn load_ecr(paths: &[&Path], ecr: EcrDefaults) -> Result<Loaded, Diagnostics> {
    let inputs: Vec<Input> = paths.iter().map(|path| Input::from(*path)).collect();
    load(&inputs, &Defaults { ecr, ..Defaults::default() })
}

#[test]
fn a_folder_of_repositories_is_one_list() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "a.yaml", "- name: nginx-app\n  image: {pull_url: 'nginx:1'}");
    write(folder.path(), "b.yml", "repositories: [{name: other}]");
    let loaded = load_ecr(&[folder.path()], ecr()).expect("right");
    let names: Vec<_> = loaded.sync_file.repositories.iter().map(|one| one.name.as_str()).collect();
    assert_eq!((names.as_slice(), loaded.warnings.len()), (["nginx-app", "other"].as_slice(), 0));
    let again = write(folder.path(), "c.yaml", "- name: other");
    let result = load_ecr(&[folder.path()], ecr());
    assert_eq!(codes(&result), ["duplicate-repository"]);
    let text = result.expect_err("wrong").to_string();
    for file in [folder.path().join("b.yml"), again] {
        assert!(text.contains(&file.display().to_string()), "{text}");
    }
}

#[test]
fn a_repository_has_the_defaults_of_the_files_with_the_usual_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = "
- { name: own, lifecyclePolicy: { own: 1 }, resourceTags: { team: mine, more: x } }
- name: default
";
    let list = write(folder.path(), "list.yaml", list);
    write(folder.path(), "ecr-lifecycle.json", r#"{"rules": [{"rulePriority": 1}]}"#);
    write(folder.path(), "default_resource_tags.json", r#"[{"Key": "team", "Value": "web"}]"#);
    let loaded = load_ecr(&[&list], ecr());
    assert_eq!(codes(&loaded), ["default-file", "default-file"], "nobody asked for them here");
    let [own, default] = &loaded.expect("right").sync_file.repositories[..] else { panic!() };
    assert_eq!(own.settings.lifecycle_policy, Some(json!({ "own": 1 })));
    assert_eq!(
        default.settings.lifecycle_policy,
        Some(json!({ "rules": [{ "rulePriority": 1 }] }))
    );
    assert_eq!(default.settings.permission_policy, None);
    let tags = |one: &syncfile::EcrRepository| format!("{:?}", one.settings.resource_tags);
    assert_eq!(tags(own), r#"{"more": "x", "team": "mine"}"#);
    assert_eq!(tags(default), r#"{"team": "web"}"#);
    let images =
        write(folder.path(), "images.yaml", "images: [{source: a:1, destination: r.io/a}]");
    assert_eq!(codes(&load_ecr(&[&images], ecr())), [""; 0], "they are for ECR repositories");
}

#[test]
fn a_default_file_that_is_named_must_be_there_and_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = write(folder.path(), "lists/list.yaml", "- name: app");
    write(folder.path(), "lists/ecr-permissions.json", r#"{"usual": 1}"#);
    let load_with = |file: PathBuf| {
        load_ecr(&[&list], EcrDefaults { permission_policy_file: Some(file), ..ecr() })
    };
    let policy =
        |loaded: Loaded| loaded.sync_file.repositories[0].settings.permission_policy.clone();
    let named = write(folder.path(), "named.json", r#"{"named": 1}"#);
    let loaded = load_with(named);
    assert_eq!(codes(&loaded), [""; 0]);
    assert_eq!(policy(loaded.expect("right")), Some(json!({ "named": 1 })));
    let beside = load_with("ecr-permissions.json".into());
    assert_eq!(codes(&beside), [""; 0], "a bare name may be that of a file beside the list");
    assert_eq!(policy(beside.expect("right")), Some(json!({ "usual": 1 })));
    assert_eq!(codes(&load_with(folder.path().join("none.json"))), ["unreadable-file"]);
    for wrong in ["[]", "{", "{}{}"] {
        let result = load_with(write(folder.path(), "wrong.json", wrong));
        assert_eq!(codes(&result), ["invalid-default-file"], "{wrong}");
    }
}
