//! What each machine costs the pool: what the others would have without it.

use cpu_caps::{Baseline, Machine, Outcome, Pool, Request, field_slots, finish};
use cpuid_db::{Feature, FeatureSet, FieldAt, Merge};
use serde_json::{Value, json};

use super::{Fleet, Host, gains};

/// Machines that are alike, and what the rest of the pool would gain without them.
#[derive(Debug)]
pub(crate) struct Cost<'a> {
    /// Their names.
    pub(crate) names: Vec<&'a str>,
    /// Features that the rest would have.
    pub(crate) gained: FeatureSet,
    /// Limitations that would no longer be announced.
    pub(crate) freed: FeatureSet,
    /// Fields that would be larger: the field, its value now and then.
    pub(crate) grown: Vec<(FieldAt, u64, u64)>,
}

/// The costs of all machines that cost something, the most expensive first. Machines that are alike are judged together.
pub(crate) fn costs<'a>(fleet: &'a Fleet, request: &Request, baseline: &Baseline) -> Vec<Cost<'a>> {
    let kinds = kinds(&fleet.hosts);
    if kinds.len() < 2 {
        return Vec::new();
    }
    let mut costs = Vec::new();
    without_each(&kinds, fleet, &Pool::new(), &mut |kind, others| {
        let Ok(then) = finish(others, request) else { return };
        let cost = Cost {
            names: fleet.names(kind.iter().copied()),
            gained: gains(&then.features.difference(&baseline.features)),
            freed: limitations(&baseline.features.difference(&then.features)),
            grown: grown(baseline, &then),
        };
        if !cost.gained.is_empty() || !cost.freed.is_empty() || !cost.grown.is_empty() {
            costs.push(cost);
        }
    });
    costs.sort_by(|a, b| {
        let weight = |cost: &Cost| (cost.gained.len(), cost.freed.len(), cost.grown.len());
        weight(b).cmp(&weight(a)).then_with(|| a.names.cmp(&b.names))
    });
    costs
}

/// The costs for programs.
pub(crate) fn json(costs: &[Cost]) -> Value {
    let names = |set: &FeatureSet| set.iter().map(Feature::name).collect::<Vec<_>>();
    let grown = |(at, now, then): &(FieldAt, u64, u64)| {
        json!({
            "field": at.field.name(), "subleaf": crate::json::hex_subleaf(at.subleaf),
            "now": crate::json::hex(*now), "then": crate::json::hex(*then),
        })
    };
    let one = |cost: &Cost| {
        json!({
            "hosts": { "count": cost.names.len(), "names": cost.names },
            "gained": names(&cost.gained),
            "freed": names(&cost.freed),
            "grown": cost.grown.iter().map(grown).collect::<Vec<_>>(),
        })
    };
    costs.iter().map(one).collect()
}

/// The identifiers of machines that are alike, in order of the first of each kind.
pub(crate) fn kinds(hosts: &[Host]) -> Vec<Vec<u32>> {
    let mut kinds: Vec<(&Host, Vec<u32>)> = Vec::new();
    for (id, host) in hosts.iter().enumerate() {
        match kinds.iter_mut().find(|(first, _)| first.cores == host.cores) {
            Some((_, ids)) => ids.push(id as u32),
            None => kinds.push((host, vec![id as u32])),
        }
    }
    kinds.into_iter().map(|(_, ids)| ids).collect()
}

/// Calls `visit` for each kind with the pool of all others. `outside` holds the machines of no kind in the list.
/// Halving the list adds each machine to a pool as often as the list can be halved, not once for each other kind.
fn without_each(kinds: &[Vec<u32>], fleet: &Fleet, outside: &Pool, visit: &mut impl FnMut(&[u32], &Pool)) {
    match kinds {
        [] => {}
        [only] => visit(only, outside),
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            for (inside, others) in [(left, right), (right, left)] {
                let mut pool = Box::new(outside.clone());
                for id in others.iter().flatten() {
                    if let Some(host) = fleet.hosts.get(*id as usize) {
                        pool.add(&Machine { id: *id, cores: &host.cores() });
                    }
                }
                without_each(inside, fleet, &pool, visit);
            }
        }
    }
}

fn limitations(set: &FeatureSet) -> FeatureSet {
    set.iter().filter(|feature| feature.row().merge == Merge::Or).collect()
}

/// Fields that were lowered, and would be higher.
fn grown(now: &Baseline, then: &Baseline) -> Vec<(FieldAt, u64, u64)> {
    let lowered = field_slots().filter_map(|at| {
        let decision = now.decisions.field(at).filter(|decision| decision.outcome == Outcome::Lowered)?;
        let value = then.decisions.field(at)?.value;
        Some((at, decision.value, value))
    });
    lowered.filter(|(_, now, then)| then > now).collect()
}
