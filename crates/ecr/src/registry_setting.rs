//! [`BlobMounting`]: the one setting of a whole registry that repositories can want.
//!
//! Account settings are those of whoever asks: their calls take no registry
//! (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutAccountSetting.html>). So it is
//! looked first whose credentials we have.

use std::fmt;

use oci::Repository;
use serde::Serialize;

use crate::{Client, Error, Wanted, Writer};

const NAME: &str = "BLOB_MOUNTING";

/// A change of whether layers can be mounted from one repository into another.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobMounting {
    /// Whether they will be.
    pub enabled: bool,
}

impl fmt::Display for BlobMounting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |enabled| if enabled { "yes" } else { "no" };
        let (from, to) = (word(!self.enabled), word(self.enabled));
        write!(f, "~ blob mounting, in the whole registry: {from} → {to}")
    }
}

/// Two repositories of one registry that want opposite things of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "blobMounting is a setting of the whole registry: `{enabled}` wants it, `{disabled}` does not; \
     write the same in both"
)]
pub struct Conflict {
    /// One that wants it.
    pub enabled: Repository,
    /// One that does not.
    pub disabled: Repository,
}

/// What the repositories of one registry want of it; none where none of them says anything.
///
/// # Errors
/// [`Conflict`] where they do not agree.
pub fn wanted_blob_mounting<'a>(
    wanted: impl IntoIterator<Item = &'a Wanted>,
) -> Result<Option<bool>, Conflict> {
    let (mut enabled, mut disabled) = (None, None);
    for wanted in wanted {
        match wanted.blob_mounting {
            Some(true) => enabled = enabled.or(Some(&wanted.name)),
            Some(false) => disabled = disabled.or(Some(&wanted.name)),
            None => {}
        }
    }
    match (enabled.cloned(), disabled.cloned()) {
        (Some(enabled), Some(disabled)) => Err(Conflict { enabled, disabled }),
        (None, None) => Ok(None),
        (enabled, _) => Ok(Some(enabled.is_some())),
    }
}

impl Client {
    /// What must change so that blobs can be mounted, or not; none if it is so. Only reads.
    ///
    /// # Errors
    /// [`Error`] where the setting cannot be read, or is not that of this registry's account.
    pub async fn blob_mounting(&self, wanted: bool) -> Result<Option<BlobMounting>, Error> {
        let (account, value) = self.account_setting(NAME).await?;
        let registry = self.registry().account();
        if account != registry {
            let message = format!(
                "the setting {NAME} is that of account {account}, whose credentials these are, not of \
                 {registry}"
            );
            let hint = format!("use credentials of account {registry}, or leave blobMounting out");
            return Err(self.reading().get_account_setting.failed(message).with_hint(hint));
        }
        let change = BlobMounting { enabled: wanted };
        Ok((value.eq_ignore_ascii_case("ENABLED") != wanted).then_some(change))
    }
}

impl Writer {
    /// Makes the change that [`Client::blob_mounting`] found.
    ///
    /// # Errors
    /// [`Error`] where AWS does not.
    pub async fn apply_blob_mounting(&self, change: BlobMounting) -> Result<(), Error> {
        let value = if change.enabled { "ENABLED" } else { "DISABLED" };
        let action = &self.writing().put_account_setting;
        action
            .call(|client, of_action| {
                client
                    .put_account_setting()
                    .name(NAME)
                    .value(value)
                    .customize()
                    .config_override(of_action)
                    .send()
            })
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str, blob_mounting: Option<bool>) -> Wanted {
        Wanted { blob_mounting, ..Wanted::new(name.parse().unwrap()) }
    }

    #[test]
    fn a_registry_has_one_setting() {
        let all = [wanted("aa", None), wanted("bb", Some(true)), wanted("cc", Some(false))];
        assert_eq!(wanted_blob_mounting(&all[..1]), Ok(None));
        assert_eq!(wanted_blob_mounting(&all[..2]), Ok(Some(true)));
        assert_eq!(wanted_blob_mounting([&all[0], &all[2]]), Ok(Some(false)));
        let conflict = wanted_blob_mounting(&all).unwrap_err().to_string();
        assert!(conflict.contains("`bb` wants it, `cc` does not"), "{conflict}");
    }
}
