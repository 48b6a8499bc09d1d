//! [`Reader`]: the values of a file, checked while they are read.
//!
//! Every mistake is noted and reading goes on, so that one run tells all of them.

use crate::diagnostic::{Code, Diagnostic, Place};
use crate::text::Text;
use crate::yaml::{Content, Node, Span};

/// Reads the tree of one file and collects what is wrong with it.
pub(crate) struct Reader<'a> {
    pub(crate) text: &'a Text,
    pub(crate) found: Vec<Diagnostic>,
}

/// A value with where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// A key and its value.
#[derive(Clone, Copy)]
pub(crate) struct Field<'n> {
    pub(crate) key: &'static str,
    pub(crate) key_span: Span,
    pub(crate) node: &'n Node,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a Text) -> Self {
        Self { text, found: Vec::new() }
    }

    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        Some(self.text.place(span))
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// An error at a span, to be completed and pushed.
    pub(crate) fn error(&self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.place(span), message)
    }

    /// A warning at a span, to be completed and pushed.
    pub(crate) fn warning(&self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(code, self.place(span), message)
    }

    /// A text that may also be `null`, which is none.
    pub(crate) fn text_or_null(&mut self, field: Field<'_>) -> Option<Spanned<String>> {
        if field.node.is_null() { None } else { self.text(field) }
    }

    /// A text, as written: unquoted numbers, dates and booleans are texts too.
    pub(crate) fn text(&mut self, field: Field<'_>) -> Option<Spanned<String>> {
        match &field.node.content {
            Content::Scalar { .. } if field.node.is_null() => self.no_value(field),
            Content::Scalar { text, plain } => {
                if *plain && let Some(error) = self.slash_comment(text, field.node.span) {
                    self.push(error);
                    return None;
                }
                Some(Spanned { value: text.clone(), span: field.node.span })
            }
            Content::List(_) | Content::Mapping(_) => self.wrong_type(field, "a string"),
        }
    }

    /// `true` or `false`; like YAML 1.1 and kyma's parser also `yes`, `no`, `on` and `off`.
    pub(crate) fn boolean(&mut self, field: Field<'_>) -> Option<bool> {
        let Content::Scalar { text, plain } = &field.node.content else {
            return self.wrong_type(field, "`true` or `false`");
        };
        if field.node.is_null() {
            return self.no_value(field);
        }
        let value = match text.as_str() {
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
            _ => None,
        };
        match value {
            Some(value) if *plain => Some(value),
            Some(value) => {
                let message = format!("`{}` must be `true` or `false`", field.key);
                let error = self.error(Code::WrongType, field.node.span, message);
                self.push(error.label(format!("without quotes: `{value}`")));
                None
            }
            None => self.wrong_type(field, "`true` or `false`"),
        }
    }

    /// A whole number from 1.
    pub(crate) fn count(&mut self, field: Field<'_>) -> Option<usize> {
        self.whole(field, 1, "a whole number from 1")
    }

    /// A whole number from 0.
    pub(crate) fn count_or_none(&mut self, field: Field<'_>) -> Option<usize> {
        self.whole(field, 0, "a whole number from 0")
    }

    fn whole(&mut self, field: Field<'_>, least: usize, wanted: &str) -> Option<usize> {
        match &field.node.content {
            Content::Scalar { .. } if field.node.is_null() => self.no_value(field),
            Content::Scalar { text, plain: true } => match text.parse() {
                Ok(number) if number >= least => Some(number),
                _ => self.wrong_type(field, wanted),
            },
            _ => self.wrong_type(field, wanted),
        }
    }

    /// A number above 0.
    pub(crate) fn rate(&mut self, field: Field<'_>) -> Option<f64> {
        let wanted = "a number above 0";
        match &field.node.content {
            Content::Scalar { .. } if field.node.is_null() => self.no_value(field),
            Content::Scalar { text, plain: true } => match text.parse::<f64>() {
                Ok(number) if number.is_finite() && number > 0.0 => Some(number),
                _ => self.wrong_type(field, wanted),
            },
            _ => self.wrong_type(field, wanted),
        }
    }

    /// The items of a list; nothing at all counts as an empty one.
    pub(crate) fn list<'n>(&mut self, field: Field<'n>) -> Option<&'n [Node]> {
        match &field.node.content {
            Content::List(items) => Some(items),
            Content::Scalar { .. } if field.node.is_null() => Some(&[]),
            Content::Scalar { .. } | Content::Mapping(_) => self.wrong_type(field, "a list"),
        }
    }

    /// The texts of a list.
    pub(crate) fn texts(&mut self, field: Field<'_>) -> Option<Vec<Spanned<String>>> {
        let items = self.list(field)?;
        Some(items.iter().filter_map(|node| self.text(Field { node, ..field })).collect())
    }

    /// One text or several; an empty list is an error.
    pub(crate) fn one_or_more(&mut self, field: Field<'_>) -> Option<Vec<Spanned<String>>> {
        match &field.node.content {
            Content::Scalar { .. } => self.text(field).map(|text| vec![text]),
            Content::List(items) if items.is_empty() => {
                let message = format!("`{}` is an empty list", field.key);
                self.push(self.error(Code::NoValue, field.node.span, message));
                None
            }
            Content::List(_) => self.texts(field),
            Content::Mapping(_) => self.wrong_type(field, "a string or a list of strings"),
        }
    }

    fn no_value<T>(&mut self, field: Field<'_>) -> Option<T> {
        // The span of nothing is of no use; the key is where to look.
        let message = format!("`{}` has no value", field.key);
        self.push(self.error(Code::NoValue, field.key_span, message));
        None
    }

    pub(crate) fn wrong_type<T>(&mut self, field: Field<'_>, wanted: &str) -> Option<T> {
        let node = field.node;
        if let Content::Scalar { text, plain: true } = &node.content
            && let Some(diagnostic) = self.slash_comment(text, node.span)
        {
            self.push(diagnostic);
            return None;
        }
        let message = format!("`{}` must be {wanted}", field.key);
        let error = self.error(Code::WrongType, node.span, message);
        self.push(match &node.content {
            // To hear that `maybe` is a string helps nobody who wanted a boolean or a number.
            Content::Scalar { plain: true, .. } if wanted != "a list" => error,
            _ if self.raw(node.span).starts_with("{{") => {
                error.label("this is a template").help("render it before, or quote it")
            }
            _ => error.label(format!("this is {}", describe(node))),
        });
        None
    }

    /// What the file has at a span, as written.
    pub(crate) fn raw(&self, span: Span) -> &'a str {
        self.text.content().get(span.start..span.end).unwrap_or_default()
    }

    /// The error for a plain text that holds what was meant as a comment.
    pub(crate) fn slash_comment(&self, text: &str, span: Span) -> Option<Diagnostic> {
        let (value, _) = text.split_once(" //")?;
        let at = value.len() + 1;
        // The mark is exact where the text is in the file as it is read.
        let span = match self.raw(span).get(at..at + 2) {
            Some("//") => Span { start: span.start + at, end: span.start + at + 2 },
            _ => span,
        };
        Some(
            self.error(Code::SlashComment, span, "`//` is no comment in YAML, `#` is")
                .label("write `#` here"),
        )
    }
}

pub(crate) fn describe(node: &Node) -> &'static str {
    match &node.content {
        Content::Scalar { .. } if node.is_null() => "nothing",
        Content::Scalar { plain: false, .. } => "a quoted string",
        Content::Scalar { .. } => "a string",
        Content::List(_) => "a list",
        Content::Mapping(_) => "a mapping",
    }
}
