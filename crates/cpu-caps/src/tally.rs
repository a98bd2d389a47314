//! How many machines said something, and the first few of them.

/// A count and the smallest `W` identifiers. Merging is commutative and associative; the identifiers are idempotent too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally<const W: usize> {
    count: u32,
    ids: [u32; W],
}

/// Marks an unused place in the list; no machine may have this identifier.
const FREE: u32 = u32::MAX;

impl<const W: usize> Tally<W> {
    /// Nobody.
    pub const EMPTY: Self = Self { count: 0, ids: [FREE; W] };

    /// Adds one machine.
    pub fn add(&mut self, id: u32) {
        self.count = self.count.saturating_add(1);
        self.remember(id);
    }

    /// Adds everybody whom `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        for id in other.ids() {
            self.remember(id);
        }
    }

    fn remember(&mut self, id: u32) {
        let at = self.ids.partition_point(|known| *known < id);
        if self.ids.get(at).is_none_or(|known| *known == id) {
            return;
        }
        if let Some(tail) = self.ids.get_mut(at..) {
            tail.rotate_right(1);
            if let Some(first) = tail.first_mut() {
                *first = id;
            }
        }
    }

    /// How many machines were counted; one that was added twice counts twice.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether nobody was counted.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The smallest identifiers, in order.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.ids.iter().copied().take_while(|id| *id != FREE)
    }
}

impl<const W: usize> Default for Tally<W> {
    fn default() -> Self {
        Self::EMPTY
    }
}
