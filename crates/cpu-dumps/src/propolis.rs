//! Propolis: the CPUID profiles of its TOML configuration, and the CPUID of its instance specification in JSON.
//!
//! ```toml
//! [cpuid.milan]
//! vendor = "amd"
//! "0" = [0xd, 0x68747541, 0x444d4163, 0x69746e65]
//! "7-0" = [0x0, 0x219c91a9, 0x400684, 0x10]
//! ```
//!
//! Keys are a leaf, or a leaf and a subleaf, in hexadecimal without prefix. A leaf without subleaf answers every ECX alike; the tables
//! here hold it as subleaf 0. Left out: everything else in such files.

use cpuid_db::{Basis, Registers, Unrecorded, Vendor};
use serde::de::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::digits::hex_up_to;
use crate::draft::Draft;
use crate::error::{Fault, Problem};
use crate::json::{self, Cursor, Documents, List, Object};
use crate::limits::{MAX_CPUS, MAX_LEAVES};
use crate::lines::{line_of, text_of};
use crate::machine::Found;
use crate::unrecorded::{Told, too_many_unrecorded};

/// Whether this line shows that a file is such a configuration.
pub(crate) fn is_sign(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line == b"[cpuid]" || line.starts_with(b"[cpuid.")
}

/// What a profile has said so far.
#[derive(Default)]
struct Profile {
    cpu: Draft,
    vendor: Option<Vendor>,
    /// The leaves that stand without subleaf, and those that stand with one.
    bare: Vec<u32>,
    indexed: Vec<u32>,
}

impl Profile {
    fn leaf(&mut self, leaf: u32, subleaf: Option<u32>, registers: Registers) -> Result<(), Problem> {
        let (own, other) = if subleaf.is_some() { (&mut self.indexed, &self.bare) } else { (&mut self.bare, &self.indexed) };
        if other.contains(&leaf) {
            return Err(Problem::WithAndWithoutSubleaf { leaf });
        }
        let subleaf = subleaf.unwrap_or(0);
        if self.cpu.leaves.get(leaf, subleaf).is_some() {
            return Err(Problem::LeafTwice { leaf, subleaf });
        }
        if !own.contains(&leaf) {
            own.push(leaf);
        }
        self.cpu.leaf(leaf, subleaf, registers)
    }

    fn vendor(&mut self, name: &str) -> Result<(), Problem> {
        self.vendor = Some(match name {
            "amd" => Vendor::Amd,
            "intel" => Vendor::Intel,
            _ => return Err(Problem::expected("amd or intel", name.as_bytes())),
        });
        Ok(())
    }

    fn finish(self, name: Option<String>) -> Result<Found, Problem> {
        let Self { mut cpu, vendor, .. } = self;
        if cpu.is_empty() {
            return Err(Problem::NoCpu);
        }
        let leaf_0 = cpu.leaves.get(0, 0);
        match (leaf_0, vendor) {
            (Some(leaf), Some(vendor)) if Vendor::from_leaf_0(&leaf) != vendor => {
                let found = Vendor::from_leaf_0(&leaf).to_string();
                return Err(Problem::Expected { expected: "a leaf 00000000 of the same vendor", found });
            }
            (None, None) => return Err(Problem::NoLeaf0 { number: 0 }),
            (None, Some(vendor)) => {
                let highest = cpu.leaves.entries().iter().map(|entry| entry.leaf).filter(|leaf| *leaf <= 0xffff).max();
                cpu.leaf(0, 0, vendor.leaf_0(highest.unwrap_or(0)))?;
            }
            _ => {}
        }
        let mut cpu = cpu.into_told_cpu(Basis::Raw, Told::CPUID_ONLY)?;
        if leaf_0.is_none() {
            let inserted = cpu.policy.unrecorded.insert(Unrecorded::Cpuid { leaf: 0, subleaf: 0 });
            inserted.map_err(too_many_unrecorded)?;
        }
        Ok(Found { name, ..Found::new(vec![cpu]) })
    }
}

/// Reads the profiles of a configuration. Profiles that stand in `[cpuid.NAME]` are called so.
pub(crate) fn toml(bytes: &[u8]) -> Result<Vec<Found>, Fault> {
    let text = text_of(bytes)?;
    let line = |at: usize| line_of(bytes, at);
    let file = DeTable::parse(text).map_err(|error| {
        let line = line(error.span().map_or(0, |span| span.start));
        Problem::syntax(error.message()).at_line(line)
    })?;
    let Some((_, section)) = file.get_ref().iter().find(|(key, _)| key.get_ref() == "cpuid") else {
        return Err(Problem::NoCpu.into());
    };
    let at = |problem: Problem, value: &Spanned<DeValue<'_>>| problem.at_line(line(value.span().start));
    let DeValue::Table(profiles) = section.get_ref() else {
        return Err(at(Problem::expected("a table", b"another value"), section));
    };
    if profiles.values().all(|value| !matches!(value.get_ref(), DeValue::Table(_))) {
        return profile(profiles, None, line).map(|found| vec![found]);
    }
    if profiles.len() > MAX_CPUS {
        return Err(Problem::TooMany { what: "CPUs", limit: MAX_CPUS }.into());
    }
    let mut found = Vec::new();
    for (name, value) in in_order(profiles) {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(at(Problem::expected("a profile", name.get_ref().as_bytes()), value));
        };
        found.push(profile(table, Some(name.get_ref().to_string()), line)?);
    }
    Ok(found)
}

/// The members of a table in the order of the file.
fn in_order<'a, 'b>(table: &'a DeTable<'b>) -> Vec<(&'a Spanned<DeString<'b>>, &'a Spanned<DeValue<'b>>)> {
    let mut members: Vec<_> = table.iter().collect();
    members.sort_by_key(|(key, _)| key.span().start);
    members
}

fn profile(table: &DeTable<'_>, name: Option<String>, line: impl Fn(usize) -> usize) -> Result<Found, Fault> {
    let mut profile = Profile::default();
    let mut last = 0;
    for (key, value) in in_order(table) {
        last = line(key.span().start);
        let taken = match (key.get_ref().as_ref(), value.get_ref()) {
            ("vendor", DeValue::String(vendor)) => profile.vendor(vendor),
            (key, value) => leaf_key(key).and_then(|(leaf, subleaf)| profile.leaf(leaf, subleaf, array(value)?)),
        };
        taken.map_err(|problem| problem.at_line(last))?;
    }
    profile.finish(name).map_err(|problem| if last == 0 { problem.into() } else { problem.at_line(last) })
}

/// `LEAF` or `LEAF-SUBLEAF`.
fn leaf_key(key: &str) -> Result<(u32, Option<u32>), Problem> {
    let expected = || Problem::expected("vendor, or a leaf in hex digits, or a leaf, - and a subleaf", key.as_bytes());
    let number = |text: &str| hex_up_to(text.as_bytes(), 8).map(|number| number as u32);
    match key.split_once('-') {
        None => number(key).map(|leaf| (leaf, None)),
        Some((leaf, subleaf)) => number(leaf).zip(number(subleaf).map(Some)),
    }
    .ok_or_else(expected)
}

fn array(value: &DeValue<'_>) -> Result<Registers, Problem> {
    const EXPECTED: &str = "a list of four numbers of 32 bits";
    let DeValue::Array(items) = value else {
        return Err(Problem::expected(EXPECTED, b"another value"));
    };
    let number = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    let numbers: Vec<Option<u32>> = items.iter().take(5).map(number).collect();
    match numbers.as_slice() {
        &[Some(eax), Some(ebx), Some(ecx), Some(edx)] => Ok(Registers { eax, ebx, ecx, edx }),
        _ => Err(Problem::expected(EXPECTED, b"another list")),
    }
}

/// Reads the next instance specification of a file, or the CPUID part alone.
pub(crate) fn json(documents: &mut Documents<'_>) -> Result<Option<Found>, Fault> {
    let mut spec = Spec::default();
    let Some(read) = documents.read(&mut spec) else { return Ok(None) };
    read?;
    Ok(Some(spec.profile.finish(None)?))
}

#[derive(Default)]
struct Spec {
    profile: Profile,
}

impl Object for Spec {
    const KEYS: &'static [&'static str] = &["entries", "vendor", "cpuid", "board"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        let profile = &mut self.profile;
        match key {
            "entries" => json::list(value, at, ("leaves in one CPU", MAX_LEAVES), &mut Entries(profile)),
            "vendor" => json::text(value, at, "amd or intel", |text| profile.vendor(text)),
            _ => json::object(value, at, self),
        }
    }
}

struct Entries<'a>(&'a mut Profile);

impl List for Entries<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Entry { profile: self.0, subleaf: None, numbers: [None; 5] })
    }
}

struct Entry<'a> {
    profile: &'a mut Profile,
    subleaf: Option<u32>,
    /// Leaf and registers in the order of the keys.
    numbers: [Option<u32>; 5],
}

impl Object for Entry<'_> {
    const KEYS: &'static [&'static str] = &["leaf", "eax", "ebx", "ecx", "edx", "subleaf"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, _: &Cursor) -> Result<(), D::Error> {
        let rank = Self::KEYS.iter().position(|known| *known == key).unwrap_or_default();
        match self.numbers.get_mut(rank) {
            Some(slot) => *slot = Some(json::number(value)?),
            None => self.subleaf = Option::deserialize(value)?,
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        if let Some((what, _)) = Self::KEYS.iter().zip(self.numbers).find(|(_, value)| value.is_none()) {
            return Err(Problem::Missing { what });
        }
        let [leaf, eax, ebx, ecx, edx] = self.numbers.map(Option::unwrap_or_default);
        self.profile.leaf(leaf, self.subleaf, Registers { eax, ebx, ecx, edx })
    }
}
