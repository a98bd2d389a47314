//! Real files that speak in names, of hosts whose raw CPUID is there too: what libvirt and QEMU say is compared with the registers,
//! with each other, and with what the corpus says about the files. `VCPU_CORPUS` says where the corpus is.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use cpu_dumps::{Dump, Format, Machine, Target, read, read_template, write};
use cpuid_db::{Feature, FeatureSet, Location, Policy};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os("VCPU_CORPUS").map(PathBuf::from);
    if corpus.is_none() {
        eprintln!("skipped: VCPU_CORPUS is not set");
    }
    corpus
}

/// The one machine of a file; `None` when there is no such file. It survives the own format.
fn machine(path: &Path, format: Format) -> Result<Option<Machine>> {
    let Ok(bytes) = fs::read(path) else { return Ok(None) };
    let mut machines = read(&path.to_string_lossy(), &bytes)?;
    assert_eq!((machines.len(), machines[0].format), (1, format), "{}", path.display());
    let machine = machines.remove(0);
    let again = read("again.json", Dump::new(&machine).to_string().as_bytes())?;
    assert_eq!(again, [Machine { format: Format::Dump, ..machine.clone() }], "{}", path.display());
    Ok(Some(machine))
}

/// The hosts of libvirt's tests: the beginnings of their file names.
fn hosts(corpus: &Path) -> Result<Vec<PathBuf>> {
    let names = fs::read_dir(corpus.join("originals/libvirt"))?;
    let paths: std::io::Result<Vec<PathBuf>> = names.map(|entry| Ok(entry?.path())).collect();
    let mut hosts: Vec<PathBuf> = paths?.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "sig")).collect();
    for path in &mut hosts {
        path.set_extension("");
    }
    hosts.sort();
    Ok(hosts)
}

fn with_suffix(host: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", host.display()))
}

fn policy(machine: &Machine) -> &Policy {
    &machine.cpus[0].policy
}

/// The only word of libvirt that is no feature here: the database has a field for it.
const NO_FEATURE: &str = "intel-pt-lip";

fn assert_known(machine: &Machine, path: &Path) {
    let unknown: Vec<&String> = machine.unknown_names.iter().filter(|name| *name != NO_FEATURE).collect();
    assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
}

/// The features that both sides know and see differently.
fn differences(names: &Policy, other: &Policy, known: &FeatureSet) -> Vec<Feature> {
    let known = names.named.intersection(known);
    let (ours, theirs) = (names.features().intersection(&known), other.features().intersection(&known));
    ours.difference(&theirs).union(&theirs.difference(&ours)).iter().collect()
}

/// What libvirt says on purpose against the registers: it takes TSX away from Haswells whose microcode breaks it, and tells guests that
/// they do not have what it cannot virtualize.
const DISAGREEMENTS: [(&str, &str, &[&str]); 3] = [
    ("x86_64-cpuid-Core-i5-4670T", "-host.xml", &["HLE"]),
    ("x86_64-cpuid-Core-i5-4670T", "-guest.xml", &["HLE"]),
    ("x86_64-cpuid-Atom-P5362", "-guest.xml", &["CORE_CAPABILITIES", "SPLIT_LOCK_DISABLE_SUPPORTED"]),
];

#[test]
fn libvirt_says_what_the_registers_say() -> Result<()> {
    let Some(corpus) = corpus() else { return Ok(()) };
    let mut files = 0;
    for host in hosts(&corpus)? {
        let raw = machine(&with_suffix(&host, ".xml"), Format::LibvirtCpudata)?.ok_or("no raw dump")?;
        let known = FeatureSet::ALL.difference(&policy(&raw).unrecorded_features());
        for suffix in ["-host.xml", "-guest.xml"] {
            let cpu = machine(&with_suffix(&host, suffix), Format::LibvirtCpu)?.ok_or("no description")?;
            files += 1;
            assert_known(&cpu, &host);
            assert_eq!(policy(&cpu).vendor(), policy(&raw).vendor(), "{host:?}{suffix}");
            if suffix == "-host.xml" {
                assert_eq!(policy(&cpu).signature(), policy(&raw).signature(), "{host:?}");
            }
            let name = host.file_name().unwrap_or_default().to_string_lossy();
            let expected = DISAGREEMENTS.iter().find(|row| row.0 == name && row.1 == suffix).map_or(&[][..], |row| row.2);
            let found = differences(policy(&cpu), policy(&raw), &known);
            assert_eq!(found.iter().map(|feature| feature.name()).collect::<Vec<_>>(), expected, "{host:?}{suffix}");
            assert!(policy(&cpu).named.len() > 90, "{host:?}{suffix}: only {} features known", policy(&cpu).named.len());
        }
    }
    eprintln!("{files} descriptions of hosts and guests");
    assert!(files > 0);
    Ok(())
}

/// What QEMU enabled, as libvirt sees it: registers of named bits, without the leaves that announce ranges.
fn enabled(host: &Path, qemu: &Policy) -> Result<Option<Policy>> {
    let Some(machine) = machine(&with_suffix(host, "-enabled.xml"), Format::LibvirtCpudata)? else { return Ok(None) };
    let mut policy = policy(&machine).clone();
    for leaf in [0, 0x4000_0000, 0x8000_0000] {
        policy.cpuid.insert(leaf, 0, qemu.cpuid.get_or_zero(leaf, 0))?;
    }
    Ok(Some(policy))
}

/// Features that libvirt's registers do not have where the hardware has them: KVM's own, AMD's copies of leaf 1, and the VMX
/// capabilities, which libvirt numbers in another way.
fn is_of_libvirt(feature: Feature) -> bool {
    let has_place = match feature.location() {
        Location::Cpuid { leaf, .. } => leaf >> 16 != 0x4000,
        Location::Msr { index, .. } => !(0x480..0x492).contains(&index),
    };
    has_place && feature.row().alias_of.is_none()
}

#[test]
fn qemu_says_what_libvirt_made_of_it() -> Result<()> {
    let Some(corpus) = corpus() else { return Ok(()) };
    let comparable = FeatureSet::ALL.iter().filter(|feature| is_of_libvirt(*feature)).fold(FeatureSet::EMPTY, FeatureSet::with);
    let (mut files, mut unknown) = (0, BTreeSet::new());
    for host in hosts(&corpus)? {
        let Some(qemu) = machine(&with_suffix(&host, ".json"), Format::Qmp)? else { continue };
        let enabled = enabled(&host, policy(&qemu))?.ok_or("no registers")?;
        files += 1;
        unknown.extend(qemu.unknown_names.iter().cloned());
        assert_eq!(differences(policy(&qemu), &enabled, &comparable), [], "{host:?}");
        let cpu = machine(&with_suffix(&host, "-json.xml"), Format::LibvirtCpu)?.ok_or("no description")?;
        assert_known(&cpu, &host);
        // QEMU's old word for two bits of this MSR is libvirt's word for one of them.
        let known = policy(&cpu).named.without(Feature::VMX_INVVPID_SINGLE_CONTEXT);
        assert_eq!(differences(policy(&qemu), policy(&cpu), &known), [], "{host:?}");
    }
    eprintln!("{files} replies of QEMU; names that nobody knows: {unknown:?}");
    assert!(files > 0 && unknown.iter().eq(["arch-facilities"]));
    Ok(())
}

/// What the corpus' own reader says about the same files: model, vendor, lists of names.
#[test]
fn lists_of_names_are_those_of_the_corpus() -> Result<()> {
    let Some(corpus) = corpus() else { return Ok(()) };
    let mut lists = 0;
    for host in hosts(&corpus)? {
        let stem = host.file_name().and_then(|name| name.to_str()).ok_or("no name")?;
        let Some(expected) = expected(&corpus, &format!("libvirt/{stem}.xml"))? else { continue };
        for (key, suffix) in [("libvirt_host", "-host.xml"), ("libvirt_guest", "-guest.xml"), ("libvirt_json", "-json.xml")] {
            let Some(cpu) = machine(&with_suffix(&host, suffix), Format::LibvirtCpu)? else { continue };
            lists += 1;
            for (policies, on) in [(&["present", "require"][..], true), (&["disable"][..], false)] {
                let words = policies.iter().flat_map(|policy| expected[key]["features"][*policy].as_array().cloned().unwrap_or_default());
                let words = words.filter_map(|word| word.as_str().map(str::to_owned));
                for word in words.filter(|word| word != NO_FEATURE) {
                    let Ok(cpuid_db::Found::Named(cpuid_db::Named::Feature(feature))) = cpuid_db::lookup(&format!("libvirt:{word}")) else {
                        return Err(format!("{stem}{suffix}: {word}").into());
                    };
                    assert!(policy(&cpu).named.contains(feature), "{stem}{suffix}: {word}");
                    assert_eq!(policy(&cpu).features().contains(feature), on, "{stem}{suffix}: {word}");
                }
            }
        }
    }
    eprintln!("{lists} lists of names");
    assert!(lists > 0);
    Ok(())
}

/// The `expected` block of the machine with this original.
fn expected(corpus: &Path, original: &str) -> Result<Option<Value>> {
    let index = fs::read_to_string(corpus.join("INDEX.tsv"))?;
    let row = index.lines().find(|line| line.split('\t').any(|cell| cell.split(' ').next() == Some(original)));
    let Some(id) = row.and_then(|row| row.split('\t').next()) else { return Ok(None) };
    let normal: Value = serde_json::from_slice(&fs::read(corpus.join("normalised").join(format!("{id}.json")))?)?;
    Ok(Some(normal["expected"].clone()))
}

#[test]
fn baselines_and_templates_are_read() -> Result<()> {
    let Some(corpus) = corpus() else { return Ok(()) };
    let mut files = 0;
    for entry in fs::read_dir(corpus.join("originals/libvirt"))? {
        let path = entry?.path();
        if path.to_string_lossy().contains("-baseline-") {
            files += 1;
            let cpu = machine(&path, Format::LibvirtCpu)?.ok_or("unreadable")?;
            assert_known(&cpu, &path);
        }
    }
    for entry in fs::read_dir(corpus.join("originals/firecracker/custom_cpu_templates"))? {
        let path = entry?.path();
        files += 1;
        let name = path.to_string_lossy().into_owned();
        let template = read_template(&name, &fs::read(&path)?)?;
        assert!(!template.is_closed() && read(&name, &fs::read(&path)?).is_err(), "{name}");
        assert_eq!(read_template(&name, template.to_string().as_bytes())?, template, "{name}");
    }
    assert!(files > 2, "only {files} files");
    Ok(())
}

/// Every machine of the corpus in every format that is written: what is read again is what was there, but for what is listed.
#[test]
fn machines_survive_every_format() -> Result<()> {
    let Some(corpus) = corpus() else { return Ok(()) };
    let index = fs::read_to_string(corpus.join("INDEX.tsv"))?;
    let column = |name| index.lines().next().and_then(|header| header.split('\t').position(|cell| cell == name)).ok_or("no column");
    let originals = column("originals")?;
    let (mut written, mut refused) = (0, 0);
    for line in index.lines().skip(1) {
        let original = line.split('\t').nth(originals).and_then(|cell| cell.split(' ').next()).ok_or("no original")?;
        let path = corpus.join("originals").join(original);
        for machine in read(original, &fs::read(&path)?)? {
            for target in Target::ALL {
                // The writer itself compares what it wrote with the machine, and refuses to be unfaithful.
                match write(&machine, target) {
                    Ok(_) => written += 1,
                    Err(cpu_dumps::WriteError::Unreadable { reason, .. }) => return Err(format!("{original} {target}: {reason}").into()),
                    Err(_) => refused += 1,
                }
            }
        }
    }
    eprintln!("{written} files written and read again, {refused} refused for want of leaf 0 or a vendor");
    Ok(())
}
