//! What a target's request log shows of a signed copy: nothing has the image's tag before all of it is
//! there, signed, and nothing is signed that was not copied.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Mirroring;

impl Mirroring {
    /// Ends the test unless these manifests, named by digest, were signed in cosign's first form and these
    /// have bundles, no other, and the tag `1` came last of all. To be called after the one run that made
    /// the copy. That a manifest's own blobs come before it needs no look: no registry takes it else.
    #[track_caller]
    pub fn expect_order(&self, legacy: &BTreeSet<String>, bundles: &BTreeSet<String>) {
        let requests = self.bench.requests(&self.target);
        let accepted = |status: Option<u16>| status.is_none_or(|status| status < 300);
        let writes: Vec<&str> = requests
            .iter()
            .filter(|request| request.is_write() && accepted(request.status))
            .map(|request| request.path.as_str())
            .collect();
        let shown = writes.join("\n");
        let manifests = format!("/v2/{}/manifests/", self.target().split_once('/').unwrap().1);
        let tag = format!("{manifests}1");
        assert_eq!(writes.last(), Some(&tag.as_str()), "the tag is not the last:\n{shown}");
        assert_eq!(writes.iter().filter(|path| **path == tag).count(), 1, "{shown}");

        let put: Vec<&str> =
            writes.iter().filter_map(|path| path.strip_prefix(&manifests)).collect();
        let first = |digest: &str| put.iter().position(|name| *name == digest);
        let last = |name: &str| put.iter().rposition(|other| *other == name);
        let (mut signed, mut stated) = (BTreeSet::new(), BTreeSet::new());
        for name in put.iter().copied().collect::<BTreeSet<&str>>() {
            let is_digest = name.starts_with("sha256:");
            let manifest = self.manifest(&format!("{}{name}", if is_digest { '@' } else { ':' }));
            for child in manifest["manifests"].as_array().into_iter().flatten() {
                let child = child["digest"].as_str().unwrap();
                assert!(first(child) < last(name) && first(child).is_some(), "{child}:\n{shown}");
            }
            let subject = match (name.strip_suffix(".sig"), &manifest["subject"]["digest"]) {
                (Some(tag), _) => {
                    let subject = tag.replacen('-', ":", 1);
                    signed.insert(subject.clone());
                    subject
                }
                (None, Value::String(subject)) => {
                    stated.insert(subject.clone());
                    subject.clone()
                }
                _ => continue,
            };
            assert!(first(&subject).is_some() && first(&subject) < last(name), "{name}:\n{shown}");
            for layer in manifest["layers"].as_array().unwrap() {
                let what = self.blob(layer["digest"].as_str().unwrap());
                assert_eq!(about(&what), subject, "{name} speaks of something else");
            }
        }
        assert_eq!((&signed, &stated), (legacy, bundles), "{shown}");
    }

    /// What is at the copy's repository, `:TAG` or `@DIGEST`.
    fn manifest(&self, name: &str) -> Value {
        let reference = format!("{}{name}", self.target());
        serde_json::from_str(&self.bench.crane(["manifest", &reference])).unwrap()
    }

    fn blob(&self, digest: &str) -> Value {
        let reference = format!("{}@{digest}", self.target());
        serde_json::from_str(&self.bench.crane(["blob", &reference])).unwrap()
    }
}

/// The digest that is signed: that of simple signing's payload, or of a bundle's statement.
fn about(signed: &Value) -> String {
    if let Some(digest) = signed["critical"]["image"]["docker-manifest-digest"].as_str() {
        return digest.to_owned();
    }
    let statement = signed["dsseEnvelope"]["payload"].as_str().expect("a bundle");
    let statement: Value = serde_json::from_slice(&STANDARD.decode(statement).unwrap()).unwrap();
    format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap())
}
