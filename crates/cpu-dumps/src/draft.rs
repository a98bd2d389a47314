//! CPUs in the making: what every reader fills, with the checks that all formats share.

use std::collections::BTreeMap;

use cpuid_db::{Basis, CpuidTable, FeatureSet, MsrEntry, Policy, Registers, TableFull, UnrecordedList};

use crate::error::Problem;
use crate::limits::{MAX_CPUS, MAX_LEAVES, MAX_MSRS};
use crate::unrecorded::{self, Told};
use crate::{CoreType, Cpu};

/// One CPU as far as it is read.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) number: u32,
    pub(crate) core_type: Option<CoreType>,
    pub(crate) leaves: CpuidTable,
    /// What the file itself says that it does not know; only the own format does.
    pub(crate) unrecorded: UnrecordedList,
    /// What is known in unrecorded places.
    pub(crate) named: FeatureSet,
    /// The value of each MSR; `None` when the tool tried and could not read it.
    msrs: BTreeMap<u32, Option<u64>>,
}

impl Draft {
    pub(crate) fn new(number: u32) -> Self {
        Self { number, ..Self::default() }
    }

    /// Stores one answer. The same answer may be given twice.
    pub(crate) fn leaf(&mut self, leaf: u32, subleaf: u32, registers: Registers) -> Result<(), Problem> {
        match self.leaves.insert(leaf, subleaf, registers) {
            Ok(Some(old)) if old != registers => Err(Problem::LeafDiffers { leaf, subleaf }),
            Ok(_) => Ok(()),
            Err(TableFull { .. }) => Err(Problem::TooMany { what: "leaves in one CPU", limit: MAX_LEAVES }),
        }
    }

    /// Stores one MSR, or that it cannot be read. The same value may be given twice.
    pub(crate) fn msr(&mut self, index: u32, value: Option<u64>) -> Result<(), Problem> {
        match self.msrs.insert(index, value) {
            Some(old) if old != value => Err(Problem::MsrDiffers { index }),
            None if self.msrs.len() > MAX_MSRS => Err(Problem::TooMany { what: "MSRs in one CPU", limit: MAX_MSRS }),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leaves.entries().is_empty() && self.msrs.is_empty()
    }

    /// The recorded MSRs in order.
    pub(crate) fn msrs(&self) -> impl Iterator<Item = MsrEntry> + '_ {
        self.msrs.iter().filter_map(|(index, value)| Some(MsrEntry { index: *index, value: (*value)? }))
    }

    /// The CPU as read, with nothing inferred but which MSRs are feature MSRs.
    pub(crate) fn into_cpu(self, basis: Basis) -> Result<Cpu, Problem> {
        let msrs = self.msrs().collect();
        let mut policy = Policy { cpuid: self.leaves, basis, unrecorded: self.unrecorded, named: self.named, ..Policy::default() };
        for index in unrecorded::feature_msrs() {
            if let Some(Some(value)) = self.msrs.get(&index) {
                policy.msrs.insert(index, *value).map_err(too_many_feature_msrs)?;
            }
        }
        Ok(Cpu { number: self.number, core_type: self.core_type, policy, msrs })
    }

    /// The CPU with everything that follows from the numbers and from what the format and tool could tell.
    pub(crate) fn into_told_cpu(mut self, basis: Basis, told: Told<'_>) -> Result<Cpu, Problem> {
        self.core_type = CoreType::of(&self.leaves);
        let unreadable: Vec<u32> = self.msrs.iter().filter(|(_, value)| value.is_none()).map(|(index, _)| *index).collect();
        let mut cpu = self.into_cpu(basis)?;
        unrecorded::fill(&mut cpu.policy, told, &unreadable)?;
        Ok(cpu)
    }
}

pub(crate) fn too_many_feature_msrs(full: TableFull) -> Problem {
    Problem::TooMany { what: "feature MSRs in one CPU", limit: full.capacity }
}

/// The CPUs of one file in order.
#[derive(Default)]
pub(crate) struct Drafts {
    cpus: Vec<Draft>,
}

impl Drafts {
    /// Opens the next CPU. Some tools print several headings for one CPU: those without data are forgotten.
    pub(crate) fn open(&mut self, number: u32) -> Result<(), Problem> {
        self.cpus.pop_if(|cpu| cpu.is_empty());
        if self.cpus.len() >= MAX_CPUS {
            return Err(Problem::TooMany { what: "CPUs", limit: MAX_CPUS });
        }
        self.cpus.push(Draft::new(number));
        Ok(())
    }

    /// Opens the next CPU of a format whose tools number CPUs reliably.
    pub(crate) fn open_unique(&mut self, number: u32) -> Result<(), Problem> {
        if self.cpus.iter().any(|cpu| cpu.number == number) {
            return Err(Problem::CpuTwice { number });
        }
        self.open(number)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cpus.is_empty()
    }

    pub(crate) fn first(&mut self) -> Option<&mut Draft> {
        self.cpus.first_mut()
    }

    /// The CPU that the present line belongs to.
    pub(crate) fn current(&mut self) -> Result<&mut Draft, Problem> {
        self.cpus.last_mut().ok_or(Problem::OutsideCpu)
    }

    /// The CPUs that have data. Each must begin with leaf 0, without which no range of leaves is known.
    pub(crate) fn finish(self, basis: Basis, told: Told<'_>) -> Result<Vec<Cpu>, Problem> {
        let mut cpus = Vec::new();
        for draft in self.cpus.into_iter().filter(|draft| !draft.is_empty()) {
            if draft.leaves.get(0, 0).is_none() {
                return Err(Problem::NoLeaf0 { number: draft.number });
            }
            cpus.push(draft.into_told_cpu(basis, told)?);
        }
        if cpus.is_empty() { Err(Problem::NoCpu) } else { Ok(cpus) }
    }

    /// All CPUs, for a reader that has to look over its entries once more.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Draft> {
        self.cpus.iter_mut()
    }
}
