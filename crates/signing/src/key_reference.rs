//! [`KeyReference`]: where a key is, in cosign's own spelling.
//!
//! What each scheme accepts is what sigstore accepts (sigstore/sigstore `pkg/signature/kms/*/client.go`,
//! cosign `pkg/blob/load.go`), and a little more where the vendor does: bare vault names (Azure) and
//! the partitions that AWS added since.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a key is. Two spellings of one key are equal, and are displayed alike.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeyReference {
    /// A key of AWS KMS: `awskms://[ENDPOINT]/KEY`.
    Aws {
        /// The host to ask, with its port; AWS's own if none is given.
        endpoint: Option<String>,
        /// A key's id or ARN, or an alias with its prefix `alias/`, or an alias's ARN.
        key: String,
    },
    /// A key of Google Cloud KMS: `gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    Google {
        /// The key's resource name, without the scheme and the version.
        key: String,
        /// The version to sign with; the newest that is enabled if none is given.
        version: Option<String>,
    },
    /// A key of Azure Key Vault: `azurekms://VAULT/KEY[/VERSION]`.
    Azure {
        /// The vault's name, or its host.
        vault: String,
        /// The key's name.
        key: String,
        /// The version to sign with; the newest if none is given.
        version: Option<String>,
    },
    /// A key of the transit engine of HashiCorp Vault or `OpenBao`: `hashivault://KEY`.
    Vault {
        /// The key's name.
        key: String,
    },
    /// A key in PEM in an environment variable: `env://NAME`.
    Variable(String),
    /// A key in PEM in a file.
    File(PathBuf),
    /// A public key in PEM itself.
    Inline(String),
}

/// A text that is no key reference. It never quotes what may be a private key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{input} is no key reference: {problem}")]
pub struct InvalidKeyReference {
    input: String,
    problem: String,
}

const AWS: &str = "awskms";
const GOOGLE: &str = "gcpkms";
const AZURE: &str = "azurekms";
const VAULT: &str = "hashivault";
/// The same engine by its other name (sigstore `hashivault/client.go`, `AlternativeScheme`).
const OPEN_BAO: &str = "openbao";
const VARIABLE: &str = "env";
const SCHEMES: [&str; 6] = [AWS, GOOGLE, AZURE, VAULT, OPEN_BAO, VARIABLE];

impl FromStr for KeyReference {
    type Err = InvalidKeyReference;

    fn from_str(input: &str) -> Result<Self, Self::Err> {
        if input.contains("-----BEGIN ") {
            return inline(input);
        }
        let (parsed, right) = match input.split_once("://") {
            None => (file(input), "write the path of a key file"),
            Some((AWS, rest)) => (
                aws(rest),
                "write awskms://[ENDPOINT]/KEY, where KEY is a key's id or ARN, alias/NAME or an \
                 alias's ARN; without an endpoint there are three slashes",
            ),
            Some((GOOGLE, rest)) => (
                google(rest),
                "write gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY, \
                 with /cryptoKeyVersions/VERSION for one version",
            ),
            Some((AZURE, rest)) => (
                azure(rest),
                "write azurekms://VAULT/KEY or azurekms://VAULT/KEY/VERSION, where VAULT is a \
                 vault's name or host",
            ),
            Some((VAULT | OPEN_BAO, rest)) => (
                vault(rest),
                "write hashivault://KEY, where KEY is a key's name in the transit engine",
            ),
            Some((VARIABLE, rest)) => (variable(rest), "write env://NAME"),
            Some((scheme, _)) => return Err(invalid(input, &other_scheme(scheme))),
        };
        parsed.ok_or_else(|| invalid(input, right))
    }
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws { endpoint, key } => {
                write!(f, "{AWS}://{}/{key}", endpoint.as_deref().unwrap_or_default())
            }
            Self::Google { key, version: None } => write!(f, "{GOOGLE}://{key}"),
            Self::Google { key, version: Some(version) } => {
                write!(f, "{GOOGLE}://{key}/cryptoKeyVersions/{version}")
            }
            Self::Azure { vault, key, version: None } => write!(f, "{AZURE}://{vault}/{key}"),
            Self::Azure { vault, key, version: Some(version) } => {
                write!(f, "{AZURE}://{vault}/{key}/{version}")
            }
            Self::Vault { key } => write!(f, "{VAULT}://{key}"),
            Self::Variable(name) => write!(f, "{VARIABLE}://{name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Inline(_) => f.write_str("an inline public key"),
        }
    }
}

fn invalid(input: &str, problem: &str) -> InvalidKeyReference {
    InvalidKeyReference { input: format!("`{input}`"), problem: problem.to_owned() }
}

fn inline(input: &str) -> Result<KeyReference, InvalidKeyReference> {
    let problem = if input.contains("PRIVATE KEY") {
        "a private key must not be written here; put it into a file and give its path, or into an \
         environment variable and write env://NAME"
    } else if input.contains("-----BEGIN PUBLIC KEY-----") {
        return Ok(KeyReference::Inline(input.trim().to_owned()));
    } else {
        "it is PEM, but not of a public key (-----BEGIN PUBLIC KEY-----)"
    };
    Err(InvalidKeyReference { input: "the PEM text".to_owned(), problem: problem.to_owned() })
}

fn file(input: &str) -> Option<KeyReference> {
    let is_path = !input.trim().is_empty() && !input.contains(['\n', '\0']);
    is_path.then(|| KeyReference::File(PathBuf::from(input)))
}

/// `keyIDRE`, `keyARNRE`, `aliasNameRE` and `aliasARNRE` of sigstore's `aws/client.go`.
fn aws(rest: &str) -> Option<KeyReference> {
    let (endpoint, key) = rest.split_once('/')?;
    let id = key.strip_prefix("arn:").map_or(Some(key), in_arn)?;
    let is_alias = |name: &str| !name.is_empty() && name.chars().all(is_alias_character);
    let is_right = match id.strip_prefix("alias/") {
        Some(name) => is_alias(name),
        // An ARN says that it is one of a key.
        None if key.starts_with("arn:") => id.strip_prefix("key/").is_some_and(is_aws_id),
        None => is_aws_id(id),
    };
    let is_endpoint = endpoint.chars().all(is_host_character);
    let endpoint = Some(endpoint.to_owned()).filter(|endpoint| !endpoint.is_empty());
    (is_right && is_endpoint).then(|| KeyReference::Aws { endpoint, key: key.to_owned() })
}

/// What an ARN of KMS names: `PARTITION:kms:REGION:ACCOUNT:WHAT`.
fn in_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(5, ':');
    let partition = parts.next()?;
    let is_kms = parts.next()? == "kms";
    let (region, account, what) = (parts.next()?, parts.next()?, parts.next()?);
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let is_region = !region.is_empty()
        && region.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let is_account = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
    let is_partition = partition.starts_with("aws") && is_word(partition);
    (is_partition && is_kms && is_region && is_account).then_some(what)
}

/// A UUID with or without dashes, or the id of a multi-Region key (`mrk-…`).
fn is_aws_id(id: &str) -> bool {
    let id = id.strip_prefix("mrk-").unwrap_or(id);
    let digits = id.chars().filter(|c| *c != '-').count();
    digits == 32 && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// `^[a-zA-Z0-9/_-]+$` (AWS KMS `CreateAlias`).
fn is_alias_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-')
}

fn is_host_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']')
}

/// `re` of sigstore's `gcp/client.go`.
fn google(rest: &str) -> Option<KeyReference> {
    let mut parts = rest.split('/');
    for name in ["projects", "locations", "keyRings", "cryptoKeys"] {
        let is_named = parts.next()? == name;
        // A project's id may begin with its domain (`example.com:project`).
        let is_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        let value = parts.next()?;
        if !is_named || value.is_empty() || !value.chars().all(is_id) {
            return None;
        }
    }
    let version = match (parts.next(), parts.next(), parts.next()) {
        (None, None, None) => None,
        (Some("cryptoKeyVersions" | "versions"), Some(version), None) => {
            let is_number = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit());
            is_number.then(|| Some(version.to_owned()))?
        }
        _ => return None,
    };
    let key = rest.split('/').take(8).collect::<Vec<_>>().join("/");
    Some(KeyReference::Google { key, version })
}

/// `referenceRegex` of sigstore's `azure/client.go`.
fn azure(rest: &str) -> Option<KeyReference> {
    let mut parts = rest.split('/');
    let (vault, key, version) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let is_name = |text: &str, is: fn(char) -> bool| !text.is_empty() && text.chars().all(is);
    let is_right = is_name(vault, is_host_character)
        && is_name(key, |c| c.is_ascii_alphanumeric() || c == '-')
        && version.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        && parts.next().is_none();
    let version = Some(version.to_owned()).filter(|version| !version.is_empty());
    is_right.then(|| KeyReference::Azure { vault: vault.to_owned(), key: key.to_owned(), version })
}

/// `referenceRegex` of sigstore's `hashivault/client.go`: `\w(([\w-.]+)?\w)?`.
fn vault(rest: &str) -> Option<KeyReference> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_right = rest.chars().all(|c| is_word(c) || matches!(c, '-' | '.'))
        && rest.starts_with(is_word)
        && rest.ends_with(is_word);
    is_right.then(|| KeyReference::Vault { key: rest.to_owned() })
}

fn variable(rest: &str) -> Option<KeyReference> {
    let is_name = !rest.is_empty() && !rest.contains(['=', '\0', '/', '\n']);
    is_name.then(|| KeyReference::Variable(rest.to_owned()))
}

/// What is wrong with a scheme that none of ours is.
fn other_scheme(scheme: &str) -> String {
    match scheme {
        "file" => "write the path of a key file without `file://`".to_owned(),
        "http" | "https" => "a key is not fetched from a web server; store it as a file, and give \
                             its path"
            .to_owned(),
        "k8s" => "mount the Kubernetes secret as files, and give the path of cosign.key".to_owned(),
        _ => format!("`{scheme}://` is none of {}://, nor is it a path", SCHEMES.join("://, ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n";

    fn parse(text: &str) -> KeyReference {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_sigstore_accepts_in_its_tests() {
        // aws/client_test.go, gcp/client_test.go, azure/client_test.go, hashivault/client_test.go.
        let table = [
            "awskms:///1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms://localhost:4566/1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:///mrk-1234abcd12ab34cd56ef1234567890ab",
            "awskms:///arn:aws:kms:us-east-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:///arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:///arn:aws:kms:us-east-2:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
            "awskms://localhost:4566/arn:aws:kms:us-east-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:///alias/ExampleAlias",
            "awskms://localhost:4566/alias/ExampleAlias",
            "awskms:///arn:aws:kms:us-east-2:111122223333:alias/ExampleAlias",
            "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k",
            "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "azurekms://mykeyvaultname.vault.azure.net/mykeyname",
            "azurekms://mykeyvaultname.vault.azure.net/mykeyname/9d4ba9e4a7a94a5fb3d1d9f5e4d4b4a3",
            "azurekms://mykeyvaultname/mykeyname",
            "hashivault://mykey",
            "hashivault://my-key.v1_x",
            "hashivault://k",
            "env://COSIGN_PRIVATE_KEY",
            "cosign.key",
            "/etc/keys/cosign.pub",
        ];
        for text in table {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn parts_of_a_reference() {
        let aws = parse(&format!("awskms://kms.eu-west-1.amazonaws.com/{ID}"));
        let endpoint = Some("kms.eu-west-1.amazonaws.com".to_owned());
        assert_eq!(aws, KeyReference::Aws { endpoint, key: ID.to_owned() });
        let key = "projects/example.com:p/locations/l/keyRings/r/cryptoKeys/k".to_owned();
        let google = parse(&format!("gcpkms://{key}/versions/2"));
        assert_eq!(google, KeyReference::Google { key, version: Some("2".to_owned()) });
    }

    #[test]
    fn spellings_of_one_key_are_equal() {
        let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
        let table = [
            (format!("gcpkms://{key}/versions/1"), format!("gcpkms://{key}/cryptoKeyVersions/1")),
            ("azurekms://vault/key/".to_owned(), "azurekms://vault/key".to_owned()),
            ("openbao://key".to_owned(), "hashivault://key".to_owned()),
        ];
        for (one, other) in table {
            assert_eq!(parse(&one), parse(&other));
        }
    }

    #[test]
    fn what_is_wrong_is_quoted_with_what_would_be_right() {
        let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
        let table: &[(&str, &str)] = &[
            ("", "write the path"),
            ("awskms://", "awskms://[ENDPOINT]/KEY"),
            ("awskms://1234abcd-12ab-34cd-56ef-1234567890ab", "three slashes"),
            ("awskms:///1234abcd-12ab-34cd-56ef", "awskms://"),
            ("awskms:///alias/", "awskms://"),
            (
                "awskms:///arn:aws:kms:us-east-2:1111:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                "ARN",
            ),
            ("awskms:///arn:aws:s3:us-east-2:111122223333:alias/x", "ARN"),
            ("awskms://user@host/alias/x", "awskms://"),
            ("gcpkms://projects/p/locations/l/keyRings/r", "cryptoKeys/KEY"),
            (&format!("gcpkms://{key}/cryptoKeyVersions/"), "cryptoKeyVersions/VERSION"),
            (&format!("gcpkms://{key}/versions/1/2"), "gcpkms://"),
            ("gcpkms://projects//locations/l/keyRings/r/cryptoKeys/k", "gcpkms://"),
            ("azurekms://vault", "azurekms://VAULT/KEY"),
            ("azurekms://vault/key/version/more", "azurekms://VAULT/KEY"),
            ("azurekms://vault/ke y", "azurekms://VAULT/KEY"),
            ("hashivault://", "hashivault://KEY"),
            ("hashivault://a/b", "hashivault://KEY"),
            ("hashivault://-a", "hashivault://KEY"),
            ("env://", "env://NAME"),
            ("file:///cosign.key", "without `file://`"),
            ("https://example.com/cosign.pub", "web server"),
            ("k8s://namespace/name", "mount"),
            ("awsksm:///alias/x", "is none of awskms://, gcpkms://"),
        ];
        for (text, right) in table {
            let error = text.parse::<KeyReference>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is no key reference: ")), "{error}");
            assert!(error.contains(right), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_public_key_may_be_written_inline_and_a_private_one_is_never_shown() {
        assert_eq!(parse(PEM), KeyReference::Inline(PEM.trim().to_owned()));
        assert_eq!(parse(PEM).to_string(), "an inline public key");
        for kind in ["PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY"] {
            let pem = format!("-----BEGIN {kind}-----\nc2VjcmV0\n-----END {kind}-----");
            let error = pem.parse::<KeyReference>().unwrap_err();
            assert!(error.to_string().contains("must not be written here"), "{error}");
            assert!(!format!("{error} {error:?}").contains("c2VjcmV0"), "{error:?}");
        }
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
        let error = certificate.parse::<KeyReference>().unwrap_err().to_string();
        assert!(error.contains("not of a public key"), "{error}");
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_it_accepts_is_read_again(
            text in r"((awskms|gcpkms|azurekms|hashivault|openbao|env|\PC{0,4})://)?(\PC{0,40}|[a-z0-9/:.-]{0,80})",
        ) {
            if let Ok(reference) = text.parse::<KeyReference>() {
                prop_assert_eq!(reference.to_string().parse::<KeyReference>(), Ok(reference));
            }
        }
    }
}
