//! Every decision with its cause, as a list that prints and needs no script.

use std::fmt::Write;

use super::escape::html;
use super::rows::{Row, Rows};

/// The sign before each outcome; nothing is told by colour alone. The script of the page has the same list.
const SIGNS: [(&str, &str); 6] = [
    ("granted", "\u{2713}"),
    ("withheld", "\u{2715}"),
    ("raised", "\u{25b2}"),
    ("lowered", "\u{25bc}"),
    ("chosen", "\u{25c6}"),
    ("undecided", "?"),
];

/// The outcomes in the order in which they are told.
pub(super) fn outcomes() -> impl Iterator<Item = &'static str> {
    SIGNS.iter().map(|(outcome, _)| *outcome)
}

/// The outcome with its sign: `✓ granted`.
pub(super) fn tag(outcome: &str, more: &str) -> String {
    let sign = SIGNS.iter().find(|(word, _)| *word == outcome).map_or("", |(_, sign)| sign);
    let outcome = html(outcome);
    format!("<span class=\"tag {outcome}\"><span aria-hidden=\"true\">{sign}</span> {outcome}{}</span>", html(more))
}

/// One table per leaf or MSR.
pub(super) fn list(rows: &Rows) -> String {
    let mut out = String::new();
    for (at, group) in rows.groups.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<section class=\"leaf\"><h3>{} <small>{}</small></h3>\n<table class=\"causes\"><thead class=\"spoken\"><tr>\
             <th scope=\"col\">Name</th><th scope=\"col\">Decision</th><th scope=\"col\">Cause</th></tr></thead><tbody>\n",
            html(&group.label),
            html(group.title)
        );
        rows.rows.iter().filter(|row| row.group == at).for_each(|row| out.push_str(&line(row)));
        out.push_str("</tbody></table></section>\n");
    }
    out
}

fn line(row: &Row) -> String {
    let value = row.shown_value();
    let value = if value.is_empty() { value } else { format!(" {value}") };
    let place = if row.name().ends_with(&row.place) { String::new() } else { format!(" <small>{}</small>", html(&row.place)) };
    format!(
        "<tr><th scope=\"row\">{}{place}</th><td>{}</td><td>{}</td></tr>\n",
        html(row.name()),
        tag(row.outcome(), &value),
        html(row.cause())
    )
}
