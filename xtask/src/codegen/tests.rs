//! What the generator says about bad data: file, line, what, and how to mend it.

use super::data::{RawFile, Source};
use super::{check, model};
use crate::report::Problems;

/// A whole small leaf: one feature in EAX, the rest reserved; `row` goes into the middle.
fn leaf(row: &str) -> String {
    format!(
        "leaf = \"0x00000099\"\ntitle = \"test\"\nreserved = [\"0.eax[31:1]\", \"0.ebx[31:0]\", \"0.ecx[31:0]\", \"0.edx[31:0]\"]\n\n[[row]]\nat = \"0.eax[0]\"\n{row}\n"
    )
}

fn complaints(text: &str) -> String {
    let mut problems = Problems::default();
    match toml::from_str::<RawFile>(text) {
        Ok(raw) => {
            let source = Source { name: "leaf-test.toml".into(), text: text.into(), raw };
            let model = model::build(&[source], 0, &mut problems);
            if problems.is_empty() {
                check::references(&model, &["kcpuid".to_owned()].into(), &mut problems);
            }
        }
        Err(error) => return error.message().to_owned(),
    }
    problems.into_result().map_or_else(|text| text, |()| "fine".into())
}

const GOOD: &str = "name = \"GOOD\"\ntitle = \"good\"\nkvm = \"never\"\ncite = \"uncited\"";

#[test]
fn a_good_row_is_fine() {
    assert_eq!(complaints(&leaf(GOOD)), "fine");
}

#[test]
fn each_fault_is_named_with_line_and_fix() {
    let with = |extra: &str| leaf(&format!("{GOOD}\n{extra}"));
    for (text, message) in [
        (with("merge = \"or\""), "leaf-test.toml:5: GOOD: merge `or` without a reason; say why in `because`"),
        (with("merge = \"xor\"\nbecause = \"why\""), "use one of and, or, fixed, live, local, derived, context"),
        (with("live = \"cr4.x\""), "`live` and `merge = \"live\"` go together"),
        (with("merge = \"live\"\nbecause = \"why\"\nlive = \"cr4.x\""), "live source `cr4.x`; known: cr4.osxsave"),
        (with("shown_if = \"luck\""), "condition `luck`; known: monitor-fsm"),
        (with("merge = \"live\"\nbecause = \"why\"\nlive = \"cr4.kl\"\nshown_if = \"tsx\""), "`shown_if` hides a capability"),
        (with("gates = [\"cr4:NOPE\"]"), "gate `cr4:NOPE`"),
        (with("vendors = [\"arm\"]"), "vendor `arm`; known: intel, amd"),
        (with("kvm_if = [\"luck\"]"), "KVM input `luck`"),
        (with("kvm_since = \"six\""), "kernel `six`"),
        (with("kvm_from = [{ all = [\"GOOD\"], before = \"6\" }]"), "kernel `6`"),
        (with("kvm_from = [{ families = \"0x19-0x17\" }]"), "with an odd range"),
        (with("kvm_from = [{ since = \"6.1\" }]"), "that says nothing"),
        (with("kvm_from = [{ none = [\"GONE\"] }]"), "`GONE` is not a feature"),
        (with("kvm_needs = [\"GONE\"]"), "`GONE` is not a feature"),
        (with("kvm_from = [{ all = [\"GOOD\"], vendors = [\"amd\"], families = \"0x17\", models = [\"0x30-0xff\"] }]"), "fine"),
        (with("names = { bsd = \"x\" }"), "project `bsd`"),
        (
            with("requires = [{ feature = \"GONE\", kind = \"policy\", because = \"x\" }]"),
            "GOOD: `GONE` is not a feature; spell it as the row that defines it",
        ),
        (with("requires = [{ kind = \"policy\", because = \"x\" }]"), "an edge names one `feature` or `any` of several"),
        (with("requires = [{ feature = \"GOOD\", kind = \"firm\", because = \"x\" }]"), "kind is architectural or policy"),
        (with("requires = [{ feature = \"GOOD\", kind = \"architectural\", because = \"x\" }]"), "fine"),
        (leaf(&GOOD.replace("uncited", "sdm 1")), "citation `sdm`; add it to docs/manuals.toml or write `uncited`"),
        (leaf(&GOOD.replace("GOOD", "bad name")), "not a name; use A-Z, 0-9 and _"),
        (leaf(&GOOD.replace("never", "sometimes")), "`kvm = \"sometimes\"`"),
        (with("colour = \"red\""), "unknown field `colour`"),
        (with("pinned = \"yes\""), "`pinned` is the reason why a feature ties a guest to one machine; write a sentence, on a feature"),
        (leaf(GOOD).replace("[31:1]", "[31:2]"), "leaf-test.toml:3: 0.eax[1:1] is not accounted for; name it or list it in `reserved`"),
        (leaf(GOOD).replace("[31:1]", "[31:0]"), "every bit belongs to one row"),
        (leaf(GOOD).replace("0.edx[31:0]", "0.edx[30:0]"), "0.edx[31:31] is not accounted for"),
        (leaf(GOOD).replace("at = \"0.eax[0]\"", "at = \"0.eax[40]\""), "`0.eax[40]` is not a place"),
        (leaf(GOOD).replace("leaf = \"0x00000099\"", ""), "a file is about one leaf or one MSR"),
        (format!("{}\n[[row]]\nat = \"1.eax[0]\"\n{GOOD}\n", leaf(GOOD)), "`GOOD` is named twice"),
    ] {
        let said = complaints(&text);
        assert!(said.contains(message), "{said}\n--- is not about ---\n{message}");
    }
}

#[test]
fn long_architectural_circles_are_refused_and_direct_pairs_are_not() {
    let row = |name: &str, bit: u8, needs: &str| {
        format!(
            "[[row]]\nat = \"0.eax[{bit}]\"\nname = \"{name}\"\ntitle = \"t\"\nkvm = \"never\"\ncite = \"uncited\"\nrequires = [{{ feature = \"{needs}\", kind = \"architectural\", because = \"b\" }}]\n"
        )
    };
    let head = "leaf = \"0x99\"\ntitle = \"t\"\nreserved = [\"0.eax[31:3]\", \"0.ebx[31:0]\", \"0.ecx[31:0]\", \"0.edx[31:0]\"]\n";
    let circle = format!("{head}{}{}{}", row("A", 0, "B"), row("B", 1, "C"), row("C", 2, "A"));
    assert!(complaints(&circle).contains("A needs itself by way of others"));
    let pair = format!("{head}{}{}{}", row("A", 0, "B"), row("B", 1, "A"), row("C", 2, "A"));
    assert_eq!(complaints(&pair), "fine");
}
