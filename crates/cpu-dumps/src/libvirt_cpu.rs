//! libvirt's `<cpu>`: a named model and features by name. Alone, several in `<cpus>`, or inside `<domain>`, `<capabilities>` (the host's)
//! and `<domainCapabilities>` (the host model).
//!
//! The model's features are those of libvirt's own table of models; the listed features are added or, with policy `disable` or
//! `forbid`, taken away. Features with policy `optional` follow the host that a guest will land on: they stay unknown.
//! Left out: topology, caches, NUMA, and everything else that is not about features.

use cpuid_db::{Basis, Project};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::error::{Fault, Problem};
use crate::libvirt::{attribute, syntax, valid_text};
use crate::limits::{MAX_CPUS, MAX_NAMES};
use crate::lines::{line_of, text_of};
use crate::machine::Found;
use crate::models::{self, signature_of};
use crate::named::Names;
use crate::vocabulary::vmx_features;

/// The root elements that may hold a CPU.
const ROOTS: [&str; 5] = ["cpu", "cpus", "domain", "capabilities", "domainCapabilities"];

/// Whether the first element of a file can hold a CPU.
pub(crate) fn is_sign(root: &str) -> bool {
    ROOTS.contains(&root)
}

/// Reads the CPUs of a file; each is a machine.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Found>, Fault> {
    let text = text_of(bytes)?;
    let mut reader = Reader::from_str(valid_text(text.as_bytes()));
    let mut document = Document::default();
    loop {
        let event = reader
            .read_event()
            .map_err(|error| syntax(&error).at_line(line_of(bytes, usize::try_from(reader.error_position()).unwrap_or(usize::MAX))))?;
        let line = || line_of(bytes, usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX));
        if event == Event::Eof {
            return document.finish().map_err(|problem| problem.at_line(line()));
        }
        document.event(&event).map_err(|problem| problem.at_line(line()))?;
    }
}

/// The way to a CPU, from the root. `mode` is the host model in the capabilities for domains.
const WAYS: [&[Element]; 5] = [
    &[Element::Cpu],
    &[Element::Cpus, Element::Cpu],
    &[Element::Domain, Element::Cpu],
    &[Element::Capabilities, Element::Host, Element::Cpu],
    &[Element::DomainCapabilities, Element::Cpu, Element::HostModel],
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Cpu,
    Cpus,
    Domain,
    Capabilities,
    DomainCapabilities,
    Host,
    /// `<mode name='host-model'>`.
    HostModel,
    Arch,
    Model,
    Vendor,
    Other,
}

impl Element {
    fn of(start: &BytesStart<'_>) -> Result<Self, Problem> {
        Ok(match start.name().as_ref() {
            "cpu" => Self::Cpu,
            "cpus" => Self::Cpus,
            "domain" => Self::Domain,
            "capabilities" => Self::Capabilities,
            "domainCapabilities" => Self::DomainCapabilities,
            "host" => Self::Host,
            "mode" if attribute(start, "name")?.as_deref() == Some("host-model") => Self::HostModel,
            "arch" => Self::Arch,
            "model" => Self::Model,
            "vendor" => Self::Vendor,
            _ => Self::Other,
        })
    }
}

/// The deepest nesting that is followed; deeper files are none of libvirt's.
const MAX_DEPTH: usize = 64;

#[derive(Default)]
struct Document {
    open: Vec<Element>,
    closed: bool,
    cpu: Option<Cpu>,
    found: Vec<Found>,
}

impl Document {
    fn event(&mut self, event: &Event<'_>) -> Result<(), Problem> {
        match event {
            Event::Start(start) => self.start(start),
            Event::Empty(start) => {
                self.start(start)?;
                self.end()
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(text.trim()),
            _ => Ok(()),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Problem> {
        if self.closed && self.open.is_empty() {
            return Err(Problem::Twice { what: "the root element" });
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::TooMany { what: "elements in each other", limit: MAX_DEPTH });
        }
        if self.is_inside() {
            self.child(start)?;
        }
        self.open.push(Element::of(start)?);
        if WAYS.contains(&self.open.as_slice()) {
            self.cpu = Some(Cpu::new());
        }
        Ok(())
    }

    /// Whether the innermost open element is a CPU.
    fn is_inside(&self) -> bool {
        self.cpu.is_some() && WAYS.contains(&self.open.as_slice())
    }

    fn child(&mut self, start: &BytesStart<'_>) -> Result<(), Problem> {
        let Some(cpu) = &mut self.cpu else { return Ok(()) };
        match start.name().as_ref() {
            "feature" => cpu.feature(start),
            "signature" => cpu.signature(start),
            "maxphysaddr" => {
                // With mode passthrough the host decides.
                let bits = attribute(start, "bits")?;
                cpu.names.phys_bits = bits.and_then(|bits| bits.parse().ok()).filter(|bits| (32..=52).contains(bits));
                Ok(())
            }
            "microcode" => {
                cpu.microcode = attribute(start, "version")?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Problem> {
        let Some((element, way)) = self.open.split_last() else { return Ok(()) };
        match &mut self.cpu {
            Some(cpu) if WAYS.contains(&way) && !text.is_empty() => cpu.text(*element, text),
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Problem> {
        if self.is_inside()
            && let Some(cpu) = self.cpu.take()
        {
            if self.found.len() >= MAX_CPUS {
                return Err(Problem::TooMany { what: "CPUs", limit: MAX_CPUS });
            }
            self.found.push(cpu.finish()?);
        }
        self.open.pop();
        self.closed |= self.open.is_empty();
        Ok(())
    }

    fn finish(self) -> Result<Vec<Found>, Problem> {
        if !self.closed || !self.open.is_empty() {
            return Err(Problem::Missing { what: "the end of the root element" });
        }
        if self.found.is_empty() { Err(Problem::NoCpu) } else { Ok(self.found) }
    }
}

/// One CPU as far as it is read.
struct Cpu {
    names: Names,
    model: Option<String>,
    has_model_data: bool,
    /// How many features are listed.
    count: usize,
    microcode: Option<String>,
}

impl Cpu {
    fn new() -> Self {
        Self { names: Names::new(Project::Libvirt), model: None, has_model_data: false, count: 0, microcode: None }
    }

    fn text(&mut self, element: Element, text: &str) -> Result<(), Problem> {
        match element {
            Element::Arch if !matches!(text, "x86_64" | "i686") => return Err(Problem::expected("x86_64 or i686", text.as_bytes())),
            Element::Model if self.model.is_some() => return Err(Problem::Twice { what: "model" }),
            Element::Model => self.model = Some(text.to_owned()),
            Element::Vendor => match models::vendor(text) {
                Some(vendor) => self.names.vendor = Some(vendor),
                None => self.names.unknown(text)?,
            },
            _ => {}
        }
        Ok(())
    }

    fn feature(&mut self, start: &BytesStart<'_>) -> Result<(), Problem> {
        self.count += 1;
        if self.count > MAX_NAMES {
            return Err(Problem::TooMany { what: "features in one CPU", limit: MAX_NAMES });
        }
        let name = attribute(start, "name")?.ok_or(Problem::Missing { what: "name" })?;
        match attribute(start, "policy")?.as_deref() {
            None | Some("require" | "force") => self.names.say(&name, true),
            Some("disable" | "forbid") => self.names.say(&name, false),
            Some("optional") => Ok(()),
            Some(other) => Err(Problem::expected("force, require, optional, disable or forbid", other.as_bytes())),
        }
    }

    fn signature(&mut self, start: &BytesStart<'_>) -> Result<(), Problem> {
        let number = |name: &'static str| -> Result<u32, Problem> {
            let text = attribute(start, name)?.ok_or(Problem::Missing { what: name })?;
            text.parse().map_err(|_| Problem::expected("a decimal number", text.as_bytes()))
        };
        let (family, model, stepping) = (number("family")?, number("model")?, number("stepping")?);
        let none = || Problem::Expected { expected: "family, model and stepping of a CPU", found: format!("{family}-{model}-{stepping}") };
        self.names.signature = Some(signature_of(family, model, stepping).ok_or_else(none)?);
        Ok(())
    }

    fn finish(mut self) -> Result<Found, Problem> {
        let model = self.model.take();
        match model.as_deref().map(|name| (name, models::model(Project::Libvirt, name))) {
            Some((_, Some(model))) => {
                self.has_model_data = true;
                self.names.model = model.features;
                self.names.open = model.varying.union(&vmx_features());
                self.names.vendor = self.names.vendor.or(model.vendor);
                self.names.signature = self.names.signature.or(model.signatures.first().copied());
            }
            Some((name, None)) => self.names.unknown(name)?,
            None if self.names.is_empty() => return Err(Problem::Missing { what: "model or feature" }),
            None => {}
        }
        let mut found = Found { unknown_names: std::mem::take(&mut self.names.unknown), ..Found::default() };
        found.provenance.microcode = self.microcode;
        found.cpus.push(self.names.into_cpu(Basis::Raw, self.has_model_data)?);
        Ok(found)
    }
}
