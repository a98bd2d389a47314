//! How stock KVM comes to report something, in words.

use cpuid_db::{Feature, Field, FieldKvm, KernelVersion, Kvm, KvmInputs, KvmModules, KvmRule};

/// Sentences about a feature.
pub(super) fn of_feature(feature: Feature) -> String {
    let row = feature.row();
    let mut text = match row.kvm {
        Kvm::Native => "Reported where the hardware has it and the host kernel uses it",
        Kvm::X86_64 => "Reported where the hardware has it, by 64-bit kernels",
        Kvm::Scattered => "Reported where the hardware has it; the kernel keeps the bit in a word of its own",
        Kvm::Passthrough => "Reported as the hardware says, whatever the host kernel does with it",
        Kvm::Synthesized => "Reported by what the host kernel knows of the CPU, whether or not the hardware says so",
        Kvm::Emulated => "Reported on every host: KVM provides it",
        Kvm::Aliased => "Reported on AMD and Hygon as a copy of the leaf 1 bit",
        Kvm::Vendor => "Reported by the VMX or SVM module where it supports it",
        Kvm::Runtime => "Never reported: KVM drives it for each vCPU",
        Kvm::Fixed => "Reported on every host as a constant",
        Kvm::Never => "Never reported",
    }
    .to_owned();
    let mut add = |condition: &str, what: &str| {
        if !what.is_empty() {
            text.extend(["; ", condition, " ", what]);
        }
    };
    add("only with", &inputs(row.kvm_if));
    add("not under", modules(row.kvm_not));
    add("only on hosts with", &names(row.kvm_needs));
    add("since Linux", &since(row.kvm_since));
    for rule in row.kvm_from {
        add("also", &rule_words(rule));
    }
    text + "."
}

fn names(features: &[Feature]) -> String {
    features.iter().map(|feature| feature.name()).collect::<Vec<_>>().join(" and ")
}

fn since(kernel: KernelVersion) -> String {
    if kernel == KernelVersion::ALWAYS { String::new() } else { kernel.to_string() }
}

/// Where else a feature is reported.
fn rule_words(rule: &KvmRule) -> String {
    let mut words = Vec::new();
    if !rule.vendors.is_empty() {
        let vendors = rule
            .vendors
            .iter_names()
            .map(|(name, _)| if name == "AMD" { name.to_owned() } else { name[..1].to_owned() + &name[1..].to_lowercase() });
        words.push(format!("on {}", vendors.collect::<Vec<_>>().join(" and ")));
    }
    match rule.families {
        (0, u16::MAX) => {}
        (first, last) if first == last => words.push(format!("family {first:X}H")),
        (first, last) => words.push(format!("families {first:X}H to {last:X}H")),
    }
    if !rule.models.is_empty() {
        let models =
            rule.models.iter().map(|(first, last)| if first == last { format!("{first:X}H") } else { format!("{first:X}H-{last:X}H") });
        words.push(format!("models {}", models.collect::<Vec<_>>().join(", ")));
    }
    if !rule.all.is_empty() {
        words.push(format!("where the host has {}", names(rule.all)));
    }
    if !rule.none.is_empty() {
        words.push(format!("without {}", names(rule.none)));
    }
    if rule.since != KernelVersion::ALWAYS {
        words.push(format!("since Linux {}", rule.since));
    }
    if let Some(before) = rule.before {
        words.push(format!("before Linux {before}"));
    }
    words.join(" ")
}

/// What has to be on.
pub(crate) fn inputs(inputs: KvmInputs) -> String {
    const TEXTS: [(KvmInputs, &str); 9] = [
        (KvmInputs::TDP, "two-dimensional paging (EPT or NPT)"),
        (KvmInputs::NESTED, "nested virtualization (nested=1)"),
        (KvmInputs::PMU, "the virtual PMU (kvm.enable_pmu=1)"),
        (KvmInputs::PEBS, "virtual PEBS (Ice Lake servers, and PEBS format 5)"),
        (KvmInputs::PT, "Intel PT in the guest (kvm_intel.pt_mode=1)"),
        (KvmInputs::SGX, "SGX virtualization (kvm_intel.sgx=1)"),
        (KvmInputs::CET, "CET virtualization"),
        (KvmInputs::SEV, "SEV (kvm_amd.sev=1)"),
        (KvmInputs::XFD, "permission for AMX state"),
    ];
    let texts: Vec<&str> = TEXTS.iter().filter(|(input, _)| inputs.contains(*input)).map(|(_, text)| *text).collect();
    texts.join(" and ")
}

fn modules(modules: KvmModules) -> &'static str {
    match (modules.contains(KvmModules::VMX), modules.contains(KvmModules::SVM)) {
        (true, true) => "kvm_intel and kvm_amd",
        (true, false) => "kvm_intel",
        (false, true) => "kvm_amd",
        (false, false) => "",
    }
}

/// The data file's word for a field.
pub(super) fn word_of_field(kvm: FieldKvm) -> String {
    match kvm {
        FieldKvm::Host => "host".to_owned(),
        FieldKvm::Zero => "zero".to_owned(),
        FieldKvm::AtMost(most) => format!("min:{most:#x}"),
        FieldKvm::AtLeast(least) => format!("max:{least:#x}"),
        FieldKvm::Mask(mask) => format!("mask:{mask:#x}"),
        FieldKvm::Const(value) => format!("const:{value:#x}"),
        FieldKvm::Derived => "derived".to_owned(),
    }
}

/// A sentence about a field.
pub(super) fn of_field(field: Field) -> String {
    let row = field.row();
    let text = match row.kvm {
        FieldKvm::Host => "Reported as the hardware says".to_owned(),
        FieldKvm::Zero => "Reported as zero".to_owned(),
        FieldKvm::AtMost(most) => format!("Reported as the hardware says, at most {most:#x}"),
        FieldKvm::AtLeast(least) => format!("Reported as the hardware says, at least {least:#x}"),
        FieldKvm::Mask(mask) => format!("Reported as the hardware says, of the bits {mask:#x}"),
        FieldKvm::Const(value) => format!("Reported as {value:#x}"),
        FieldKvm::Derived => "Computed by KVM from the rest of its answer".to_owned(),
    };
    match inputs(row.kvm_if) {
        conditions if conditions.is_empty() => text + ".",
        conditions => format!("{text}, with {conditions}; else zero."),
    }
}
