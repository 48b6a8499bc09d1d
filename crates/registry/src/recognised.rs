//! [`Recognised`]: which kind a registry is, and what tells: its settings, its name, its answers.

use std::sync::OnceLock;

use http::HeaderMap;
use oci::{Host, RegistryKind};

use crate::auth::Challenge;
use crate::probe::{KnownBy, ProfileFacts};
use crate::profile::{Profile, Sign};

/// The kind of one registry, as far as it is known by now.
pub(crate) struct Recognised {
    named: Named,
    /// By its answers, where the others do not tell.
    told: OnceLock<(&'static Profile, &'static Sign)>,
}

/// What tells before the registry is asked anything.
#[derive(Clone, Copy)]
enum Named {
    InSettings(&'static Profile),
    ByHost(&'static Profile),
}

impl Recognised {
    pub(crate) fn new(host: &Host, in_settings: Option<RegistryKind>) -> Self {
        let named = match in_settings {
            Some(kind) => Named::InSettings(Profile::of_kind(kind)),
            None => Named::ByHost(Profile::of(host)),
        };
        Self { named, told: OnceLock::new() }
    }

    pub(crate) fn profile(&self) -> &'static Profile {
        match self.named {
            Named::InSettings(profile) => profile,
            Named::ByHost(profile) => self.told.get().map_or(profile, |(told, _)| told),
        }
    }

    /// Learns from an answer to `GET /v2/`, unless the settings or the name tell.
    pub(crate) fn learn(&self, headers: &HeaderMap, challenge: Option<&Challenge>) {
        if let Named::ByHost(profile) = self.named
            && profile.kind == RegistryKind::Generic
            && let Some((profile, sign)) = Profile::told_by(headers, challenge)
            && self.told.set((profile, sign)).is_ok()
        {
            tracing::debug!(target: "registry", kind = %profile.kind, %sign, "recognised");
        }
    }

    /// What is taken for granted of the registry, and why.
    pub(crate) fn facts(&self) -> ProfileFacts {
        let profile = self.profile();
        let known_by = match (self.named, self.told.get()) {
            (Named::InSettings(_), _) => KnownBy::Settings,
            (Named::ByHost(_), Some((_, sign))) => KnownBy::Answer(sign.to_string()),
            (Named::ByHost(named), None) if named.kind == RegistryKind::Generic => KnownBy::Nothing,
            (Named::ByHost(_), None) => KnownBy::Name,
        };
        ProfileFacts {
            kind: profile.kind,
            known_by,
            chunks: profile.chunks,
            mounts_named_only: profile.mounts_named_only,
            referrers: profile.referrers,
            tags_per_page: profile.tags_per_page,
        }
    }
}
