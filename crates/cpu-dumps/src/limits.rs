//! How much of a file is believed. Each limit is far above what real machines need and bounds memory and time.

use cpuid_db::CpuidTable;

/// The most bytes of one input. The largest known dumps, of machines with some hundred CPUs, have about two million.
pub const MAX_BYTES: usize = 64 << 20;

/// The most bytes of one line of a text format, without the line end. Data lines have fewer than 200.
pub const MAX_LINE: usize = 4096;

/// The most logical CPUs of one input, over all its machines.
pub const MAX_CPUS: usize = 4096;

/// The most machines of one input.
pub const MAX_MACHINES: usize = 4096;

/// The most leaves and subleaves of one CPU.
pub const MAX_LEAVES: usize = CpuidTable::CAPACITY;

/// The most names of one machine that the database does not know.
pub const MAX_NAMES: usize = 4096;

/// The most MSRs of one CPU: enough for every address that a tool tries.
pub const MAX_MSRS: usize = 65536;
