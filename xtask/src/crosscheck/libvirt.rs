//! libvirt's `cpu_map`: `x86_features.xml`, and the names that the models use.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::claim::{At, Claim, Claims, Fault, ParseError, Parsed, Place, Spelling, Word};
use crate::codegen::model::REGISTERS;
use crate::report::line_of;

/// The elements of a document with their lines; `None` is the end of the innermost open one.
fn elements(text: &str, mut visit: impl FnMut(usize, Option<&BytesStart<'_>>) -> Result<(), Fault>) -> Result<(), ParseError> {
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    loop {
        let offset = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        let line = line_of(text, offset(reader.buffer_position()));
        let event =
            reader.read_event().map_err(|error| Fault::Syntax(error.to_string()).at(line_of(text, offset(reader.error_position()))))?;
        // An event's own line: the position before it is at the blanks that precede it.
        let line = line.max(line_of(text, offset(reader.buffer_position())));
        match &event {
            Event::Start(element) => {
                depth += 1;
                visit(line, Some(element))
            }
            Event::Empty(element) => visit(line, Some(element)).and_then(|()| visit(line, None)),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                visit(line, None)
            }
            Event::Eof if depth > 0 => return Err(Fault::Missing("a closing tag").at(line)),
            Event::Eof => return Ok(()),
            _ => Ok(()),
        }
        .map_err(|fault| fault.at(line))?;
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, Fault> {
    let found = element.try_get_attribute(name).map_err(|error| Fault::Syntax(error.to_string()))?;
    Ok(found.map(|attribute| attribute.value.to_string()))
}

fn value(element: &BytesStart<'_>, name: &str) -> Result<Option<u32>, Fault> {
    let Some(text) = attribute(element, name)? else { return Ok(None) };
    let digits = text.strip_prefix("0x").unwrap_or("");
    u32::from_str_radix(digits, 16).map(Some).map_err(|_| Fault::NotANumber(text))
}

/// The one bit that a `cpuid` or `msr` element names.
fn place(element: &BytesStart<'_>, msr: bool) -> Result<Place, Fault> {
    let mut bits = Vec::new();
    for (register, name) in REGISTERS.iter().enumerate() {
        let mask = value(element, name)?.unwrap_or(0);
        bits.extend((0..32).filter(|bit| mask & 1 << bit != 0).map(|bit: u8| (register, bit)));
    }
    let [(register, bit)] = bits[..] else { return Err(Fault::Form(format!("{} bits in one element", bits.len()))) };
    if msr {
        let index = value(element, "index")?.ok_or(Fault::Missing("index"))?;
        return Ok(Word::Msr(index).normalised_bit(if register == 3 { bit + 32 } else { bit }));
    }
    let leaf = value(element, "eax_in")?.ok_or(Fault::Missing("eax_in"))?;
    Ok(Word::cpuid(leaf, value(element, "ecx_in")?.unwrap_or(0), register).bit(bit))
}

/// `x86_features.xml`: a name, aliases, and one bit each.
pub(crate) fn features(text: &str) -> Parsed {
    let mut claims = Claims::default();
    let mut open: Option<Claim> = None;
    elements(text, |line, element| {
        let Some(element) = element else { return Ok(()) };
        let name = element.name();
        match (name.as_ref(), &mut open) {
            ("feature", _) => {
                let word = attribute(element, "name")?.ok_or(Fault::Missing("name"))?;
                open = Some(Claim::new(line, At::Nowhere, vec![("libvirt", word)]));
            }
            ("alias", Some(claim)) => {
                let word = attribute(element, "name")?.ok_or(Fault::Missing("name"))?;
                claim.spellings.extend(alias(attribute(element, "source")?.as_deref(), word));
            }
            (kind @ ("cpuid" | "msr"), Some(claim)) => {
                let place = place(element, kind == "msr")?;
                claims.bits.push(Claim { at: At::Place(place), ..claim.clone() });
            }
            _ => {}
        }
        Ok(())
    })?;
    if claims.bits.is_empty() { Err(Fault::Missing("a feature with a place").at(1)) } else { Ok(claims) }
}

fn alias(source: Option<&str>, word: String) -> Option<Spelling> {
    match source {
        Some("qemu") => Some(("qemu", word)),
        Some("linux") => Some(("cpuinfo", word)),
        _ => None,
    }
}

/// `x86_MODEL.xml`: the names of features alone.
pub(crate) fn model(text: &str) -> Parsed {
    let mut claims = Claims::default();
    elements(text, |line, element| {
        if let Some(element) = element.filter(|element| element.name().as_ref() == "feature") {
            let word = attribute(element, "name")?.ok_or(Fault::Missing("name"))?;
            claims.bits.push(Claim::new(line, At::Nowhere, vec![("libvirt", word)]));
        }
        Ok(())
    })?;
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_names_aliases_and_a_bit() {
        let text = "<cpus>\n  <feature name='one'>\n    <alias name='uno' source='qemu'/>\n    <alias name='eins' source='linux'/>\n    <cpuid eax_in='0x00000007' ecx_in='0x01' edx='0x00000010'/>\n  </feature>\n  <feature name='two' migratable='no'>\n    <msr index='0x10a' edx='0x2' eax='0x0'/>\n  </feature>\n  <feature name='three'><msr index='0x48b' eax='0x80000000'/></feature>\n</cpus>";
        let told: Vec<String> = features(text)
            .unwrap()
            .bits
            .iter()
            .map(|claim| {
                let words: Vec<String> = claim.spellings.iter().map(|(who, word)| format!("{who}:{word}")).collect();
                let At::Place(place) = claim.at else { unreachable!("only bits with a place are kept") };
                format!("{} {place} {}", claim.line, words.join(" "))
            })
            .collect();
        assert_eq!(
            told,
            ["2 CPUID.7.1.EDX[4] libvirt:one qemu:uno cpuinfo:eins", "7 MSR.10A[33] libvirt:two", "10 MSR.48B[63] libvirt:three"]
        );
    }

    #[test]
    fn faults_have_a_line() {
        let feature = |inner: &str| format!("<cpus>\n<feature name='a'>\n{inner}\n</feature></cpus>");
        for (text, error) in [
            (feature("<cpuid eax_in='0x1' ecx='0x3'/>"), Fault::Form("2 bits in one element".into()).at(3)),
            (feature("<cpuid ecx='0x1'/>"), Fault::Missing("eax_in").at(3)),
            (feature("<msr eax='0x1'/>"), Fault::Missing("index").at(3)),
            (feature("<cpuid eax_in='7' ecx='0x1'/>"), Fault::NotANumber("7".into()).at(3)),
            ("<cpus>\n<feature/></cpus>".into(), Fault::Missing("name").at(2)),
            ("<cpus>".into(), Fault::Missing("a closing tag").at(1)),
            ("<cpus/>".into(), Fault::Missing("a feature with a place").at(1)),
        ] {
            assert_eq!(features(&text), Err(error), "{text}");
        }
        assert!(matches!(features("<cpus>\n</cpu>"), Err(ParseError { line: 2, fault: Fault::Syntax(_) })));
    }

    #[test]
    fn models_name_features() {
        let claims = model("<cpus>\n<model name='m'>\n<feature name='x' added='yes'/>\n</model></cpus>").unwrap();
        assert_eq!(claims.bits, [Claim::new(3, At::Nowhere, vec![("libvirt", "x".into())])]);
    }
}
