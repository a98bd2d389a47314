//! What happens to accesses that nobody answers: per range and direction, chosen by the VMM.

use crate::Direction;

/// What the guest gets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Action {
    /// #GP(0), as a CPU without the MSR.
    #[default]
    Fault,
    /// Reads give zero, writes are dropped: `ignore_msrs`, for one VM and in user space.
    Ignore,
    /// A handler of the VMM answers.
    Exit,
}

/// One line: what happens in a range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UnhandledRule {
    /// First address.
    pub first: u32,
    /// Last address.
    pub last: u32,
    /// Whether it is about reading.
    pub read: bool,
    /// Whether it is about writing.
    pub write: bool,
    /// What happens.
    pub action: Action,
}

/// What happens to accesses that nobody answers: the first rule that is about an access decides, else `rest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unhandled<'a> {
    /// The rules.
    pub rules: &'a [UnhandledRule],
    /// What no rule is about.
    pub rest: Action,
}

impl Unhandled<'_> {
    /// What happens to this access.
    pub fn action(&self, address: u32, direction: Direction) -> Action {
        let about = |rule: &&UnhandledRule| {
            let way = match direction {
                Direction::Read => rule.read,
                Direction::Write => rule.write,
            };
            way && rule.first <= address && address <= rule.last
        };
        self.rules.iter().find(about).map_or(self.rest, |rule| rule.action)
    }
}
