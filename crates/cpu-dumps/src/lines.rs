//! The lines of a text file, numbered, each checked for length and for bytes that no text has.

use crate::error::{Fault, Problem};
use crate::limits::MAX_LINE;

/// A line without its end.
pub(crate) struct Line<'a> {
    /// From 1.
    pub(crate) number: usize,
    /// The bytes; may hold characters above ASCII in any encoding.
    pub(crate) text: &'a [u8],
}

/// Iterates over the lines of a file. Line ends are LF or CR LF; the last line needs none.
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let (line, rest) = split(self.rest);
        self.rest = rest;
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        Some(check(text).map(|()| Line { number: self.number, text }).map_err(|problem| problem.at_line(self.number)))
    }
}

/// The first line without its LF, and what follows.
pub(crate) fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]))
}

fn check(text: &[u8]) -> Result<(), Problem> {
    if text.len() > MAX_LINE {
        return Err(Problem::LineTooLong { limit: MAX_LINE });
    }
    match text.iter().find(|byte| is_control(**byte)) {
        Some(byte) => Err(Problem::NotText { byte: *byte }),
        None => Ok(()),
    }
}

/// Whether a byte never occurs in a line of text; form feed does, in the reports of old tools.
pub(crate) fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t' && byte != 0x0c) || byte == 0x7f
}

/// The first byte of a file that no text has, and its line.
pub(crate) fn first_control(bytes: &[u8]) -> Option<(usize, u8)> {
    let strange = |byte: u8| is_control(byte) && byte != b'\n' && byte != b'\r';
    let at = bytes.iter().position(|byte| strange(*byte))?;
    Some((line_of(bytes, at), *bytes.get(at)?))
}

/// The file as text, for formats that demand UTF-8.
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, Fault> {
    str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Problem::NotText { byte: bytes.get(at).copied().unwrap_or_default() }.at_line(line_of(bytes, at))
    })
}

/// The line of a byte, from 1.
pub(crate) fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes.get(..at).unwrap_or(bytes).split(|byte| *byte == b'\n').count()
}

/// The next word and what follows it; words are separated by blanks and tabs.
pub(crate) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}
