//! What CPUID returns to the program that executes it.
//!
//! Sources: SDM vol. 2A, instruction CPUID; APM vol. 3, appendix E; and, for [`Semantics::Kvm`], `kvm_cpuid` and
//! `get_out_of_range_cpuid_entry` in arch/x86/kvm/cpuid.c. Where the two differ:
//!
//! | what | architectural | KVM |
//! |---|---|---|
//! | an entry above the maximum leaf of its class | does not exist | is answered |
//! | 0BH and 1FH, no such subleaf | ECX\[7:0\] echoes, EDX is the x2APIC id | the same, if subleaf 1 is stored |
//! | 8000_0026H, no such subleaf | as 0BH | zero |
//! | 8000_0001H EDX\[9\] | follows `IA32_APIC_BASE` on AMD | as stored |
//! | APIC of leaf 1 | hidden while the APIC is off | equals `IA32_APIC_BASE`\[11\], whatever is stored |
//! | MONITOR | follows MISC_ENABLE\[18\] or HWCR\[9\] | as stored; equals MISC_ENABLE\[18\] without the quirk |
//! | SYSCALL | 64-bit code only, unless AMD | as stored |
//! | NX | hidden by MISC_ENABLE\[34\], unless AMD | as stored |
//! | AESKLE | follows CR4.KL | as stored |
//! | 0DH.0.EBX without XSAVE, 0DH.1.EBX without XSAVEC and XSAVES | zero | the size for XCR0; as stored |
//! | faulting | by the vendor's own MSR | by either MSR |
//!
//! APIC ids and the rest of the topology differ per vCPU and not with time: they are in the policy of the vCPU. Not modelled:
//! MISC_ENABLE\[22\] (limit of the maximum leaf), and the TSC leaf of Xen guests, which a VMM stores itself.

use crate::generated::leaves::LEAVES;
use crate::live::{is_size_unknown, live_rows, patch};
use crate::{Live, Policy, Registers, Semantics, Unrecorded};

/// What executing CPUID does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It returns registers.
    Registers {
        /// EAX, EBX, ECX, EDX.
        registers: Registers,
        /// How they were found.
        origin: Origin,
    },
    /// It raises #GP(0): CPUID faulting is on and the program is not privileged.
    GeneralProtection,
}

impl Answer {
    /// The registers, unless CPUID faults.
    pub const fn registers(self) -> Option<Registers> {
        match self {
            Self::Registers { registers, .. } => Some(registers),
            Self::GeneralProtection => None,
        }
    }

    /// How the registers were found, unless CPUID faults.
    pub const fn origin(self) -> Option<Origin> {
        match self {
            Self::Registers { origin, .. } => Some(origin),
            Self::GeneralProtection => None,
        }
    }
}

/// Where an answer comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The policy has this leaf and subleaf.
    Entry,
    /// The leaf is out of range, and the CPU answers with the data of its maximum basic leaf.
    MaxBasicLeaf {
        /// That leaf.
        leaf: u32,
    },
    /// A topology leaf without this subleaf: it echoes the subleaf and gives the APIC id all the same.
    TopologyEcho,
    /// There is nothing: zeros.
    Nothing,
    /// The policy comes from a dump that could not tell: the registers hold what is known, and mean nothing beyond it.
    /// For 0DH this also says that the state enables a component whose subleaf is missing, so that the size is not known.
    Unrecorded,
}

/// Leaves that give the APIC id for every subleaf, existing or not.
const TOPOLOGY: [u32; 3] = [0xb, 0x1f, 0x8000_0026];

impl Policy {
    /// What CPUID with this leaf in EAX and this subleaf in ECX does on the CPU that the policy describes, in this state.
    /// Total: every input has an answer.
    ///
    /// ```
    /// use cpuid_db::{Answer, Live, Origin, Policy, Registers, Vendor};
    ///
    /// let mut cpu = Policy::default();
    /// cpu.cpuid.insert(0, 0, Vendor::Intel.leaf_0(1))?;
    /// cpu.cpuid.insert(1, 0, Registers::new(0x5_0654, 0, 0, 1))?;
    /// // CR4.OSXSAVE shows in leaf 1, and a leaf that does not exist gets the data of the highest one that does.
    /// let live = Live { cr4: 1 << 18, ..Live::RESET };
    /// let registers = Registers::new(0x5_0654, 0, 1 << 27, 1);
    /// assert_eq!(cpu.answer(1, 0, &live), Answer::Registers { registers, origin: Origin::Entry });
    /// assert_eq!(cpu.answer(2, 0, &live), Answer::Registers { registers, origin: Origin::MaxBasicLeaf { leaf: 1 } });
    /// # Ok::<(), cpuid_db::TableFull>(())
    /// ```
    pub fn answer(&self, leaf: u32, subleaf: u32, live: &Live) -> Answer {
        let amd = self.vendor().is_amd_compatible();
        if live.faults(amd) {
            return Answer::GeneralProtection;
        }
        let (registers, origin) = match self.redirect(leaf, subleaf, live.semantics, amd) {
            Target::Here => self.at(leaf, subleaf, live, Origin::Entry),
            Target::MaxBasicLeaf(max) => self.at(max, subleaf, live, Origin::MaxBasicLeaf { leaf: max }),
            Target::Nowhere => (Registers::ZERO, Origin::Nothing),
        };
        Answer::Registers { registers, origin }
    }

    /// Which leaf answers.
    ///
    /// SDM: above the maximum of its class, or in a class that is not there, a leaf returns the highest basic leaf, and ECX counts.
    /// AMD-compatible CPUs return zeros. KVM follows the vendor, but prefers any stored entry.
    fn redirect(&self, leaf: u32, subleaf: u32, semantics: Semantics, amd: bool) -> Target {
        let in_range = match semantics {
            Semantics::Architectural => self.cpuid.max_leaf(class_of(leaf)).is_some_and(|max| leaf <= max),
            Semantics::Kvm => {
                let class = self.cpuid.get(kvm_class_of(leaf), 0);
                self.entry(leaf, subleaf).is_some() || class.is_some_and(|class| leaf <= class.eax)
            }
        };
        match self.cpuid.get(0, 0) {
            _ if in_range => Target::Here,
            Some(basic) if !amd => Target::MaxBasicLeaf(basic.eax),
            _ if semantics == Semantics::Kvm => Target::Here,
            _ => Target::Nowhere,
        }
    }

    /// The stored entry, or what the leaf says where there is none.
    fn at(&self, leaf: u32, subleaf: u32, live: &Live, found: Origin) -> (Registers, Origin) {
        let subleaf_stored = if self.is_indexed(leaf) { subleaf } else { 0 };
        let unrecorded = self.unrecorded.contains(Unrecorded::Cpuid { leaf, subleaf: subleaf_stored });
        let Some(mut registers) = self.entry(leaf, subleaf) else {
            let echo = self.echo(leaf, subleaf, live.semantics).filter(|_| !unrecorded);
            let nothing = if unrecorded { Origin::Unrecorded } else { Origin::Nothing };
            return echo.map_or((Registers::ZERO, nothing), |registers| (registers, Origin::TopologyEcho));
        };
        let here = |row: &&crate::LiveRow| row.leaf == leaf && row.subleaf == subleaf_stored;
        for row in live_rows().iter().filter(here) {
            let register = registers.get_mut(row.register);
            *register = patch(self, row, *register, live);
        }
        let unknown = unrecorded || is_size_unknown(&self.cpuid, leaf, subleaf, live);
        (registers, if unknown { Origin::Unrecorded } else { found })
    }

    /// The entry of a leaf and subleaf; leaves without subleaves do not look at ECX.
    fn entry(&self, leaf: u32, subleaf: u32) -> Option<Registers> {
        self.cpuid.get(leaf, subleaf).or_else(|| self.cpuid.get(leaf, 0).filter(|_| !self.is_indexed(leaf)))
    }

    /// Whether the answer depends on ECX: the database says so, or the policy has several subleaves.
    /// A VMM sets `KVM_CPUID_FLAG_SIGNIFCANT_INDEX` on the entries of these leaves.
    pub fn is_indexed(&self, leaf: u32) -> bool {
        LEAVES.iter().any(|row| row.leaf == Some(leaf) && row.indexed) || self.cpuid.leaf(leaf).iter().any(|entry| entry.subleaf != 0)
    }

    /// SDM, leaves 0BH and 1FH: for a subleaf that does not exist EAX and EBX are 0, ECX\[7:0\] is the subleaf asked for, the level
    /// type is 0, and EDX is the x2APIC id as always. The leaf itself is there if EBX of subleaf 0 is not 0.
    /// KVM does the same if subleaf 1 is stored, and not for AMD's 8000_0026H.
    fn echo(&self, leaf: u32, subleaf: u32, semantics: Semantics) -> Option<Registers> {
        let witness = match semantics {
            _ if !TOPOLOGY.contains(&leaf) => return None,
            Semantics::Architectural => self.cpuid.get(leaf, 0).filter(|first| first.ebx != 0),
            Semantics::Kvm => self.cpuid.get(leaf, 1).filter(|_| leaf < 0x8000_0000),
        };
        witness.map(|witness| Registers::new(0, 0, subleaf & 0xff, witness.edx))
    }
}

/// Which leaf answers.
enum Target {
    Here,
    MaxBasicLeaf(u32),
    Nowhere,
}

/// The first leaf of the class: basic, hypervisor (one per 100H), extended, Transmeta, Centaur.
const fn class_of(leaf: u32) -> u32 {
    match leaf {
        0x4000_0000..=0x4fff_ffff => leaf & 0xffff_ff00,
        0x8086_0000..=0x8086_ffff => 0x8086_0000,
        0x8000_0000..=0xbfff_ffff => 0x8000_0000,
        0xc000_0000.. => 0xc000_0000,
        _ => 0,
    }
}

/// The same as KVM sees it: without Transmeta.
const fn kvm_class_of(leaf: u32) -> u32 {
    match class_of(leaf) {
        0x8086_0000 => 0x8000_0000,
        class => class,
    }
}
