//! What an upstream source says, in terms of this project: places, spellings, KVM dispositions and prerequisites.

use std::fmt;

use crate::codegen::model::REGISTERS;

/// A register of a CPUID leaf, or an MSR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Word {
    Cpuid { leaf: u32, subleaf: u32, register: usize },
    Msr(u32),
}

impl Word {
    pub(crate) fn cpuid(leaf: u32, subleaf: u32, register: usize) -> Self {
        Self::Cpuid { leaf, subleaf, register }
    }

    /// How many bits it has.
    pub(crate) fn width(self) -> u8 {
        if matches!(self, Self::Msr(_)) { 64 } else { 32 }
    }

    /// One bit of it, in the layout of the hardware.
    pub(crate) fn bit(self, bit: u8) -> Place {
        Place { word: self, low: bit, high: bit }
    }

    /// One bit of it as QEMU and libvirt number them: VMX controls from 0, which are the may-be-1 bits of the high half.
    pub(crate) fn normalised_bit(self, bit: u8) -> Place {
        let control = matches!(self, Self::Msr(0x481..=0x484 | 0x48b | 0x48d..=0x490));
        self.bit(if control && bit < 32 { bit + 32 } else { bit })
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Cpuid { leaf, subleaf, register } => write!(f, "CPUID.{leaf:X}.{subleaf:X}.{}", REGISTERS[register].to_uppercase()),
            Self::Msr(index) => write!(f, "MSR.{index:X}"),
        }
    }
}

/// Neighbouring bits of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) word: Word,
    pub(crate) low: u8,
    pub(crate) high: u8,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { word, low, high } = self;
        if low == high { write!(f, "{word}[{low}]") } else { write!(f, "{word}[{high}:{low}]") }
    }
}

/// Where a claim says that something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// At these bits.
    Place(Place),
    /// Somewhere in this word.
    Word(Word),
    /// Not said: the name alone.
    Nowhere,
}

/// A project (a key of `names` in the data) and its word for something.
pub(crate) type Spelling = (&'static str, String);

/// How KVM comes to report a bit, as far as its source says: any of these dispositions of the data.
pub(crate) type Kvm = &'static [&'static str];

/// One thing that a source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) line: usize,
    pub(crate) at: At,
    pub(crate) spellings: Vec<Spelling>,
    pub(crate) kvm: Option<Kvm>,
    /// Xen's `|`: set if any host of a pool has it.
    pub(crate) or_merge: Option<bool>,
}

impl Claim {
    pub(crate) fn new(line: usize, at: At, spellings: Vec<Spelling>) -> Self {
        Self { line, at, spellings, kvm: None, or_merge: None }
    }
}

/// An end of a dependency edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// All named bits among these.
    Bits(Vec<Place>),
    /// What this spelling means.
    Named(Spelling),
    /// All named bits of the word in which the named bit is.
    WordOf(Spelling),
}

/// `child` needs any of the bits of `parent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) line: usize,
    pub(crate) parent: End,
    pub(crate) child: End,
}

/// Everything that one source says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) bits: Vec<Claim>,
    pub(crate) edges: Vec<Edge>,
    /// Names that the source itself says are no hardware bits.
    pub(crate) synthetic: usize,
    /// Words of which the source lists every bit that KVM reports, with the dispositions that it lists.
    pub(crate) kvm_words: Vec<Word>,
    pub(crate) kvm_listed: Kvm,
}

/// Why a source cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something that must be there is not.
    Missing(&'static str),
    /// Text where a number should be.
    NotANumber(String),
    /// A word that has no known place.
    UnknownWord(String),
    /// A macro without a known meaning.
    UnknownMacro(String),
    /// A line that has not the form of its neighbours.
    Form(String),
    /// Not well-formed XML or JSON.
    Syntax(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "{what} is missing"),
            Self::NotANumber(text) => write!(f, "`{text}` is not a number"),
            Self::UnknownWord(text) => write!(f, "`{text}` is not a known word"),
            Self::UnknownMacro(text) => write!(f, "`{text}` has no known meaning"),
            Self::Form(text) => write!(f, "`{text}` is not of the expected form"),
            Self::Syntax(text) => f.write_str(text),
        }
    }
}

/// A fault and its line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParseError {
    pub(crate) line: usize,
    pub(crate) fault: Fault,
}

impl Fault {
    pub(crate) fn at(self, line: usize) -> ParseError {
        ParseError { line, fault: self }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.fault)
    }
}

/// What every parser returns.
pub(crate) type Parsed = Result<Claims, ParseError>;
