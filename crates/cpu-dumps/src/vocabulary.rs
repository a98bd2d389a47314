//! The words with which QEMU and libvirt turn features on and off.

use std::sync::LazyLock;

use cpuid_db::{Feature, FeatureSet, Location, Project, words};

use crate::named;

/// A word and what it stands for: mostly one feature.
pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) features: FeatureSet,
}

/// All words of a project that a user may say, in the order of the features.
pub(crate) fn vocabulary(project: Project) -> &'static [Word] {
    static QEMU: LazyLock<Vec<Word>> = LazyLock::new(|| collect(Project::Qemu));
    static LIBVIRT: LazyLock<Vec<Word>> = LazyLock::new(|| collect(Project::Libvirt));
    match project {
        Project::Qemu => &QEMU,
        Project::Libvirt => &LIBVIRT,
        _ => &[],
    }
}

/// The features for which there is a word.
pub(crate) fn sayable(project: Project) -> FeatureSet {
    vocabulary(project).iter().fold(FeatureSet::EMPTY, |all, word| all.union(&word.features))
}

/// The bits of the MSRs that tell what VMX can do.
pub(crate) fn vmx_features() -> FeatureSet {
    Feature::all().filter(|feature| matches!(feature.location(), Location::Msr { index: 0x480..=0x492, .. })).collect()
}

/// Words that libvirt knows to read what a host has, and never tells QEMU.
const LIBVIRT_ONLY_READS: [&str; 8] =
    ["cmt", "mbm_local", "mbm_total", "osxsave", "ospke", "vmx-ept-uc", "vmx-ept-wb", "vmx-invvpid-single-context"];

fn collect(project: Project) -> Vec<Word> {
    let mut all: Vec<Word> = Vec::new();
    for feature in Feature::all().filter(|feature| !is_foreign(*feature)) {
        let Some((_, name)) = feature.text().names.iter().find(|(whose, _)| *whose == project) else { continue };
        let is_known = all.iter().any(|word| word.name == *name);
        let is_only_read = project == Project::Libvirt && LIBVIRT_ONLY_READS.contains(name);
        if !is_known && !is_only_read {
            all.push(Word { name, features: named::features(project, name).into_iter().collect() });
        }
    }
    all
}

/// Whether the feature belongs to the interface of a hypervisor other than KVM.
pub(crate) fn is_foreign(feature: Feature) -> bool {
    words().get(feature.word()).is_some_and(|row| row.hypervisor.is_some_and(|whose| whose != KVM))
}

/// KVM's signature.
pub(crate) const KVM: [u8; 12] = *b"KVMKVMKVM\0\0\0";
