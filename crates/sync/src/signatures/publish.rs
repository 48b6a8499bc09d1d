//! Makes signatures, tells the transparency log of them, and puts them where cosign looks for them.

use bytes::Bytes;
use jiff::Timestamp;
use oci::{Algorithm, Content, Descriptor, Digest, Location, Manifest, MediaType, Selector};
use signing::bundle::{self, Bundle, Envelope};
use signing::judge::Evidence;
use signing::simple_signing::{self, SignatureLayer};
use signing::transparency_log::{Proposal, TransparencyLog};
use signing::{PublicKey, Signer};

use super::found::Found;
use super::logged::logged;
use super::ours::failed;
use crate::act::{Act, ActKind};
use crate::place::Place;
use crate::tag_lists::cosign_tag;
use crate::walk::Walk;
use crate::{Class, Failure, Side};

/// Who signs, and the log that is told of it before anything is written.
#[derive(Clone, Copy)]
pub(super) struct Publisher<'a> {
    pub(super) signer: &'a Signer,
    pub(super) log: Option<&'a TransparencyLog>,
}

/// Appends a signature in cosign's first form to what is under the tag, by one PUT of its manifest,
/// and reads it back.
pub(super) async fn legacy(
    walk: &Walk,
    publisher: &Publisher<'_>,
    target: &Place,
    subject: Digest,
    found: &Found,
) -> Result<(), Failure> {
    let Publisher { signer, log } = *publisher;
    let key = signer.reference();
    let Some(tag) = cosign_tag(&subject, "sig") else {
        let message = format!("no tag can be named after {subject}: it is too long for one");
        return Err(Failure::new(Side::Target, Class::Unsupported, message)
            .with_hint("`signatureFormat: bundle` needs no such tag"));
    };
    if target.is_growing()
        && found.image.is_none()
        && target.resolve(&Selector::Tag(tag.clone())).await?.is_some()
    {
        let message = "an archive in the making has signatures already, and cannot be added to";
        return Err(Failure::new(Side::Target, Class::Unsupported, message).with_hint(
            "mirror into a folder, `oci:FOLDER/`, or sign with `signatureFormat: bundle`",
        ));
    }
    let payload = simple_signing::payload(&name_of(target), &subject);
    let signature = signer.sign(&payload).await;
    let signature = signature.map_err(|error| failed(Side::Target, key, &error))?;
    let mut layer = SignatureLayer::new(payload, &signature);
    if let Some(log) = log {
        let public = signer.public_key().await;
        let public = public.map_err(|error| failed(Side::Target, key, &error))?;
        let entry = logged(log, Proposal::of_layer(&layer, &public)).await?;
        layer = layer.with_entry(&entry);
    }
    let config = match &found.image {
        Some(image) => Some(config_of(target, image).await?),
        None => None,
    };
    let existing = found.image.as_ref().zip(config.as_deref());
    let image = simple_signing::append(existing, &layer).map_err(|error| {
        Failure::new(Side::Target, Class::Unsupported, format!("tag {tag}: {error}"))
    })?;
    for blob in image.blobs {
        write(target, blob).await?;
    }
    let manifest = parse(image.manifest, &image.media_type)?;
    let made = walk.acts.begin(|| {
        let mut act = Act::at_tag(ActKind::SignatureMade, target.location(), &tag);
        act.from = found.image.as_ref().map(Manifest::digest);
        act.to = Some(manifest.digest());
        act.evidence.subject = Some(subject);
        act.evidence.key = Some(key.to_string());
        act
    });
    let made = made.await?;
    target.move_tag(&tag, &manifest).await?;
    made.done(|_| ()).await?;
    if target.is_growing() || Found::at(target, subject).await?.includes(&Evidence::Layer(layer)) {
        return Ok(());
    }
    let message = format!("the signature under tag {tag} is not there when it is read back");
    Err(Failure::new(Side::Target, Class::Content, message)
        .with_hint("someone else writes the tag at the same time; run again"))
}

/// Makes a signature that is a bundle, as a referrer.
pub(super) async fn bundle(
    walk: &Walk,
    publisher: &Publisher<'_>,
    target: &Place,
    subject: &Descriptor,
) -> Result<(), Failure> {
    let statement = bundle::signature_statement(&subject.digest);
    statement_about(walk, publisher, target, subject, ActKind::SignatureMade, statement).await
}

/// Signs a statement and makes it a referrer of what it is about.
pub(super) async fn statement_about(
    walk: &Walk,
    publisher: &Publisher<'_>,
    target: &Place,
    subject: &Descriptor,
    kind: ActKind,
    statement: Vec<u8>,
) -> Result<(), Failure> {
    let Publisher { signer, log } = *publisher;
    let key = signer.reference();
    let failed = |error| failed(Side::Target, key, &error);
    let public: &PublicKey = &*signer.public_key().await.map_err(failed)?;
    let signature = signer.sign(&bundle::pae(bundle::STATEMENT_TYPE, &statement)).await;
    let unwritable = |error: &dyn std::error::Error| {
        Failure::new(Side::Target, Class::Key, format!("the signature cannot be written: {error}"))
    };
    let envelope = Envelope::new(statement, signature.map_err(failed)?);
    let entry = match log {
        Some(log) => Some(logged(log, Proposal::of_envelope(&envelope, public)).await?),
        None => None,
    };
    let bundle = Bundle::new(envelope, public, entry.as_ref());
    let bundle = bundle.map_err(|error| unwritable(&error))?;
    let referrer = bundle::referrer(&bundle, subject, Timestamp::now());
    let referrer = referrer.map_err(|error| unwritable(&error))?;
    for blob in referrer.blobs {
        write(target, blob).await?;
    }
    let manifest = parse(referrer.manifest, &MediaType::OCI_MANIFEST)?;
    let digest = manifest.digest();
    let made = walk.acts.begin(|| {
        let mut act = Act::at_digest(kind, target.location(), &digest);
        act.to = Some(digest);
        act.evidence.subject = Some(subject.digest);
        act.evidence.key = Some(key.to_string());
        act
    });
    let made = made.await?;
    let is_listed = target.put_manifest(&manifest).await?;
    made.done(|_| ()).await?;
    if !is_listed {
        walk.fallback_tags.add(&walk.acts, target, subject.digest, &[manifest]).await?;
    }
    Ok(())
}

/// What a signature says the image is called: its repository.
pub(super) fn name_of(place: &Place) -> String {
    match place.location() {
        Location::Registry { host, repository } => format!("{host}/{repository}"),
        other => other.to_string(),
    }
}

async fn config_of(place: &Place, image: &Manifest) -> Result<Bytes, Failure> {
    match image.content() {
        Content::Image(oci::Image { config: Some(config), .. }) => place.read_small(config).await,
        Content::Image(_) | Content::Index(_) => Ok(Bytes::from_static(b"{}")),
    }
}

async fn write(place: &Place, content: Bytes) -> Result<(), Failure> {
    let digest = Digest::sha256(&content);
    let octets = MediaType::new("application/octet-stream");
    place.write_small(&Descriptor::new(octets, digest, content.len() as u64), content).await
}

fn parse(bytes: Bytes, media_type: &MediaType) -> Result<Manifest, Failure> {
    Manifest::parse(bytes, Some(media_type), Algorithm::Sha256).map_err(|error| {
        let message = format!("the signature's manifest is none: {error}");
        Failure::new(Side::Target, Class::Key, message)
    })
}
