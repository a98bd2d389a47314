//! CR0, CR4 and XCR0: the registers that MSRs and CPUID depend on, and that depend on them.

use cpuid_db::Feature;

use crate::access::Initiator;
use crate::file::MsrFile;
use crate::{Effects, Fault, Reason, Refusal};

/// A control register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Control {
    /// CR0.
    Cr0,
    /// CR4.
    Cr4,
    /// XCR0, by XSETBV.
    Xcr0,
}

/// The values of the control registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Controls {
    /// CR0.
    pub cr0: u64,
    /// CR4.
    pub cr4: u64,
    /// XCR0.
    pub xcr0: u64,
}

impl Controls {
    /// After RESET: caches off, protection off, x87 state only (SDM vol. 3A, "Processor State After Reset").
    pub const RESET: Self = Self { cr0: 0x6000_0010, cr4: 0, xcr0: 1 };
}

const EFER: u32 = 0xc000_0080;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;

/// CR0 (SDM vol. 3A, "Control Registers").
mod cr0 {
    pub(super) const PE: u64 = 1;
    pub(super) const ET: u64 = 1 << 4;
    pub(super) const WP: u64 = 1 << 16;
    pub(super) const NW: u64 = 1 << 29;
    pub(super) const CD: u64 = 1 << 30;
    pub(super) const PG: u64 = 1 << 31;
    /// PE, MP, EM, TS, ET, NE, WP, AM, NW, CD, PG.
    pub(super) const DEFINED: u64 = 0xe005_003f;
}

/// CR4.
mod cr4 {
    pub(super) const PAE: u64 = 1 << 5;
    pub(super) const PGE: u64 = 1 << 7;
    pub(super) const PSE: u64 = 1 << 4;
    pub(super) const LA57: u64 = 1 << 12;
    pub(super) const PCIDE: u64 = 1 << 17;
    pub(super) const OSXSAVE: u64 = 1 << 18;
    pub(super) const SMEP: u64 = 1 << 20;
    pub(super) const PKE: u64 = 1 << 22;
    pub(super) const CET: u64 = 1 << 23;
}

/// XCR0's components that come and go together (SDM vol. 1, 13.3).
mod xcr0 {
    pub(super) const X87: u64 = 1;
    pub(super) const SSE: u64 = 1 << 1;
    pub(super) const AVX: u64 = 1 << 2;
    pub(super) const MPX: u64 = 0x18;
    pub(super) const AVX512: u64 = 0xe0;
    pub(super) const AMX: u64 = 0x6_0000;
}

impl MsrFile {
    /// The control registers.
    pub const fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Puts control registers in without judging them: the state in which a test or a restored guest begins.
    pub fn set_controls(&mut self, controls: Controls) {
        self.controls = controls;
    }

    /// MOV to CR0 or CR4, or XSETBV at CPL 0. A refused write changes nothing. For the host it is a restore, in any order.
    ///
    /// # Errors
    /// [`Refusal::Fault`] where the instruction is #GP, or the value cannot be restored.
    pub fn write_control(&mut self, control: Control, value: u64, initiator: Initiator) -> Result<Effects, Refusal> {
        let effects = match control {
            Control::Cr0 => self.write_cr0(value, initiator)?,
            Control::Cr4 => self.write_cr4(value, initiator)?,
            Control::Xcr0 => self.write_xcr0(value)?,
        };
        Ok(effects)
    }

    fn write_cr0(&mut self, value: u64, initiator: Initiator) -> Result<Effects, Fault> {
        // Bits 63:32 fault; the others that are undefined are dropped, and ET is always one.
        if value >> 32 != 0 {
            return Err(reserved(value & !0xffff_ffff));
        }
        let value = value & cr0::DEFINED | cr0::ET;
        let has = |bit: u64| value & bit != 0;
        let half = has(cr0::PG) && !has(cr0::PE) || has(cr0::NW) && !has(cr0::CD);
        let cet_without_wp = self.controls.cr4 & cr4::CET != 0 && !has(cr0::WP);
        if half || cet_without_wp {
            return Err(conflict());
        }
        let efer = self.stored(EFER);
        let turns_on = has(cr0::PG) && self.controls.cr0 & cr0::PG == 0;
        let turns_off = !has(cr0::PG) && self.controls.cr0 & cr0::PG != 0;
        let guest = initiator == Initiator::Guest;
        if guest && turns_on && efer & EFER_LME != 0 && self.controls.cr4 & cr4::PAE == 0 {
            return Err(conflict());
        }
        if guest && turns_off && self.controls.cr4 & cr4::PCIDE != 0 {
            return Err(conflict());
        }
        let changed = value ^ self.controls.cr0;
        self.controls.cr0 = value;
        if guest && efer & EFER_LME != 0 && (turns_on || turns_off) {
            self.put(EFER, if turns_on { efer | EFER_LMA } else { efer & !EFER_LMA });
        }
        Ok(translation(changed & (cr0::PG | cr0::WP | cr0::PE)))
    }

    fn write_cr4(&mut self, value: u64, initiator: Initiator) -> Result<Effects, Fault> {
        let undefined = value & !self.facts.cr4;
        if undefined != 0 {
            return Err(reserved(undefined));
        }
        let old = self.controls.cr4;
        let changed = value ^ old;
        let sets = |bit: u64| changed & value & bit != 0;
        let long = self.stored(EFER) & EFER_LMA != 0;
        let guest = initiator == Initiator::Guest;
        let breaks_long_mode = long && (value & cr4::PAE == 0 || changed & cr4::LA57 != 0);
        let pcid_too_early = sets(cr4::PCIDE) && !long;
        let cet_without_wp = value & cr4::CET != 0 && self.controls.cr0 & cr0::WP == 0;
        if guest && (breaks_long_mode || pcid_too_early || cet_without_wp) {
            return Err(conflict());
        }
        self.controls.cr4 = value;
        let mut effects = translation(changed & (cr4::PSE | cr4::PAE | cr4::PGE | cr4::PCIDE | cr4::SMEP | cr4::LA57 | cr4::PKE));
        effects.set(Effects::CPUID, changed & (cr4::OSXSAVE | cr4::PKE) != 0);
        Ok(effects)
    }

    fn write_xcr0(&mut self, value: u64) -> Result<Effects, Fault> {
        let undefined = value & !self.facts.xcr0;
        if undefined != 0 {
            return Err(reserved(undefined));
        }
        let part = |mask: u64| value & mask != 0 && value & mask != mask;
        let lacks = |bit: u64| value & bit == 0;
        let vectors = value & xcr0::AVX512 != 0 && (lacks(xcr0::AVX) || lacks(xcr0::SSE));
        let broken = lacks(xcr0::X87)
            || value & xcr0::AVX != 0 && lacks(xcr0::SSE)
            || vectors
            || part(xcr0::MPX)
            || part(xcr0::AVX512)
            || part(xcr0::AMX);
        if broken {
            return Err(conflict());
        }
        let changed = value != self.controls.xcr0;
        self.controls.xcr0 = value;
        Ok(if changed { Effects::XSAVE | Effects::CPUID } else { Effects::empty() })
    }

    /// Whether a guest may execute XSETBV at all.
    pub fn has_xsave(&self) -> bool {
        self.facts.features.contains(Feature::XSAVE) && self.controls.cr4 & cr4::OSXSAVE != 0
    }
}

fn translation(changed: u64) -> Effects {
    if changed == 0 { Effects::empty() } else { Effects::PAGING | Effects::FLUSH_TLB }
}

const fn reserved(bits: u64) -> Fault {
    Fault::invalid(Reason::ReservedBits(bits))
}

const fn conflict() -> Fault {
    Fault::invalid(Reason::Conflict)
}
