//! Fleets: streams of JSON documents, of any length, read in the memory of one document.

use std::io::BufRead;

use crate::error::{Fault, Place, Problem, ReadError};
use crate::limits::MAX_BYTES;
use crate::lines::line_of;
use crate::read::{read_any, stem};
use crate::{Format, Machine, detect};

/// Reads the machines of a stream that holds one document per line, in any of the JSON formats.
///
/// The memory needed is that of the longest line, which may have [`MAX_BYTES`]. Errors name the line; after an error of
/// content the next line is read, after an error of the stream nothing more.
///
/// ```
/// let text = br#"{"schema":"vcpu.policy/1","basis":"raw","msrs":[{"index":"0x10a","value":"0x0"}]}"#;
/// let machines: Result<Vec<_>, _> = cpu_dumps::lines("fleet", &text[..]).collect();
/// assert_eq!(machines?.len(), 1);
/// # Ok::<(), cpu_dumps::ReadError>(())
/// ```
pub fn lines<R: BufRead>(name: &str, input: R) -> Lines<R> {
    Lines { name: name.to_owned(), input, line: Vec::new(), number: 0, is_over: false }
}

/// Reads the one machine of a document that begins at a line of a stream, counted from 1.
fn machine(name: &str, line: usize, bytes: &[u8]) -> Result<Machine, Fault> {
    if detect(bytes).is_some_and(|format| !Format::is_json(format)) {
        return Err(Problem::expected("a JSON document", bytes.trim_ascii()).into());
    }
    let mut machines = read_any(&format!("{}:{line}", stem(name)), bytes)?;
    match (machines.pop(), machines.is_empty()) {
        (Some(machine), true) => Ok(machine),
        (None, _) => Err(Problem::Empty.into()),
        (Some(_), false) => Err(Problem::TooMany { what: "document on a line", limit: 1 }.into()),
    }
}

/// The machines of a stream, see [`lines`].
#[derive(Debug)]
pub struct Lines<R> {
    name: String,
    input: R,
    line: Vec<u8>,
    number: usize,
    is_over: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads the next line that is not blank; `None` at the end.
    fn next_line(&mut self) -> Result<Option<()>, Problem> {
        loop {
            self.line.clear();
            self.number += 1;
            let limit = MAX_BYTES as u64 + 1;
            let mut input = std::io::Read::take(&mut self.input, limit);
            let length = input.read_until(b'\n', &mut self.line);
            match length.map_err(|error| Problem::Io { message: error.to_string() })? {
                0 => return Ok(None),
                _ if self.line.len() > MAX_BYTES => return Err(Problem::LineTooLong { limit: MAX_BYTES }),
                _ if self.line.trim_ascii().is_empty() => {}
                _ => return Ok(Some(())),
            }
        }
    }

    fn error(&self, place: Place, problem: Problem) -> ReadError {
        let number = self.number;
        let place = match place {
            Place::Path { path, .. } => Place::Path { line: number, path },
            _ => Place::Line(number),
        };
        ReadError { name: self.name.clone(), place, problem }
    }

    fn parse(&self) -> Result<Machine, ReadError> {
        let read = machine(&self.name, self.number, &self.line);
        read.map_err(|fault| self.error(fault.place, fault.problem))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Machine, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.next_line() {
            Ok(None) => None,
            Ok(Some(())) => Some(self.parse()),
            Err(problem) => {
                self.is_over = true;
                Some(Err(self.error(Place::File, problem)))
            }
        }
    }
}

/// Reads the machines of a stream that holds JSON documents one after the other, with line ends anywhere or nowhere.
///
/// The memory needed is that of the longest document, which may have [`MAX_BYTES`]. Each document is read on its own: what several
/// QMP replies say of one machine needs [`read`](crate::read). Errors name the line; after an error of content the next document is
/// read, after an error of the stream, or a document without end, nothing more.
///
/// ```
/// let text = br#"{"schema":"vcpu.policy/1","basis":"raw",
///   "msrs":[{"index":"0x10a","value":"0x0"}]} {"schema":"vcpu.dump/1"}"#;
/// let machines: Vec<_> = cpu_dumps::documents("fleet", &text[..]).collect();
/// assert!(machines[0].is_ok());
/// assert_eq!(machines[1].as_ref().unwrap_err().to_string(), "fleet:2: basis is missing");
/// ```
pub fn documents<R: BufRead>(name: &str, input: R) -> Documents<R> {
    Documents { name: name.to_owned(), input, text: Vec::new(), line: 1, is_over: false }
}

/// The machines of a stream, see [`documents`].
#[derive(Debug)]
pub struct Documents<R> {
    name: String,
    input: R,
    text: Vec<u8>,
    /// The line on which the present document begins.
    line: usize,
    is_over: bool,
}

/// Where in a document the search for its end stands.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    is_escaped: bool,
}

impl Scan {
    /// Takes the next byte; whether it ends the document.
    fn ends(&mut self, byte: u8) -> bool {
        if self.in_text {
            let is_escape = byte == b'\\' && !self.is_escaped;
            self.in_text = byte != b'"' || self.is_escaped;
            self.is_escaped = is_escape;
            return false;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => return false,
        }
        self.depth == 0 && !self.in_text
    }
}

impl<R: BufRead> Documents<R> {
    /// Reads up to the end of the next document; `None` at the end of the stream.
    fn next_document(&mut self) -> Result<Option<()>, Problem> {
        self.line = self.line_at(self.text.len());
        self.text.clear();
        let mut scan = Scan::default();
        loop {
            let buffer = self.input.fill_buf().map_err(|error| Problem::Io { message: error.to_string() })?;
            if buffer.is_empty() {
                return Ok((!self.text.trim_ascii().is_empty()).then_some(()));
            }
            let end = buffer.iter().position(|byte| scan.ends(*byte));
            let taken = end.map_or(buffer.len(), |end| end + 1);
            self.text.extend(buffer.get(..taken).unwrap_or(buffer));
            self.input.consume(taken);
            if self.text.len() > MAX_BYTES {
                return Err(Problem::TooLarge { limit: MAX_BYTES });
            }
            if end.is_some() {
                return Ok(Some(()));
            }
        }
    }

    /// The line of the stream on which a byte of the present document stands.
    fn line_at(&self, at: usize) -> usize {
        self.line + line_of(&self.text, at) - 1
    }

    fn error(&self, fault: Fault) -> ReadError {
        // Lines within the document, from 1, to lines of the stream.
        let before = self.line - 1;
        let place = match fault.place {
            Place::File => Place::Line(self.line_at(self.text.len() - self.text.trim_ascii_start().len())),
            Place::Line(line) => Place::Line(before + line),
            Place::Path { line, path } => Place::Path { line: before + line, path },
        };
        ReadError { name: self.name.clone(), place, problem: fault.problem }
    }
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = Result<Machine, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.next_document() {
            Ok(None) => None,
            Ok(Some(())) => Some(machine(&self.name, self.line, &self.text).map_err(|fault| self.error(fault))),
            Err(problem) => {
                self.is_over = true;
                Some(Err(self.error(problem.into())))
            }
        }
    }
}
