//! `docs/reference/msrs.md`: one line per MSR.

use std::fmt::Write as _;

use super::Row;

/// The page.
pub(super) fn msrs(rows: &[Row]) -> String {
    let unchecked = rows.iter().filter(|row| row.source.raw.kvm.is_none()).count();
    let mut text = String::from("# MSRs\n\n<!-- Written by `cargo xtask codegen` from crates/msr-semantics/data. Do not edit. -->\n\n");
    let _ = writeln!(text, "{} rows; of {unchecked} nobody has checked what stock KVM does.\n", rows.len());
    text += "| address | name | exists with | access | stock KVM | source |\n|---|---|---|---|---|---|\n";
    for row in rows {
        let raw = &row.source.raw;
        let last = row.addresses().last().map_or(row.address, |(address, _)| address);
        let address = if last == row.address { format!("{:X}H", row.address) } else { format!("{:X}H-{last:X}H", row.address) };
        let vendors = if raw.vendors.is_empty() { String::new() } else { format!(" ({})", raw.vendors.join(", ")) };
        let present = raw.present.as_deref().unwrap_or("always").replace('|', " or ");
        let note = raw.kvm.as_ref().map_or("not checked", |kvm| kvm.note.as_deref().unwrap_or("as the architecture"));
        let cite = raw.cite.list().join(", ");
        let access = raw.access.as_deref().unwrap_or("rw");
        let _ = writeln!(text, "| {address} | {}{vendors} | {present} | {access} | {note} | {cite} |", raw.name);
    }
    text
}
