//! regsync's configuration: `sync` lists images and repositories, `creds` says how registries are reached,
//! `defaults` what entries do not say themselves.

use oci::{Host, Platform, Reference};

use super::list::{Entry, Extent, List};
use super::{ConvertError, Converted, entries, get, items, text, texts};
use crate::yaml::Node;

/// Keys of `creds` that are a login.
const LOGIN: [&str; 6] = ["user", "pass", "token", "credHelper", "credHost", "credExpire"];

pub(super) fn convert(root: &Node) -> Result<Converted, ConvertError> {
    let Some(sync) = get(root, "sync") else {
        return Err(ConvertError::Other("regsync", "there is no `sync` at its top"));
    };
    let mut list = List::default();
    for (key, value) in entries(root) {
        match key {
            "creds" => items(value).iter().for_each(|cred| registry(cred, &mut list)),
            "defaults" => {
                for note in entries(value).filter_map(|(key, value)| left_out(key, value)) {
                    list.note(format!("`defaults`: {note}"));
                }
            }
            "sync" | "version" => {}
            // What other keys refer to as YAML's anchors.
            key if key.starts_with("x-") => {}
            other => list.note(format!("`{other}`")),
        }
    }
    for entry in items(sync) {
        push(entry, &mut list);
    }
    Ok(list.end())
}

/// How a registry is reached.
/// <https://regclient.org/usage/regsync/#registry-credentials-and-settings>
fn registry(cred: &Node, list: &mut List) {
    let name = get(cred, "registry").and_then(text).unwrap_or("a registry");
    let host: Option<Host> = name.parse().ok();
    let mut has_login = false;
    for (key, value) in entries(cred).filter(|(_, value)| !value.is_null()) {
        let said = text(value).unwrap_or_default();
        let note = match (key, &host) {
            ("registry", _) => continue,
            (key, _) if LOGIN.contains(&key) => {
                has_login = true;
                continue;
            }
            ("tls", _) if said.eq_ignore_ascii_case("enabled") => continue,
            ("tls", Some(host)) if said.eq_ignore_ascii_case("disabled") => {
                list.insecure(host.clone());
                continue;
            }
            ("regcert", Some(host)) if file(said).is_some() => {
                list.ca(host.clone(), file(said).unwrap_or_default());
                continue;
            }
            ("tls", _) if said.eq_ignore_ascii_case("disabled") => {
                "`tls: disabled`; give `insecure: true`"
            }
            ("tls", _) => "`tls`; give its authority as `ca`",
            ("regcert", _) => "`regcert`; give the name of a file with it as `ca`",
            ("clientCert" | "clientKey", _) => {
                "`clientCert` or `clientKey`; give both files as `clientCertificate`"
            }
            ("hostname", _) => "`hostname`; `endpoint` is where to connect instead",
            ("mirrors" | "pathPrefix" | "priority", _) => {
                "`mirrors`, `pathPrefix` or `priority`; give `mirrors` in their order, as `HOST/PATH`"
            }
            ("reqPerSec", _) => "`reqPerSec`; `rate` is the most in a second",
            ("reqConcurrent", _) => "`reqConcurrent`; `concurrency` is the most at once",
            (other, _) => {
                list.note(format!("{name} (`creds`): `{other}`"));
                continue;
            }
        };
        list.note(format!("{name} (`creds`): {note}, under `registries`"));
    }
    if has_login {
        list.note(format!("the login of {name} (`creds`): docker config has it, or `registries`"));
    }
}

/// The absolute path in a template that is nothing but the text of a file. A relative one would mean another
/// file: here it is looked for beside the sync file.
fn file(template: &str) -> Option<&str> {
    let call = template.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let path = call.strip_prefix("file")?.trim().strip_prefix('"')?.strip_suffix('"')?;
    (path.starts_with('/') && !path.contains(['"', '\\'])).then_some(path)
}

/// One entry of `sync`. <https://regclient.org/usage/regsync/#sync>
fn push(entry: &Node, list: &mut List) {
    let value = |key| get(entry, key).and_then(text).unwrap_or_default();
    let (source, target, kind) = (value("source"), value("target"), value("type"));
    let shown = format!("{source} to {target}");
    if [source, target].iter().any(|name| name.contains("{{") || name.is_empty()) {
        list.note(format!("{shown}: a template or nothing; write the name"));
        return;
    }
    let mut made = source.to_owned();
    let mut selections = vec![Vec::new()];
    match kind {
        "image" => {
            let has_version =
                source.parse::<Reference>().map(|name| name.tag.is_some() || name.digest.is_some());
            if has_version == Ok(false) {
                made.push_str(":latest");
                list.note(format!("{shown}: `:latest` is said now; a version would not move"));
            }
        }
        "repository" => selections = rules(entry),
        other => {
            list.note(format!("{shown}: the type `{other}`; list its repositories"));
            return;
        }
    }
    for (key, value) in entries(entry) {
        let is_known = ["source", "target", "type", "tags", "tagSets"].contains(&key);
        if let Some(note) = (!is_known).then(|| left_out(key, value)).flatten() {
            list.note(format!("{shown}: {note}"));
        }
    }
    for rules in selections {
        let (source, extent) = (made.clone(), extent(entry));
        list.push(&Entry { source, destination: Some(target), rules, extent, ..Entry::default() });
    }
}

/// `platform` takes one image out of an index, and goes before `platforms`, which makes a smaller index.
fn extent(entry: &Node) -> Extent<'_> {
    match get(entry, "platform").and_then(text) {
        Some(one) if is_amd64(one) => Extent::Amd64Only,
        Some(one) => Extent::Platforms(vec![one]),
        None => Extent::Platforms(get(entry, "platforms").map(texts).unwrap_or_default()),
    }
}

fn is_amd64(platform: &str) -> bool {
    let platform = platform.parse::<Platform>();
    platform.is_ok_and(|platform| platform.normalized().to_string() == "linux/amd64")
}

/// What is to be said of a key of an entry or of `defaults` that has no counterpart; nothing of one that asks
/// for what image-syncer does anyway.
fn left_out(key: &str, value: &Node) -> Option<String> {
    let said = text(value).unwrap_or_default();
    let does = match key {
        "platform" if is_amd64(said) => return None,
        "digestTags" | "fastCheck" | "fastCopy" | "referrers" if said == "true" => return None,
        "forceRecursive" | "includeExternal" | "referrerSlow" if said == "false" => return None,
        "platform" => {
            return Some(format!(
                "`platform: {said}` is that image alone, here an index with it; what is there is drift"
            ));
        }
        "backup" => "what differs at the target is drift, and stays",
        "digestTags" | "referrers" => "they are copied, but for `--referrers none`",
        "forceRecursive" => "`verify` looks at everything that an image is made of",
        "hooks" => "`notices` tell others",
        "includeExternal" => "`--foreign-layers` copies them",
        "interval" | "schedule" => "`schedule` of the file, or `--interval` of `watch`",
        "mediaTypes" => "images of every type are copied",
        // (regclient, `ImageWithPlatforms`)
        "platforms" => {
            "an index of these here, there the whole one with some images missing: drift"
        }
        "parallel" => "`--concurrency`",
        "ratelimit" => "`reserve` under `registries`",
        _ => return Some(format!("`{key}`")),
    };
    Some(format!("`{key}`; {does}"))
}

/// The rules of each set of tags; that of one without any is `*`.
fn rules(entry: &Node) -> Vec<Vec<(&'static str, Vec<String>)>> {
    let sets = get(entry, "tagSets").map(items).unwrap_or_default().iter();
    let sets = sets.chain(get(entry, "tags")).map(of_set);
    let sets: Vec<_> = sets.filter(|rules| !rules.is_empty()).collect();
    match sets.is_empty() {
        true => vec![vec![("include", vec!["*".to_owned()])]],
        false => sets,
    }
}

/// regsync takes the tags that a range has and `allow` matches, but those that `deny` matches. Its regexes match
/// whole tags, as ours do.
fn of_set(tags: &Node) -> Vec<(&'static str, Vec<String>)> {
    let of = |key| get(tags, key).map(texts).unwrap_or_default();
    let regexes = |key| of(key).iter().map(|regex| format!("/{regex}/")).collect::<Vec<_>>();
    let ranges = of("semverRange");
    let mut rules = Vec::new();
    if !ranges.is_empty() {
        rules.push(("semver", vec![ranges.join(" || ")]));
    }
    for (key, values) in [("include", regexes("allow")), ("exclude", regexes("deny"))] {
        if !values.is_empty() {
            rules.push((key, values));
        }
    }
    rules
}
