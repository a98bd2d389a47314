//! `tools/arch/x86/kcpuid/cpuid.csv`: leaf, subleaves, register, bits, short name, description.

use super::claim::{At, Claim, Claims, Fault, Parsed, Place, Word};
use crate::codegen::model::REGISTERS;

/// Version 1 writes leaves as bare hexadecimal digits, later ones with `0x`.
pub(crate) fn csv(text: &str) -> Parsed {
    let mut claims = Claims::default();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let place = place(content).map_err(|fault| fault.at(line))?;
        let name = content.split(',').nth(4).map_or("", str::trim);
        if name.is_empty() {
            return Err(Fault::Missing("a short name").at(line));
        }
        claims.bits.push(Claim::new(line, At::Place(place), vec![("kcpuid", name.to_owned())]));
    }
    if claims.bits.is_empty() { Err(Fault::Missing("a row").at(1)) } else { Ok(claims) }
}

fn place(row: &str) -> Result<Place, Fault> {
    let mut columns = row.split(',').map(str::trim);
    let mut column = |what| columns.next().filter(|text| !text.is_empty()).ok_or(Fault::Missing(what));
    let (leaf, subleaves, register, bits) = (column("a leaf")?, column("a subleaf")?, column("a register")?, column("bits")?);
    let digits = leaf.strip_prefix("0x").unwrap_or(leaf);
    let leaf = u32::from_str_radix(digits, 16).map_err(|_| Fault::NotANumber(leaf.to_owned()))?;
    let (_, subleaf) = range::<u32>(subleaves)?;
    let register = register.to_ascii_lowercase();
    let register = REGISTERS.iter().position(|known| *known == register).ok_or(Fault::UnknownWord(register))?;
    let (high, low) = range::<u8>(bits)?;
    if low > high || high > 31 {
        return Err(Fault::Form(bits.to_owned()));
    }
    Ok(Place { word: Word::cpuid(leaf, subleaf, register), low, high })
}

/// `31:0` or `7`: the last and the first.
fn range<T: std::str::FromStr + Copy>(text: &str) -> Result<(T, T), Fault> {
    let number = |digits: &str| digits.trim().parse::<T>().map_err(|_| Fault::NotANumber(text.to_owned()));
    match text.split_once(':') {
        Some((high, low)) => Ok((number(high)?, number(low)?)),
        None => number(text).map(|value| (value, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions() {
        for (row, place) in [
            ("  b, 1:0, ecx, 15:8, what, Any text, with commas", "CPUID.B.0.ECX[15:8]"),
            ("0x80000008, 0, EBX, 3, what, text", "CPUID.80000008.0.EBX[3]"),
            ("0xd, 63:2, eax, 31:0, what, text", "CPUID.D.2.EAX[31:0]"),
        ] {
            let claims = csv(&format!("# comment\n\n{row}\n")).unwrap();
            let At::Place(found) = claims.bits[0].at else { unreachable!("every row has a place") };
            assert_eq!((claims.bits[0].line, found.to_string().as_str()), (3, place));
            assert_eq!(claims.bits[0].spellings, [("kcpuid", "what".to_owned())]);
        }
    }

    #[test]
    fn faults_have_a_line() {
        for (row, fault) in [
            ("0xg, 0, eax, 1, n, d", Fault::NotANumber("0xg".into())),
            ("1, a, eax, 1, n, d", Fault::NotANumber("a".into())),
            ("1, 0, efx, 1, n, d", Fault::UnknownWord("efx".into())),
            ("1, 0, eax, 1:3, n, d", Fault::Form("1:3".into())),
            ("1, 0, eax, 40, n, d", Fault::Form("40".into())),
            ("1, 0, eax, 4", Fault::Missing("a short name")),
            ("1, 0, eax", Fault::Missing("bits")),
            ("1,, eax", Fault::Missing("a subleaf")),
        ] {
            assert_eq!(csv(&format!("#\n{row}")), Err(fault.at(2)), "{row}");
        }
        assert_eq!(csv("# nothing"), Err(Fault::Missing("a row").at(1)));
    }
}
