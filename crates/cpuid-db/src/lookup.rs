//! From any spelling to the feature, field or leaf that it names.
//!
//! Order: an exact canonical name; a location (`CPUID.7.0.EBX[13]`); a pinned spelling (`xen:IBRS`);
//! then every project's spelling, without regard to case, `-`, `_` and `.`. A word that fits two things is an error that lists them.

use core::fmt;

use crate::generated::names::SPELLINGS;
use crate::{Feature, Field, FieldPlace, Location, Project, Register};

/// A feature or a field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Named {
    /// A single bit.
    Feature(Feature),
    /// Several bits.
    Field(Field),
}

impl Named {
    /// Canonical name.
    pub fn name(self) -> &'static str {
        self.text().name
    }

    /// Names, titles, reasons and sources.
    pub fn text(self) -> &'static crate::FeatureText {
        match self {
            Self::Feature(feature) => feature.text(),
            Self::Field(field) => field.text(),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a word names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// A feature or field.
    Named(Named),
    /// A place without a meaning.
    Reserved(Location),
    /// A feature MSR, by name or address.
    Msr(u32),
}

/// How many candidates an ambiguous word can list.
const MOST: usize = 16;

/// Why a word names nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LookupError {
    /// No name, spelling or location of the database.
    Unknown,
    /// Several things are called so; the list is padded with `None`.
    Ambiguous([Option<Named>; MOST]),
    /// It has the form of a location, but is outside a register.
    BadLocation,
    /// The word before the colon is not a project.
    UnknownProject,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not a known feature, field, location or MSR"),
            Self::BadLocation => f.write_str("not a place in a CPUID register or MSR"),
            Self::UnknownProject => f.write_str("the word before the colon is not linux, cpuinfo, qemu, libvirt, xen or kcpuid"),
            Self::Ambiguous(candidates) => {
                f.write_str("means several things:")?;
                candidates.iter().flatten().try_for_each(|named| write!(f, " {named}"))
            }
        }
    }
}

impl core::error::Error for LookupError {}

/// One spelling: who uses it (`None`: canonical name) and for what.
pub(crate) struct Spelling {
    pub(crate) word: &'static str,
    pub(crate) project: Option<Project>,
    pub(crate) named: Named,
}

/// The characters of a word without separators and in lower case: what two spellings are compared by.
fn folded(word: &str) -> impl Iterator<Item = u8> + '_ {
    word.bytes().filter(|byte| !matches!(byte, b'-' | b'_' | b'.' | b' ')).map(|byte| byte.to_ascii_lowercase())
}

fn spellings_of(word: &str) -> impl Iterator<Item = &'static Spelling> + '_ {
    let start = SPELLINGS.partition_point(|spelling| folded(spelling.word).lt(folded(word)));
    let tail = SPELLINGS.get(start..).unwrap_or(&[]);
    tail.iter().take_while(move |spelling| folded(spelling.word).eq(folded(word)))
}

fn only(candidates: impl Iterator<Item = Named>) -> Result<Named, LookupError> {
    let mut list = [None; MOST];
    for named in candidates {
        if list.contains(&Some(named)) {
            continue;
        }
        if let Some(free) = list.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(named);
        }
    }
    match list {
        [None, ..] => Err(LookupError::Unknown),
        [Some(named), None, ..] => Ok(named),
        _ => Err(LookupError::Ambiguous(list)),
    }
}

/// Finds what `word` names.
///
/// # Errors
/// [`LookupError`] when it names nothing or several things.
pub fn lookup(word: &str) -> Result<Found, LookupError> {
    let word = word.trim();
    let exact = spellings_of(word).find(|spelling| spelling.project.is_none() && spelling.word == word);
    if let Some(spelling) = exact {
        return Ok(Found::Named(spelling.named));
    }
    if let Some(place) = parse_location(word) {
        return place.map(at);
    }
    if let Some(index) = msr_by_name(word) {
        return Ok(Found::Msr(index));
    }
    if let Some((project, word)) = word.split_once(':') {
        let project = Project::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(project.trim()));
        let project = project.ok_or(LookupError::UnknownProject)?;
        let mut pinned = spellings_of(word.trim()).filter(|spelling| spelling.project == Some(project));
        return only(&mut pinned.by_ref().map(|spelling| spelling.named)).map(Found::Named);
    }
    only(spellings_of(word).map(|spelling| spelling.named)).map(Found::Named)
}

fn at(place: Spot) -> Found {
    let location = match place {
        Spot::Msr(index) => return Found::Msr(index),
        Spot::Bit(location) => location,
    };
    if let Some(feature) = Feature::at_location(location) {
        return Found::Named(Named::Feature(feature));
    }
    let field = Field::all().find(|field| field.covers(location));
    field.map_or(Found::Reserved(location), |field| Found::Named(Named::Field(field)))
}

impl Field {
    /// Whether this bit belongs to the field.
    pub fn covers(self, location: Location) -> bool {
        let row = self.row();
        let (inside, bit) = match (row.place, location) {
            (FieldPlace::Cpuid { leaf, first, last, register }, Location::Cpuid { leaf: l, subleaf, register: r, bit }) => {
                (leaf == l && (first..=last).contains(&subleaf) && register == r, bit)
            }
            (FieldPlace::Msr { index }, Location::Msr { index: i, bit }) => (index == i, bit),
            _ => return false,
        };
        inside && (row.low..=row.high).contains(&bit)
    }
}

/// A place that a word points at.
#[derive(Clone, Copy)]
enum Spot {
    Bit(Location),
    Msr(u32),
}

/// `CPUID.7.0.EBX[13]`, `CPUID.7.EBX[13]`, `MSR.10A[2]`, `0x10a`. `None` when the word does not look like a place.
fn parse_location(word: &str) -> Option<Result<Spot, LookupError>> {
    if let Some(rest) = strip_word(word, "CPUID.") {
        return Some(cpuid_location(rest).map(Spot::Bit).ok_or(LookupError::BadLocation));
    }
    if let Some(rest) = strip_word(word, "MSR.").or_else(|| strip_word(word, "MSR ")) {
        return Some(msr_location(rest).ok_or(LookupError::BadLocation));
    }
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"))?;
    Some(msr_location(digits).ok_or(LookupError::BadLocation))
}

fn strip_word<'a>(word: &'a str, prefix: &str) -> Option<&'a str> {
    let head = word.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| word.get(prefix.len()..)).flatten()
}

fn hex(digits: &str) -> Option<u32> {
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    u32::from_str_radix(digits.trim_end_matches(['h', 'H']), 16).ok()
}

fn bracketed(text: &str) -> Option<(&str, u8)> {
    let (head, tail) = text.split_once('[')?;
    Some((head, tail.strip_suffix(']')?.trim().parse().ok()?))
}

fn cpuid_location(text: &str) -> Option<Location> {
    let (place, bit) = bracketed(text)?;
    let mut parts = place.split('.');
    let leaf = hex(parts.next()?)?;
    let (subleaf, register) = match (parts.next()?, parts.next()) {
        (subleaf, Some(register)) => (hex(subleaf)?, Register::from_name(register)?),
        (register, None) => (0, Register::from_name(register)?),
    };
    (bit < 32 && parts.next().is_none()).then_some(Location::Cpuid { leaf, subleaf, register, bit })
}

fn msr_location(text: &str) -> Option<Spot> {
    match bracketed(text) {
        Some((index, bit)) if bit < 64 => Some(Spot::Bit(Location::Msr { index: hex(index)?, bit })),
        Some(_) => None,
        None => hex(text).map(Spot::Msr),
    }
}

fn msr_by_name(word: &str) -> Option<u32> {
    let same = |name: &str| !name.is_empty() && folded(name).eq(folded(word));
    crate::leaves().iter().find(|leaf| leaf.leaf.is_none() && same(leaf.name)).map(|leaf| leaf.msr)
}

/// The canonical names and spellings nearest to a word that was not found, best first.
pub fn nearest(word: &str) -> [Option<&'static str>; 5] {
    let mut best: [Option<(usize, &'static str)>; 5] = [None; 5];
    let folded_len = folded(word).count();
    let limit = (folded_len / 3).clamp(if folded_len > 3 { 2 } else { 1 }, 4);
    for spelling in SPELLINGS {
        let distance = edit_distance(word, spelling.word, limit);
        if distance > limit || best.iter().flatten().any(|(_, name)| *name == spelling.named.name()) {
            continue;
        }
        let candidate = Some((distance, spelling.named.name()));
        let worse = best.iter_mut().find(|slot| slot.is_none_or(|(other, _)| distance < other));
        if let Some(slot) = worse {
            let mut carry = core::mem::replace(slot, candidate);
            let from = best.iter().position(|slot| *slot == candidate).map_or(best.len(), |at| at + 1);
            for slot in best.get_mut(from..).unwrap_or(&mut []) {
                carry = core::mem::replace(slot, carry);
            }
        }
    }
    best.map(|slot| slot.map(|(_, name)| name))
}

/// The longest word that is compared; longer ones are not near anything.
const LONGEST: usize = 40;

/// Levenshtein distance of the folded words; anything above `limit` when they differ more.
fn edit_distance(a: &str, b: &str, limit: usize) -> usize {
    let (m, n) = (folded(a).count(), folded(b).count());
    if m.abs_diff(n) > limit || m > LONGEST || n > LONGEST {
        return limit + 1;
    }
    let mut row: [usize; LONGEST + 1] = core::array::from_fn(|at| at);
    for (i, x) in folded(a).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (y, cell) in folded(b).zip(row.iter_mut().skip(1)) {
            let here = (left + 1).min(*cell + 1).min(diagonal + usize::from(x != y));
            diagonal = *cell;
            left = here;
            *cell = here;
        }
    }
    row.get(n).copied().unwrap_or(limit + 1)
}
