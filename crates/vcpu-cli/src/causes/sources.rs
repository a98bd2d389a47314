//! Where the database's rows come from: the documents that were opened, by the handles of docs/manuals.toml.

/// The documents. Those of tools/arch/x86/kcpuid repeat the vendors' manuals, bit by bit.
const DOCUMENTS: [(&str, &str); 21] = [
    ("kcpuid", "tools/arch/x86/kcpuid/cpuid.csv (x86-cpuid-db v1.0)"),
    ("kcpuid-3", "tools/arch/x86/kcpuid/cpuid.csv (x86-cpuid-db v3.1)"),
    ("linux-cpufeatures", "arch/x86/include/asm/cpufeatures.h"),
    ("linux-kvm-cpuid", "arch/x86/kvm/cpuid.c"),
    ("linux-msr-index", "arch/x86/include/asm/msr-index.h"),
    ("linux-kvm-errata", "Documentation/virt/kvm/x86/errata.rst"),
    ("linux-hw-vuln", "Documentation/admin-guide/hw-vuln/PAGE.rst"),
    ("linux-kvm-para", "arch/x86/include/uapi/asm/kvm_para.h"),
    ("linux-hyperv-tlfs", "arch/x86/include/asm/hyperv-tlfs.h"),
    ("linux-vmx-h", "arch/x86/include/asm/vmx.h and arch/x86/include/asm/vmxfeatures.h"),
    ("linux-mce-h", "arch/x86/include/asm/mce.h"),
    ("linux-kvm-nested", "arch/x86/kvm/vmx/nested.c"),
    ("linux-kvm-capabilities", "arch/x86/kvm/vmx/capabilities.h"),
    ("linux-kvm-hyperv", "arch/x86/kvm/hyperv.h"),
    ("linux-scattered", "arch/x86/kernel/cpu/scattered.c"),
    ("linux-hyperv-tlfs-generic", "include/asm-generic/hyperv-tlfs.h"),
    ("openvmm-hvdef", "vm/hv1/hvdef/src/lib.rs"),
    ("linux-kvm-reverse-cpuid", "arch/x86/kvm/reverse_cpuid.h"),
    ("linux-kvm-msr", "Documentation/virt/kvm/x86/msr.rst"),
    ("linux-amd-ibs", "arch/x86/include/asm/amd-ibs.h"),
    ("linux-kvm-hyperv-test", "tools/testing/selftests/kvm/x86_64/hyperv_features.c"),
];

/// The document that a citation names, with the place in it; nothing for rows without an opened source.
pub(crate) fn document(cite: &str) -> Option<String> {
    let (handle, place) = cite.split_once(' ').unwrap_or((cite, ""));
    let (_, title) = DOCUMENTS.iter().find(|(known, _)| *known == handle)?;
    Some(if place.is_empty() { (*title).to_owned() } else { format!("{title}, {place}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_those_of_the_list_of_manuals() {
        let manuals = include_str!("../../../../docs/manuals.toml");
        let mut listed = Vec::new();
        let mut handle = "";
        for line in manuals.lines() {
            if let Some(name) = line.strip_prefix('[') {
                handle = name.trim_end_matches(']');
            } else if let Some(title) = line.strip_prefix("title") {
                listed.push((handle, title.trim_start_matches([' ', '=']).trim_matches('"')));
            }
        }
        assert_eq!(listed, DOCUMENTS);
    }

    #[test]
    fn places_stand_beside_documents() {
        assert_eq!(document("linux-kvm-errata x87").unwrap(), "Documentation/virt/kvm/x86/errata.rst, x87");
        assert_eq!(document("uncited"), None);
    }
}
