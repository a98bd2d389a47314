//! The smallest Firecracker template that turns a host into a guest.

use cpu_dumps::{AbsentBits, Lost, Machine, Refused, Target, Template};
use cpuid_db::{Feature, Location, Policy, Unrecorded};

use super::{Loss, Outcome, Part, parts};
use crate::answer::{Failure, Status};
use crate::words;

/// What a hypervisor starts from on this host: what KVM gives where that is recorded, else the raw CPU.
pub(super) fn ground(host: &Machine) -> Option<&Policy> {
    let raw = host.cpus.first().map(|cpu| &cpu.policy);
    host.kvm.as_ref().map(|kvm| &kvm.supported).or(raw)
}

/// The templates that turn the host into each of the guests.
///
/// # Errors
/// A failure that names what no template can add to the host.
pub(crate) fn difference(guests: &[Machine], host: &Machine) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let Some(ground) = ground(host) else { return Ok(outcome) };
    for guest in guests {
        let Some(cpu) = guest.cpus.first() else { continue };
        let (template, lost) = Template::difference(&cpu.policy, ground).map_err(|error| refused(guest, host, &error))?;
        let further = guest.cpus.len() - 1;
        let cpus = (further > 0).then_some(Lost::Cpus { count: further });
        let msrs = cpu.msrs.iter().filter(|msr| cpu.policy.msrs.get(msr.index).is_none());
        let msrs = msrs.map(|msr| Lost::Msr { cpu: cpu.number, index: msr.index });
        outcome.lost.extend(cpus.into_iter().chain(msrs).chain(lost).map(|lost| Loss::new(guest, lost)));
        outcome.lost.extend(staying(&cpu.policy, ground).map(|index| Loss::msr_stays(guest, index)));
        let name = parts::name(&guest.name, "json", &outcome.parts);
        debug_assert_eq!(template.format, Target::FirecrackerTemplate.format());
        outcome.parts.push(Part { name, text: template.to_string() });
    }
    Ok(outcome)
}

/// One template that makes the same guest of every host: it names only places that all of them have.
///
/// # Errors
/// A failure that names what no template can add to some host.
pub(crate) fn for_pool(guest: &Machine, hosts: &[Machine]) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let Some(cpu) = guest.cpus.first() else { return Ok(outcome) };
    let grounds: Vec<&Policy> = hosts.iter().filter_map(ground).collect();
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    let refused = |error: Refused| without(&guest.name, &words::some_of(&names, names.len(), 4), &error);
    let (template, lost) = Template::for_pool(&cpu.policy, &grounds).map_err(refused)?;
    outcome.lost.extend(lost.into_iter().map(|lost| Loss::new(guest, lost)));
    let mut stay: Vec<u32> = grounds.iter().flat_map(|host| staying(&cpu.policy, host)).collect();
    stay.sort_unstable();
    stay.dedup();
    outcome.lost.extend(stay.into_iter().map(|index| Loss::msr_stays(guest, index)));
    outcome.parts.push(Part { name: parts::name(&guest.name, "json", &[]), text: template.to_string() });
    Ok(outcome)
}

/// MSRs of the host that the guest does not have: a template cannot take them away.
fn staying(guest: &Policy, host: &Policy) -> impl Iterator<Item = u32> {
    let is_known_absent = |index: &u32| guest.msrs.get(*index).is_none() && !guest.unrecorded.contains(Unrecorded::Msr { index: *index });
    host.msrs.entries().iter().map(|msr| msr.index).filter(is_known_absent)
}

fn refused(guest: &Machine, host: &Machine, error: &Refused) -> Failure {
    without(&guest.name, &host.name, error)
}

/// A guest that no template makes of this host, or of these.
fn without(guest: &str, host: &str, refused: &Refused) -> Failure {
    let wanted = refused.wanted.iter().map(|bits| {
        let names: Vec<&str> = features(bits).iter().map(|feature| feature.name()).collect();
        let what = if names.is_empty() { format!("bits {:#x}", bits.bits) } else { names.join(" ") };
        format!("{} ({what})", place(bits))
    });
    let wanted: Vec<String> = wanted.collect();
    let (guest, host) = (words::clean(guest), words::clean(host));
    let message = format!("{guest} on {host}: a Firecracker template cannot add what the host does not have: {}", wanted.join(", "));
    Failure::new(Status::Refused, message)
}

fn place(bits: &AbsentBits) -> String {
    match (bits.place, bits.register) {
        (Unrecorded::Cpuid { leaf, subleaf }, Some(register)) => words::register(leaf, subleaf, register),
        (place, _) => words::unrecorded(place),
    }
}

/// The features among the bits.
fn features(bits: &AbsentBits) -> Vec<Feature> {
    let set = (0..64).filter(|bit| bits.bits >> bit & 1 == 1);
    let location = |bit| match (bits.place, bits.register) {
        (Unrecorded::Cpuid { leaf, subleaf }, Some(register)) => Some(Location::Cpuid { leaf, subleaf, register, bit }),
        (Unrecorded::Msr { index }, _) => Some(Location::Msr { index, bit }),
        _ => None,
    };
    set.filter_map(|bit| Feature::at_location(location(bit)?)).collect()
}
