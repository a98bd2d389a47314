//! Machines from files that speak in names: which features are there, and no registers.
//!
//! A name says one bit. Its place stays unrecorded, and the bit is listed as known beside it ([`Policy::named`]). Values that a CPUID
//! table must have to be read at all (the maximum leaves) are put in, and unrecorded unless the file says them.

use cpuid_db::{Basis, Vendor, lookup, words};
use cpuid_db::{Feature, FeatureSet, Found, LookupError, Merge, MsrEntry, Named, Place, Policy, Project, Registers, TableFull};

use crate::Cpu;
use crate::error::Problem;
use crate::limits::{MAX_LEAVES, MAX_NAMES};
use crate::unrecorded::{self, Coverage, Told};

/// What a file has said about a CPU so far.
pub(crate) struct Names {
    /// Whose words these are.
    project: Project,
    pub(crate) vendor: Option<Vendor>,
    /// EAX of leaf 1.
    pub(crate) signature: Option<u32>,
    /// The processor's name, for leaves 8000_0002H to 8000_0004H.
    pub(crate) brand: Option<String>,
    /// The maximum of the basic and the extended leaves.
    pub(crate) max: [Option<u32>; 2],
    /// How many bits a physical address has, for leaf 8000_0008H.
    pub(crate) phys_bits: Option<u8>,
    /// Features that a model brings along, before the file's own words.
    pub(crate) model: FeatureSet,
    /// Features that are unknown unless the file says them, whatever the model has.
    pub(crate) open: FeatureSet,
    on: FeatureSet,
    off: FeatureSet,
    pub(crate) unknown: Vec<String>,
}

impl Names {
    pub(crate) const fn new(project: Project) -> Self {
        Self {
            project,
            vendor: None,
            signature: None,
            brand: None,
            max: [None; 2],
            phys_bits: None,
            model: FeatureSet::EMPTY,
            open: FeatureSet::EMPTY,
            on: FeatureSet::EMPTY,
            off: FeatureSet::EMPTY,
            unknown: Vec::new(),
        }
    }

    /// Takes the word for a feature that is there or not. Several spellings of one feature must agree.
    pub(crate) fn say(&mut self, word: &str, on: bool) -> Result<(), Problem> {
        match features(self.project, word).as_slice() {
            [] => return self.unknown(word),
            [feature] => self.set(*feature, on, word)?,
            // One word for several bits: none of them alone is denied.
            several if on => several.iter().try_for_each(|feature| self.set(*feature, true, word))?,
            _ => {}
        }
        Ok(())
    }

    /// Takes a feature that is there or not; `word` is what errors call it.
    pub(crate) fn set(&mut self, feature: Feature, on: bool, word: &str) -> Result<(), Problem> {
        let (here, there) = if on { (&mut self.on, &self.off) } else { (&mut self.off, &self.on) };
        if there.contains(feature) {
            return Err(Problem::NameDiffers { name: crate::error::excerpt(word.as_bytes()) });
        }
        here.set(feature, true);
        Ok(())
    }

    /// Whether the feature is there, as far as was said.
    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.present().contains(feature)
    }

    /// Takes features away, whatever was said of them.
    pub(crate) fn deny(&mut self, features: &FeatureSet) {
        (self.on, self.off) = (self.on.difference(features), self.off.union(features));
    }

    /// Keeps a word that the database does not know.
    pub(crate) fn unknown(&mut self, word: &str) -> Result<(), Problem> {
        if self.unknown.len() >= MAX_NAMES {
            return Err(Problem::TooMany { what: "unknown names", limit: MAX_NAMES });
        }
        let word = crate::error::excerpt(word.as_bytes());
        if !self.unknown.contains(&word) {
            self.unknown.push(word);
        }
        Ok(())
    }

    /// Whether nothing at all was said.
    pub(crate) fn is_empty(&self) -> bool {
        self.on.union(&self.off).union(&self.model).is_empty() && self.signature.is_none() && self.unknown.is_empty()
    }

    /// Takes whole registers: for the files that have some.
    pub(crate) fn word(&mut self, place: Place, value: u32) {
        let (mut on, mut off) = (*self.on.words(), *self.off.words());
        for ((on, off), row) in on.iter_mut().zip(&mut off).zip(words()) {
            if row.place == place {
                (*on, *off) = (value, !value);
            }
        }
        (self.on, self.off) = (FeatureSet::from_words(on), FeatureSet::from_words(off));
    }

    /// The features that are there.
    fn present(&self) -> FeatureSet {
        self.model.difference(&self.open).difference(&self.off).union(&self.on)
    }

    /// Which features are known, and which of them are there. `is_complete` when a word that is missing denies its feature:
    /// then a register of which any bit is named is known in all bits that the project has words for, but for limitations,
    /// whose absence must be said.
    fn known(&self, is_complete: bool) -> (FeatureSet, FeatureSet) {
        let present = self.present();
        let mut named = present.union(&self.off);
        if is_complete {
            let mut spoken = vocabulary(self.project);
            let said = named;
            spoken.retain_words(|word, _| said_any(&said, word.place));
            named = named.union(&spoken.difference(&self.open));
        }
        (named, present)
    }

    pub(crate) fn into_cpu(self, basis: Basis, is_complete: bool) -> Result<Cpu, Problem> {
        let (mut named, mut present) = self.known(is_complete);
        self.aliases(&mut named, &mut present);
        let mut policy = Policy { basis, named, ..Policy::default() };
        let mut complete = Vec::new();
        self.ranges(&mut policy, &present, &mut complete).map_err(too_many_leaves)?;
        for feature in &present {
            policy.set_feature(feature, true).map_err(too_many_leaves)?;
        }
        unrecorded::fill(&mut policy, Told { cpuid: Coverage::Names(&complete), msrs: false }, &[])?;
        let msrs: Vec<MsrEntry> = policy.msrs.entries().to_vec();
        Ok(Cpu { number: 0, core_type: None, policy, msrs })
    }

    /// AMD's copies of leaf 1 bits say what leaf 1 says; other vendors do not have them.
    fn aliases(&self, named: &mut FeatureSet, present: &mut FeatureSet) {
        let Some(vendor) = self.vendor.filter(|vendor| !matches!(vendor, Vendor::Other(_))) else { return };
        for (feature, original) in Feature::all().filter_map(|feature| Some((feature, feature.row().alias_of?))) {
            let copies = vendor.is_amd_compatible();
            named.set(feature, !copies || named.contains(original));
            present.set(feature, copies && present.contains(original));
        }
    }

    /// The leaves that hold more than features, as far as they are known; `complete` collects those that are known in all bits.
    fn ranges(&self, policy: &mut Policy, present: &FeatureSet, complete: &mut Vec<(u32, u32)>) -> Result<(), TableFull> {
        let highest = |base: u32| {
            let leaf = |feature: Feature| match feature.location() {
                cpuid_db::Location::Cpuid { leaf, .. } => Some(leaf),
                cpuid_db::Location::Msr { .. } => None,
            };
            present.iter().filter_map(leaf).filter(|leaf| leaf & 0xffff_0000 == base).max()
        };
        let max = |said: Option<u32>, base: u32| said.unwrap_or(base).max(highest(base).unwrap_or(base));
        let [basic, extended] = self.max;
        let leaf_0 = self.vendor.map_or(Registers::ZERO, |vendor| vendor.leaf_0(0));
        policy.cpuid.insert(0, 0, Registers { eax: max(basic, 0).max(1), ..leaf_0 })?;
        if self.vendor.is_some() && basic.is_some() {
            complete.push((0, 0));
        }
        if let Some(signature) = self.signature {
            policy.cpuid.insert(1, 0, Registers { eax: signature, ..Registers::ZERO })?;
        }
        let brand_end = if self.brand.is_some() { 0x8000_0004 } else { 0 };
        let width_end = if self.phys_bits.is_some() { 0x8000_0008 } else { 0 };
        let extended = max(extended, 0x8000_0000).max(brand_end).max(width_end);
        policy.cpuid.insert(0x8000_0000, 0, Registers { eax: extended, ..Registers::ZERO })?;
        if let Some(bits) = self.phys_bits {
            let old = policy.cpuid.get_or_zero(0x8000_0008, 0);
            policy.cpuid.insert(0x8000_0008, 0, Registers { eax: u32::from(bits), ..old })?;
        }
        self.brand(policy, complete)?;
        if let Some(eax) = highest(0xc000_0000) {
            policy.cpuid.insert(0xc000_0000, 0, Registers { eax, ..Registers::ZERO })?;
        }
        if let Some(eax) = highest(0x4000_0000) {
            // The words of this range are those of KVM's own interface.
            let [ebx, ecx, edx] = [*b"KVMK", *b"VMKV", *b"M\0\0\0"].map(u32::from_le_bytes);
            policy.cpuid.insert(0x4000_0000, 0, Registers { eax, ebx, ecx, edx })?;
        }
        Ok(())
    }

    fn brand(&self, policy: &mut Policy, complete: &mut Vec<(u32, u32)>) -> Result<(), TableFull> {
        let Some(brand) = &self.brand else { return Ok(()) };
        let mut bytes = [0; 48];
        for (slot, byte) in bytes.iter_mut().zip(brand.bytes()) {
            *slot = byte;
        }
        for (leaf, quarter) in (0x8000_0002..).zip(bytes.chunks_exact(16)) {
            let mut words = quarter.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
            let mut next = || words.next().unwrap_or_default();
            policy.cpuid.insert(leaf, 0, Registers::new(next(), next(), next(), next()))?;
            complete.push((leaf, 0));
        }
        Ok(())
    }
}

fn too_many_leaves(_: TableFull) -> Problem {
    Problem::TooMany { what: "leaves in one CPU", limit: MAX_LEAVES }
}

/// Whether any bit of a register is in the set.
fn said_any(set: &FeatureSet, place: Place) -> bool {
    set.words().iter().zip(words()).any(|(word, row)| *word != 0 && row.place == place)
}

/// The features for which a project has words, but for limitations and what depends on the rest.
fn vocabulary(project: Project) -> FeatureSet {
    let mut set = FeatureSet::EMPTY;
    for feature in Feature::all().filter(|feature| feature.row().merge == Merge::And) {
        if feature.text().names.iter().any(|(whose, _)| *whose == project) {
            set.set(feature, true);
        }
    }
    set
}

/// Words of QEMU that are aliases of properties, and what they stand for.
const QEMU_ALIASES: [(&str, &str); 2] = [("i64", "lm"), ("xd", "nx")];

/// The features that a project's word stands for: mostly one.
pub(crate) fn features(project: Project, word: &str) -> Vec<Feature> {
    let word = QEMU_ALIASES.iter().find(|(alias, _)| *alias == word && project == Project::Qemu).map_or(word, |(_, name)| name);
    let pinned = lookup(&format!("{}:{word}", project.name()));
    let found = if pinned == Err(LookupError::Unknown) { lookup(word) } else { pinned };
    let feature = |named: Named| match named {
        Named::Feature(feature) => Some(feature),
        Named::Field(_) => None,
    };
    match found {
        Ok(Found::Named(named)) => feature(named).into_iter().collect(),
        Err(LookupError::Ambiguous(several)) => several.into_iter().flatten().filter_map(feature).collect(),
        _ => Vec::new(),
    }
}
