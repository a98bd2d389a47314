//! The page of `--report`: one file for browsers that needs no network. What it says in its text it says without scripts, too;
//! the script adds the matrix of hosts by features. The same pool gives the same bytes.

mod causes;
mod columns;
mod data;
mod escape;
mod rows;
mod summary;

use super::{Case, document};
use crate::words::plural;
use rows::Rows;

const TEMPLATE: &str = include_str!("page.html");
const STYLES: [&str; 2] = [include_str!("report.css"), include_str!("grid.css")];
const SCRIPTS: [&str; 3] = [include_str!("model.js"), include_str!("grid.js"), include_str!("report.js")];

/// The whole page.
pub(crate) fn page(case: &Case) -> String {
    let rows = Rows::of(&document::decisions(case).into());
    let fill = |name: &str| match name {
        "title" => format!("CPU baseline of {}", plural(case.fleet.hosts.len(), "host")),
        "style" => STYLES.concat(),
        "script" => SCRIPTS.concat(),
        "count" => plural(case.fleet.hosts.len(), "host"),
        "summary" => summary::head(case, &rows),
        "costs" => summary::costs(case),
        "gaps" => summary::gaps(case),
        "hosts" => summary::hosts(case),
        "causes" => causes::list(&rows),
        "data" => escape::json(&data::data(case, &rows).to_string()),
        _ => String::new(),
    };
    filled(TEMPLATE, fill)
}

/// The template with its `{{names}}` replaced. What is put in is never looked through: it may hold braces of its own.
fn filled(template: &str, fill: impl Fn(&str) -> String) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((text, name, tail)) = next_name(rest) {
        page.push_str(text);
        page.push_str(&fill(name));
        rest = tail;
    }
    page + rest
}

fn next_name(template: &str) -> Option<(&str, &str, &str)> {
    let (text, rest) = template.split_once("{{")?;
    let (name, tail) = rest.split_once("}}")?;
    Some((text, name, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let fill = |name: &str| if name == "a" { "{{b}}".to_owned() } else { "B".to_owned() };
        assert_eq!(filled("x {{a}} y {{b}} z }} {{", fill), "x {{b}} y B z }} {{");
    }

    #[test]
    fn scripts_and_styles_stay_in_their_elements() {
        for text in SCRIPTS {
            assert!(!text.contains("</script") && !text.contains("<!--"));
        }
        for text in STYLES {
            assert!(!text.contains("</style"));
        }
    }
}
