//! The audit log of a run: opened before anything is done, closed when all is, then signed and pushed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use oci::{Digest, Location, MediaType, Selector, Tag};
use report::{AuditFile, AuditLog, AuditRun, Document, Ending, ExitStatus, HEAD_TYPE, Head};
use serde_json::{Value, json};
use sync::{Artifact, Engine, Keys, Options, SignWith, SignatureFormat, WantedSignatures, Witness};

use crate::error::{CliError, with_causes};
use crate::run::Context;
use crate::settings::AuditSettings;
use crate::wiring::{Clients, Limits, Peers};
use crate::{signatures, who};

/// What kind of artifact a pushed log is.
const ARTIFACT_TYPE: &str = "application/vnd.image-syncer.audit.v1";

/// Its lines.
const LINES_TYPE: &str = "application/vnd.image-syncer.audit.lines.v1+jsonl";

/// The signature of its head, as `cosign verify-blob` takes it.
const SIGNATURE_TYPE: &str = "application/vnd.image-syncer.audit.signature.v1";

/// The audit log that a run keeps.
pub(crate) struct Audit<'a> {
    log: Arc<AuditLog>,
    settings: &'a AuditSettings,
    id: String,
}

impl<'a> Audit<'a> {
    /// Opens the log and records that the run begins; nothing where none is kept.
    ///
    /// # Errors
    /// It cannot be written, is no audit log, or is not as it was written. Then nothing may be done.
    pub(crate) async fn begin(
        settings: &'a AuditSettings,
        id: &str,
        command: &str,
        files: BTreeSet<&str>,
        context: &Context<'_>,
    ) -> Result<Option<Self>, CliError> {
        let Some(path) = &settings.log else { return Ok(None) };
        let run = AuditRun {
            id: id.to_owned(),
            command: command.to_owned(),
            tool: concat!("image-syncer ", env!("CARGO_PKG_VERSION")).to_owned(),
            who: who::of_this_process(context.environment),
            files: files.into_iter().filter_map(facts).collect(),
            fips: signing::is_fips(),
        };
        let log = AuditLog::open(path, run)
            .await
            .map_err(|error| CliError::failed(error.to_string()).hint(error.hint()))?;
        Ok(Some(Self { log: Arc::new(log), settings, id: id.to_owned() }))
    }

    /// Who records acts.
    pub(crate) fn witness(&self) -> Arc<dyn Witness> {
        Arc::clone(&self.log) as Arc<dyn Witness>
    }

    /// Records that the run has ended, and how; then signs the log and pushes it, as far as that was
    /// asked for. What could not be done is told, and counts as a failure of the run.
    pub(crate) async fn end(
        &self,
        outcomes: BTreeMap<String, u64>,
        status: ExitStatus,
        pushes: Option<&Peers<'_>>,
        context: &Context<'_>,
    ) -> ExitStatus {
        let worse = |status| match status {
            ExitStatus::Success | ExitStatus::ChangesPending => ExitStatus::ItemFailed,
            other => other,
        };
        let status = match self.log.problem() {
            Some(_) => worse(status),
            None => status,
        };
        let ending = Ending { outcomes, exit_code: status.code() };
        let head = match self.log.finish(ending).await {
            Ok(head) => head,
            Err(problem) => {
                tracing::error!(
                    hint = problem.hint,
                    "the end of the run is not in the audit log: {problem}"
                );
                return worse(status);
            }
        };
        // A future of its own on the heap: pushing and signing are deep.
        match Box::pin(self.publish(&head, pushes, context)).await {
            Ok(()) => status,
            Err(problem) => {
                tracing::error!("{problem}");
                worse(status)
            }
        }
    }

    /// Signs the head, and pushes it with the lines of the run.
    async fn publish(
        &self,
        head: &Head,
        pushes: Option<&Peers<'_>>,
        context: &Context<'_>,
    ) -> Result<(), String> {
        let asked = WantedSignatures {
            sign: self.settings.key.clone().map(|key| SignWith {
                key,
                former: Vec::new(),
                format: SignatureFormat::Legacy,
                recursively: false,
                attest: false,
                log: None,
            }),
            demands: Vec::new(),
        };
        let keys = signatures::keys(std::iter::once(&asked), context.environment);
        let text =
            head.to_json().map_err(|error| format!("the head cannot be written: {error}"))?;
        let mut layers = Vec::new();
        if let Some(with) = &asked.sign {
            let signature = sign(&keys, with, text.as_bytes()).await?;
            for (ending, content) in [(HEAD, &text), (SIGNATURE, &signature)] {
                let file = beside(self.log.path(), ending);
                write(&file, content).map_err(|error| {
                    format!(
                        "cannot write the head of the audit log into `{}`: {error}",
                        file.display()
                    )
                })?;
            }
            layers.push(Layer::new("audit.head.sig", SIGNATURE_TYPE, signature));
        }
        let (Some(location), Some(peers)) = (&self.settings.push, pushes) else { return Ok(()) };
        let failed =
            |problem: String| format!("cannot push the audit log to {location}: {problem}");
        let lines = self.log.lines().map_err(|error| failed(error.to_string()))?;
        layers.insert(0, Layer::new("audit.jsonl", LINES_TYPE, lines));
        layers.insert(1, Layer::new("audit.head", HEAD_TYPE, text));
        let artifact = artifact(head, layers);
        let clients = Clients::new(peers, true, Limits::default(), context.environment);
        let client = clients.map_err(|error| failed(error.render(str::to_owned)))?.target;
        let options = Options { keys, ..Options::default() };
        let engine = Engine::new(client.clone(), client, options, Arc::new(|_: &sync::Event| {}));
        let tag: Tag = format!("run-{}", self.id)
            .parse()
            .map_err(|error: oci::InvalidName| failed(error.to_string()))?;
        let digest = push(&engine, location, &tag, artifact, asked.sign.as_ref()).await;
        let digest = digest.map_err(|failure| failed(failure.message))?;
        tracing::info!("the audit log of this run is at {location}:{tag}@{digest}");
        Ok(())
    }
}

/// How many items of a report had each outcome, by its words.
pub(crate) fn outcomes(document: &Document) -> BTreeMap<String, u64> {
    let mut outcomes = BTreeMap::new();
    for item in &document.items {
        if let Ok(Value::String(outcome)) = serde_json::to_value(item.outcome) {
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    outcomes
}

const HEAD: &str = ".head";
pub(crate) const SIGNATURE: &str = ".head.sig";

/// A file beside a log.
pub(crate) fn beside(log: &Path, ending: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What is known of a sync file; nothing of standard input.
fn facts(path: &str) -> Option<AuditFile> {
    let digest = Digest::sha256(&std::fs::read(path).ok()?).to_string();
    Some(AuditFile { path: path.to_owned(), digest })
}

/// A signature as `cosign sign-blob` writes it.
async fn sign(keys: &Keys, with: &SignWith, text: &[u8]) -> Result<String, String> {
    let signer = keys.get(&with.key).ok_or("nothing is known of the key")?;
    let signature = signer.sign(text).await.map_err(|error| {
        format!(
            "the head of the audit log is not signed: key {}: {}",
            with.key,
            with_causes(&error)
        )
    })?;
    Ok(STANDARD.encode(signature))
}

/// Whoever reads the file finds all of it or what was there before.
fn write(file: &Path, content: &str) -> std::io::Result<()> {
    let partial = beside(file, ".new");
    std::fs::write(&partial, content)?;
    std::fs::rename(partial, file)
}

struct Layer {
    title: &'static str,
    media_type: &'static str,
    content: Bytes,
}

impl Layer {
    fn new(title: &'static str, media_type: &'static str, content: impl Into<Bytes>) -> Self {
        Self { title, media_type, content: content.into() }
    }
}

/// An artifact as the image spec has it ("Guidelines for Artifact Usage").
fn artifact(head: &Head, layers: Vec<Layer>) -> Artifact {
    let described = layers.iter().map(|layer| {
        json!({
            "mediaType": layer.media_type,
            "digest": Digest::sha256(&layer.content),
            "size": layer.content.len(),
            "annotations": { "org.opencontainers.image.title": layer.title },
        })
    });
    let empty = Bytes::from_static(b"{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": Digest::sha256(&empty),
            "size": empty.len(),
            "data": "e30=",
        },
        "layers": described.collect::<Vec<_>>(),
        "annotations": { "org.opencontainers.image.created": head.time },
    });
    let blobs = std::iter::once(empty).chain(layers.into_iter().map(|layer| layer.content));
    Artifact { manifest: manifest.to_string().into(), blobs: blobs.collect() }
}

async fn push(
    engine: &Engine,
    location: &Location,
    tag: &Tag,
    artifact: Artifact,
    with: Option<&SignWith>,
) -> Result<Digest, sync::Failure> {
    let digest = engine.publish(location, tag, artifact).await?;
    if let Some(with) = with {
        engine.sign(location, &Selector::Digest(digest), with).await?;
    }
    Ok(digest)
}
