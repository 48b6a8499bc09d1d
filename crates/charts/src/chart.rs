//! [`Chart`]: one version of a chart, its archive read and found to be what it says.

use bytes::Bytes;
use jiff::Timestamp;
use oci::{Digest, Tag};

use crate::archive;
use crate::error::{Error, Failure};
use crate::metadata::Metadata;
use crate::version::version_tag;
use crate::yaml;

/// One version of a chart: its archive, and its provenance file where there is one.
#[derive(Clone, Debug)]
pub struct Chart {
    pub(crate) metadata: Metadata,
    pub(crate) archive: Bytes,
    pub(crate) provenance: Option<Bytes>,
    pub(crate) newest: Option<Timestamp>,
    digest: Digest,
    tag: Tag,
    warnings: Vec<String>,
}

/// What a provenance file begins with: it is a message signed by PGP in clear text.
const PROVENANCE_BEGINS: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";

impl Chart {
    /// Reads a chart from its archive (a `.tgz`), with its provenance file.
    ///
    /// # Errors
    /// An [`Error`] of the kind `Invalid` where Helm could not load it, or its version can be no tag.
    pub fn from_archive(archive: Bytes, provenance: Option<Bytes>) -> Result<Self, Error> {
        Self::read(archive, provenance).map_err(|failure| failure.of("chart"))
    }

    pub(crate) fn read(archive: Bytes, provenance: Option<Bytes>) -> Result<Self, Failure> {
        let keep = |path: &str| matches!(path, "Chart.yaml" | "requirements.yaml");
        let content = archive::read(&archive, keep)?;
        let parsed = |path: &str| -> Result<Option<yaml::Value>, Failure> {
            let Some(text) = content.text(path) else { return Ok(None) };
            yaml::document(text?).map_err(|failure| failure.within(&format!("`{path}`")))
        };
        let chart = parsed("Chart.yaml")?.ok_or_else(|| {
            Failure::invalid("the archive has no `Chart.yaml`, or nothing is in it")
        })?;
        let metadata = Metadata::read(&chart, parsed("requirements.yaml")?.as_ref())
            .map_err(|failure| failure.within("`Chart.yaml`"))?;
        let tag = version_tag(&metadata.version).map_err(|error| {
            Failure::invalid(format!("its version can be no tag: {}", error.problem()))
        })?;
        let digest = Digest::sha256(&archive);
        let newest = content.newest;
        let mut chart =
            Self { metadata, archive, provenance: None, newest, digest, tag, warnings: Vec::new() };
        if let Some(provenance) = provenance {
            chart.take_provenance(provenance);
        }
        Ok(chart)
    }

    fn take_provenance(&mut self, provenance: Bytes) {
        // Some servers answer with a page where there is nothing.
        if !is_provenance(&provenance) {
            self.warnings.push("what stands where its provenance file would is none".to_owned());
            return;
        }
        // It has the archive's digest in a list of files.
        let digest = self.digest.hex();
        if !provenance.windows(digest.len()).any(|part| part == digest.as_bytes()) {
            self.warnings.push(
                "its provenance file is about another archive, `helm pull --verify` will refuse it"
                    .to_owned(),
            );
        }
        self.provenance = Some(provenance);
    }

    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Its name, as its `Chart.yaml` has it.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Its version, as its `Chart.yaml` has it.
    pub fn version(&self) -> &str {
        &self.metadata.version
    }

    /// The tag that it has in a registry.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Whether its maintainers say that it is kept up no longer.
    pub fn is_deprecated(&self) -> bool {
        self.metadata.deprecated
    }

    /// Its archive.
    pub fn archive(&self) -> &Bytes {
        &self.archive
    }

    /// The archive's digest, which decides whether two images have the same chart.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its provenance file, which `helm pull --verify` checks.
    pub fn provenance(&self) -> Option<&Bytes> {
        self.provenance.as_ref()
    }

    /// What is not as it should be, but stops nobody.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Whether it looks like a provenance file at all.
pub(crate) fn is_provenance(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(PROVENANCE_BEGINS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::packed;
    use crate::error::ErrorKind;

    const CHART: &str = "apiVersion: v2\nname: nginx\nversion: 1.0.0+b\n";

    fn read(files: &[(&str, &str)], provenance: Option<&str>) -> Result<Chart, Error> {
        let provenance = provenance.map(|text| Bytes::from(text.to_owned()));
        Chart::from_archive(packed(files, 1).into(), provenance)
    }

    #[test]
    fn a_chart_is_what_its_archive_says() {
        let chart = read(&[("nginx/Chart.yaml", CHART)], None).unwrap();
        assert_eq!((chart.name(), chart.version()), ("nginx", "1.0.0+b"));
        assert_eq!(chart.tag().as_str(), "1.0.0_b");
        assert_eq!(chart.digest(), Digest::sha256(chart.archive()));
        assert!(chart.provenance().is_none() && chart.warnings().is_empty());
    }

    #[test]
    fn an_archive_without_a_chart_is_refused() {
        let long = CHART.replace("+b", &format!("+{}", "b".repeat(130)));
        for (files, expected) in [
            (&[("nginx/values.yaml", "")][..], "no `Chart.yaml`"),
            (&[("nginx/Chart.yaml", "# nothing")], "no `Chart.yaml`"),
            (&[("nginx/Chart.yaml", "name: [")], "`Chart.yaml`: line 1 is not valid YAML"),
            (&[("nginx/Chart.yaml", "name: x")], "`Chart.yaml`: `version` is missing"),
            (&[("nginx/Chart.yaml", &long)], "its version can be no tag: a tag has at most 128"),
        ] {
            let error = read(files, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_provenance_file_is_looked_at() {
        let files = [("nginx/Chart.yaml", CHART)];
        let digest = read(&files, None).unwrap().digest().hex();
        let signed = format!("-----BEGIN PGP SIGNED MESSAGE-----\nfiles:\n  x: sha256:{digest}\n");
        let chart = read(&files, Some(&signed)).unwrap();
        assert!(chart.provenance().is_some() && chart.warnings().is_empty());
        let chart = read(&files, Some(&signed.replace(&digest, "00"))).unwrap();
        assert!(chart.provenance().is_some());
        assert!(chart.warnings()[0].contains("about another archive"));
        let chart = read(&files, Some("<html>not found</html>")).unwrap();
        assert!(chart.provenance().is_none() && chart.warnings()[0].ends_with("is none"));
    }
}
