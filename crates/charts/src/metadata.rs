//! [`Metadata`]: a chart's `Chart.yaml`, as Helm reads it and writes it into an image's config.
//!
//! Fields, their order and what is left out are those of Helm's `chart.Metadata`
//! (`pkg/chart/v2/metadata.go`, the same in Helm 3): the config must have the digest that `helm push`
//! gives it. What Helm would not load is an error here, and says why.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Serialize, Serializer};

use crate::error::Failure;
use crate::scalar::Scalar;
use crate::version;
use crate::yaml::Value;

/// What `Chart.yaml` says. Go leaves out what is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) home: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keywords: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) maintainers: Vec<Maintainer>,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    condition: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tags: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) app_version: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deprecated: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    kube_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<Dependency>,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
}

/// Someone who looks after a chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Maintainer {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) email: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
}

/// A chart that another one is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Dependency {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    repository: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    condition: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    enabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    import_values: Vec<Json>,
    #[serde(skip_serializing_if = "String::is_empty")]
    alias: String,
}

/// A value of any kind, as Go holds it.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Mapping(BTreeMap<String, Json>),
}

impl Metadata {
    /// Reads `Chart.yaml`, and what `requirements.yaml` adds, where an old chart has one.
    pub(crate) fn read(chart: &Value, requirements: Option<&Value>) -> Result<Self, Failure> {
        let mut metadata = Self::default();
        metadata.update(chart)?;
        if metadata.api_version.is_empty() {
            "v1".clone_into(&mut metadata.api_version);
        }
        if let Some(requirements) = requirements {
            metadata.update(requirements)?;
        }
        metadata.sanitize();
        metadata.validate()?;
        Ok(metadata)
    }

    fn update(&mut self, value: &Value) -> Result<(), Failure> {
        if !matches!(value, Value::Mapping(_)) && !value.is_null() {
            return Err(Failure::invalid("it is no mapping"));
        }
        for (key, value) in value.entries() {
            // Go takes a key in any case.
            let result = match key.to_lowercase().as_str() {
                "name" => text(&mut self.name, value),
                "home" => text(&mut self.home, value),
                "sources" => list(&mut self.sources, value, new_text),
                "version" => text(&mut self.version, value),
                "description" => text(&mut self.description, value),
                "keywords" => list(&mut self.keywords, value, new_text),
                "maintainers" => list(&mut self.maintainers, value, maintainer),
                "icon" => text(&mut self.icon, value),
                "apiversion" => text(&mut self.api_version, value),
                "condition" => text(&mut self.condition, value),
                "tags" => text(&mut self.tags, value),
                "appversion" => text(&mut self.app_version, value),
                "deprecated" => flag(&mut self.deprecated, value),
                "annotations" => texts(&mut self.annotations, value),
                "kubeversion" => text(&mut self.kube_version, value),
                "dependencies" => list(&mut self.dependencies, value, dependency),
                "type" => text(&mut self.kind, value),
                _ => Ok(()),
            };
            result.map_err(|problem| Failure::invalid(format!("`{key}` {problem}")))?;
        }
        Ok(())
    }

    fn sanitize(&mut self) {
        let Self { name, description, home, icon, condition, tags, app_version, .. } = self;
        for text in [name, description, home, icon, condition, tags, app_version] {
            sanitize(text);
        }
        sanitize(&mut self.kube_version);
        self.sources.iter_mut().chain(&mut self.keywords).for_each(sanitize);
        for maintainer in &mut self.maintainers {
            let Maintainer { name, email, url } = maintainer;
            [name, email, url].into_iter().for_each(sanitize);
        }
        for dependency in &mut self.dependencies {
            let Dependency { name, version, repository, condition, tags, .. } = dependency;
            [name, version, repository, condition].into_iter().for_each(sanitize);
            tags.iter_mut().for_each(sanitize);
        }
    }

    /// `chart.Metadata.Validate`, in its order.
    fn validate(&self) -> Result<(), Failure> {
        let invalid = |problem: String| Err(Failure::invalid(problem));
        if self.name.is_empty() {
            return invalid("`name` is missing".to_owned());
        }
        if matches!(self.name.as_str(), "." | "..") || self.name.contains('/') {
            return invalid(format!("`{}` cannot be a chart's name", self.name.escape_debug()));
        }
        if self.version.is_empty() {
            return invalid("`version` is missing".to_owned());
        }
        if version::parse(&self.version).is_none() {
            return invalid(format!("`{}` is not a version", self.version.escape_debug()));
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return invalid("`type` is neither `application` nor `library`".to_owned());
        }
        let mut names = std::collections::BTreeSet::new();
        for Dependency { name, alias, .. } in &self.dependencies {
            let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if !alias.bytes().all(word) {
                return invalid(format!("the alias of dependency `{name}` cannot be one"));
            }
            if !names.insert(if alias.is_empty() { name } else { alias }) {
                return invalid(format!("more than one dependency is called `{name}`"));
            }
        }
        Ok(())
    }
}

type Problem = &'static str;

fn text(field: &mut String, value: &Value) -> Result<(), Problem> {
    match value {
        Value::Scalar { .. } => {
            // Nothing leaves a field as it is.
            if let Some(text) = value.text() {
                *field = text;
            }
            Ok(())
        }
        Value::List(_) | Value::Mapping(_) => Err("is no text"),
    }
}

fn new_text(value: &Value) -> Result<String, Problem> {
    let mut field = String::new();
    text(&mut field, value)?;
    Ok(field)
}

fn flag(field: &mut bool, value: &Value) -> Result<(), Problem> {
    match value.scalar() {
        Some(Scalar::Bool(value)) => *field = value,
        Some(Scalar::Null) => {}
        _ => return Err("is neither true nor false"),
    }
    Ok(())
}

fn list<T>(
    field: &mut Vec<T>,
    value: &Value,
    read: fn(&Value) -> Result<T, Problem>,
) -> Result<(), Problem> {
    *field = match value {
        Value::List(items) => items.iter().map(read).collect::<Result<_, _>>()?,
        value if value.is_null() => Vec::new(),
        Value::Scalar { .. } | Value::Mapping(_) => return Err("is no list"),
    };
    Ok(())
}

fn texts(field: &mut BTreeMap<String, String>, value: &Value) -> Result<(), Problem> {
    if !matches!(value, Value::Mapping(_)) && !value.is_null() {
        return Err("is no mapping");
    }
    for (key, value) in value.entries() {
        field.insert(key.clone(), new_text(value)?);
    }
    Ok(())
}

fn maintainer(value: &Value) -> Result<Maintainer, Problem> {
    let mut maintainer = Maintainer::default();
    if !matches!(value, Value::Mapping(_)) {
        return Err("has an item that is no mapping");
    }
    for (key, value) in value.entries() {
        match key.to_lowercase().as_str() {
            "name" => text(&mut maintainer.name, value)?,
            "email" => text(&mut maintainer.email, value)?,
            "url" => text(&mut maintainer.url, value)?,
            _ => {}
        }
    }
    Ok(maintainer)
}

fn dependency(value: &Value) -> Result<Dependency, Problem> {
    let mut dependency = Dependency::default();
    if !matches!(value, Value::Mapping(_)) {
        return Err("has an item that is no mapping");
    }
    for (key, value) in value.entries() {
        match key.to_lowercase().as_str() {
            "name" => text(&mut dependency.name, value)?,
            "version" => text(&mut dependency.version, value)?,
            "repository" => text(&mut dependency.repository, value)?,
            "condition" => text(&mut dependency.condition, value)?,
            "tags" => list(&mut dependency.tags, value, new_text)?,
            "enabled" => flag(&mut dependency.enabled, value)?,
            "import-values" => {
                list(&mut dependency.import_values, value, |value| Ok(Json::of(value)))?;
            }
            "alias" => text(&mut dependency.alias, value)?,
            _ => {}
        }
    }
    Ok(dependency)
}

impl Json {
    fn of(value: &Value) -> Self {
        match value {
            Value::Scalar { text, .. } => match value.scalar() {
                Some(Scalar::Bool(value)) => Self::Bool(value),
                #[expect(clippy::cast_precision_loss, reason = "Go's JSON knows no other numbers")]
                Some(Scalar::Integer(value)) => Self::Number(value as f64),
                Some(Scalar::Float(value)) if value.is_finite() => Self::Number(value),
                Some(Scalar::Null) => Self::Null,
                _ => Self::Text(text.clone()),
            },
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Mapping(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.clone(), Self::of(value)));
                Self::Mapping(entries.collect())
            }
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            #[expect(clippy::cast_possible_truncation, reason = "in range, and whole")]
            Self::Number(value) if value.fract() == 0.0 && value.abs() < 1e18 => {
                serializer.serialize_i64(*value as i64)
            }
            Self::Number(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Mapping(entries) => serializer.collect_map(entries),
        }
    }
}

/// What Go's `unicode.IsPrint` says no to.
#[expect(clippy::expect_used, reason = "a constant, which a test compiles")]
static UNPRINTABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[^\p{L}\p{M}\p{N}\p{P}\p{S} ]").expect("the expression is valid")
});

/// `sanitizeString`: any space becomes a plain one, and what cannot be seen goes.
fn sanitize(text: &mut String) {
    if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return;
    }
    let spaced: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    *text = UNPRINTABLE.replace_all(&spaced, "").into_owned();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;
    use crate::yaml::document;

    fn read(chart: &str, requirements: Option<&str>) -> Result<Metadata, Failure> {
        let requirements = requirements.map(|text| document(text).unwrap().unwrap());
        Metadata::read(&document(chart).unwrap().unwrap(), requirements.as_ref())
    }

    fn json(chart: &str) -> String {
        String::from_utf8(go_json::marshal(&read(chart, None).unwrap()).unwrap()).unwrap()
    }

    /// The right side is the config that Helm 4.3.1 pushed for a chart with this `Chart.yaml`.
    #[test]
    fn the_config_is_helms() {
        let chart = r#"
type: application
name: full
apiVersion: v2
Version: 1.2.3+b.1
appVersion: 1.10
description: |
  Two <lines> & "more"
  with a tab	and INVISIBLEan invisible one
kubeVersion: ">=1.25.0-0"
home: https://example.com
icon: https://example.com/icon.png
keywords: [a, 1, yes]
sources: [https://example.com/source]
deprecated: on
condition: c
tags: t
maintainers:
- {name: Ann, email: ann@example.com}
- {name: "Böb", url: https://example.com/bob, unknown: x}
annotations: {z: 1, a: "x\ny", n: ~, m: 2024-01-15}
dependencies:
- name: common
  version: 2.x.x
  repository: oci://registry.example.com/charts
  alias: base
  enabled: true
  tags: [x]
  condition: common.enabled
  import-values:
  - data
  - {parent: p, child: c, 1: 1.5, n: 12}
- {name: other}
engine: gotpl
"#;
        let chart = chart.replace("INVISIBLE", "\u{2060}");
        assert_eq!(json(&chart), include_str!("metadata_helm.json").trim_end());
    }

    #[test]
    fn an_old_chart_has_its_dependencies_elsewhere() {
        let requirements = "dependencies:\n- {name: a, version: 1.0.0, repository: ''}\n";
        let metadata = read("name: x\nversion: 1.0.0", Some(requirements)).unwrap();
        let json = String::from_utf8(go_json::marshal(&metadata).unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"name":"x","version":"1.0.0","apiVersion":"v1","dependencies":[{"name":"a","version":"1.0.0","repository":""}]}"#
        );
    }

    #[test]
    fn what_helm_does_not_load_is_refused() {
        for (chart, expected) in [
            ("version: 1.0.0", "`name` is missing"),
            ("name: x", "`version` is missing"),
            ("name: ..\nversion: 1.0.0", "`..` cannot be a chart's name"),
            ("name: a/b\nversion: 1.0.0", "`a/b` cannot be a chart's name"),
            ("name: x\nversion: one", "`one` is not a version"),
            ("name: x\nversion: 1.0.0\ntype: y", "`type` is neither"),
            ("name: [x]", "`name` is no text"),
            ("keywords: x", "`keywords` is no list"),
            ("deprecated: 'true'", "`deprecated` is neither true nor false"),
            ("annotations: [x]", "`annotations` is no mapping"),
            ("maintainers: [~]", "`maintainers` has an item that is no mapping"),
            ("dependencies: [x]", "`dependencies` has an item that is no mapping"),
            (
                "name: x\nversion: 1.0.0\ndependencies: [{name: a}, {name: b, alias: a}]",
                "more than one dependency is called `b`",
            ),
            (
                "name: x\nversion: 1.0.0\ndependencies: [{name: a, alias: 'a b'}]",
                "the alias of dependency `a`",
            ),
            ("- x", "it is no mapping"),
        ] {
            let failure = read(chart, None).unwrap_err();
            assert!(failure.message().contains(expected), "{chart}: {failure:?}");
        }
    }
}
