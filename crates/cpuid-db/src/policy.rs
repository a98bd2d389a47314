//! A CPU as data: CPUID table, feature MSRs, and what the dump could not tell.

use core::fmt;

use crate::generated::words::{WORD_COUNT, WORDS};
use crate::{CpuidTable, Feature, FeatureSet, Field, FieldPlace, FieldRow, MsrTable, Place, Registers, Signature, TableFull, Vendor};

/// Where a view of a machine comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Basis {
    /// CPUID alone.
    #[default]
    Raw,
    /// The model of stock KVM.
    Derived,
    /// KVM answered.
    Recorded,
}

impl Basis {
    /// The word used in reports and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Derived => "derived",
            Self::Recorded => "recorded",
        }
    }

    /// The basis with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Raw, Self::Derived, Self::Recorded].into_iter().find(|basis| basis.name() == name)
    }
}

/// A place that the format or tool of a dump could not have recorded: neither 0 nor 1 is known there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Unrecorded {
    /// A leaf and subleaf.
    Cpuid {
        /// EAX on input.
        leaf: u32,
        /// ECX on input.
        subleaf: u32,
    },
    /// A feature MSR.
    Msr {
        /// Its address.
        index: u32,
    },
}

/// The places that a dump could not record: a short sorted list.
#[derive(Clone)]
pub struct UnrecordedList {
    len: usize,
    items: [Unrecorded; Self::CAPACITY],
}

impl UnrecordedList {
    /// The most places a list holds; the database names fewer.
    pub const CAPACITY: usize = 192;

    /// An empty list: everything is known.
    pub const fn new() -> Self {
        Self { len: 0, items: [Unrecorded::Msr { index: 0 }; Self::CAPACITY] }
    }

    /// Adds a place.
    ///
    /// # Errors
    /// [`TableFull`] when there is no room.
    pub fn insert(&mut self, place: Unrecorded) -> Result<(), TableFull> {
        let Err(at) = self.as_slice().binary_search(&place) else { return Ok(()) };
        let full = TableFull { capacity: Self::CAPACITY };
        let tail = self.items.get_mut(at..=self.len).ok_or(full)?;
        tail.rotate_right(1);
        *tail.first_mut().ok_or(full)? = place;
        self.len += 1;
        Ok(())
    }

    /// Forgets all places.
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Whether this place is unknown.
    pub fn contains(&self, place: Unrecorded) -> bool {
        self.as_slice().binary_search(&place).is_ok()
    }

    /// The places in order.
    pub fn as_slice(&self) -> &[Unrecorded] {
        self.items.get(..self.len).unwrap_or(&[])
    }
}

impl Default for UnrecordedList {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for UnrecordedList {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for UnrecordedList {}

impl fmt::Debug for UnrecordedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// What one machine has, or what one guest may have: CPUID table, feature MSRs, basis.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// CPUID.
    pub cpuid: CpuidTable,
    /// Feature MSRs.
    pub msrs: MsrTable,
    /// Where the data comes from.
    pub basis: Basis,
    /// What the dump could not tell.
    pub unrecorded: UnrecordedList,
    /// Features that are known although their place is unrecorded: a source that speaks in names knows a bit and not its neighbours.
    pub named: FeatureSet,
}

/// One value of a field: the field and the subleaf it was found in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FieldAt {
    /// The field.
    pub field: Field,
    /// The subleaf; 0 for MSRs and leaves without subleaves.
    pub subleaf: u32,
}

impl FieldAt {
    /// Its place in arrays of [`FIELD_SLOTS`](crate::FIELD_SLOTS), if its rule merges anything.
    pub fn slot(self) -> Option<usize> {
        let row = self.field.row();
        let (first, last) = row.subleaves();
        let inside = (first..=last).contains(&self.subleaf);
        row.slot.filter(|_| inside).map(|slot| usize::from(slot) + (self.subleaf - first) as usize)
    }

    /// The leaf and subleaf or the MSR that holds it.
    fn place(self) -> Unrecorded {
        match self.field.row().place {
            FieldPlace::Cpuid { leaf, .. } => Unrecorded::Cpuid { leaf, subleaf: self.subleaf },
            FieldPlace::Msr { index } => Unrecorded::Msr { index },
        }
    }
}

impl Policy {
    /// A CPU with nothing.
    pub const fn new() -> Self {
        Self {
            cpuid: CpuidTable::new(),
            msrs: MsrTable::new(),
            basis: Basis::Raw,
            unrecorded: UnrecordedList::new(),
            named: FeatureSet::EMPTY,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cpuid.clear();
        self.msrs.clear();
        self.basis = Basis::Raw;
        self.unrecorded.clear();
        self.named = FeatureSet::EMPTY;
    }

    /// The maker, by leaf 0.
    pub fn vendor(&self) -> Vendor {
        Vendor::from_leaf_0(&self.cpuid.get_or_zero(0, 0))
    }

    /// Family, model and stepping, by leaf 1.
    pub fn signature(&self) -> Signature {
        Signature(self.cpuid.get_or_zero(1, 0).eax)
    }

    /// The signature of the hypervisor under which this CPU is seen, if leaf 4000_0000H is there.
    pub fn hypervisor(&self) -> Option<[u8; 12]> {
        let leaf = self.cpuid.get(0x4000_0000, 0)?;
        let mut signature = [0; 12];
        for (bytes, word) in signature.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Some(signature)
    }

    /// The processor name of leaves 8000_0002H to 8000_0004H: 48 bytes, as recorded.
    pub fn brand(&self) -> [u8; 48] {
        let mut brand = [0; 48];
        for (bytes, leaf) in brand.chunks_exact_mut(16).zip(0x8000_0002..) {
            let Registers { eax, ebx, ecx, edx } = self.cpuid.get_or_zero(leaf, 0);
            for (bytes, word) in bytes.chunks_exact_mut(4).zip([eax, ebx, ecx, edx]) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
        brand
    }

    /// The raw word at a place: a CPUID register or half of an MSR, zero if not recorded or out of range.
    pub fn word(&self, place: Place) -> u32 {
        match place {
            Place::Cpuid { leaf, .. } if !self.cpuid.in_range(leaf) => 0,
            Place::Cpuid { leaf, subleaf, register } => self.cpuid.register(leaf, subleaf, register),
            Place::Msr { index, high } => {
                let value = self.msrs.get(index).unwrap_or(0);
                if high { (value >> 32) as u32 } else { value as u32 }
            }
        }
    }

    fn feature_words(&self, value: impl Fn(Place) -> u32) -> FeatureSet {
        let hypervisor = self.hypervisor();
        let mut words = [0; WORD_COUNT];
        for (word, row) in words.iter_mut().zip(&WORDS) {
            if row.hypervisor.is_none() || row.hypervisor == hypervisor {
                *word = value(row.place);
            }
        }
        FeatureSet::from_words(words)
    }

    /// The features whose bits are set. Leaves above the range that their class announces do not count:
    /// Intel CPUs answer them with data of another leaf.
    pub fn features(&self) -> FeatureSet {
        self.feature_words(|place| self.word(place))
    }

    /// The features of which the dump cannot tell whether the machine has them.
    pub fn unrecorded_features(&self) -> FeatureSet {
        let unrecorded = self.feature_words(|place| {
            let place = match place {
                Place::Cpuid { leaf, subleaf, .. } => Unrecorded::Cpuid { leaf, subleaf },
                Place::Msr { index, .. } => Unrecorded::Msr { index },
            };
            if self.unrecorded.contains(place) { u32::MAX } else { 0 }
        });
        unrecorded.difference(&self.named)
    }

    /// The value of a field; `None` when its register or MSR is not recorded, out of range or another hypervisor's.
    pub fn field(&self, at: FieldAt) -> Option<u64> {
        let row = at.field.row();
        if row.hypervisor.is_some() && row.hypervisor != self.hypervisor() {
            return None;
        }
        if self.unrecorded.contains(at.place()) {
            return None;
        }
        let word = match row.place {
            FieldPlace::Cpuid { leaf, .. } if !self.cpuid.in_range(leaf) => return None,
            FieldPlace::Cpuid { leaf, register, .. } => u64::from(self.cpuid.get(leaf, at.subleaf)?.get(register)),
            FieldPlace::Msr { index } => self.msrs.get(index)?,
        };
        Some(row.get(word))
    }

    /// Sets or clears a feature bit; the entry is created when a bit is to be set in an absent one.
    ///
    /// # Errors
    /// [`TableFull`] when a new entry does not fit.
    pub fn set_feature(&mut self, feature: Feature, on: bool) -> Result<(), TableFull> {
        let Some(word) = WORDS.get(feature.word()) else { return Ok(()) };
        let old = match word.place {
            Place::Cpuid { leaf, subleaf, register } => self.cpuid.register(leaf, subleaf, register),
            Place::Msr { index, high } => (self.msrs.get(index).unwrap_or(0) >> if high { 32 } else { 0 }) as u32,
        };
        let new = if on { old | feature.mask() } else { old & !feature.mask() };
        if new == old { Ok(()) } else { self.set_word(word.place, new) }
    }

    /// Stores a CPUID register or half of an MSR; the entry is created if it is absent.
    ///
    /// # Errors
    /// [`TableFull`] when a new entry does not fit.
    pub fn set_word(&mut self, place: Place, value: u32) -> Result<(), TableFull> {
        match place {
            Place::Cpuid { leaf, subleaf, register } => {
                let mut registers = self.cpuid.get_or_zero(leaf, subleaf);
                *registers.get_mut(register) = value;
                self.cpuid.insert(leaf, subleaf, registers)?;
            }
            Place::Msr { index, high } => {
                let old = self.msrs.get(index).unwrap_or(0);
                let new = if high { old & 0xffff_ffff | u64::from(value) << 32 } else { old & !0xffff_ffff | u64::from(value) };
                self.msrs.insert(index, new)?;
            }
        }
        Ok(())
    }

    /// Stores a field's value; the entry is created if it is absent.
    ///
    /// # Errors
    /// [`TableFull`] when a new entry does not fit.
    pub fn set_field(&mut self, at: FieldAt, value: u64) -> Result<(), TableFull> {
        let row: &FieldRow = at.field.row();
        match row.place {
            FieldPlace::Cpuid { leaf, register, .. } => {
                let old = u64::from(self.cpuid.register(leaf, at.subleaf, register));
                let place = Place::Cpuid { leaf, subleaf: at.subleaf, register };
                self.set_word(place, row.put(old, value) as u32)
            }
            FieldPlace::Msr { index } => {
                let old = self.msrs.get(index).unwrap_or(0);
                self.msrs.insert(index, row.put(old, value)).map(|_| ())
            }
        }
    }
}
