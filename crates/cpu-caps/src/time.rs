//! The rate of the time-stamp counter, where CPUID tells it.

use cpuid_db::{Field, FieldAt};

use crate::View;

/// The TSC's frequency in Hz, by leaf 15H (SDM vol. 2A, CPUID, "Time Stamp Counter and Nominal Core Crystal Clock").
pub(crate) fn frequency(view: &View) -> Option<u64> {
    let value = |field: Field| view.field(FieldAt { field, subleaf: 0 }).known().filter(|value| *value != 0);
    let crystal = value(Field::CRYSTAL_HZ)?;
    // Three numbers of 32 bits: the product may be larger than 64 bits.
    let product = u128::from(crystal) * u128::from(value(Field::TSC_NUMERATOR)?);
    u64::try_from(product / u128::from(value(Field::TSC_DENOMINATOR)?)).ok()
}
