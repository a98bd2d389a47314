//! Replies of QEMU's machine protocol, one after the other, as libvirt's tests store them.
//!
//! - `query-cpu-model-expansion`: the properties of one CPU, true or false. What is not listed is unknown.
//! - `feature-words` (before QEMU 2.9): registers, and the identity in replies of their own.
//! - `query-cpu-definitions`: the models that QEMU knows, and which of their features the host lacks. Taken for a machine only in a file
//!   with nothing else: what any model lacks is not there, and what a model has and does not lack is there.
//!
//! Left out: greetings, events and errors.

use cpuid_db::{Basis, FeatureSet, Place, Project, Register};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{Fault, Problem};
use crate::json::{self, Cursor, Documents, List, Object, Value};
use crate::limits::{MAX_MACHINES, MAX_NAMES};
use crate::machine::Found;
use crate::models::{self, signature_of};
use crate::named::{self, Names};

/// Reads all replies of a file.
pub(crate) fn read(documents: &mut Documents<'_>) -> Result<Vec<Found>, Fault> {
    let mut replies = Replies::default();
    loop {
        let mut reply = Reply { replies: &mut replies, id: None, scalar: None };
        match documents.read(&mut reply) {
            None => break,
            Some(read) => read?,
        }
    }
    Ok(replies.finish()?)
}

/// What the replies of a file have said so far.
#[derive(Default)]
struct Replies {
    expansions: Vec<(String, Properties)>,
    /// Feature words and the identity that comes with them.
    words: Option<Properties>,
    definitions: Option<Definitions>,
}

impl Replies {
    fn words(&mut self) -> &mut Properties {
        self.words.get_or_insert_default()
    }

    fn finish(self) -> Result<Vec<Found>, Problem> {
        let mut found = Vec::new();
        for (name, properties) in self.expansions {
            found.push(properties.finish(Some(name))?);
        }
        if let Some(words) = self.words.filter(|words| !words.names.is_empty()) {
            found.push(words.finish(None)?);
        }
        match self.definitions {
            Some(definitions) if found.is_empty() => found.push(definitions.finish()?),
            _ => {}
        }
        if found.is_empty() { Err(Problem::NoCpu) } else { Ok(found) }
    }
}

/// The names of models that describe the host, not a model.
const HOSTS: [&str; 3] = ["base", "host", "max"];

/// Properties of QEMU's CPU objects that are no features: how QEMU computes, what it shows beside CPUID.
pub(crate) const NO_FEATURES: [&str; 23] = [
    "check",
    "cpuid-0xb",
    "enforce",
    "fill-mtrr-mask",
    "full-cpuid-auto-level",
    "host-cache-info",
    "host-phys-bits",
    "hotpluggable",
    "hotplugged",
    "hv-enforce-cpuid",
    "hv-passthrough",
    "kvm",
    "kvm-no-smi-migration",
    "kvm-pv-enforce-cpuid",
    "l3-cache",
    "legacy-cache",
    "lmce",
    "migratable",
    "pmu",
    "realized",
    "start-powered-off",
    "tcg-cpuid",
    "vmware-cpuid-freq",
];

/// The properties of one CPU.
pub(crate) struct Properties {
    pub(crate) names: Names,
    family: Option<u32>,
    model: Option<u32>,
    stepping: Option<u32>,
    count: usize,
}

impl Default for Properties {
    fn default() -> Self {
        Self { names: Names::new(Project::Qemu), family: None, model: None, stepping: None, count: 0 }
    }
}

impl Properties {
    /// Those of a model, before anybody changes them.
    pub(crate) fn of_model(model: &models::Model) -> Self {
        let mut own = Self::default();
        if let Some(signature) = model.signatures.first() {
            let [family, number, stepping] = models::parts_of(*signature);
            (own.family, own.model, own.stepping) = (Some(family), Some(number), Some(stepping));
        }
        own.names.vendor = model.vendor;
        own.names.brand.clone_from(&model.model_id);
        own.names.max = [model.level, model.xlevel];
        own.names.model = model.features;
        own
    }

    pub(crate) fn set(&mut self, key: &str, value: &Value<'_>) -> Result<(), Problem> {
        self.count += 1;
        if self.count > MAX_NAMES {
            return Err(Problem::TooMany { what: "properties of one CPU", limit: MAX_NAMES });
        }
        match value {
            Value::Bool(_) if NO_FEATURES.contains(&key) || key.starts_with("x-") => Ok(()),
            // A Hyper-V interface that is not there is the usual thing, whatever words QEMU has for its parts.
            Value::Bool(false) if key.starts_with("hv-") => Ok(()),
            Value::Bool(on) => self.names.say(key, *on),
            Value::Number(number) => self.number(key, *number),
            Value::Text(text) => self.text(key, text),
            Value::Other => Ok(()),
        }
    }

    fn number(&mut self, key: &str, number: i64) -> Result<(), Problem> {
        let [basic, extended] = &mut self.names.max;
        let (slot, least, most) = match key {
            "family" => (&mut self.family, 0, 0x10e),
            "model" => (&mut self.model, 0, 0xff),
            "stepping" => (&mut self.stepping, 0, 0xf),
            "phys-bits" => {
                // 0 lets QEMU choose.
                self.names.phys_bits = u8::try_from(number).ok().filter(|bits| (32..=52).contains(bits));
                return Ok(());
            }
            // Out of range: QEMU finds the maximum by itself.
            "level" => (basic, 1, 0xffff),
            "xlevel" => (extended, 0x8000_0000, 0x8000_ffff),
            _ => return Ok(()),
        };
        let is_level = key.ends_with("level");
        match u32::try_from(number).ok().filter(|number| (least..=most).contains(number)) {
            None if is_level => Ok(()),
            None => Err(Problem::Expected { expected: "a number of a CPU's identity", found: format!("{key} {number}") }),
            some => {
                *slot = some;
                Ok(())
            }
        }
    }

    fn text(&mut self, key: &str, text: &str) -> Result<(), Problem> {
        match key {
            "vendor" if text.is_empty() => {}
            "vendor" => {
                let bytes = text.as_bytes().try_into().map_err(|_| Problem::expected("a vendor of 12 characters", text.as_bytes()))?;
                self.names.vendor = Some(cpuid_db::Vendor::from_bytes(bytes));
            }
            "model-id" => self.names.brand = Some(text.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn finish(self, name: Option<String>) -> Result<Found, Problem> {
        let name = name.filter(|name| !HOSTS.contains(&name.as_str()));
        Ok(Found { name, ..self.into_found(Basis::Recorded, false)? })
    }

    /// `is_complete` when what is not said is not there.
    pub(crate) fn into_found(mut self, basis: Basis, is_complete: bool) -> Result<Found, Problem> {
        if let (Some(family), Some(model), Some(stepping)) = (self.family, self.model, self.stepping) {
            self.names.signature = signature_of(family, model, stepping);
        }
        let unknown_names = std::mem::take(&mut self.names.unknown);
        let cpu = self.names.into_cpu(basis, is_complete)?;
        Ok(Found { unknown_names, ..Found::new(vec![cpu]) })
    }
}

/// The models that QEMU knows.
#[derive(Default)]
struct Definitions {
    lacking: FeatureSet,
    having: FeatureSet,
    unknown: Vec<String>,
}

impl Definitions {
    fn add(&mut self, name: &str, unavailable: &[String]) {
        let mut lacking = FeatureSet::EMPTY;
        let mut is_known = true;
        for word in unavailable {
            let features = named::features(Project::Qemu, word);
            is_known &= !features.is_empty();
            if features.is_empty() && self.unknown.len() < MAX_NAMES && !self.unknown.contains(word) {
                self.unknown.push(word.clone());
            }
            // Of several bits any may be the one that is missing.
            lacking = features.into_iter().fold(lacking, FeatureSet::with);
        }
        self.lacking = self.lacking.union(&lacking);
        if let Some(model) = models::model(Project::Qemu, name).filter(|_| is_known) {
            self.having = self.having.union(&model.features.difference(&lacking));
        }
    }

    fn finish(self) -> Result<Found, Problem> {
        let mut names = Names::new(Project::Qemu);
        let having = self.having.difference(&self.lacking);
        for (set, on) in [(having, true), (self.lacking.difference(&self.having), false)] {
            set.iter().try_for_each(|feature| names.set(feature, on, feature.name()))?;
        }
        if names.is_empty() {
            return Err(Problem::NoCpu);
        }
        Ok(Found { unknown_names: self.unknown, ..Found::new(vec![names.into_cpu(Basis::Recorded, false)?]) })
    }
}

/// One document.
struct Reply<'a> {
    replies: &'a mut Replies,
    id: Option<String>,
    /// A number or text that only the id explains.
    scalar: Option<Scalar>,
}

enum Scalar {
    Number(i64),
    Text(String),
}

impl Object for Reply<'_> {
    const KEYS: &'static [&'static str] = &["return", "id"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        if key == "return" {
            return value.deserialize_any(Return { reply: self, at });
        }
        let text = |value: &Value<'_>| match value {
            Value::Text(text) => Some((*text).to_owned()),
            _ => None,
        };
        json::value(value, at, |value| {
            self.id = text(value);
            Ok(())
        })
    }

    fn end(&mut self) -> Result<(), Problem> {
        let (Some(id), Some(scalar)) = (&self.id, &self.scalar) else { return Ok(()) };
        let value = match scalar {
            Scalar::Number(number) => Value::Number(*number),
            Scalar::Text(text) => Value::Text(text),
        };
        self.replies.words().set(id, &value)
    }
}

/// What a reply returns: its kind tells which question was asked.
struct Return<'a, 'b> {
    reply: &'a mut Reply<'b>,
    at: &'a Cursor,
}

impl<'de> Visitor<'de> for Return<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a reply")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.reply.scalar = Some(Scalar::Number(number));
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.visit_i64(i64::try_from(number).unwrap_or(-1))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.reply.scalar = Some(Scalar::Text(text.to_owned()));
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        let at = self.at;
        json::list_of(seq, at, ("models or words", MAX_MACHINES), &mut Items(self.reply.replies))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let mut expansion = Expansion::default();
        json::object_of(map, self.at, &mut expansion)?;
        if let Some(model) = expansion.model {
            let expansions = &mut self.reply.replies.expansions;
            if expansions.len() >= MAX_MACHINES {
                return Err(self.at.refuse(Problem::TooMany { what: "machines", limit: MAX_MACHINES }));
            }
            expansions.push((model.name, model.properties));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Expansion {
    model: Option<Model>,
}

impl Object for Expansion {
    const KEYS: &'static [&'static str] = &["model"];

    fn member<'de, D: Deserializer<'de>>(&mut self, _: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, self.model.get_or_insert_default())
    }
}

#[derive(Default)]
struct Model {
    name: String,
    properties: Properties,
}

impl Object for Model {
    const KEYS: &'static [&'static str] = &["name", "props"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "name" => self.name = json::string(value, at)?,
            _ => json::members(value, at, |key, value| self.properties.set(key, value))?,
        }
        Ok(())
    }
}

struct Items<'a>(&'a mut Replies);

impl List for Items<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        let mut item = Item::default();
        json::object(value, at, &mut item)?;
        item.store(self.0).map_err(|problem| at.refuse(problem))
    }
}

/// A model's definition, or a feature word.
#[derive(Default)]
struct Item {
    name: Option<String>,
    unavailable: Option<Vec<String>>,
    register: Option<Register>,
    leaf: Option<u32>,
    subleaf: u32,
    features: Option<u32>,
}

impl Item {
    fn store(self, replies: &mut Replies) -> Result<(), Problem> {
        let Some(register) = self.register else {
            if let Some((name, unavailable)) = self.name.zip(self.unavailable) {
                replies.definitions.get_or_insert_default().add(&name, &unavailable);
            }
            return Ok(());
        };
        let leaf = self.leaf.ok_or(Problem::Missing { what: "cpuid-input-eax" })?;
        let features = self.features.ok_or(Problem::Missing { what: "features" })?;
        replies.words().names.word(Place::Cpuid { leaf, subleaf: self.subleaf, register }, features);
        Ok(())
    }
}

impl Object for Item {
    const KEYS: &'static [&'static str] =
        &["name", "unavailable-features", "cpuid-register", "cpuid-input-eax", "cpuid-input-ecx", "features"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "name" => self.name = Some(json::string(value, at)?),
            "unavailable-features" => {
                json::list(value, at, ("features in one model", MAX_NAMES), &mut Words(self.unavailable.get_or_insert_default()))?;
            }
            "cpuid-register" => self.register = Some(json::register(value, at)?),
            "cpuid-input-eax" => self.leaf = Some(json::number(value)?),
            "cpuid-input-ecx" => self.subleaf = json::number(value)?,
            _ => self.features = Some(json::number(value)?),
        }
        Ok(())
    }
}

struct Words<'a>(&'a mut Vec<String>);

impl List for Words<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        self.0.push(json::string(value, at)?);
        Ok(())
    }
}
