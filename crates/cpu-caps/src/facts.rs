//! Facts about features: which machines said what. A word for all of them while all say the same.

use cpuid_db::{Feature, FeatureSet};

use crate::Tally;

/// One thing that machines can say of a feature: any of them, all of them, or these.
///
/// Machines of a pool are mostly alike. Who said it is written down for a feature only when some machine does not say it,
/// so that one machine costs a few words and not a list for each feature.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sayings<const W: usize> {
    /// Some machine says it.
    pub(crate) any: FeatureSet,
    /// All machines say it; in a pool without machines everything.
    pub(crate) all: FeatureSet,
    /// Who says it, for features of `any` without `all`.
    who: [Tally<W>; Feature::COUNT],
}

impl<const W: usize> Sayings<W> {
    pub(crate) const NONE: Self = Self { any: FeatureSet::EMPTY, all: FeatureSet::ALL, who: [Tally::EMPTY; Feature::COUNT] };

    /// A machine says it of `features`; `before` are the machines that spoke before it.
    pub(crate) fn add(&mut self, id: u32, features: &FeatureSet, before: &Tally<W>) {
        self.split(&self.all.difference(features), before);
        for feature in &features.difference(&self.all) {
            if let Some(tally) = self.who.get_mut(feature.index()) {
                tally.add(id);
            }
        }
        self.any = self.any.union(features);
    }

    /// Adds everything that other machines say. `mine` and `theirs` are all machines of the two pools.
    pub(crate) fn merge(&mut self, other: &Self, mine: &Tally<W>, theirs: &Tally<W>) {
        self.split(&self.all.difference(&other.all), mine);
        for feature in &other.any.difference(&self.all) {
            if let Some(tally) = self.who.get_mut(feature.index()) {
                tally.merge(other.of(feature, theirs));
            }
        }
        self.any = self.any.union(&other.any);
    }

    /// Writes down who said it so far of features that not all machines say it of any longer.
    fn split(&mut self, features: &FeatureSet, before: &Tally<W>) {
        if !before.is_empty() {
            for feature in &features.intersection(&self.any) {
                if let Some(tally) = self.who.get_mut(feature.index()) {
                    *tally = *before;
                }
            }
        }
        self.all = self.all.difference(features);
    }

    /// The machines that say it of this feature, out of `machines`, which are all.
    pub(crate) fn of<'a>(&'a self, feature: Feature, machines: &'a Tally<W>) -> &'a Tally<W> {
        if self.all.contains(feature) {
            return machines;
        }
        self.who.get(feature.index()).unwrap_or(machines)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        for feature in &self.any.difference(&self.all) {
            if let Some(tally) = self.who.get_mut(feature.index()) {
                *tally = Tally::EMPTY;
            }
        }
        (self.any, self.all) = (FeatureSet::EMPTY, FeatureSet::ALL);
    }
}

/// A set of field slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SlotSet([u64; SlotSet::WORDS]);

impl SlotSet {
    const WORDS: usize = cpuid_db::FIELD_SLOTS.div_ceil(64);
    pub(crate) const EMPTY: Self = Self([0; Self::WORDS]);

    pub(crate) fn insert(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot >> 6) {
            *word |= 1 << (slot & 63);
        }
    }

    pub(crate) fn contains(&self, slot: usize) -> bool {
        self.0.get(slot >> 6).is_some_and(|word| word >> (slot & 63) & 1 == 1)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }

    /// The slots in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.0.into_iter().enumerate();
        words.flat_map(|(at, word)| {
            let step = |left: &u64| Some(left & (left - 1)).filter(|left| *left != 0);
            core::iter::successors(Some(word).filter(|word| *word != 0), step).map(move |left| at * 64 + left.trailing_zeros() as usize)
        })
    }
}
