//! Writing a CPU as a guest policy, `vcpu.policy/1`: what one virtual CPU is to see, with no decision behind it.

use std::fmt;

use cpuid_db::{Feature, Location};

use super::own::{Page, Quoted, all_msrs};
use crate::{Cpu, Machine};

/// The first CPU of a machine as a policy.
pub(super) struct Policy<'a> {
    pub(super) machine: &'a Machine,
    pub(super) cpu: &'a Cpu,
}

impl fmt::Display for Policy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, cpu } = self;
        let policy = &cpu.policy;
        let mut page = Page::new(f, false);
        page.open('{')?;
        page.text("schema", "vcpu.policy/1")?;
        page.text("name", &machine.name)?;
        page.text("basis", machine.basis.name())?;
        page.provenance(&machine.provenance)?;
        page.key("hosts")?;
        page.value(format_args!("{{\"count\": 1, \"names\": [{}]}}", Quoted(&machine.name)))?;
        page.unknown_names(&machine.unknown_names)?;
        page.leaves(&policy.cpuid)?;
        page.msrs(&all_msrs(cpu))?;
        page.unrecorded(policy.unrecorded.as_slice())?;
        page.named(&policy.named)?;
        page.key("features")?;
        page.open('[')?;
        for feature in &policy.features() {
            page.item()?;
            page.value(Named(feature))?;
        }
        page.close(']')?;
        // Nobody decided anything.
        page.key("decisions")?;
        page.value("[]")?;
        page.close('}')?;
        page.end()
    }
}

/// A feature by name and place.
struct Named(Feature);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.name();
        match self.0.location() {
            Location::Cpuid { leaf, subleaf, register, bit } => write!(
                f,
                "{{\"name\": \"{name}\", \"leaf\": \"0x{leaf:08x}\", \"subleaf\": \"0x{subleaf:02x}\", \"register\": \"{register}\", \"bit\": {bit}}}"
            ),
            Location::Msr { index, bit } => write!(f, "{{\"name\": \"{name}\", \"msr\": \"{index:#x}\", \"bit\": {bit}}}"),
        }
    }
}
