//! What can be wrong with a file, and where.

use std::fmt;

use crate::Format;

/// Why a file could not be read: which one, where in it, and what is wrong there.
///
/// Displays as one line: `hosts/a.txt:12: leaf 00000007 is given twice with different values`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{name}{place}: {problem}")]
#[non_exhaustive]
pub struct ReadError {
    /// The name that the caller gave the input.
    pub name: String,
    /// Where in the input.
    pub place: Place,
    /// What is wrong there.
    pub problem: Problem,
}

/// Where in an input something is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Place {
    /// The input as a whole.
    File,
    /// A line, from 1.
    Line(usize),
    /// A member of a JSON document.
    Path {
        /// The line, from 1.
        line: usize,
        /// The way to the member: `cpus[0].leaves[3].eax`.
        path: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(line) => write!(f, ":{line}"),
            Self::Path { line, path } => write!(f, ":{line}: {path}"),
        }
    }
}

/// What is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing but white space.
    #[error("the file is empty")]
    Empty,
    /// More bytes than [`MAX_BYTES`](crate::limits::MAX_BYTES).
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The content looks like nothing that this crate reads.
    #[error("not in a known format; known are {}", Format::list())]
    UnknownFormat,
    /// A JSON document of another kind or a newer version.
    #[error("schema {found:?} is not known; known are \"vcpu.dump/1\" and \"vcpu.policy/1\"")]
    UnknownSchema {
        /// The schema that the document names.
        found: String,
    },
    /// A control character, or bytes that are not UTF-8 where the format demands it.
    #[error("byte 0x{byte:02x} is not text")]
    NotText {
        /// The byte.
        byte: u8,
    },
    /// A line beyond [`MAX_LINE`](crate::limits::MAX_LINE).
    #[error("line is longer than {limit} bytes")]
    LineTooLong {
        /// The limit.
        limit: usize,
    },
    /// Something else stands where the format wants a certain thing.
    #[error("expected {expected}, found {found:?}")]
    Expected {
        /// What the format wants.
        expected: &'static str,
        /// What is there: its beginning, printable.
        found: String,
    },
    /// Register values that belong to no CPU.
    #[error("leaf data before the first CPU heading")]
    OutsideCpu,
    /// Two answers for one question.
    #[error("{} is given twice with different values", LeafName(*leaf, *subleaf))]
    LeafDiffers {
        /// The leaf.
        leaf: u32,
        /// The subleaf.
        subleaf: u32,
    },
    /// Two values for one MSR.
    #[error("MSR {index:08x} is given twice with different values")]
    MsrDiffers {
        /// Its address.
        index: u32,
    },
    /// A heading repeats a CPU number.
    #[error("CPU {number} is given twice")]
    CpuTwice {
        /// The number.
        number: u32,
    },
    /// Several lines of one leaf, and the format does not say which subleaves they are.
    #[error("leaf {leaf:08x} is given twice with different values and without subleaf numbers")]
    Unnumbered {
        /// The leaf.
        leaf: u32,
    },
    /// A CPU whose dump does not begin where every dump does.
    #[error("CPU {number} has no leaf 00000000")]
    NoLeaf0 {
        /// The CPU's number.
        number: u32,
    },
    /// The format is known, but no CPU is described.
    #[error("no CPU in the file")]
    NoCpu,
    /// A count beyond its limit (see [`limits`](crate::limits)).
    #[error("more than {limit} {what}")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A part without which the rest has no meaning.
    #[error("{what} is missing")]
    Missing {
        /// The part.
        what: &'static str,
    },
    /// A member or attribute that stands twice in one object.
    #[error("{what} is given twice")]
    Twice {
        /// The part.
        what: &'static str,
    },
    /// What the JSON or XML parser says.
    #[error("{message}")]
    Syntax {
        /// Its message.
        message: String,
    },
    /// A template where a machine is wanted.
    #[error("bits are left open: this is a template, not a machine")]
    OpenBits,
    /// A machine where a template is wanted.
    #[error("{format} is no template")]
    NoTemplate {
        /// The format that was found.
        format: Format,
    },
    /// A number that goes the wrong way.
    #[error("{what} {number} is out of order")]
    Order {
        /// What is numbered.
        what: &'static str,
        /// The number.
        number: u32,
    },
    /// One answer stands twice where the format forbids it.
    #[error("{} is given twice", LeafName(*leaf, *subleaf))]
    LeafTwice {
        /// The leaf.
        leaf: u32,
        /// The subleaf.
        subleaf: u32,
    },
    /// A leaf that answers every subleaf alike, and differently.
    #[error("leaf {leaf:08x} is given both with and without subleaf")]
    WithAndWithoutSubleaf {
        /// The leaf.
        leaf: u32,
    },
    /// A member that a strict format does not have.
    #[error("the key {key:?} is not known{}", DidYouMean(*nearest))]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key that it looks like.
        nearest: Option<&'static str>,
    },
    /// A member that belongs to another kind of document.
    #[error("{schema} has no key {key:?} at the top")]
    KeyOfOther {
        /// The key.
        key: String,
        /// The schema of the document.
        schema: Format,
    },
    /// Names of one feature that contradict each other.
    #[error("{name:?} is both there and not there")]
    NameDiffers {
        /// The name that was found last.
        name: String,
    },
    /// Reading failed; only where the input is a stream.
    #[error("cannot be read: {message}")]
    Io {
        /// What the operating system says.
        message: String,
    },
}

/// How messages name a leaf: the subleaf only if it is not 0.
struct LeafName(u32, u32);

impl fmt::Display for LeafName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leaf {:08x}", self.0)?;
        if self.1 == 0 { Ok(()) } else { write!(f, " subleaf {:02x}", self.1) }
    }
}

/// What an unknown key may have been.
struct DidYouMean(Option<&'static str>);

impl fmt::Display for DidYouMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |key| write!(f, "; did you mean {key:?}?"))
    }
}

/// An error without the name of the file, which only the outermost function knows.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) problem: Problem,
}

impl Fault {
    pub(crate) fn named(self, name: &str) -> ReadError {
        ReadError { name: name.to_owned(), place: self.place, problem: self.problem }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self { place: Place::File, problem }
    }
}

impl Problem {
    pub(crate) fn at_line(self, line: usize) -> Fault {
        Fault { place: Place::Line(line), problem: self }
    }

    /// What a parser says; it may quote the whole file.
    pub(crate) fn syntax(message: &str) -> Self {
        Self::Syntax { message: beginning(message.as_bytes(), 240) }
    }

    pub(crate) fn expected(expected: &'static str, found: &[u8]) -> Self {
        Self::Expected { expected, found: excerpt(found) }
    }
}

/// The beginning of an offender, fit for a terminal.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    beginning(bytes, 60)
}

fn beginning(bytes: &[u8], length: usize) -> String {
    let shown = bytes.get(..length).unwrap_or(bytes);
    let printable = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' };
    let mut text: String = shown.iter().map(printable).collect();
    if shown.len() < bytes.len() {
        text.push_str("...");
    }
    text
}
