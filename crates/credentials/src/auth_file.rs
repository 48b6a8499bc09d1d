//! [`AuthFile`]: what Docker's `config.json` and containers' `auth.json` say about credentials.
//!
//! Both are one format. No secret reaches an error: a parser's message may quote what it read.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use oci::{Host, Repository};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::key::{candidates, plain};
use crate::{Credential, Error};

/// The part of the file that is about credentials; everything else in it is left alone.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AuthFile {
    #[serde(default)]
    auths: Option<BTreeMap<String, Option<Entry>>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

/// One value of `auths`.
#[derive(Debug, Default, Deserialize)]
struct Entry {
    /// Base64 of `user:password`.
    auth: Option<Hidden>,
    /// What Kubernetes writes beside `auth`, and people instead of it.
    username: Option<String>,
    password: Option<Hidden>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<Hidden>,
    #[serde(rename = "registrytoken")]
    registry_token: Option<Hidden>,
}

/// A secret text of the file.
struct Hidden(SecretString);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// A program to ask, as a file names it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct HelperName<'a> {
    /// What follows `docker-credential-`.
    pub(crate) name: &'a str,
    /// The key that names it.
    pub(crate) key: &'static str,
}

impl AuthFile {
    /// Reads a file's content; `place` names the file, or the variable, in errors.
    pub(crate) fn parse(content: &[u8], place: &str) -> Result<Self, Error> {
        // Windows editors begin a file with a byte order mark.
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii();
        // Docker takes an empty file for one that says nothing.
        if content.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(content).map_err(|error| Error::Invalid {
            place: place.to_owned(),
            problem: if error.is_data() {
                // The message itself would quote the value, which may be a password.
                format!(
                    "a value at line {}, column {} is not of the kind it should be",
                    error.line(),
                    error.column()
                )
            } else {
                format!("it is not valid JSON: {error}")
            },
            hint:
                "it must be the JSON that `docker login` writes, itself and not the path of a file"
                    .to_owned(),
        })
    }

    /// The credential that `auths` itself holds, under the most specific key that has one.
    pub(crate) fn inline(
        &self,
        host: &Host,
        repository: Option<&Repository>,
        place: &str,
    ) -> Result<Option<Credential>, Error> {
        let Some(auths) = &self.auths else { return Ok(None) };
        for candidate in candidates(host, repository) {
            // Of several ways to write a key, the plain one wins.
            let written_so = auths.get_key_value(&candidate);
            let meaning_it = auths.iter().filter(|(key, _)| plain(key) == candidate);
            for (key, entry) in written_so.into_iter().chain(meaning_it) {
                let Some(entry) = entry else { continue };
                if let Some(credential) = entry.credential(key, place)? {
                    return Ok(Some(credential));
                }
            }
        }
        Ok(None)
    }

    /// The helper that `credHelpers` names for the host.
    pub(crate) fn helper(&self, host: &Host) -> Option<HelperName<'_>> {
        let helpers = self.helpers.as_ref()?;
        candidates(host, None).iter().find_map(|candidate| {
            let (_, name) =
                helpers.iter().find(|(key, name)| !name.is_empty() && plain(key) == *candidate)?;
            Some(HelperName { name, key: "credHelpers" })
        })
    }

    /// The helper that keeps whatever no other one does.
    pub(crate) fn store(&self) -> Option<HelperName<'_>> {
        let name = self.store.as_deref().filter(|name| !name.is_empty())?;
        Some(HelperName { name, key: "credsStore" })
    }

    /// Whether `auths` mentions the host: `docker login` leaves an empty entry there for each login
    /// that it gives to the store.
    pub(crate) fn mentions(&self, host: &Host) -> bool {
        let candidates = candidates(host, None);
        self.auths
            .as_ref()
            .is_some_and(|auths| auths.keys().any(|key| candidates.contains(&plain(key))))
    }
}

impl Entry {
    /// What the entry holds; none for the empty entry that stands for "the store has it".
    fn credential(&self, key: &str, place: &str) -> Result<Option<Credential>, Error> {
        let filled = |hidden: &Option<Hidden>| {
            hidden
                .as_ref()
                .map(|hidden| &hidden.0)
                .filter(|text| !text.expose_secret().is_empty())
                .cloned()
        };
        if let Some(token) = filled(&self.registry_token) {
            return Ok(Some(Credential::Bearer(token)));
        }
        if let Some(token) = filled(&self.identity_token) {
            return Ok(Some(Credential::IdentityToken(token)));
        }
        if let Some(auth) = filled(&self.auth) {
            return basic(&auth).map(Some).map_err(|problem| Error::Invalid {
                place: place.to_owned(),
                problem: format!("`auth` of `{key}` {problem}"),
                hint: format!(
                    "write the base64 form of `user:password` there, or run `docker login {}`",
                    plain(key)
                ),
            });
        }
        let username = self.username.clone().unwrap_or_default();
        let password = filled(&self.password);
        if username.is_empty() && password.is_none() {
            return Ok(None);
        }
        Ok(Some(Credential::Basic { username, password: password.unwrap_or_default() }))
    }
}

/// Base64 with or without its padding: people make these by hand.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads the base64 form of `user:password`.
fn basic(auth: &SecretString) -> Result<Credential, &'static str> {
    let bytes = BASE64.decode(auth.expose_secret().trim()).map_err(|_| "is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "is not text when decoded")?;
    let (username, password) = text.split_once(':').ok_or("has no `:` when decoded")?;
    Ok(Credential::Basic {
        username: username.to_owned(),
        // Docker pads with NUL what it writes (docker/cli, configfile.decodeAuth).
        password: SecretString::from(password.trim_matches('\0')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::exposed;

    fn encoded(text: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(text)
    }

    fn found(auths: &str, host: &str, repository: &str) -> String {
        let file = AuthFile::parse(format!(r#"{{"auths":{auths}}}"#).as_bytes(), "f").unwrap();
        let repository = (!repository.is_empty()).then(|| repository.parse().unwrap());
        let credential = file.inline(&host.parse().unwrap(), repository.as_ref(), "f");
        credential.unwrap().map_or("none".to_owned(), |credential| exposed(&credential))
    }

    #[test]
    fn an_entry_is_read_in_every_form() {
        let table = [
            (format!(r#"{{"auth":"{}"}}"#, encoded("u:p:w")), "basic u:p:w"),
            (format!(r#"{{"auth":"{}"}}"#, encoded("u:pw").trim_end_matches('=')), "basic u:pw"),
            (format!(r#"{{"auth":"{}\n"}}"#, encoded("u:p\0\0")), "basic u:p"),
            (r#"{"username":"u","password":"p"}"#.into(), "basic u:p"),
            (r#"{"username":"u","password":"p","email":"e","auth":""}"#.into(), "basic u:p"),
            (format!(r#"{{"auth":"{}","identitytoken":"i"}}"#, encoded("0000:")), "identity i"),
            (r#"{"registrytoken":"r","identitytoken":"i"}"#.into(), "bearer r"),
            (r#"{}"#.into(), "none"),
            (r#"{"auth":"","identitytoken":""}"#.into(), "none"),
            ("null".into(), "none"),
        ];
        for (entry, expected) in table {
            assert_eq!(found(&format!(r#"{{"r.io":{entry}}}"#), "r.io", ""), expected, "{entry}");
        }
    }

    #[test]
    fn the_most_specific_key_wins() {
        let entry = |user: &str| format!(r#"{{"username":"{user}","password":"p"}}"#);
        let auths = format!(
            r#"{{"r.io":{},"r.io/a":{},"r.io/a/b":{},"https://other.io:5000/v1/":{},"quay.io:443":{},
                "https://index.docker.io/v1/":{},"docker.io/team":{},"both.io":{{}},"https://both.io":{}}}"#,
            entry("host"),
            entry("a"),
            entry("b"),
            entry("port"),
            entry("quay"),
            entry("hub"),
            entry("team"),
            entry("both"),
        );
        let table = [
            ("r.io", "", "host"),
            ("r.io", "x", "host"),
            ("r.io", "ab", "host"),
            ("r.io", "a", "a"),
            ("r.io", "a/c", "a"),
            ("r.io", "a/b/c", "b"),
            ("R.io", "a/b", "b"),
            ("r.io:5000", "a", ""),
            ("other.io:5000", "a", "port"),
            ("other.io", "a", ""),
            ("quay.io", "a", "quay"),
            ("docker.io", "library/nginx", "hub"),
            ("index.docker.io", "", "hub"),
            ("registry-1.docker.io", "team/app", "team"),
            ("both.io", "", "both"),
        ];
        for (host, repository, user) in table {
            let expected =
                if user.is_empty() { "none".to_owned() } else { format!("basic {user}:p") };
            assert_eq!(found(&auths, host, repository), expected, "{host}/{repository}");
        }
    }

    #[test]
    fn helpers_are_found_by_every_form_of_the_host() {
        let file = AuthFile::parse(
            br#"{"credsStore":"desktop","credHelpers":{"1.dkr.ecr.eu-west-1.amazonaws.com":"ecr-login",
                "https://index.docker.io/v1/":"hub","r.io:443":"tls","empty.io":""},"auths":{"https://seen.io":{}}}"#,
            "f",
        )
        .unwrap();
        let table = [
            ("1.dkr.ecr.eu-west-1.amazonaws.com", Some("ecr-login")),
            ("docker.io", Some("hub")),
            ("r.io", Some("tls")),
            ("r.io:5000", None),
            ("empty.io", None),
        ];
        for (host, expected) in table {
            let found = file.helper(&host.parse().unwrap());
            assert_eq!(found.map(|helper| helper.name), expected, "{host}");
        }
        assert_eq!(file.store(), Some(HelperName { name: "desktop", key: "credsStore" }));
        assert!(file.mentions(&"seen.io".parse().unwrap()));
        assert!(!file.mentions(&"r.io".parse().unwrap()));
    }

    #[test]
    fn what_says_nothing_is_fine() {
        for content in ["", " \n", "{}", "\u{feff}{}", r#"{"auths":null,"credHelpers":null}"#] {
            let file = AuthFile::parse(content.as_bytes(), "f").unwrap();
            let host = "r.io".parse().unwrap();
            assert!(file.inline(&host, None, "f").unwrap().is_none(), "{content}");
            assert_eq!(file.store(), None);
        }
    }

    #[test]
    fn errors_name_the_place_and_never_quote_a_secret() {
        let table = [
            ("{", "it is not valid JSON: EOF"),
            (r#"{"auths": hunter2}"#, "it is not valid JSON"),
            (r#"{"auths": "hunter2"}"#, "a value at line 1, column 19 is not of the kind"),
            (r#"{"auths": {"r.io": "hunter2"}}"#, "is not of the kind"),
            (r#"{"auths": {"r.io": {"auth": ["hunter2"]}}}"#, "is not of the kind"),
            (r#"{"auths": {"r.io": {"auth": "hunter2!"}}}"#, "`auth` of `r.io` is not base64"),
            (r#"{"auths": {"r.io": {"auth": "aHVudGVyMg=="}}}"#, "has no `:` when decoded"),
        ];
        for (content, expected) in table {
            let host = "r.io".parse().unwrap();
            let error = AuthFile::parse(content.as_bytes(), "/etc/config.json")
                .and_then(|file| file.inline(&host, None, "/etc/config.json"))
                .unwrap_err();
            let text = format!("{error}");
            assert!(text.starts_with("/etc/config.json cannot be used: "), "{text}");
            assert!(text.contains(expected), "{content}: {text}");
            let all = format!("{error:?} {text} {}", error.hint());
            assert!(!all.contains("hunter2") && !all.contains("aHVudGVy"), "{all}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let content = br#"{"auths":{"r.io":{"auth":"hunter2","password":"hunter2",
            "identitytoken":"hunter2","registrytoken":"hunter2"}}}"#;
        let file = AuthFile::parse(content, "f").unwrap();
        assert!(!format!("{file:?}").contains("hunter2"));
    }
}
