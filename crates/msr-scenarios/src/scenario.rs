//! Scenarios after reading: words checked, numbers parsed, the guest built.

use cpuid_db::{FeatureSet, Policy};
use msr_semantics::{Action, Capabilities, Class, Controls, HostMask, Initiator, Quirks, Rule, Semantics, SpecCtrl, UnhandledRule};
use toml::Spanned;

use crate::Error;
use crate::guest;
use crate::raw::{self, Number};

/// A guest, what it does, and what has to come of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file.
    pub file: String,
    /// Its line there.
    pub line: usize,
    /// What it shows.
    pub name: String,
    /// Where the expected values come from.
    pub source: Option<String>,
    /// The guest's CPU.
    pub guest: Box<Policy>,
    /// What the machine has; the guest's features if the file does not say.
    pub host: FeatureSet,
    /// What the machine holds in MSRs.
    pub host_msrs: Vec<HostMask>,
    /// Whether guest and machine are the same model.
    pub same_model: bool,
    /// Whose behaviour is expected.
    pub semantics: Semantics,
    /// The kernels that the expectation is about, as written.
    pub kernel: Option<String>,
    /// KVM's quirks that are on.
    pub quirks: Quirks,
    /// What the VMM has switched on.
    pub capabilities: Capabilities,
    /// How IA32_SPEC_CTRL is given.
    pub spec_ctrl: SpecCtrl,
    /// Control registers and EFER before the first step.
    pub state: Option<Controls>,
    /// EFER before the first step.
    pub efer: Option<u64>,
    /// The filter, if there is one.
    pub filter: Option<FilterSpec>,
    /// What happens to accesses that nobody answers.
    pub unhandled: UnhandledSpec,
    /// What is done.
    pub steps: Vec<Step>,
}

/// A filter that owns its rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterSpec {
    /// What no rule is about.
    pub default_allow: bool,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Unhandled actions that own their rules. What no rule is about is #GP.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UnhandledSpec {
    /// The rules.
    pub rules: Vec<UnhandledRule>,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its line in the file.
    pub line: usize,
    /// What is done.
    pub kind: StepKind,
    /// What has to come of it.
    pub expect: Expect,
}

/// What a step does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StepKind {
    /// RDMSR, or the host's read.
    Read {
        /// The MSR.
        address: u32,
        /// Who.
        by: Initiator,
        /// What the VMM answers if the access exits: a value, or #GP.
        reply: Option<Result<u64, ()>>,
    },
    /// WRMSR, or the host's write.
    Write {
        /// The MSR.
        address: u32,
        /// What is written.
        value: u64,
        /// Who.
        by: Initiator,
        /// What the VMM answers if the access exits: done, or #GP.
        reply: Option<Result<u64, ()>>,
    },
    /// A control register: cr0, cr4, efer, xcr0, xss.
    Control {
        /// Its name.
        register: String,
        /// What is written.
        value: u64,
        /// Who.
        by: Initiator,
    },
    /// CPUID.
    Cpuid {
        /// EAX.
        leaf: u32,
        /// ECX.
        subleaf: u32,
    },
    /// Any other instruction, by mnemonic.
    Instruction(String),
    /// RESET or INIT.
    Reset(msr_semantics::Reset),
    /// Saves the guest and restores it, here or where the machine holds this.
    SaveRestore {
        /// What the destination holds in MSRs.
        host_msrs: Vec<HostMask>,
        /// Its features, if they differ.
        features: Option<Box<FeatureSet>>,
    },
}

/// What has to come of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// It is done.
    Ok,
    /// This value is read.
    Value(u64),
    /// #GP(0).
    Gp,
    /// #UD.
    Ud,
    /// An exit to user space, for this reason if one is named.
    Exit(Option<Class>),
    /// The host is refused.
    Refused,
    /// These registers, under these masks: EAX, EBX, ECX, EDX.
    Registers([(u32, u32); 4]),
}

/// Reads a scenario file.
///
/// # Errors
/// [`Error`] with file and line.
pub fn read(file: &str, text: &str) -> Result<Vec<Scenario>, Error> {
    let raw: raw::File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Error { file: file.to_owned(), line, what: error.message().to_owned() }
    })?;
    let mut scenarios: Vec<Scenario> = Vec::with_capacity(raw.scenario.len());
    for one in raw.scenario {
        let line = line_of(text, one.span().start);
        let scenario = scenario(file, text, line, one.get_ref())?;
        if let Some(other) = scenarios.iter().find(|other| other.name == scenario.name) {
            let what = format!("line {} has a scenario `{}` already", other.line, other.name);
            return Err(Error { file: file.to_owned(), line, what });
        }
        scenarios.push(scenario);
    }
    Ok(scenarios)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn scenario(file: &str, text: &str, line: usize, raw: &raw::Scenario) -> Result<Scenario, Error> {
    let at = |line: usize| move |what: String| Error { file: file.to_owned(), line, what };
    let mut steps = Vec::with_capacity(raw.steps.len());
    for one in &raw.steps {
        let line = line_of(text, one.span().start);
        steps.push(step(line, one).map_err(at(line))?);
    }
    let mut scenario = frame(raw).map_err(at(line))?;
    (scenario.file, scenario.line, scenario.steps) = (file.to_owned(), line, steps);
    Ok(scenario)
}

fn frame(raw: &raw::Scenario) -> Result<Scenario, String> {
    let guest = guest::build(raw)?;
    let host = raw.host.as_deref().map(guest::features).transpose()?.unwrap_or_else(|| guest.features());
    let spec_ctrl = match raw.settings.get("spec_ctrl").map(String::as_str) {
        None | Some("exact") => SpecCtrl::Exact,
        Some("pass-through") => SpecCtrl::PassThrough,
        Some(other) => return Err(format!("spec_ctrl is `exact` or `pass-through`, not `{other}`")),
    };
    Ok(Scenario {
        file: String::new(),
        line: 0,
        name: raw.name.clone(),
        source: raw.source.clone(),
        same_model: raw.model.get("guest") == raw.model.get("host") || raw.model.len() < 2,
        host,
        host_msrs: guest::masks(&raw.host_msrs)?,
        semantics: semantics(raw.semantics.as_deref())?,
        kernel: raw.kernel.clone(),
        quirks: guest::quirks(&raw.quirks)?,
        capabilities: guest::capabilities(&raw.caps)?,
        spec_ctrl,
        state: guest::controls(&raw.state)?,
        efer: raw.state.get("efer").map(Number::value).transpose()?,
        filter: raw.filter.as_ref().map(filter).transpose()?,
        unhandled: unhandled(&raw.unhandled)?,
        steps: Vec::new(),
        guest: Box::new(guest),
    })
}

fn semantics(word: Option<&str>) -> Result<Semantics, String> {
    match word {
        None | Some("architectural") => Ok(Semantics::Architectural),
        Some("kvm") => Ok(Semantics::Kvm),
        Some(other) => Err(format!("semantics is `architectural` or `kvm`, not `{other}`")),
    }
}

/// `r`, `w` or `rw`: whether it is about reading, and about writing.
fn direction(word: Option<&str>) -> Result<(bool, bool), String> {
    match word.unwrap_or("rw") {
        "rw" => Ok((true, true)),
        "r" => Ok((true, false)),
        "w" => Ok((false, true)),
        other => Err(format!("dir is `r`, `w` or `rw`, not `{other}`")),
    }
}

fn filter(raw: &raw::Filter) -> Result<FilterSpec, String> {
    let default_allow = match raw.default.as_str() {
        "allow" => true,
        "deny" => false,
        other => return Err(format!("default is `allow` or `deny`, not `{other}`")),
    };
    let rule = |(range, allow): (&raw::Range, bool)| {
        let (read, write) = direction(range.dir.as_deref())?;
        Ok(Rule { first: range.first.address()?, last: range.last.address()?, read, write, allow })
    };
    let all = raw.deny.iter().map(|range| (range, false)).chain(raw.allow.iter().map(|range| (range, true)));
    Ok(FilterSpec { default_allow, rules: all.map(rule).collect::<Result<_, String>>()? })
}

fn unhandled(raw: &[raw::Unhandled]) -> Result<UnhandledSpec, String> {
    let rule = |raw: &raw::Unhandled| {
        let action = match raw.action.as_str() {
            "gp" => Action::Fault,
            "ignore" => Action::Ignore,
            "exit" => Action::Exit,
            other => return Err(format!("action is `gp`, `ignore` or `exit`, not `{other}`")),
        };
        let (read, write) = direction(raw.dir.as_deref())?;
        Ok(UnhandledRule { first: raw.first.address()?, last: raw.last.address()?, read, write, action })
    };
    Ok(UnhandledSpec { rules: raw.iter().map(rule).collect::<Result<_, String>>()? })
}

fn step(line: usize, raw: &Spanned<raw::Step>) -> Result<Step, String> {
    let raw = raw.get_ref();
    let by = match raw.by.as_deref() {
        None | Some("guest") => Initiator::Guest,
        Some("host") => Initiator::Host,
        Some(other) => return Err(format!("by is `guest` or `host`, not `{other}`")),
    };
    let value = || raw.value.as_ref().ok_or("a write needs a value")?.value();
    let reply = raw.reply.as_ref().map(reply).transpose()?;
    let mut kinds = Vec::new();
    if let Some(address) = &raw.rdmsr {
        kinds.push(StepKind::Read { address: address.address()?, by, reply });
    }
    if let Some(address) = &raw.wrmsr {
        kinds.push(StepKind::Write { address: address.address()?, value: value()?, by, reply });
    }
    if let Some(register) = &raw.write {
        kinds.push(StepKind::Control { register: control(register)?, value: value()?, by });
    }
    if let Some(place) = &raw.cpuid {
        let (leaf, subleaf) = guest::place(place)?;
        kinds.push(StepKind::Cpuid { leaf, subleaf });
    }
    kinds.extend(raw.insn.clone().map(StepKind::Instruction));
    if let Some(word) = &raw.reset {
        kinds.push(StepKind::Reset(reset(word)?));
    }
    if raw.save_restore == Some(true) {
        let destination = raw.destination.as_ref();
        let host_msrs = destination.map_or(Ok(Vec::new()), |destination| guest::masks(&destination.host_msrs))?;
        let features = destination.and_then(|destination| destination.features.as_deref()).map(guest::features).transpose()?.map(Box::new);
        kinds.push(StepKind::SaveRestore { host_msrs, features });
    }
    let [kind] = kinds.as_slice() else {
        return Err("a step does one thing: rdmsr, wrmsr, write, cpuid, insn, reset or save_restore".into());
    };
    Ok(Step { line, expect: expect(raw, kind)?, kind: kind.clone() })
}

fn control(word: &str) -> Result<String, String> {
    let known = ["cr0", "cr4", "efer", "xcr0", "xss"];
    if known.contains(&word) { Ok(word.to_owned()) } else { Err(format!("`{word}` is not one of {}", known.join(", "))) }
}

fn reset(word: &str) -> Result<msr_semantics::Reset, String> {
    match word {
        "reset" => Ok(msr_semantics::Reset::Reset),
        "init" => Ok(msr_semantics::Reset::Init),
        other => Err(format!("reset is `reset` or `init`, not `{other}`")),
    }
}

fn reply(raw: &Number) -> Result<Result<u64, ()>, String> {
    match raw {
        Number::Text(text) if text == "#GP" => Ok(Err(())),
        Number::Text(text) if text == "ok" => Ok(Ok(0)),
        number => Ok(Ok(number.value()?)),
    }
}

fn expect(raw: &raw::Step, kind: &StepKind) -> Result<Expect, String> {
    let class = match raw.reason.as_deref() {
        None => None,
        Some("inval") => Some(Class::Invalid),
        Some("unknown") => Some(Class::Unknown),
        Some("filter") => Some(Class::Filter),
        Some(other) => return Err(format!("reason is `inval`, `unknown` or `filter`, not `{other}`")),
    };
    match &raw.expect {
        None if matches!(kind, StepKind::Reset(_)) => Ok(Expect::Ok),
        None => Err("the step does not say what is expected".to_owned()),
        Some(raw::Expect::Registers(registers)) => guest::registers(registers).map(Expect::Registers),
        Some(raw::Expect::One(Number::Text(word))) => match word.as_str() {
            "ok" => Ok(Expect::Ok),
            "#GP" => Ok(Expect::Gp),
            "#UD" => Ok(Expect::Ud),
            "exit" => Ok(Expect::Exit(class)),
            "refused" => Ok(Expect::Refused),
            number => raw::number(number).map(Expect::Value),
        },
        Some(raw::Expect::One(number)) => number.value().map(Expect::Value),
    }
}
