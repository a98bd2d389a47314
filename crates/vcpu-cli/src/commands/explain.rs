//! `vcpu explain`: everything the database says about a feature, field, MSR or bit.

use cpuid_db::{Found, LookupError, Named, lookup, nearest};
use serde_json::{Value, json};

use crate::answer::{Answer, Failure, Status};
use crate::json;
use crate::page::{HEADING, PLAIN, Page, QUIET, sentence};
use crate::words;

mod facts;
mod kvm;
mod msr;
mod page;

/// Arguments of `vcpu explain`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
A word is a canonical name (SSE3), a spelling of Linux, QEMU, libvirt, Xen or kcpuid (pni), a pinned spelling (xen:IBRS),
a place (CPUID.7.0.EBX[13], CPUID.1.ECX[0], MSR.10A[2]), or an MSR (0x10a, IA32_ARCH_CAPABILITIES).

Examples:
  vcpu explain pni
  vcpu explain 'CPUID.7.0.EBX[13]'
  vcpu explain 0x10a
  vcpu explain --json AVX512_VBMI | jq .requires_all")]
pub(crate) struct Args {
    /// A name, spelling, place or MSR.
    word: String,
}

/// The page about what the word names.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    let found = lookup(&args.word).map_err(|error| failure(&args.word, error))?;
    let subject = match found {
        Found::Named(Named::Feature(feature)) => facts::of_feature(feature),
        Found::Named(Named::Field(field)) => facts::of_field(field),
        Found::Reserved(location) => facts::of_reserved(location),
        Found::Msr(index) => msr::facts(index).ok_or_else(|| unknown_msr(index))?,
    };
    let text = if as_json { json::document(&subject.json()) } else { page::write(&subject) };
    Ok(Answer::done(text))
}

fn unknown_msr(index: u32) -> Failure {
    Failure::wrong(format!("MSR {index:X}H is not a feature MSR, and no feature of the database opens it"))
}

/// Why a word names nothing, and what may have been meant.
pub(crate) fn failure(word: &str, error: LookupError) -> Failure {
    match error {
        LookupError::Ambiguous(candidates) => ambiguous(word, &candidates),
        LookupError::Unknown => unknown(word),
        other => Failure::wrong(format!("\"{word}\" is {other}")),
    }
}

fn ambiguous(word: &str, candidates: &[Option<Named>]) -> Failure {
    let mut page = Page::new();
    let mut objects = Vec::new();
    for named in candidates.iter().flatten() {
        let pins = pins(word, *named);
        let spelling = pins.first().cloned().unwrap_or_else(|| named.name().to_owned());
        let place = facts::place_of(*named);
        let mut words = sentence(HEADING, named.name());
        words.extend(sentence(PLAIN, &format!("{place}: {}", named.text().title)));
        words.extend(sentence(QUIET, &format!("(also {})", pins.join(", "))).into_iter().filter(|_| !pins.is_empty()));
        page.words(2, words);
        objects.push(json!({ "name": named.name(), "location": place, "title": named.text().title, "spelling": spelling }));
    }
    page.remark(2, "Say one of these names or spellings.");
    let message = format!("\"{word}\" means several things");
    Failure { message: message + ":", details: page.into_text(), candidates: objects, status: Status::Wrong }
}

/// The pinned spellings that select this candidate alone.
fn pins(word: &str, named: Named) -> Vec<String> {
    let word = word.rsplit_once(':').map_or(word, |(_, word)| word).trim();
    let pinned = named.text().names.iter().map(|(project, _)| format!("{}:{word}", project.name()));
    let mut pins: Vec<String> = pinned.filter(|pin| lookup(pin) == Ok(Found::Named(named))).collect();
    pins.dedup();
    pins
}

fn unknown(word: &str) -> Failure {
    let near: Vec<&str> = nearest(word).into_iter().flatten().collect();
    let mut message = format!("\"{word}\" is {}", LookupError::Unknown);
    if let [init @ .., last] = near.as_slice() {
        let list = if init.is_empty() { (*last).to_owned() } else { format!("{} or {last}", init.join(", ")) };
        message.extend(["; did you mean ", &list, "?"]);
    }
    let candidates = near.into_iter().filter_map(candidate).collect();
    Failure { candidates, ..Failure::wrong(message) }
}

fn candidate(name: &str) -> Option<Value> {
    let Ok(Found::Named(named)) = lookup(name) else { return None };
    let place = facts::place_of(named);
    Some(json!({ "name": name, "location": place, "title": named.text().title, "spelling": words::clean(name) }))
}
