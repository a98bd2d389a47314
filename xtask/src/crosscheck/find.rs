//! Which files are upstream sources: by name below a folder, by content if a file is given.

use std::fs;
use std::path::{Path, PathBuf};

use super::claim::{Claims, Parsed};
use super::{kcpuid, kvm, libvirt, linux, qemu, qmp, xen};

/// A kind of source.
pub(crate) struct Kind {
    /// Sources that one exception is about.
    pub(crate) family: &'static str,
    pub(crate) label: &'static str,
    /// The file's name, or how it ends.
    file: &'static str,
    /// Text that such a file contains.
    mark: &'static str,
    parse: fn(&Path, &str) -> Result<Claims, String>,
}

/// In order of preference for files whose name says nothing.
const KINDS: [Kind; 12] = [
    Kind {
        family: "kvm",
        label: "KVM words",
        file: "reverse_cpuid.h",
        mark: "KVM_X86_FEATURE(",
        parse: |path, text| located(path, kvm::reverse_cpuid(text)),
    },
    Kind {
        family: "linux",
        label: "Linux features",
        file: "cpufeatures.h",
        mark: "#define X86_FEATURE_",
        parse: |path, text| located(path, linux::cpufeatures(text)),
    },
    Kind {
        family: "linux",
        label: "Linux scattered",
        file: "scattered.c",
        mark: "cpuid_bits[",
        parse: |path, text| located(path, linux::scattered(text)),
    },
    Kind {
        family: "linux",
        label: "Linux dependencies",
        file: "cpuid-deps.c",
        mark: "cpuid_deps[",
        parse: |path, text| located(path, linux::deps(text)),
    },
    Kind {
        family: "kvm",
        label: "KVM initialisers",
        file: "cpuid.c",
        mark: "kvm_cpu_cap_",
        parse: |path, text| located(path, kvm::cpuid(text)),
    },
    Kind { family: "kcpuid", label: "kcpuid", file: "cpuid.csv", mark: "SUBLEAVES", parse: |path, text| located(path, kcpuid::csv(text)) },
    Kind { family: "qemu", label: "QEMU words", file: "cpu.c", mark: "feature_word_info[", parse: qemu_source },
    Kind {
        family: "xen",
        label: "Xen dependencies",
        file: "gen-cpuid.py",
        mark: "deps = {",
        parse: |path, text| located(path, xen::deps(text)),
    },
    Kind {
        family: "xen",
        label: "Xen features",
        file: "cpufeatureset.h",
        mark: "XEN_CPUFEATURE(",
        parse: |path, text| located(path, xen::featureset(text)),
    },
    Kind { family: "libvirt", label: "libvirt", file: "x86_features.xml", mark: "<feature name=", parse: libvirt_source },
    Kind {
        family: "qmp",
        label: "QEMU properties",
        file: ".json",
        mark: "\"props\"",
        parse: |path, text| located(path, qmp::answers(text)),
    },
    Kind {
        family: "qmp-definitions",
        label: "QEMU definitions",
        file: ".json",
        mark: "\"unavailable-features\"",
        parse: |path, text| located(path, qmp::answers(text)),
    },
];

impl Kind {
    fn is_named(&self, path: &Path) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if self.file.starts_with('.') { name.ends_with(self.file) } else { name == self.file }
    }

    fn is_marked(&self, text: &str) -> bool {
        text.contains(self.mark)
    }
}

fn located(path: &Path, parsed: Parsed) -> Result<Claims, String> {
    parsed.map_err(|error| format!("{}:{error}", path.display()))
}

/// `cpu.c` with the macros of the `cpu.h` beside it.
fn qemu_source(path: &Path, text: &str) -> Result<Claims, String> {
    let header = fs::read_to_string(path.with_file_name("cpu.h")).ok();
    located(path, qemu::cpu(text, header.as_deref()))
}

/// The features, and the names that the models beside them use.
fn libvirt_source(path: &Path, text: &str) -> Result<Claims, String> {
    let mut claims = located(path, libvirt::features(text))?;
    for model in files(path.parent().unwrap_or(Path::new(".")))? {
        let name = model.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("x86_") && model.extension().is_some_and(|end| end == "xml") && model != path {
            claims.bits.extend(located(&model, libvirt::model(&read(&model)?))?.bits);
        }
    }
    Ok(claims)
}

/// A recognised file and what it says.
pub(crate) struct Source {
    pub(crate) kind: &'static Kind,
    pub(crate) path: PathBuf,
    pub(crate) claims: Claims,
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The entries of a folder in order of name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut list: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    list.sort();
    Ok(list)
}

/// All sources at or below a path.
pub(crate) fn sources(path: &Path) -> Result<Vec<Source>, String> {
    let mut found = Vec::new();
    if path.is_dir() {
        walk(path, &mut found)?;
        if found.is_empty() {
            return Err(format!("{}: no upstream source below it", path.display()));
        }
        return Ok(found);
    }
    let text = read(path)?;
    let mut kinds: Vec<&'static Kind> = KINDS.iter().filter(|kind| kind.is_marked(&text)).collect();
    kinds.sort_by_key(|kind| !kind.is_named(path));
    let kind = kinds.first().ok_or_else(|| format!("{}: no known upstream source", path.display()))?;
    let claims = (kind.parse)(path, &text)?;
    Ok(vec![Source { kind, path: path.to_owned(), claims }])
}

fn walk(folder: &Path, found: &mut Vec<Source>) -> Result<(), String> {
    /// Linux keeps a second, later updated copy of its headers for its own tools there.
    const COPY: &str = "tools/arch/x86/include";
    if folder.ends_with(COPY) || folder.ends_with(".git") {
        return Ok(());
    }
    for path in files(folder)? {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(&path, found)?;
            continue;
        }
        for kind in KINDS.iter().filter(|kind| kind.is_named(&path)) {
            let text = read(&path)?;
            if kind.is_marked(&text) {
                let claims = (kind.parse)(&path, &text)?;
                found.push(Source { kind, path: path.clone(), claims });
            }
        }
    }
    Ok(())
}
