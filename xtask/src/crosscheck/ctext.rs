//! Just enough C: comments, tokens, numbers and constant expressions.

use std::collections::HashMap;

use super::claim::{Fault, ParseError};

/// A token with its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) line: usize,
    pub(crate) is: Kind<'a>,
}

/// Words are runs of letters, digits and `_`, so numbers and `3DNOW` are words too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    Word(&'a str),
    Text(&'a str),
    Mark(char),
}

/// The text with comments replaced by blanks; lines stay where they are.
pub(crate) fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if next == '"' {
            let length = string_length(rest);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        out.push(' ');
        out.extend(rest[..length].chars().filter(|c| *c == '\n'));
        rest = &rest[length..];
    }
    out
}

/// The length of the string literal at the beginning, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Splits text without comments; `line` is the number of its first line.
pub(crate) fn tokens(text: &str, mut line: usize) -> Vec<Token<'_>> {
    let mut list = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let word = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (is, length) = match next {
            '"' => {
                let length = string_length(rest);
                (Kind::Text(rest[1..length].trim_end_matches('"')), length)
            }
            _ if word > 0 => (Kind::Word(&rest[..word]), word),
            other => (Kind::Mark(other), other.len_utf8()),
        };
        if !next.is_whitespace() {
            list.push(Token { line, is });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    list
}

/// A C number with or without suffix.
pub(crate) fn number(word: &str) -> Option<u64> {
    let digits = word.trim_end_matches(['u', 'U', 'l', 'L']);
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// The object-like macros of a header.
pub(crate) fn defines(text: &str) -> HashMap<String, String> {
    let joined = without_comments(text).replace("\\\n", " ");
    let mut map = HashMap::new();
    for line in joined.lines() {
        let Some(rest) = line.trim_start().strip_prefix("#define") else { continue };
        let rest = rest.trim_start();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (name, value) = rest.split_at(end);
        if !value.starts_with('(') && !value.trim().is_empty() {
            map.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    map
}

/// The value of a constant expression of numbers, macros, `~ + << & |` and parentheses.
pub(crate) fn evaluate(tokens: &[Token<'_>], macros: &HashMap<String, String>) -> Result<u64, ParseError> {
    let line = tokens.first().map_or(0, |token| token.line);
    let mut rest = tokens;
    let value = expression(&mut rest, macros, 0, 0).map_err(|fault| fault.at(line))?;
    if let Some(token) = rest.first() {
        return Err(Fault::Form(format!("{:?}", token.is)).at(token.line));
    }
    Ok(value)
}

const OPERATORS: [(char, u8); 4] = [('|', 1), ('&', 2), ('<', 3), ('+', 4)];

fn expression(rest: &mut &[Token<'_>], macros: &HashMap<String, String>, least: u8, depth: u8) -> Result<u64, Fault> {
    let mut value = operand(rest, macros, depth)?;
    while let Some(Token { is: Kind::Mark(mark), .. }) = rest.first() {
        let Some((_, level)) = OPERATORS.into_iter().find(|(operator, level)| operator == mark && *level > least) else { break };
        let shift = *mark == '<';
        let mark = *mark;
        *rest = &rest[if shift && rest.len() > 1 { 2 } else { 1 }..];
        let right = expression(rest, macros, level, depth)?;
        value = match mark {
            '|' => value | right,
            '&' => value & right,
            '+' => value.wrapping_add(right),
            _ => value.checked_shl(u32::try_from(right).unwrap_or(64)).unwrap_or(0),
        };
    }
    Ok(value)
}

fn operand(rest: &mut &[Token<'_>], macros: &HashMap<String, String>, depth: u8) -> Result<u64, Fault> {
    let Some((first, tail)) = rest.split_first() else { return Err(Fault::Missing("an operand")) };
    *rest = tail;
    match first.is {
        Kind::Mark('~') => operand(rest, macros, depth).map(|value| !value),
        Kind::Mark('(') => {
            let value = expression(rest, macros, 0, depth)?;
            let Some((Token { is: Kind::Mark(')'), .. }, tail)) = rest.split_first() else { return Err(Fault::Missing("`)`")) };
            *rest = tail;
            Ok(value)
        }
        Kind::Word(word) => {
            if let Some(value) = number(word) {
                return Ok(value);
            }
            let body = macros.get(word).filter(|_| depth < 16).ok_or_else(|| Fault::UnknownMacro(word.to_owned()))?;
            let list = tokens(body, first.line);
            expression(&mut list.as_slice(), macros, 0, depth + 1)
        }
        other => Err(Fault::Form(format!("{other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_lines_and_strings_stay() {
        let text = "a /* b\n c */ \"/* d */\" // e\nf";
        assert_eq!(without_comments(text), "a  \n \"/* d */\"  \nf");
        let list = tokens("a\n \"x\\\"y\" 3D,\n0x1f", 7);
        let line: Vec<usize> = list.iter().map(|token| token.line).collect();
        assert_eq!(line, [7, 8, 8, 8, 9]);
        assert_eq!(list[2].is, Kind::Word("3D"));
    }

    #[test]
    fn constant_expressions() {
        let macros = defines("#define A (1U << 3) /* x */\n#define B \\\n A | 2\n#define F(x) x\n#define LOOP LOOP\n");
        for (text, value) in [
            ("7", Ok(7)),
            ("0x10ull", Ok(16)),
            ("~0ull", Ok(u64::MAX)),
            ("0xffffffffull << 32", Ok(0xffff_ffff_0000_0000)),
            ("A", Ok(8)),
            ("B | 1", Ok(11)),
            ("1 | 2 & 3 << 1", Ok(3)),
            ("NOPE", Err(Fault::UnknownMacro("NOPE".into()))),
            ("LOOP", Err(Fault::UnknownMacro("LOOP".into()))),
            ("(1", Err(Fault::Missing("`)`"))),
            ("1 |", Err(Fault::Missing("an operand"))),
        ] {
            assert_eq!(evaluate(&tokens(text, 1), &macros).map_err(|error| error.fault), value, "{text}");
        }
    }
}
