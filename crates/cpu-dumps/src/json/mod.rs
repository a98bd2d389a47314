//! Reading JSON piece by piece: nothing is kept but what the reader takes, and every error knows the way to its offender.
//!
//! A reader describes an object by the keys that it wants ([`Object`]) and a list by what it does with an element ([`List`]),
//! and says what becomes of keys that it does not want ([`Others`]).

mod any;
mod nearest;

use std::cell::RefCell;
use std::fmt::{self, Write};

use cpuid_db::Register;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Format;
use crate::digits::prefixed;
use crate::error::{Fault, Place, Problem};
use crate::lines::text_of;

pub(crate) use any::{Value, members, value};

/// Where in a document the reader stands, and what it found wrong there.
///
/// A step is entered before a value and left after it is read well, so that the first error leaves the way to it behind.
#[derive(Default)]
pub(crate) struct Cursor {
    path: RefCell<Vec<Step>>,
    problem: RefCell<Option<Problem>>,
}

#[derive(Clone, Copy)]
enum Step {
    Key(&'static str),
    Index(usize),
}

impl Cursor {
    fn enter(&self, step: Step) {
        self.path.borrow_mut().push(step);
    }

    fn leave(&self) {
        self.path.borrow_mut().pop();
    }

    /// Stops the reader with a problem of our own.
    pub(crate) fn refuse<E: de::Error>(&self, problem: Problem) -> E {
        *self.problem.borrow_mut() = Some(problem);
        E::custom("refused")
    }

    fn path(&self) -> String {
        let mut text = String::new();
        for step in self.path.borrow().iter() {
            let dot = if text.is_empty() { "" } else { "." };
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Key(key) => write!(text, "{dot}{key}"),
                Step::Index(index) => write!(text, "[{index}]"),
            };
        }
        text
    }

    /// What stopped the reader: our own problem, or what the parser says.
    fn fault(&self, error: &serde_json::Error) -> Fault {
        let message = || {
            let text = error.to_string();
            Problem::syntax(text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message))
        };
        let refused = self.problem.borrow_mut().take();
        let is_about_value = refused.is_some() || error.is_data();
        let problem = refused.unwrap_or_else(message);
        let path = self.path();
        let line = error.line();
        let place = if is_about_value && !path.is_empty() { Place::Path { line, path } } else { Place::Line(line) };
        Fault { place, problem }
    }
}

/// An object of which some members are wanted.
pub(crate) trait Object {
    /// The wanted keys; at most 32.
    const KEYS: &'static [&'static str];

    /// What becomes of other keys.
    const OTHERS: Others = Others::Skipped;

    /// Takes the member with this key, one of [`Object::KEYS`].
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error>;

    /// Judges the object as a whole, after its last member. An error here still has the object's place.
    fn end(&mut self) -> Result<(), Problem> {
        Ok(())
    }
}

/// What becomes of keys that a reader does not want.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Others {
    /// Nothing: other tools write what they like.
    Skipped,
    /// They are refused, where the format's tools refuse them too: a damaged key must not take its part with it in silence.
    Refused,
    /// They are refused but for these, which say nothing that is not read elsewhere, and those that begin with `x-`,
    /// which are anybody's.
    Own(&'static [&'static str]),
}

impl Others {
    fn allow(self, key: &str) -> bool {
        match self {
            Self::Skipped => true,
            Self::Refused => false,
            Self::Own(known) => known.contains(&key) || key.starts_with("x-"),
        }
    }

    fn known(self) -> &'static [&'static str] {
        if let Self::Own(known) = self { known } else { &[] }
    }
}

/// A list of which every element is wanted.
pub(crate) trait List {
    /// Takes the next element.
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error>;
}

/// The documents of a file, one after the other.
pub(crate) struct Documents<'a> {
    json: serde_json::Deserializer<serde_json::de::StrRead<'a>>,
}

impl<'a> Documents<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        // Once for all is faster than string by string.
        Ok(Self { json: serde_json::Deserializer::from_str(text_of(bytes)?) })
    }

    /// Whether nothing but white space is left.
    pub(crate) fn is_over(&mut self) -> bool {
        self.json.end().is_ok()
    }

    /// Reads the next document into `document`; `None` at the end of the file.
    pub(crate) fn read(&mut self, document: &mut impl Object) -> Option<Result<(), Fault>> {
        if self.is_over() {
            return None;
        }
        let cursor = Cursor::default();
        Some(object(&mut self.json, &cursor, document).map_err(|error| cursor.fault(&error)))
    }
}

/// Reads an object.
pub(crate) fn object<'de, D: Deserializer<'de>, O: Object>(value: D, at: &Cursor, object: &mut O) -> Result<(), D::Error> {
    value.deserialize_map(ObjectVisitor { object, at })
}

struct ObjectVisitor<'a, O> {
    object: &'a mut O,
    at: &'a Cursor,
}

impl<'de, O: Object> Visitor<'de> for ObjectVisitor<'_, O> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { object, at } = self;
        let mut seen = 0_u32;
        let mut next = 0;
        while let Some(rank) = map.next_key_seed(KeyRank { keys: O::KEYS, others: O::OTHERS, next, at })? {
            let Some((rank, key)) = rank else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            next = rank + 1;
            at.enter(Step::Key(key));
            if seen >> rank & 1 == 1 {
                return Err(at.refuse(Problem::Twice { what: key }));
            }
            seen |= 1 << rank;
            map.next_value_seed(MemberSeed { object, key, at })?;
            at.leave();
        }
        object.end().map_err(|problem| at.refuse(problem))
    }
}

/// Finds a key among the wanted ones without copying it; most documents keep the order of the wanted ones.
struct KeyRank<'a> {
    keys: &'static [&'static str],
    /// What becomes of a key that is not among them.
    others: Others,
    /// The rank of the key that comes next in that order.
    next: usize,
    at: &'a Cursor,
}

impl<'de> DeserializeSeed<'de> for KeyRank<'_> {
    type Value = Option<(usize, &'static str)>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyRank<'_> {
    type Value = Option<(usize, &'static str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if let Some(key) = self.keys.get(self.next).filter(|key| **key == text) {
            return Ok(Some((self.next, key)));
        }
        let found = self.keys.iter().copied().enumerate().find(|(_, key)| *key == text);
        if found.is_some() || self.others.allow(text) {
            return Ok(found);
        }
        let known = self.keys.iter().chain(self.others.known()).copied();
        let key = crate::error::excerpt(text.as_bytes());
        Err(self.at.refuse(Problem::UnknownKey { key, nearest: nearest::nearest(text, known) }))
    }
}

struct MemberSeed<'a, O> {
    object: &'a mut O,
    key: &'static str,
    at: &'a Cursor,
}

impl<'de, O: Object> DeserializeSeed<'de> for MemberSeed<'_, O> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        self.object.member(self.key, value, self.at)
    }
}

/// Reads an object of which the caller has begun to visit the members.
pub(crate) fn object_of<'de, A: MapAccess<'de>, O: Object>(map: A, at: &Cursor, object: &mut O) -> Result<(), A::Error> {
    ObjectVisitor { object, at }.visit_map(map)
}

/// Reads what is either a string, of which `parse` makes something, or an object.
pub(crate) fn text_or_object<'de, D: Deserializer<'de>, O: Object>(
    value: D,
    at: &Cursor,
    parse: impl FnOnce(&str, &mut O) -> Result<(), Problem>,
    object: &mut O,
) -> Result<(), D::Error> {
    value.deserialize_any(EitherVisitor { parse, object, at })
}

struct EitherVisitor<'a, F, O> {
    parse: F,
    object: &'a mut O,
    at: &'a Cursor,
}

impl<'de, O: Object, F: FnOnce(&str, &mut O) -> Result<(), Problem>> Visitor<'de> for EitherVisitor<'_, F, O> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an object")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        (self.parse)(text, self.object).map_err(|problem| self.at.refuse(problem))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        ObjectVisitor { object: self.object, at: self.at }.visit_map(map)
    }
}

/// Reads a list of at most `limit` elements; `what` names them in the error.
pub(crate) fn list<'de, D: Deserializer<'de>, L: List>(
    value: D,
    at: &Cursor,
    (what, limit): (&'static str, usize),
    list: &mut L,
) -> Result<(), D::Error> {
    value.deserialize_seq(ListVisitor { list, what, limit, at })
}

/// Reads a list of which the caller has begun to visit the elements.
pub(crate) fn list_of<'de, A: SeqAccess<'de>, L: List>(
    seq: A,
    at: &Cursor,
    (what, limit): (&'static str, usize),
    list: &mut L,
) -> Result<(), A::Error> {
    ListVisitor { list, what, limit, at }.visit_seq(seq)
}

struct ListVisitor<'a, L> {
    list: &'a mut L,
    what: &'static str,
    limit: usize,
    at: &'a Cursor,
}

impl<'de, L: List> Visitor<'de> for ListVisitor<'_, L> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { list, what, limit, at } = self;
        for index in 0.. {
            at.enter(Step::Index(index));
            let element = seq.next_element_seed(ElementSeed { list, at, is_over: index >= limit, what, limit })?;
            at.leave();
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }
}

struct ElementSeed<'a, L> {
    list: &'a mut L,
    at: &'a Cursor,
    is_over: bool,
    what: &'static str,
    limit: usize,
}

impl<'de, L: List> DeserializeSeed<'de> for ElementSeed<'_, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        if self.is_over {
            return Err(self.at.refuse(Problem::TooMany { what: self.what, limit: self.limit }));
        }
        self.list.element(value, self.at)
    }
}

/// Reads a string and lets `parse` make something of it.
pub(crate) fn text<'de, D: Deserializer<'de>, T>(
    value: D,
    at: &Cursor,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Problem>,
) -> Result<T, D::Error> {
    value.deserialize_str(TextVisitor { at, expected, parse })
}

struct TextVisitor<'a, F> {
    at: &'a Cursor,
    expected: &'static str,
    parse: F,
}

impl<T, F: FnOnce(&str) -> Result<T, Problem>> Visitor<'_> for TextVisitor<'_, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(|problem| self.at.refuse(problem))
    }
}

/// Reads a string as it is.
pub(crate) fn string<'de, D: Deserializer<'de>>(value: D, at: &Cursor) -> Result<String, D::Error> {
    text(value, at, "a string", |text| Ok(text.to_owned()))
}

/// Reads `"0x..."` of up to 8 digits.
pub(crate) fn hex32<'de, D: Deserializer<'de>>(value: D, at: &Cursor) -> Result<u32, D::Error> {
    const EXPECTED: &str = "a string of 0x and up to 8 hex digits";
    let number =
        text(value, at, EXPECTED, |text| prefixed(text.as_bytes(), 8).ok_or_else(|| Problem::expected(EXPECTED, text.as_bytes())))?;
    Ok(number as u32)
}

/// Reads `"0x..."` of up to 16 digits.
pub(crate) fn hex64<'de, D: Deserializer<'de>>(value: D, at: &Cursor) -> Result<u64, D::Error> {
    const EXPECTED: &str = "a string of 0x and up to 16 hex digits";
    text(value, at, EXPECTED, |text| prefixed(text.as_bytes(), 16).ok_or_else(|| Problem::expected(EXPECTED, text.as_bytes())))
}

/// Reads the name of a register in either case.
pub(crate) fn register<'de, D: Deserializer<'de>>(value: D, at: &Cursor) -> Result<Register, D::Error> {
    const EXPECTED: &str = "eax, ebx, ecx or edx";
    text(value, at, EXPECTED, |text| Register::from_name(text).ok_or_else(|| Problem::expected(EXPECTED, text.as_bytes())))
}

/// Reads a number that is not negative.
pub(crate) fn number<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    <u32 as de::Deserialize>::deserialize(value)
}

/// The format of a JSON file, by the first key that tells; for a document that is none of ours, what is wrong.
pub(crate) fn detect(bytes: &[u8]) -> Result<Format, Fault> {
    let mut signs = Signs(None);
    let mut documents = Documents::new(bytes)?;
    let end = documents.read(&mut signs);
    match (signs.0, end) {
        (Some(format), _) => Ok(format),
        (None, Some(Err(fault))) => Err(fault),
        (None, _) => Err(Problem::UnknownFormat.into()),
    }
}

struct Signs(Option<Format>);

/// Keys that only one format has at the top.
const SIGNS: [(&str, Format); 11] = [
    ("guest_cpu_config", Format::FirecrackerFingerprint),
    ("cpuid_modifiers", Format::FirecrackerTemplate),
    ("msr_modifiers", Format::FirecrackerTemplate),
    ("kvm_capabilities", Format::FirecrackerTemplate),
    ("adjustments", Format::CloudHypervisorProfile),
    ("required_msrs", Format::CloudHypervisorProfile),
    ("entries", Format::PropolisJson),
    ("board", Format::PropolisJson),
    ("cpuid", Format::PropolisJson),
    ("return", Format::Qmp),
    ("QMP", Format::Qmp),
];

impl Object for Signs {
    const KEYS: &'static [&'static str] = &[
        "schema",
        "guest_cpu_config",
        "cpuid_modifiers",
        "msr_modifiers",
        "kvm_capabilities",
        "adjustments",
        "required_msrs",
        "entries",
        "board",
        "cpuid",
        "return",
        "QMP",
    ];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        self.0 = match key {
            "schema" => Some(text(value, at, "a string", schema)?),
            _ => SIGNS.iter().find(|(sign, _)| *sign == key).map(|(_, format)| *format),
        };
        // The rest of the document is for the reader.
        Err(de::Error::custom("known"))
    }
}

/// The format that a schema name stands for.
pub(crate) fn schema(name: &str) -> Result<Format, Problem> {
    let own = [Format::Dump, Format::Policy].into_iter().find(|format| format.name() == name);
    own.ok_or_else(|| Problem::UnknownSchema { found: crate::error::excerpt(name.as_bytes()) })
}
