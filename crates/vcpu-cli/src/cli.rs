//! The command line as a whole. Each command describes its own arguments.

use clap::{Parser, Subcommand};

use crate::commands;

/// What x86 CPUs promise by CPUID and feature MSRs, and what a fleet can promise together.
#[derive(Parser, Debug)]
#[command(name = "vcpu", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done or compatible; 1 incompatible or refused; 2 wrong usage or input; 3 nothing could be run.
Numbers in CPUID.L.S.REG[b] are hexadecimal, the bit is decimal. Files may be in any known format; - is standard input.";

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Record this machine: raw CPUID, once per core type.
    Probe(commands::probe::Args),
    /// Decode a dump: identity, features, fields, unknown bits, unrecorded places.
    Show(commands::show::Args),
    /// Explain a feature, field, MSR or bit, by any spelling.
    Explain(commands::explain::Args),
    /// Find the guest policy for one machine: everything, or a named model.
    Resolve(commands::resolve::Args),
    /// Find the guest policy for a pool of machines, and which machine costs what.
    Baseline(commands::baseline::Args),
    /// Say whether a guest may run on other machines, and name every gap.
    Check(commands::check::Args),
    /// Name the differences between two machines or policies.
    Diff(commands::diff::Args),
    /// Write a machine in another format, and say what that format cannot hold.
    Convert(commands::convert::Args),
    /// Write a guest policy in the words of a hypervisor.
    Export(commands::export::Args),
    /// Write a completion script for a shell.
    Completions(commands::completions::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
