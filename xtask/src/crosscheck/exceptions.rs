//! `docs/crosscheck-exceptions.toml`: disagreements that stay, each with its reason.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::compare::{Finding, Topic};
use crate::report::{Problems, line_of};

/// Where the list is, from the repository.
pub(crate) const FILE: &str = "docs/crosscheck-exceptions.toml";

/// One exception.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    /// The sources that it is about: linux, kvm, kcpuid, qemu, qmp, libvirt or xen.
    source: String,
    /// A place, a pinned spelling, or `CHILD -> PARENT`, as the report prints it.
    bit: String,
    /// missing, position, name, kvm, merge or edge.
    kind: String,
    reason: String,
    /// Where it occurs, if not in all versions of the source; then it may be absent.
    only_in: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "exception")]
    list: Vec<Spanned<Exception>>,
}

/// All exceptions, and how often each applied.
#[derive(Debug)]
pub(crate) struct Exceptions {
    list: Vec<(usize, Exception)>,
    used: Vec<usize>,
}

const FAMILIES: [&str; 7] = ["linux", "kvm", "kcpuid", "qemu", "qmp", "libvirt", "xen"];

impl Exceptions {
    /// Reads the list; without the file there is none.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let path = root.join(FILE);
        if !path.exists() {
            return Self::parse("");
        }
        Self::parse(&std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            format!("{FILE}:{line}: {}", error.message())
        })?;
        let mut problems = Problems::default();
        let mut list: Vec<(usize, Exception)> = Vec::new();
        for entry in file.list {
            let line = line_of(text, entry.span().start);
            let entry = entry.into_inner();
            if !FAMILIES.contains(&entry.source.as_str()) {
                problems.add(FILE, line, &format!("source `{}`", entry.source), &format!("use one of {}", FAMILIES.join(", ")));
            }
            if !Topic::ALL.iter().any(|topic| topic.key() == entry.kind) {
                problems.add(FILE, line, &format!("kind `{}`", entry.kind), "use missing, position, name, kvm, merge or edge");
            }
            if entry.reason.trim().is_empty() {
                problems.add(FILE, line, &format!("{} without a reason", entry.bit), "say why it stays");
            }
            let same = |other: &Exception| (&other.source, &other.bit, &other.kind) == (&entry.source, &entry.bit, &entry.kind);
            if list.iter().any(|(_, other)| same(other)) {
                problems.add(FILE, line, &format!("{} twice", entry.bit), "keep one");
            }
            list.push((line, entry));
        }
        problems.into_result()?;
        let used = vec![0; list.len()];
        Ok(Self { list, used })
    }

    /// Whether a finding is excepted; remembers that the exception is needed.
    pub(crate) fn covers(&mut self, family: &str, finding: &Finding) -> bool {
        let topic = finding.topic.key();
        let applies = |entry: &Exception| entry.source == family && entry.kind == topic && entry.bit == finding.bit;
        let Some(at) = self.list.iter().position(|(_, entry)| applies(entry)) else { return false };
        self.used[at] += 1;
        true
    }

    /// Exceptions that did not occur, although sources of the family say something about the topic.
    pub(crate) fn stale(&self, checked: &[(&str, Topic)]) -> Vec<String> {
        let is_checked = |entry: &Exception| checked.iter().any(|(family, topic)| *family == entry.source && topic.key() == entry.kind);
        let unused = self.list.iter().zip(&self.used).filter(|(_, used)| **used == 0).map(|(numbered, _)| numbered);
        let unused = unused.filter(|(_, entry)| entry.only_in.is_none() && is_checked(entry));
        let say = |entry: &Exception| format!("{} ({}, {}) no longer occurs; remove it", entry.bit, entry.source, entry.kind);
        unused.map(|(line, entry)| format!("{FILE}:{line}: {}", say(entry))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[[exception]]\nsource = \"xen\"\nbit = \"CPUID.1.0.EAX[1]\"\nkind = \"name\"\nreason = \"because\"\n";

    fn finding(topic: Topic, bit: &str) -> Finding {
        Finding { topic, bit: bit.into(), line: 1, text: String::new() }
    }

    #[test]
    fn an_exception_covers_one_bit_of_one_kind_in_one_source() {
        let mut list = Exceptions::parse(GOOD).unwrap();
        let bit = "CPUID.1.0.EAX[1]";
        assert!(!list.covers("qemu", &finding(Topic::Name, bit)));
        assert!(!list.covers("xen", &finding(Topic::Missing, bit)));
        assert!(!list.covers("xen", &finding(Topic::Name, "CPUID.1.0.EAX[2]")));
        assert_eq!(list.stale(&[("qemu", Topic::Name), ("xen", Topic::Edge)]), [""; 0]);
        assert_eq!(list.stale(&[("xen", Topic::Name)]), [format!("{FILE}:1: {bit} (xen, name) no longer occurs; remove it")]);
        assert!(list.covers("xen", &finding(Topic::Name, bit)));
        assert_eq!(list.stale(&[("xen", Topic::Name)]), [""; 0]);
        let some = Exceptions::parse(&format!("{GOOD}only_in = \"version 2\"\n")).unwrap();
        assert_eq!(some.stale(&[("xen", Topic::Name)]), [""; 0]);
    }

    #[test]
    fn faults_of_the_list() {
        for (text, message) in [
            (GOOD.replace("xen", "bsd"), ":1: source `bsd`"),
            (GOOD.replace("\"name\"", "\"odd\""), ":1: kind `odd`"),
            (GOOD.replace("because", " "), "without a reason"),
            (format!("{GOOD}{GOOD}"), ":6: CPUID.1.0.EAX[1] twice"),
            (format!("{GOOD}more = 1\n"), ":6: unknown field `more`"),
        ] {
            let said = Exceptions::parse(&text).unwrap_err();
            assert!(said.contains(message), "{said}\n--- is not about ---\n{message}");
        }
    }
}
