//! One guest on one machine: what it gets, and whether it may be there.

use arbitrary::{Result, Unstructured};
use cpu_caps::{
    Accept, Attempt, Base, Cause, Core, FieldValue, GapKind, Guest, Identity, Request, Subject, Verdict, View, attempt, check, finish,
};
use cpuid_db::{FeatureSet, MsrEntry, Policy, Vendor};

use crate::inputs;
use crate::pool::{Member, SmallPool, closed, fleet, fold};

/// A request is answered or comes with the nearest answer; either is closed, within the machine but for named exceptions, and final.
pub fn resolve(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let Ok((fleet, request)) = fleet(&mut u) else { return };
    let Ok(request) = wish(&mut u, &request) else { return };
    let pool = fold(&fleet, 0..1);
    let Ok(answer) = attempt(&pool, &request) else { return };
    closed(&answer.baseline.features);
    bounded(&answer, &fleet[0], &request);
    nearest(&pool, &answer, &request);
    let everything = Request { base: Base::Everything, ..request };
    if let (Base::Migratable, Ok(all)) = (request.base, attempt(&pool, &everything)) {
        let pinned = answer.baseline.features.intersection(&FeatureSet::PINNED).difference(&request.with);
        assert!(pinned.is_empty(), "{pinned:?} tie the guest to its machine");
        let more = answer.baseline.features.difference(&all.baseline.features);
        assert!(more.iter().all(|feature| feature.row().context.is_some()), "{more:?} only without the pinned");
    }
}

/// Any base, and for some guests a CPU to show.
fn wish(u: &mut Unstructured<'_>, request: &Request) -> Result<Request> {
    let base = match u.int_in_range(0..=3)? {
        0 => Base::Everything,
        1 => Base::Migratable,
        _ => Base::Only(inputs::features(u)?),
    };
    let identity = if u.arbitrary()? { Some(Identity::of(&inputs::cpu(u, Vendor::Intel)?)) } else { None };
    Ok(Request { base, identity, ..*request })
}

/// Nothing above the machine but what an exception names, and nothing of which a model or the operator said no.
fn bounded(answer: &Attempt, machine: &Member, request: &Request) {
    let baseline = &answer.baseline;
    for feature in &baseline.features.difference(&machine.ceiling.features) {
        let row = feature.row();
        let cause = baseline.decisions.feature(feature).cause;
        let excused = matches!(cause, Cause::Emulated | Cause::Limitation | Cause::Live | Cause::Local | Cause::Derived | Cause::Request);
        assert!(excused || row.context.is_some() || row.alias_of.is_some(), "{feature} is above the machine: {cause:?}");
    }
    if let Base::Only(model) = request.base {
        let more = baseline.features.difference(&model).difference(&request.with).difference(&Base::BEYOND_MODELS);
        assert!(more.iter().all(|feature| feature.row().alias_of.is_some()), "{more:?} is not of the model");
    }
}

/// What could not be given is told, and without it the request is answered in full.
fn nearest(pool: &SmallPool, answer: &Attempt, request: &Request) {
    let full = answer.impossible.is_empty() && answer.innate.is_empty();
    assert_eq!(answer.refusal().is_none(), full, "{:?} and {:?}", answer.impossible, answer.innate);
    assert_eq!(finish(pool, request).is_ok(), full);
    let fewer =
        Request { with: request.with.difference(&answer.impossible), without: request.without.difference(&answer.innate), ..*request };
    let again = attempt(pool, &fewer).expect("less is asked for");
    assert!(again.impossible.is_empty(), "{:?} was possible before", again.impossible);
}

/// A check tells gaps exactly if the verdict says so; what a machine is offered it accepts, and so it does
/// every bit that it gives.
pub fn check_guest(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let Ok((fleet, _)) = fleet(&mut u) else { return };
    let Ok((policy, msrs)) = guest(&mut u) else { return };
    for machine in &fleet {
        let verdict = judged(&policy, &msrs, machine);
        assert!(verdict >= judged(&policy, &[], machine), "MSR values only add gaps");
    }
    let Ok(offer) = finish(&fold(&fleet, 0..fleet.len()), &Request::default()) else { return };
    for machine in &fleet {
        assert!(judged(&offer.policy, &[], machine) != Verdict::Incompatible, "what the pool is offered, each of it accepts");
    }
}

fn guest(u: &mut Unstructured<'_>) -> Result<(Policy, Vec<MsrEntry>)> {
    let vendor = *u.choose(&[Vendor::Intel, Vendor::Amd])?;
    let policy = inputs::cpu(u, vendor)?;
    let some = [0x48, 0xda0, 0x122, 0xc000_0080, 0xc000_0103];
    let msrs = (0..u.int_in_range(0..=3)?).map(|_| Ok(MsrEntry { index: *u.choose(&some)?, value: u.arbitrary()? }));
    Ok((policy, msrs.collect::<Result<_>>()?))
}

fn judged(policy: &Policy, msrs: &[MsrEntry], machine: &Member) -> Verdict {
    let view = View::of(policy);
    let guest = Guest { identity: Identity::of(policy), view: &view, msrs };
    let core = Core { identity: machine.identity, raw: &machine.raw, ceiling: &machine.ceiling };
    let accept = Accept::of(core);
    let mut worst = Verdict::Compatible;
    let mut missing = FeatureSet::EMPTY;
    let verdict = check(&guest, &accept, |gap| {
        worst = worst.max(if matches!(gap.kind, GapKind::Unrecorded | GapKind::Unprotected) {
            Verdict::Unknown
        } else {
            Verdict::Incompatible
        });
        if let (Subject::Feature(feature), GapKind::Missing) = (gap.subject, gap.kind) {
            missing.set(feature, true);
        }
        if let Subject::Field(at) = gap.subject {
            assert!(view.field(at) != FieldValue::Absent, "{} is not the guest's", at.field.name());
        }
    });
    assert_eq!(verdict, worst, "the verdict is that of the worst gap");
    let lacking = view.features.difference(&accept.may).difference(&accept.perhaps);
    assert_eq!(missing, lacking, "what is missing is what is not accepted");
    assert!(missing.intersection(&machine.ceiling.features).is_empty(), "what the machine gives is not missing");
    verdict
}
