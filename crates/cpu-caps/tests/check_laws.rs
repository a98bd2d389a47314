//! The laws of `check`: what is offered is accepted, a baseline is accepted by every member, and a gap is a gap exactly where the
//! rules say so, judged one bit at a time by code that knows only the rules.

mod common;

use common::oracle::ceiling_of;
use common::random::machine;
use common::{Ceiling, baseline};
use cpu_caps::{Accept, Core, Gap, GapKind, Guest, Identity, Subject, Verdict, View, check};
use cpuid_db::{Context, Emulation, Feature, Gate, Kvm, Merge, Policy};
use proptest::prelude::*;

/// One CPU with the views that a check needs.
struct Cpu {
    identity: Identity,
    raw: View,
    ceiling: View,
}

impl Cpu {
    fn new(policy: &Policy, ceiling: Ceiling) -> Self {
        Self { identity: Identity::of(policy), raw: View::of(policy), ceiling: ceiling_of(policy, ceiling) }
    }

    fn core(&self) -> Core<'_> {
        Core { identity: self.identity, raw: &self.raw, ceiling: &self.ceiling }
    }

    fn check(&self, guest: &Policy) -> (Verdict, Vec<Gap>) {
        let view = View::of(guest);
        let guest = Guest { identity: Identity::of(guest), view: &view, msrs: &[] };
        let mut gaps = Vec::new();
        (check(&guest, &Accept::of(self.core()), |gap| gaps.push(gap)), gaps)
    }
}

/// Whether a guest with this bit is refused, by the words of the rules.
fn is_refused(feature: Feature, host: &Cpu) -> bool {
    let row = feature.row();
    let given = host.ceiling.features.contains(feature) || host.ceiling.unknown.contains(feature);
    let opens = row.gates.iter().any(|gate| matches!(gate, Gate::Msr(_) | Gate::MsrBit(..)));
    let owner = cpuid_db::words()[feature.word()].hypervisor;
    let xbegin = host.raw.features.contains(Feature::RTM) || host.raw.features.contains(Feature::RTM_ALWAYS_ABORT);
    let executed = match row.emulation {
        Emulation::None => false,
        Emulation::Always => true,
        Emulation::With(other) => host.ceiling.features.contains(other),
    };
    let no_rtm = !host.raw.features.contains(Feature::RTM) && !host.raw.unknown.contains(Feature::RTM);
    match row.merge {
        _ if given || executed => false,
        Merge::Live | Merge::Local | Merge::Derived => false,
        Merge::Or => opens,
        Merge::Context if matches!(row.context, Some(Context::Rsba | Context::Rrsba)) => false,
        Merge::Context if matches!(row.context, Some(Context::Rtm | Context::RtmAlwaysAbort)) => !xbegin,
        _ if feature == Feature::TAA_NO && no_rtm => false,
        _ => row.alias_of.is_none() && owner.is_none_or(|owner| owner == *b"KVMKVMKVM\0\0\0"),
    }
}

/// Whether a guest without this bit is refused: the machine is limited, and the guest has what the limitation is about.
fn must_be_told(feature: Feature, guest: &View, host: &Cpu) -> bool {
    let row = feature.row();
    let limited = host.raw.features.contains(feature) && !host.raw.unknown.contains(feature);
    let opens = row.gates.iter().any(|gate| matches!(gate, Gate::Msr(_) | Gate::MsrBit(..)));
    let kept_away = opens || row.kvm == Kvm::Never && row.intercepted && !host.ceiling.features.contains(feature);
    let matters = row.requires.iter().all(|edge| edge.any.iter().any(|any| guest.features.contains(*any)));
    let foreign = cpuid_db::words()[feature.word()].hypervisor.is_some();
    row.merge == Merge::Or && limited && !kept_away && matters && !foreign
}

fn found(gaps: &[Gap], feature: Feature) -> Option<GapKind> {
    gaps.iter().find(|gap| gap.subject == Subject::Feature(feature)).map(|gap| gap.kind)
}

/// Scrubs are judged by immunity, and leaf 0AH by its version: the named cases cover them.
fn is_judged_elsewhere(feature: Feature) -> bool {
    let scrubs = [Feature::MD_CLEAR, Feature::FB_CLEAR, Feature::RFDS_CLEAR, Feature::VERW_CLEAR];
    scrubs.contains(&feature) || matches!(feature.location(), cpuid_db::Location::Cpuid { leaf: 0xa, .. })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_gap_is_a_gap_exactly_where_the_rules_say_so(guest in machine(), host in machine()) {
        let view = View::of(&guest);
        for ceiling in [Ceiling::Raw, Ceiling::Kvm] {
            let host = Cpu::new(&host, ceiling);
            let (verdict, gaps) = host.check(&guest);
            for feature in Feature::all().filter(|feature| !is_judged_elsewhere(*feature)) {
                let kind = found(&gaps, feature);
                if view.features.contains(feature) {
                    prop_assert_eq!(kind == Some(GapKind::Missing), is_refused(feature, &host), "{} {:?}", feature, kind);
                } else if feature.row().merge == Merge::Or && !view.unknown.contains(feature) {
                    let untold = kind == Some(GapKind::NotAnnounced);
                    let ceiling_only = host.ceiling.features.contains(feature) && !host.raw.features.contains(feature);
                    prop_assert!(untold == must_be_told(feature, &view, &host) || ceiling_only, "{} {:?}", feature, kind);
                }
            }
            let broken = gaps.iter().any(|gap| !matches!(gap.kind, GapKind::Unrecorded | GapKind::Unprotected));
            prop_assert_eq!(verdict == Verdict::Incompatible, broken);
            prop_assert_eq!(verdict == Verdict::Compatible, gaps.is_empty());
        }
    }

    #[test]
    fn a_baseline_is_accepted_by_every_member(machines in prop::collection::vec(machine(), 1..4)) {
        let vendor = machines[0].vendor();
        let machines: Vec<&Policy> = machines.iter().filter(|machine| machine.vendor() == vendor).collect();
        for ceiling in [Ceiling::Raw, Ceiling::Kvm] {
            let Ok(result) = baseline(&machines, ceiling) else { continue };
            for member in &machines {
                let (verdict, gaps) = Cpu::new(member, ceiling).check(&result.policy);
                prop_assert!(verdict != Verdict::Incompatible, "{:?}", gaps);
            }
        }
    }

    #[test]
    fn what_is_accepted_on_the_way_is_accepted_bit_by_bit(host in machine(), flips in prop::collection::vec(0..Feature::COUNT, 1..4)) {
        // A guest that differs from an accepted one by bits that the host has or that bind nobody is accepted too.
        let cpu = Cpu::new(&host, Ceiling::Kvm);
        let Ok(offer) = baseline(&[&host], Ceiling::Kvm) else { return Ok(()) };
        let all: Vec<Feature> = Feature::all().collect();
        for flip in flips {
            let feature = all[flip];
            let mut guest = offer.policy.clone();
            guest.set_feature(feature, true).unwrap();
            let (_, gaps) = cpu.check(&guest);
            if !is_judged_elsewhere(feature) && View::of(&guest).features.contains(feature) {
                prop_assert_eq!(found(&gaps, feature) == Some(GapKind::Missing), is_refused(feature, &cpu), "{}", feature);
            }
        }
    }
}
