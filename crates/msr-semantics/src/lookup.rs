//! From an address to its place in the file.

use crate::generated::index::{INSTANCES, find};
use crate::generated::table::TABLE;
use crate::row::Msr;

/// One address of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The address.
    pub address: u32,
    rows: &'static [(u16, u16)],
}

impl Entry {
    /// The rows that describe it, one for each group of vendors, and the member's number in each row's family.
    pub fn rows(self) -> impl Iterator<Item = (&'static Msr, u16)> {
        self.rows.iter().filter_map(|(row, number)| Some((TABLE.get(usize::from(*row))?, *number)))
    }

    /// Names, titles and sources of the rows, in the order of [`Entry::rows`].
    #[cfg(feature = "names")]
    pub fn texts(self) -> impl Iterator<Item = &'static crate::MsrText> {
        self.rows.iter().filter_map(|(row, _)| crate::generated::text::TEXT.get(usize::from(*row)))
    }
}

/// What the table says about an address.
pub fn entry(address: u32) -> Option<Entry> {
    let instance = INSTANCES.get(find(address)?)?;
    Some(Entry { address, rows: instance.rows })
}

/// Every address of the table, in order.
pub fn addresses() -> impl Iterator<Item = u32> {
    INSTANCES.iter().map(|instance| instance.address)
}
