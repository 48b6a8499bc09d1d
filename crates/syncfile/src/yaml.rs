//! YAML text to a tree of nodes that know where they stand. The only file that knows the parser.
//!
//! The parser's events are used, not serde: an unquoted `3.10` must stay the text `3.10`, every
//! mistake of a file is wanted in one go, and each needs its exact place.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag, options};

use crate::diagnostic::Code;

/// A part of a text, in bytes: the first, and the one after the last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A value of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) content: Content,
}

/// What a value is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// A text as written, its quotes and escapes resolved; `plain` where it had no quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order of the file, duplicates and merge keys included.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// Whether this is `null`, `~` or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// What is wrong with a text as YAML.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<&'static str>,
}

/// A parsed text: its value, or why there is none.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The value of the first document; nothing for an empty text and after a syntax error.
    pub(crate) root: Option<Node>,
    /// What is wrong, in the order of the text.
    pub(crate) problems: Vec<Problem>,
}

/// How many values a file may hold, those that aliases repeat counted each time.
const MOST_NODES: usize = 1_000_000;
/// How deep values may be nested, aliases followed. A sync file needs about 10.
const DEEPEST: usize = 64;

/// Parses a text that has no byte order mark.
pub(crate) fn parse(text: &str) -> Parsed {
    let mut options = options! { flow_nesting_limit: DEEPEST, block_nesting_limit: DEEPEST };
    // A list may have any number of comments; the parser would buffer them, and only 96.
    options.set_emit_comments(false);
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => {
                let offset = |marker: &granit_parser::Marker| marker.byte_offset().unwrap_or(0);
                let bytes = |span: &granit_parser::Span| {
                    let start = offset(&span.start);
                    Span { start, end: offset(&span.end).max(start) }
                };
                if event.tag().is_some_and(Tag::is_custom) {
                    let tag = span.tag_span().unwrap_or(span);
                    builder.parsed.problems.push(invalid(
                        bytes(&tag),
                        "a YAML tag has no meaning in a sync file",
                        Some("quote a value that begins with `!`"),
                    ));
                }
                builder.take(event, bytes(&span))
            }
            Err(error) => Err(syntax_error(text, &error)),
        };
        if let Err(problem) = step {
            builder.parsed.root = None;
            builder.parsed.problems.push(problem);
            break;
        }
    }
    builder.parsed
}

/// A collection that is not closed yet.
struct Open {
    node: Node,
    key: Option<Node>,
    anchor: usize,
    nodes_before: usize,
    height: usize,
}

/// What an alias stands for.
struct Anchored {
    node: Node,
    nodes: usize,
    height: usize,
}

#[derive(Default)]
struct Builder {
    parsed: Parsed,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem {
                        code: Code::SecondDocument,
                        span,
                        message: "a second document begins here".into(),
                        help: Some(
                            "a sync file is one document; put the rest into a file of its own and give both",
                        ),
                    });
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let plain = style == ScalarStyle::Plain && !is_text;
                let content = Content::Scalar { text: text.into_owned(), plain };
                self.count(1, span)?;
                self.attach(Node { span, content }, anchor, 1, 1)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.start(Content::List(Vec::new()), anchor, span)?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.start(Content::Mapping(Vec::new()), anchor, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut closed) = self.open.pop() {
                    closed.node.span.end = span.end.max(closed.node.span.start);
                    let nodes = self.nodes - closed.nodes_before;
                    self.attach(closed.node, closed.anchor, nodes, closed.height + 1)?;
                }
            }
            Event::Alias(anchor) => {
                // An alias inside what it stands for has no end.
                let Some(target) = self.anchors.get(&anchor) else {
                    return Err(invalid(span, "this alias stands inside what it repeats", None));
                };
                let (nodes, height) = (target.nodes, target.height);
                self.count(nodes, span)?;
                let Some(target) = self.anchors.get(&anchor) else { return Ok(()) };
                let node = Node { span, content: target.node.content.clone() };
                self.attach(node, 0, nodes, height)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, content: Content, anchor: usize, span: Span) -> Result<(), Problem> {
        let nodes_before = self.nodes;
        self.count(1, span)?;
        let node = Node { span, content };
        self.open.push(Open { node, key: None, anchor, nodes_before, height: 0 });
        Ok(())
    }

    /// Counts values, so that a few nested aliases cannot fill the memory.
    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MOST_NODES {
            return Err(too_large(span, format!("the file holds more than {MOST_NODES} values")));
        }
        Ok(())
    }

    /// Puts a finished value into the collection that is open.
    fn attach(
        &mut self,
        node: Node,
        anchor: usize,
        nodes: usize,
        height: usize,
    ) -> Result<(), Problem> {
        if self.open.len() + height > DEEPEST {
            return Err(too_large(
                node.span,
                format!("values are nested more than {DEEPEST} deep"),
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, height });
        }
        let Some(parent) = self.open.last_mut() else {
            self.parsed.root = Some(node);
            return Ok(());
        };
        parent.height = parent.height.max(height);
        match &mut parent.node.content {
            Content::List(items) => items.push(node),
            Content::Mapping(entries) => match parent.key.take() {
                Some(key) => entries.push((key, node)),
                None => parent.key = Some(node),
            },
            Content::Scalar { .. } => {}
        }
        Ok(())
    }
}

fn invalid(span: Span, message: impl Into<String>, help: Option<&'static str>) -> Problem {
    Problem { code: Code::InvalidYaml, span, message: message.into(), help }
}

fn too_large(span: Span, message: String) -> Problem {
    Problem { code: Code::TooLarge, span, message, help: None }
}

fn syntax_error(text: &str, error: &ScanError) -> Problem {
    let mut start = error.marker().byte_offset().unwrap_or(0);
    let help = match error.kind() {
        ErrorKind::UnknownAnchor | ErrorKind::MissingAnchorOrAliasName => {
            Some("a text that begins with `*` or `&` must be quoted")
        }
        ErrorKind::InvalidBlockScalarHeader => {
            Some("a text that begins with `>` or `|` must be quoted")
        }
        ErrorKind::MappingValueNotAllowed => Some(
            "is the line indented as its neighbours are? a text that contains `: ` must be quoted",
        ),
        ErrorKind::UnexpectedCharacter { character: '@' | '`' | '%' } => {
            Some("a text that begins with `@`, `%` or a backquote must be quoted")
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => {
            // The parser tells where the value before the tab begins.
            start = indenting_tab(text, start).unwrap_or(start);
            Some("indent with spaces: YAML does not allow tabs")
        }
        ErrorKind::InvalidQuotedScalarIndent | ErrorKind::UnclosedQuotedScalar => {
            Some("is the quote at the end of an earlier line missing?")
        }
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation
        | ErrorKind::SimpleKeyExpected => {
            Some("is a `:` missing, or is the line indented unlike its neighbours?")
        }
        _ => None,
    };
    let too_deep = matches!(error.kind(), ErrorKind::RecursionLimitExceeded);
    Problem {
        code: if too_deep { Code::TooLarge } else { Code::InvalidYaml },
        span: Span { start, end: start },
        message: match too_deep {
            true => format!("values are nested more than {DEEPEST} deep"),
            false => format!("this is not valid YAML: {}", error.kind()),
        },
        help,
    }
}

/// Where the first tab is that indents a line, in the line at `from` or later.
fn indenting_tab(text: &str, from: usize) -> Option<usize> {
    let begin = text.get(..from)?.rfind('\n').map_or(0, |end| end + 1);
    let mut at = begin;
    for line in text.get(begin..)?.split_inclusive('\n') {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indentation)?.find('\t') {
            return Some(at + tab);
        }
        at += line.len();
    }
    None
}
