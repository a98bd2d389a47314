//! The laws of pools and baselines, on machines that need not exist.

use arbitrary::{Result, Unstructured};
use cpu_caps::{Baseline, Core, FieldValue, Identity, Machine, Outcome, Pool, Refusal, Request, StockKvm, View, field_slots, finish};
use cpuid_db::{EdgeKind, Feature, FeatureSet, KernelVersion, KvmInputs, Merge, Policy, Vendor, ZeroMeans};

use crate::inputs;

/// A machine as the engine sees it.
pub(crate) struct Member {
    pub(crate) identity: Identity,
    pub(crate) raw: View,
    pub(crate) ceiling: View,
}

/// Order and grouping do not matter, knowing twice is knowing; a baseline is closed, within every member, and its own baseline.
pub fn pool_laws(bytes: &[u8]) {
    let Ok((fleet, request)) = fleet(&mut Unstructured::new(bytes)) else { return };
    let whole = fold(&fleet, 0..fleet.len());
    grouping(&fleet, &whole);
    let asked = finish(&whole, &request);
    knowing_twice(&whole, &request, &asked);
    if let Ok(baseline) = &asked {
        closed(&baseline.features);
        obeyed(baseline, &request);
    }
    let Ok(baseline) = finish(&whole, &Request::default()) else { return };
    assert_eq!(baseline.features, baseline.policy.features(), "registers and features agree");
    closed(&baseline.features);
    for member in &fleet {
        within(&baseline, member);
        fields_within(&baseline, member);
    }
    resolved_again(&baseline);
}

/// Up to four machines, mostly of one vendor, under the ceiling of some KVM or their own, and what the operator asks for.
pub(crate) fn fleet(u: &mut Unstructured<'_>) -> Result<(Vec<Member>, Request)> {
    let vendor = *u.choose(&[Vendor::Intel, Vendor::Amd, Vendor::Hygon])?;
    let kvm = if u.arbitrary()? {
        None
    } else {
        Some(StockKvm { inputs: KvmInputs::from_bits_truncate(u.arbitrary()?), kernel: KernelVersion::new(u.arbitrary()?, u.arbitrary()?) })
    };
    let mut request = Request { any_vendor: u.arbitrary()?, force: u.arbitrary()?, ..Request::default() };
    for _ in 0..u.int_in_range(0..=2)? {
        let feature = inputs::feature(u)?;
        let list = if u.arbitrary()? { &mut request.with } else { &mut request.without };
        list.set(feature, true);
    }
    let mut fleet = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        let vendor = if u.ratio(1, 16)? { Vendor::Zhaoxin } else { vendor };
        fleet.push(member(&inputs::cpu(u, vendor)?, kvm));
    }
    Ok((fleet, request))
}

pub(crate) fn member(policy: &Policy, kvm: Option<StockKvm>) -> Member {
    let raw = View::of(policy);
    let ceiling = kvm.map_or_else(|| raw.clone(), |kvm| kvm.view(policy, &raw));
    Member { identity: Identity::of(policy), raw, ceiling }
}

/// A pool that remembers fewer machines than a fleet may have, so that lists of witnesses overflow.
pub(crate) type SmallPool = Pool<3>;

pub(crate) fn fold(fleet: &[Member], order: impl Iterator<Item = usize>) -> Box<SmallPool> {
    let mut pool = Box::new(SmallPool::new());
    for id in order {
        let Member { identity, raw, ceiling } = &fleet[id];
        let cores = [Core { identity: *identity, raw, ceiling }];
        pool.add(&Machine { id: id as u32, cores: &cores });
    }
    pool
}

fn grouping(fleet: &[Member], whole: &SmallPool) {
    assert!(*whole == *fold(fleet, (0..fleet.len()).rev()), "order");
    let half = fleet.len() / 2;
    let mut grouped = fold(fleet, half..fleet.len());
    grouped.merge(&fold(fleet, 0..half));
    assert!(*whole == *grouped, "grouping");
}

/// Counts aside, a pool merged with itself knows nothing new.
fn knowing_twice(whole: &SmallPool, request: &Request, once: &core::result::Result<Baseline, Refusal>) {
    let mut doubled = Box::new(whole.clone());
    doubled.merge(whole);
    match (once, finish(&doubled, request)) {
        (Ok(once), Ok(twice)) => assert_eq!(once.policy, twice.policy, "knowing twice"),
        (Err(once), Err(twice)) => assert_eq!(core::mem::discriminant(once), core::mem::discriminant(&twice), "{once} and {twice}"),
        (once, twice) => panic!("{:?} and {:?}", once.as_ref().err(), twice.err()),
    }
}

pub(crate) fn closed(set: &FeatureSet) {
    for feature in set {
        for edge in feature.row().requires.iter().filter(|edge| edge.kind == EdgeKind::Architectural) {
            assert!(set.contains_any(edge.any), "{feature} without any of {:?}", edge.any);
        }
    }
}

/// What was granted has what was asked for, and nothing that was refused by name.
fn obeyed(baseline: &Baseline, request: &Request) {
    assert!(request.with.is_subset(&baseline.features), "{:?}", request.with.difference(&baseline.features));
    let kept = request.without.difference(&request.with).intersection(&baseline.features);
    assert!(kept.iter().all(is_static), "{kept:?} was asked away");
}

/// Bits that follow the run-time state or repeat another bit: an operator's word does not reach them.
fn is_static(feature: Feature) -> bool {
    matches!(feature.row().merge, Merge::Live | Merge::Local | Merge::Derived) || feature.row().alias_of.is_some()
}

/// AND bits are within the ceiling of every member; OR bits of every member are announced where their owner is.
fn within(baseline: &Baseline, member: &Member) {
    let set = &baseline.features;
    for feature in Feature::all() {
        let row = feature.row();
        let outcome = baseline.decisions.feature(feature).outcome;
        let given = matches!(outcome, Outcome::Granted | Outcome::Raised);
        assert!(outcome == Outcome::Chosen || given == set.contains(feature), "{feature}: decided {outcome:?}");
        match row.merge {
            Merge::And | Merge::Fixed => {
                assert!(!set.contains(feature) || member.ceiling.features.contains(feature), "{feature} is above a member");
            }
            Merge::Or => {
                let limited = member.raw.features.contains(feature) && !member.raw.unknown.contains(feature);
                assert!(!limited || set.contains(feature) || is_moot(feature, set), "{feature} limits a member and is not announced");
            }
            _ => {}
        }
    }
}

/// A limitation need not be told when its owner is withheld, when telling would open an MSR, or when no guest meets it.
fn is_moot(feature: Feature, set: &FeatureSet) -> bool {
    let row = feature.row();
    let ownerless = row.requires.iter().any(|edge| !set.contains_any(edge.any));
    let of_hypervisor = cpuid_db::words().get(feature.word()).is_some_and(|word| word.hypervisor.is_some());
    ownerless || of_hypervisor || row.intercepted || !row.gates.is_empty()
}

/// Fields that are not withheld are no more than the least of the members, or no less than the most, as their rule says.
fn fields_within(baseline: &Baseline, member: &Member) {
    for at in field_slots() {
        let row = at.field.row();
        let Some(decision) = baseline.decisions.field(at).filter(|decision| decision.outcome != Outcome::Withheld) else { continue };
        let (name, guest) = (at.field.name(), baseline.policy.field(at).unwrap_or(0));
        assert_eq!(guest, decision.value, "{name}: the registers say what was decided");
        let FieldValue::Known(host) = member.ceiling.field(at) else { continue };
        match row.merge {
            Merge::Min if row.zero_means == ZeroMeans::Zero => assert!(guest <= host, "{name}: {guest:#x} above {host:#x}"),
            Merge::Max if row.zero_means == ZeroMeans::Zero => assert!(guest >= host, "{name}: {guest:#x} below {host:#x}"),
            Merge::And => assert_eq!(guest & !host, 0, "{name}: {guest:#x} above {host:#x}"),
            Merge::Or => assert_eq!(host & !guest, 0, "{name}: {guest:#x} lacks {host:#x}"),
            _ => {}
        }
    }
}

/// The baseline of a baseline is itself.
fn resolved_again(baseline: &Baseline) {
    let again = finish(&fold(&[member(&baseline.policy, None)], 0..1), &Request::default()).expect("a baseline has a baseline");
    assert_eq!(again.policy.cpuid, baseline.policy.cpuid, "CPUID resolved again");
    assert_eq!(again.policy.msrs, baseline.policy.msrs, "MSRs resolved again");
}
