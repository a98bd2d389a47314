//! May this guest run there? Every promise that the other machine would break, named.

use cpuid_db::{Feature, FeatureSet, Field, FieldAt, FieldRow, Location, Merge, MsrEntry, OnConflict, ZeroMeans};

use crate::accept::Accept;
use crate::fields::{described_component, is_identity, standard};
use crate::pool::value_for;
use crate::view::is_open;
use crate::{FieldValue, Identity, View, field_slots};

/// A guest as it runs: what it was told, and what it made of it.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// Who its CPU says it is.
    pub identity: Identity,
    /// Its policy.
    pub view: &'a View,
    /// Values that its MSRs hold, if they are known.
    pub msrs: &'a [MsrEntry],
}

/// What a gap is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// The maker of the CPU.
    Vendor,
    /// A feature.
    Feature(Feature),
    /// A field.
    Field(FieldAt),
    /// The value of an MSR.
    Msr(u32),
    /// The rate of the time-stamp counter.
    TscFrequency,
}

/// How the machine falls short.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GapKind {
    /// The guest was promised what is not there.
    Missing,
    /// The guest was promised a scrub of buffers; this machine leaks from them and cannot scrub.
    Unprotected,
    /// The machine is limited in a way that the guest was not told of.
    NotAnnounced,
    /// The guest was promised more than the machine has.
    TooSmall,
    /// Both must be equal and are not.
    Differs,
    /// The MSR does not take the value that the guest stored.
    ValueRefused,
    /// The records do not tell.
    Unrecorded,
}

impl GapKind {
    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing | Self::Unprotected => "missing",
            Self::NotAnnounced => "not-announced",
            Self::TooSmall => "too-small",
            Self::Differs => "differs",
            Self::ValueRefused => "value-refused",
            Self::Unrecorded => "unrecorded",
        }
    }
}

/// What the gap comes from, and so what can close it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Because {
    /// The hardware differs.
    Hardware,
    /// The hardware has it; the hypervisor does not give it.
    Hypervisor,
    /// Guest and machine are the same CPU model: kernel, KVM's options or microcode differ.
    Kernel,
    /// Somebody did not record it.
    Unrecorded,
}

impl Because {
    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Hypervisor => "hypervisor",
            Self::Kernel => "kernel",
            Self::Unrecorded => "unrecorded",
        }
    }
}

/// One promise that would be broken, or that nobody can judge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Gap {
    /// What it is about.
    pub subject: Subject,
    /// How the machine falls short.
    pub kind: GapKind,
    /// What it comes from.
    pub because: Because,
    /// The guest's value: 1 or 0 for features; for MSRs the bits that are refused. `None` if unrecorded.
    pub guest: Option<u64>,
    /// The machine's value; for MSRs the bits that it takes. `None` if unrecorded.
    pub host: Option<u64>,
}

/// The answer. The order is that of severity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// No gap.
    Compatible,
    /// Not for a program to decide: something is not recorded, or the guest runs as before but with less protection than it was told.
    Unknown,
    /// A promise would be broken.
    Incompatible,
}

impl Verdict {
    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::Unknown => "unknown",
            Self::Incompatible => "incompatible",
        }
    }
}

/// Compares a guest with what one kind of core accepts, and calls `each` for every gap.
/// A machine with several kinds of core must accept the guest on all of them.
pub fn check(guest: &Guest, host: &Accept, mut each: impl FnMut(Gap)) -> Verdict {
    let mut run = Run { guest, host, verdict: Verdict::Compatible, each: &mut each };
    run.vendor();
    run.features();
    run.return_stack();
    run.fields();
    run.time();
    crate::restore::msr_values(guest, host, |gap| run.tell(gap));
    run.verdict
}

struct Run<'a> {
    guest: &'a Guest<'a>,
    host: &'a Accept<'a>,
    verdict: Verdict,
    each: &'a mut dyn FnMut(Gap),
}

impl Run<'_> {
    fn tell(&mut self, gap: Gap) {
        let weight = match gap.kind {
            GapKind::Unrecorded | GapKind::Unprotected => Verdict::Unknown,
            _ => Verdict::Incompatible,
        };
        self.verdict = self.verdict.max(weight);
        (self.each)(gap);
    }

    fn vendor(&mut self) {
        let (mine, theirs) = (self.guest.identity.vendor, self.host.core.identity.vendor);
        if mine != theirs {
            // A vendor has no number; the words of leaf 0 tell it.
            let gap = Gap { subject: Subject::Vendor, kind: GapKind::Differs, because: Because::Hardware, guest: None, host: None };
            self.tell(gap);
        }
    }

    /// Whether the guest was made on the same CPU model: then what differs is not the hardware.
    fn is_same_model(&self) -> bool {
        let (guest, host) = (&self.guest.identity, &self.host.core.identity);
        (guest.vendor, guest.signature) == (host.vendor, host.signature)
    }

    /// Why the machine lacks a feature.
    fn reason(&self, feature: Feature) -> Because {
        let raw = &self.host.core.raw.features;
        let row = feature.row();
        let translated = row.kvm_from.iter().any(|rule| !rule.all.is_empty() && rule.all.iter().all(|from| raw.contains(*from)));
        match raw.contains(feature) || translated {
            _ if self.is_same_model() => Because::Kernel,
            true => Because::Hypervisor,
            false => Because::Hardware,
        }
    }

    fn features(&mut self) {
        let (told, unknown) = (&self.guest.view.features, &self.guest.view.unknown);
        let host = self.host;
        let missing = told.difference(&host.may);
        for feature in &missing.difference(&host.perhaps) {
            let because = self.reason(feature);
            self.tell(Gap { subject: Subject::Feature(feature), kind: GapKind::Missing, because, guest: Some(1), host: Some(0) });
        }
        for feature in &missing.intersection(&host.perhaps) {
            self.tell(unrecorded(Subject::Feature(feature), Some(1), None));
        }
        for feature in &host.must.difference(told).difference(unknown) {
            self.unannounced(feature);
        }
        for feature in &host.doubtful.difference(told) {
            if self.matters(feature) {
                self.tell(unrecorded(Subject::Feature(feature), Some(0), None));
            }
        }
        self.untold(unknown);
        self.scrubs();
    }

    /// Announcing a scrub is safe anywhere, but counting on it is not.
    fn scrubs(&mut self) {
        for scrub in crate::immunity::scrubs().filter(|scrub| self.guest.view.features.contains(*scrub)) {
            let subject = Subject::Feature(scrub);
            match crate::immunity::is_exposed(scrub, &self.host.core) {
                Some(true) => {
                    let because = self.reason(scrub);
                    self.tell(Gap { subject, kind: GapKind::Unprotected, because, guest: Some(1), host: Some(0) });
                }
                Some(false) => {}
                None => self.tell(unrecorded(subject, Some(1), None)),
            }
        }
    }

    /// Bits of the guest that its own record does not tell: no matter where the machine takes both.
    fn untold(&mut self, unknown: &FeatureSet) {
        let host = self.host;
        for feature in &unknown.difference(&host.may).union(&unknown.intersection(&host.must)) {
            if self.matters(feature) {
                let value = host.must.contains(feature) || host.may.contains(feature);
                let value = (!host.perhaps.contains(feature)).then_some(u64::from(value));
                self.tell(unrecorded(Subject::Feature(feature), None, value));
            }
        }
    }

    fn unannounced(&mut self, feature: Feature) {
        let because = if self.is_same_model() { Because::Kernel } else { Because::Hardware };
        // A guest without XBEGIN does not care whether it aborts.
        if self.matters(feature) {
            self.tell(Gap { subject: Subject::Feature(feature), kind: GapKind::NotAnnounced, because, guest: Some(0), host: Some(1) });
        }
    }

    /// A limitation of what the guest does not have, or a scrub that this core does not need, is no news.
    fn matters(&self, feature: Feature) -> bool {
        let met = feature.row().requires.iter().all(|edge| self.guest.view.features.contains_any(edge.any));
        met && self.has_its_leaf(feature) && !crate::immunity::is_immune(feature, &self.host.core)
    }

    /// Leaf 0AH speaks of nothing where its version is zero. No feature bit says so.
    fn has_its_leaf(&self, feature: Feature) -> bool {
        let version = self.guest.view.field(FieldAt { field: Field::PMU_VERSION, subleaf: 0 });
        !matches!(feature.location(), Location::Cpuid { leaf: 0xa, .. }) || !matches!(version, FieldValue::Absent | FieldValue::Known(0))
    }

    /// RSBA and RRSBA say the same; one of them has to be told if the core's return predictions may come from elsewhere.
    fn return_stack(&mut self) {
        let either = [Feature::RSBA, Feature::RRSBA];
        let (guest, raw) = (self.guest.view, self.host.core.raw);
        let feature = if guest.features.contains(Feature::IBRS_ALL) { Feature::RRSBA } else { Feature::RSBA };
        let asks = guest.features.contains(Feature::ARCH_CAPABILITIES) && !guest.features.contains_any(&either);
        if !asks || guest.unknown.contains(feature) {
            return;
        }
        if raw.features.difference(&raw.unknown).contains_any(&either) || self.host.core.ceiling.features.contains_any(&either) {
            self.unannounced(feature);
        } else if raw.unknown.contains_any(&either) {
            self.tell(unrecorded(Subject::Feature(feature), Some(0), None));
        }
    }

    fn fields(&mut self) {
        for at in field_slots() {
            let row = at.field.row();
            let FieldValue::Known(value) = self.guest_value(row, at) else { continue };
            // Where the machine lacks the owner, that is the gap.
            let both = |owner| self.guest.view.features.contains(owner) && self.host.may.contains(owner);
            let owner = described_component(at).is_none_or(both);
            let open = is_open(row, &self.guest.view.features) && is_open(row, &self.host.may);
            let relevant = !matches!(row.merge, Merge::Local | Merge::Live | Merge::Fixed | Merge::Derived) && !is_identity(row);
            if open && owner && relevant {
                self.field(row, at, value);
            }
        }
    }

    fn guest_value(&self, row: &FieldRow, at: FieldAt) -> FieldValue {
        match (self.guest.view.field(at), row.zero_means) {
            // The other field tells.
            (FieldValue::Known(0), ZeroMeans::SameAs(_)) => FieldValue::Absent,
            (FieldValue::Known(_), _) => effective(row, at, self.guest.view),
            (other, _) => other,
        }
    }

    fn field(&mut self, row: &FieldRow, at: FieldAt, guest: u64) {
        let host = match effective(row, at, self.host.core.ceiling) {
            FieldValue::Known(host) => host,
            FieldValue::Absent => return self.absent_field(row, at, guest),
            FieldValue::Unknown if standard(self.host.core.identity.vendor, at) == Some(guest) => return,
            FieldValue::Unknown if is_safe_anywhere(row, guest) => return,
            FieldValue::Unknown => return self.tell(unrecorded(Subject::Field(at), Some(guest), None)),
        };
        let Some(kind) = self.judge(row, guest, host) else { return };
        let because = if self.is_same_model() { Because::Kernel } else { Because::Hardware };
        self.tell(Gap { subject: Subject::Field(at), kind, because, guest: Some(guest), host: Some(host) });
    }

    /// The machine has the feature, and its record lacks the field: nobody knows whether the two agree.
    fn absent_field(&mut self, row: &FieldRow, at: FieldAt, guest: u64) {
        let counts = matches!(row.merge, Merge::Equal) && !matches!(row.on_conflict, OnConflict::Chosen);
        if counts && guest != 0 {
            self.tell(unrecorded(Subject::Field(at), Some(guest), None));
        }
    }

    fn judge(&self, row: &FieldRow, guest: u64, host: u64) -> Option<GapKind> {
        let kind = match row.merge {
            Merge::Min => (guest > host).then_some(GapKind::TooSmall),
            Merge::Max => (guest < host).then_some(GapKind::NotAnnounced),
            Merge::And => (guest & !host != 0).then_some(GapKind::Missing),
            Merge::Or => (host & !guest != 0).then_some(GapKind::NotAnnounced),
            Merge::EqualOrZero => (guest != 0 && (guest != host || !self.is_same_model())).then_some(GapKind::Differs),
            Merge::Equal => (guest != host).then_some(GapKind::Differs),
            _ => None,
        };
        let counts = match row.on_conflict {
            _ if row.merge != Merge::Equal => true,
            OnConflict::Chosen => false,
            OnConflict::Withhold(feature) => self.guest.view.features.contains(feature),
            OnConflict::Refuse | OnConflict::WithholdComponent => true,
        };
        kind.filter(|_| counts)
    }

    /// A guest that counts on one rate for its whole life needs that rate, or a core that scales.
    fn time(&mut self) {
        let promised = self.guest.view.features.contains(Feature::INVARIANT_TSC);
        let host = self.host;
        if !promised || !host.may.contains(Feature::INVARIANT_TSC) || self.guest.identity == host.core.identity {
            return;
        }
        let scales = host.core.raw.features.contains_any(&[Feature::TSCRATEMSR, Feature::VMX_TSC_SCALING]);
        match (crate::time::frequency(self.guest.view), crate::time::frequency(host.core.raw)) {
            (Some(mine), Some(theirs)) if mine == theirs || scales => {}
            (Some(mine), Some(theirs)) => {
                let (subject, kind) = (Subject::TscFrequency, GapKind::Differs);
                self.tell(Gap { subject, kind, because: Because::Hardware, guest: Some(mine), host: Some(theirs) });
            }
            _ if scales => {}
            (mine, theirs) => self.tell(unrecorded(Subject::TscFrequency, mine, theirs)),
        }
    }
}

/// A field's value with the meaning of zero taken into account.
fn effective(row: &FieldRow, at: FieldAt, view: &View) -> FieldValue {
    value_for(row, view.field(at), &|field| view.field(FieldAt { field, subleaf: at.subleaf }))
}

/// The least that a guest can be promised is kept everywhere.
fn is_safe_anywhere(row: &FieldRow, guest: u64) -> bool {
    match row.merge {
        Merge::Min | Merge::And | Merge::EqualOrZero => guest == 0 && row.zero_means == ZeroMeans::Zero,
        Merge::Equal => row.on_conflict == OnConflict::Chosen,
        _ => false,
    }
}

const fn unrecorded(subject: Subject, guest: Option<u64>, host: Option<u64>) -> Gap {
    Gap { subject, kind: GapKind::Unrecorded, because: Because::Unrecorded, guest, host }
}
