//! Why: each decision with the machines that caused it, in one sentence.

use cpu_caps::{Cause, Decision, FieldDecision, Outcome, Tally, WITNESSES};
use cpuid_db::{Context, Feature, Field, FieldAt, FieldPlace, Kvm, Merge, Register, Unrecorded};
use serde_json::{Value, json};

use super::values::{Values, in_conflict};
use super::{Case, place_of};
use crate::words;

/// How many names a sentence lists.
const MOST: usize = 3;
/// How many prerequisites are followed to the root of a loss; real chains are shorter.
const CHAIN: usize = 16;

/// Machines: how many, and the first few names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witnesses<'a> {
    pub(crate) count: usize,
    pub(crate) names: Vec<&'a str>,
}

impl<'a> Witnesses<'a> {
    /// A tally may count a machine once for each kind of core; names stand once.
    fn of(case: &Case<'a>, tally: &Tally<WITNESSES>) -> Self {
        let names = case.fleet.names(tally.ids());
        let most = if names.len() < WITNESSES { names.len() } else { case.fleet.hosts.len() };
        Self { count: (tally.count() as usize).min(most), names }
    }

    fn listed(mut names: Vec<&'a str>) -> Self {
        let count = names.len();
        names.truncate(WITNESSES);
        Self { count, names }
    }

    /// `2 of 5 hosts: a and b`.
    fn text(&self, case: &Case) -> String {
        let of = case.fleet.hosts.len();
        if self.count == of && of == 1 {
            return self.list();
        }
        if self.count == of {
            return format!("all {of} hosts");
        }
        format!("{} of {}: {}", self.count, words::plural(of, "host"), self.list())
    }

    /// `a, b and 3 more`.
    fn list(&self) -> String {
        words::some_of(&self.names, self.count, MOST)
    }
}

/// Why something was decided as it was.
#[derive(Clone, Debug)]
pub(crate) struct Reason<'a> {
    /// The word of the JSON contract.
    pub(crate) kind: &'static str,
    /// The prerequisite that is not there.
    pub(crate) feature: Option<Feature>,
    /// Who caused it.
    pub(crate) hosts: Witnesses<'a>,
    /// One sentence.
    pub(crate) text: String,
}

impl Reason<'_> {
    /// The `because` object.
    pub(crate) fn json(&self) -> Value {
        let mut object = json!({ "kind": self.kind });
        if let (Some(feature), Some(members)) = (self.feature, object.as_object_mut()) {
            members.insert("feature".to_owned(), feature.name().into());
        }
        if let Some(members) = object.as_object_mut() {
            members.insert("hosts".to_owned(), json!({ "count": self.hosts.count, "names": self.hosts.names }));
            members.insert("text".to_owned(), self.text.as_str().into());
        }
        object
    }
}

/// The machines behind the decision about a feature.
fn witnesses<'a>(case: &Case<'a>, feature: Feature, cause: Cause) -> Witnesses<'a> {
    let pool = &case.fleet.pool;
    let tally = match cause {
        Cause::AllHosts | Cause::Fixed => pool.machines(),
        Cause::MissingOnHost | Cause::Emulated => pool.missing(feature),
        Cause::NotInKvm => pool.denied(feature),
        Cause::Unrecorded if pool.unknown(feature).is_empty() => {
            return in_conflict(case.fleet, feature).map(|(_, values)| Witnesses::listed(values.unknown)).unwrap_or_default();
        }
        Cause::Unrecorded => pool.unknown(feature),
        Cause::Limitation => limited(case, feature),
        Cause::Conflict => {
            let values = in_conflict(case.fleet, feature).map(|(_, values)| values);
            return values.map(|values| Witnesses::listed(values.hosts())).unwrap_or_default();
        }
        _ => return Witnesses::default(),
    };
    Witnesses::of(case, tally)
}

/// RSBA and RRSBA speak for each other.
fn limited<'a>(case: &Case<'a>, feature: Feature) -> &'a Tally<WITNESSES> {
    let pool = &case.fleet.pool;
    let own = pool.having(feature);
    match feature.row().context {
        Some(Context::Rsba | Context::Rrsba) if own.is_empty() => {
            [Feature::RSBA, Feature::RRSBA].map(|bit| pool.having(bit)).into_iter().max_by_key(|tally| tally.count()).unwrap_or(own)
        }
        _ => own,
    }
}

/// Why a feature was decided as it was.
pub(crate) fn of_feature<'a>(case: &Case<'a>, feature: Feature) -> Reason<'a> {
    let decision = case.baseline.decisions.feature(feature);
    let (parent, hosts) = match decision.cause {
        Cause::Requires(parent) => (Some(parent), root_witnesses(case, parent)),
        cause => (None, witnesses(case, feature, cause)),
    };
    let text = format!("{feature}: {}", clause(case, feature, decision, &hosts));
    Reason { kind: decision.cause.name(), feature: parent, hosts, text }
}

/// The machines at the end of a chain of losses.
fn root_witnesses<'a>(case: &Case<'a>, mut feature: Feature) -> Witnesses<'a> {
    for _ in 0..CHAIN {
        match case.baseline.decisions.feature(feature).cause {
            Cause::Requires(parent) => feature = parent,
            cause => return witnesses(case, feature, cause),
        }
    }
    Witnesses::default()
}

/// What stands after the feature's name.
fn clause(case: &Case, feature: Feature, decision: Decision, hosts: &Witnesses) -> String {
    match decision.cause {
        Cause::AllHosts => format!("given on {}", hosts.text(case)),
        Cause::MissingOnHost => format!("missing on {}", hosts.text(case)),
        Cause::NotInKvm => format!("the hardware has it on {}, but {}", hosts.text(case), denial(case, feature).1),
        Cause::Emulated => "asked for by name; KVM executes it where the hardware does not".to_owned(),
        Cause::Fixed => "KVM gives it on every host".to_owned(),
        Cause::Requires(parent) => prerequisite(case, feature, parent),
        Cause::Limitation => limitation(case, decision, hosts),
        Cause::Conflict => conflict(case, feature),
        Cause::Unrecorded => unrecorded(case, feature, decision, hosts),
        Cause::Request if decision.outcome == Outcome::Withheld && !case.request.without.contains(feature) => {
            "not in the model that was asked for".to_owned()
        }
        Cause::Request if decision.outcome == Outcome::Withheld => "left out on request".to_owned(),
        Cause::Request => "given on request".to_owned(),
        Cause::Live if feature.text().live.is_empty() => "follows run-time state".to_owned(),
        Cause::Live => format!("follows {} at run time", feature.text().live),
        Cause::Local => "belongs to one VM, vCPU or machine, so the VMM fills it in".to_owned(),
        Cause::Derived => match feature.row().alias_of {
            Some(original) => format!("repeats {original} on AMD-compatible CPUs"),
            None => "recomputed from the rest of the policy".to_owned(),
        },
        Cause::Context => context(feature).to_owned(),
        Cause::Pinned => format!("it ties a guest to one machine: {}", feature.text().pinned.trim_end_matches('.')),
        Cause::Foreign => {
            format!("KVM would give it, but {} CPUs do not have it", words::vendor(case.baseline.identity.vendor))
        }
        _ => decision.cause.name().to_owned(),
    }
}

/// Why KVM does not give what the hardware has: in a label, and in a clause.
pub(crate) fn denial(case: &Case, feature: Feature) -> (String, String) {
    let row = feature.row();
    let (inputs, too_old) = match case.ceiling {
        super::Ceiling::Kvm(stock) => (row.kvm_if.difference(stock.inputs), stock.kernel < row.kvm_since),
        super::Ceiling::Raw => (row.kvm_if, false),
    };
    let (label, clause) = if case.basis() == cpuid_db::Basis::Recorded {
        ("not in its answer", "KVM answered without it")
    } else if !inputs.is_empty() {
        let inputs = super::input_words(inputs).join(" and ");
        return (format!("only with {inputs}"), format!("KVM gives it only with {inputs}"));
    } else if matches!(row.kvm, Kvm::Never | Kvm::Runtime) {
        ("never", "KVM never gives it")
    } else if too_old {
        return (format!("since Linux {}", row.kvm_since), format!("KVM gives it since Linux {}", row.kvm_since));
    } else if !row.kvm_if.is_empty() {
        let inputs = super::input_words(row.kvm_if).join(" and ");
        return (format!("no {inputs} there"), format!("{inputs} does not work on that CPU"));
    } else if !row.kvm_not.is_empty() {
        ("not by this module", "this KVM module does not give it")
    } else {
        ("not there", "KVM does not give it")
    };
    (label.to_owned(), clause.to_owned())
}

fn prerequisite(case: &Case, feature: Feature, parent: Feature) -> String {
    let edge = feature.row().requires.iter().find(|edge| edge.any.first() == Some(&parent));
    let needed = match edge.map(|edge| edge.any) {
        Some(any @ [_, _, ..]) => {
            let names: Vec<&str> = any.iter().map(|one| one.name()).collect();
            format!("needs one of {}, and none is given", names.join(", "))
        }
        _ => format!("needs {parent}, which is withheld"),
    };
    let hosts = root_witnesses(case, parent);
    if hosts.count == 0 { needed } else { format!("{needed} because of {}", hosts.list()) }
}

fn limitation(case: &Case, decision: Decision, hosts: &Witnesses) -> String {
    match decision.outcome {
        Outcome::Raised => format!("announced everywhere because of {}", hosts.text(case)),
        _ => format!("on {}", hosts.text(case)),
    }
}

fn conflict(case: &Case, feature: Feature) -> String {
    match in_conflict(case.fleet, feature) {
        Some((at, values)) => format!("hosts differ in {}: {}", place_name(at), values.text()),
        None => "hosts differ in what it depends on".to_owned(),
    }
}

fn unrecorded(case: &Case, feature: Feature, decision: Decision, hosts: &Witnesses) -> String {
    let place = match in_conflict(case.fleet, feature).filter(|_| case.fleet.pool.unknown(feature).is_empty()) {
        Some((at, _)) => place_name(at),
        None => words::unrecorded(place_of(feature)),
    };
    let so = if decision.outcome == Outcome::Undecided { "so nobody can tell whether it must be announced" } else { "so it is withheld" };
    format!("{place} is not recorded on {}, {so}", hosts.text(case))
}

fn context(feature: Feature) -> &'static str {
    match feature.row().context {
        Some(Context::Rsba) => "the guest sees enhanced IBRS, so RRSBA speaks of return-stack underflow",
        Some(Context::Rrsba) => "the guest does not see enhanced IBRS, so RSBA speaks of return-stack underflow",
        Some(Context::Rtm) => "transactions abort on some hosts; ask for it by name to have it all the same",
        Some(Context::RtmAlwaysAbort) => "the guest has no RTM, so there is nothing that aborts",
        Some(Context::InvariantTsc) => {
            "hosts differ, and leaf 15H does not show one TSC frequency for all; ask for it by name if every host scales the TSC"
        }
        Some(Context::PebsGroup) => "KVM takes the PEBS bits only with the host's own record format, and hosts differ",
        None => "decided by the rest of the policy",
    }
}

/// `XSTATE_OFFSET (CPUID.D.9.EBX[31:0])`.
pub(crate) fn place_name(at: FieldAt) -> String {
    let (first, last) = at.field.row().subleaves();
    let subleaf = (first != last).then_some(at.subleaf);
    format!("{} ({})", at.field.name(), words::field_place(at.field, subleaf))
}

/// Why a merged field has its value.
pub(crate) fn of_field<'a>(case: &Case<'a>, at: FieldAt, decision: FieldDecision) -> Reason<'a> {
    let values = Values::of(case.fleet, at);
    let (parent, hosts) = match decision.cause {
        Cause::Requires(parent) => (Some(parent), root_witnesses(case, parent)),
        Cause::Conflict => (None, Witnesses::listed(values.hosts())),
        _ => (None, field_witnesses(case, at, decision)),
    };
    let text = format!("{}: {}", at.field.name(), field_clause(case, at, decision, &values, &hosts));
    Reason { kind: decision.cause.name(), feature: parent, hosts, text }
}

fn field_witnesses<'a>(case: &Case<'a>, at: FieldAt, decision: FieldDecision) -> Witnesses<'a> {
    let Some((at_min, at_max, unknown)) = case.fleet.pool.field_witnesses(at) else { return Witnesses::default() };
    let tally = match decision.cause {
        Cause::AllHosts | Cause::NotInKvm => case.fleet.pool.machines(),
        Cause::Limitation => at_max,
        Cause::Unrecorded => unknown,
        _ => at_min,
    };
    Witnesses::of(case, tally)
}

fn field_clause(case: &Case, at: FieldAt, decision: FieldDecision, values: &Values, hosts: &Witnesses) -> String {
    let value = words::number(decision.value);
    match (decision.cause, decision.outcome) {
        (Cause::AllHosts, _) => format!("{value} on all hosts that have it"),
        (Cause::Requires(parent), _) => format!("goes with {parent}, which is withheld"),
        (Cause::NotInKvm, _) => "KVM does not give it".to_owned(),
        (Cause::Request, _) => format!("{value} is asked for"),
        (Cause::Unrecorded, _) if values.known.is_empty() => {
            format!("not recorded on {}; {value} is assumed", hosts.text(case))
        }
        (Cause::Unrecorded, _) => format!("{value} where recorded, but not recorded on {}", hosts.text(case)),
        (Cause::Conflict, Outcome::Chosen) if is_identity(at.field) => match at.field.row().place {
            FieldPlace::Cpuid { leaf: 1, .. } => format!("hosts differ, and {value} is declared: the oldest model speaks for all"),
            _ => format!("hosts differ, and {value} is declared: part of a neutral name"),
        },
        (Cause::Conflict, Outcome::Chosen) => format!("{value} is declared; hosts differ: {}", values.text()),
        (Cause::Conflict, _) => format!("{value}, since hosts differ: {}", values.text()),
        (_, Outcome::Raised) => format!("raised to {value}; {}", values.text()),
        _ => format!("lowered to {value}; {}", values.text()),
    }
}

/// Whether the field is part of the vendor, signature or name.
pub(crate) fn is_identity(field: Field) -> bool {
    let place = field.row().place;
    let leaf = match place {
        FieldPlace::Cpuid { leaf, register, .. } => Some((leaf, register)),
        FieldPlace::Msr { .. } => None,
    };
    matches!(leaf, Some((0 | 0x8000_0002..=0x8000_0004, _) | (1, Register::Eax)))
}

/// Why a field that no rule merges has its value.
pub(crate) fn of_static<'a>(field: Field) -> Reason<'a> {
    let row = field.row();
    let (kind, clause) = match row.merge {
        Merge::Live => ("live", format!("follows {} at run time", field.text().live)),
        Merge::Derived => ("derived", "recomputed from the rest of the policy".to_owned()),
        Merge::Fixed => ("fixed", "the hypervisor gives this value on every host".to_owned()),
        Merge::Context => ("context", "decided by the rest of the policy".to_owned()),
        _ => ("local", "belongs to one VM, vCPU or machine, so the VMM fills it in".to_owned()),
    };
    Reason { kind, feature: None, hosts: Witnesses::default(), text: format!("{}: {clause}", field.name()) }
}

/// Places that a baseline waits for, each with the machines that should be recorded again.
pub(crate) fn waits_for<'a>(case: &Case<'a>, feature: Feature) -> (Unrecorded, Witnesses<'a>) {
    (place_of(feature), witnesses(case, feature, Cause::Unrecorded))
}
