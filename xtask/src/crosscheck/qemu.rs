//! QEMU's `target/i386/cpu.c`: `feature_word_info` and `feature_dependencies`.

use std::collections::HashMap;

use super::claim::{At, Claim, Claims, Edge, End, Fault, ParseError, Parsed, Place, Word};
use super::ctext::{Kind, Token, defines, evaluate, tokens, without_comments};

/// Values that `cpu.c` takes from other headers; those of `cpu.h` are read from there if it is at hand.
const KNOWN: [(&str, &str); 14] = [
    ("KVM_CPUID_FEATURES", "0x40000001"),
    ("MSR_IA32_CORE_CAPABILITY", "0xcf"),
    ("MSR_IA32_ARCH_CAPABILITIES", "0x10a"),
    ("MSR_IA32_PERF_CAPABILITIES", "0x345"),
    ("MSR_IA32_VMX_BASIC", "0x480"),
    ("MSR_IA32_VMX_MISC", "0x485"),
    ("MSR_IA32_VMX_PROCBASED_CTLS2", "0x48b"),
    ("MSR_IA32_VMX_EPT_VPID_CAP", "0x48c"),
    ("MSR_IA32_VMX_TRUE_PINBASED_CTLS", "0x48d"),
    ("MSR_IA32_VMX_TRUE_PROCBASED_CTLS", "0x48e"),
    ("MSR_IA32_VMX_TRUE_EXIT_CTLS", "0x48f"),
    ("MSR_IA32_VMX_TRUE_ENTRY_CTLS", "0x490"),
    ("MSR_IA32_VMX_VMFUNC", "0x491"),
    ("R_EAX", "0"),
];
const REGISTERS: [(&str, &str); 3] = [("R_ECX", "1"), ("R_EDX", "2"), ("R_EBX", "3")];
/// From the numbers of `R_EAX`, `R_ECX`, `R_EDX`, `R_EBX` to ours.
const ORDER: [usize; 4] = [0, 2, 3, 1];

type Macros = HashMap<String, String>;

/// A C initialiser: a group with designators, or an expression.
#[derive(Debug)]
enum Value<'a> {
    Group(Vec<Item<'a>>),
    Plain(Vec<Token<'a>>),
}

#[derive(Debug)]
struct Item<'a> {
    line: usize,
    designator: Vec<Token<'a>>,
    value: Value<'a>,
}

impl<'a> Value<'a> {
    /// The member `.name`.
    fn member(&self, name: &str) -> Option<&Value<'a>> {
        let Self::Group(items) = self else { return None };
        let named = |item: &&Item<'_>| matches!(item.designator[..], [_, Token { is: Kind::Word(word), .. }] if word == name);
        items.iter().find(named).map(|item| &item.value)
    }

    fn number(&self, macros: &Macros) -> Result<u64, ParseError> {
        match self {
            Self::Plain(list) => evaluate(list, macros),
            Self::Group(items) => Err(Fault::Form("{".into()).at(items.first().map_or(0, |item| item.line))),
        }
    }
}

/// Reads a group; `rest` begins after its `{` and is left after its `}`.
fn group<'a>(rest: &mut &[Token<'a>], line: usize) -> Result<Value<'a>, ParseError> {
    let mut items = Vec::new();
    loop {
        let Some(first) = rest.first() else { return Err(Fault::Missing("`}`").at(line)) };
        match first.is {
            Kind::Mark('}') => {
                *rest = &rest[1..];
                return Ok(Value::Group(items));
            }
            Kind::Mark(',') => *rest = &rest[1..],
            _ => {
                let designator = designator(rest);
                let value = value(rest)?;
                items.push(Item { line: first.line, designator, value });
            }
        }
    }
}

/// `.name =` or `[index] =`, without the last tokens; empty if there is none.
fn designator<'a>(rest: &mut &[Token<'a>]) -> Vec<Token<'a>> {
    if !matches!(rest.first().map(|token| token.is), Some(Kind::Mark('.' | '['))) {
        return Vec::new();
    }
    let end = rest.iter().position(|token| token.is == Kind::Mark('=')).unwrap_or(rest.len() - 1);
    let list = rest[..end].iter().filter(|token| token.is != Kind::Mark(']')).copied().collect();
    *rest = &rest[end + 1..];
    list
}

fn value<'a>(rest: &mut &[Token<'a>]) -> Result<Value<'a>, ParseError> {
    if let Some((Token { is: Kind::Mark('{'), line }, tail)) = rest.split_first() {
        *rest = tail;
        return group(rest, *line);
    }
    let mut depth = 0;
    let end = rest.iter().position(|token| {
        depth += i32::from(token.is == Kind::Mark('(')) - i32::from(token.is == Kind::Mark(')'));
        depth == 0 && matches!(token.is, Kind::Mark(',' | '}'))
    });
    let (plain, tail) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = tail;
    Ok(Value::Plain(plain.to_vec()))
}

/// The initialiser of the array `name[...]`.
fn array<'a>(list: &[Token<'a>], name: &str) -> Result<Option<Vec<Item<'a>>>, ParseError> {
    for (at, token) in list.iter().enumerate() {
        let declared = token.is == Kind::Word(name) && list.get(at + 1).is_some_and(|next| next.is == Kind::Mark('['));
        let Some(equals) = list[at..].iter().take(6).position(|token| token.is == Kind::Mark('=')).filter(|_| declared) else { continue };
        let mut rest = &list[at + equals + 1..];
        if let Value::Group(items) = value(&mut rest)? {
            return Ok(Some(items));
        }
    }
    Ok(None)
}

/// `target/i386/cpu.c` with the text of `cpu.h`, if it is at hand; without it dependencies on single bits are left out.
pub(crate) fn cpu(text: &str, header: Option<&str>) -> Parsed {
    let text = without_comments(text);
    let list = tokens(&text, 1);
    let mut macros: Macros = KNOWN.into_iter().chain(REGISTERS).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    macros.extend(header.map(defines).unwrap_or_default());
    macros.extend(defines(&text));
    let words = array(&list, "feature_word_info")?.ok_or_else(|| Fault::Missing("feature_word_info").at(1))?;
    let mut claims = Claims::default();
    let mut places = HashMap::new();
    for item in &words {
        let Some(Kind::Word(name)) = item.designator.get(1).map(|token| token.is) else {
            return Err(Fault::Missing("a designator").at(item.line));
        };
        let word = word(item, &macros)?;
        places.insert(name, word);
        if let Some(Value::Group(names)) = item.value.member("feat_names") {
            add_names(word, names, &mut claims)?;
        }
    }
    for item in array(&list, "feature_dependencies")?.unwrap_or_default() {
        match edge(&item, &places, &macros) {
            Ok(edge) => claims.edges.push(edge),
            Err(ParseError { fault: Fault::UnknownMacro(_), .. }) if header.is_none() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(claims)
}

/// Where the word of an entry is.
fn word(item: &Item<'_>, macros: &Macros) -> Result<Word, ParseError> {
    let number = |value: Option<&Value<'_>>| match value {
        Some(value) => u32::try_from(value.number(macros)?).map_err(|_| Fault::Form("a number of 32 bits".into()).at(item.line)),
        None => Ok(0),
    };
    if let Some(msr) = item.value.member("msr") {
        return Ok(Word::Msr(number(msr.member("index"))?));
    }
    let cpuid = item.value.member("cpuid").ok_or_else(|| Fault::Missing("cpuid or msr").at(item.line))?;
    let register = number(cpuid.member("reg"))? as usize;
    let register = ORDER.get(register).ok_or_else(|| Fault::UnknownWord(format!("register {register}")).at(item.line))?;
    Ok(Word::cpuid(number(cpuid.member("eax"))?, number(cpuid.member("ecx"))?, *register))
}

fn add_names(word: Word, names: &[Item<'_>], claims: &mut Claims) -> Result<(), ParseError> {
    let mut bit = 0;
    for item in names {
        if let Some(index) = item.designator.get(1..).filter(|index| !index.is_empty()) {
            bit = evaluate(index, &HashMap::new())?;
        }
        let Value::Plain(list) = &item.value else { return Err(Fault::Form("{".into()).at(item.line)) };
        let place =
            u8::try_from(bit).ok().filter(|bit| *bit < word.width()).ok_or_else(|| Fault::Form(format!("bit {bit}")).at(item.line))?;
        match list[..] {
            [Token { is: Kind::Text(name), line }] => {
                let spellings = vec![("qemu", name.to_owned())];
                claims.bits.push(Claim::new(line, At::Place(word.normalised_bit(place)), spellings));
            }
            [Token { is: Kind::Word("NULL"), .. }] => {}
            _ => return Err(Fault::Missing("a name or NULL").at(item.line)),
        }
        bit += 1;
    }
    Ok(())
}

/// `{ .from = { WORD, MASK }, .to = { WORD, MASK } }`.
fn edge(item: &Item<'_>, places: &HashMap<&str, Word>, macros: &Macros) -> Result<Edge, ParseError> {
    let end = |name: &'static str| {
        let Some(Value::Group(parts)) = item.value.member(name) else { return Err(Fault::Missing(name).at(item.line)) };
        let [Item { value: Value::Plain(word), .. }, Item { value: mask, .. }] = &parts[..] else {
            return Err(Fault::Missing("a word and a mask").at(item.line));
        };
        let Some(Token { is: Kind::Word(word), line }) = word.first() else { return Err(Fault::Missing("a word").at(item.line)) };
        let word = places.get(word).ok_or_else(|| Fault::UnknownWord((*word).to_owned()).at(*line))?;
        Ok(End::Bits(bits(*word, mask.number(macros)?)))
    };
    Ok(Edge { line: item.line, parent: end("from")?, child: end("to")? })
}

fn bits(word: Word, mask: u64) -> Vec<Place> {
    (0..word.width()).filter(|bit| mask >> bit & 1 == 1).map(|bit| word.normalised_bit(bit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "#define CPUID_A_ONE (1U << 1)\n#define CPUID_A_PAIR (CPUID_A_ONE | 1)\n";

    fn source(words: &str, edges: &str) -> String {
        format!(
            "static X feature_word_info[N] = {{\n{words}\n}};\nx = feature_word_info[3];\nstatic Y feature_dependencies[] = {{\n{edges}\n}};\n"
        )
    }

    const WORDS: &str = "[FEAT_A] = {\n .type = CPUID_FEATURE_WORD,\n .feat_names = {\n  \"zero\" /* x */, \"one\",\n  NULL, [5] = \"five\", \"six\",\n },\n .cpuid = { .eax = 7, .needs_ecx = true, .ecx = 1, .reg = R_EBX, },\n .tcg_features = T(A, B) |\n   C,\n},\n[FEAT_B] = {\n .feat_names = { [31] = \"ctl\" },\n .msr = { .index = MSR_IA32_VMX_PROCBASED_CTLS2, },\n},";

    fn told(claims: &Claims) -> Vec<String> {
        let place = |at| if let At::Place(place) = at { place.to_string() } else { String::new() };
        claims.bits.iter().map(|claim| format!("{} {} {}", claim.line, place(claim.at), claim.spellings[0].1)).collect()
    }

    #[test]
    fn names_by_order_and_by_index() {
        let claims = cpu(&source(WORDS, ""), Some(HEADER)).unwrap();
        assert_eq!(
            told(&claims),
            [
                "5 CPUID.7.1.EBX[0] zero",
                "5 CPUID.7.1.EBX[1] one",
                "6 CPUID.7.1.EBX[5] five",
                "6 CPUID.7.1.EBX[6] six",
                "13 MSR.48B[63] ctl",
            ]
        );
    }

    #[test]
    fn dependencies_on_bits_and_words() {
        let edges = "{\n .from = { FEAT_A, CPUID_A_PAIR },\n .to = { FEAT_B, 1ull << 31 },\n},\n{ .from = { FEAT_A, 0x1 }, .to = { FEAT_B, ~0ull }, },";
        let claims = cpu(&source(WORDS, edges), Some(HEADER)).unwrap();
        let a = Word::cpuid(7, 1, 1);
        let first = Edge { line: 19, parent: End::Bits(vec![a.bit(0), a.bit(1)]), child: End::Bits(vec![Word::Msr(0x48b).bit(63)]) };
        assert_eq!(claims.edges[0], first);
        let End::Bits(all) = &claims.edges[1].child else { unreachable!("masks give bits") };
        assert_eq!(all.len(), 64);
        assert_eq!(cpu(&source(WORDS, edges), None).unwrap().edges.len(), 1, "without the header the first mask is unknown");
    }

    #[test]
    fn faults_have_a_line() {
        let names =
            |names: &str| source(&format!("[FEAT_A] = {{ .feat_names = {{ {names} }}, .cpuid = {{ .eax = 1, .reg = R_EDX }} }}"), "");
        for (text, error) in [
            (String::new(), Fault::Missing("feature_word_info").at(1)),
            (names("foo"), Fault::Missing("a name or NULL").at(2)),
            (names("[40] = \"a\""), Fault::Form("bit 40".into()).at(2)),
            (names("{ \"a\" }"), Fault::Form("{".into()).at(2)),
            (source("[FEAT_A] = { }", ""), Fault::Missing("cpuid or msr").at(2)),
            (source("{ .cpuid = { .eax = 1 } }", ""), Fault::Missing("a designator").at(2)),
            (source("[F] = { .cpuid = { .eax = 1, .reg = 9 } }", ""), Fault::UnknownWord("register 9".into()).at(2)),
            (source("[F] = { .msr = { .index = MSR_ODD } }", ""), Fault::UnknownMacro("MSR_ODD".into()).at(2)),
            (source(WORDS, "{ .to = { FEAT_A, 1 } }"), Fault::Missing("from").at(19)),
            (source(WORDS, "{ .from = { FEAT_C, 1 } }"), Fault::UnknownWord("FEAT_C".into()).at(19)),
            (source(WORDS, "{ .from = { FEAT_A } }"), Fault::Missing("a word and a mask").at(19)),
            (source(WORDS, "{ .from = { FEAT_A, ODD } }"), Fault::UnknownMacro("ODD".into()).at(19)),
            ("x feature_word_info[N] = {\n[A] = {".into(), Fault::Missing("`}`").at(2)),
        ] {
            assert_eq!(cpu(&text, Some(HEADER)), Err(error), "{text}");
        }
    }
}
