//! libvirt's raw CPU data: `<cpudata arch='x86'>` with one element per leaf and per MSR.
//!
//! The files of libvirt's tests were made with `cpuid -1 -r`, so its traps apply. Named models (`<cpu>`) have their own module.

use cpuid_db::{Basis, Registers};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::Cpu;
use crate::digits::prefixed32;
use crate::draft::Draft;
use crate::error::{Fault, Problem};
use crate::lines::{line_of, text_of};
use crate::machine::Found;
use crate::unrecorded::Told;

/// The name of a file's first element.
pub(crate) fn root(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader::from_str(valid_text(bytes));
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => return Some(element.name().as_ref().to_owned()),
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

pub(crate) fn valid_text(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// Reads the one CPU that a file describes.
pub(crate) fn read(bytes: &[u8]) -> Result<Found, Fault> {
    let mut reader = Reader::from_str(text_of(bytes)?);
    let mut document = Document::default();
    loop {
        let event = reader
            .read_event()
            .map_err(|error| syntax(&error).at_line(line_of(bytes, usize::try_from(reader.error_position()).unwrap_or(usize::MAX))))?;
        let line = || line_of(bytes, usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX));
        if event == Event::Eof {
            return document.finish().map(Found::new).map_err(|problem| problem.at_line(line()));
        }
        document.event(&event).map_err(|problem| problem.at_line(line()))?;
    }
}

pub(crate) fn syntax(error: &quick_xml::Error) -> Problem {
    Problem::syntax(&error.to_string())
}

#[derive(Default)]
struct Document {
    cpu: Draft,
    /// How many elements are open.
    depth: usize,
    closed: bool,
}

impl Document {
    fn event(&mut self, event: &Event<'_>) -> Result<(), Problem> {
        match event {
            Event::Start(element) => {
                self.element(element)?;
                self.depth += 1;
            }
            Event::Empty(element) => {
                self.element(element)?;
                self.closed |= self.depth == 0;
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.closed |= self.depth == 0;
            }
            _ => {}
        }
        Ok(())
    }

    fn element(&mut self, element: &BytesStart<'_>) -> Result<(), Problem> {
        match (self.depth, element.name().as_ref()) {
            (0, _) if self.closed => Err(Problem::Twice { what: "the root element" }),
            (0, "cpudata") => check_arch(element),
            (1, "cpuid") => {
                let [leaf, subleaf, eax, ebx, ecx, edx] = numbers(element, ["eax_in", "ecx_in", "eax", "ebx", "ecx", "edx"])?;
                self.cpu.leaf(leaf, subleaf, Registers { eax, ebx, ecx, edx })
            }
            (1, "msr") => {
                let [index, high, low] = numbers(element, ["index", "edx", "eax"])?;
                self.cpu.msr(index, Some(u64::from(high) << 32 | u64::from(low)))
            }
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Vec<Cpu>, Problem> {
        if !self.closed || self.depth > 0 {
            return Err(Problem::Missing { what: "the end of cpudata" });
        }
        if self.cpu.is_empty() {
            return Err(Problem::NoCpu);
        }
        Ok(vec![self.cpu.into_told_cpu(Basis::Raw, Told::CPUID_ONLY)?])
    }
}

fn check_arch(element: &BytesStart<'_>) -> Result<(), Problem> {
    let arch = attribute(element, "arch")?.ok_or(Problem::Missing { what: "arch" })?;
    if arch == "x86" { Ok(()) } else { Err(Problem::expected("arch='x86'", arch.as_bytes())) }
}

/// The value of an attribute as it stands there.
pub(crate) fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, Problem> {
    let attribute = element.try_get_attribute(name).map_err(|error| syntax(&error.into()))?;
    Ok(attribute.map(|attribute| attribute.value.into_owned()))
}

/// The numbers in the named attributes; other attributes are ignored.
fn numbers<const N: usize>(element: &BytesStart<'_>, names: [&'static str; N]) -> Result<[u32; N], Problem> {
    let mut values = [None; N];
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| syntax(&error.into()))?;
        let rank = names.iter().position(|name| attribute.key.as_ref() == *name);
        if let Some(slot) = rank.and_then(|rank| values.get_mut(rank)) {
            let text = attribute.value.as_bytes();
            *slot = Some(prefixed32(text).ok_or_else(|| Problem::expected("0x and up to 8 hex digits", text))?);
        }
    }
    match names.iter().zip(values).find(|(_, value)| value.is_none()) {
        Some((what, _)) => Err(Problem::Missing { what }),
        None => Ok(values.map(Option::unwrap_or_default)),
    }
}
