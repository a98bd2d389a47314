//! The `vcpu.check/1` object.

use cpu_caps::{Subject, Verdict};
use serde_json::{Map, Value, json};

use super::words::{name, place, sources, value};
use super::{Case, Found, Judged};
use crate::causes::{fix, of_gap};
use crate::json;

/// The whole object.
pub(crate) fn document(case: &Case) -> Value {
    let count = |verdict: Verdict| case.count(verdict);
    json!({
        "schema": "vcpu.check/1",
        "verdict": case.verdict().name(),
        "guest": { "name": case.guest.name, "basis": case.guest.basis.name() },
        "summary": {
            "compatible": count(Verdict::Compatible),
            "incompatible": count(Verdict::Incompatible),
            "unknown": count(Verdict::Unknown),
        },
        "results": case.results.iter().map(|judged| result(case, judged)).collect::<Vec<_>>(),
    })
}

fn result(case: &Case, judged: &Judged) -> Value {
    let fixes: Vec<fix::Fix> = judged.gaps.iter().map(|found| fix::of_gap(&found.gap, case.ceiling)).collect();
    json!({
        "host": judged.host.name,
        "basis": judged.host.basis.name(),
        "verdict": judged.verdict.name(),
        "gaps": judged.gaps.iter().map(|found| gap(case, judged, found)).collect::<Vec<_>>(),
        "fixes": fix::sentences(&fixes, &judged.host.name),
    })
}

fn gap(case: &Case, judged: &Judged, found: &Found) -> Value {
    let Found { gap, cores, vcpus } = found;
    let consequence = of_gap(gap);
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    match gap.subject {
        Subject::Feature(feature) => drop(put("feature", feature.name().into())),
        Subject::Field(at) => {
            put("field", at.field.name().into());
            let (first, last) = at.field.row().subleaves();
            if first != last {
                put("subleaf", json::hex_subleaf(at.subleaf));
            }
        }
        Subject::Msr(index) => drop(put("msr", json::hex(u64::from(index)))),
        other => drop(put("field", name(other).into())),
    }
    put("kind", gap.kind.name().into());
    put("guest", value(gap.subject, gap.guest, case.guest.vendor()));
    put("host", value(gap.subject, gap.host, judged.host.vendor()));
    put("consequence", consequence.text.into());
    put("effect", consequence.effect.name().into());
    put("because", gap.because.name().into());
    put("location", place(gap.subject).into());
    put("sources", sources(gap.subject).into());
    put("fix", fix::sentences(&[fix::of_gap(gap, case.ceiling)], &judged.host.name).join(" ").into());
    for (key, names) in [("cores", cores), ("vcpus", vcpus)] {
        if !names.is_empty() {
            put(key, names.clone().into());
        }
    }
    Value::Object(object)
}
