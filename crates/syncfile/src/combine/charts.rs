//! Charts of all files together: the same rule for their targets as for images, version by version.

use oci::{Host, Location, Target};
use url::Url;

use super::{At, Content, Joined, What, comparable};
use crate::chart::{Chart, ChartEntry, ChartVersions, version_tag};
use crate::chart_source::ChartSource;
use crate::diagnostic::{Code, Diagnostic};

impl Joined<'_> {
    pub(super) fn add_chart(
        &mut self,
        found: &mut Vec<Diagnostic>,
        text: usize,
        entry: ChartEntry,
    ) {
        let at = At { text, span: entry.span };
        let ChartEntry { chart, version_spans, .. } = entry;
        let ChartVersions::Exact(versions) = &chart.versions else {
            return self.add_range(found, at, chart);
        };
        // Which versions are new may differ from target to target.
        let mut groups: Vec<(Vec<String>, Vec<Location>)> = Vec::new();
        for location in &chart.targets {
            let mut spans = version_spans.iter();
            let is_new = |version: &&String| {
                let span = spans.next().copied().unwrap_or(at.span);
                let Some(tag) = version_tag(version) else { return false };
                let content = Content {
                    what: What::Chart {
                        sources: chart.sources.clone(),
                        version: (*version).clone(),
                    },
                    signing: chart.signing.clone(),
                };
                let target = Target { location: location.clone(), tag };
                self.add_target(found, At { text, span }, &target, &content)
            };
            let new: Vec<String> = versions.iter().filter(is_new).cloned().collect();
            match groups.iter_mut().find(|(versions, _)| *versions == new) {
                Some((_, locations)) => locations.push(location.clone()),
                None => groups.push((new, vec![location.clone()])),
            }
        }
        for (versions, targets) in groups.into_iter().filter(|(new, _)| !new.is_empty()) {
            let versions = ChartVersions::Exact(versions);
            self.sync_file.charts.push(Chart { versions, targets, ..chart.clone() });
            self.charts.push(at);
        }
    }

    /// What a range holds is not known here; only the very same is said to be there twice.
    fn add_range(&mut self, found: &mut Vec<Diagnostic>, at: At, chart: Chart) {
        let is_same = |one: &Chart| {
            (&one.sources, &one.versions) == (&chart.sources, &chart.versions)
                && one.targets.iter().map(comparable).eq(chart.targets.iter().map(comparable))
                && one.signing.is_same(&chart.signing)
        };
        if let Some(first) = self.sync_file.charts.iter().position(is_same) {
            let first = self.place(self.charts.get(first).copied().unwrap_or(at));
            let message = "the same versions of a chart are wanted twice";
            let warning = Diagnostic::warning(Code::DuplicateImage, Some(self.place(at)), message);
            found.push(
                warning.label("again here; they are copied once").related(first, "first here"),
            );
            return;
        }
        self.sync_file.charts.push(chart);
        self.charts.push(at);
    }

    /// What an index says is believed, so nobody may change it on its way.
    pub(super) fn refuse_plain_http(&self, found: &mut [Vec<Diagnostic>]) {
        for (chart, at) in self.sync_file.charts.iter().zip(&self.charts) {
            let urls = chart.sources.iter().filter_map(|source| match source {
                ChartSource::Repository { url, .. } if url.scheme() == "http" => host(url),
                ChartSource::Repository { .. } | ChartSource::Registry(_) => None,
            });
            let Some(host) = urls.into_iter().find(|host| !self.may_be_plain(host)) else {
                continue;
            };
            if let Some(found) = found.get_mut(at.text) {
                let message = "the URL of the chart is plain http";
                let error = Diagnostic::error(Code::InvalidUrl, Some(self.place(*at)), message);
                found.push(error.help(format!(
                    "write `https://`, or allow it: `registries: {{ \"{host}\": {{ insecure: true }} }}`"
                )));
            }
        }
    }

    fn may_be_plain(&self, host: &Host) -> bool {
        let said = self.sync_file.registries.get(host).and_then(|entry| entry.insecure);
        said.unwrap_or_else(|| host.is_loopback())
    }
}

/// The host of a URL as a registry's is written, with its port.
fn host(url: &Url) -> Option<Host> {
    let host = url.host_str()?;
    match url.port() {
        Some(port) => format!("{host}:{port}").parse().ok(),
        None => host.parse().ok(),
    }
}
