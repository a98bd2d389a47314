//! Fleets: files with one own-format document per line, of any length, read in constant memory.

use std::io::BufRead;

use crate::error::{Place, Problem, ReadError};
use crate::limits::MAX_BYTES;
use crate::{Machine, own};

/// Reads the machines of a stream that holds one document of the own formats per line.
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
        let read = own::read_one(&format!("{}:{}", crate::stem(&self.name), self.number), &self.line);
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
