//! Xen: `cpufeatureset.h` and the dependencies in `gen-cpuid.py`.

use std::collections::HashMap;

use super::claim::{At, Claim, Claims, Edge, End, Fault, ParseError, Parsed, Word};
use super::ctext::{Kind, Token, tokens};
use super::linux::{level, position, section};

/// `XEN_CPUFEATURE(NAME, word*32+bit) /*attributes text */`.
pub(crate) fn featureset(text: &str) -> Parsed {
    let mut words: HashMap<u32, (Word, u8)> = HashMap::new();
    let mut claims = Claims::default();
    for (line, content) in (1..).zip(text.lines()) {
        if let (true, Some(word), Some(place)) = (content.starts_with("/*"), section(content), level(content)) {
            words.insert(word, place);
        }
        let Some(rest) = content.strip_prefix("XEN_CPUFEATURE(") else { continue };
        let form = || Fault::Form(content.to_owned()).at(line);
        let (inner, comment) = rest.split_once(')').ok_or_else(form)?;
        let (name, value) = inner.split_once(',').ok_or_else(form)?;
        let (number, bit) = position(value).ok_or_else(form)?;
        let (word, base) = words.get(&number).ok_or_else(|| Fault::UnknownWord(format!("word {number}")).at(line))?;
        let bit = base + bit;
        if bit >= word.width() {
            return Err(form());
        }
        let attributes = comment.trim_start().strip_prefix("/*").unwrap_or("");
        let attributes = attributes.split(' ').next().unwrap_or("");
        let mut claim = Claim::new(line, At::Place(word.bit(bit)), vec![("xen", name.trim().to_owned())]);
        claim.or_merge = Some(attributes.contains('|'));
        claims.bits.push(claim);
    }
    if claims.bits.is_empty() { Err(Fault::Missing("a XEN_CPUFEATURE").at(1)) } else { Ok(claims) }
}

/// The dictionary `deps = { PARENT: [CHILD, ...], PARENT: feat_range(FIRST, ...), }` of `gen-cpuid.py`.
pub(crate) fn deps(text: &str) -> Parsed {
    let begins = |at: &usize| text[..*at].ends_with(|c: char| c.is_whitespace()) || *at == 0;
    let start = text.match_indices("deps = {").map(|(at, _)| at).find(begins).ok_or_else(|| Fault::Missing("`deps = {`").at(1))?;
    let line = text[..start].matches('\n').count() + 1;
    let body: String = text[start..].lines().map(|line| line.split('#').next().unwrap_or("").to_owned() + "\n").collect();
    let list = tokens(&body, line);
    let mut claims = Claims::default();
    let mut rest = list.get(3..).unwrap_or_default();
    loop {
        match rest {
            [Token { is: Kind::Mark('}'), .. }, ..] => return Ok(claims),
            [Token { is: Kind::Mark(','), .. }, tail @ ..] => rest = tail,
            [Token { is: Kind::Word(parent), .. }, Token { is: Kind::Mark(':'), .. }, tail @ ..] => {
                rest = children(parent, tail, &mut claims.edges)?;
            }
            [token, ..] => return Err(Fault::Form(format!("{:?}", token.is)).at(token.line)),
            [] => return Err(Fault::Missing("the end of deps").at(line)),
        }
    }
}

/// Reads the value of one key and returns what follows it.
fn children<'t, 'a>(parent: &str, list: &'t [Token<'a>], edges: &mut Vec<Edge>) -> Result<&'t [Token<'a>], ParseError> {
    let spelling = |word: &str| ("xen", word.strip_prefix('_').unwrap_or(word).to_owned());
    let line = list.first().map_or(0, |token| token.line);
    let close = list.iter().position(|token| matches!(token.is, Kind::Mark(']' | ')')));
    let close = close.ok_or_else(|| Fault::Missing("the end of a list").at(line))?;
    let mut add = |line, child| edges.push(Edge { line, parent: End::Named(spelling(parent)), child });
    match list {
        [Token { is: Kind::Word("feat_range"), .. }, Token { is: Kind::Mark('('), .. }, Token { is: Kind::Word(first), line }, ..] => {
            add(*line, End::WordOf(spelling(first)));
        }
        [Token { is: Kind::Mark('['), .. }, ..] => {
            for token in &list[1..close] {
                if let Kind::Word(child) = token.is {
                    add(token.line, End::Named(spelling(child)));
                }
            }
        }
        _ => return Err(Fault::Form(format!("{parent}: ...")).at(line)),
    }
    Ok(&list[close + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_with_attributes() {
        let text = "/* Some bits, CPUID level 0x00000007:1.eax, word 1 */\nXEN_CPUFEATURE(ONE,  1*32+ 4) /*A  Text */\n/* MSR_X 0x10a.eax, word 2 */\n/* MSR_X 0x10a.edx, word 3 (express in terms of word 2) */\nXEN_CPUFEATURE(TWO, 2*32+ 7) /*!A| Text */\nXEN_CPUFEATURE(THREE, 2*32+40) /*   a | b */\nXEN_CPUFEATURE(FOUR, 3*32+1)\n";
        let claims = featureset(text).unwrap();
        let told: Vec<String> = claims
            .bits
            .iter()
            .map(|claim| {
                let At::Place(place) = claim.at else { unreachable!("every feature has a place") };
                format!("{} {place} {} {:?}", claim.line, claim.spellings[0].1, claim.or_merge == Some(true))
            })
            .collect();
        assert_eq!(
            told,
            ["2 CPUID.7.1.EAX[4] ONE false", "5 MSR.10A[7] TWO true", "6 MSR.10A[40] THREE false", "7 MSR.10A[33] FOUR false"]
        );
    }

    #[test]
    fn faults_of_features() {
        let word = "/* CPUID level 0x1.edx, word 0 */\n";
        for (row, fault) in [
            ("XEN_CPUFEATURE(A, 1*32+0)", Fault::UnknownWord("word 1".into())),
            ("XEN_CPUFEATURE(A, 0*32+40)", Fault::Form("XEN_CPUFEATURE(A, 0*32+40)".into())),
            ("XEN_CPUFEATURE(A)", Fault::Form("XEN_CPUFEATURE(A)".into())),
            ("XEN_CPUFEATURE(A, 5", Fault::Form("XEN_CPUFEATURE(A, 5".into())),
        ] {
            assert_eq!(featureset(&format!("{word}{row}")), Err(fault.at(2)));
        }
        assert_eq!(featureset(""), Err(Fault::Missing("a XEN_CPUFEATURE").at(1)));
    }

    #[test]
    fn dependencies() {
        let text = "x = 1\n    deps = {\n  # A: [B]\n  A: [B,\n      _3C], # D\n  E: feat_range(F, F + 63),\n }\n y = {";
        let end = |name: &str| End::Named(("xen", name.to_owned()));
        let edge = |line, parent, child| Edge { line, parent, child };
        let edges = deps(text).unwrap().edges;
        assert_eq!(
            edges,
            [edge(4, end("A"), end("B")), edge(5, end("A"), end("3C")), edge(6, end("E"), End::WordOf(("xen", "F".into()))),]
        );
        for (text, error) in [
            ("", Fault::Missing("`deps = {`").at(1)),
            ("deps = { A: [B],", Fault::Missing("the end of deps").at(1)),
            ("deps = {\nA: [B", Fault::Missing("the end of a list").at(2)),
            ("deps = {\nA: B] }", Fault::Form("A: ...".into()).at(2)),
            ("deps = {\n: }", Fault::Form("Mark(':')".into()).at(2)),
        ] {
            assert_eq!(deps(text), Err(error), "{text}");
        }
    }
}
