//! KVM's own table in memory, `struct kvm_cpuid2` of linux/kvm.h, little endian: what `KVM_GET_SUPPORTED_CPUID`,
//! `KVM_GET_EMULATED_CPUID` and `KVM_GET_CPUID2` fill. The only binary format: a head of 8 bytes, then entries of 40.
//!
//! Left out: the entries' flags. Whether ECX counts follows from the leaf.

use cpuid_db::{Basis, Registers};

use crate::draft::Draft;
use crate::error::{Fault, Problem};
use crate::limits::MAX_LEAVES;
use crate::machine::Found;
use crate::unrecorded::Told;

const HEAD: usize = 8;
const ENTRY: usize = 40;

/// Whether a file has this form to the byte: as many entries as the head says, and nothing in what KVM leaves zero.
pub(crate) fn is_table(bytes: &[u8]) -> bool {
    let Some((head, entries)) = bytes.split_at_checked(HEAD) else { return false };
    let [count, 0] = words(head) else { return false };
    (1..=MAX_LEAVES).contains(&(count as usize))
        && entries.len() == count as usize * ENTRY
        && entries.chunks_exact(ENTRY).all(|entry| matches!(words(entry), [_, _, 0..8, _, _, _, _, 0, 0, 0]))
}

/// Reads the one vCPU that a file describes.
pub(crate) fn read(bytes: &[u8]) -> Result<Found, Fault> {
    let mut cpu = Draft::default();
    if !is_table(bytes) {
        return Err(Problem::expected("struct kvm_cpuid2, with as many entries as it announces", bytes).into());
    }
    for entry in bytes.get(HEAD..).unwrap_or(&[]).chunks_exact(ENTRY) {
        let [leaf, subleaf, _flags, eax, ebx, ecx, edx] = words(entry);
        cpu.leaf(leaf, subleaf, Registers { eax, ebx, ecx, edx })?;
    }
    Ok(Found::new(vec![cpu.into_told_cpu(Basis::Recorded, Told::CPUID_ONLY)?]))
}

fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = bytes.try_into().map_or(0, u32::from_le_bytes);
    }
    words
}
