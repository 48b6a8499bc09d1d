//! Policies and resource tags: YAML as the JSON that AWS takes.
//!
//! What is a number and what a text is not guessed from its looks alone. In a permission policy
//! everything is a text, as IAM takes it everywhere: so an unquoted `2012-10-17` and an account id stay
//! what they are, leading zeros and all
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>). In a lifecycle
//! policy whole numbers and booleans have their types, but not among the tags it names.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::diagnostic::Code;
use crate::mapping::Mapping;
use crate::reader::{Field, Reader};
use crate::yaml::{Content, Node, Span};

/// Which images expire when.
pub(crate) fn lifecycle(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Value> {
    object(reader, field.node, Scalars::Typed)
}

/// Who may do what.
pub(crate) fn permissions(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Value> {
    object(reader, field.node, Scalars::Texts)
}

/// Names and values of tags.
pub(crate) fn resource_tags(
    reader: &mut Reader<'_>,
    field: Field<'_>,
) -> Option<BTreeMap<String, String>> {
    let mut keys = Mapping::open(reader, field.node, "`resourceTags`")?;
    let tags = keys.rest().into_iter().map(|(name, node)| {
        let value = scalar(reader, name.span, name.value, node)?;
        Some((name.value.to_owned(), value.to_owned()))
    });
    // Every tag is looked at, also after a wrong one.
    tags.collect::<Vec<_>>().into_iter().collect()
}

/// What unquoted scalars are.
#[derive(Clone, Copy, PartialEq)]
enum Scalars {
    /// Texts, all of them.
    Texts,
    /// Booleans as in YAML's core schema, whole numbers as in JSON, and texts.
    Typed,
}

fn object(reader: &mut Reader<'_>, node: &Node, scalars: Scalars) -> Option<Value> {
    let mut keys = Mapping::open(reader, node, "a policy")?;
    let entries = keys.rest().into_iter().map(|(key, node)| {
        let scalars = match key.value {
            "description" | "tagPrefixList" | "tagPatternList" => Scalars::Texts,
            _ => scalars,
        };
        Some((key.value.to_owned(), value(reader, key.span, key.value, node, scalars)?))
    });
    let entries: Vec<Option<(String, Value)>> = entries.collect();
    Some(Value::Object(entries.into_iter().collect::<Option<Map<_, _>>>()?))
}

fn value(
    reader: &mut Reader<'_>,
    at: Span,
    key: &str,
    node: &Node,
    scalars: Scalars,
) -> Option<Value> {
    match &node.content {
        Content::Mapping(_) => object(reader, node, scalars),
        Content::List(items) => {
            let items = items.iter().map(|item| value(reader, item.span, key, item, scalars));
            Some(Value::Array(items.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?))
        }
        Content::Scalar { plain, .. } => {
            let text = scalar(reader, at, key, node)?;
            Some(match *plain && scalars == Scalars::Typed {
                true => typed(text),
                false => Value::from(text),
            })
        }
    }
}

fn scalar<'n>(reader: &mut Reader<'_>, at: Span, key: &str, node: &'n Node) -> Option<&'n str> {
    let key = key.escape_debug();
    match &node.content {
        Content::Scalar { .. } if node.is_null() => {
            reader.push(reader.error(Code::NoValue, at, format!("`{key}` has no value")));
            None
        }
        Content::Scalar { text, plain } => {
            if *plain && let Some(error) = reader.slash_comment(text, node.span) {
                reader.push(error);
                return None;
            }
            Some(text)
        }
        Content::List(_) | Content::Mapping(_) => {
            let message = format!("`{key}` must be a string");
            reader.push(reader.error(Code::WrongType, node.span, message));
            None
        }
    }
}

/// A number is one only where JSON would write it so: `007` and `1_000` are texts.
fn typed(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::from(number),
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::Text;
    use crate::yaml;

    fn read(text: &str, read: fn(&mut Reader<'_>, Field<'_>) -> Option<Value>) -> Option<Value> {
        let root = yaml::parse(text).root.expect("YAML");
        let text = Text::new("a.yaml".into(), "".into(), text.to_owned());
        let mut reader = Reader::new(&text);
        let field = Field { key: "policy", key_span: Span::default(), node: &root };
        let value = read(&mut reader, field);
        value.filter(|_| reader.found.is_empty())
    }

    #[test]
    fn a_permission_policy_has_texts_only() {
        let text = "
Version: 2012-10-17
Statement:
- Effect: Allow
  Principal: { AWS: [012345678901, 123456789012, 'arn:aws:iam::123456789012:root'] }
  Action: ecr:GetDownloadUrlForLayer
  Condition: { Bool: { aws:SecureTransport: true }, NumericLessThan: { x: 1e3 } }
";
        let expected = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "AWS": ["012345678901", "123456789012", "arn:aws:iam::123456789012:root"] },
                "Action": "ecr:GetDownloadUrlForLayer",
                "Condition": { "Bool": { "aws:SecureTransport": "true" }, "NumericLessThan": { "x": "1e3" } },
            }],
        });
        assert_eq!(read(text, permissions), Some(expected));
    }

    #[test]
    fn a_lifecycle_policy_has_whole_numbers_but_not_for_tags() {
        let text = "
rules:
- rulePriority: 1
  description: 10
  selection:
    tagStatus: tagged
    tagPrefixList: [1, 2.10, true]
    tagPatternList: [2024, 'v*']
    countType: sinceImagePushed
    countUnit: days
    countNumber: 14
  action: { type: expire, quoted: '1', zeros: 007, float: 1.0, yes: yes, flag: TRUE, nan: .nan }
";
        let expected = json!({ "rules": [{
            "rulePriority": 1,
            "description": "10",
            "selection": {
                "tagStatus": "tagged",
                "tagPrefixList": ["1", "2.10", "true"],
                "tagPatternList": ["2024", "v*"],
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 14,
            },
            "action": {
                "type": "expire", "quoted": "1", "zeros": "007", "float": "1.0", "yes": "yes",
                "flag": true, "nan": ".nan",
            },
        }]});
        assert_eq!(read(text, lifecycle), Some(expected));
    }

    #[test]
    fn what_is_empty_or_twice_is_an_error() {
        for text in ["[a]", "a", "a: ~", "a: [b, ~]", "a: { b: }", "{ a: 1, a: 2 }", "a: 1 // x"] {
            assert_eq!(read(text, permissions), None, "{text}");
        }
    }
}
