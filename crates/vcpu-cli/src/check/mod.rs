//! A guest and the machines that it may move to: judging, and how the result is told.

pub(crate) mod document;
pub(crate) mod report;
pub(crate) mod words;

use cpu_caps::{Accept, Core, Gap, Guest, Identity, Verdict, View, check};
use cpu_dumps::Machine;
use cpuid_db::{Basis, MsrEntry, leaves};

use crate::baseline::{Ceiling, Host, core_name};

/// One kind of vCPU of a guest.
#[derive(PartialEq, Debug)]
struct Kind {
    identity: Identity,
    view: View,
    msrs: Vec<MsrEntry>,
}

/// A guest as its file tells it.
#[derive(Debug)]
pub(crate) struct GuestFile {
    pub(crate) name: String,
    pub(crate) basis: Basis,
    kinds: Vec<Kind>,
    kind_names: Vec<String>,
}

impl GuestFile {
    /// Reads what matters out of a policy or dump.
    pub(crate) fn new(machine: &Machine) -> Self {
        let mut guest = Self { name: machine.name.clone(), basis: machine.basis, kinds: Vec::new(), kind_names: Vec::new() };
        for cpu in &machine.cpus {
            let kind = Kind { identity: Identity::of(&cpu.policy), view: View::of(&cpu.policy), msrs: live(&cpu.msrs) };
            if !guest.kinds.contains(&kind) {
                guest.kinds.push(kind);
                guest.kind_names.push(core_name(cpu));
            }
        }
        guest
    }

    /// The maker that it was told of.
    pub(crate) fn vendor(&self) -> cpuid_db::Vendor {
        self.kinds.first().map_or(cpuid_db::Vendor::Other([0; 12]), |kind| kind.identity.vendor)
    }
}

/// The values that are state: those of feature MSRs belong to the policy.
fn live(msrs: &[MsrEntry]) -> Vec<MsrEntry> {
    let is_state = |msr: &&MsrEntry| !leaves().iter().any(|row| row.leaf.is_none() && row.msr == msr.index);
    msrs.iter().filter(is_state).copied().collect()
}

/// A gap, and on which cores it is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Found {
    pub(crate) gap: Gap,
    /// The kinds of core that have it; empty where all have.
    pub(crate) cores: Vec<String>,
    /// The kinds of vCPU that it is about; empty where all are.
    pub(crate) vcpus: Vec<String>,
}

/// What one machine answers.
#[derive(Debug)]
pub(crate) struct Judged<'a> {
    pub(crate) host: &'a Host,
    pub(crate) verdict: Verdict,
    pub(crate) gaps: Vec<Found>,
}

/// Everything that there is to tell.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) guest: &'a GuestFile,
    pub(crate) ceiling: Ceiling,
    pub(crate) results: Vec<Judged<'a>>,
}

impl<'a> Case<'a> {
    /// Judges the guest on every machine.
    pub(crate) fn new(guest: &'a GuestFile, hosts: &'a [Host], ceiling: Ceiling) -> Self {
        Self { guest, ceiling, results: hosts.iter().map(|host| judge(guest, host)).collect() }
    }

    /// The worst of all verdicts.
    pub(crate) fn verdict(&self) -> Verdict {
        self.results.iter().map(|one| one.verdict).max().unwrap_or(Verdict::Compatible)
    }

    /// How many machines have this verdict.
    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.results.iter().filter(|one| one.verdict == verdict).count()
    }
}

/// Every kind of vCPU has to run on every kind of core.
fn judge<'a>(guest: &GuestFile, host: &'a Host) -> Judged<'a> {
    let mut judged = Judged { host, verdict: Verdict::Compatible, gaps: Vec::new() };
    for (core, name) in host.cores.iter().zip(&host.core_names) {
        let accept = Accept::of(Core { identity: core.identity, raw: &core.raw, ceiling: &core.ceiling });
        for (kind, vcpu) in guest.kinds.iter().zip(&guest.kind_names) {
            let subject = Guest { identity: kind.identity, view: &kind.view, msrs: &kind.msrs };
            let verdict = check(&subject, &accept, |gap| judged.add(gap, name, vcpu));
            judged.verdict = judged.verdict.max(verdict);
        }
    }
    for found in &mut judged.gaps {
        clear_if_all(&mut found.cores, host.cores.len());
        clear_if_all(&mut found.vcpus, guest.kinds.len());
    }
    judged
}

/// Nobody wants to read a list of all.
fn clear_if_all(names: &mut Vec<String>, all: usize) {
    if names.len() == all {
        names.clear();
    }
}

impl Judged<'_> {
    fn add(&mut self, gap: Gap, core: &str, vcpu: &str) {
        let at = self.gaps.iter().position(|found| found.gap == gap);
        let at = at.unwrap_or_else(|| {
            self.gaps.push(Found { gap, cores: Vec::new(), vcpus: Vec::new() });
            self.gaps.len() - 1
        });
        let Some(found) = self.gaps.get_mut(at) else { return };
        for (list, name) in [(&mut found.cores, core), (&mut found.vcpus, vcpu)] {
            if !list.iter().any(|known| known == name) {
                list.push(name.to_owned());
            }
        }
    }

    /// Whether another machine gets the very same answer.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.host.basis, self.verdict) == (other.host.basis, other.verdict) && self.gaps == other.gaps
    }
}
