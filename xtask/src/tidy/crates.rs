//! Rules about packages: who may depend on whom, what a manifest says, and which dependencies were decided on.

use toml::{Table, Value};

use super::tree::{File, Tree};
use crate::report::Problems;

/// Crates that are `no_std`, allocate nothing and know no architecture.
pub(crate) const CORE: [&str; 3] = ["cpuid-db", "cpu-caps", "msr-semantics"];

/// What a package may use of the workspace.
#[derive(Clone, Copy)]
enum MayUse {
    Only(&'static [&'static str]),
    EveryLibrary,
}

/// The layers, bottom up.
const LAYERS: [(&str, MayUse); 11] = [
    ("cpuid-db", MayUse::Only(&[])),
    ("cpu-caps", MayUse::Only(&["cpuid-db"])),
    ("msr-semantics", MayUse::Only(&["cpuid-db"])),
    ("cpu-dumps", MayUse::Only(&["cpuid-db"])),
    ("msr-scenarios", MayUse::Only(&["cpuid-db", "msr-semantics"])),
    ("kvm-backend", MayUse::Only(&["cpuid-db", "cpu-caps", "msr-semantics", "cpu-dumps"])),
    ("vcpu-cli", MayUse::EveryLibrary),
    ("vcpu-fuzz", MayUse::EveryLibrary),
    ("vcpu-benches", MayUse::EveryLibrary),
    ("no-std-probe", MayUse::Only(&CORE)),
    ("xtask", MayUse::Only(&[])),
];

/// Packages that nobody may use, not even for tests.
const TOPS: [&str; 5] = ["xtask", "vcpu-fuzz", "vcpu-benches", "no-std-probe", "vcpu-cli"];

/// A manifest with a package.
struct Package<'a> {
    file: &'a File,
    name: String,
    manifest: Table,
}

/// A line of a dependency table.
struct Dependency {
    name: String,
    for_tests: bool,
    line: usize,
}

/// All packages; manifests that cannot be parsed are cargo's business.
fn packages(tree: &Tree) -> Vec<Package<'_>> {
    tree.select("", "Cargo.toml").filter_map(package).collect()
}

fn package(file: &File) -> Option<Package<'_>> {
    let manifest: Table = file.text.parse().ok()?;
    let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
    Some(Package { file, name, manifest })
}

impl Package<'_> {
    fn folder(&self) -> &str {
        self.file.path.strip_suffix("Cargo.toml").unwrap_or("")
    }

    fn dependencies(&self) -> Vec<Dependency> {
        let targets = self.manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
        let places = targets.filter_map(Value::as_table).chain([&self.manifest]);
        places.flat_map(|table| self.dependencies_in(table)).collect()
    }

    fn dependencies_in(&self, table: &Table) -> Vec<Dependency> {
        let mut found = Vec::new();
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                let name = value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned();
                found.push(Dependency { name, for_tests: kind == "dev-dependencies", line: self.line_of(key) });
            }
        }
        found
    }

    /// The first line that begins with this key.
    fn line_of(&self, key: &str) -> usize {
        let is_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', '.']));
        1 + self.file.text.lines().position(is_key).unwrap_or(0)
    }
}

/// Workspace crates use each other as the layers say.
pub(crate) fn edges(tree: &Tree, problems: &mut Problems) {
    let is_ours = |name: &str| LAYERS.iter().any(|(layer, _)| *layer == name);
    for package in packages(tree) {
        let path = &package.file.path;
        let Some((_, may_use)) = LAYERS.iter().find(|(name, _)| *name == package.name) else {
            let what = format!("package `{}` is in no layer", package.name);
            problems.add(path, package.line_of("name"), &what, "say in xtask/src/tidy/crates.rs what it may use");
            continue;
        };
        for dependency in package.dependencies().iter().filter(|dependency| is_ours(&dependency.name)) {
            let name = dependency.name.as_str();
            let is_top = TOPS.contains(&name);
            let allowed = match may_use {
                MayUse::Only(list) => dependency.for_tests || list.contains(&name),
                MayUse::EveryLibrary => true,
            };
            if is_top || !allowed {
                let what = format!("`{}` may not use `{name}`", package.name);
                problems.add(path, dependency.line, &what, "move what is shared to a layer below both");
            }
        }
    }
}

/// Every crate says what it is and under which terms, has a README, and takes the workspace's lints.
pub(crate) fn metadata(tree: &Tree, problems: &mut Problems) {
    for package in packages(tree).iter().filter(|package| package.folder().starts_with("crates/")) {
        let path = &package.file.path;
        let has = |key: &str| package.manifest.get("package").is_some_and(|table| table.get(key).is_some());
        for key in ["description", "license"] {
            if !has(key) {
                problems.add(path, 1, &format!("no `{key}`"), "add it to [package]; the licence is the workspace's");
            }
        }
        if tree.get(&format!("{}README.md", package.folder())).is_none() {
            problems.add(path, 1, "no README.md beside it", "write what the crate answers and the smallest example");
        }
        if package.manifest.get("lints").is_none_or(|lints| lints.get("workspace").is_none()) {
            problems.add(path, 1, "the workspace's lints do not apply", "add `[lints]` with `workspace = true`");
        }
    }
}

/// Every foreign dependency is named, in backticks, by a decision.
pub(crate) fn decided(tree: &Tree, problems: &mut Problems) {
    let decisions: String = tree.select("docs/decisions/", ".md").map(|file| file.text.as_str()).collect();
    let mut asked: Vec<String> = Vec::new();
    for package in packages(tree) {
        for Dependency { name, line, .. } in package.dependencies() {
            let is_ours = LAYERS.iter().any(|(layer, _)| *layer == name);
            if is_ours || asked.contains(&name) || decisions.contains(&format!("`{name}`")) {
                continue;
            }
            let what = format!("dependency `{name}` is in no decision");
            problems.add(&package.file.path, line, &what, "say in docs/decisions why it and not something else");
            asked.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::check;

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{rest}")
    }

    #[test]
    fn layers_hold() {
        let caps = manifest("cpu-caps", "[dependencies]\ncpuid-db = {}\n[dev-dependencies]\ncpu-dumps = {}\n");
        check(edges, &[("crates/cpu-caps/Cargo.toml", &caps)], &[]);
        let db = manifest("cpuid-db", "[dependencies]\nbitflags = \"2\"\ncpu-caps = {}\n");
        check(edges, &[("crates/cpuid-db/Cargo.toml", &db)], &["crates/cpuid-db/Cargo.toml:5"]);
        let dumps = manifest("cpu-dumps", "[target.'cfg(unix)'.dependencies]\nother = { package = \"cpu-caps\" }\n");
        check(edges, &[("crates/cpu-dumps/Cargo.toml", &dumps)], &["crates/cpu-dumps/Cargo.toml:4"]);
        let xtask = manifest("xtask", "[build-dependencies]\ncpuid-db = {}\n");
        check(edges, &[("xtask/Cargo.toml", &xtask)], &["xtask/Cargo.toml:4"]);
    }

    #[test]
    fn nobody_uses_the_tops_and_everybody_has_a_layer() {
        let caps = manifest("cpu-caps", "[dev-dependencies]\nvcpu-fuzz = {}\n");
        check(edges, &[("crates/cpu-caps/Cargo.toml", &caps)], &["crates/cpu-caps/Cargo.toml:4"]);
        let cli = manifest("vcpu-cli", "[dependencies]\nxtask = {}\nkvm-backend = {}\n");
        check(edges, &[("crates/vcpu-cli/Cargo.toml", &cli)], &["crates/vcpu-cli/Cargo.toml:4"]);
        check(edges, &[("crates/new/Cargo.toml", &manifest("new", ""))], &["crates/new/Cargo.toml:2"]);
    }

    #[test]
    fn crates_say_what_they_are() {
        let full = manifest("a", "description = \"x\"\nlicense.workspace = true\n[lints]\nworkspace = true\n");
        check(metadata, &[("crates/a/Cargo.toml", &full), ("crates/a/README.md", "# a\n")], &[]);
        check(metadata, &[("crates/a/Cargo.toml", &manifest("a", ""))], &["crates/a/Cargo.toml:1"; 4]);
        check(metadata, &[("xtask/Cargo.toml", &manifest("xtask", ""))], &[]);
    }

    #[test]
    fn dependencies_are_decided_once() {
        let manifest = manifest("cpuid-db", "[dependencies]\nbitflags = \"2\"\n[dev-dependencies]\nproptest = \"1\"\n");
        let files =
            [("a/Cargo.toml", manifest.as_str()), ("b/Cargo.toml", &manifest), ("docs/decisions/0001-a.md", "We take `bitflags`.\n")];
        check(decided, &files, &["a/Cargo.toml:6"]);
    }
}
