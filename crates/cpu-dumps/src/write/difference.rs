//! The smallest Firecracker template that turns a host into a guest.

use std::fmt;

use cpuid_db::{Place, Policy, Register, Unrecorded, words};

use super::Lost;
use super::lost::Name;
use crate::template::{Bits, CpuidRule, MsrRule};
use crate::{Format, Template};

/// Bits that a guest is to have in a leaf or MSR that the host does not have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AbsentBits {
    /// The leaf or MSR.
    pub place: Unrecorded,
    /// The register, for leaves.
    pub register: Option<Register>,
    /// The bits.
    pub bits: u64,
}

/// Why no template makes this guest on this host: Firecracker changes bits of leaves and MSRs that a host has, and adds none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// What the guest wants; at least one.
    pub wanted: Vec<AbsentBits>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Firecracker template cannot add what the host does not have:")?;
        let mut comma = "";
        for AbsentBits { place, register, bits } in &self.wanted {
            let register = register.map_or("", Register::name);
            let blank = if register.is_empty() { "" } else { " " };
            write!(f, "{comma} {}{blank}{register}, of which the guest wants {bits:#x}", Name(*place))?;
            comma = ";";
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

impl Template {
    /// The smallest Firecracker template that turns `host` into `guest`: only leaves and MSRs that the host has, and of these only
    /// the bits that differ. Clearing bits of a leaf that the host does not have is nothing to do. An MSR that the guest does not
    /// have stays as it is: a template cannot take it away.
    ///
    /// Bits that are unrecorded on either side are left to the host; the second part of the answer lists their places.
    ///
    /// # Errors
    /// When the guest wants bits in a leaf or MSR that the host does not have.
    pub fn difference(guest: &Policy, host: &Policy) -> Result<(Self, Vec<Lost>), Refused> {
        let mut work = Work { guest, host, template: Self::new(Format::FirecrackerTemplate), wanted: Vec::new(), lost: Vec::new() };
        work.leaves();
        work.msrs();
        if work.wanted.is_empty() { Ok((work.template, work.lost)) } else { Err(Refused { wanted: work.wanted }) }
    }
}

struct Work<'a> {
    guest: &'a Policy,
    host: &'a Policy,
    template: Template,
    wanted: Vec<AbsentBits>,
    lost: Vec<Lost>,
}

impl Work<'_> {
    fn leaves(&mut self) {
        let (guest, host) = (&self.guest.cpuid, &self.host.cpuid);
        let mut places: Vec<(u32, u32)> = guest.entries().iter().chain(host.entries()).map(|entry| (entry.leaf, entry.subleaf)).collect();
        places.sort_unstable();
        places.dedup();
        for (leaf, subleaf) in places {
            self.leaf(leaf, subleaf);
        }
    }

    fn leaf(&mut self, leaf: u32, subleaf: u32) {
        let place = Unrecorded::Cpuid { leaf, subleaf };
        self.tell(place);
        let is_there = self.host.cpuid.get(leaf, subleaf).is_some();
        for register in Register::ALL {
            let at = Place::Cpuid { leaf, subleaf, register };
            let known = known(self.guest, place, at) & known(self.host, place, at);
            let value = u64::from(self.guest.cpuid.register(leaf, subleaf, register));
            let filter = (value ^ u64::from(self.host.cpuid.register(leaf, subleaf, register))) & u64::from(known);
            if filter == 0 {
                continue;
            }
            if is_there {
                let bits = Bits { filter, value: value & filter };
                self.template.cpuid.push(CpuidRule { leaf, first: subleaf, last: subleaf, register, bits });
            } else {
                self.wanted.push(AbsentBits { place, register: Some(register), bits: filter });
            }
        }
    }

    fn msrs(&mut self) {
        for msr in self.guest.msrs.entries() {
            let index = msr.index;
            let place = Unrecorded::Msr { index };
            self.tell(place);
            let half = |policy: &Policy, high| u64::from(known(policy, place, Place::Msr { index, high }));
            let all = |policy: &Policy| half(policy, true) << 32 | half(policy, false);
            let old = self.host.msrs.get(index);
            let filter = (msr.value ^ old.unwrap_or(0)) & all(self.guest) & all(self.host);
            let bits = Bits { filter, value: msr.value & filter };
            match old {
                _ if filter == 0 => {}
                Some(_) => self.template.msrs.push(MsrRule { index, bits }),
                None => self.wanted.push(AbsentBits { place, register: None, bits: filter }),
            }
        }
    }

    /// Lists a place that is not known on one of the sides.
    fn tell(&mut self, place: Unrecorded) {
        if self.guest.unrecorded.contains(place) || self.host.unrecorded.contains(place) {
            self.lost.push(Lost::Unrecorded { cpu: 0, place });
        }
    }
}

/// The bits of a register that a policy knows.
pub(super) fn known(policy: &Policy, place: Unrecorded, at: Place) -> u32 {
    if !policy.unrecorded.contains(place) {
        return u32::MAX;
    }
    policy.named.words().iter().zip(words()).find(|(_, row)| row.place == at).map_or(0, |(word, _)| *word)
}
