//! From a word to the model that it names.

use std::fmt;

use cpuid_db::Project;

use super::{Model, TABLES, Tables, model, models};

/// Whose word a model was found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// A level of the x86-64 psABI: features only, of no vendor.
    Psabi,
    /// A generation of CPUs, which stands for a model of QEMU.
    Generation,
    /// QEMU.
    Qemu,
    /// libvirt.
    Libvirt,
}

impl Origin {
    /// The word before the colon of a pinned name, and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Psabi => "psabi",
            Self::Generation => "generation",
            Self::Qemu => "qemu",
            Self::Libvirt => "libvirt",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a word for a model stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamedModel {
    /// Whose word it is.
    pub origin: Origin,
    /// The word as its owner spells it.
    pub name: &'static str,
    /// Why the word stands for this model, where that is a choice of ours.
    pub because: Option<&'static str>,
    /// The model: vendor, signature, features, and what else its owner says.
    pub model: &'static Model,
}

/// A word that names no model, and those that look like it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{word:?} is no known CPU model{}", Hint(nearest))]
pub struct UnknownModel {
    /// The word.
    pub word: String,
    /// Words that name something, the most similar first; at most five.
    pub nearest: Vec<&'static str>,
}

struct Hint<'a>(&'a [&'static str]);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; near it are {}", self.0.join(", ")) }
    }
}

/// Finds a model by any name: a level of the psABI (`x86-64-v3`), a generation (`amd-zen3`), a name of QEMU's with or without version
/// (`EPYC-Milan-v2`; without, it is the version that QEMU takes), or one of libvirt's. `qemu:EPYC` and `libvirt:EPYC` say whose name is
/// meant; without that QEMU's come first, since libvirt took them over. Case does not matter.
///
/// ```
/// use cpu_dumps::find_model;
///
/// let found = find_model("amd-zen3")?;
/// assert_eq!(found.model.name, "EPYC-Milan-v2");
/// assert_eq!(find_model("EPYC-Milan")?.model.name, "EPYC-Milan-v1");
/// assert_eq!(find_model("EPYC-Milano").unwrap_err().nearest[0], "EPYC-Milan");
/// # Ok::<(), cpu_dumps::UnknownModel>(())
/// ```
///
/// # Errors
/// [`UnknownModel`] with the nearest names.
pub fn find_model(word: &str) -> Result<NamedModel, UnknownModel> {
    let word = word.trim();
    let (owner, name) = match word.split_once(':') {
        Some((owner, name)) => (Some(owner.trim()), name.trim()),
        None => (None, word),
    };
    let may_be = |origin: Origin| owner.is_none_or(|owner| owner.eq_ignore_ascii_case(origin.name()));
    let same = |known: &str| known.eq_ignore_ascii_case(name);
    let mut found = all().filter(|found| may_be(found.origin));
    found.find(|found| same(found.name)).or_else(|| versioned_for_libvirt(name).filter(|_| may_be(Origin::Libvirt))).ok_or_else(|| {
        UnknownModel { word: word.to_owned(), nearest: near(name, &mut all().filter(|found| may_be(found.origin)).map(|found| found.name)) }
    })
}

/// Every word that [`find_model`] knows without being told whose it is, each once.
pub fn model_words() -> Vec<&'static str> {
    let mut words: Vec<&str> = Vec::new();
    for NamedModel { name, .. } in all() {
        if !words.contains(&name) {
            words.push(name);
        }
    }
    words
}

/// All words, in the order in which they are tried.
fn all() -> impl Iterator<Item = NamedModel> {
    let tables: &'static Tables = &TABLES;
    let psabi = tables.psabi.iter().map(|model| NamedModel { origin: Origin::Psabi, name: &model.name, because: None, model });
    let generations = tables.generations.iter().filter_map(|row| {
        let model = model(Project::Qemu, &row.model)?;
        Some(NamedModel { origin: Origin::Generation, name: &row.name, because: Some(&row.because), model })
    });
    psabi.chain(generations).chain(of(Project::Qemu, Origin::Qemu)).chain(of(Project::Libvirt, Origin::Libvirt))
}

fn of(project: Project, origin: Origin) -> impl Iterator<Item = NamedModel> {
    models(project).iter().flat_map(move |model| {
        let names = std::iter::once(&model.name).chain(&model.aliases);
        names.map(move |name| NamedModel { origin, name, because: None, model })
    })
}

/// A name of QEMU's that libvirt is known to take as well.
fn versioned_for_libvirt(name: &str) -> Option<NamedModel> {
    let qemu = of(Project::Qemu, Origin::Qemu).find(|found| found.name.eq_ignore_ascii_case(name))?;
    Some(NamedModel { origin: Origin::Libvirt, model: model(Project::Libvirt, qemu.name)?, ..qemu })
}

/// The words at the smallest edit distance, as far as that is less than a third of the word.
fn near(word: &str, words: &mut dyn Iterator<Item = &'static str>) -> Vec<&'static str> {
    let limit = (word.len() / 3).clamp(1, 4);
    // Nobody mistypes a name into something several times as long; what is longer is not compared.
    let is_comparable = |known: &&str| known.len().abs_diff(word.len()) <= limit;
    let mut near: Vec<(usize, &str)> = words.filter(is_comparable).map(|known| (distance(word, known), known)).collect();
    near.retain(|(distance, _)| *distance <= limit);
    near.sort_unstable();
    near.dedup();
    near.truncate(5);
    near.into_iter().map(|(_, known)| known).collect()
}

/// How many letters must be put in, taken out or exchanged, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in std::iter::once(0).chain(b.bytes()).zip(&mut row) {
            let here = if y == 0 { left } else { (left + 1).min(*cell + 1).min(diagonal + usize::from(!x.eq_ignore_ascii_case(&y))) };
            diagonal = *cell;
            left = here;
            *cell = here;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted() {
        for (a, b, expected) in [("", "", 0), ("abc", "ABC", 0), ("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
