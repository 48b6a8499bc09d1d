//! [`Suggested`]: the images that a chart names, for whoever wants to mirror them with it.
//!
//! What a chart installs is known only when its templates are rendered with the values of an
//! installation. What it says in its default values and annotations is most of it, and no more than
//! a suggestion.

use std::collections::BTreeMap;

use oci::Reference;

use crate::archive::{self, Archive};
use crate::chart::Chart;
use crate::error::{Error, Failure};
use crate::yaml::{self, Value};

/// An image that a chart names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suggested {
    /// Its reference, as the chart would write it.
    pub reference: String,
    /// Where in the chart it was found, such as `values.yaml: controller.image`.
    pub places: Vec<String>,
    /// Whether its tag is a guess: the chart has none, and charts mostly take their `appVersion` then.
    pub is_tag_guessed: bool,
}

/// How deep subcharts that are archives themselves are looked into.
const DEEPEST: usize = 3;
/// How many charts are looked into. A chart of the field has some tens of them in it.
const MOST_CHARTS: usize = 200;

impl Chart {
    /// The images that it names: in the values of `values.yaml` that look like an image (`image: x`;
    /// `repository` with `registry`, `tag` or `digest`; `global.imageRegistry` counts), and in the
    /// annotations `artifacthub.io/images` and `images`; in its own and its subcharts' files.
    /// By reference, in alphabetical order.
    ///
    /// # Errors
    /// An [`Error`] of the kind `Invalid`, where its values or a subchart cannot be read.
    pub fn images(&self) -> Result<Vec<Suggested>, Error> {
        let mut found = Found::default();
        found
            .archive(&self.archive, "", &Value::Mapping(Vec::new()), 0)
            .map_err(|failure| failure.of(format!("images of chart `{}`", self.name())))?;
        let suggested = found.images.into_iter().map(|(reference, (places, is_tag_guessed))| {
            Suggested { reference, places, is_tag_guessed }
        });
        Ok(suggested.collect())
    }
}

#[derive(Default)]
struct Found {
    images: BTreeMap<String, (Vec<String>, bool)>,
    charts: usize,
}

/// What the values of one chart are read with.
struct Surroundings<'a> {
    /// The chart's folder in the whole, with a `/`.
    folder: &'a str,
    /// `global.imageRegistry`, as Bitnami's charts have it.
    registry: Option<String>,
    app_version: &'a str,
}

impl Found {
    /// All charts of an archive: that of the archive itself, and those below `charts/`.
    fn archive(
        &mut self,
        bytes: &[u8],
        folder: &str,
        above: &Value,
        depth: usize,
    ) -> Result<(), Failure> {
        let content = archive::read(bytes, is_read)?;
        self.chart(&content, folder, "", above, depth)
    }

    /// The chart at this path of an archive, with the values that the chart above it has for it.
    fn chart(
        &mut self,
        content: &Archive,
        folder: &str,
        path: &str,
        above: &Value,
        depth: usize,
    ) -> Result<(), Failure> {
        self.charts += 1;
        if self.charts > MOST_CHARTS {
            return Err(Failure::invalid(format!("it is made of more than {MOST_CHARTS} charts")));
        }
        let document = |name: &str| -> Result<Vec<Value>, Failure> {
            let path = format!("{path}{name}");
            let place = format!("{folder}{path}");
            let Some(text) = content.text(&path) else { return Ok(Vec::new()) };
            yaml::documents(text?).map_err(|failure| failure.within(&place))
        };
        let metadata = document("Chart.yaml")?.into_iter().next();
        let app_version = metadata.as_ref().and_then(|it| it.get("appVersion")?.text());
        let values = document("values.yaml")?.into_iter().reduce(|one, other| merged(&one, &other));
        let values = merged(&values.unwrap_or_else(|| Value::Mapping(Vec::new())), above);
        let place = format!("{folder}{path}");
        let registry = values.get("global").and_then(|global| global.get("imageRegistry")?.text());
        let surroundings = Surroundings {
            folder: &place,
            registry: registry.filter(|registry| !registry.is_empty()),
            app_version: app_version.as_deref().unwrap_or_default(),
        };
        if let Some(annotations) = metadata.as_ref().and_then(|it| it.get("annotations")) {
            self.annotations(annotations, &surroundings);
        }
        self.values(&values, "", &surroundings);
        let charts = format!("{path}charts/");
        let mut seen = "";
        let files =
            content.files.range(charts.clone()..).take_while(|it| it.0.starts_with(&charts));
        for (file, bytes) in files {
            let below = file.get(charts.len()..).unwrap_or_default();
            let (name, is_archive) = match below.split_once('/') {
                Some((name, _)) => (name, false),
                None => (below, true),
            };
            if std::mem::replace(&mut seen, name) == name {
                continue;
            }
            if is_archive {
                if depth < DEEPEST {
                    // Its values stand under its name, which its file's name begins with.
                    let own = values.entries().iter().filter(|(key, _)| {
                        name.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('-'))
                    });
                    let own = own.max_by_key(|(key, _)| key.len()).map(|(_, value)| value);
                    let above = passed_on(own, &values);
                    self.archive(bytes, &format!("{folder}{file}!"), &above, depth + 1)?;
                }
            } else {
                let above = passed_on(values.get(name), &values);
                self.chart(content, folder, &format!("{charts}{name}/"), &above, depth)?;
            }
        }
        Ok(())
    }

    /// `artifacthub.io/images` (<https://artifacthub.io/docs/topics/annotations/helm/>) and Bitnami's
    /// `images`: a list of `{name, image}`, as text.
    fn annotations(&mut self, annotations: &Value, surroundings: &Surroundings<'_>) {
        for key in ["artifacthub.io/images", "images"] {
            let list = annotations.get(key).and_then(Value::text);
            let list = list.and_then(|text| yaml::document(&text).ok()).flatten();
            for item in list.as_ref().map(Value::items).unwrap_or_default() {
                let image = item.get("image").or(Some(item)).and_then(Value::text);
                let place = format!("{}Chart.yaml: annotations.{key}", surroundings.folder);
                self.add(image.unwrap_or_default(), place, false);
            }
        }
    }

    fn values(&mut self, value: &Value, path: &str, surroundings: &Surroundings<'_>) {
        if let Some((reference, is_guess)) = image_of(value, surroundings) {
            self.add(reference, format!("{}values.yaml: {path}", surroundings.folder), is_guess);
        }
        for (key, below) in value.entries() {
            let place = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let is_named = key == "image" || key.ends_with("Image");
            match below.text().filter(|text| is_named && !text.is_empty()) {
                Some(image) => {
                    let tag =
                        ["tag", "imageTag"].into_iter().find_map(|key| value.get(key)?.text());
                    let tag =
                        tag.filter(|tag| key == "image" && !tag.is_empty() && !has_tag(&image));
                    let image = tag.map_or(image.clone(), |tag| format!("{image}:{tag}"));
                    self.add(image, format!("{}values.yaml: {place}", surroundings.folder), false);
                }
                None => self.values(below, &place, surroundings),
            }
        }
        for (number, below) in value.items().iter().enumerate() {
            self.values(below, &format!("{path}[{number}]"), surroundings);
        }
    }

    fn add(&mut self, reference: String, place: String, is_tag_guessed: bool) {
        // A template, or what is no image: a picture's URL, a file.
        if reference.contains("{{")
            || reference.contains("://")
            || reference.parse::<Reference>().is_err()
        {
            return;
        }
        let (places, guessed) =
            self.images.entry(reference).or_insert((Vec::new(), is_tag_guessed));
        *guessed &= is_tag_guessed;
        if !places.contains(&place) {
            places.push(place);
        }
    }
}

/// What is read of an archive: of each chart in it two files, and the archives of subcharts.
fn is_read(path: &str) -> bool {
    let mut parts = path.split('/');
    loop {
        match (parts.next(), parts.clone().next()) {
            (Some("Chart.yaml" | "values.yaml"), None) => return true,
            (Some("charts"), Some(_)) => {
                let name = parts.next().unwrap_or_default();
                if parts.clone().next().is_none() {
                    return name.ends_with(".tgz") && !name.starts_with(['_', '.']);
                }
            }
            _ => return false,
        }
    }
}

/// `{registry, repository, tag, digest}`, and whether the tag is a guess.
fn image_of(value: &Value, surroundings: &Surroundings<'_>) -> Option<(String, bool)> {
    let text = |key: &str| value.get(key).and_then(Value::text).filter(|text| !text.is_empty());
    let repository = text("repository")?;
    let has = |key: &str| value.get(key).is_some();
    if !["registry", "tag", "digest", "pullPolicy", "imagePullPolicy"].into_iter().any(has) {
        return None;
    }
    let registry = text("registry");
    // A chart that has no registry of its own in this place has it in the repository.
    let registry = match &surroundings.registry {
        Some(global) if registry.is_some() => Some(global.clone()),
        _ => registry,
    };
    let mut reference = match registry {
        Some(registry) => format!("{}/{repository}", registry.trim_end_matches('/')),
        None => repository,
    };
    let (tag, digest) =
        (text("tag"), text("digest").or_else(|| text("sha").map(|sha| format!("sha256:{sha}"))));
    let is_guess = tag.is_none() && digest.is_none() && !has_tag(&reference);
    if let Some(tag) = tag {
        reference = format!("{reference}:{tag}");
    } else if is_guess && !surroundings.app_version.is_empty() {
        reference = format!("{reference}:{}", surroundings.app_version);
    }
    if let Some(digest) = digest {
        reference = format!("{reference}@{digest}");
    }
    Some((reference, is_guess))
}

fn has_tag(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    last.contains([':', '@'])
}

/// The values that a chart has for a subchart: those under its name, and what is global.
fn passed_on(own: Option<&Value>, values: &Value) -> Value {
    let nothing = Value::Mapping(Vec::new());
    let own = own.filter(|own| matches!(own, Value::Mapping(_))).unwrap_or(&nothing);
    let global = values.get("global").map(|global| ("global".to_owned(), global.clone()));
    merged(own, &Value::Mapping(global.into_iter().collect()))
}

/// Both, mappings key by key; where both have something else the second one counts.
fn merged(one: &Value, other: &Value) -> Value {
    let (Value::Mapping(one), Value::Mapping(other)) = (one, other) else { return other.clone() };
    let mut all: BTreeMap<&String, Value> = one.iter().map(|(key, it)| (key, it.clone())).collect();
    for (key, value) in other {
        let value = match all.get(key) {
            Some(before @ Value::Mapping(_)) if matches!(value, Value::Mapping(_)) => {
                merged(before, value)
            }
            _ => value.clone(),
        };
        all.insert(key, value);
    }
    Value::Mapping(all.into_iter().map(|(key, value)| (key.clone(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::packed;

    fn found(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let chart = Chart::from_archive(packed(files, 1).into(), None).unwrap();
        let line = |it: Suggested| {
            let guess = if it.is_tag_guessed { "?" } else { "" };
            (format!("{}{guess}", it.reference), it.places.join("; "))
        };
        chart.images().unwrap().into_iter().map(line).collect()
    }

    fn in_values(values: &str) -> Vec<String> {
        let chart = "name: x\nversion: 1.0.0\nappVersion: '2.5'\n";
        let files = [("x/Chart.yaml", chart), ("x/values.yaml", values)];
        found(&files).into_iter().map(|(reference, _)| reference).collect()
    }

    #[test]
    fn values_that_look_like_an_image_are_one() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let table: [(&str, &[&str]); 14] = [
            ("image: nginx:1.27", &["nginx:1.27"]),
            ("a: {image: nginx, tag: 1.27.1}", &["nginx:1.27.1"]),
            ("a: {image: nginx, imageTag: '1.10'}", &["nginx:1.10"]),
            (
                "a: [{image: quay.io/a/b:1}, {image: quay.io/a/c:1}]",
                &["quay.io/a/b:1", "quay.io/a/c:1"],
            ),
            ("image: {repository: nginx, tag: '1.27'}", &["nginx:1.27"]),
            ("image: {repository: nginx, tag: ''}", &["nginx:2.5?"]),
            ("image: {repository: nginx, pullPolicy: Always}", &["nginx:2.5?"]),
            ("a: {registry: quay.io, repository: a/b, tag: 1.2.3}", &["quay.io/a/b:1.2.3"]),
            (
                "global: {imageRegistry: r.example.com}\nimage: {registry: docker.io, repository: a/b, tag: v1}",
                &["r.example.com/a/b:v1"],
            ),
            ("initImage: busybox:1.36", &["busybox:1.36"]),
            ("image: {repository: a/b, tag: '{{ .x }}'}", &[]),
            ("image: https://example.com/logo.png", &[]),
            ("a: {repository: https://github.com/a/b, tag: v1}", &[]),
            ("a: {repository: a/b}\nimage: ''", &[]),
        ];
        for (values, expected) in table {
            assert_eq!(in_values(values), expected, "{values}");
        }
        let values = format!("image: {{repository: a/b, tag: '1', digest: '{digest}'}}");
        assert_eq!(in_values(&values), [format!("a/b:1@{digest}")]);
    }

    #[test]
    fn each_image_has_its_places() {
        let chart = "name: x\nversion: 1.0.0\nannotations:\n  artifacthub.io/images: |\n    - name: a\n      image: quay.io/a/b:1\n  images: |\n    - {name: c, image: quay.io/a/c:1}\n";
        let files = [
            ("x/Chart.yaml", chart),
            ("x/values.yaml", "one: {image: quay.io/a/b:1}\ntwo: [{image: quay.io/a/b:1}]\n"),
        ];
        let places = "Chart.yaml: annotations.artifacthub.io/images; values.yaml: one.image; values.yaml: two[0].image";
        assert_eq!(
            found(&files),
            [
                ("quay.io/a/b:1".to_owned(), places.to_owned()),
                ("quay.io/a/c:1".to_owned(), "Chart.yaml: annotations.images".to_owned()),
            ]
        );
    }

    #[test]
    fn subcharts_are_read_with_what_the_chart_above_says() {
        let files = [
            ("x/Chart.yaml", "name: x\nversion: 1.0.0"),
            ("x/values.yaml", "global: {imageRegistry: r.example.com}\nsub: {image: {tag: '9'}}"),
            ("x/charts/sub/Chart.yaml", "name: sub\nversion: 1.0.0\nappVersion: '1'"),
            (
                "x/charts/sub/values.yaml",
                "image: {registry: docker.io, repository: a/sub, tag: '1'}",
            ),
            ("x/charts/sub/charts/deep/Chart.yaml", "name: deep\nversion: 1.0.0"),
            ("x/charts/sub/charts/deep/values.yaml", "image: a/deep:1"),
            ("x/charts/sub/templates/values.yaml", "image: a/template:1"),
        ];
        assert_eq!(
            found(&files),
            [
                ("a/deep:1".into(), "charts/sub/charts/deep/values.yaml: image".into()),
                ("r.example.com/a/sub:9".to_owned(), "charts/sub/values.yaml: image".to_owned()),
            ]
        );
    }

    #[test]
    fn which_files_are_read() {
        for (path, expected) in [
            ("Chart.yaml", true),
            ("values.yaml", true),
            ("charts/a/values.yaml", true),
            ("charts/a/charts/b/Chart.yaml", true),
            ("charts/a-1.0.0.tgz", true),
            ("charts/_a.tgz", false),
            ("charts/a/x-1.0.0.tgz", false),
            ("templates/values.yaml", false),
            ("charts", false),
            ("charts/", false),
            ("charts/a", false),
        ] {
            assert_eq!(is_read(path), expected, "{path}");
        }
    }
}
