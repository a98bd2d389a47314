//! `cargo xtask crosscheck PATH...`: the data files against the upstream sources on disk.
//!
//! Each source is read into claims (a name, a place, an opinion), and each claim is looked for among the rows. Bits that we lack and
//! positions that conflict fail; other differences are reported, since projects may differ. Reasoned exceptions are listed in
//! `docs/crosscheck-exceptions.toml`, and one that no longer occurs fails too.

mod claim;
mod compare;
mod ctext;
mod database;
mod exceptions;
mod find;
mod kcpuid;
mod kvm;
mod libvirt;
mod linux;
mod output;
mod qemu;
mod qmp;
#[cfg(test)]
mod tests;
mod xen;

use std::io::Write as _;
use std::path::Path;

use database::Database;
use exceptions::Exceptions;
use output::Compared;

const USAGE: &str = "cargo xtask crosscheck [--verbose] [--json] PATH...";

/// Compares the sources at and below the given paths.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<(), String> {
    let (options, paths): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with("--"));
    if let Some(odd) = options.iter().find(|option| !["--verbose", "--json"].contains(*option)) {
        return Err(format!("crosscheck: unknown argument `{odd}`; {USAGE}"));
    }
    if paths.is_empty() {
        return Err(format!("crosscheck: which sources? {USAGE}"));
    }
    let model = crate::codegen::load(root)?;
    let database = Database::new(&model);
    let mut exceptions = Exceptions::load(root)?;
    let mut all = Vec::new();
    for path in paths {
        for source in find::sources(Path::new(path))? {
            all.push(compare_one(&database, source, &mut exceptions));
        }
    }
    let topics =
        |compared: &Compared| compare::topics(&compared.source.claims).into_iter().map(|topic| (compared.source.kind.family, topic));
    let checked: Vec<_> = all.iter().flat_map(topics).collect();
    let stale = exceptions.stale(&checked);
    let text = if options.contains(&"--json") { output::json(&all, &stale) } else { output::text(&all, options.contains(&"--verbose")) };
    writeln!(std::io::stdout(), "{text}").map_err(|error| format!("crosscheck: {error}"))?;
    verdict(&all, &stale)
}

fn compare_one(database: &Database<'_>, source: find::Source, exceptions: &mut Exceptions) -> Compared {
    let mut outcome = compare::compare(database, &source.claims);
    let before = outcome.findings.len();
    outcome.findings.retain(|finding| !exceptions.covers(source.kind.family, finding));
    Compared { excepted: before - outcome.findings.len(), source, outcome }
}

/// Fails if bits are missing, positions conflict, or an exception is not needed any more.
fn verdict(all: &[Compared], stale: &[String]) -> Result<(), String> {
    let fatal = all.iter().flat_map(|compared| &compared.outcome.findings).filter(|finding| finding.topic.is_fatal()).count();
    if fatal == 0 && stale.is_empty() {
        return Ok(());
    }
    let mut lines = stale.to_vec();
    if fatal > 0 {
        lines.push(format!("crosscheck: {fatal} missing or conflicting; add them to crates/cpuid-db/data, or to {}", exceptions::FILE));
    }
    Err(lines.join("\n"))
}
