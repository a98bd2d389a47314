//! Reading the project's own formats, `vcpu.dump/1` and `vcpu.policy/1`. A file may hold several documents, one after the other.
//!
//! Every key is either read, or known to say nothing that is not read elsewhere, or begins with `x-`; any other is an error: a damaged
//! key must not take its part of the machine with it in silence.

use cpuid_db::{Basis, CpuidTable, FeatureSet, Place, Policy, Register, Registers, Unrecorded, UnrecordedList, words};
use serde::de::Deserializer;

use crate::draft::{Draft, too_many_feature_msrs};
use crate::error::{Fault, Problem};
use crate::json::{self, Cursor, Documents, List, Object, Others};
use crate::limits::{MAX_CPUS, MAX_LEAVES, MAX_MACHINES, MAX_MSRS, MAX_NAMES};
use crate::{CoreType, Cpu, Format, KvmView, Machine, Provenance};

/// Reads all documents of a file; those without a name get `name`.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Machine>, Fault> {
    let mut documents = Documents::new(bytes)?;
    let mut machines = Vec::new();
    let mut cpus = 0;
    while let Some(machine) = next(name, &mut documents, MAX_CPUS - cpus)? {
        if machines.len() >= MAX_MACHINES {
            return Err(Problem::TooMany { what: "machines", limit: MAX_MACHINES }.into());
        }
        cpus += machine.cpus.len();
        machines.push(machine);
    }
    if machines.is_empty() { Err(Problem::Empty.into()) } else { Ok(machines) }
}

fn next(name: &str, documents: &mut Documents<'_>, cpus_left: usize) -> Result<Option<Machine>, Fault> {
    let mut document = Document { cpus_left, ..Document::default() };
    match documents.read(&mut document) {
        None => Ok(None),
        Some(read) => {
            read?;
            Ok(Some(document.into_machine(name)?))
        }
    }
}

/// One document of either schema.
#[derive(Default)]
struct Document {
    format: Option<Format>,
    name: Option<String>,
    basis: Option<Basis>,
    provenance: Provenance,
    unknown_names: Vec<String>,
    cpus: Vec<Draft>,
    /// How many more CPUs the file may have.
    cpus_left: usize,
    kvm: Option<Box<KvmDraft>>,
    /// Leaves and MSRs at the top: those of a policy.
    policy: Option<Box<Draft>>,
    /// A key that only dumps have, and one that only policies have.
    foreign: [Option<String>; 2],
}

impl Document {
    fn into_machine(self, name: &str) -> Result<Machine, Problem> {
        let format = self.format.ok_or(Problem::Missing { what: "schema" })?;
        let basis = self.basis.ok_or(Problem::Missing { what: "basis" })?;
        let drafts = if format == Format::Policy { self.policy.into_iter().map(|draft| *draft).collect() } else { self.cpus };
        let cpus: Vec<Cpu> = drafts.into_iter().map(|draft| draft.into_cpu(basis)).collect::<Result<_, _>>()?;
        if cpus.iter().all(|cpu| cpu.policy.cpuid.entries().is_empty() && cpu.msrs.is_empty()) {
            return Err(Problem::NoCpu);
        }
        Ok(Machine {
            name: self.name.unwrap_or_else(|| name.to_owned()),
            format,
            provenance: self.provenance,
            basis,
            unknown_names: self.unknown_names,
            cpus,
            kvm: self.kvm.map(|kvm| kvm.into_view().map(Box::new)).transpose()?,
        })
    }
}

/// What programs write for their users beside the machine: the machine said once more, or why it is so.
const SAID_ELSEWHERE: Others =
    Others::Own(&["hosts", "identity", "ceiling", "forced", "features", "unknown_bits", "decisions", "request", "costs", "keep"]);
/// An object of which every key is read.
const ALL_READ: Others = Others::Own(&[]);

impl Object for Document {
    const KEYS: &'static [&'static str] =
        &["schema", "name", "basis", "provenance", "cpus", "kvm", "leaves", "msrs", "unrecorded", "named", "unknown_names"];
    const OTHERS: Others = SAID_ELSEWHERE;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "schema" => self.format = Some(json::text(value, at, "a string", json::schema)?),
            "name" => self.name = Some(json::string(value, at)?),
            "basis" => self.basis = Some(basis(value, at)?),
            "provenance" => json::object(value, at, &mut self.provenance)?,
            "cpus" => {
                let limit = self.cpus_left;
                let mut list = Cpus { cpus: &mut self.cpus, limit };
                json::list(value, at, ("CPUs", MAX_CPUS), &mut list)?;
                self.foreign[0] = Some(key.to_owned());
            }
            "unknown_names" => json::list(value, at, ("unknown names", MAX_NAMES), &mut Names(&mut self.unknown_names))?,
            "kvm" => {
                json::object(value, at, &mut **self.kvm.get_or_insert_default())?;
                self.foreign[0] = Some(key.to_owned());
            }
            _ => {
                part(self.policy.get_or_insert_default(), key, value, at)?;
                self.foreign[1] = Some(key.to_owned());
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let [of_dumps, of_policies] = &mut self.foreign;
        let foreign = match self.format {
            Some(Format::Dump) => of_policies.take(),
            _ => of_dumps.take(),
        };
        match (self.format, foreign) {
            (Some(schema), Some(key)) => Err(Problem::KeyOfOther { key, schema }),
            _ => Ok(()),
        }
    }
}

struct Names<'a>(&'a mut Vec<String>);

impl List for Names<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        self.0.push(json::string(value, at)?);
        Ok(())
    }
}

fn basis<'de, D: Deserializer<'de>>(value: D, at: &Cursor) -> Result<Basis, D::Error> {
    const EXPECTED: &str = "raw, derived or recorded";
    json::text(value, at, EXPECTED, |text| Basis::from_name(text).ok_or_else(|| Problem::expected(EXPECTED, text.as_bytes())))
}

impl Object for Provenance {
    const KEYS: &'static [&'static str] = &["tool", "kernel", "microcode", "source"];
    const OTHERS: Others = ALL_READ;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        let slot = match key {
            "tool" => &mut self.tool,
            "kernel" => &mut self.kernel,
            "microcode" => &mut self.microcode,
            _ => &mut self.source,
        };
        *slot = Some(json::string(value, at)?);
        Ok(())
    }
}

struct Cpus<'a> {
    cpus: &'a mut Vec<Draft>,
    limit: usize,
}

impl List for Cpus<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        if self.cpus.len() >= self.limit {
            return Err(at.refuse(Problem::TooMany { what: "CPUs", limit: MAX_CPUS }));
        }
        let mut cpu = NumberedCpu { cpu: Draft::default(), is_number_wanted: true };
        json::object(value, at, &mut cpu)?;
        self.cpus.push(cpu.cpu);
        Ok(())
    }
}

/// Reads what CPUs, policies and KVM's answers have in common.
fn part<'de, D: Deserializer<'de>>(cpu: &mut Draft, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
    match key {
        "leaves" => json::list(value, at, ("leaves in one CPU", MAX_LEAVES), &mut Leaves(cpu)),
        "msrs" => json::list(value, at, ("MSRs in one CPU", MAX_MSRS), &mut Msrs(cpu)),
        "named" => json::list(value, at, ("named words", 2 * words().len()), &mut Words(&mut cpu.named)),
        _ => {
            let limit = ("unrecorded places", UnrecordedList::CAPACITY);
            json::list(value, at, limit, &mut Places(&mut cpu.unrecorded))
        }
    }
}

/// A CPU of a dump.
struct NumberedCpu {
    cpu: Draft,
    /// Whether its number has still to come.
    is_number_wanted: bool,
}

impl Object for NumberedCpu {
    const KEYS: &'static [&'static str] = &["cpu", "core_type", "leaves", "msrs", "unrecorded", "named"];
    const OTHERS: Others = ALL_READ;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "cpu" => {
                self.cpu.number = json::number(value)?;
                self.is_number_wanted = false;
                Ok(())
            }
            "core_type" => {
                self.cpu.core_type = Some(core_type(value, at)?);
                Ok(())
            }
            _ => part(&mut self.cpu, key, value, at),
        }
    }

    fn end(&mut self) -> Result<(), Problem> {
        if self.is_number_wanted { Err(Problem::Missing { what: "cpu" }) } else { Ok(()) }
    }
}

fn core_type<'de, D: Deserializer<'de>>(value: D, at: &Cursor) -> Result<CoreType, D::Error> {
    const EXPECTED: &str = "performance, efficiency or low-power";
    json::text(value, at, EXPECTED, |text| CoreType::from_name(text).ok_or_else(|| Problem::expected(EXPECTED, text.as_bytes())))
}

#[derive(Default)]
struct KvmDraft {
    supported: Supported,
    emulated: Option<Emulated>,
}

impl KvmDraft {
    fn into_view(self) -> Result<KvmView, Problem> {
        let emulated: Option<CpuidTable> = self.emulated.map(|emulated| emulated.0.leaves);
        let Supported { cpu, basis } = self.supported;
        let msrs: Vec<_> = cpu.msrs().collect();
        let mut supported: Policy = cpu.into_cpu(basis)?.policy;
        for msr in msrs {
            supported.msrs.insert(msr.index, msr.value).map_err(too_many_feature_msrs)?;
        }
        Ok(KvmView { supported, emulated })
    }
}

impl Object for KvmDraft {
    const KEYS: &'static [&'static str] = &["supported", "emulated"];
    const OTHERS: Others = ALL_READ;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "supported" => json::object(value, at, &mut self.supported),
            _ => json::object(value, at, self.emulated.get_or_insert_default()),
        }
    }
}

/// What KVM offers.
struct Supported {
    cpu: Draft,
    basis: Basis,
}

impl Default for Supported {
    fn default() -> Self {
        Self { cpu: Draft::default(), basis: Basis::Recorded }
    }
}

impl Object for Supported {
    const KEYS: &'static [&'static str] = &["basis", "leaves", "msrs", "unrecorded", "named"];
    const OTHERS: Others = ALL_READ;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        if key == "basis" {
            self.basis = basis(value, at)?;
            return Ok(());
        }
        part(&mut self.cpu, key, value, at)
    }
}

/// What KVM emulates: a table, and nothing else.
#[derive(Default)]
struct Emulated(Draft);

impl Object for Emulated {
    const KEYS: &'static [&'static str] = &["leaves"];
    const OTHERS: Others = ALL_READ;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        part(&mut self.0, key, value, at)
    }
}

struct Leaves<'a>(&'a mut Draft);

impl List for Leaves<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Leaf { cpu: self.0, numbers: [None; 6] })
    }
}

struct Leaf<'a> {
    cpu: &'a mut Draft,
    /// The members in the order of the keys.
    numbers: [Option<u32>; 6],
}

impl Object for Leaf<'_> {
    const KEYS: &'static [&'static str] = &["leaf", "subleaf", "eax", "ebx", "ecx", "edx"];
    const OTHERS: Others = ALL_READ;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        let [leaf, subleaf, eax, ebx, ecx, edx] = &mut self.numbers;
        let slot = match key {
            "eax" => eax,
            "ebx" => ebx,
            "ecx" => ecx,
            "edx" => edx,
            "leaf" => leaf,
            _ => subleaf,
        };
        *slot = Some(json::hex32(value, at)?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        if let Some((what, _)) = Self::KEYS.iter().zip(self.numbers).find(|(_, value)| value.is_none()) {
            return Err(Problem::Missing { what });
        }
        let [leaf, subleaf, eax, ebx, ecx, edx] = self.numbers.map(Option::unwrap_or_default);
        self.cpu.leaf(leaf, subleaf, Registers { eax, ebx, ecx, edx })
    }
}

struct Msrs<'a>(&'a mut Draft);

impl List for Msrs<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Msr { cpu: self.0, index: None, value: None })
    }
}

struct Msr<'a> {
    cpu: &'a mut Draft,
    index: Option<u32>,
    value: Option<u64>,
}

impl Object for Msr<'_> {
    const KEYS: &'static [&'static str] = &["index", "value"];
    const OTHERS: Others = ALL_READ;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "index" => self.index = Some(json::hex32(value, at)?),
            _ => self.value = Some(json::hex64(value, at)?),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let index = self.index.ok_or(Problem::Missing { what: "index" })?;
        let value = self.value.ok_or(Problem::Missing { what: "value" })?;
        self.cpu.msr(index, Some(value))
    }
}

struct Places<'a>(&'a mut UnrecordedList);

impl List for Places<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Unknown { list: self.0, leaf: None, subleaf: None, msr: None })
    }
}

struct Unknown<'a> {
    list: &'a mut UnrecordedList,
    leaf: Option<u32>,
    subleaf: Option<u32>,
    msr: Option<u32>,
}

impl Object for Unknown<'_> {
    const KEYS: &'static [&'static str] = &["leaf", "subleaf", "msr"];
    const OTHERS: Others = ALL_READ;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        let value = json::hex32(value, at)?;
        match key {
            "leaf" => self.leaf = Some(value),
            "subleaf" => self.subleaf = Some(value),
            _ => self.msr = Some(value),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let place = match (self.leaf, self.subleaf, self.msr) {
            (Some(leaf), subleaf, None) => Unrecorded::Cpuid { leaf, subleaf: subleaf.unwrap_or_default() },
            (None, None, Some(index)) => Unrecorded::Msr { index },
            _ => return Err(Problem::Missing { what: "either leaf or msr" }),
        };
        let inserted = self.list.insert(place);
        inserted.map_err(|full| Problem::TooMany { what: "unrecorded places", limit: full.capacity })
    }
}

/// Features that are known in unrecorded places: the bits of a register or MSR that the source names.
struct Words<'a>(&'a mut FeatureSet);

impl List for Words<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Named { set: self.0, leaf: None, subleaf: None, register: None, msr: None, mask: None })
    }
}

struct Named<'a> {
    set: &'a mut FeatureSet,
    leaf: Option<u32>,
    subleaf: Option<u32>,
    register: Option<Register>,
    msr: Option<u32>,
    mask: Option<u64>,
}

impl Object for Named<'_> {
    const KEYS: &'static [&'static str] = &["leaf", "subleaf", "register", "msr", "mask"];
    const OTHERS: Others = ALL_READ;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "leaf" => self.leaf = Some(json::hex32(value, at)?),
            "subleaf" => self.subleaf = Some(json::hex32(value, at)?),
            "register" => self.register = Some(json::register(value, at)?),
            "msr" => self.msr = Some(json::hex32(value, at)?),
            _ => self.mask = Some(json::hex64(value, at)?),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let mask = self.mask.ok_or(Problem::Missing { what: "mask" })?;
        let halves = match (self.leaf, self.subleaf, self.register, self.msr) {
            (Some(leaf), subleaf, Some(register), None) => {
                [Some(Place::Cpuid { leaf, subleaf: subleaf.unwrap_or_default(), register }), None]
            }
            (None, None, None, Some(index)) => [false, true].map(|high| Some(Place::Msr { index, high })),
            _ => return Err(Problem::Missing { what: "either leaf and register or msr" }),
        };
        let mut set = *self.set.words();
        for (word, row) in set.iter_mut().zip(words()) {
            // Bits without a name, of a newer or older database, are not features here.
            let high = matches!(row.place, Place::Msr { high: true, .. });
            *word |= if halves.contains(&Some(row.place)) { (mask >> if high { 32 } else { 0 }) as u32 } else { 0 };
        }
        *self.set = FeatureSet::from_words(set);
        Ok(())
    }
}
