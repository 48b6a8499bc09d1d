//! `sign` and `verify-signature`: one image's signatures, without a copy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use oci::{Host, Location, Reference, Selector};
use report::{ExitStatus, SignatureDocument, SignatureVerdict};
use signing::KeyReference;
use signing::keyless::{Expected, Identity, InvalidExpectation, TrustedRoot};
use sync::{
    Demand, Engine, Event, Judged, Keyless, Mode, Options, SignWith, SignatureState,
    WantedSignatures, Witness,
};
use syncfile::RegistryEntry;
use uuid::Uuid;

use super::doctor::registries;
use super::sync::target_login;
use crate::arguments::{
    LoginArguments, OutputFormat, SignArguments, SigningArguments, VerifySignatureArguments,
};
use crate::audit::Audit;
use crate::environment::{self, Environment, Variable};
use crate::error::CliError;
use crate::run::Context;
use crate::settings::{AuditSettings, SigningSettings, TargetLogin, key_reference};
use crate::signatures;
use crate::wiring::{Clients, Limits, Peers};

pub(crate) async fn sign(
    typed: &SignArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    context.log_lines()?;
    let signing = SigningArguments {
        key: typed.key.clone(),
        former_key: Vec::new(),
        sign: Some(true),
        signature_format: typed.signature_format,
        sign_recursively: typed.sign_recursively,
        attest: Some(false),
        log: typed.log.clone(),
    };
    let signing = SigningSettings::new(&signing, context.environment)?.of_copy()?;
    let output = output(typed.output, context)?;
    let signing = signing.ok_or_else(|| CliError::usage("there is no key"))?;
    let with = signatures::sign_with(signing, &signatures::Logs::default())?;
    let (location, selector) = image(&typed.reference)?;
    let asked = WantedSignatures { sign: Some(with), demands: Vec::new() };
    let registries = registries(&typed.images_file, context)?;
    let place = Image { location, selector, login: &typed.login, registries };
    let settings = AuditSettings::new(&typed.audit, context.environment)?;
    let id = Uuid::now_v7().to_string();
    let audit = Audit::begin(&settings, &id, "sign", BTreeSet::new(), context).await?;
    let witness = audit.as_ref().map(Audit::witness);
    let engine = place.engine(&asked, Some(witness), context)?;
    let with: &SignWith = asked.sign.as_ref().ok_or_else(|| CliError::usage("there is no key"))?;
    let signed = engine.sign(&place.location, &place.selector, with).await;
    let mut status = signed.as_ref().map_or_else(ExitStatus::of_failure, |_| ExitStatus::Success);
    if let Some(audit) = audit {
        let outcome = match &signed {
            Ok((_, SignatureState::Signed)) => "signed",
            Ok(_) => "present",
            Err(_) => "failed",
        };
        let outcomes = [(outcome.to_owned(), 1)].into();
        let login = TargetLogin::new(&typed.login, context.environment)?;
        let peers = place.peers(login.as_ref());
        status = audit.end(outcomes, status, Some(&peers), context).await;
    }
    let (digest, state) = signed.map_err(|failure| CliError::of(&failure))?;
    let (done, state) = match state {
        SignatureState::Signed => ("signed", SignatureVerdict::Signed),
        _ => ("signed already", SignatureVerdict::Present),
    };
    let by = with.key.to_string();
    let line = format!("{done}: {}@{digest} by {by}\n", place.location);
    let document = || {
        SignatureDocument::new(typed.reference.clone(), digest.to_string(), state, vec![by.clone()])
    };
    context.result(&told(output, line, document)?)?;
    Ok(status)
}

pub(crate) async fn verify(
    typed: &VerifySignatureArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    context.log_lines()?;
    let output = output(typed.output, context)?;
    let demand = Arc::new(demand(typed, context.environment)?);
    let (location, selector) = image(&typed.reference)?;
    let asked = WantedSignatures { sign: None, demands: vec![Arc::clone(&demand)] };
    let registries = registries(&typed.images_file, context)?;
    let place = Image { location, selector, login: &typed.login, registries };
    let engine = place.engine(&asked, None, context)?;
    let judged = engine.judge(&place.location, &place.selector, demand).await;
    let Judged { digest, verdict } = judged.map_err(|failure| CliError::of(&failure))?;
    let reference = typed.reference.clone();
    let by = match verdict {
        Ok(by) => by,
        Err(failure) => {
            let problem = failure.message.clone();
            let document = || SignatureDocument::refused(reference, digest.to_string(), problem);
            context.result(&told(output, String::new(), document)?)?;
            return Err(CliError::of(&failure));
        }
    };
    let line = format!("valid: {}@{digest} by {}\n", place.location, by.join(", "));
    let valid = SignatureVerdict::Valid;
    let document = || SignatureDocument::new(reference, digest.to_string(), valid, by);
    context.result(&told(output, line, document)?)?;
    Ok(ExitStatus::Success)
}

fn output(typed: Option<OutputFormat>, context: &Context<'_>) -> Result<OutputFormat, CliError> {
    let found = match typed {
        Some(typed) => Some(typed),
        None => context.environment.choice(environment::OUTPUT)?,
    };
    Ok(found.unwrap_or(OutputFormat::Table))
}

/// What is printed, for people or for machines.
fn told(
    output: OutputFormat,
    line: String,
    document: impl FnOnce() -> SignatureDocument,
) -> Result<String, CliError> {
    match output {
        OutputFormat::Table => Ok(line),
        OutputFormat::Json => document().to_json().map_err(|error| {
            CliError::failed(format!("cannot write the signature as JSON: {error}"))
        }),
    }
}

/// One image, and how it is reached.
struct Image<'a> {
    location: Location,
    selector: Selector,
    login: &'a LoginArguments,
    registries: BTreeMap<Host, RegistryEntry>,
}

impl Image<'_> {
    /// An engine that knows the keys. Where it writes, someone may witness it.
    fn engine(
        &self,
        asked: &WantedSignatures,
        writes: Option<Option<Arc<dyn Witness>>>,
        context: &Context<'_>,
    ) -> Result<Engine, CliError> {
        let login = target_login(self.login, context)?;
        let peers = self.peers(login.as_ref());
        let (writes, witness) = (writes.is_some(), writes.flatten());
        let clients = Clients::new(&peers, writes, Limits::default(), context.environment)?;
        let mode = if writes { Mode::Sync } else { Mode::Verify };
        let keys = signatures::keys(std::iter::once(asked), context.environment);
        let options = Options { mode, keys, witness, ..Options::default() };
        // The one who signs or looks is the target's client: the login given is for it.
        let client = clients.target;
        Ok(Engine::new(client.clone(), client, options, Arc::new(|_: &Event| {})))
    }

    fn peers<'a>(&'a self, login: Option<&'a TargetLogin>) -> Peers<'a> {
        let login_hosts = match &self.location {
            Location::Registry { host, .. } => BTreeSet::from([host.clone()]),
            Location::Layout(_) | Location::Archive(_) | Location::Chart(_) => BTreeSet::new(),
        };
        Peers { registries: &self.registries, login, login_hosts }
    }
}

fn image(text: &str) -> Result<(Location, Selector), CliError> {
    let invalid = |error: oci::InvalidName| CliError::usage(error.to_string());
    let reference: Reference = text.parse().map_err(invalid)?;
    let selector = match (reference.digest, reference.tag) {
        (Some(digest), _) => Selector::Digest(digest),
        (None, Some(tag)) => Selector::Tag(tag),
        (None, None) => {
            return Err(CliError::usage(format!("`{text}` has neither a tag nor a digest"))
                .hint("say which image is meant, such as `…:1.0`"));
        }
    };
    Ok((reference.location, selector))
}

/// What is demanded: by flags, or by the variables that stand in for them.
fn demand(typed: &VerifySignatureArguments, environment: &Environment) -> Result<Demand, CliError> {
    let list = |typed: &[String], variable: Variable| match typed {
        [] => Ok(environment.text(variable)?.map(|found| found.value).into_iter().collect()),
        typed => Ok::<Vec<String>, CliError>(typed.to_vec()),
    };
    let keys = list(&typed.key, environment::KEY)?.into_iter().map(|key| {
        key_reference(&key).map_err(|problem| CliError::usage(format!("--key: {problem}")))
    });
    let keys = keys.collect::<Result<Vec<KeyReference>, CliError>>()?;
    let root = match &typed.trusted_root {
        Some(root) => Some(root.clone()),
        None => environment.os_text(environment::TRUSTED_ROOT).map(|found| found.value.into()),
    };
    if keys.is_empty() && root.is_none() {
        return Err(CliError::usage(
            "nobody is trusted: neither a key nor a trusted root is given",
        )
        .hint("give --key, or --trusted-root with an identity and an issuer"));
    }
    Ok(Demand {
        rule: "as demanded".to_owned(),
        keys,
        keyless: root.map(|root| keyless(&root, typed, environment)).transpose()?,
        is_required: true,
        attestations: list(&typed.attestation, environment::ATTESTATION)?,
    })
}

fn keyless(
    root: &Path,
    typed: &VerifySignatureArguments,
    environment: &Environment,
) -> Result<Keyless, CliError> {
    let trusted_root = TrustedRoot::read(root);
    let trusted_root = trusted_root.map_err(|error| CliError::usage(error.to_string()))?;
    let said = |typed: &Option<String>, variable: Variable| match typed {
        Some(typed) => Ok(Some(typed.clone())),
        None => Ok::<_, CliError>(environment.text(variable)?.map(|found| found.value)),
    };
    let expected = |exact: (&Option<String>, Variable), pattern: (&Option<String>, Variable)| {
        let flag = exact.1.flag;
        let wrong = |error: InvalidExpectation| CliError::usage(format!("--{flag}: {error}"));
        match (said(exact.0, exact.1)?, said(pattern.0, pattern.1)?) {
            (Some(exact), None) => Expected::exact(&exact).map_err(wrong),
            (None, Some(pattern)) => Expected::pattern(&pattern).map_err(wrong),
            (None, None) => Err(CliError::usage(format!("--{flag} is missing"))
                .hint("a trusted root says who may vouch for identities, not whose is trusted")),
            (Some(_), Some(_)) => {
                Err(CliError::usage(format!("--{flag} and --{flag}-regexp were both given")))
            }
        }
    };
    let subject = expected(
        (&typed.certificate_identity, environment::CERTIFICATE_IDENTITY),
        (&typed.certificate_identity_regexp, environment::CERTIFICATE_IDENTITY_REGEXP),
    )?;
    let issuer = expected(
        (&typed.certificate_oidc_issuer, environment::CERTIFICATE_OIDC_ISSUER),
        (&typed.certificate_oidc_issuer_regexp, environment::CERTIFICATE_OIDC_ISSUER_REGEXP),
    )?;
    Ok(Keyless { trusted_root, identities: vec![Identity { issuer, subject }] })
}
