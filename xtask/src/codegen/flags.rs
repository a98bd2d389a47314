//! `bitflags` words for the registers that people handle as words. Unknown bits are always retained.

use std::fmt::Write as _;

use super::emit::constant;
use super::model::{Model, Row, Unit};

/// `Leaf7Ebx`, `Leaf7Sub1Eax`, `ArchCapabilities`.
fn type_name(unit: &Unit, row: &Row) -> String {
    let Some(leaf) = unit.leaf else {
        let name = unit.name.strip_prefix("IA32_").unwrap_or(&unit.name);
        return name.split('_').map(|part| part[..1].to_uppercase() + &part[1..].to_lowercase()).collect();
    };
    let subleaf = if row.span.first == 0 { String::new() } else { format!("Sub{:X}", row.span.first) };
    let register = ["Eax", "Ebx", "Ecx", "Edx"][row.span.register];
    let owner = match unit.hypervisor.as_deref() {
        None => "",
        Some("KVMKVMKVM") => "Kvm",
        Some("Microsoft Hv") => "HyperV",
        Some(_) => "Other",
    };
    format!("Leaf{leaf:X}{subleaf}{register}{owner}")
}

/// `flags.rs`.
pub(crate) fn flags(model: &Model) -> String {
    let mut text = String::from(
        "//! Feature registers and feature MSRs as words of flags. Bits without a name are kept.\n//@BANNER\n#![allow(clippy::unreadable_literal, reason = \"register layouts\")]\n\n",
    );
    let mut last = String::new();
    for row in &model.features {
        let unit = model.unit(row);
        let name = type_name(unit, row);
        if name != last {
            close(&mut text, &last);
            let (width, place) = match (unit.leaf, unit.msr) {
                (Some(leaf), _) => {
                    ("u32", format!("CPUID.{leaf:X}.{:X}.{}", row.span.first, ["EAX", "EBX", "ECX", "EDX"][row.span.register]))
                }
                (None, msr) => ("u64", format!("MSR {:X}H ({})", msr.unwrap_or(0), unit.name)),
            };
            let _ = write!(
                text,
                "bitflags::bitflags! {{\n    /// {place}: {}.\n    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]\n    pub struct {name}: {width} {{\n",
                unit.title
            );
            last = name;
        }
        let _ = writeln!(text, "        /// {}.\n        const {} = 1 << {};", row.raw.title, constant(&row.name), row.span.low);
    }
    close(&mut text, &last);
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn close(text: &mut String, last: &str) {
    if !last.is_empty() {
        text.push_str("        const _ = !0;\n    }\n}\n\n");
    }
}
