//! The machines of a pool: what each has and what its hypervisor gives, in an order that does not depend on the arguments.

use std::collections::HashSet;

use cpu_caps::{Core, FieldValue, Identity, Pool, StockKvm, View};
use cpu_dumps::{Cpu, Machine};
use cpuid_db::{Basis, FeatureSet, Field, FieldAt, FieldPlace, Policy, Vendor};

use crate::unknown::{Unknown, unknown_bits};

/// What limits a guest beside the hardware.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ceiling {
    /// KVM: as recorded, else by this model.
    Kvm(StockKvm),
    /// Nothing.
    Raw,
}

/// One kind of core.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CoreViews {
    pub(crate) identity: Identity,
    pub(crate) raw: View,
    pub(crate) ceiling: View,
}

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Its name, unique in the pool.
    pub(crate) name: String,
    /// Where the ceiling comes from.
    pub(crate) basis: Basis,
    /// Its kinds of core; CPUs that differ in nothing that is merged count as one.
    pub(crate) cores: Vec<CoreViews>,
    /// What each kind of core is called.
    pub(crate) core_names: Vec<String>,
    /// Bits that the database does not name.
    pub(crate) unknown_bits: Vec<Unknown>,
    /// Fields other than zero that no rule merges.
    pub(crate) static_fields: Vec<Field>,
}

impl Host {
    /// Reads what matters out of a dump.
    pub(crate) fn new(machine: &Machine, ceiling: Ceiling) -> Self {
        let mut host = Self {
            name: machine.name.clone(),
            basis: basis(machine, ceiling),
            cores: Vec::new(),
            core_names: Vec::new(),
            unknown_bits: Vec::new(),
            static_fields: Vec::new(),
        };
        for cpu in &machine.cpus {
            host.add(machine, cpu, ceiling);
        }
        host.unknown_bits.sort_unstable();
        host.unknown_bits.dedup();
        host.static_fields.sort_unstable();
        host.static_fields.dedup();
        host
    }

    fn add(&mut self, machine: &Machine, cpu: &Cpu, ceiling: Ceiling) {
        let raw = View::of(&cpu.policy);
        let ceiling = match (ceiling, &machine.kvm, cpu.policy.basis) {
            (Ceiling::Kvm(_), Some(kvm), _) => View::of(&kvm.supported),
            (Ceiling::Kvm(stock), None, Basis::Raw) => stock.view(&cpu.policy, &raw),
            // A policy, or what a guest saw, is already what a hypervisor gives.
            _ => raw.clone(),
        };
        let core = CoreViews { identity: Identity::of(&cpu.policy), raw, ceiling };
        if self.cores.contains(&core) {
            return;
        }
        self.cores.push(core);
        self.core_names.push(core_name(cpu));
        self.unknown_bits.extend(unknown_bits(&cpu.policy));
        self.static_fields.extend(static_fields(&cpu.policy));
    }

    /// The maker of its cores.
    pub(crate) fn vendor(&self) -> Vendor {
        self.cores.first().map_or(Vendor::Other([0; 12]), |core| core.identity.vendor)
    }

    /// The cores as the engine takes them.
    pub(crate) fn cores(&self) -> Vec<Core<'_>> {
        self.cores.iter().map(|core| Core { identity: core.identity, raw: &core.raw, ceiling: &core.ceiling }).collect()
    }

    /// Features that any of its cores has, or its hypervisor gives.
    fn seen(&self) -> FeatureSet {
        let views = self.cores.iter().flat_map(|core| [&core.raw.features, &core.ceiling.features]);
        views.fold(FeatureSet::EMPTY, |seen, features| seen.union(features))
    }
}

/// `performance core`, or `CPU 4` where the dump does not tell.
pub(crate) fn core_name(cpu: &Cpu) -> String {
    match cpu.core_type {
        Some(kind) => format!("{} core", kind.name()),
        None => format!("CPU {}", cpu.number),
    }
}

fn basis(machine: &Machine, ceiling: Ceiling) -> Basis {
    match (ceiling, &machine.kvm, machine.basis) {
        (Ceiling::Raw, ..) => Basis::Raw,
        (_, Some(kvm), _) => kvm.supported.basis,
        (_, None, Basis::Raw) => Basis::Derived,
        (_, None, basis) => basis,
    }
}

fn static_fields(policy: &Policy) -> impl Iterator<Item = Field> {
    Field::all().filter(|field| field.row().slot.is_none() && is_set(policy, *field))
}

/// Whether the field is other than zero in any subleaf.
fn is_set(policy: &Policy, field: Field) -> bool {
    let is_set = |subleaf| policy.field(FieldAt { field, subleaf }).is_some_and(|value| value != 0);
    match field.row().place {
        FieldPlace::Msr { .. } => is_set(0),
        FieldPlace::Cpuid { leaf, first, last, .. } => {
            let mut subleaves = policy.cpuid.leaf(leaf).iter().map(|entry| entry.subleaf);
            subleaves.any(|subleaf| (first..=last).contains(&subleaf) && is_set(subleaf))
        }
    }
}

/// A pool: its machines in order of name, and the engine's facts about them. A machine's identifier is its place in the order.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) hosts: Vec<Host>,
    pub(crate) pool: Box<Pool>,
    /// Features that any machine has, or its hypervisor gives.
    pub(crate) seen: FeatureSet,
}

impl Fleet {
    /// Puts machines in order, gives each a name of its own, and gathers the facts.
    pub(crate) fn new(mut hosts: Vec<Host>) -> Self {
        hosts.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| format!("{a:?}").cmp(&format!("{b:?}"))));
        name_apart(&mut hosts);
        let mut pool = Box::new(Pool::new());
        for (id, host) in hosts.iter().enumerate() {
            pool.add(&cpu_caps::Machine { id: id as u32, cores: &host.cores() });
        }
        let seen = hosts.iter().fold(FeatureSet::EMPTY, |seen, host| seen.union(&host.seen()));
        Self { hosts, pool, seen }
    }

    /// The names of machines by identifier.
    pub(crate) fn names(&self, ids: impl IntoIterator<Item = u32>) -> Vec<&str> {
        ids.into_iter().filter_map(|id| self.hosts.get(id as usize)).map(|host| host.name.as_str()).collect()
    }

    /// Whether any machine has the field, or could have it.
    pub(crate) fn has_field(&self, at: FieldAt) -> bool {
        let mut cores = self.hosts.iter().flat_map(|host| &host.cores);
        cores.any(|core| core.raw.field(at) != FieldValue::Absent)
    }

    /// All names in order.
    pub(crate) fn all_names(&self) -> Vec<&str> {
        self.hosts.iter().map(|host| host.name.as_str()).collect()
    }
}

/// Adds `#2`, `#3` to names that occur again.
pub(crate) fn name_apart(hosts: &mut [Host]) {
    let mut taken: HashSet<String> = HashSet::new();
    for host in hosts {
        let plain = host.name.clone();
        let mut number = 2u32;
        while !taken.insert(host.name.clone()) {
            host.name = format!("{plain}#{number}");
            number = number.saturating_add(1);
        }
    }
}
