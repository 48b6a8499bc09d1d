//! [`Characters`]: an index as a stream of characters, never more than a piece of it in memory.

use std::io::{self, Read};

use granit_parser::ErrorKind as YamlError;

use crate::error::Failure;

/// The characters of what is read, up to a limit.
pub(super) struct Characters<R> {
    input: R,
    buffer: Vec<u8>,
    /// Bytes in the buffer that are characters, and how far they were given out.
    valid: usize,
    at: usize,
    left: u64,
    at_start: bool,
    /// Why it ended before its end.
    pub(super) failure: Option<Failure>,
}

impl<R: Read> Characters<R> {
    pub(super) fn new(input: R, most: u64) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            valid: 0,
            at: 0,
            left: most,
            at_start: true,
            failure: None,
        }
    }

    /// Reads on; false at the end.
    fn fill(&mut self) -> Result<bool, Failure> {
        // What is left is the beginning of a character.
        self.buffer.drain(..self.valid);
        (self.valid, self.at) = (0, 0);
        while self.valid == 0 {
            let left = self.buffer.len();
            self.buffer.resize(left + PIECE, 0);
            let piece = self.buffer.get_mut(left..).unwrap_or_default();
            let read = match self.input.read(piece) {
                Ok(read) => read,
                Err(error) => return Err(failure_of(&error)),
            };
            self.buffer.truncate(left + read);
            self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
                Failure::invalid("it is larger than any index should be (100 MiB)")
            })?;
            if read == 0 {
                return match left {
                    0 => Ok(false),
                    _ => Err(Failure::invalid("it ends within a character")),
                };
            }
            self.valid = match std::str::from_utf8(&self.buffer) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_some() => {
                    return Err(Failure::invalid("it is not UTF-8"));
                }
                Err(error) => error.valid_up_to(),
            };
        }
        Ok(true)
    }
}

const PIECE: usize = 64 * 1024;

/// What a reader below went wrong of: its own word, or that of what unpacks.
fn failure_of(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>()) {
        Some(failure) => failure.clone(),
        None => Failure::invalid(format!("it cannot be unpacked: {error}")),
    }
}

impl<R: Read> Iterator for Characters<R> {
    type Item = Result<char, YamlError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.valid {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(failure) => {
                    self.failure = Some(failure);
                    return Some(Err(YamlError::InputDecoding { message: String::new() }));
                }
            }
        }
        let (character, length) = first_character(self.buffer.get(self.at..self.valid)?)?;
        self.at += length;
        // A byte order mark says nothing in UTF-8.
        let is_mark = std::mem::take(&mut self.at_start) && character == '\u{feff}';
        if is_mark { self.next() } else { Some(Ok(character)) }
    }
}

/// The first character of bytes that are UTF-8, and its length.
fn first_character(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let longest = bytes.get(..4).unwrap_or(bytes);
    let text = longest.utf8_chunks().next()?.valid();
    let character = text.chars().next()?;
    Some((character, character.len_utf8()))
}
