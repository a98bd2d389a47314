//! A scanner that knows just enough of Rust to tell code from comments and literals, and to find functions.

use std::ops::Range;

/// What a piece of a source file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The code alone: comments and literals are replaced by blanks, so that every line and column stays where it is.
pub(crate) fn code(text: &str) -> String {
    blanked(text, &[Kind::Comment, Kind::Literal])
}

/// Code and literals, without comments.
pub(crate) fn code_and_literals(text: &str) -> String {
    blanked(text, &[Kind::Comment])
}

fn blanked(text: &str, kinds: &[Kind]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (kind, end) = piece(text.as_bytes(), at);
        if kinds.contains(&kind) {
            bytes[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at = end;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The piece that begins at `at`: its kind and where it ends. Code comes in pieces of a word or a character.
fn piece(text: &[u8], at: usize) -> (Kind, usize) {
    let rest = &text[at..];
    match rest {
        [b'/', b'/', ..] => (Kind::Comment, at + find(rest, b"\n").unwrap_or(rest.len())),
        [b'/', b'*', ..] => (Kind::Comment, at + block_comment(rest)),
        [b'"', ..] => (Kind::Literal, at + quoted(rest, b'"')),
        [b'\'', ..] => match character(rest) {
            Some(length) => (Kind::Literal, at + length),
            None => (Kind::Code, at + 1),
        },
        [first, ..] if is_word(*first) => word(rest, at),
        _ => (Kind::Code, at + 1),
    }
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Comments nest.
fn block_comment(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a literal with escapes, both quotes included.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of a character literal; `None` for a lifetime.
fn character(text: &[u8]) -> Option<usize> {
    let second = *text.get(1)?;
    if second == b'\\' {
        return Some(quoted(text, b'\''));
    }
    let length = match second {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    (text.get(1 + length) == Some(&b'\'')).then_some(length + 2)
}

/// A word, which may be the prefix of a literal: `b"..."`, `r#"..."#`, `b'x'`.
fn word(rest: &[u8], at: usize) -> (Kind, usize) {
    let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
    let (word, after) = rest.split_at(length);
    let literal = match (word, after) {
        (b"r" | b"br" | b"cr", [b'"' | b'#', ..]) => raw(after),
        (b"b" | b"c", [b'"', ..]) => Some(quoted(after, b'"')),
        (b"b", [b'\'', ..]) => character(after),
        _ => None,
    };
    match literal {
        Some(end) => (Kind::Literal, at + length + end),
        None => (Kind::Code, at + length),
    }
}

/// The length of a raw literal after its prefix; `None` for a raw identifier.
fn raw(text: &[u8]) -> Option<usize> {
    let hashes = text.iter().take_while(|byte| **byte == b'#').count();
    if text.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(hashes + 1, b'#');
    let body = hashes + 1;
    Some(find(&text[body..], &end).map_or(text.len(), |length| body + length + end.len()))
}

/// One function: its name, its first line from 1, and how many lines it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The functions of a file that have a body, from the line with `fn` to the closing brace.
pub(crate) fn functions(text: &str) -> Vec<Function> {
    let code = code(text);
    let mut found = Vec::new();
    for start in words(&code, "fn") {
        let rest = &code[start + 2..];
        let name: String = rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(body) = body(&code.as_bytes()[start..]).filter(|_| !name.is_empty()) else { continue };
        let lines = 1 + newlines(&code[start..start + body.end]);
        found.push(Function { name, line: 1 + newlines(&code[..start]), lines });
    }
    found
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Where a word stands on its own.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    let alone = move |at: usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let after = bytes.get(at + word.len());
        !before.is_some_and(|byte| is_word(*byte)) && !after.is_some_and(|byte| is_word(*byte))
    };
    code.match_indices(word).map(|(at, _)| at).filter(move |at| alone(*at))
}

/// The braces of the function that begins `code`; `None` when it has no body.
fn body(code: &[u8]) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    let mut start = None;
    for (at, byte) in code.iter().enumerate() {
        match byte {
            b'(' | b'[' if start.is_none() => depth += 1,
            b')' | b']' if start.is_none() => depth = depth.checked_sub(1)?,
            b';' if start.is_none() && depth == 0 => return None,
            b'{' => {
                start = start.or(Some(at));
                depth += 1;
            }
            b'}' => {
                depth = depth.checked_sub(1)?;
                if let Some(start) = start.filter(|_| depth == 0) {
                    return Some(start..at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_in_place() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ \n */ d", "a              \n    d"),
            (r#"f("x\"y", 'z')"#, "f(      ,    )"),
            ("r#\"a\"b\"# + r#fn", "         + r#fn"),
            ("b'\\'' b\"q\" 'a: &'a T '\"'", "           'a: &'a T    "),
            ("'é' x", "     x"),
        ];
        for (text, expected) in cases {
            assert_eq!(code(text), expected, "{text}");
        }
        assert_eq!(code_and_literals("f(\"//x\") // y"), "f(\"//x\")     ");
    }

    #[test]
    fn functions_are_measured_from_their_first_line_to_the_closing_brace() {
        let text = "fn one() {}\ntrait T {\n    fn none(&self);\n    fn two(&self, f: fn(u8) -> [u8; 2]) -> u8\n    {\n        // }\n        { '}' }\n    }\n}\n";
        let found: Vec<(String, usize, usize)> = functions(text).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("one".to_owned(), 1, 1), ("two".to_owned(), 4, 5)]);
    }

    #[test]
    fn unfinished_text_ends_at_the_end() {
        for text in ["\"abc", "/* abc", "r##\"abc\"#", "'", "'\\", "fn x(", "fn y() {", "b'"] {
            assert_eq!(code(text).len(), text.len(), "{text}");
            assert!(functions(text).is_empty());
        }
    }
}
