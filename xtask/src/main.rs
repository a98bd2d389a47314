//! The project's own tasks: `cargo xtask help` lists them.

mod cargo;
mod ci;
mod codegen;
mod codegen_msr;
mod crosscheck;
mod fuzz;
mod import_machine;
mod probe;
mod report;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask TASK

  codegen [--check|--summary]   regenerate the tables from crates/cpuid-db/data
  crosscheck [--verbose] [--json] PATH..
                                compare the tables with upstream sources: Linux, KVM, kcpuid, QEMU, libvirt, Xen
  import-machine FILE [--name NAME] [--source TEXT]
                                a dump in any readable format becomes testdata/hosts/NAME.json, with what to review
  tidy                          the house rules that a machine can check
  ci                            everything that must hold: fmt, clippy, codegen, tidy, tests, docs, no_std probe, fuzz stubs
  probe                         links the core crates without std and allocator, and runs the program
  fuzz [--seconds N | --minutes N] [TARGET..]
                                run the fuzz targets (needs cargo-fuzz) and report executions
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["codegen", rest @ ..] => codegen::run(&root(), rest),
        ["crosscheck", rest @ ..] => crosscheck::run(&root(), rest),
        ["import-machine", rest @ ..] => import_machine::run(&root(), rest),
        ["tidy"] => tidy::run(&root()),
        ["ci"] => ci::run(&root()),
        ["probe"] => probe::run(&root()),
        ["fuzz", rest @ ..] => fuzz::run(&root(), rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("unknown task `{}`\n\n{HELP}", other.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The repository: xtask's own manifest is one folder below it.
fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or_else(|| manifest.clone(), PathBuf::from)
}
