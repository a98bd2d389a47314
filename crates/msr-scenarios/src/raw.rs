//! Scenario files as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// A number, or hexadecimal text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Int(i64),
    Text(String),
}

impl Number {
    pub(crate) fn value(&self) -> Result<u64, String> {
        match self {
            Self::Int(value) => u64::try_from(*value).map_err(|_| format!("{value} is negative")),
            Self::Text(text) => number(text),
        }
    }

    pub(crate) fn address(&self) -> Result<u32, String> {
        let value = self.value()?;
        u32::try_from(value).map_err(|_| format!("{value:#x} is no address: MSR numbers have 32 bits"))
    }
}

/// Decimal, or hexadecimal with `0x`.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is not a number"))
}

/// Registers as text, by name.
pub(crate) type Registers = BTreeMap<String, Number>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) scenario: Vec<Spanned<Scenario>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) source: Option<String>,
    pub(crate) vendor: String,
    #[serde(default)]
    pub(crate) features: Vec<String>,
    #[serde(default)]
    pub(crate) cpuid: BTreeMap<String, Number>,
    #[serde(default)]
    pub(crate) model: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) msrs: BTreeMap<String, Number>,
    pub(crate) host: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) host_msrs: BTreeMap<String, Number>,
    pub(crate) maxphyaddr: Option<u8>,
    #[serde(default)]
    pub(crate) state: Registers,
    pub(crate) semantics: Option<String>,
    pub(crate) kernel: Option<String>,
    #[serde(default)]
    pub(crate) quirks: Vec<String>,
    #[serde(default)]
    pub(crate) caps: Vec<String>,
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) filter: Option<Filter>,
    #[serde(default)]
    pub(crate) unhandled: Vec<Unhandled>,
    pub(crate) steps: Vec<Spanned<Step>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) default: String,
    #[serde(default)]
    pub(crate) allow: Vec<Range>,
    #[serde(default)]
    pub(crate) deny: Vec<Range>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    pub(crate) first: Number,
    pub(crate) last: Number,
    pub(crate) dir: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unhandled {
    pub(crate) first: Number,
    pub(crate) last: Number,
    pub(crate) dir: Option<String>,
    pub(crate) action: String,
}

/// What has to come: a word, a number, or registers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Expect {
    Registers(Registers),
    One(Number),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) rdmsr: Option<Number>,
    pub(crate) wrmsr: Option<Number>,
    pub(crate) write: Option<String>,
    pub(crate) cpuid: Option<String>,
    pub(crate) insn: Option<String>,
    pub(crate) reset: Option<String>,
    pub(crate) save_restore: Option<bool>,
    pub(crate) destination: Option<Destination>,
    pub(crate) value: Option<Number>,
    pub(crate) by: Option<String>,
    pub(crate) expect: Option<Expect>,
    pub(crate) reason: Option<String>,
    pub(crate) reply: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Destination {
    pub(crate) features: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) host_msrs: BTreeMap<String, Number>,
}
