//! Arguments that several commands share: what limits a guest, and what it must or must not have.

use clap::ValueEnum;
use cpu_caps::StockKvm;
use cpuid_db::{FeatureSet, Found, KernelVersion, KvmInputs, Named, lookup};

use crate::answer::Failure;
use crate::baseline::Ceiling;
use crate::commands::explain;

/// What limits a guest beside the hardware.
#[derive(clap::Args, Debug)]
pub(crate) struct CeilingArgs {
    /// What limits a guest beside the hardware.
    #[arg(long, value_enum, default_value_t = Limit::Kvm)]
    ceiling: Limit,

    /// Options of KVM that are on, for machines whose dumps do not record KVM's answer.
    #[arg(long, value_enum, value_name = "OPTION", value_delimiter = ',')]
    kvm: Vec<KvmOption>,

    /// Options of KVM that are off, though they are on by default.
    #[arg(long, value_enum, value_name = "OPTION", value_delimiter = ',')]
    no_kvm: Vec<KvmOption>,

    /// Linux version whose KVM the model follows, such as 6.12; the newest that it knows by default.
    #[arg(long, value_name = "VERSION", value_parser = kernel)]
    kernel: Option<KernelVersion>,
}

fn kernel(text: &str) -> Result<KernelVersion, String> {
    KernelVersion::parse(text).ok_or_else(|| "write a version such as 6.12".to_owned())
}

/// What limits a guest beside the hardware.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Limit {
    /// What KVM gives, recorded or derived.
    Kvm,
    /// Nothing.
    Raw,
}

/// An option of KVM, or hardware support that it uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum KvmOption {
    /// Two-dimensional paging: EPT or NPT (on by default).
    Tdp,
    /// Nested virtualization: kvm_intel.nested or kvm_amd.nested.
    Nested,
    /// Virtual PMU: kvm.enable_pmu (on by default).
    Pmu,
    /// Virtual PEBS, where the CPU allows it (on by default).
    Pebs,
    /// Intel PT in the guest: kvm_intel.pt_mode=1.
    Pt,
    /// SGX virtualization: kvm_intel.sgx (on by default).
    Sgx,
    /// CET virtualization (on by default).
    Cet,
    /// SEV: kvm_amd.sev.
    Sev,
    /// Permission for AMX state (on by default).
    Xfd,
}

impl KvmOption {
    const fn inputs(self) -> KvmInputs {
        match self {
            Self::Tdp => KvmInputs::TDP,
            Self::Nested => KvmInputs::NESTED,
            Self::Pmu => KvmInputs::PMU,
            Self::Pebs => KvmInputs::PEBS,
            Self::Pt => KvmInputs::PT,
            Self::Sgx => KvmInputs::SGX,
            Self::Cet => KvmInputs::CET,
            Self::Sev => KvmInputs::SEV,
            Self::Xfd => KvmInputs::XFD,
        }
    }
}

impl CeilingArgs {
    /// The arguments as they were said, for suggestions of other command lines.
    pub(crate) fn words(&self) -> Vec<String> {
        let list = |name: &str, options: &[KvmOption]| {
            let words: Vec<String> = options.iter().filter_map(KvmOption::to_possible_value).map(|one| one.get_name().to_owned()).collect();
            (!words.is_empty()).then(|| format!("{name} {}", words.join(",")))
        };
        let raw = (self.ceiling == Limit::Raw).then(|| "--ceiling raw".to_owned());
        let kernel = self.kernel.map(|kernel| format!("--kernel {kernel}"));
        [raw, list("--kvm", &self.kvm), list("--no-kvm", &self.no_kvm), kernel].into_iter().flatten().collect()
    }

    /// The ceiling that they describe.
    ///
    /// # Errors
    /// A failure where they contradict each other.
    pub(crate) fn ceiling(&self) -> Result<Ceiling, Failure> {
        let on: KvmInputs = self.kvm.iter().map(|option| option.inputs()).collect();
        let off: KvmInputs = self.no_kvm.iter().map(|option| option.inputs()).collect();
        if on.intersects(off) {
            return Err(Failure::wrong("the same option is named by --kvm and --no-kvm"));
        }
        match self.ceiling {
            Limit::Raw if self.kernel.is_some() => Err(Failure::wrong("--kernel describes KVM, which --ceiling raw leaves out")),
            Limit::Raw if !(on | off).is_empty() => Err(Failure::wrong("--kvm and --no-kvm describe KVM, which --ceiling raw leaves out")),
            Limit::Raw => Ok(Ceiling::Raw),
            Limit::Kvm => {
                let inputs = (StockKvm::default().inputs | on).difference(off);
                Ok(Ceiling::Kvm(StockKvm { inputs, kernel: self.kernel.unwrap_or(KernelVersion::NEWEST) }))
            }
        }
    }
}

/// What a guest must or must not have.
#[derive(clap::Args, Debug)]
pub(crate) struct WishArgs {
    /// A feature that the guest must have, by any spelling; refuse if it cannot.
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    with: Vec<String>,

    /// A feature that the guest must not have.
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    without: Vec<String>,
}

impl WishArgs {
    /// The features that must be there, and those that must not.
    ///
    /// # Errors
    /// A failure for words that name no feature, and for features that are both.
    pub(crate) fn sets(&self) -> Result<(FeatureSet, FeatureSet), Failure> {
        let with = features("--with", &self.with)?;
        let without = features("--without", &self.without)?;
        match with.intersection(&without).iter().next() {
            Some(both) => Err(Failure::wrong(format!("{both} is asked for by --with and refused by --without"))),
            None => Ok((with, without)),
        }
    }
}

/// The features that these words name.
///
/// # Errors
/// A failure that names the option, for words that name no feature.
pub(crate) fn features(option: &str, words: &[String]) -> Result<FeatureSet, Failure> {
    let mut set = FeatureSet::EMPTY;
    for word in words {
        match lookup(word) {
            Ok(Found::Named(Named::Feature(feature))) => set.set(feature, true),
            Ok(_) => return Err(Failure::wrong(format!("{option}: \"{word}\" is not a feature (a single bit)"))),
            Err(error) => {
                let failure = explain::failure(word, error);
                return Err(Failure { message: format!("{option}: {}", failure.message), ..failure });
            }
        }
    }
    Ok(set)
}
