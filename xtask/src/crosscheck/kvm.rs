//! Linux KVM: the words of its own in `reverse_cpuid.h`, and the initialisers of `cpuid.c`.

use std::collections::HashMap;

use super::claim::{At, Claim, Claims, Fault, Kvm, ParseError, Parsed, Word};
use super::ctext::{Kind, Token, number, tokens, without_comments};
use crate::codegen::model::REGISTERS;

/// What the macros of newer kernels say.
const MACROS: [(&str, Kvm); 9] = [
    ("F", &["native"]),
    ("SCATTERED_F", &["scattered"]),
    ("X86_64_F", &["x86_64"]),
    ("EMULATED_F", &["emulated"]),
    ("SYNTHESIZED_F", &["synthesized"]),
    ("PASSTHROUGH_F", &["passthrough"]),
    ("ALIASED_1_EDX_F", &["aliased"]),
    ("VENDOR_F", &["vendor"]),
    ("RUNTIME_F", &["runtime"]),
];
/// What a bit of a mask can be in older kernels, which do not say more.
const MASKED: Kvm = &["native", "x86_64", "passthrough", "aliased", "synthesized", "emulated", "scattered"];
const OLD_MACROS: [(&str, Kvm); 3] = [("F", MASKED), ("SF", &["scattered", "native"]), ("KF", MASKED)];
/// What a bit can be that older kernels set by a call.
const SET: Kvm = &["emulated", "synthesized", "passthrough", "native", "x86_64"];

/// Dispositions of which the list in a word is complete.
const LISTED: Kvm = &["native", "x86_64", "scattered", "passthrough", "synthesized", "emulated", "aliased", "vendor", "runtime"];

/// `CPUID_8000_0001_EDX`, `CPUID_7_1_EAX`, `CPUID_D_1_EAX`, `CPUID_7_ECX`: the word.
pub(crate) fn word(name: &str) -> Option<Word> {
    let parts: Vec<&str> = name.strip_prefix("CPUID_")?.split('_').collect();
    let (register, numbers) = parts.split_last()?;
    let register = REGISTERS.iter().position(|known| known.eq_ignore_ascii_case(register))?;
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let (leaf, subleaf) = match numbers {
        [leaf] => (hex(leaf)?, 0),
        [high, low, rest @ ..] if high.len() == 4 && low.len() == 4 => {
            (hex(high)? << 16 | hex(low)?, rest.first().map_or(Some(0), |text| hex(text))?)
        }
        [leaf, subleaf] => (hex(leaf)?, hex(subleaf)?),
        _ => return None,
    };
    Some(Word::cpuid(leaf, subleaf, register))
}

fn known_word(name: &str, line: usize) -> Result<Word, ParseError> {
    word(name).ok_or_else(|| Fault::UnknownWord(name.to_owned()).at(line))
}

/// `arch/x86/kvm/reverse_cpuid.h`: `#define X86_FEATURE_A KVM_X86_FEATURE(CPUID_7_1_EDX, 4)`.
pub(crate) fn reverse_cpuid(text: &str) -> Parsed {
    let text = without_comments(text);
    let mut claims = Claims::default();
    for (line, content) in (1..).zip(text.lines()) {
        let Some(rest) = content.trim_start().strip_prefix("#define ") else { continue };
        let Some((name, value)) = rest.trim_start().split_once(char::is_whitespace) else { continue };
        let Some(name) = name.strip_prefix("KVM_").unwrap_or(name).strip_prefix("X86_FEATURE_") else { continue };
        let Some(inner) = value.trim().strip_prefix("KVM_X86_FEATURE(").and_then(|rest| rest.strip_suffix(')')) else { continue };
        let (place, bit) = inner.split_once(',').ok_or_else(|| Fault::Form(value.trim().to_owned()).at(line))?;
        let bit = bit.trim().parse().ok().filter(|bit| *bit < 32);
        let bit = bit.ok_or_else(|| Fault::NotANumber(inner.to_owned()).at(line))?;
        let place = known_word(place.trim(), line)?.bit(bit);
        claims.bits.push(Claim::new(line, At::Place(place), vec![("linux", name.to_owned())]));
    }
    if claims.bits.is_empty() { Err(Fault::Missing("a KVM_X86_FEATURE").at(1)) } else { Ok(claims) }
}

/// A call `name(arguments)` in a function.
struct Call<'t, 'a> {
    line: usize,
    name: &'a str,
    arguments: &'t [Token<'a>],
}

/// Calls of functions whose name begins with `prefix`.
fn calls<'t, 'a>(list: &'t [Token<'a>], prefix: &str) -> Vec<Call<'t, 'a>> {
    let mut found = Vec::new();
    for (at, token) in list.iter().enumerate() {
        let (Kind::Word(name), Some(Token { is: Kind::Mark('('), .. })) = (token.is, list.get(at + 1)) else { continue };
        if !name.starts_with(prefix) {
            continue;
        }
        let mut depth = 0;
        let length = list[at + 1..].iter().position(|token| {
            depth += i32::from(token.is == Kind::Mark('(')) - i32::from(token.is == Kind::Mark(')'));
            depth == 0
        });
        let end = length.map_or(list.len(), |length| at + 1 + length);
        found.push(Call { line: token.line, name, arguments: &list[at + 2..end] });
    }
    found
}

/// The tokens of the function that initialises KVM's capabilities.
fn body<'t, 'a>(list: &'t [Token<'a>]) -> Result<&'t [Token<'a>], ParseError> {
    const FUNCTIONS: [&str; 2] = ["kvm_set_cpu_caps", "kvm_initialize_cpu_caps"];
    let start = list.windows(5).position(|window| {
        let names = [window[0].is, window[2].is, window[4].is];
        matches!(names, [Kind::Word(name), Kind::Word("void"), Kind::Mark('{')] if FUNCTIONS.contains(&name))
    });
    let start = start.ok_or_else(|| Fault::Missing("kvm_set_cpu_caps or kvm_initialize_cpu_caps").at(1))?;
    let mut depth = 0;
    let end = list[start + 4..].iter().position(|token| {
        depth += i32::from(token.is == Kind::Mark('{')) - i32::from(token.is == Kind::Mark('}'));
        depth == 0
    });
    end.map(|end| &list[start..start + 4 + end]).ok_or_else(|| Fault::Missing("the end of the function").at(list[start].line))
}

/// `arch/x86/kvm/cpuid.c`.
pub(crate) fn cpuid(text: &str) -> Parsed {
    let text = without_comments(text);
    let all = tokens(&text, 1);
    let newer = text.contains("EMULATED_F");
    let list = body(&all)?;
    let locals = locals(list);
    let macros: &[(&str, Kvm)] = if newer { &MACROS } else { &OLD_MACROS };
    let mut claims = Claims { kvm_listed: if newer { LISTED } else { &LISTED[..7] }, ..Claims::default() };
    let mut words: HashMap<String, Word> = HashMap::new();
    for call in calls(list, "kvm_cpu_cap_") {
        match call.name {
            "kvm_cpu_cap_mask" | "kvm_cpu_cap_init" | "kvm_cpu_cap_init_kvm_defined" | "kvm_cpu_cap_init_scattered" => {
                initialiser(&call, macros, &locals, &mut claims, &mut words)?;
            }
            "kvm_cpu_cap_set" | "kvm_cpu_cap_check_and_set" => {
                let Some(Kind::Word(name)) = call.arguments.first().map(|token| token.is) else { continue };
                let name = name.strip_prefix("X86_FEATURE_").unwrap_or(name).to_owned();
                if !newer {
                    let at = words.get(&name).map_or(At::Nowhere, |word| At::Word(*word));
                    claims.bits.push(Claim { kvm: Some(SET), ..Claim::new(call.line, at, vec![("linux", name)]) });
                }
            }
            _ => {}
        }
    }
    if claims.bits.is_empty() { Err(Fault::Missing("an initialised word").at(1)) } else { Ok(claims) }
}

/// `unsigned int f_lm = F(LM);` of older kernels: features of 64-bit kernels.
fn locals<'a>(list: &[Token<'a>]) -> HashMap<&'a str, &'a str> {
    let mut map = HashMap::new();
    for window in list.windows(5) {
        let names = (window[0].is, window[1].is, window[2].is, window[4].is);
        if let (Kind::Word(name), Kind::Mark('='), Kind::Word("F"), Kind::Word(feature)) = names {
            map.insert(name, feature);
        }
    }
    map
}

fn initialiser(
    call: &Call<'_, '_>,
    macros: &[(&str, Kvm)],
    locals: &HashMap<&str, &str>,
    claims: &mut Claims,
    words: &mut HashMap<String, Word>,
) -> Result<(), ParseError> {
    let Some(Token { is: Kind::Word(name), .. }) = call.arguments.first() else {
        return Err(Fault::Missing("the name of a word").at(call.line));
    };
    let word = known_word(name, call.line)?;
    let mut add = |line: usize, name: &str, kvm: Kvm| {
        words.insert(name.to_owned(), word);
        claims.bits.push(Claim { kvm: Some(kvm), ..Claim::new(line, At::Word(word), vec![("linux", name.to_owned())]) });
    };
    let mut rest = call.arguments.get(1..).unwrap_or_default();
    while let Some((token, tail)) = rest.split_first() {
        rest = tail;
        match (token.is, tail) {
            (Kind::Word(name), [Token { is: Kind::Mark('('), .. }, Token { is: Kind::Word(feature), .. }, more @ ..]) => {
                let known = macros.iter().find(|(known, _)| *known == name);
                let (_, kvm) = known.ok_or_else(|| Fault::UnknownMacro(name.to_owned()).at(token.line))?;
                add(token.line, feature, kvm);
                rest = more;
            }
            (Kind::Word(name), _) if number(name).is_none() => {
                let feature = locals.get(name).ok_or_else(|| Fault::UnknownMacro(name.to_owned()).at(token.line))?;
                add(token.line, feature, &["x86_64"]);
            }
            _ => {}
        }
    }
    claims.kvm_words.push(word);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(claims: &Claims) -> Vec<String> {
        let word = |at: At| match at {
            At::Word(word) => word.to_string(),
            At::Place(place) => place.to_string(),
            At::Nowhere => "-".into(),
        };
        let kvm = |claim: &Claim| claim.kvm.map_or("-", |kvm| kvm[0]);
        claims.bits.iter().map(|claim| format!("{} {} {} {}", claim.line, word(claim.at), claim.spellings[0].1, kvm(claim))).collect()
    }

    #[test]
    fn words_by_name() {
        for (name, place) in [
            ("CPUID_1_ECX", Some((1, 0, 2))),
            ("CPUID_7_1_EDX", Some((7, 1, 3))),
            ("CPUID_7_EDX", Some((7, 0, 3))),
            ("CPUID_D_1_EAX", Some((13, 1, 0))),
            ("CPUID_12_EAX", Some((0x12, 0, 0))),
            ("CPUID_1E_1_EAX", Some((0x1e, 1, 0))),
            ("CPUID_8000_0021_ECX", Some((0x8000_0021, 0, 2))),
            ("CPUID_LNX_3", None),
            ("CPUID_7_1_1_EDX", None),
            ("CPUID_G_EDX", None),
        ] {
            assert_eq!(word(name), place.map(|(leaf, subleaf, register)| Word::cpuid(leaf, subleaf, register)), "{name}");
        }
    }

    #[test]
    fn newer_initialisers() {
        let text = "void kvm_initialize_cpu_caps(void)\n{\n kvm_cpu_cap_init(CPUID_1_ECX,\n  F(ONE),\n  /* F(NOT) */\n  VENDOR_F(TWO),\n  EMULATED_F(3D),\n );\n kvm_cpu_cap_set(X86_FEATURE_ONE);\n}\nvoid f(void) { kvm_cpu_cap_init(CPUID_7_EDX, F(OTHER)); }";
        let claims = cpuid(text).unwrap();
        assert_eq!(told(&claims), ["4 CPUID.1.0.ECX ONE native", "6 CPUID.1.0.ECX TWO vendor", "7 CPUID.1.0.ECX 3D emulated"]);
        assert_eq!(claims.kvm_words, [Word::cpuid(1, 0, 2)]);
    }

    #[test]
    fn older_initialisers() {
        let text = "void kvm_set_cpu_caps(void)\n{\n#ifdef X\n unsigned int f_big = F(BIG);\n#else\n unsigned int f_big = 0;\n#endif\n kvm_cpu_cap_mask(CPUID_8000_0001_EDX,\n  F(ONE) | 0 /* TWO */ |\n  f_big);\n if (x)\n  kvm_cpu_cap_set(X86_FEATURE_ONE);\n kvm_cpu_cap_set(X86_FEATURE_NEW);\n kvm_cpu_cap_init_kvm_defined(CPUID_12_EAX, SF(THREE));\n kvm_cpu_cap_mask(CPUID_7_ECX, 0);\n}";
        let claims = cpuid(text).unwrap();
        assert_eq!(
            told(&claims),
            [
                "9 CPUID.80000001.0.EDX ONE native",
                "10 CPUID.80000001.0.EDX BIG x86_64",
                "12 CPUID.80000001.0.EDX ONE emulated",
                "13 - NEW emulated",
                "14 CPUID.12.0.EAX THREE scattered",
            ]
        );
        assert_eq!(claims.kvm_words.len(), 3);
    }

    #[test]
    fn faults_have_a_line() {
        let body = |inner: &str| format!("void kvm_set_cpu_caps(void)\n{{\n{inner}\n}}");
        for (text, error) in [
            (String::new(), Fault::Missing("kvm_set_cpu_caps or kvm_initialize_cpu_caps").at(1)),
            (body("kvm_cpu_cap_mask(CPUID_XY, F(A));"), Fault::UnknownWord("CPUID_XY".into()).at(3)),
            (body("kvm_cpu_cap_mask(CPUID_1_EDX, ODD_F(A));"), Fault::UnknownMacro("ODD_F".into()).at(3)),
            (body("kvm_cpu_cap_mask(CPUID_1_EDX, f_a);"), Fault::UnknownMacro("f_a".into()).at(3)),
            (body("kvm_cpu_cap_mask();"), Fault::Missing("the name of a word").at(3)),
            ("void kvm_set_cpu_caps(void)\n{".into(), Fault::Missing("the end of the function").at(1)),
            (body(""), Fault::Missing("an initialised word").at(1)),
        ] {
            assert_eq!(cpuid(&text), Err(error), "{text}");
        }
    }

    #[test]
    fn words_of_its_own() {
        let text = "#define KVM_X86_FEATURE(w, f) ((w)*32 + (f))\n#define KVM_X86_FEATURE_A KVM_X86_FEATURE(CPUID_7_2_EDX, 2) /* a */\n#define X86_FEATURE_B\t\tKVM_X86_FEATURE(CPUID_24_0_EBX, 16)\n";
        assert_eq!(told(&reverse_cpuid(text).unwrap()), ["2 CPUID.7.2.EDX[2] A -", "3 CPUID.24.0.EBX[16] B -"]);
        for (text, error) in [
            ("#define X86_FEATURE_A KVM_X86_FEATURE(CPUID_Q_EDX, 2)", Fault::UnknownWord("CPUID_Q_EDX".into())),
            ("#define X86_FEATURE_A KVM_X86_FEATURE(CPUID_7_EDX, 32)", Fault::NotANumber("CPUID_7_EDX, 32".into())),
            ("#define X86_FEATURE_A KVM_X86_FEATURE(CPUID_7_EDX)", Fault::Form("KVM_X86_FEATURE(CPUID_7_EDX)".into())),
            ("", Fault::Missing("a KVM_X86_FEATURE")),
        ] {
            assert_eq!(reverse_cpuid(text), Err(error.at(1)));
        }
    }
}
