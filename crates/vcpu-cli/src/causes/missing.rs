//! What happens to a guest that was promised a feature which is not there.

use cpuid_db::{Context, Feature, Gate, Location, Merge};

use super::instructions::{Fate, fate};
use super::{Consequence, Effect, Origin, bits, singles};
use crate::words;

/// How many mnemonics a sentence names.
const MOST: usize = 3;

/// What happens.
pub(crate) fn of_feature(feature: Feature) -> Consequence {
    let row = feature.row();
    if let Some(original) = row.alias_of {
        let own = of_feature(original);
        return Consequence { text: format!("as {original}, which it repeats: {}", own.text), ..own };
    }
    if let Some((effect, text)) = singles::of_feature(feature) {
        return Consequence::new(effect, text);
    }
    if let Some(attack) = feature.text().title.strip_prefix("Not affected by ") {
        let text = format!("the guest believes that the CPU is not affected by {attack}, and leaves the mitigation off");
        return Consequence::new(Effect::Exposed, text);
    }
    let is_limitation = row.merge == Merge::Or || matches!(row.context, Some(Context::Rsba | Context::Rrsba));
    if is_limitation && row.gates.is_empty() {
        return Consequence::new(Effect::Harmless, "the guest allows for a limitation that the machine does not have");
    }
    if matches!(row.merge, Merge::Live | Merge::Local) {
        return Consequence::new(Effect::Harmless, "it belongs to the VM or follows its state; it promises nothing of the machine");
    }
    of_gates(feature).or_else(|| of_leaf(feature)).unwrap_or_else(|| fallback(feature))
}

/// Nothing is known but the title.
fn fallback(feature: Feature) -> Consequence {
    let text = format!("the guest counts on it and it is not there: {}", title(feature));
    Consequence { origin: Origin::Fallback, ..Consequence::new(Effect::Gone, text) }
}

fn title(feature: Feature) -> &'static str {
    feature.text().title
}

/// From what the feature opens; what is worst comes first.
fn of_gates(feature: Feature) -> Option<Consequence> {
    let gates = feature.row().gates;
    let parts = [state(gates), control(gates), instructions(gates), msrs(gates)];
    let mut parts = parts.into_iter().flatten();
    let mut first = parts.next()?;
    for part in parts {
        first.text.extend(["; ", &part.text]);
    }
    Some(first)
}

fn state(gates: &[Gate]) -> Option<Consequence> {
    let components: Vec<String> = gates
        .iter()
        .filter_map(|gate| match gate {
            Gate::Xcr0(bit) => Some(format!("XCR0[{bit}]")),
            Gate::Xss(bit) => Some(format!("IA32_XSS[{bit}]")),
            _ => None,
        })
        .collect();
    let list = components.join(" and ");
    let text = format!("#GP when the guest sets {list}; saved state with this component cannot be restored");
    let short = "#GP when the guest enables the XSAVE component; saved state with it cannot be restored".to_owned();
    (!list.is_empty()).then_some(Consequence { effect: Effect::Restore, short, text, origin: Origin::Own })
}

fn control(gates: &[Gate]) -> Option<Consequence> {
    let named: Vec<String> = gates
        .iter()
        .filter_map(|gate| match *gate {
            Gate::Cr4(bit) => Some(format!("CR4.{}", bits::cr4(bit))),
            Gate::Efer(bit) => Some(format!("EFER.{}", bits::efer(bit))),
            _ => None,
        })
        .collect();
    let list = named.join(" or ");
    let text = format!("#GP when the guest sets {list}; with it set KVM_SET_SREGS fails on restore");
    let short = "#GP when the guest sets the bit in CR4 or EFER; with it set KVM_SET_SREGS fails on restore".to_owned();
    (!list.is_empty()).then_some(Consequence { effect: Effect::Restore, short, text, origin: Origin::Own })
}

fn instructions(gates: &[Gate]) -> Option<Consequence> {
    let all = || {
        gates.iter().filter_map(|gate| match gate {
            Gate::Instruction(name) => Some(*name),
            _ => None,
        })
    };
    let shared = |wanted: Fate, effect: Effect, short: &str| {
        let names: Vec<&str> = all().filter(|name| fate(name) == wanted).collect();
        let text = format!("{}: {short}", list(&names));
        (!names.is_empty()).then(|| Consequence { effect, short: short.to_owned(), text, origin: Origin::Own })
    };
    let faults =
        [shared(Fate::User, Effect::Fault, "#UD: SIGILL in user space"), shared(Fate::Kernel, Effect::Fault, "#UD in the guest's kernel")];
    let nothing = shared(Fate::Nothing, Effect::Slower, "the instruction does nothing there");
    join(faults.into_iter().flatten().chain(all().filter_map(other)).chain(nothing).collect())
}

/// An instruction that executes as another one.
fn other(name: &str) -> Option<Consequence> {
    let Fate::Other(other) = fate(name) else { return None };
    let (effect, so) = match name {
        "WBNOINVD" => (Effect::Slower, "more is flushed"),
        _ => (Effect::Silent, "another result, and no exception"),
    };
    Some(Consequence::new(effect, format!("{name} executes as {other}: {so}")))
}

/// One consequence of several: the first gives the effect.
fn join(parts: Vec<Consequence>) -> Option<Consequence> {
    let text: Vec<String> = parts.iter().map(|part| part.text.clone()).collect();
    parts.into_iter().next().map(|first| Consequence { text: text.join("; "), ..first })
}

fn list(mnemonics: &[&str]) -> String {
    words::some_of(mnemonics, mnemonics.len(), MOST)
}

fn msrs(gates: &[Gate]) -> Option<Consequence> {
    let mut whole: Vec<String> = Vec::new();
    let mut parts: Vec<String> = Vec::new();
    for gate in gates {
        match *gate {
            Gate::Msr(index) => whole.push(format!("{index:X}H")),
            Gate::MsrBit(index, bit) => parts.push(format!("{bit} of MSR {index:X}H")),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if !whole.is_empty() {
        let text = format!("#GP on access to MSR {}, and on restore of its value", words::some_of(&whole, whole.len(), MOST));
        let short = "#GP on access to the MSR, and on restore of its value".to_owned();
        found.push(Consequence { effect: Effect::Restore, short, text, origin: Origin::Own });
    }
    if !parts.is_empty() {
        let text = format!(
            "values with bit {} are refused: #GP, and a stored value cannot be restored",
            words::some_of(&parts, parts.len(), MOST)
        );
        let short = "#GP when the guest sets the bit in the MSR; a stored value with it cannot be restored".to_owned();
        found.push(Consequence { effect: Effect::Restore, short, text, origin: Origin::Own });
    }
    join(found)
}

/// From the leaf or MSR that holds it.
fn of_leaf(feature: Feature) -> Option<Consequence> {
    let place = match feature.location() {
        Location::Cpuid { leaf, .. } => leaf,
        Location::Msr { index, .. } => index,
    };
    let is_msr = matches!(feature.location(), Location::Msr { .. });
    let found = singles::LEAVES.iter().find(|one| one.is_msr == is_msr && (one.first..=one.last).contains(&place));
    found.map(|one| Consequence {
        effect: one.effect,
        short: one.text.to_owned(),
        text: format!("{}: {}", one.text, title(feature)),
        origin: Origin::Leaf,
    })
}
