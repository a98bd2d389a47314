//! What to do about a gap.

use cpu_caps::{Because, Cause, Gap, GapKind, Outcome, Subject};
use cpuid_db::{Feature, FeatureSet, FieldAt, Gate, KvmInputs, Project, Unrecorded};

use super::{closes, place_to_record};
use crate::baseline::{Case, Ceiling, input_words, place_of, reasons};
use crate::words;

/// One thing that helps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fix {
    /// Nothing but a new start on the other maker's CPU.
    Restart,
    /// The same CPU model: the software below differs.
    Kernel,
    /// An option of KVM that is off there.
    Option(u16),
    /// New microcode would bring it.
    Microcode(Feature),
    /// Something has to be recorded on the machine.
    Record(Unrecorded),
    /// Something has to be recorded of the guest.
    RecordGuest(Unrecorded),
    /// The guest must not be promised this.
    Withhold(Feature),
    /// The guest must be told of this.
    Announce(Feature),
    /// The guest must be given a number that fits.
    Number(FieldAt, u64),
    /// The guest must clear bits of an MSR before it moves.
    Clear(u32),
    /// Time: scaling, or no promise.
    Scale,
    /// A policy made for both machines.
    Together,
}

/// What helps against a gap, under this ceiling.
pub(crate) fn of_gap(gap: &Gap, ceiling: Ceiling) -> Fix {
    if let (GapKind::Unrecorded, Some(place)) = (gap.kind, place_to_record(gap.subject)) {
        return if gap.guest.is_none() { Fix::RecordGuest(place) } else { Fix::Record(place) };
    }
    match gap.subject {
        Subject::Vendor => Fix::Restart,
        _ if gap.because == Because::Kernel => Fix::Kernel,
        Subject::TscFrequency => Fix::Scale,
        Subject::Msr(index) => Fix::Clear(index),
        Subject::Feature(feature) => match gap.kind {
            GapKind::NotAnnounced => Fix::Announce(feature),
            GapKind::Unprotected => Fix::Microcode(feature),
            _ => option(feature, gap.because, ceiling).unwrap_or(Fix::Withhold(feature)),
        },
        Subject::Field(at) => match (closes(at), gap.kind, gap.host) {
            (Some(feature), ..) => Fix::Withhold(feature),
            (None, GapKind::TooSmall, Some(host)) => Fix::Number(at, host),
            _ => Fix::Together,
        },
    }
}

/// The option of KVM that is off and would give it.
fn option(feature: Feature, because: Because, ceiling: Ceiling) -> Option<Fix> {
    let Ceiling::Kvm(stock) = ceiling else { return None };
    let off = feature.row().kvm_if.difference(stock.inputs);
    (because == Because::Hypervisor && !off.is_empty()).then(|| Fix::Option(off.bits()))
}

/// What would change a decision of a pool; empty where nothing would.
pub(crate) fn of_decision(case: &Case, feature: Feature) -> String {
    let decision = case.baseline.decisions.feature(feature);
    if !matches!(decision.outcome, Outcome::Withheld | Outcome::Undecided) {
        return String::new();
    }
    let reason = reasons::of_feature(case, feature);
    let hosts = words::some_of(&reason.hosts.names, reason.hosts.count, reason.hosts.count);
    match (decision.cause, case.ceiling) {
        (Cause::MissingOnHost, _) if reason.hosts.count < case.fleet.hosts.len() => format!("Leave out {hosts} to gain {feature}."),
        (Cause::NotInKvm, Ceiling::Kvm(stock)) => {
            let off = input_words(feature.row().kvm_if.difference(stock.inputs)).join(",");
            if off.is_empty() { String::new() } else { format!("Turn on in KVM: {off} (then --kvm {off}).") }
        }
        (Cause::Unrecorded, _) => format!("Record on {hosts}: {}.", words::unrecorded(place_of(feature))),
        _ => String::new(),
    }
}

/// Sentences for several fixes on one machine; what can be said together is said together.
pub(crate) fn sentences(fixes: &[Fix], host: &str) -> Vec<String> {
    let host = words::clean(host);
    let once = |fix: Fix, text: String| fixes.contains(&fix).then_some(text);
    let same = format!("The same CPU model: bring kernel, KVM's options and microcode of {host} to those that the guest was started with.");
    let first = [
        once(Fix::Restart, "No move between makers: start the guest anew.".to_owned()),
        once(Fix::Kernel, same),
        options(fixes, &host),
        record(&recorded(fixes, false), &host),
        record(&recorded(fixes, true), "the guest"),
        about(
            fixes,
            |fix| if let Fix::Microcode(feature) = fix { Some(feature) } else { None },
            |features| format!("Update the microcode of {host} to get {}.", names(features)),
        ),
        about(fixes, |fix| if let Fix::Withhold(feature) = fix { Some(feature) } else { None }, withhold),
        about(
            fixes,
            |fix| if let Fix::Announce(feature) = fix { Some(feature) } else { None },
            |features| format!("Start the guest with them announced: --with {}.", joined(features)),
        ),
    ];
    let clears = fixes.iter().filter_map(|fix| match fix {
        Fix::Clear(index) => Some(format!("Let the guest clear those bits of MSR {index:X}H before it moves.")),
        _ => None,
    });
    let last = [
        numbers(fixes, &host),
        once(Fix::Scale, "Start the guest without INVARIANT_TSC, or move it to machines that scale the TSC.".to_owned()),
        once(Fix::Together, format!("Start the guest with a policy for both: vcpu baseline with its machine and {host}.")),
    ];
    first.into_iter().flatten().chain(clears).chain(last.into_iter().flatten()).collect()
}

fn numbers(fixes: &[Fix], host: &str) -> Option<String> {
    let number = |fix: &Fix| match fix {
        Fix::Number(at, value) => Some(format!("{} at most {}", at.field.name(), words::number(*value))),
        _ => None,
    };
    let numbers: Vec<String> = fixes.iter().filter_map(number).collect();
    let list = words::some_of(&numbers, numbers.len(), numbers.len());
    (!numbers.is_empty()).then(|| format!("Start the guest with numbers that hold on {host} too, as vcpu baseline gives them: {list}."))
}

fn options(fixes: &[Fix], host: &str) -> Option<String> {
    let off = fixes.iter().fold(0, |off, fix| if let Fix::Option(bits) = fix { off | bits } else { off });
    let words = input_words(KvmInputs::from_bits_retain(off)).join(",");
    (off != 0).then(|| format!("Turn on in KVM on {host} what is off there: {words} (then --kvm {words}, or record {host} again)."))
}

fn record(places: &[String], whose: &str) -> Option<String> {
    const MOST: usize = 8;
    (!places.is_empty()).then(|| format!("Record on {whose}: {}.", words::some_of(places, places.len(), MOST)))
}

/// A sentence about the features of one kind of fix.
fn about(fixes: &[Fix], pick: impl Fn(Fix) -> Option<Feature>, say: impl Fn(&[Feature]) -> String) -> Option<String> {
    let mut features: Vec<Feature> = fixes.iter().filter_map(|fix| pick(*fix)).collect();
    features.sort_unstable();
    features.dedup();
    (!features.is_empty()).then(|| say(&features))
}

fn recorded(fixes: &[Fix], of_guest: bool) -> Vec<String> {
    let mut places: Vec<Unrecorded> = fixes
        .iter()
        .filter_map(|fix| match (fix, of_guest) {
            (Fix::Record(place), false) | (Fix::RecordGuest(place), true) => Some(*place),
            _ => None,
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    places.into_iter().map(words::unrecorded).collect()
}

/// What goes with others goes by itself: only the roots have to be named.
fn withhold(features: &[Feature]) -> String {
    let roots = roots(features);
    let mut text = format!("Start the guest without them: --without {}", joined(&roots));
    if roots.len() < features.len() {
        text += ", which takes the others along";
    }
    text.push('.');
    if let Some(flags) = qemu(features) {
        text.extend([" QEMU: -cpu ...,", &flags, "."]);
    }
    text
}

/// The features that take all others of the list along. Features may need each other, so one is taken after the other.
fn roots(features: &[Feature]) -> Vec<Feature> {
    let is_component = |feature: &Feature| feature.row().gates.iter().any(|gate| matches!(gate, Gate::Xcr0(_) | Gate::Xss(_)));
    let is_here = |one: &Feature| features.contains(one) && !is_component(one);
    let among = |feature: &Feature| feature.row().requires.iter().filter(|edge| edge.any.iter().all(is_here)).count();
    let mut order = features.to_vec();
    // People name instructions, not the state that comes with them.
    order.sort_by_key(|feature| (is_component(feature), among(feature)));
    let (mut roots, mut gone) = (Vec::new(), FeatureSet::EMPTY);
    for feature in order {
        if !gone.contains(feature) {
            roots.push(feature);
            gone = gone.with(feature);
        }
        while let Some(next) = features.iter().find(|one| !gone.contains(**one) && loses(**one, &gone)) {
            gone = gone.with(*next);
        }
    }
    roots.sort_unstable();
    roots
}

/// Whether the feature lacks something that it needs.
fn loses(feature: Feature, gone: &FeatureSet) -> bool {
    feature.row().requires.iter().any(|edge| edge.any.iter().all(|parent| gone.contains(*parent)))
}

/// `-avx2,-bmi1`: for a few features that QEMU has words for.
fn qemu(features: &[Feature]) -> Option<String> {
    const MOST: usize = 6;
    let flag = |feature: &Feature| {
        let names = feature.text().names.iter();
        names.filter(|(project, _)| *project == Project::Qemu).map(|(_, name)| format!("-{name}")).next()
    };
    let flags: Option<Vec<String>> = features.iter().map(flag).collect();
    flags.filter(|flags| flags.len() <= MOST).map(|flags| flags.join(","))
}

fn joined(features: &[Feature]) -> String {
    let names: Vec<&str> = features.iter().map(|feature| feature.name()).collect();
    names.join(",")
}

fn names(features: &[Feature]) -> String {
    let names: Vec<&str> = features.iter().map(|feature| feature.name()).collect();
    words::some_of(&names, names.len(), names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_are_named_even_where_features_need_each_other() {
        let cases: [(&[Feature], &[Feature]); 3] = [
            (&[Feature::MPX, Feature::XCR0_BNDREGS, Feature::XCR0_BNDCSR], &[Feature::MPX]),
            (&[Feature::AVX512BW, Feature::AVX512F, Feature::XCR0_OPMASK, Feature::SMEP], &[Feature::SMEP, Feature::AVX512F]),
            (&[Feature::AVX512BW], &[Feature::AVX512BW]),
        ];
        for (features, expected) in cases {
            assert_eq!(roots(features), expected, "{features:?}");
        }
    }
}
