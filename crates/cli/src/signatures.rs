//! Joins the crate `signing` to the engine: what images ask of signatures, the keys that they name,
//! and what `verify` demands of sources.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use oci::{Digest, Location};
use signing::keyless::{Expected, Identity, TrustedRoot};
use signing::transparency_log::{LogKeys, TransparencyLog};
use signing::{KeyReference, Signer, SignerSettings};
use sync::{
    Demand, Keyless, Keys, Origin, Provenance, SignWith, SignatureFormat, SyncFileFacts,
    WantedSignatures,
};
use syncfile::{IdentityText, SyncFile, VerifyMode, VerifyRule};

use crate::environment::Environment;
use crate::error::CliError;
use crate::settings::{ImageSigning, LogSettings, SigningSettings, key_of_file};

/// What a run's images ask of signatures.
pub(crate) struct Signatures<'a> {
    settings: &'a SigningSettings,
    /// The rules, each with what it demands.
    demands: Vec<(&'a VerifyRule, Arc<Demand>)>,
    logs: Logs,
}

/// The transparency logs that are named, each once.
#[derive(Default)]
pub(crate) struct Logs(RefCell<BTreeMap<LogSettings, Arc<TransparencyLog>>>);

impl Logs {
    /// The log that is meant. Its key's file is read; it is not asked for anything.
    fn of(&self, settings: LogSettings) -> Result<Arc<TransparencyLog>, CliError> {
        if let Some(log) = self.0.borrow().get(&settings) {
            return Ok(Arc::clone(log));
        }
        let log = LogKeys::read(&settings.key)
            .and_then(|keys| TransparencyLog::new(&settings.url, keys))
            .map_err(|error| {
                let failed = CliError::usage(error.to_string());
                match error.hint() {
                    Some(hint) => failed.hint(hint),
                    None => failed,
                }
            })?;
        let log = Arc::new(log);
        self.0.borrow_mut().insert(settings, Arc::clone(&log));
        Ok(log)
    }
}

impl<'a> Signatures<'a> {
    /// Reads what the rules of the sync file name: keys as they are written, trusted roots as files.
    pub(crate) fn new(
        settings: &'a SigningSettings,
        sync_file: &'a SyncFile,
    ) -> Result<Self, CliError> {
        let demands = sync_file.verify.iter().map(|rule| Ok((rule, Arc::new(demand(rule)?))));
        let demands = demands.collect::<Result<_, CliError>>()?;
        Ok(Self { settings, demands, logs: Logs::default() })
    }

    /// What an image asks that comes from `source` and says this of its signing.
    pub(crate) fn of(
        &self,
        signing: &syncfile::Signing,
        source: &Location,
    ) -> Result<WantedSignatures, CliError> {
        let matching = self.demands.iter().filter(|(rule, _)| rule.source.matches(source));
        let sign = self.settings.of_image(signing)?;
        Ok(WantedSignatures {
            sign: sign.map(|sign| sign_with(sign, &self.logs)).transpose()?,
            demands: matching.map(|(_, demand)| Arc::clone(demand)).collect(),
        })
    }
}

/// How the engine signs, as it was said.
pub(crate) fn sign_with(signing: ImageSigning, logs: &Logs) -> Result<SignWith, CliError> {
    let ImageSigning { key, former, format, recursively, attest, log } = signing;
    let format = match format {
        syncfile::SignatureFormat::Legacy => SignatureFormat::Legacy,
        syncfile::SignatureFormat::Bundle => SignatureFormat::Bundle,
        syncfile::SignatureFormat::Both => SignatureFormat::Both,
    };
    let log = log.map(|log| logs.of(log)).transpose()?;
    Ok(SignWith { key, former, format, recursively, attest, log })
}

/// A signer for every key that is named. No key is opened, and no service asked.
pub(crate) fn keys<'a>(
    wanted: impl Iterator<Item = &'a WantedSignatures>,
    environment: &Environment,
) -> Keys {
    let variables = environment.clone();
    let settings = SignerSettings::from_lookup(move |name| variables.even_empty(name).cloned())
        .with_fips(signing::is_fips());
    let mut keys = Keys::new();
    for wanted in wanted {
        let trusted = wanted.demands.iter().flat_map(|demand| &demand.keys);
        let signing = wanted.sign.iter().flat_map(|with| once(&with.key).chain(&with.former));
        for key in signing.chain(trusted) {
            let signer = || Arc::new(Signer::new(key.clone(), settings.clone()));
            keys.entry(key.clone()).or_insert_with(signer);
        }
    }
    keys
}

/// What statements about the mirroring say of a run that goes by these files. Nothing is looked at
/// where none is to be made.
pub(crate) fn provenance<'a>(
    wanted: impl Iterator<Item = (&'a WantedSignatures, Option<&'a Origin>)>,
) -> Provenance {
    let attested =
        wanted.filter(|(signatures, _)| signatures.sign.as_ref().is_some_and(|with| with.attest));
    let files: BTreeSet<&str> =
        attested.filter_map(|(_, origin)| origin).map(|origin| origin.file.as_str()).collect();
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sync_files: files.into_iter().filter_map(facts).collect(),
    }
}

/// What is known of a file; nothing of standard input, or where it is gone meanwhile.
fn facts(file: &str) -> Option<SyncFileFacts> {
    let content = std::fs::read(file).ok()?;
    let folder = Path::new(file).parent().filter(|folder| !folder.as_os_str().is_empty());
    let revision = Command::new("git")
        .current_dir(folder.unwrap_or(Path::new(".")))
        .args(["rev-parse", "--verify", "HEAD"])
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|done| done.status.success());
    let revision = revision.and_then(|done| String::from_utf8(done.stdout).ok());
    Some(SyncFileFacts {
        path: file.to_owned(),
        digest: Digest::sha256(&content),
        revision: revision.map(|revision| revision.trim().to_owned()),
    })
}

fn demand(rule: &VerifyRule) -> Result<Demand, CliError> {
    let keys = rule.keys.iter().map(key_of_file);
    let keyless = rule.keyless.as_ref().map(|keyless| {
        let at = |problem: String| CliError::usage(format!("{}: {problem}", rule.origin));
        let trusted_root = TrustedRoot::read(&keyless.trusted_root);
        let identities = keyless.identities.iter().map(|identity| {
            let (issuer, subject) = (expected(&identity.issuer), expected(&identity.subject));
            Ok(Identity { issuer: issuer.map_err(at)?, subject: subject.map_err(at)? })
        });
        let identities = identities.collect::<Result<_, CliError>>()?;
        let trusted_root = trusted_root.map_err(|error| at(error.to_string()))?;
        Ok::<_, CliError>(Keyless { trusted_root, identities })
    });
    Ok(Demand {
        rule: format!("{}:{}", rule.origin.file.display(), rule.origin.line),
        keys: keys.collect::<Result<Vec<KeyReference>, CliError>>()?,
        keyless: keyless.transpose()?,
        is_required: rule.mode == VerifyMode::Required,
        attestations: rule.attestations.clone(),
    })
}

fn expected(text: &IdentityText) -> Result<Expected, String> {
    let expected = match text {
        IdentityText::Exact(exact) => Expected::exact(exact),
        IdentityText::Pattern(pattern) => Expected::pattern(pattern.as_str()),
    };
    expected.map_err(|error| error.to_string())
}
