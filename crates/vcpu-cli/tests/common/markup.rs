//! Enough of HTML to tell whether a page is well formed and what it refers to: strict where the standard forgives.

#![allow(unreachable_pub, reason = "a module of a test file")]

use std::collections::HashSet;

/// Elements without an end tag.
const VOID: [&str; 5] = ["meta", "input", "br", "col", "link"];
/// Elements whose content is not markup.
const RAW: [&str; 2] = ["script", "style"];

/// A start tag.
#[derive(Debug)]
pub struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// What follows it, up to the next tag, as it stands.
    pub text: String,
}

impl Tag {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// All start tags of a page.
///
/// # Panics
/// When an element is not closed in order, an attribute is not quoted or occurs twice, a reference is unknown, or an id occurs twice.
pub fn tags(page: &str) -> Vec<Tag> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a page begins with its type");
    let mut open: Vec<String> = Vec::new();
    let mut tags: Vec<Tag> = Vec::new();
    while let Some((text, after)) = rest.split_once('<') {
        check_text(text);
        let (inside, mut tail) = after.split_once('>').unwrap_or_else(|| panic!("an open tag: {after:.80}"));
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed in order, before {tail:.80}");
        } else {
            let mut tag = start_tag(inside);
            if RAW.contains(&tag.name.as_str()) {
                let (content, after) = tail.split_once(&format!("</{}>", tag.name)).expect("an end");
                content.clone_into(&mut tag.text);
                tail = after;
            } else {
                tail.split('<').next().unwrap_or("").clone_into(&mut tag.text);
                if !VOID.contains(&tag.name.as_str()) {
                    open.push(tag.name.clone());
                }
            }
            tags.push(tag);
        }
        rest = tail;
    }
    assert!(open.is_empty(), "left open: {open:?}");
    check_ids(&tags);
    tags
}

fn start_tag(inside: &str) -> Tag {
    let (name, mut rest) = inside.split_once(' ').unwrap_or((inside, ""));
    assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "<{inside}>");
    let mut attributes: Vec<(String, String)> = Vec::new();
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').unwrap_or_else(|| panic!("an open quote: <{inside}>")),
            None => ("", after),
        };
        assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !key.is_empty(), "{key:?} in <{inside}>");
        assert!(attributes.iter().all(|(other, _)| other != key), "{key} twice in <{inside}>");
        check_text(value);
        attributes.push((key.to_owned(), value.to_owned()));
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    Tag { name: name.to_owned(), attributes, text: String::new() }
}

/// Every `&` begins a reference that we know, and nothing is invisible.
fn check_text(text: &str) {
    for part in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;", "hellip;"];
        assert!(known.iter().any(|reference| part.starts_with(reference)), "&{part:.20}");
    }
    let hidden = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    assert!(!text.contains(hidden), "{text:?}");
}

fn check_ids(tags: &[Tag]) {
    let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.get("id")).collect();
    let set: HashSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), set.len(), "each id once: {ids:?}");
    for tag in tags {
        let links = tag.get("href").map(|href| href.strip_prefix('#').unwrap_or_else(|| panic!("{tag:?} leads outside")));
        let named = ["aria-labelledby", "aria-describedby", "for"].iter().filter_map(|key| tag.get(key));
        for id in links.into_iter().chain(named) {
            assert!(set.contains(id), "nothing is called {id}: {tag:?}");
        }
    }
}
