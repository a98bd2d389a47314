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
    let all: Vec<&str> = gates
        .iter()
        .filter_map(|gate| match gate {
            Gate::Instruction(name) => Some(*name),
            _ => None,
        })
        .collect();
    let of = |wanted: Fate| all.iter().copied().filter(|name| fate(name) == wanted).collect::<Vec<_>>();
    let (user, kernel, nothing) = (of(Fate::User), of(Fate::Kernel), of(Fate::Nothing));
    let mut parts = Vec::new();
    if !user.is_empty() {
        let short = "#UD: SIGILL in user space";
        parts.push(Consequence {
            text: format!("{}: {short}", list(&user)),
            short: short.to_owned(),
            ..Consequence::new(Effect::Fault, "")
        });
    }
    if !kernel.is_empty() {
        let short = "#UD in the guest's kernel";
        parts.push(Consequence {
            text: format!("{}: {short}", list(&kernel)),
            short: short.to_owned(),
            ..Consequence::new(Effect::Fault, "")
        });
    }
    for name in &all {
        if let Fate::Other(other) = fate(name) {
            let effect = if *name == "WBNOINVD" { Effect::Slower } else { Effect::Silent };
            let so = if effect == Effect::Slower { "more is flushed" } else { "another result, and no exception" };
            parts.push(Consequence::new(effect, format!("{name} executes as {other}: {so}")));
        }
    }
    if !nothing.is_empty() {
        let short = "the instruction does nothing there";
        parts.push(Consequence {
            text: format!("{}: {short}", list(&nothing)),
            short: short.to_owned(),
            ..Consequence::new(Effect::Slower, "")
        });
    }
    join(parts)
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
