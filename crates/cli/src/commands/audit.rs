//! `audit verify`: says whether an audit log is as it was written.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use report::{AuditVerdict, ExitStatus, Expected, Head, VerifyError};
use signing::{Signer, SignerSettings};

use crate::arguments::{AuditCommand, AuditCommandArguments, AuditVerifyArguments, OutputFormat};
use crate::audit::{SIGNATURE, beside};
use crate::environment::{self, Variable};
use crate::error::{CliError, with_causes};
use crate::run::Context;
use crate::settings::key_reference;

pub(crate) async fn execute(
    typed: &AuditCommandArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    context.log_lines()?;
    match &typed.command {
        AuditCommand::Verify(typed) => verify(typed, context).await,
    }
}

async fn verify(
    typed: &AuditVerifyArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let said = |typed: &Option<String>, variable: Variable| match typed {
        Some(typed) => Ok(Some(typed.clone())),
        None => Ok::<_, CliError>(context.environment.text(variable)?.map(|found| found.value)),
    };
    let output = match typed.output {
        Some(typed) => Some(typed),
        None => context.environment.choice(environment::OUTPUT)?,
    };
    let hashes = match typed.head.is_empty() {
        false => typed.head.clone(),
        true => said(&None, environment::HEAD)?.into_iter().collect(),
    };
    let hashes = hashes.iter().map(|text| hash("--head", text)).collect::<Result<_, _>>()?;
    let previous = said(&typed.previous, environment::PREVIOUS)?;
    let previous = previous.map(|text| hash("--previous", &text)).transpose()?;
    let key = said(&typed.key, environment::KEY)?;
    let signature = match &typed.signature {
        Some(typed) => Some(typed.clone()),
        None => context.environment.os_text(environment::SIGNATURE).map(|found| found.value.into()),
    };
    let (head, refused) = match (key, signature, typed.files.last()) {
        (Some(key), signature, Some(last)) => {
            let signature = signature.unwrap_or_else(|| beside(last, SIGNATURE));
            match signed(&key, &signature, context).await? {
                Ok(head) => (Some(head), None),
                Err(refused) => (None, Some(refused)),
            }
        }
        (None, Some(_), _) => {
            return Err(CliError::usage("there is a signature, but no key that must have made it")
                .hint("give the public key with --key"));
        }
        _ => (None, None),
    };
    let expected = Expected { previous, hashes, head };
    let verdict = match refused {
        Some(refused) => AuditVerdict::broken(&refused),
        None => match report::verify(&typed.files, &expected) {
            Ok(verified) => AuditVerdict::unbroken(&verified),
            Err(VerifyError::Broken(broken)) => AuditVerdict::broken(&broken),
            Err(VerifyError::Unreadable(file, error)) => {
                return Err(CliError::failed(format!(
                    "cannot read the audit log `{}`: {error}",
                    file.display()
                )));
            }
        },
    };
    context.result(&match output.unwrap_or(OutputFormat::Table) {
        OutputFormat::Table => verdict.to_string(),
        OutputFormat::Json => verdict.to_json().map_err(|error| {
            CliError::failed(format!("cannot write the verdict as JSON: {error}"))
        })?,
    })?;
    Ok(if verdict.unbroken { ExitStatus::Success } else { ExitStatus::Refused })
}

fn hash(flag: &str, text: &str) -> Result<String, CliError> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    match format!("sha256:{hex}").parse::<oci::Digest>() {
        Ok(_) => Ok(hex.to_owned()),
        Err(_) => Err(CliError::usage(format!(
            "{flag}: `{}` is not the hash of a line, which has 64 hex digits",
            text.escape_debug()
        ))),
    }
}

/// The head that was signed, if it was signed by the key.
async fn signed(
    key: &str,
    signature: &Path,
    context: &Context<'_>,
) -> Result<Result<Head, report::Break>, CliError> {
    let reference =
        key_reference(key).map_err(|problem| CliError::usage(format!("--key: {problem}")))?;
    let statement = PathBuf::from(signature.as_os_str().to_string_lossy().trim_end_matches(".sig"));
    let read = |file: &Path| {
        std::fs::read(file).map_err(|error| {
            CliError::failed(format!("cannot read `{}`: {error}", file.display()))
                .hint("--audit-key makes it at the end of each run; --signature says where it is")
        })
    };
    let (text, made) = (read(&statement)?, read(signature)?);
    let variables = context.environment.clone();
    let settings = SignerSettings::from_lookup(move |name| variables.even_empty(name).cloned())
        .with_fips(signing::is_fips());
    let public = Signer::new(reference, settings).public_key().await;
    let public =
        public.map_err(|error| CliError::failed(format!("--key: {}", with_causes(&error))))?;
    let made = STANDARD.decode(made.trim_ascii()).unwrap_or_default();
    let refused = |problem: String| report::Break {
        file: statement.clone(),
        line: 1,
        problem,
        hint: "find the head that was kept elsewhere, such as the one pushed beside the mirror"
            .into(),
    };
    if public.verify_any(&text, &made).is_err() {
        return Ok(Err(refused(format!("it is not signed by key {key}"))));
    }
    Ok(Head::read(&text)
        .map_err(|problem| refused(format!("it is no head of an audit log: {problem}"))))
}
