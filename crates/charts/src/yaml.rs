//! YAML as a stream of values: some are kept, all others passed over, and what is kept is bounded.
//! The only file that knows the parser. JSON is YAML, too.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, FallibleBufferedInput, Parser, ScalarStyle, Tag, options};

use crate::error::Failure;
use crate::scalar::{self, Scalar};

/// A value that was kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A text, its quotes and escapes resolved; `plain` where it had no quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Value>),
    /// Keys and values; of a key that comes twice the last one counts.
    Mapping(Vec<(String, Value)>),
}

impl Value {
    /// What a key of a mapping has; none for another value.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The entries of a mapping; none for another value.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Mapping(entries) => entries,
            Self::Scalar { .. } | Self::List(_) => &[],
        }
    }

    /// The items of a list; none for another value.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            Self::Scalar { .. } | Self::Mapping(_) => &[],
        }
    }

    /// What a scalar is; none for another value.
    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        match self {
            Self::Scalar { text, plain: true } => Some(scalar::resolve(text)),
            Self::Scalar { text, plain: false } => Some(Scalar::Text(text)),
            Self::List(_) | Self::Mapping(_) => None,
        }
    }

    /// A scalar as the text that Helm takes it for; none for nothing and for another value.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Scalar { text, plain: true } => scalar::as_text(text),
            Self::Scalar { text, plain: false } => Some(text.clone()),
            Self::List(_) | Self::Mapping(_) => None,
        }
    }

    /// A scalar as it is written; none for nothing and for another value.
    pub(crate) fn written(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }
}

/// What one kept value may take, in bytes, what aliases repeat counted each time.
const MOST_KEPT: usize = 64 * 1024 * 1024;
/// What all values together that have an anchor may take.
const MOST_ANCHORED: usize = 8 * 1024 * 1024;
/// What a value costs beside its text.
const NODE: usize = 64;
/// How deep values may be nested.
const DEEPEST: usize = 64;

/// All documents of a text.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, Failure> {
    let mut reader = Reader::new(text.chars().map(Ok));
    let mut documents = Vec::new();
    loop {
        match reader.event()? {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(..) => documents.push(reader.value()?),
            _ => {}
        }
    }
}

/// The first document of a text; none if there is none.
pub(crate) fn document(text: &str) -> Result<Option<Value>, Failure> {
    let mut reader = Reader::new(text.chars().map(Ok));
    loop {
        match reader.event()? {
            Event::StreamEnd => return Ok(None),
            Event::DocumentStart(..) => return Ok(Some(reader.value()?)),
            _ => {}
        }
    }
}

/// Reads values one after the other.
pub(crate) struct Reader<I: Iterator<Item = Result<char, ErrorKind>>> {
    parser: Parser<'static, FallibleBufferedInput<I>>,
    anchors: HashMap<usize, (Value, usize)>,
    anchored: usize,
    kept: usize,
}

impl<I: Iterator<Item = Result<char, ErrorKind>>> Reader<I> {
    /// A reader of these characters.
    pub(crate) fn new(characters: I) -> Self {
        let mut options = options! { flow_nesting_limit: DEEPEST, block_nesting_limit: DEEPEST };
        options.set_emit_comments(false);
        let parser = Parser::new_from_fallible_iter_with_options(characters, options);
        Self { parser, anchors: HashMap::new(), anchored: 0, kept: 0 }
    }

    /// The next event, whatever it is.
    pub(crate) fn event(&mut self) -> Result<Event<'static>, Failure> {
        match self.parser.next() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => {
                let line = error.marker().line();
                Err(Failure::invalid(format!("line {line} is not valid YAML: {}", error.kind())))
            }
            None => Err(Failure::invalid("it ends too early")),
        }
    }

    /// Reads the value that comes next, and keeps it.
    pub(crate) fn value(&mut self) -> Result<Value, Failure> {
        self.kept = 0;
        let event = self.event()?;
        self.node(event)
    }

    /// Reads the value that begins with this event, and keeps it.
    pub(crate) fn value_from(&mut self, event: Event<'static>) -> Result<Value, Failure> {
        self.kept = 0;
        self.node(event)
    }

    /// Passes over the value that comes next. What it has anchors for cannot be repeated later.
    pub(crate) fn skip(&mut self) -> Result<(), Failure> {
        let mut depth = 0_usize;
        loop {
            match self.event()? {
                Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
                Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
                Event::Scalar(..) | Event::Alias(_) => {}
                _ => continue,
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// The parser's limits bound how deep this calls itself.
    fn node(&mut self, event: Event<'static>) -> Result<Value, Failure> {
        let before = self.kept;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.keep(NODE + text.len())?;
                let is_text =
                    tag.as_ref().is_some_and(|tag| Tag::is_yaml_core_schema_tag(tag, "str"));
                let plain = style == ScalarStyle::Plain && !is_text;
                (Value::Scalar { text: text.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.keep(NODE)?;
                let mut items = Vec::new();
                loop {
                    match self.event()? {
                        Event::SequenceEnd => break,
                        event => items.push(self.node(event)?),
                    }
                }
                (Value::List(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                self.keep(NODE)?;
                (self.mapping()?, anchor)
            }
            Event::Alias(anchor) => {
                let Some((value, cost)) = self.anchors.get(&anchor) else {
                    return Err(Failure::invalid(
                        "an alias stands for itself, or for what was passed over",
                    ));
                };
                let (value, cost) = (value.clone(), *cost);
                self.keep(cost)?;
                (value, 0)
            }
            _ => return Err(Failure::invalid("a value is missing")),
        };
        if anchor != 0 {
            let cost = self.kept - before;
            self.anchored += cost;
            if self.anchored > MOST_ANCHORED {
                return Err(Failure::invalid("what its anchors stand for is too large"));
            }
            self.anchors.insert(anchor, (value.clone(), cost));
        }
        Ok(value)
    }

    fn mapping(&mut self) -> Result<Value, Failure> {
        let (mut merged, mut entries) = (Vec::new(), Vec::new());
        loop {
            let key = match self.event()? {
                Event::MappingEnd => break,
                event => self.node(event)?,
            };
            let event = self.event()?;
            let value = self.node(event)?;
            match (key, value) {
                (Value::Scalar { text, plain: true }, value) if text == "<<" => match value {
                    Value::Mapping(own) => merged.extend(own),
                    Value::List(lists) => {
                        // The first of several wins, so it comes last.
                        for list in lists.into_iter().rev() {
                            if let Value::Mapping(own) = list {
                                merged.extend(own);
                            }
                        }
                    }
                    Value::Scalar { .. } => {}
                },
                (key @ Value::Scalar { .. }, value) => {
                    entries.push((key.text().unwrap_or_default(), value));
                }
                _ => return Err(Failure::invalid("a key is no text")),
            }
        }
        merged.append(&mut entries);
        Ok(Value::Mapping(merged))
    }

    fn keep(&mut self, cost: usize) -> Result<(), Failure> {
        self.kept = self.kept.saturating_add(cost);
        if self.kept > MOST_KEPT {
            return Err(Failure::invalid("a value in it is too large"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Value {
        document(text).unwrap().unwrap()
    }

    #[test]
    fn values_are_what_they_are_written_as() {
        let value = read("a: [1, 'x', {b: c}]\n? 3\n: ~\na2: |\n  text\n");
        assert_eq!(value.get("a").unwrap().items().len(), 3);
        assert_eq!(value.get("a").unwrap().items()[2].get("b").unwrap().text().unwrap(), "c");
        assert!(value.get("3").unwrap().is_null());
        assert_eq!(value.get("a2").unwrap().text().unwrap(), "text\n");
        assert_eq!(read("a: 1\na: 2").get("a").unwrap().text().unwrap(), "2");
        assert_eq!(read("{\"a\": {\"b\": [true]}}").get("a").unwrap().entries().len(), 1);
        assert_eq!(read("a: !!str 1.10").get("a").unwrap().text().unwrap(), "1.10");
        assert_eq!(documents("a\n---\nb\n").unwrap().len(), 2);
        assert_eq!(document("# nothing\n").unwrap(), None);
    }

    #[test]
    fn aliases_and_merges_are_followed() {
        let value = read("x: &x {a: 1, b: 2}\nv: {<<: *x, b: 3}\nw: {b: 4, <<: [*x, {a: 9}]}");
        let text = |one: &str, two: &str| value.get(one).unwrap().get(two).unwrap().text().unwrap();
        assert_eq!((text("v", "a"), text("v", "b")), ("1".into(), "3".into()));
        assert_eq!((text("w", "a"), text("w", "b")), ("1".into(), "4".into()));
    }

    #[test]
    fn bombs_are_refused() {
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..10 {
            let alias = format!("*a{}", level - 1);
            let list = [alias.as_str(); 9].join(", ");
            laughs += &format!("a{level}: &a{level} [{list}]\n");
        }
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let wide = format!("[&a [{}], {}]", "a,".repeat(20_000), "*a, ".repeat(60));
        for (text, expected) in [
            (laughs.as_str(), "too large"),
            ("a: &a [*a]", "an alias stands for itself"),
            (deep.as_str(), "is not valid YAML"),
            (wide.as_str(), "a value in it is too large"),
            ("? [a]\n: b", "a key is no text"),
        ] {
            let failure = document(text).unwrap_err();
            assert!(failure.message().contains(expected), "{failure:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-c&*<>{}\\[\\]:,|!?'\" \\n-]{0,64}|\\PC{0,64}") {
            let _ = documents(&text);
            let _ = document(&text);
        }
    }
}
