//! Problems found in data files: where, what, and how to mend it.

use std::fmt::Write as _;

/// A list of problems, each with its place.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Adds one: `file:line: what; fix`.
    pub(crate) fn add(&mut self, file: &str, line: usize, what: &str, fix: &str) {
        self.0.push(format!("{file}:{line}: {what}; {fix}"));
    }

    /// All problems as one message, or success.
    pub(crate) fn into_result(self) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut text = self.0.join("\n");
        let _ = write!(text, "\n{} problem(s)", self.0.len());
        Err(text)
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The line of a byte offset, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// FNV-1a: enough to notice a stale file, and no dependency.
pub(crate) fn fingerprint(bytes: &[u8], seed: u64) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The seed of [`fingerprint`].
pub(crate) const FINGERPRINT_SEED: u64 = 0xcbf2_9ce4_8422_2325;
