//! What rules make of a repository's tags, for people ([`tags_table`]) and machines
//! ([`TagsDocument`], a contract as the report's is; its schema lies in `schema/tags.schema.json`).

use comfy_table::{Cell, Color, Table, presets};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use tagrules::{Judged, Rules, Verdict};

use crate::table::{Layout, laid_out};
use crate::{ExitStatus, words};

/// The name of this contract, the first field of every document.
const SCHEMA: &str = "image-syncer/tags/v1";

/// The tags of a repository, and which rule kept or dropped each of them.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "image-syncer tags")]
pub struct TagsDocument {
    /// The name of this contract.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The repository, layout or archive.
    pub repository: String,
    /// The rules that were given.
    pub rules: TagRules,
    /// One entry for each tag, selected ones first, and among them higher versions first.
    pub tags: Vec<TagEntry>,
    /// The tags taken together.
    pub summary: TagsSummary,
}

/// Rules that select tags.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagRules {
    /// A range of versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// Patterns of which a tag must match one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Patterns of which a tag must match none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How many of the highest versions are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<usize>,
    /// What the latest are counted for: `major`, `minor` or `patch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// How many tags may be selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tags: Option<usize>,
    /// Whether no tag need be selected.
    #[serde(default)]
    pub allow_empty: bool,
}

/// One tag, and what became of it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagEntry {
    /// The tag.
    pub tag: String,
    /// Whether it is selected.
    pub selected: bool,
    /// The rule that had the last word; none where there is no rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<TagRule>,
    /// The same in words.
    pub reason: String,
}

/// What keeps or drops a tag.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TagRule {
    /// Tags that are named after a digest are never selected: they travel with its image.
    Companion,
    /// A pattern to include, or that there is none for it.
    Include,
    /// A pattern to exclude, or that there is none for it.
    Exclude,
    /// The range, or that it is no version.
    Semver,
    /// A suffix that no rule asks for.
    Suffix,
    /// Its place among the latest.
    Latest,
    /// It does not name the number that the latest are counted for.
    Per,
}

/// The tags taken together.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagsSummary {
    /// How many tags there are.
    pub tags: usize,
    /// How many of them are selected.
    pub selected: usize,
    /// Why the selection is an error: it is empty, or too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The code that the process exits with.
    pub exit_code: u8,
}

impl TagsDocument {
    /// The document of a repository; `error` says why the selection is none.
    pub fn new(
        repository: String,
        rules: &Rules,
        judged: &[Judged<'_>],
        error: Option<String>,
    ) -> Self {
        let status = if error.is_some() { ExitStatus::ItemFailed } else { ExitStatus::Success };
        Self {
            schema: SCHEMA.to_owned(),
            repository,
            rules: rules.into(),
            tags: selected_first(judged).map(TagEntry::from).collect(),
            summary: TagsSummary {
                tags: judged.len(),
                selected: judged.iter().filter(|one| one.verdict.is_kept()).count(),
                error,
                exit_code: status.code(),
            },
        }
    }

    /// The document as indented JSON with a line end.
    ///
    /// # Errors
    /// None that a document can cause; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

/// The JSON Schema of [`TagsDocument`].
pub fn tags_json_schema() -> Schema {
    schemars::schema_for!(TagsDocument)
}

/// A table of tags, selected ones first, each with its reason; text that ends with a line end.
pub fn tags_table(judged: &[Judged<'_>], width: Option<u16>, colour: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TAG", "SELECTED", "WHY"]);
    let mut companions = 0;
    for one in selected_first(judged) {
        if one.verdict.rule() == Some(tagrules::Rule::Companion) {
            companions += 1;
            continue;
        }
        let selected = match one.verdict.is_kept() {
            true if colour => Cell::new("yes").fg(Color::DarkGreen),
            true => Cell::new("yes"),
            false => Cell::new("-"),
        };
        table.add_row([Cell::new(&one.tag), selected, Cell::new(&one.verdict)]);
    }
    let mut text = String::new();
    if !table.is_empty() {
        text = laid_out(table, &Layout { width, colour, wraps: 2, numbers_from: 3 });
        text.push('\n');
    }
    if companions > 0 {
        let tags = match companions {
            1 => "1 tag named after a digest is".to_owned(),
            many => format!("{many} tags named after digests are"),
        };
        text.push_str(&format!("{tags} not listed: what they hold travels with its image\n"));
    }
    let tags = words::count(judged.len(), "tag");
    let selected = judged.iter().filter(|one| one.verdict.is_kept()).count();
    text.push_str(&format!("{tags}: {selected} selected\n"));
    text
}

fn selected_first<'j, 'r>(judged: &'j [Judged<'r>]) -> impl Iterator<Item = &'j Judged<'r>> {
    let those = |kept: bool| judged.iter().filter(move |one| one.verdict.is_kept() == kept);
    those(true).chain(those(false))
}

impl From<&Judged<'_>> for TagEntry {
    fn from(judged: &Judged<'_>) -> Self {
        let verdict: &Verdict<'_> = &judged.verdict;
        Self {
            tag: judged.tag.to_string(),
            selected: verdict.is_kept(),
            rule: verdict.rule().map(TagRule::from),
            reason: verdict.to_string(),
        }
    }
}

impl From<&Rules> for TagRules {
    fn from(rules: &Rules) -> Self {
        let texts = |patterns: &[tagrules::Pattern]| {
            patterns.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let per = rules.latest.and_then(|latest| latest.per);
        Self {
            semver: rules.semver.as_ref().map(ToString::to_string),
            include: texts(&rules.include),
            exclude: texts(&rules.exclude),
            latest: rules.latest.map(|latest| latest.count.get()),
            per: per.map(|part| part.to_string()),
            max_tags: rules.max_tags.map(std::num::NonZeroUsize::get),
            allow_empty: rules.allow_empty,
        }
    }
}

impl From<tagrules::Rule> for TagRule {
    fn from(rule: tagrules::Rule) -> Self {
        match rule {
            tagrules::Rule::Companion => Self::Companion,
            tagrules::Rule::Include => Self::Include,
            tagrules::Rule::Exclude => Self::Exclude,
            tagrules::Rule::Semver => Self::Semver,
            tagrules::Rule::Suffix => Self::Suffix,
            tagrules::Rule::Latest => Self::Latest,
            tagrules::Rule::Per => Self::Per,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use oci::Tag;
    use tagrules::Latest;

    use super::*;

    fn rules() -> Rules {
        Rules {
            semver: Some(">=1.26".parse().unwrap()),
            exclude: vec!["edge".parse().unwrap()],
            latest: Some(Latest { count: NonZeroUsize::MIN, per: Some(tagrules::Part::Minor) }),
            max_tags: NonZeroUsize::new(50),
            ..Rules::default()
        }
    }

    fn tags() -> Vec<Tag> {
        let signature = format!("sha256-{}.sig", "a".repeat(64));
        let tags = "latest edge 1.25.0 1.26.0 1.26.1 1.27.0 1.27.0-alpine 1";
        tags.split(' ').chain([signature.as_str()]).map(|tag| tag.parse().unwrap()).collect()
    }

    #[test]
    fn a_table_for_people() {
        let rules = rules();
        insta::assert_snapshot!(tags_table(&tagrules::judge(&rules, tags()), None, false));
    }

    #[test]
    fn no_tags_are_one_line() {
        assert_eq!(tags_table(&[], None, false), "0 tags: 0 selected\n");
    }

    #[test]
    fn the_document_fits_its_schema_and_is_read_back() {
        let rules = rules();
        let judged = tagrules::judge(&rules, tags());
        let document = TagsDocument::new("ghcr.io/org/tool".into(), &rules, &judged, None);
        let json = document.to_json().unwrap();
        insta::assert_snapshot!(json);
        let schema = serde_json::to_value(tags_json_schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(validator.is_valid(&value));
        assert_eq!(serde_json::from_str::<TagsDocument>(&json).unwrap(), document);
        value["tags"][0]["rule"] = "whim".into();
        assert!(!validator.is_valid(&value));
    }

    /// After a wanted change: `image-syncer schema tags > schema/tags.schema.json`.
    #[test]
    fn the_schema_in_the_repository_is_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/tags.schema.json");
        let expected = serde_json::to_string_pretty(&tags_json_schema()).unwrap() + "\n";
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    }
}
