//! Features (single bits) and sets of them.

use core::fmt;

use crate::generated::words::{WORD_COUNT, WORDS};
use crate::{FeatureRow, Place, Register};

/// One bit at one place: a CPUID feature bit or a bit of a feature-enumerating MSR.
///
/// The number is the bit's position in the dense array of registers that hold features (`word * 32 + bit`),
/// so that a set of features is a handful of register words, and membership is one load and one test.
/// It is an index, not a stable identifier: store names, not numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feature(u16);

/// Where a feature is found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Location {
    /// A bit of a CPUID output register.
    Cpuid {
        /// EAX on input.
        leaf: u32,
        /// ECX on input.
        subleaf: u32,
        /// Output register.
        register: Register,
        /// Bit number in the register.
        bit: u8,
    },
    /// A bit of a feature MSR.
    Msr {
        /// Address of the MSR.
        index: u32,
        /// Bit number, 0 to 63.
        bit: u8,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Cpuid { leaf, subleaf, register, bit } => {
                write!(f, "CPUID.{leaf:X}.{subleaf:X}.")?;
                write_upper(f, register)?;
                write!(f, "[{bit}]")
            }
            Self::Msr { index, bit } => write!(f, "MSR.{index:X}[{bit}]"),
        }
    }
}

fn write_upper(f: &mut fmt::Formatter<'_>, register: Register) -> fmt::Result {
    register.name().chars().try_for_each(|c| fmt::Write::write_char(f, c.to_ascii_uppercase()))
}

impl Feature {
    /// The feature with this number. Only the generated constants call it, with numbers of rows that exist.
    pub(crate) const fn at(word: u16, bit: u16) -> Self {
        Self(word * 32 + bit)
    }

    /// The feature at this place, if the database names one there.
    /// Where hypervisors share a leaf (4000_0000H and up) the first that names the bit answers.
    pub fn at_location(location: Location) -> Option<Self> {
        let (place, bit) = match location {
            Location::Cpuid { leaf, subleaf, register, bit } => (Place::Cpuid { leaf, subleaf, register }, bit),
            Location::Msr { index, bit } => (Place::Msr { index, high: bit >= 32 }, bit & 31),
        };
        let mut words = WORDS.iter().enumerate();
        let (word, _) = words.find(|(_, word)| word.place == place && bit < 32 && word.named >> bit & 1 == 1)?;
        Some(Self::at(word as u16, u16::from(bit)))
    }

    /// The feature at another bit of the same register, if the database names one there.
    pub fn sibling(self, bit: u8) -> Option<Self> {
        let named = WORDS.get(self.word())?.named;
        (bit < 32 && named >> bit & 1 == 1).then(|| Self::at(self.word() as u16, u16::from(bit)))
    }

    /// The word of [`FeatureSet::words`] that holds this feature.
    pub const fn word(self) -> usize {
        (self.0 >> 5) as usize
    }

    /// The feature's bit in its word.
    pub const fn mask(self) -> u32 {
        1 << (self.0 & 31)
    }

    /// Rank among all features, from 0 to [`Feature::COUNT`] - 1: the index for per-feature arrays.
    pub fn index(self) -> usize {
        let Some(word) = WORDS.get(self.word()) else { return 0 };
        usize::from(word.first) + (word.named & (self.mask() - 1)).count_ones() as usize
    }

    /// What the database says about it.
    pub fn row(self) -> &'static FeatureRow {
        crate::generated::features::FEATURES.get(self.index()).unwrap_or(&FeatureRow::PLAIN)
    }

    /// Where the bit is.
    pub fn location(self) -> Location {
        let bit = (self.0 & 31) as u8;
        match WORDS.get(self.word()).map(|word| word.place) {
            Some(Place::Cpuid { leaf, subleaf, register }) => Location::Cpuid { leaf, subleaf, register, bit },
            Some(Place::Msr { index, high }) => Location::Msr { index, bit: bit + if high { 32 } else { 0 } },
            None => Location::Msr { index: 0, bit },
        }
    }

    /// The feature's position in the dense array of registers. Like [`Feature::index`] it is not stable, and not without gaps.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The feature with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        let feature = Self(number);
        FeatureSet::ALL.0.get(feature.word()).is_some_and(|word| word & feature.mask() != 0).then_some(feature)
    }

    /// All features, in order of place.
    pub fn all() -> impl Iterator<Item = Self> {
        FeatureSet::ALL.into_iter()
    }
}

#[cfg(feature = "names")]
impl Feature {
    /// The canonical name: the manual's spelling in upper case.
    pub fn name(self) -> &'static str {
        self.text().name
    }

    /// Names, titles, reasons and sources.
    pub fn text(self) -> &'static crate::FeatureText {
        const NONE: crate::FeatureText = crate::FeatureText::NONE;
        crate::generated::text::FEATURE_TEXT.get(self.index()).unwrap_or(&NONE)
    }
}

impl fmt::Debug for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "names")]
        return f.pad(self.name());
        #[cfg(not(feature = "names"))]
        return fmt::Display::fmt(&self.location(), f);
    }
}

/// A set of features: one 32-bit word per register that holds features.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeatureSet([u32; WORD_COUNT]);

impl FeatureSet {
    /// The empty set.
    pub const EMPTY: Self = Self([0; WORD_COUNT]);

    /// Every feature the database names.
    #[allow(clippy::indexing_slicing, reason = "evaluated at compile time, where a bad index fails the build")]
    pub const ALL: Self = {
        let mut words = [0; WORD_COUNT];
        let mut at = 0;
        while at < WORD_COUNT {
            words[at] = WORDS[at].named;
            at += 1;
        }
        Self(words)
    };

    /// A set of words that hold no bit without a name. Only generated constants call it.
    pub(crate) const fn of_words(words: &[u32; WORD_COUNT]) -> Self {
        Self(*words)
    }

    /// The register words, in the order of [`crate::words`].
    pub const fn words(&self) -> &[u32; WORD_COUNT] {
        &self.0
    }

    /// Builds a set from register words; bits without a name are dropped.
    pub fn from_words(mut words: [u32; WORD_COUNT]) -> Self {
        for (word, row) in words.iter_mut().zip(&WORDS) {
            *word &= row.named;
        }
        Self(words)
    }

    /// Whether `feature` is in the set.
    #[expect(
        clippy::indexing_slicing,
        reason = "a Feature's word is below WORD_COUNT by construction; the check is optimised away in callers with constants"
    )]
    pub const fn contains(&self, feature: Feature) -> bool {
        self.0[feature.word()] & feature.mask() != 0
    }

    /// The set with `feature` added.
    #[expect(clippy::indexing_slicing, reason = "a Feature's word is below WORD_COUNT by construction")]
    pub const fn with(mut self, feature: Feature) -> Self {
        self.0[feature.word()] |= feature.mask();
        self
    }

    /// The set with `feature` removed.
    #[expect(clippy::indexing_slicing, reason = "a Feature's word is below WORD_COUNT by construction")]
    pub const fn without(mut self, feature: Feature) -> Self {
        self.0[feature.word()] &= !feature.mask();
        self
    }

    /// Adds or removes `feature`.
    #[expect(clippy::indexing_slicing, reason = "a Feature's word is below WORD_COUNT by construction")]
    pub const fn set(&mut self, feature: Feature, on: bool) {
        if on {
            self.0[feature.word()] |= feature.mask();
        } else {
            self.0[feature.word()] &= !feature.mask();
        }
    }

    /// Clears the registers that `keep` refuses, in the order of [`crate::words`]; `keep` sees what is left of the set.
    pub fn retain_words(&mut self, mut keep: impl FnMut(&crate::Word, &Self) -> bool) {
        for (at, row) in WORDS.iter().enumerate() {
            if self.0.get(at).is_some_and(|word| *word != 0)
                && !keep(row, self)
                && let Some(word) = self.0.get_mut(at)
            {
                *word = 0;
            }
        }
    }

    /// Adds every feature that names this one as a prerequisite.
    pub fn add_dependants(&mut self, of: Feature) {
        for (at, mask) in crate::generated::rules::DEPENDANTS.get(of.index()).copied().unwrap_or(&[]) {
            if let Some(word) = self.0.get_mut(usize::from(*at)) {
                *word |= mask;
            }
        }
    }

    /// What the CPUs of this vendor define.
    pub fn defined_by(vendor: crate::Vendor) -> Self {
        let own = crate::generated::rules::VENDORS.iter().find(|(of, _)| *of == vendor.set());
        own.map_or(Self::EMPTY, |(_, set)| *set).union(&crate::generated::rules::COMMON)
    }

    /// The first feature of the set, in order of place, behind `last`.
    pub fn after(&self, last: Option<Feature>) -> Option<Feature> {
        let (mut at, mut mask) = match last {
            Some(last) => (last.word(), !(last.mask() | (last.mask() - 1))),
            None => (0, u32::MAX),
        };
        loop {
            let word = self.0.get(at)? & mask;
            if word != 0 {
                return Some(Feature::at(at as u16, word.trailing_zeros() as u16));
            }
            (at, mask) = (at + 1, u32::MAX);
        }
    }

    /// Whether any of `features` is in the set.
    pub fn contains_any(&self, features: &[Feature]) -> bool {
        features.iter().any(|feature| self.contains(*feature))
    }

    /// Features in either set.
    #[expect(clippy::indexing_slicing, reason = "bounded by the array's length")]
    pub const fn union(&self, other: &Self) -> Self {
        let mut words = self.0;
        let mut at = 0;
        while at < WORD_COUNT {
            words[at] |= other.0[at];
            at += 1;
        }
        Self(words)
    }

    /// Features in both sets.
    #[expect(clippy::indexing_slicing, reason = "bounded by the array's length")]
    pub const fn intersection(&self, other: &Self) -> Self {
        let mut words = self.0;
        let mut at = 0;
        while at < WORD_COUNT {
            words[at] &= other.0[at];
            at += 1;
        }
        Self(words)
    }

    /// Features in this set only.
    #[expect(clippy::indexing_slicing, reason = "bounded by the array's length")]
    pub const fn difference(&self, other: &Self) -> Self {
        let mut words = self.0;
        let mut at = 0;
        while at < WORD_COUNT {
            words[at] &= !other.0[at];
            at += 1;
        }
        Self(words)
    }

    /// Whether every feature of this set is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    /// Whether the set has no feature.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many features the set has.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The features in order of place.
    pub fn iter(&self) -> Iter {
        Iter { set: *self, word: 0 }
    }
}

impl Default for FeatureSet {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<Feature> for FeatureSet {
    fn from_iter<T: IntoIterator<Item = Feature>>(features: T) -> Self {
        features.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl IntoIterator for FeatureSet {
    type Item = Feature;
    type IntoIter = Iter;

    fn into_iter(self) -> Iter {
        Iter { set: self, word: 0 }
    }
}

impl IntoIterator for &FeatureSet {
    type Item = Feature;
    type IntoIter = Iter;

    fn into_iter(self) -> Iter {
        self.iter()
    }
}

/// The features of a set, in order of place.
#[derive(Clone, Debug)]
pub struct Iter {
    set: FeatureSet,
    word: usize,
}

impl Iterator for Iter {
    type Item = Feature;

    fn next(&mut self) -> Option<Feature> {
        loop {
            let word = self.set.0.get_mut(self.word)?;
            if *word == 0 {
                self.word += 1;
                continue;
            }
            let bit = word.trailing_zeros() as u16;
            *word &= *word - 1;
            return Some(Feature::at(self.word as u16, bit));
        }
    }
}

#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for FeatureSet {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self::from_words(u.arbitrary()?))
    }
}
