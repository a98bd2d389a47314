//! One Firecracker template for all hosts of a pool.

use std::collections::BTreeSet;

use cpuid_db::{Place, Policy, Register, Unrecorded};

use super::difference::{AbsentBits, Refused, known};
use super::lost::Lost;
use crate::template::{Bits, CpuidRule, MsrRule};
use crate::{Format, Template};

impl Template {
    /// The smallest Firecracker template that makes the same `guest` of every one of `hosts`. Firecracker refuses a template that names
    /// a leaf or MSR which a host lacks, even to clear a bit there, so it names only those that all of them have; and of these only the
    /// bits in which some host differs from the guest.
    ///
    /// The second part of the answer lists what stays as it is: bits in places that nobody knows on some side, and bits of hosts
    /// ([`Lost::Left`]) that the guest is not to have, in places within its own range that not all hosts have.
    /// An MSR that the guest does not have stays as it is: a template cannot take it away.
    ///
    /// # Errors
    /// When the guest wants bits in a leaf or MSR that one of the hosts does not have.
    pub fn for_pool(guest: &Policy, hosts: &[&Policy]) -> Result<(Self, Vec<Lost>), Refused> {
        let mut work = Work { guest, hosts, template: Self::new(Format::FirecrackerTemplate), wanted: Vec::new(), lost: Vec::new() };
        work.leaves();
        work.msrs();
        if work.wanted.is_empty() { Ok((work.template, work.lost)) } else { Err(Refused { wanted: work.wanted }) }
    }
}

struct Work<'a> {
    guest: &'a Policy,
    hosts: &'a [&'a Policy],
    template: Template,
    wanted: Vec<AbsentBits>,
    lost: Vec<Lost>,
}

impl<'a> Work<'a> {
    fn all(&self) -> impl Iterator<Item = &'a Policy> + use<'a> {
        std::iter::once(self.guest).chain(self.hosts.iter().copied())
    }

    fn leaves(&mut self) {
        let places: BTreeSet<(u32, u32)> =
            self.all().flat_map(|policy| policy.cpuid.entries().iter().map(|entry| (entry.leaf, entry.subleaf))).collect();
        for (leaf, subleaf) in places {
            let place = Unrecorded::Cpuid { leaf, subleaf };
            self.tell(place);
            let is_everywhere = self.hosts.iter().all(|host| host.cpuid.get(leaf, subleaf).is_some());
            for register in Register::ALL {
                self.register(place, (leaf, subleaf, register), is_everywhere);
            }
        }
    }

    fn register(&mut self, place: Unrecorded, (leaf, subleaf, register): (u32, u32, Register), is_everywhere: bool) {
        let at = Place::Cpuid { leaf, subleaf, register };
        let known = self.all().fold(u32::MAX, |all, policy| all & known(policy, place, at));
        let value = self.guest.cpuid.register(leaf, subleaf, register);
        let differs = |host: &&Policy| (host.cpuid.register(leaf, subleaf, register) ^ value) & known;
        let filter = self.hosts.iter().map(differs).fold(0, |all, bits| all | bits);
        if is_everywhere {
            if filter != 0 {
                let bits = Bits { filter: u64::from(filter), value: u64::from(value & filter) };
                self.template.cpuid.push(CpuidRule { leaf, first: subleaf, last: subleaf, register, bits });
            }
            return;
        }
        let absent = |bits: u32| AbsentBits { place, register: Some(register), bits: u64::from(bits) };
        if filter & value != 0 {
            self.wanted.push(absent(filter & value));
        }
        // Beyond its range the guest does not get to see them.
        if filter & !value != 0 && self.guest.cpuid.in_range(leaf) {
            self.lost.push(Lost::Left(absent(filter & !value)));
        }
    }

    fn msrs(&mut self) {
        for msr in self.guest.msrs.entries() {
            let index = msr.index;
            let place = Unrecorded::Msr { index };
            self.tell(place);
            let half = |policy, high| u64::from(known(policy, place, Place::Msr { index, high }));
            let known = self.all().fold(u64::MAX, |all, policy| all & (half(policy, true) << 32 | half(policy, false)));
            let filter =
                self.hosts.iter().map(|host| (host.msrs.get(index).unwrap_or(0) ^ msr.value) & known).fold(0, |all, bits| all | bits);
            if self.hosts.iter().all(|host| host.msrs.get(index).is_some()) {
                if filter != 0 {
                    self.template.msrs.push(MsrRule { index, bits: Bits { filter, value: msr.value & filter } });
                }
                continue;
            }
            let absent = |bits: u64| AbsentBits { place, register: None, bits };
            if filter & msr.value != 0 {
                self.wanted.push(absent(filter & msr.value));
            }
            if filter & !msr.value != 0 {
                self.lost.push(Lost::Left(absent(filter & !msr.value)));
            }
        }
    }

    /// Lists a place that is not known on one of the sides.
    fn tell(&mut self, place: Unrecorded) {
        if self.all().any(|policy| policy.unrecorded.contains(place)) {
            self.lost.push(Lost::Unrecorded { cpu: 0, place });
        }
    }
}
