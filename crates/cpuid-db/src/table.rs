//! Plain containers that carry a CPU: a CPUID table and a table of feature MSRs.
//!
//! Both are sorted arrays of fixed capacity, so that they need no allocator and can be compared byte by byte.

use core::fmt;

use crate::{Register, Registers};

/// One line of a CPUID table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CpuidEntry {
    /// EAX on input.
    pub leaf: u32,
    /// ECX on input; 0 for leaves without subleaves.
    pub subleaf: u32,
    /// What CPUID returned.
    pub registers: Registers,
}

/// A table is full: more distinct leaves than any CPU or hypervisor reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableFull {
    /// How many entries the table holds.
    pub capacity: usize,
}

impl fmt::Display for TableFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} entries", self.capacity)
    }
}

impl core::error::Error for TableFull {}

/// A sorted array with room for `N` items; `K` is what it is sorted by.
#[derive(Clone)]
struct Sorted<T, const N: usize> {
    len: usize,
    items: [T; N],
}

impl<T: Copy, const N: usize> Sorted<T, N> {
    fn as_slice(&self) -> &[T] {
        self.items.get(..self.len).unwrap_or(&[])
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        self.items.get_mut(..self.len).unwrap_or(&mut [])
    }

    /// Puts `item` where `found` (the outcome of a binary search) says; returns what was there.
    fn put(&mut self, found: Result<usize, usize>, item: T) -> Result<Option<T>, TableFull> {
        match found {
            Ok(at) => Ok(self.as_mut_slice().get_mut(at).map(|old| core::mem::replace(old, item))),
            Err(at) => {
                let full = TableFull { capacity: N };
                let tail = self.items.get_mut(at..=self.len).ok_or(full)?;
                tail.rotate_right(1);
                *tail.first_mut().ok_or(full)? = item;
                self.len += 1;
                Ok(None)
            }
        }
    }

    fn retain(&mut self, mut keep: impl FnMut(&T) -> bool, empty: T) {
        let mut kept = 0;
        for at in 0..self.len {
            let Some(&item) = self.items.get(at) else { break };
            if keep(&item)
                && let Some(slot) = self.items.get_mut(kept)
            {
                *slot = item;
                kept += 1;
            }
        }
        for slot in self.items.get_mut(kept..self.len).unwrap_or(&mut []) {
            *slot = empty;
        }
        self.len = kept;
    }
}

/// A CPUID table: at most [`CpuidTable::CAPACITY`] entries, sorted by leaf and subleaf, no duplicates.
#[derive(Clone)]
pub struct CpuidTable(Sorted<CpuidEntry, { CpuidTable::CAPACITY }>);

impl CpuidTable {
    /// The most entries a table holds: KVM's own limit (`KVM_MAX_CPUID_ENTRIES`, arch/x86/include/asm/kvm_host.h).
    pub const CAPACITY: usize = 256;

    /// An empty table.
    pub const fn new() -> Self {
        const EMPTY: CpuidEntry = CpuidEntry { leaf: 0, subleaf: 0, registers: Registers::ZERO };
        Self(Sorted { len: 0, items: [EMPTY; Self::CAPACITY] })
    }

    fn search(&self, leaf: u32, subleaf: u32) -> Result<usize, usize> {
        // Tables are mostly filled in order.
        if self.entries().last().is_none_or(|last| (last.leaf, last.subleaf) < (leaf, subleaf)) {
            return Err(self.0.len);
        }
        self.entries().binary_search_by_key(&(leaf, subleaf), |entry| (entry.leaf, entry.subleaf))
    }

    /// Stores one entry and returns the registers that it replaced.
    ///
    /// # Errors
    /// [`TableFull`] when the entry is new and there is no room; the table is unchanged.
    pub fn insert(&mut self, leaf: u32, subleaf: u32, registers: Registers) -> Result<Option<Registers>, TableFull> {
        let found = self.search(leaf, subleaf);
        let old = self.0.put(found, CpuidEntry { leaf, subleaf, registers })?;
        Ok(old.map(|entry| entry.registers))
    }

    /// Drops all entries.
    pub const fn clear(&mut self) {
        self.0.len = 0;
    }

    /// The registers recorded for this leaf and subleaf.
    pub fn get(&self, leaf: u32, subleaf: u32) -> Option<Registers> {
        let at = self.search(leaf, subleaf).ok()?;
        self.entries().get(at).map(|entry| entry.registers)
    }

    /// The registers recorded for this leaf and subleaf, for changing them.
    pub fn get_mut(&mut self, leaf: u32, subleaf: u32) -> Option<&mut Registers> {
        let at = self.search(leaf, subleaf).ok()?;
        self.0.as_mut_slice().get_mut(at).map(|entry| &mut entry.registers)
    }

    /// The recorded registers, or zero.
    pub fn get_or_zero(&self, leaf: u32, subleaf: u32) -> Registers {
        self.get(leaf, subleaf).unwrap_or(Registers::ZERO)
    }

    /// One register, zero if the entry is absent.
    pub fn register(&self, leaf: u32, subleaf: u32, register: Register) -> u32 {
        self.get_or_zero(leaf, subleaf).get(register)
    }

    /// All entries in order.
    pub fn entries(&self) -> &[CpuidEntry] {
        self.0.as_slice()
    }

    /// The entries of one leaf, in order of subleaf.
    pub fn leaf(&self, leaf: u32) -> &[CpuidEntry] {
        let entries = self.entries();
        let start = entries.partition_point(|entry| entry.leaf < leaf);
        let end = entries.partition_point(|entry| entry.leaf <= leaf);
        entries.get(start..end).unwrap_or(&[])
    }

    /// Drops every entry that `keep` refuses.
    pub fn retain(&mut self, keep: impl FnMut(&CpuidEntry) -> bool) {
        self.0.retain(keep, CpuidEntry::default());
    }

    /// The highest leaf of the class that begins at `base` (0, 8000_0000H, C000_0000H, 4000_0000H), as the CPU announces it.
    /// `None` when the class is absent: AMD and Intel parts answer an absent class with data of another leaf or with zero.
    pub fn max_leaf(&self, base: u32) -> Option<u32> {
        let max = self.get(base, 0)?.eax;
        (max >= base && max.wrapping_sub(base) <= 0xffff).then_some(max)
    }

    /// Whether this leaf is inside the range that its class announces.
    pub fn in_range(&self, leaf: u32) -> bool {
        let base = match leaf {
            0x4000_0000..=0x4fff_ffff => leaf & 0xffff_ff00,
            _ => leaf & 0xf000_0000,
        };
        let base = if base < 0x4000_0000 { 0 } else { base };
        self.max_leaf(base).is_some_and(|max| leaf <= max)
    }
}

impl Default for CpuidTable {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for CpuidTable {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}

impl Eq for CpuidTable {}

impl fmt::Debug for CpuidTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

/// One feature-enumerating MSR and its value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct MsrEntry {
    /// The MSR's address.
    pub index: u32,
    /// Its value.
    pub value: u64,
}

/// Feature MSRs: at most [`MsrTable::CAPACITY`] entries, sorted by address, no duplicates.
#[derive(Clone)]
pub struct MsrTable(Sorted<MsrEntry, { MsrTable::CAPACITY }>);

impl MsrTable {
    /// The most MSRs a table holds; KVM knows fewer than 32 feature MSRs.
    pub const CAPACITY: usize = 64;

    /// An empty table.
    pub const fn new() -> Self {
        Self(Sorted { len: 0, items: [MsrEntry { index: 0, value: 0 }; Self::CAPACITY] })
    }

    fn search(&self, index: u32) -> Result<usize, usize> {
        self.entries().binary_search_by_key(&index, |entry| entry.index)
    }

    /// Stores a value and returns the one that it replaced.
    ///
    /// # Errors
    /// [`TableFull`] when the MSR is new and there is no room; the table is unchanged.
    pub fn insert(&mut self, index: u32, value: u64) -> Result<Option<u64>, TableFull> {
        let found = self.search(index);
        let old = self.0.put(found, MsrEntry { index, value })?;
        Ok(old.map(|entry| entry.value))
    }

    /// Drops all entries.
    pub const fn clear(&mut self) {
        self.0.len = 0;
    }

    /// The value of one MSR, if recorded.
    pub fn get(&self, index: u32) -> Option<u64> {
        let at = self.search(index).ok()?;
        self.entries().get(at).map(|entry| entry.value)
    }

    /// All entries in order of address.
    pub fn entries(&self) -> &[MsrEntry] {
        self.0.as_slice()
    }
}

impl Default for MsrTable {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for MsrTable {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}

impl Eq for MsrTable {}

impl fmt::Debug for MsrTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}
