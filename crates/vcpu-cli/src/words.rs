//! How things are called in text: places, counts, machines, names from files.

use std::fmt::Write;

use cpuid_db::{Feature, Field, FieldPlace, Location, Register, Unrecorded, Vendor};

/// Text from a file, fit for a terminal: what would control it is replaced.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `1 host`, `2 hosts`.
pub(crate) fn plural(count: usize, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{s}")
}

/// `a, b and c`; beyond `most` names, `a, b and 12 more`. `count` may exceed the names that are known.
pub(crate) fn some_of<S: AsRef<str>>(names: &[S], count: usize, most: usize) -> String {
    let count = count.max(names.len());
    let most = if count <= most + 1 { count } else { most };
    let shown: Vec<String> = names.iter().take(most).map(|name| clean(name.as_ref())).collect();
    let left = count - shown.len();
    match (shown.as_slice(), left) {
        ([], _) => plural(count, "host"),
        (shown, 1..) => format!("{} and {left} more", shown.join(", ")),
        ([only], 0) => only.clone(),
        ([init @ .., last], 0) => format!("{} and {last}", init.join(", ")),
    }
}

/// The maker in a word.
pub(crate) fn vendor(vendor: Vendor) -> String {
    let word = match vendor {
        Vendor::Intel => "Intel",
        Vendor::Amd => "AMD",
        Vendor::Hygon => "Hygon",
        Vendor::Zhaoxin => "Zhaoxin",
        Vendor::Centaur => "Centaur",
        Vendor::Transmeta => "Transmeta",
        Vendor::Other([0, ..]) => "unknown maker",
        _ => return format!("\"{vendor}\""),
    };
    word.to_owned()
}

/// The twelve characters of leaf 0; empty where leaf 0 is.
pub(crate) fn vendor_string(vendor: Vendor) -> String {
    if vendor.bytes() == [0; 12] { String::new() } else { vendor.to_string() }
}

/// The processor name without its padding.
pub(crate) fn brand(bytes: &[u8; 48]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = bytes.get(..end).unwrap_or(bytes).iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' });
    clean(text.collect::<String>().trim())
}

/// `CPUID.7.0.EBX`.
pub(crate) fn register(leaf: u32, subleaf: u32, register: Register) -> String {
    format!("CPUID.{leaf:X}.{subleaf:X}.{}", register.name().to_ascii_uppercase())
}

/// The register or MSR that holds a feature: `CPUID.7.0.EBX`, `MSR.10A`.
pub(crate) fn home(feature: Feature) -> String {
    match feature.location() {
        Location::Cpuid { leaf, subleaf, register: r, .. } => register(leaf, subleaf, r),
        Location::Msr { index, .. } => format!("MSR.{index:X}"),
    }
}

/// `[15:8]`, `[3]`.
pub(crate) fn bits(high: u8, low: u8) -> String {
    if high == low { format!("[{low}]") } else { format!("[{high}:{low}]") }
}

/// `CPUID.1.0.EBX[15:8]`, `CPUID.D.2-3E.EAX[31:0]`, `MSR.480[30:0]`; with `subleaf`, the place in that one.
pub(crate) fn field_place(field: Field, subleaf: Option<u32>) -> String {
    let row = field.row();
    let bits = bits(row.high, row.low);
    match row.place {
        FieldPlace::Msr { index } => format!("MSR.{index:X}{bits}"),
        FieldPlace::Cpuid { leaf, first, last, register } => {
            let range = match (subleaf, first, last) {
                (Some(subleaf), ..) => format!("{subleaf:X}"),
                (None, 0, u32::MAX) => "*".to_owned(),
                (None, first, u32::MAX) => format!("{first:X}-"),
                (None, first, last) if first == last => format!("{first:X}"),
                (None, first, last) => format!("{first:X}-{last:X}"),
            };
            format!("CPUID.{leaf:X}.{range}.{}{bits}", register.name().to_ascii_uppercase())
        }
    }
}

/// What has to be recorded: `CPUID leaf 7, subleaf 1`, `MSR 10AH (IA32_ARCH_CAPABILITIES)`.
pub(crate) fn unrecorded(place: Unrecorded) -> String {
    match place {
        Unrecorded::Cpuid { leaf, subleaf: 0 } => format!("CPUID leaf {leaf:X}H"),
        Unrecorded::Cpuid { leaf, subleaf } => format!("CPUID leaf {leaf:X}H subleaf {subleaf:X}H"),
        Unrecorded::Msr { index } => msr(index),
    }
}

/// `MSR 10AH (IA32_ARCH_CAPABILITIES)`, the name where the database has one.
pub(crate) fn msr(index: u32) -> String {
    let row = cpuid_db::leaves().iter().find(|row| row.leaf.is_none() && row.msr == index);
    let mut text = format!("MSR {index:X}H");
    if let Some(row) = row {
        // Writing to a string cannot fail.
        let _ = write!(text, " ({})", row.name);
    }
    text
}

/// Small numbers in decimal, masks in hexadecimal.
pub(crate) fn number(value: u64) -> String {
    if value < 10_000 { value.to_string() } else { format!("{value:#x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_hosts_are_cut() {
        let names = ["a", "b", "c", "d", "e"];
        let cases: [(&[&str], usize, usize, &str); 7] = [
            (&names[..1], 1, 3, "a"),
            (&names[..2], 2, 3, "a and b"),
            (&names[..4], 4, 3, "a, b, c and d"),
            (&names, 5, 3, "a, b, c and 2 more"),
            (&names, 17, 4, "a, b, c, d and 13 more"),
            (&[], 2, 3, "2 hosts"),
            (&["\x1b[31m"], 1, 3, "?[31m"),
        ];
        for (names, count, most, expected) in cases {
            assert_eq!(some_of(names, count, most), expected);
        }
    }

    #[test]
    fn places_are_spelled_as_they_are_looked_up() {
        for feature in Feature::all() {
            let place = format!("{}[", home(feature));
            assert!(feature.location().to_string().starts_with(&place), "{feature} {place}");
        }
        assert_eq!(field_place(Field::CLFLUSH_SIZE, None), "CPUID.1.0.EBX[15:8]");
        assert_eq!(field_place(Field::XSTATE_SIZE, None), "CPUID.D.2-3E.EAX[31:0]");
        assert_eq!(field_place(Field::XSTATE_SIZE, Some(9)), "CPUID.D.9.EAX[31:0]");
        assert_eq!(field_place(Field::CACHE4_TYPE, None), "CPUID.4.*.EAX[4:0]");
    }
}
