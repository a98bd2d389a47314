//! Linux: `cpufeatures.h`, `scattered.c` and `cpuid-deps.c`.

use std::collections::HashMap;

use super::claim::{At, Claim, Claims, Edge, End, Fault, Parsed, Spelling, Word};
use super::ctext::{Kind, Token, number, tokens, without_comments};
use crate::codegen::model::REGISTERS;

/// `CPUID level 0x00000007:1 (EDX)`, `CPUID level 0x80000001, ECX`, `CPUID level 0x0000000D:1.eax`, `MSR_ARCH_CAPS 0x10a.edx`:
/// the word and the number of its first bit.
pub(crate) fn level(comment: &str) -> Option<(Word, u8)> {
    let msr = comment.contains("MSR_");
    let at = if msr { comment.find("0x")? } else { comment.find("CPUID level 0x")? + "CPUID level ".len() };
    let rest = &comment[at + 2..];
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    let index = u32::from_str_radix(&rest[..end], 16).ok()?;
    let rest = &rest[end..];
    let subleaf: String = rest.strip_prefix(':').unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
    let lower = rest.to_ascii_lowercase();
    let register = REGISTERS.iter().position(|name| lower.contains(name));
    if msr {
        return Some((Word::Msr(index), if register == Some(3) { 32 } else { 0 }));
    }
    Some((Word::cpuid(index, subleaf.parse().unwrap_or(0), register.unwrap_or(3)), 0))
}

/// `word 12` in a comment that opens a section.
pub(crate) fn section(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("word ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// `( 0*32+ 3)`: word and bit.
pub(crate) fn position(text: &str) -> Option<(u32, u8)> {
    let (word, bit) = text.split_once('*')?;
    let (width, bit) = bit.split_once('+')?;
    if width.trim() != "32" {
        return None;
    }
    Some((word.trim().trim_start_matches('(').trim().parse().ok()?, bit.trim().parse().ok()?))
}

/// `arch/x86/include/asm/cpufeatures.h`.
pub(crate) fn cpufeatures(text: &str) -> Parsed {
    let quoted_only = text.contains("not displayed");
    let mut words: HashMap<u32, (Word, u8)> = HashMap::new();
    let mut claims = Claims::default();
    for (line, content) in (1..).zip(text.lines()) {
        let Some(rest) = content.trim_start().strip_prefix("#define X86_FEATURE_") else {
            let comment = content.trim_start();
            if let (true, Some(word), Some(place)) = (comment.starts_with(['/', '*']), section(content), level(content)) {
                words.insert(word, place);
            }
            continue;
        };
        let Some((name, rest)) = rest.split_once(char::is_whitespace) else { continue };
        let (value, comment) = rest.split_once("/*").unwrap_or((rest, ""));
        if !value.contains('*') {
            continue;
        }
        let inner = value.trim().trim_start_matches('(').trim_end_matches(')');
        let (word, bit) = position(inner).ok_or_else(|| Fault::Form(value.trim().to_owned()).at(line))?;
        let Some((word, base)) = words.get(&word) else {
            claims.synthetic += 1;
            continue;
        };
        let mut spellings: Vec<Spelling> = vec![("linux", name.to_owned())];
        spellings.extend(cpuinfo(name, comment, quoted_only).map(|word| ("cpuinfo", word)));
        claims.bits.push(Claim::new(line, At::Place(word.bit(base + bit)), spellings));
    }
    if claims.bits.is_empty() { Err(Fault::Missing("a feature in a CPUID word").at(1)) } else { Ok(claims) }
}

/// What /proc/cpuinfo prints for a bit: the quoted word, or, in older kernels, the macro's name unless the quotes are empty.
fn cpuinfo(name: &str, comment: &str, quoted_only: bool) -> Option<String> {
    match comment.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some(("", _)) => None,
        Some((word, _)) => Some(word.to_owned()),
        None => (!quoted_only).then(|| name.to_ascii_lowercase()),
    }
}

/// Groups `{ A, B, ... }` without inner braces, as lists of words.
fn rows<'a>(list: &[Token<'a>]) -> Vec<(usize, Vec<&'a str>)> {
    let mut rows = Vec::new();
    let mut open: Option<(usize, Vec<&str>)> = None;
    for token in list {
        match (token.is, &mut open) {
            (Kind::Mark('{'), _) => open = Some((token.line, Vec::new())),
            (Kind::Mark('}'), _) => rows.extend(open.take()),
            (Kind::Word(word), Some((_, words))) => words.push(word),
            _ => {}
        }
    }
    rows
}

fn feature(word: &str) -> Option<&str> {
    word.strip_prefix("X86_FEATURE_")
}

/// `arch/x86/kernel/cpu/scattered.c`: feature, register, bit, leaf, subleaf.
pub(crate) fn scattered(text: &str) -> Parsed {
    let text = without_comments(text);
    let mut claims = Claims::default();
    for (line, row) in rows(&tokens(&text, 1)) {
        let [name, register, bit, leaf, subleaf] = row[..] else { continue };
        let Some(name) = feature(name) else { continue };
        let register = register.strip_prefix("CPUID_").map(str::to_ascii_lowercase).unwrap_or_default();
        let register = REGISTERS.iter().position(|known| *known == register);
        let value = |word: &str| number(word).and_then(|value| u32::try_from(value).ok());
        let (Some(register), Some(bit), Some(leaf), Some(subleaf)) = (register, value(bit), value(leaf), value(subleaf)) else {
            return Err(Fault::Form(row.join(", ")).at(line));
        };
        let place = Word::cpuid(leaf, subleaf, register).bit(u8::try_from(bit & 31).unwrap_or(0));
        claims.bits.push(Claim::new(line, At::Place(place), vec![("linux", name.to_owned())]));
    }
    if claims.bits.is_empty() { Err(Fault::Missing("a row of cpuid_bits").at(1)) } else { Ok(claims) }
}

/// `arch/x86/kernel/cpu/cpuid-deps.c`: child, parent.
pub(crate) fn deps(text: &str) -> Parsed {
    let text = without_comments(text);
    let mut claims = Claims::default();
    for (line, row) in rows(&tokens(&text, 1)) {
        let [child, parent] = row[..] else { continue };
        let (Some(child), Some(parent)) = (feature(child), feature(parent)) else { continue };
        let end = |name: &str| End::Named(("linux", name.to_owned()));
        claims.edges.push(Edge { line, parent: end(parent), child: end(child) });
    }
    if claims.edges.is_empty() { Err(Fault::Missing("a row of cpuid_deps").at(1)) } else { Ok(claims) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\
/* Some maker's bits, CPUID level 0x00000009 (ECX), word 0 */
#define X86_FEATURE_APPLE\t\t( 0*32+ 3) /* \"apple\" Red */
#define X86_FEATURE_PEAR ( 0*32+31) /* Green */
/* Made up by the kernel, word 3 */
#define X86_FEATURE_FIG ( 3*32+ 1) /* \"fig\" */
/* Another leaf: CPUID level 0x80000042, word 5 */
#define X86_FEATURE_PLUM ( 5*32+ 0) /* \"\" Blue */
/*
 * Third, CPUID level 0x00000019:2 (EBX), word 6
 */
#define X86_FEATURE_LIME ( 6*32+12)
#define X86_BUG_WORM ( 9*32+ 1)
#define X86_FEATURE_ALIAS X86_FEATURE_LIME
";

    fn told(claims: &Claims) -> Vec<String> {
        let word = |claim: &Claim| claim.spellings.iter().map(|(who, word)| format!("{who}:{word}")).collect::<Vec<_>>().join(" ");
        claims
            .bits
            .iter()
            .map(|claim| match claim.at {
                At::Place(place) => format!("{} {place} {}", claim.line, word(claim)),
                _ => String::new(),
            })
            .collect()
    }

    #[test]
    fn older_headers_print_names_in_lower_case() {
        let claims = cpufeatures(HEADER).unwrap();
        assert_eq!(
            told(&claims),
            [
                "2 CPUID.9.0.ECX[3] linux:APPLE cpuinfo:apple",
                "3 CPUID.9.0.ECX[31] linux:PEAR cpuinfo:pear",
                "7 CPUID.80000042.0.EDX[0] linux:PLUM",
                "11 CPUID.19.2.EBX[12] linux:LIME cpuinfo:lime",
            ]
        );
        assert_eq!(claims.synthetic, 1);
    }

    #[test]
    fn newer_headers_print_only_what_is_quoted() {
        let claims = cpufeatures(&format!("/* otherwise not displayed */\n{HEADER}")).unwrap();
        assert_eq!(told(&claims)[1], "4 CPUID.9.0.ECX[31] linux:PEAR");
    }

    #[test]
    fn faults_have_a_line() {
        for (text, error) in [
            ("/* CPUID level 0x1, word 0 */\n#define X86_FEATURE_X (0*31+2)\n", Fault::Form("(0*31+2)".into()).at(2)),
            ("/* CPUID level 0x1, word 0 */\n#define X86_FEATURE_X (a*32+2)\n", Fault::Form("(a*32+2)".into()).at(2)),
            ("", Fault::Missing("a feature in a CPUID word").at(1)),
        ] {
            assert_eq!(cpufeatures(text), Err(error));
        }
        assert_eq!(
            scattered("{ X86_FEATURE_A, CPUID_EFX, 1, 0x7, 0 },"),
            Err(Fault::Form("X86_FEATURE_A, CPUID_EFX, 1, 0x7, 0".into()).at(1))
        );
        assert_eq!(deps("{ 0, 0 }"), Err(Fault::Missing("a row of cpuid_deps").at(1)));
    }

    #[test]
    fn tables_of_c_files() {
        let claims = scattered("x[] = {\n { X86_FEATURE_A, CPUID_EBX, 6, 0x80000008, 0 }, /* b */\n { 0, 0, 0, 0, 0 }\n};").unwrap();
        assert_eq!(told(&claims), ["2 CPUID.80000008.0.EBX[6] linux:A"]);
        let claims = deps("x[] = {\n { X86_FEATURE_CHILD, X86_FEATURE_PARENT, },\n {}\n};").unwrap();
        let end = |name: &str| End::Named(("linux", name.to_owned()));
        assert_eq!(claims.edges, [Edge { line: 2, parent: end("PARENT"), child: end("CHILD") }]);
    }

    #[test]
    fn levels_of_all_forms() {
        for (text, place) in [
            ("CPUID level 0x00000007:1 (EDX), word 3", Some((Word::cpuid(7, 1, 3), 0))),
            ("flags: CPUID level 0x80000001, ECX, word 6", Some((Word::cpuid(0x8000_0001, 0, 2), 0))),
            ("CPUID level 0x0000000D:1.eax, word 4", Some((Word::cpuid(13, 1, 0), 0))),
            ("MSR_ARCH_CAPS 0x10a.eax, word 16", Some((Word::Msr(0x10a), 0))),
            ("MSR_ARCH_CAPS 0x10a.edx, word 17", Some((Word::Msr(0x10a), 32))),
            ("CPUID levels like 0x6, 0xA etc, word 7.", None),
        ] {
            assert_eq!(level(text), place, "{text}");
        }
    }
}
