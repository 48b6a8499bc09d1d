//! A chart as an OCI image: what `helm push` writes (Helm's `pkg/registry/client.go` and `chart.go`),
//! but the same on every run.

use std::collections::BTreeMap;

use bytes::Bytes;
use oci::{Algorithm, Content, Descriptor, Digest, Location, Manifest, MediaType, Tag};
use serde::Serialize;

use crate::chart::Chart;
use crate::error::{Error, Failure};
use crate::go_json;
use crate::metadata::{Maintainer, Metadata};

/// `Chart.yaml` as JSON.
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// The archive.
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// The provenance file.
const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";

/// A chart as an image, all of it in memory.
#[derive(Clone, Debug)]
pub struct ChartImage {
    /// The manifest.
    pub manifest: Manifest,
    /// What the manifest names: the config, and the layers in its order.
    pub blobs: Vec<(Descriptor, Bytes)>,
    /// The tag under which Helm looks for it.
    pub tag: Tag,
}

/// The manifest as Helm writes it; it has no `mediaType` there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HelmManifest<'a> {
    schema_version: u32,
    config: &'a Descriptor,
    layers: Vec<&'a Descriptor>,
    annotations: &'a BTreeMap<String, String>,
}

impl Chart {
    /// The chart as an image. The same archive and provenance file always give the same image.
    ///
    /// # Errors
    /// An [`Error`] of the kind `Invalid`, where the annotations of the chart make its manifest larger
    /// than registries take.
    pub fn image(&self) -> Result<ChartImage, Error> {
        self.make_image().map_err(|failure| failure.of(format!("chart `{}`", self.name())))
    }

    fn make_image(&self) -> Result<ChartImage, Failure> {
        let unwritable = |error: serde_json::Error| Failure::invalid(error.to_string());
        let config: Bytes = go_json::marshal(&self.metadata).map_err(unwritable)?.into();
        let mut layers = vec![(CONTENT, self.archive.clone())];
        layers.extend(self.provenance.iter().map(|provenance| (PROVENANCE, provenance.clone())));
        let described = |(media_type, content): (&str, Bytes)| {
            let digest = Digest::sha256(&content);
            let size = content.len() as u64;
            (Descriptor::new(MediaType::new(media_type), digest, size), content)
        };
        let mut layers: Vec<_> = layers.into_iter().map(described).collect();
        // Helm orders them so.
        layers.sort_by_key(|(descriptor, _)| descriptor.digest.to_string());
        let config = described((CONFIG, config));
        let manifest = HelmManifest {
            schema_version: 2,
            config: &config.0,
            layers: layers.iter().map(|(descriptor, _)| descriptor).collect(),
            annotations: &self.annotations(),
        };
        let manifest = go_json::marshal(&manifest).map_err(unwritable)?;
        let manifest =
            Manifest::parse(manifest.into(), Some(&MediaType::OCI_MANIFEST), Algorithm::Sha256)
                .map_err(|error| Failure::invalid(error.to_string()))?;
        let blobs = std::iter::once(config).chain(layers).collect();
        Ok(ChartImage { manifest, blobs, tag: self.tag().clone() })
    }

    /// The manifest's annotations, as Helm makes them of `Chart.yaml`, and `created`.
    ///
    /// Helm's `created` is when the archive was written to the disk of whoever pushes it, so the
    /// manifest has another digest each time. Here it is the time of the newest file *in the archive*:
    /// a part of the bytes that the chart is made of. The index's `created` is no such thing, because
    /// `helm repo index` without `--merge` writes the current time into every entry. An archive whose
    /// files have no time (one made to be reproducible) gets no `created`.
    fn annotations(&self) -> BTreeMap<String, String> {
        let Metadata {
            name, version, description, home, sources, maintainers, annotations, ..
        } = &self.metadata;
        let created = self.newest.map(|newest| newest.to_string()).unwrap_or_default();
        let own = [
            ("org.opencontainers.image.description", description.clone()),
            (TITLE, name.clone()),
            (VERSION, version.clone()),
            ("org.opencontainers.image.url", home.clone()),
            ("org.opencontainers.image.created", created),
            ("org.opencontainers.image.source", sources.first().cloned().unwrap_or_default()),
            ("org.opencontainers.image.authors", authors(maintainers)),
        ];
        let own = own.into_iter().filter(|(_, value)| !value.trim().is_empty());
        let mut all: BTreeMap<String, String> =
            own.map(|(key, value)| (key.to_owned(), value)).collect();
        // The chart's own go over them, but for its name and its version.
        let theirs = annotations.iter().filter(|(key, _)| *key != TITLE && *key != VERSION);
        all.extend(theirs.map(|(key, value)| (key.clone(), value.clone())));
        all
    }
}

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";

/// `Ann (ann@example.com), Bob`
fn authors(maintainers: &[Maintainer]) -> String {
    let one = |Maintainer { name, email, .. }: &Maintainer| match email.as_str() {
        "" => name.clone(),
        email => format!("{name} ({email})"),
    };
    maintainers.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The layer of a manifest that is a chart's archive; none where the manifest is not a chart.
///
/// Its digest decides whether a target has a chart already: manifests that Helm pushed differ by the
/// time of the push, but the archive is the same.
pub fn chart_layer(manifest: &Manifest) -> Option<&Descriptor> {
    let Content::Image(image) = manifest.content() else { return None };
    if image.config.as_ref()?.media_type != MediaType::new(CONFIG) {
        return None;
    }
    image.layers.iter().find(|layer| layer.media_type == MediaType::new(CONTENT))
}

/// Whether a manifest is that of a chart without a provenance file.
pub fn lacks_provenance(manifest: &Manifest) -> bool {
    let Content::Image(image) = manifest.content() else { return false };
    let is_provenance = |layer: &Descriptor| layer.media_type == MediaType::new(PROVENANCE);
    chart_layer(manifest).is_some() && !image.layers.iter().any(is_provenance)
}

/// Why `helm pull` cannot use a chart that lies there as it should; none where it can.
///
/// Helm knows a chart in a registry by the last part of its repository: it names the archive after
/// that, and `--verify` looks for that name in the provenance file.
pub fn pull_name_problem(location: &Location, chart: &str) -> Option<String> {
    let Location::Registry { host, repository } = location else { return None };
    let repository = repository.as_str();
    let (path, last) = repository.rsplit_once('/').unwrap_or(("", repository));
    if last == chart {
        return None;
    }
    let path = if path.is_empty() { String::new() } else { format!("{path}/") };
    Some(format!(
        "helm takes a chart at `{host}/{repository}` for one called `{last}`, and this one is \
         `{chart}`: `helm push` cannot push it there, and `helm pull --verify` fails; a repository \
         that helm can use is `{host}/{path}{last}/{chart}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::packed;

    fn chart(yaml: &str, changed: u64) -> Chart {
        Chart::from_archive(packed(&[("x/Chart.yaml", yaml)], changed).into(), None).unwrap()
    }

    fn annotations(yaml: &str) -> Vec<String> {
        let annotations = chart(yaml, 0).annotations();
        let short = |key: &str| key.replace("org.opencontainers.image.", "");
        annotations.iter().map(|(key, value)| format!("{}={value}", short(key))).collect()
    }

    const CHART: &str = "name: x\nversion: 1.0.0+b\n";

    #[test]
    fn the_manifest_is_helms() {
        let chart = chart(CHART, 1_700_000_000);
        let image = chart.image().unwrap();
        let config = r#"{"name":"x","version":"1.0.0+b","apiVersion":"v1"}"#;
        assert_eq!(image.blobs[0].1, config.as_bytes());
        let (archive, size) = (chart.digest(), chart.archive().len());
        let expected = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"{archive}","size":{size}}}],"annotations":{{"org.opencontainers.image.created":"2023-11-14T22:13:20Z","org.opencontainers.image.title":"x","org.opencontainers.image.version":"1.0.0+b"}}}}"#,
            Digest::sha256(config.as_bytes()),
            config.len(),
        );
        assert_eq!(image.manifest.bytes(), expected.as_bytes());
        assert_eq!(image.tag.as_str(), "1.0.0_b");
        assert_eq!(chart_layer(&image.manifest).unwrap().digest, archive);
        assert_eq!(chart.image().unwrap().manifest, image.manifest);
        assert!(lacks_provenance(&image.manifest));
    }

    #[test]
    fn a_provenance_file_is_a_layer_and_layers_are_in_the_order_of_their_digests() {
        let archive: Bytes = packed(&[("x/Chart.yaml", CHART)], 1).into();
        for number in 0..8 {
            let provenance = format!("-----BEGIN PGP SIGNED MESSAGE-----\n{number}");
            let chart = Chart::from_archive(archive.clone(), Some(provenance.into())).unwrap();
            let image = chart.image().unwrap();
            let digests: Vec<String> =
                image.blobs[1..].iter().map(|(layer, _)| layer.digest.to_string()).collect();
            assert!(digests.len() == 2 && digests.is_sorted(), "{digests:?}");
            assert_eq!(chart_layer(&image.manifest).unwrap().digest, chart.digest());
            assert!(!lacks_provenance(&image.manifest));
            for (descriptor, content) in &image.blobs {
                assert_eq!(descriptor.digest, Digest::sha256(content));
                assert_eq!(descriptor.size, content.len() as u64);
            }
        }
    }

    #[test]
    fn annotations_are_those_that_helm_makes() {
        let yaml = "name: x\nversion: 1.0.0\ndescription: ' '\nhome: h\nsources: [s, t]\n\
            maintainers: [{name: A, email: a@b}, {email: c@d}, {name: E}]\n\
            annotations: {k: '', org.opencontainers.image.title: no, org.opencontainers.image.url: u}";
        let expected =
            ["k=", "authors=A (a@b),  (c@d), E", "source=s", "title=x", "url=u", "version=1.0.0"];
        assert_eq!(annotations(yaml), expected);
        assert_eq!(annotations("name: x\nversion: 1.0.0"), ["title=x", "version=1.0.0"]);
    }

    #[test]
    fn what_is_no_chart_has_no_chart_layer() {
        let parse = |text: String| Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap();
        let digest = Digest::sha256(b"");
        let image = |config: &str| {
            parse(format!(
                r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{config}","digest":"{digest}","size":0}},"layers":[{{"mediaType":"{CONTENT}","digest":"{digest}","size":0}}]}}"#,
                MediaType::OCI_MANIFEST
            ))
        };
        assert!(chart_layer(&image(CONFIG)).is_some());
        assert!(chart_layer(&image("application/vnd.oci.image.config.v1+json")).is_none());
        let index = format!(r#"{{"mediaType":"{}","manifests":[]}}"#, MediaType::OCI_INDEX);
        assert!(chart_layer(&parse(index)).is_none());
    }

    #[test]
    fn a_repository_ends_with_the_charts_name() {
        let at = |repository: &str| Location::Registry {
            host: "registry.example.com".parse().unwrap(),
            repository: repository.parse().unwrap(),
        };
        assert_eq!(pull_name_problem(&at("charts/nginx"), "nginx"), None);
        assert_eq!(pull_name_problem(&at("nginx"), "nginx"), None);
        assert_eq!(pull_name_problem(&Location::Layout("x".into()), "nginx"), None);
        let problem = pull_name_problem(&at("charts/nginx-app"), "nginx").unwrap();
        assert!(problem.ends_with("`registry.example.com/charts/nginx-app/nginx`"), "{problem}");
    }
}
