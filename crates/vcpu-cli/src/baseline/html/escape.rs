//! Text on its way into the page. Names of machines and CPUs are whatever a dump says, so nothing is taken on trust.

use std::fmt::Write;

/// Text for an element or a quoted attribute. What is invisible or turns the direction of writing is spelled out.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_hidden(c) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\u{27e8}U+{:04X}\u{27e9}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// The name of a machine: its direction of writing does not reach the words around it.
pub(super) fn host(name: &str) -> String {
    format!("<bdi>{}</bdi>", html(name))
}

/// JSON for a script element: plain ASCII, and nothing in it that HTML could take for markup.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !matches!(c, '<' | '>' | '&' | '\u{7f}') {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// Characters that show nothing of themselves and change how others look. The script of the page has the same list.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text() {
        assert_eq!(html("<b title=\"a\" id='b'>&"), "&lt;b title=&quot;a&quot; id=&#39;b&#39;&gt;&amp;");
        assert_eq!(html("a\u{202e}b\u{7}"), "a\u{27e8}U+202E\u{27e9}b\u{27e8}U+0007\u{27e9}");
        assert_eq!(host("a<b"), "<bdi>a&lt;b</bdi>");
    }

    #[test]
    fn json_stays_json_and_leaves_its_element_to_nobody() {
        let text = "</script><!--\u{2028}\u{202e}\u{1f600}\"\\";
        let escaped = json(&serde_json::Value::from(text).to_string());
        assert!(escaped.is_ascii() && !escaped.contains(['<', '>', '&']), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
