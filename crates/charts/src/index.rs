//! [`Index`]: what a classic repository has of the charts that are wanted.
//!
//! An `index.yaml` can have 30 MB for 30 000 versions (Bitnami's had), of which a handful is wanted.
//! So it is read as a stream, and only the wanted charts' entries are ever in memory. The format:
//! <https://helm.sh/docs/topics/chart_repository/#the-index-file>.

mod characters;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use granit_parser::{ErrorKind as YamlError, Event};
use jiff::Timestamp;
use oci::Digest;
use semver::Version;
use tagrules::Range;

use crate::error::{Error, ErrorKind, Failure};
use crate::name::ChartName;
use crate::version;
use crate::yaml::{Reader, Value};
use characters::Characters;

/// What a repository has of the charts that it was asked for.
#[derive(Clone, Debug)]
pub struct Index {
    /// The repository, as it is shown.
    repository: String,
    charts: BTreeMap<ChartName, Vec<Entry>>,
}

/// One version of a chart, as an index has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    chart: ChartName,
    version: String,
    semver: Version,
    urls: Vec<String>,
    digest: Option<Digest>,
    created: Option<Timestamp>,
    deprecated: bool,
    app_version: Option<String>,
}

impl Index {
    /// The versions of a chart, the newest first, as semver orders them; none where the repository
    /// has no such chart. What Helm would pass over, because its version is none, is not among them.
    pub fn entries(&self, chart: &ChartName) -> &[Entry] {
        self.charts.get(chart).map(Vec::as_slice).unwrap_or_default()
    }

    /// The entry with exactly this version. A `v` before it may be there or not, and a `_` is the `+`
    /// that a tag cannot have; a version that is written exactly so goes first.
    ///
    /// # Errors
    /// An [`Error`] of the kind `NotFound`.
    pub fn exact(&self, chart: &ChartName, version: &str) -> Result<&Entry, Error> {
        let rated = self
            .entries(chart)
            .iter()
            .filter_map(|entry| Some((version::match_of(&entry.version, version)?, entry)));
        // Of equals the first: that is the one Helm takes.
        let best = rated.min_by_key(|(rating, _)| *rating);
        best.map(|(_, entry)| entry)
            .ok_or_else(|| self.missing(chart, &format!("version `{version}`")))
    }

    /// The entries in a range, the newest first. Helm itself takes the first of them.
    ///
    /// # Errors
    /// An [`Error`] of the kind `NotFound` where there is none.
    pub fn select(&self, chart: &ChartName, range: &Range) -> Result<Vec<&Entry>, Error> {
        let found: Vec<&Entry> =
            self.entries(chart).iter().filter(|entry| range.holds_semver(&entry.semver)).collect();
        if found.is_empty() {
            return Err(self.missing(chart, &format!("version in `{range}`")));
        }
        Ok(found)
    }

    fn missing(&self, chart: &ChartName, what: &str) -> Error {
        let failure = match self.entries(chart).first() {
            None => Failure::new(ErrorKind::NotFound, "there is no such chart")
                .hint("check the chart's name; `helm search repo` lists what a repository has"),
            Some(newest) => Failure::new(ErrorKind::NotFound, format!("there is no {what}"))
                .hint(format!("the newest version there is `{}`", newest.version)),
        };
        failure.of(format!("chart `{chart}` of {}", self.repository))
    }
}

impl Entry {
    /// The chart's name.
    pub fn chart(&self) -> &ChartName {
        &self.chart
    }

    /// Its version, as it is written.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where its archive is to be had, as it is written: absolute, or relative to the repository.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The digest that its archive must have, where the index has one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// When it was put into the index. `helm repo index` writes that anew for all entries, so it says
    /// nothing of the chart.
    pub fn created(&self) -> Option<Timestamp> {
        self.created
    }

    /// Whether the chart is said to be kept up no longer.
    pub fn is_deprecated(&self) -> bool {
        self.deprecated
    }

    /// The version of what it installs.
    pub fn app_version(&self) -> Option<&str> {
        self.app_version.as_deref()
    }

    /// Where this version lies, if that is a registry: `oci://host/path/chart:version`, as in
    /// Bitnami's index. It is an OCI image already, and not fetched here.
    pub fn registry_url(&self) -> Option<&str> {
        self.urls.iter().map(String::as_str).find(|url| url.starts_with("oci://"))
    }
}

/// What an index may have at most.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// In bytes. The largest ones of the field have some 30 MB.
    bytes: u64,
    /// How many versions are kept.
    versions: usize,
}

const LIMITS: Limits = Limits { bytes: 100 * 1024 * 1024, versions: 100_000 };
/// How many URLs of a version are looked at; Helm takes the first.
const MOST_URLS: usize = 10;

/// Reads an index up to where all that is wanted of it was found.
pub(crate) fn read(
    input: impl Read,
    wanted: &BTreeSet<ChartName>,
    repository: String,
) -> Result<Index, Failure> {
    read_within(LIMITS, input, wanted, repository)
}

fn read_within(
    limits: Limits,
    input: impl Read,
    wanted: &BTreeSet<ChartName>,
    repository: String,
) -> Result<Index, Failure> {
    let mut characters = Characters::new(input, limits.bytes);
    let mut charts =
        Charts { wanted, found: BTreeMap::new(), left: limits.versions, has_api_version: false };
    let result = charts.read(&mut Reader::new(&mut characters));
    // What went wrong below is told by whom it happened to.
    if let Some(failure) = characters.failure.take() {
        return Err(failure);
    }
    result?;
    for entries in charts.found.values_mut() {
        // Stable: of versions that are the same the first stays first.
        entries.sort_by(|one, other| other.semver.cmp_precedence(&one.semver));
    }
    Ok(Index { repository, charts: charts.found })
}

struct Charts<'a> {
    wanted: &'a BTreeSet<ChartName>,
    found: BTreeMap<ChartName, Vec<Entry>>,
    /// How many versions may still be kept.
    left: usize,
    has_api_version: bool,
}

impl Charts<'_> {
    fn read<I>(&mut self, reader: &mut Reader<I>) -> Result<(), Failure>
    where
        I: Iterator<Item = Result<char, YamlError>>,
    {
        let no_index = || {
            Failure::invalid("it is no index of a chart repository").hint(
                "the URL must be the one that `helm repo add` takes: the folder of `index.yaml`",
            )
        };
        loop {
            match reader.event()? {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::MappingStart(..) => break,
                _ => return Err(no_index()),
            }
        }
        loop {
            match reader.event()? {
                Event::MappingEnd => break,
                Event::Scalar(key, ..) if key == "apiVersion" => {
                    self.has_api_version = reader.value()?.text().is_some_and(|it| !it.is_empty());
                }
                Event::Scalar(key, ..) if key == "entries" => {
                    self.read_entries(reader)?;
                    // Helm writes the keys in alphabetical order, so what follows is of no use.
                    if self.has_api_version && self.has_all() {
                        return Ok(());
                    }
                }
                Event::Scalar(..) => reader.skip()?,
                _ => return Err(no_index()),
            }
        }
        if self.has_api_version { Ok(()) } else { Err(no_index()) }
    }

    fn has_all(&self) -> bool {
        // A chart's name comes once; Helm refuses an index where it comes twice.
        self.found.len() == self.wanted.len()
    }

    fn read_entries<I>(&mut self, reader: &mut Reader<I>) -> Result<(), Failure>
    where
        I: Iterator<Item = Result<char, YamlError>>,
    {
        match reader.event()? {
            Event::MappingStart(..) => {}
            Event::Scalar(..) => return Ok(()),
            _ => return Err(Failure::invalid("`entries` is no mapping")),
        }
        loop {
            let name = match reader.event()? {
                Event::MappingEnd => return Ok(()),
                Event::Scalar(name, ..) => name.parse::<ChartName>().ok(),
                _ => return Err(Failure::invalid("a chart's name in it is no text")),
            };
            match name.filter(|name| self.wanted.contains(name)) {
                Some(name) => self.read_chart(reader, &name)?,
                None => reader.skip()?,
            }
            if self.has_api_version && self.has_all() {
                return Ok(());
            }
        }
    }

    fn read_chart<I>(&mut self, reader: &mut Reader<I>, chart: &ChartName) -> Result<(), Failure>
    where
        I: Iterator<Item = Result<char, YamlError>>,
    {
        let mut entries = Vec::new();
        match reader.event()? {
            Event::SequenceStart(..) => loop {
                match reader.event()? {
                    Event::SequenceEnd => break,
                    event => {
                        self.left = self.left.checked_sub(1).ok_or_else(|| {
                            Failure::invalid("it has more versions than can be kept")
                        })?;
                        entries.extend(entry(chart, &reader.value_from(event)?));
                    }
                }
            },
            Event::Scalar(..) => {}
            _ => return Err(Failure::invalid(format!("what it has of `{chart}` is no list"))),
        }
        self.found.entry(chart.clone()).or_default().extend(entries);
        Ok(())
    }
}

/// An entry; none where Helm would pass over it.
fn entry(chart: &ChartName, value: &Value) -> Option<Entry> {
    let version = value.get("version").and_then(Value::text)?;
    let Some(semver) = version::parse(&version) else {
        tracing::debug!(target: "charts", %chart, version, "an entry whose version is none");
        return None;
    };
    let written = |key: &str| value.get(key).and_then(Value::written);
    let urls = value.get("urls").map(Value::items).unwrap_or_default();
    let digest = written("digest").filter(|digest| !digest.is_empty()).and_then(|written| {
        // Helm writes hexadecimal digits only; other makers of indexes write all of the digest.
        let named = written.parse::<Digest>().or_else(|_| format!("sha256:{written}").parse());
        if named.is_err() {
            tracing::debug!(target: "charts", %chart, version, written, "no digest that is known");
        }
        named.ok()
    });
    Some(Entry {
        chart: chart.clone(),
        semver,
        urls: urls.iter().take(MOST_URLS).filter_map(Value::written).map(str::to_owned).collect(),
        digest,
        created: written("created").and_then(|created| created.parse().ok()),
        deprecated: value.get("deprecated").and_then(Value::text).is_some_and(|it| it == "true"),
        app_version: value.get("appVersion").and_then(Value::text),
        version,
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::*;

    const INDEX: &str = r#"
apiVersion: v1
entries:
  other:
  - version: 1.0.0
    description: "- {"
  nginx:
  - appVersion: "1.27"
    created: "2024-05-04T03:02:01.123456789Z"
    dependencies: [{name: common, tags: [a], version: 2.x.x}]
    digest: 31a5e1c4c2a5b6d7e8f90112233445566778899aabbccddeeff0011223344556
    name: nginx
    urls:
    - https://charts.example.com/nginx-9.0.0.tgz
    version: 9.0.0
  - {version: 10.0.0-rc.1, urls: [nginx-10.0.0-rc.1.tgz], deprecated: true}
  - {version: v10.0.0, urls: [nginx-10.0.0.tgz], digest: md5}
  - {version: 10.0.0+b, urls: ["oci://registry.example.com/charts/nginx:10.0.0+b"]}
  - {version: one, urls: [x]}
  - null
  - {urls: [no-version.tgz]}
  later:
  - version: 1.0.0
generated: "2024-05-04T03:02:01Z"
"#;

    fn name(text: &str) -> ChartName {
        text.parse().unwrap()
    }

    fn read_text(text: &str, wanted: &[&str]) -> Result<Index, Failure> {
        let wanted = wanted.iter().map(|text| name(text)).collect();
        read(text.as_bytes(), &wanted, "https://charts.example.com".into())
    }

    fn versions(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(Entry::version).collect()
    }

    #[test]
    fn only_what_is_wanted_is_kept_the_newest_first() {
        let index = read_text(INDEX, &["nginx", "absent"]).unwrap();
        let nginx = index.entries(&name("nginx"));
        assert_eq!(versions(nginx), ["v10.0.0", "10.0.0+b", "10.0.0-rc.1", "9.0.0"]);
        assert_eq!(index.entries(&name("other")), []);
        let oldest = &nginx[3];
        assert_eq!(oldest.app_version(), Some("1.27"));
        assert_eq!(oldest.created().unwrap().to_string(), "2024-05-04T03:02:01.123456789Z");
        assert!(oldest.digest().unwrap().to_string().starts_with("sha256:31a5"));
        assert_eq!(oldest.urls(), ["https://charts.example.com/nginx-9.0.0.tgz"]);
        assert!(nginx[2].is_deprecated() && !oldest.is_deprecated());
        assert_eq!((nginx[0].digest(), nginx[0].registry_url()), (None, None));
        assert_eq!(
            nginx[1].registry_url(),
            Some("oci://registry.example.com/charts/nginx:10.0.0+b")
        );
    }

    #[test]
    fn json_is_read_as_well() {
        let json = r#"{"apiVersion":"v1","entries":{"a":[{"version":"1.0.0","urls":["a.tgz"]}]}}"#;
        assert_eq!(versions(read_text(json, &["a"]).unwrap().entries(&name("a"))), ["1.0.0"]);
        let marked = format!("\u{feff}{json}");
        assert_eq!(read_text(&marked, &["a"]).unwrap().entries(&name("a")).len(), 1);
    }

    #[test]
    fn versions_are_found_by_name_and_by_range() {
        let index = read_text(INDEX, &["nginx"]).unwrap();
        let nginx = name("nginx");
        for (named, expected) in
            [("10.0.0", "v10.0.0"), ("v9.0.0", "9.0.0"), ("10.0.0_b", "10.0.0+b")]
        {
            assert_eq!(index.exact(&nginx, named).unwrap().version(), expected);
        }
        let range = |text: &str| {
            let found = index.select(&nginx, &text.parse().unwrap());
            found.map(|found| found.into_iter().map(Entry::version).collect::<Vec<_>>())
        };
        assert_eq!(range(">=9").unwrap(), ["v10.0.0", "10.0.0+b", "9.0.0"]);
        assert_eq!(range("^10.0.0-0").unwrap(), ["v10.0.0", "10.0.0+b", "10.0.0-rc.1"]);
        let error = range(">11").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            "chart `nginx` of https://charts.example.com: there is no version in `>11`"
        );
        assert_eq!(error.hint(), Some("the newest version there is `v10.0.0`"));
        let error = index.exact(&name("absent"), "1.0.0").unwrap_err();
        assert!(error.to_string().ends_with("there is no such chart"), "{error}");
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for (text, expected) in [
            ("", "it is no index"),
            ("<!DOCTYPE html><html><body>log in</body></html>", "it is no index"),
            ("- a", "it is no index"),
            ("apiVersion: v1\nentries: []", "`entries` is no mapping"),
            ("apiVersion: v1\nentries: {a: {b: c}}", "what it has of `a` is no list"),
            ("entries: {}", "it is no index"),
            ("apiVersion: v1\nentries:\n  a:\n  - version: [", "not valid YAML"),
            ("apiVersion: v1\nentries: {b: &b [1], a: [*b]}", "what was passed over"),
        ] {
            let failure = read_text(text, &["a"]).unwrap_err();
            assert!(failure.message().contains(expected), "{text:.40}: {failure:?}");
        }
        let none = |bytes: &[u8]| read(bytes, &BTreeSet::new(), String::new()).unwrap_err();
        assert!(none(b"a: \xff").message().contains("not UTF-8"));
        assert!(none(b"a: \xc3").message().contains("within a character"));
        let within = |bytes, versions| {
            let wanted = [name("nginx")].into();
            read_within(Limits { bytes, versions }, INDEX.as_bytes(), &wanted, String::new())
        };
        let size = INDEX.len() as u64;
        assert!(within(size, 7).is_ok());
        assert!(within(size, 6).unwrap_err().message().contains("more versions"));
        assert!(within(size - 1, 7).unwrap_err().message().contains("larger than any"));
    }

    #[test]
    fn an_empty_repository_has_no_charts() {
        for text in ["apiVersion: v1\nentries: {}\n", "apiVersion: v1\nentries:\n"] {
            assert_eq!(read_text(text, &["a"]).unwrap().entries(&name("a")), []);
        }
    }

    #[test]
    fn what_comes_in_small_pieces_is_the_same() {
        struct OneByOne<'a>(&'a [u8]);
        impl Read for OneByOne<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(&mut buffer[..1])
            }
        }
        let text = "\u{feff}apiVersion: v1\nentries: {a: [{version: 1.0.0, urls: [ü😀.tgz]}]}";
        let wanted = [name("a")].into();
        let index = read(OneByOne(text.as_bytes()), &wanted, String::new()).unwrap();
        assert_eq!(index.entries(&name("a"))[0].urls(), ["ü😀.tgz"]);
    }

    proptest! {
        #[test]
        fn no_index_panics(
            text in "(apiVersion: v1\n)?(entries:\n)?([ ]{0,3}(a:|- |version: 1|urls: \\[x\\]|&b|\\*b|\\PC{0,6})\n?){0,12}",
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = read_text(&text, &["a"]);
            let _ = read(bytes.as_slice(), &[name("a")].into(), String::new());
        }
    }
}
