//! [`CliError`]: what keeps a command from being done at all, in words for a person.

use std::fmt;

use report::{ExitStatus, next_step};
use sync::Failure;

/// An error that ends a command before its work, or in place of it.
#[derive(Debug)]
pub(crate) struct CliError {
    status: ExitStatus,
    message: Message,
    hints: Vec<String>,
}

#[derive(Debug)]
enum Message {
    /// One sentence.
    Sentence(String),
    /// A text that looks as it should already, such as a sync file's diagnostics.
    Finished(String),
}

impl CliError {
    /// What was typed, set or written in a file cannot be used; no registry was asked.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            status: ExitStatus::Usage,
            message: Message::Sentence(message.into()),
            hints: Vec::new(),
        }
    }

    /// The system would not do something that should have worked.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { status: ExitStatus::ItemFailed, ..Self::usage(message) }
    }

    /// A registry or a disk would not do what the command needs.
    pub(crate) fn of(failure: &Failure) -> Self {
        let status = ExitStatus::of_failure(failure);
        Self { status, ..Self::usage(&failure.message) }.hint(next_step(failure))
    }

    /// As [`CliError::usage`], with a text that looks as it should already.
    pub(crate) fn finished(text: impl Into<String>) -> Self {
        Self { message: Message::Finished(text.into()), ..Self::usage("") }
    }

    /// The same with another exit code.
    pub(crate) fn with_status(self, status: ExitStatus) -> Self {
        Self { status, ..self }
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The code that the process ends with.
    pub(crate) fn status(&self) -> ExitStatus {
        self.status
    }

    /// What happened.
    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        match &self.message {
            Message::Sentence(text) | Message::Finished(text) => text,
        }
    }

    /// The error as it is shown, with a line end.
    pub(crate) fn render(&self, painted: impl Fn(&str) -> String) -> String {
        let mut text = match &self.message {
            Message::Sentence(sentence) => format!("{} {sentence}\n", painted("error:")),
            Message::Finished(text) => format!("{text}\n"),
        };
        for hint in &self.hints {
            text.push_str(&format!("  {} {hint}\n", painted("hint:")));
        }
        text
    }
}

/// Without colours, for logs.
impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(str::to_owned))
    }
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_happened_and_what_to_do() {
        let error = CliError::usage("no sync file was given").hint("give one with -i");
        let plain = error.render(str::to_owned);
        assert_eq!(plain, "error: no sync file was given\n  hint: give one with -i\n");
        assert_eq!(error.status().code(), 2);
        assert_eq!(CliError::finished("a\nb").render(str::to_owned), "a\nb\n");
        assert_eq!(CliError::failed("the disk is full").status().code(), 1);
    }
}
