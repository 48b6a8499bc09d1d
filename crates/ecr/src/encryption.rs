//! Whether a repository is encrypted as wanted. It cannot be changed, so there is a note and no change.

use crate::{Encryption, Note, ObservedEncryption};

/// "The encryption settings can't be changed after creation"
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-create.html>), so it is said.
pub(crate) fn note(wanted: &Encryption, has: &ObservedEncryption) -> Option<Note> {
    let is_met = match wanted {
        Encryption::Aes256 => has.kind == "AES256",
        Encryption::Kms { key: None } => has.kind == "KMS",
        Encryption::Kms { key: Some(key) } if has.kind == "KMS" => {
            let used = has.key.as_deref().unwrap_or_default();
            if is_alias(key) && !is_alias(used) {
                return Some(Note::KeyNotCompared { alias: key.clone(), key: used.to_owned() });
            }
            is_key(key, used)
        }
        Encryption::Kms { key: Some(_) } => false,
    };
    let note = || Note::OtherEncryption { has: has.clone(), wanted: wanted.clone() };
    (!is_met).then(note)
}

fn is_alias(key: &str) -> bool {
    key.starts_with("alias/") || key.contains(":alias/")
}

/// An id is that of an ARN which ends with it.
fn is_key(key: &str, used: &str) -> bool {
    let id = |key: &str| key.rsplit('/').next().map(str::to_owned);
    key == used || (!(key.starts_with("arn:") && used.starts_with("arn:")) && id(key) == id(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_wanted_is_noted() {
        #[derive(Debug, PartialEq)]
        enum Verdict {
            Same,
            Other,
            NotKnown,
        }
        use Verdict::{NotKnown, Other, Same};
        let arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd";
        let elsewhere = "arn:aws:kms:eu-west-1:999999999999:key/1234abcd";
        let alias = "arn:aws:kms:eu-west-1:123456789012:alias/mirror";
        let kms = |key: &str| Encryption::Kms { key: Some(key.to_owned()) };
        let any = Encryption::Kms { key: None };
        let table = [
            (Encryption::Aes256, "AES256", None, Same),
            (Encryption::Aes256, "KMS", Some(arn), Other),
            (any.clone(), "KMS", Some(arn), Same),
            (any.clone(), "AES256", None, Other),
            (any, "KMS_DSSE", Some(arn), Other),
            (kms(arn), "KMS", Some(arn), Same),
            (kms("1234abcd"), "KMS", Some(arn), Same),
            (kms("5678"), "KMS", Some(arn), Other),
            (kms(elsewhere), "KMS", Some(arn), Other),
            (kms(arn), "AES256", None, Other),
            (kms(arn), "KMS_DSSE", Some(arn), Other),
            (kms("alias/mirror"), "KMS", Some(arn), NotKnown),
            (kms(alias), "KMS", Some(arn), NotKnown),
            (kms("alias/mirror"), "KMS", Some(alias), Same),
            (kms("alias/other"), "KMS", Some(alias), Other),
        ];
        for (wanted, kind, key, expected) in table {
            let has = ObservedEncryption { kind: kind.to_owned(), key: key.map(str::to_owned) };
            let note = note(&wanted, &has);
            let verdict = match &note {
                None => Same,
                Some(Note::KeyNotCompared { .. }) => NotKnown,
                Some(_) => Other,
            };
            assert_eq!(verdict, expected, "{wanted} {has}");
            assert_eq!(note.is_some_and(|note| note.is_unmet()), expected == Other);
        }
    }
}
