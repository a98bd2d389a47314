//! The comparison, on a small database of its own; and which files are found.

use std::fs;
use std::path::{Path, PathBuf};

use super::claim::{At, Claim, Claims, Edge, End, Word};
use super::compare::{Outcome, Topic, compare};
use super::database::Database;
use super::{find, output};
use crate::codegen::data::{RawFile, Source};
use crate::codegen::model::{Model, build};
use crate::report::Problems;

const LEAF: &str = r#"
leaf = "0x00000007"
title = "test"
reserved = ["0.eax[31:10]", "0.ebx[31:0]", "0.ecx[31:0]", "0.edx[31:0]"]

[[row]]
at = "0.eax[0]"
name = "BASE"
title = "base"
names = { linux = "BASE", qemu = ["base", "base-alias"], xen = "BASIS" }
kvm = "native"
cite = "uncited"

[[row]]
at = "0.eax[1]"
name = "MIDDLE"
title = "middle"
names = { linux = "MID", qemu = "middle" }
kvm = "vendor"
requires = [{ feature = "BASE", kind = "architectural", because = "b" }]
cite = "uncited"

[[row]]
at = "0.eax[2]"
name = "TOP"
title = "top"
names = { linux = "TOP", qemu = "top" }
kvm = "never"
merge = "or"
because = "x"
requires = [{ feature = "MIDDLE", kind = "policy", because = "b" }]
cite = "uncited"

[[row]]
at = "0.eax[3]"
name = "BASE_COPY"
title = "copy"
merge = "derived"
because = "x"
alias_of = "BASE"
kvm = "aliased"
cite = "uncited"

[[row]]
at = "0.eax[9:4]"
field = "NUMBER"
title = "number"
names = { kcpuid = "number" }
merge = "min"
because = "x"
kvm = "host"
cite = "uncited"
"#;

fn model() -> Model {
    let mut problems = Problems::default();
    let raw: RawFile = toml::from_str(LEAF).expect("the test's leaf");
    let model = build(&[Source { name: "leaf.toml".into(), text: LEAF.into(), raw }], 0, &mut problems);
    problems.into_result().expect("the test's leaf is complete");
    model
}

const EAX: Word = Word::Cpuid { leaf: 7, subleaf: 0, register: 0 };

fn claim(bit: u8, who: &'static str, word: &str) -> Claim {
    Claim::new(5, At::Place(EAX.bit(bit)), vec![(who, word.to_owned())])
}

fn outcome(bits: Vec<Claim>) -> Outcome {
    compare(&Database::new(&model()), &Claims { bits, ..Claims::default() })
}

fn found(outcome: &Outcome) -> Vec<String> {
    outcome.findings.iter().map(|finding| format!("{} {}: {}", finding.topic.key(), finding.bit, finding.text)).collect()
}

#[test]
fn bits_names_and_places() {
    let word = |at, word: &str| Claim::new(5, at, vec![("linux", word.to_owned())]);
    for (claim, finding) in [
        (claim(0, "linux", "BASE"), ""),
        (claim(0, "xen", "BASE"), "name CPUID.7.0.EAX[0]: xen:BASE is BASE"),
        (claim(0, "qemu", "base_alias"), "name CPUID.7.0.EAX[0]: qemu:base_alias is BASE"),
        (claim(10, "linux", "NEW"), "missing CPUID.7.0.EAX[10]: linux:NEW has no row"),
        (claim(1, "linux", "BASE"), "position CPUID.7.0.EAX[1]: linux:BASE is BASE of ours at CPUID.7.0.EAX[0]"),
        (claim(10, "linux", "MID"), "position CPUID.7.0.EAX[10]: linux:MID is MIDDLE of ours at CPUID.7.0.EAX[1]"),
        (claim(5, "kcpuid", "number"), ""),
        (word(At::Word(EAX), "MID"), ""),
        (word(At::Word(EAX), "GONE"), "missing linux:GONE: no row of this name in CPUID.7.0.EAX"),
        (word(At::Nowhere, "MIDDLE"), "missing linux:MIDDLE: no row of this name"),
        (Claim::new(1, At::Nowhere, vec![("qemu", "BASE_alias".into())]), ""),
    ] {
        let outcome = outcome(vec![claim.clone()]);
        assert_eq!(found(&outcome), if finding.is_empty() { vec![] } else { vec![finding] }, "{claim:?}");
    }
    let mut aliased = claim(0, "qemu", "base");
    aliased.spellings.push(("qemu", "base_ALIAS".into()));
    assert_eq!(found(&outcome(vec![aliased])), [""; 0], "an alias only has to be understood");
}

#[test]
fn what_they_lack_is_counted_in_words_that_they_know() {
    let outcome = outcome(vec![claim(0, "linux", "BASE"), claim(0, "linux", "BASE"), claim(1, "linux", "MID")]);
    assert_eq!(outcome.named, 2);
    assert_eq!(outcome.they_lack, ["CPUID.7.0.EAX[2] TOP", "CPUID.7.0.EAX[3] BASE_COPY"]);
}

#[test]
fn opinions_about_kvm_and_pools() {
    let kvm = |name: &str, kvm| Claim { kvm: Some(kvm), ..Claim::new(5, At::Word(EAX), vec![("linux", name.to_owned())]) };
    let bits = vec![kvm("BASE", &["native", "aliased"]), kvm("TOP", &["vendor"])];
    let claims = Claims { bits, kvm_words: vec![EAX], kvm_listed: &["native", "vendor"], ..Claims::default() };
    let outcome = compare(&Database::new(&model()), &claims);
    assert_eq!(
        found(&outcome),
        ["kvm CPUID.7.0.EAX[1]: MIDDLE: ours vendor, not in their list", "kvm CPUID.7.0.EAX[2]: TOP: ours never, theirs vendor",]
    );
    let merge = |bit, or| Claim { or_merge: Some(or), ..claim(bit, "linux", if bit == 0 { "BASE" } else { "TOP" }) };
    assert_eq!(found(&self::outcome(vec![merge(0, false), merge(2, true)])), [""; 0]);
    assert_eq!(found(&self::outcome(vec![merge(0, true)])), ["merge CPUID.7.0.EAX[0]: BASE: ours and, theirs or"]);
}

#[test]
fn edges_are_direct_or_by_way_of_others() {
    let named = |word: &str| End::Named(("linux", word.to_owned()));
    let edge = |parent, child| Edge { line: 5, parent, child };
    let edges = vec![
        edge(named("BASE"), named("MID")),
        edge(named("BASE"), named("TOP")),
        edge(named("TOP"), named("BASE")),
        edge(End::Bits(vec![EAX.bit(0), EAX.bit(2)]), End::Bits(vec![EAX.bit(1), EAX.bit(31)])),
        edge(named("GONE"), named("BASE")),
    ];
    let outcome = compare(&Database::new(&model()), &Claims { edges, ..Claims::default() });
    assert_eq!(outcome.edges, [1, 1, 2], "none, policy, architectural");
    assert_eq!(found(&outcome), ["missing linux:GONE: no row of this name", "edge BASE -> TOP: not an edge of ours"]);
    assert_eq!(outcome.only_ours, ["TOP -> MIDDLE (Policy)"]);
    let whole = vec![edge(named("BASE"), End::WordOf(("linux", "TOP".into())))];
    let outcome = compare(&Database::new(&model()), &Claims { edges: whole, ..Claims::default() });
    assert_eq!(found(&outcome), ["edge BASE_COPY -> BASE: not an edge of ours"]);
}

/// A folder that is removed again.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a writable temporary folder");
            fs::write(path, text).expect("a writable temporary folder");
        }
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const HEADER: &str = "/* CPUID level 0x7 (EAX), word 0 */\n#define X86_FEATURE_BASE (0*32+0)\n#define X86_FEATURE_NEW (0*32+20)\n";

#[test]
fn sources_are_found_by_name_in_folders_and_by_content_as_files() {
    let row = "# LEAF, SUBLEAVES\n1, 0, eax, 0, x, y\n";
    let feature = "<cpus><feature name='a'><cpuid eax_in='0x7' eax='0x1'/></feature></cpus>";
    let folder = Folder::new(
        "find",
        &[
            ("arch/cpufeatures.h", HEADER),
            ("tools/arch/x86/include/asm/cpufeatures.h", HEADER),
            ("other/cpufeatures.h", "int x;"),
            ("odd-name.txt", row),
            ("map/x86_features.xml", feature),
            ("map/x86_model.xml", "<cpus><model><feature name='b'/></model></cpus>"),
            ("map/arm_model.xml", "<cpus><model><feature name='c'/></model></cpus>"),
            ("broken/cpuid.csv", "# nothing"),
        ],
    );
    let label = |path: &Path| find::sources(path).map(|list| list.iter().map(|source| source.kind.label).collect::<Vec<_>>());
    assert_eq!(label(&folder.0), Ok(vec!["Linux features", "libvirt"]));
    assert_eq!(label(&folder.0.join("odd-name.txt")), Ok(vec!["kcpuid"]));
    let map = find::sources(&folder.0.join("map")).unwrap();
    let words: Vec<&str> = map[0].claims.bits.iter().map(|claim| claim.spellings[0].1.as_str()).collect();
    assert_eq!(words, ["a", "b"]);
    for (path, message) in
        [("other", "no upstream source below it"), ("other/cpufeatures.h", "no known upstream source"), ("none", "none: ")]
    {
        let error = label(&folder.0.join(path)).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    fs::write(folder.0.join("broken/cpuid.csv"), "# SUBLEAVES\n1, 0, efx, 0, x, y\n").unwrap();
    let error = label(&folder.0).unwrap_err();
    assert!(error.ends_with("cpuid.csv:2: `efx` is not a known word"), "{error}");
}

#[test]
fn reports_and_verdicts() {
    let folder = Folder::new("report", &[("cpufeatures.h", HEADER)]);
    let source = find::sources(&folder.0).unwrap().remove(0);
    let outcome = compare(&Database::new(&model()), &source.claims);
    assert_eq!(outcome.count(Topic::Missing), 1);
    let compared = output::Compared { source, outcome, excepted: 0 };
    let text = output::details(&compared, true);
    for line in [
        "2 named, 3 they lack, 1 missing, 0 conflicts, 1 name differences",
        "cpufeatures.h:3: CPUID.7.0.EAX[20]: linux:NEW has no row",
        "    CPUID.7.0.EAX[2] TOP",
    ] {
        assert!(text.contains(line), "{text}\n--- lacks ---\n{line}");
    }
    let all = [compared];
    let json: serde_json::Value = serde_json::from_str(&output::json(&all, &[])).unwrap();
    assert_eq!(json.pointer("/sources/0/findings/0/kind").and_then(serde_json::Value::as_str), Some("missing"));
    assert!(super::verdict(&all, &[]).unwrap_err().starts_with("crosscheck: 1 missing or conflicting"));
    assert_eq!(super::verdict(&[], &["stale".into()]), Err("stale".into()));
    assert_eq!(super::verdict(&[], &[]), Ok(()));
}

#[test]
fn arguments() {
    for (args, message) in [(&["--odd"][..], "unknown argument `--odd`"), (&[][..], "which sources?"), (&["--json"][..], "which sources?")]
    {
        let error = super::run(Path::new("."), args).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}
