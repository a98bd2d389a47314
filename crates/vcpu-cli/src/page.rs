//! Text for people: headings, and words after labels, wrapped to the width of the terminal.
//!
//! Colours are written as escape sequences; the printing stream removes them where they are not wanted.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// Headings.
pub(crate) const HEADING: Style = Style::new().bold();
/// Labels and remarks.
pub(crate) const QUIET: Style = Style::new().dimmed();
/// Names of machines.
pub(crate) const HOST: Style = AnsiColor::Cyan.on_default();
/// What is lost.
pub(crate) const LOST: Style = AnsiColor::Red.on_default();
/// What is gained.
pub(crate) const GAINED: Style = AnsiColor::Green.on_default();
/// What wants attention.
pub(crate) const NOTICE: Style = AnsiColor::Yellow.on_default();
/// The word before an error.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Everything else.
pub(crate) const PLAIN: Style = Style::new();

/// Text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// Something that is not broken across lines.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    text: String,
    style: Style,
}

/// The words of a sentence.
pub(crate) fn sentence(style: Style, text: &str) -> Vec<Word> {
    text.split_whitespace().map(|word| Word { text: word.to_owned(), style }).collect()
}

/// Items with commas between them; an item of several words may be broken.
pub(crate) fn list<T: Into<String>>(style: Style, items: impl IntoIterator<Item = T>) -> Vec<Word> {
    let mut words = Vec::new();
    for item in items {
        if let Some(Word { text, .. }) = words.last_mut() {
            *text += ",";
        }
        words.extend(sentence(style, &item.into()));
    }
    words
}

/// Lists of words with semicolons between them; empty ones are left out.
pub(crate) fn clauses(parts: impl IntoIterator<Item = Vec<Word>>) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if let Some(Word { text, .. }) = words.last_mut() {
            *text += ";";
        }
        words.extend(part);
    }
    words
}

/// The narrowest page; a terminal that is narrower wraps by itself.
const NARROWEST: usize = 30;
/// The widest page: longer lines are hard to read.
const WIDEST: usize = 110;
/// The width when nobody says.
const USUAL: usize = 80;
/// How much room words need beside a label; with less they go below it.
const ROOM: usize = 40;

/// Text in the making.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    width: usize,
}

impl Page {
    /// An empty page of the terminal's width; where output goes elsewhere, of `COLUMNS` or the usual width.
    pub(crate) fn new() -> Self {
        Self::with_width(width())
    }

    /// An empty page.
    pub(crate) fn with_width(width: usize) -> Self {
        Self { text: String::new(), width: width.clamp(NARROWEST, WIDEST) }
    }

    /// What was written.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// An empty line, but not at the top.
    pub(crate) fn blank(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// A heading, after an empty line.
    pub(crate) fn heading(&mut self, text: &str) {
        self.blank();
        self.words(0, sentence(HEADING, text));
    }

    /// Words from a column on.
    pub(crate) fn words(&mut self, indent: usize, words: Vec<Word>) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.fill(indent, indent, words);
    }

    /// A sentence from a column on.
    pub(crate) fn remark(&mut self, indent: usize, text: &str) {
        self.words(indent, sentence(QUIET, text));
    }

    /// Words in a column beside their label, or below it where there is no room. The label stands two places in.
    pub(crate) fn entry(&mut self, label: &str, column: usize, words: Vec<Word>) {
        self.styled_entry(QUIET, label, column, words);
    }

    /// An entry whose label has a style of its own.
    pub(crate) fn styled_entry(&mut self, style: Style, label: &str, column: usize, words: Vec<Word>) {
        if words.is_empty() {
            return;
        }
        let length = label.chars().count();
        let (column, fits) = if self.width < column + ROOM { (4, length == 0) } else { (column, length + 4 <= column) };
        if length > 0 {
            self.text.extend(["  ", &paint(style, label)]);
        }
        let gap = match (fits, length) {
            (true, 0) => column,
            (true, length) => column - length - 2,
            (false, _) => {
                self.text.push('\n');
                column
            }
        };
        self.text.extend(std::iter::repeat_n(' ', gap));
        self.fill(column, column, words);
    }

    /// Fills lines from the present place on; the place and later lines begin at these columns.
    fn fill(&mut self, mut at: usize, indent: usize, words: Vec<Word>) {
        let mut words = words.into_iter().peekable();
        // The style that is open, so that neighbours of one style share it.
        let mut open = PLAIN;
        while let Some(Word { text, style }) = words.next() {
            if open != style {
                self.text.extend([open.render_reset().to_string(), style.render().to_string()]);
                open = style;
            }
            self.text += &text;
            at += text.chars().count();
            let Some(next) = words.peek() else { break };
            let fits = at + 1 + next.text.chars().count() <= self.width;
            if !fits || next.style != open {
                self.text += &open.render_reset().to_string();
                open = PLAIN;
            }
            self.text.push(if fits { ' ' } else { '\n' });
            let gap = if fits { 0 } else { indent };
            self.text.extend(std::iter::repeat_n(' ', gap));
            at = if fits { at + 1 } else { indent };
        }
        self.text += &open.render_reset().to_string();
        self.text.push('\n');
    }
}

/// The width of standard output.
fn width() -> usize {
    if std::io::stdout().is_terminal()
        && let Some((terminal_size::Width(columns), _)) = terminal_size::terminal_size()
    {
        return usize::from(columns);
    }
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(page: Page) -> String {
        anstream::adapter::strip_str(&page.into_text()).to_string()
    }

    fn entry(width: usize, column: usize, label: &str, items: &[&str]) -> String {
        let mut page = Page::with_width(width);
        page.entry(label, column, list(PLAIN, items.iter().copied()));
        plain(page)
    }

    #[test]
    fn words_wrap_beside_their_label_or_below_it() {
        let items = ["AAAA", "BBBB", "CCCC", "DDDD", "EEEE", "FFFF", "GGGG", "HHHH"];
        assert_eq!(entry(50, 10, "one", &items), "  one     AAAA, BBBB, CCCC, DDDD, EEEE, FFFF,\n          GGGG, HHHH\n");
        assert_eq!(entry(49, 10, "one", &items), "  one\n    AAAA, BBBB, CCCC, DDDD, EEEE, FFFF, GGGG,\n    HHHH\n");
        assert_eq!(entry(50, 10, "long label", &items[..1]), "  long label\n          AAAA\n");
        assert_eq!(entry(50, 10, "none", &[]), "");
        assert_eq!(entry(50, 10, "", &items[..1]), "          AAAA\n");
        assert_eq!(entry(40, 10, "", &items[..1]), "    AAAA\n");
    }

    #[test]
    fn no_line_is_wider_than_the_page_unless_a_word_is() {
        for width in 0..100 {
            let mut page = Page::with_width(width);
            page.heading("a heading of several words that is rather long");
            page.entry("label", 22, sentence(LOST, &"word ".repeat(50)));
            page.remark(4, &"remark ".repeat(20));
            for line in plain(page).lines() {
                assert!(line.chars().count() <= width.max(NARROWEST), "{width}: {line:?}");
            }
        }
    }
}
