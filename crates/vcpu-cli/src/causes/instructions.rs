//! What an instruction does on a CPU that does not have it.

/// What becomes of the instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// #UD in a program.
    User,
    /// #UD in the guest's kernel: programs cannot execute it.
    Kernel,
    /// It does nothing.
    Nothing,
    /// Another instruction is executed.
    Other(&'static str),
}

/// Instructions for kernels only (CPL 0), and those that a kernel executes first.
const KERNEL: [&str; 53] = [
    "CLAC",
    "CLGI",
    "CLRSSBSY",
    "ENCLS",
    "ENCLV",
    "ENQCMDS",
    "ERETS",
    "ERETU",
    "GETSEC",
    "HRESET",
    "INVEPT",
    "INVLPGA",
    "INVLPGB",
    "INVPCID",
    "INVVPID",
    "LKGS",
    "LOADIWKEY",
    "MONITOR",
    "MWAIT",
    "PBNDKB",
    "PCONFIG",
    "PSMASH",
    "PVALIDATE",
    "RDMSR",
    "RDMSRLIST",
    "RMPADJUST",
    "RMPQUERY",
    "RMPREAD",
    "RMPUPDATE",
    "SETSSBSY",
    "SKINIT",
    "STAC",
    "STGI",
    "SWAPGS",
    "SYSEXIT",
    "SYSRET",
    "TLBSYNC",
    "VMCLEAR",
    "VMGEXIT",
    "VMLAUNCH",
    "VMLOAD",
    "VMPTRLD",
    "VMPTRST",
    "VMREAD",
    "VMRESUME",
    "VMRUN",
    "VMSAVE",
    "VMWRITE",
    "WRMSR",
    "WRMSRLIST",
    "WRMSRNS",
    "WRUSSD",
    "WRUSSQ",
];
/// More of them, which work on state that only a kernel saves.
const KERNEL_STATE: [&str; 8] = ["VMXOFF", "VMXON", "XRSTORS", "XRSTORS64", "XSAVES", "XSAVES64", "XSETBV", "RSM"];

/// Encodings that older CPUs take for a no-op (SDM vol. 2, the instructions' pages; APM vol. 3).
const NOTHING: [&str; 11] = [
    "CLDEMOTE",
    "PREFETCH",
    "PREFETCHIT0",
    "PREFETCHIT1",
    "PREFETCHRST2",
    "PREFETCHW",
    "PREFETCHWT1",
    "RDSSPD",
    "RDSSPQ",
    "XACQUIRE",
    "XRELEASE",
];

/// Encodings whose prefix older CPUs ignore (SDM vol. 2: LZCNT, TZCNT, WBNOINVD).
const OTHER: [(&str, &str); 3] = [("LZCNT", "BSR"), ("TZCNT", "BSF"), ("WBNOINVD", "WBINVD")];

/// What becomes of an instruction where the feature is missing.
pub(crate) fn fate(mnemonic: &str) -> Fate {
    if let Some((_, other)) = OTHER.iter().find(|(known, _)| *known == mnemonic) {
        return Fate::Other(other);
    }
    match mnemonic {
        _ if NOTHING.contains(&mnemonic) => Fate::Nothing,
        _ if KERNEL.contains(&mnemonic) || KERNEL_STATE.contains(&mnemonic) => Fate::Kernel,
        _ => Fate::User,
    }
}
