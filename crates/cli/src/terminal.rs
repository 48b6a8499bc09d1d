//! [`Terminal`]: the only place that writes to standard output and standard error, and what is
//! known of them. Results go to the first; logs, progress, warnings and errors to the second.

use std::io::{self, IsTerminal, Write};

use terminal_size::{Width, terminal_size_of};

use crate::environment::{Environment, NO_COLOR, TERM};

/// The two streams of the process.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    /// The width of standard output in columns; none where it is no terminal.
    pub(crate) width: Option<u16>,
    /// Whether results are coloured.
    pub(crate) colour_results: bool,
    /// Whether messages are coloured.
    pub(crate) colour_messages: bool,
    /// Whether standard error can draw progress bars.
    pub(crate) draws: bool,
}

/// A terminal that is narrower than this would tear a table to pieces; it may scroll instead.
const NARROWEST: u16 = 80;

impl Terminal {
    pub(crate) fn of_this_process(environment: &Environment) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let able = environment.get(TERM).is_none_or(|term| term != "dumb");
        let colours = able && environment.get(NO_COLOR).is_none();
        let width = match stdout.is_terminal() {
            true => terminal_size_of(&stdout).map(|(Width(width), _)| width.max(NARROWEST)),
            false => None,
        };
        Self {
            width,
            colour_results: colours && stdout.is_terminal(),
            colour_messages: colours && stderr.is_terminal(),
            draws: able && stderr.is_terminal(),
        }
    }

    /// Writes a result. A reader that went away (`| head`) has what it wanted.
    ///
    /// # Errors
    /// What the system says, but for a closed pipe.
    pub(crate) fn result(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        })
    }

    /// Writes a message. Where even that cannot be done, there is nobody left to tell.
    pub(crate) fn message(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _nobody_left = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }

    /// A message's first word in its colour.
    pub(crate) fn painted(&self, word: &str) -> String {
        if !self.colour_messages {
            return word.to_owned();
        }
        let colour = match word {
            "error:" => "\x1b[1;31m",
            "warning:" => "\x1b[1;33m",
            _ => "\x1b[36m",
        };
        format!("{colour}{word}\x1b[0m")
    }
}
