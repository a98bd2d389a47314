//! Which machines keep what the operator does not want to lose.

use cpu_caps::{Baseline, Machine, Pool, Request, attempt};
use cpuid_db::{Feature, FeatureSet};
use serde_json::{Value, json};

use super::costs::kinds;
use super::{Fleet, gains};
use crate::page::{GAINED, HOST, LOST, PLAIN, Page, list, sentence};
use crate::words::{plural, some_of};

/// Where words begin beside their labels.
const COLUMN: usize = 14;
/// How many names of machines a line shows.
const NAMES: usize = 12;

/// Machines whose guests can have all of the features.
#[derive(Debug)]
struct Kept {
    hosts: Vec<u32>,
    /// What a guest of this pool has.
    features: FeatureSet,
    /// What a guest of the whole pool does not have.
    gained: FeatureSet,
}

/// The pools that keep some features, and the machines that belong to none of them.
#[derive(Debug)]
pub(crate) struct Keep<'a> {
    fleet: &'a Fleet,
    wanted: FeatureSet,
    pools: Vec<Kept>,
    outside: Vec<u32>,
}

impl<'a> Keep<'a> {
    /// Looks for the pools. Machines that have the features each, but not together, make several pools.
    pub(crate) fn new(fleet: &'a Fleet, request: &Request, whole: Option<&Baseline>, wanted: &FeatureSet) -> Self {
        let request = Request { with: request.with.union(wanted), ..*request };
        let mut pools: Vec<(Box<Pool>, Kept)> = Vec::new();
        let mut outside = Vec::new();
        for kind in kinds(&fleet.hosts) {
            let joined = pools.iter_mut().find_map(|(pool, kept)| {
                let (more, features) = tried(fleet, pool, &kind, &request)?;
                (*pool, kept.features) = (more, features);
                kept.hosts.extend(&kind);
                Some(())
            });
            if joined.is_some() {
                continue;
            }
            match tried(fleet, &Pool::new(), &kind, &request) {
                Some((pool, features)) => pools.push((pool, Kept { hosts: kind, features, gained: FeatureSet::EMPTY })),
                None => outside.extend(kind),
            }
        }
        let common = whole.map_or(FeatureSet::EMPTY, |whole| whole.features);
        let finished = pools.into_iter().map(|(_, kept)| Kept { gained: gains(&kept.features.difference(&common)), ..kept });
        let mut pools: Vec<Kept> = finished.collect();
        pools.sort_by_key(|kept| std::cmp::Reverse(kept.hosts.len()));
        Self { fleet, wanted: *wanted, pools, outside }
    }

    /// What keeps what, for people.
    pub(crate) fn report(&self, page: &mut Page) {
        let wanted = list(PLAIN, self.wanted.iter().map(Feature::name));
        page.heading("What keeps the features");
        page.entry("features", COLUMN, wanted);
        for (at, kept) in self.pools.iter().enumerate() {
            let label = if self.pools.len() == 1 { "pool".to_owned() } else { format!("pool {}", at + 1) };
            page.entry(&label, COLUMN, sentence(HOST, &self.names(&kept.hosts)));
            let count = gains(&kept.features).len();
            let mut words = sentence(PLAIN, &plural(count, "feature"));
            if !kept.gained.is_empty() {
                words.extend(sentence(PLAIN, "in all, beyond those of the whole pool:"));
                words.extend(list(GAINED, kept.gained.iter().map(Feature::name)));
            }
            page.entry("", COLUMN, words);
        }
        let label = if self.pools.is_empty() { "no host" } else { "not on" };
        page.entry(label, COLUMN, sentence(LOST, &if self.outside.is_empty() { String::new() } else { self.names(&self.outside) }));
    }

    fn names(&self, hosts: &[u32]) -> String {
        let names = self.fleet.names(hosts.iter().copied());
        format!("{} of {}: {}", hosts.len(), plural(self.fleet.hosts.len(), "host"), some_of(&names, names.len(), NAMES))
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let names = |set: &FeatureSet| set.iter().map(Feature::name).collect::<Vec<_>>();
        let hosts = |ids: &[u32]| json!({ "count": ids.len(), "names": self.fleet.names(ids.iter().copied()) });
        let pool =
            |kept: &Kept| json!({ "hosts": hosts(&kept.hosts), "features": names(&gains(&kept.features)), "gained": names(&kept.gained) });
        json!({
            "features": names(&self.wanted),
            "pools": self.pools.iter().map(pool).collect::<Vec<_>>(),
            "outside": hosts(&self.outside),
        })
    }
}

/// The pool with these machines, if its guests can have all that is asked for.
fn tried(fleet: &Fleet, pool: &Pool, kind: &[u32], request: &Request) -> Option<(Box<Pool>, FeatureSet)> {
    let mut pool = Box::new(pool.clone());
    for id in kind {
        let host = fleet.hosts.get(*id as usize)?;
        pool.add(&Machine { id: *id, cores: &host.cores() });
    }
    let tried = attempt(&pool, request).ok().filter(|tried| tried.impossible.is_empty())?;
    Some((pool, tried.baseline.features))
}
