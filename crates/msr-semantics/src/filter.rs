//! Which MSR accesses of a guest KVM answers and which it hands to the VMM: a list of rules, and the ranges that KVM takes.
//!
//! KVM's filter (KVM_X86_SET_MSR_FILTER, Documentation/virt/kvm/api.rst 4.135) has at most 16 ranges of at most 12288 MSRs, one bitmap
//! for both directions of a range, read in whole 64-bit words; the first range that covers an address and a direction decides.

use core::fmt;

/// Which way a guest accesses an MSR.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// RDMSR.
    Read,
    /// WRMSR.
    Write,
}

/// One line of a filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rule {
    /// First address.
    pub first: u32,
    /// Last address.
    pub last: u32,
    /// Whether the rule is about reading.
    pub read: bool,
    /// Whether the rule is about writing.
    pub write: bool,
    /// Whether KVM answers; else the access exits.
    pub allow: bool,
}

impl Rule {
    const fn is_about(&self, address: u32, direction: Direction) -> bool {
        let way = match direction {
            Direction::Read => self.read,
            Direction::Write => self.write,
        };
        way && self.first <= address && address <= self.last
    }
}

/// What KVM answers: the first rule that is about an access decides, else the default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filter<'a> {
    /// What no rule is about.
    pub default_allow: bool,
    /// The rules.
    pub rules: &'a [Rule],
}

/// The x2APIC's MSRs, which KVM never filters.
const X2APIC: core::ops::RangeInclusive<u32> = 0x800..=0x8ff;

/// The most ranges.
pub const MAX_RANGES: usize = 16;

/// The most MSRs of a range: 600H bytes of bitmap.
pub const MAX_MSRS: u32 = 0x600 * 8;

const WORDS: usize = MAX_MSRS as usize / 64;

impl Filter<'_> {
    /// Everything exits.
    pub const TRAP_ALL: Self = Self { default_allow: false, rules: &[] };

    /// Whether KVM answers this access.
    pub fn allows(&self, address: u32, direction: Direction) -> bool {
        X2APIC.contains(&address) || self.says(address, direction)
    }

    fn says(&self, address: u32, direction: Direction) -> bool {
        let rule = self.rules.iter().find(|rule| rule.is_about(address, direction));
        rule.map_or(self.default_allow, |rule| rule.allow)
    }

    /// The first address after this one at which some rule begins or ends.
    fn next_change(&self, address: u32) -> Option<u32> {
        let edges = self.rules.iter().flat_map(|rule| [Some(rule.first), rule.last.checked_add(1)]);
        edges.flatten().filter(|edge| *edge > address).min()
    }

    /// The first address from here on that is not treated as the default says, and the last that is treated alike.
    fn next_odd(&self, from: u32, directions: &[Direction], default: bool) -> Option<(u32, u32)> {
        let mut at = from;
        loop {
            let odd = !X2APIC.contains(&at) && directions.iter().any(|direction| self.says(at, *direction) != default);
            let mut next = self.next_change(at);
            // The x2APIC's range is a rule that KVM has by itself.
            for edge in [*X2APIC.start(), X2APIC.end() + 1] {
                if edge > at && next.is_none_or(|next| edge < next) {
                    next = Some(edge);
                }
            }
            if odd {
                return Some((at, next.map_or(u32::MAX, |next| next - 1)));
            }
            at = next?;
        }
    }

    /// The ranges that make KVM do exactly this.
    ///
    /// # Errors
    /// [`Conflict`] when KVM cannot.
    pub fn compile(&self) -> Result<Compiled, Conflict> {
        if let Some(rule) = self.rules.iter().find(|rule| X2APIC.contains(&rule.first) && X2APIC.contains(&rule.last) && !rule.allow) {
            return Err(Conflict::X2apic { first: rule.first, last: rule.last });
        }
        let both: &[&[Direction]] = &[&[Direction::Read, Direction::Write]];
        let apart: &[&[Direction]] = &[&[Direction::Read], &[Direction::Write]];
        let mut failure = None;
        // The other default may need fewer ranges: a list of what exits instead of one of what does not.
        for default in [self.default_allow, !self.default_allow] {
            for groups in [both, apart] {
                match self.cover(default, groups) {
                    Ok(compiled) => return Ok(compiled),
                    Err(conflict) => failure = failure.or(Some(conflict)),
                }
            }
        }
        Err(failure.unwrap_or(Conflict::TooManyRanges { covered_to: 0 }))
    }

    fn cover(&self, default: bool, groups: &[&[Direction]]) -> Result<Compiled, Conflict> {
        let mut compiled = Compiled::new(default);
        for directions in groups {
            let mut from = Some(0);
            while let Some((first, _)) = from.and_then(|from| self.next_odd(from, directions, default)) {
                let last = first.saturating_add(MAX_MSRS - 1);
                self.window(&mut compiled, first, last, directions).ok_or(Conflict::TooManyRanges { covered_to: first })?;
                from = last.checked_add(1);
            }
        }
        if !default && compiled.len == 0 {
            // KVM takes no filter that denies everything without a range: one that denies address 0 once more.
            compiled.push(0, 1, true, true);
        }
        Ok(compiled)
    }

    /// Adds the ranges for what is odd between these addresses: one if both directions agree, else one for each.
    fn window(&self, compiled: &mut Compiled, first: u32, last: u32, directions: &[Direction]) -> Option<()> {
        let default = !compiled.default_deny;
        let end = self.last_odd(first, last, directions, default);
        let agree = directions.len() == 2 && self.agrees(first, end);
        if agree {
            let range = compiled.push(first, end - first + 1, true, true)?;
            self.fill(range, Direction::Read);
            return Some(());
        }
        for direction in directions {
            if self.next_odd(first, &[*direction], default).is_none_or(|(at, _)| at > end) {
                continue;
            }
            let (read, write) = (*direction == Direction::Read, *direction == Direction::Write);
            let range = compiled.push(first, end - first + 1, read, write)?;
            self.fill(range, *direction);
        }
        Some(())
    }

    fn last_odd(&self, first: u32, last: u32, directions: &[Direction], default: bool) -> u32 {
        let mut end = first;
        let mut from = Some(first);
        while let Some((start, stop)) = from.and_then(|from| self.next_odd(from, directions, default)).filter(|(start, _)| *start <= last) {
            end = stop.min(last).max(start);
            from = stop.checked_add(1);
        }
        end
    }

    /// Whether both directions are treated alike between these addresses.
    fn agrees(&self, first: u32, last: u32) -> bool {
        let mut at = Some(first);
        while let Some(here) = at.filter(|at| *at <= last) {
            if self.says(here, Direction::Read) != self.says(here, Direction::Write) {
                return false;
            }
            at = self.next_change(here);
        }
        true
    }

    fn fill(&self, range: &mut Range, direction: Direction) {
        let last = range.base + (range.count - 1);
        let mut at = Some(range.base);
        while let Some(here) = at.filter(|at| *at <= last) {
            let next = self.next_change(here);
            if self.says(here, direction) {
                let end = next.map_or(last, |next| (next - 1).min(last));
                (here..=end).for_each(|address| range.allow(address));
            }
            at = next;
        }
    }
}

/// One range as KVM takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First address.
    pub base: u32,
    /// How many addresses.
    pub count: u32,
    /// Decides about reading.
    pub read: bool,
    /// Decides about writing.
    pub write: bool,
    words: [u64; WORDS],
}

impl Range {
    const EMPTY: Self = Self { base: 0, count: 0, read: false, write: false, words: [0; WORDS] };

    fn allow(&mut self, address: u32) {
        let bit = address - self.base;
        if let Some(word) = self.words.get_mut((bit / 64) as usize) {
            *word |= 1 << (bit % 64);
        }
    }

    /// The bitmap: a set bit lets the access through. Whole words, as KVM reads it.
    pub fn bitmap(&self) -> &[u64] {
        self.words.get(..self.count.div_ceil(64) as usize).unwrap_or(&self.words)
    }

    /// What KVM finds in this range: `None` if it is not about the access.
    fn decides(&self, address: u32, direction: Direction) -> Option<bool> {
        let way = match direction {
            Direction::Read => self.read,
            Direction::Write => self.write,
        };
        let bit = address.checked_sub(self.base).filter(|bit| way && *bit < self.count)?;
        self.words.get((bit / 64) as usize).map(|word| word >> (bit % 64) & 1 == 1)
    }
}

/// A filter as KVM takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compiled {
    /// KVM_MSR_FILTER_DEFAULT_DENY.
    pub default_deny: bool,
    ranges: [Range; MAX_RANGES],
    len: usize,
}

impl Compiled {
    #[expect(clippy::large_stack_arrays, reason = "the core does not allocate; the caller decides where it lives")]
    const fn new(default_allow: bool) -> Self {
        Self { default_deny: !default_allow, ranges: [Range::EMPTY; MAX_RANGES], len: 0 }
    }

    fn push(&mut self, base: u32, count: u32, read: bool, write: bool) -> Option<&mut Range> {
        let range = self.ranges.get_mut(self.len)?;
        self.len += 1;
        *range = Range { base, count, read, write, ..Range::EMPTY };
        Some(range)
    }

    /// The ranges, in KVM's order.
    pub fn ranges(&self) -> &[Range] {
        self.ranges.get(..self.len).unwrap_or(&self.ranges)
    }

    /// What KVM does with this filter (`kvm_msr_allowed`, arch/x86/kvm/x86.c).
    pub fn allows(&self, address: u32, direction: Direction) -> bool {
        let found = self.ranges().iter().find_map(|range| range.decides(address, direction));
        X2APIC.contains(&address) || found.unwrap_or(!self.default_deny)
    }
}

/// Why KVM cannot do what a filter asks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Conflict {
    /// The x2APIC's MSRs cannot be filtered.
    X2apic {
        /// The rule's first address.
        first: u32,
        /// Its last.
        last: u32,
    },
    /// The listed MSRs lie too far apart.
    TooManyRanges {
        /// The first address that the sixteen ranges do not reach.
        covered_to: u32,
    },
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X2apic { first, last } => {
                write!(f, "{first:#x} to {last:#x} cannot be denied: KVM does not filter the x2APIC's MSRs 0x800 to 0x8ff")
            }
            Self::TooManyRanges { covered_to } => {
                write!(f, "KVM takes {MAX_RANGES} ranges of {MAX_MSRS} MSRs, and {covered_to:#x} and what follows would need more")
            }
        }
    }
}

impl core::error::Error for Conflict {}
