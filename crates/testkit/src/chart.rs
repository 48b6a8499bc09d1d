//! [`MadeChart`] and [`chart_repository`]: made-up Helm charts, and a classic repository of them.

use std::collections::BTreeMap;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use oci::Digest;

/// A Helm chart that was made up.
#[derive(Clone, Debug)]
pub struct MadeChart {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The `.tgz`.
    pub archive: Bytes,
}

impl MadeChart {
    /// A chart with these default values, as YAML.
    ///
    /// # Panics
    /// If it cannot be packed.
    pub fn new(name: &str, version: &str, values: &str) -> Self {
        let metadata =
            format!("apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: \"9\"\n");
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (file, content) in [("Chart.yaml", metadata.as_str()), ("values.yaml", values)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(1_700_000_000);
            let path = format!("{name}/{file}");
            archive.append_data(&mut header, path, content.as_bytes()).expect("a tar entry");
        }
        let archive = archive.into_inner().and_then(GzEncoder::finish).expect("an archive");
        Self { name: name.to_owned(), version: version.to_owned(), archive: archive.into() }
    }

    /// The digest of the archive.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.archive)
    }

    /// What its file is called.
    pub fn file(&self) -> String {
        format!("{}-{}.tgz", self.name, self.version)
    }
}

/// A classic repository below `path`, such as `/stable`, with an `index.yaml` as `helm repo index`
/// writes it. `urls` says where a chart is instead of beside the index.
pub fn chart_repository(
    path: &str,
    charts: &[MadeChart],
    urls: impl Fn(&MadeChart) -> Option<String>,
) -> Router {
    let mut entries: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
    let mut router = Router::new();
    for chart in charts {
        entries.entry(&chart.name).or_default().push(serde_json::json!({
            "apiVersion": "v2",
            "name": chart.name,
            "version": chart.version,
            "digest": chart.digest().hex(),
            "created": "2026-01-02T03:04:05.678Z",
            "urls": [urls(chart).unwrap_or_else(|| chart.file())],
        }));
        let archive = chart.archive.clone();
        router = router.route(
            &format!("{path}/{}", chart.file()),
            get(move || async move { archive.clone() }),
        );
    }
    // JSON is YAML, too.
    let index = serde_json::json!({ "apiVersion": "v1", "entries": entries }).to_string();
    router.route(&format!("{path}/index.yaml"), get(move || async move { index.clone() }))
}
