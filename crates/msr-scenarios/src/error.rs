//! What is wrong with a scenario file, and where.

/// A scenario that cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct Error {
    /// The file as it was named.
    pub file: String,
    /// Where, from 1.
    pub line: usize,
    /// What.
    pub what: String,
}
