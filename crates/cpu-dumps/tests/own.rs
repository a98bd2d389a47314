//! The own formats: writing and reading are inverse, newer documents are read, fleets are read line by line.

mod samples;

use cpu_dumps::{CoreType, Dump, Format, Machine, Problem, lines, read, read_as};
use cpuid_db::{Basis, MsrEntry, Unrecorded};

fn machine(text: &str) -> Machine {
    read("dir/name.json", text.as_bytes()).unwrap().remove(0)
}

#[test]
fn what_is_written_is_read_again() {
    for (format, text) in samples::SAMPLES {
        let machine = machine(text);
        for dump in [Dump::new(&machine).to_string(), Dump::new(&machine).one_line().to_string()] {
            let again = read("other.json", dump.as_bytes()).unwrap();
            assert_eq!(again, [Machine { format: Format::Dump, ..machine.clone() }], "{format}\n{dump}");
        }
    }
}

#[test]
fn the_sample_is_written_as_it_stands() {
    assert_eq!(Dump::new(&machine(samples::DUMP)).to_string(), samples::DUMP);
}

#[test]
fn every_part_of_a_dump_is_read() {
    let machine = machine(samples::DUMP);
    assert_eq!((machine.name.as_str(), machine.basis), ("invented", Basis::Raw));
    assert_eq!(machine.provenance.source.as_deref(), Some("tests"));
    let cpu = &machine.cpus[0];
    assert_eq!(cpu.core_type, Some(CoreType::Performance));
    assert_eq!(cpu.msrs, [MsrEntry { index: 0x10a, value: 0x2b }]);
    assert_eq!(cpu.policy.msrs.get(0x10a), Some(0x2b));
    let unrecorded = [Unrecorded::Cpuid { leaf: 0xd, subleaf: 1 }, Unrecorded::Msr { index: 0x345 }];
    assert_eq!(cpu.policy.unrecorded.as_slice(), unrecorded);
    let kvm = machine.kvm.unwrap();
    assert_eq!(kvm.supported.basis, Basis::Recorded);
    assert_eq!(kvm.supported.msrs.get(0xc001_0015), Some(1), "all that KVM lists");
    assert_eq!(kvm.emulated.unwrap().get(1, 0).unwrap().ecx, 1 << 22);
}

#[test]
fn a_policy_is_a_machine_with_one_cpu() {
    let machine = machine(samples::POLICY);
    assert_eq!((machine.format, machine.basis), (Format::Policy, Basis::Derived));
    assert_eq!(machine.name, "name");
    assert_eq!(machine.cpus.len(), 1);
    assert_eq!(machine.cpus[0].policy.msrs.get(0x10a), Some(9));
}

/// A document with a key more.
fn with(text: &str, before: &str, key: &str) -> String {
    let changed = text.replacen(before, &format!("{key}: [[{{}}, null]], {before}"), 1);
    assert_ne!(changed, text, "{before}");
    changed
}

#[test]
fn keys_for_people_and_keys_of_others_are_skipped() {
    for (text, before) in [(samples::DUMP, "\"name\""), (samples::POLICY, "\"basis\"")] {
        for key in ["\"x-rack\"", "\"x-\"", "\"identity\"", "\"ceiling\"", "\"forced\"", "\"unknown_bits\""] {
            assert_eq!(machine(&with(text, before, key)), machine(text), "{key}");
        }
    }
    for before in ["\"source\"", "\"cpu\"", "\"leaf\"", "\"index\"", "\"msr\"", "\"supported\"", "\"basis\": \"recorded\""] {
        assert_eq!(machine(&with(samples::DUMP, before, "\"x-note\"")), machine(samples::DUMP), "{before}");
    }
}

#[test]
fn other_unknown_keys_are_refused_with_their_place() {
    let refused = |text: &str| read("dir/name.json", text.as_bytes()).unwrap_err().to_string();
    let cases = [
        ("\"name\"", "3: "),
        ("\"source\"", "7: provenance: "),
        ("\"cpu\"", "11: cpus[0]: "),
        ("\"leaf\"", "14: cpus[0].leaves[0]: "),
        ("\"index\"", "18: cpus[0].msrs[0]: "),
        ("\"msr\"", "22: cpus[0].unrecorded[1]: "),
        ("\"supported\"", "27: kvm: "),
        ("\"basis\": \"recorded\"", "28: kvm.supported: "),
        ("\"leaves\": [\n        {\"leaf\": \"0x00000001\"", "39: kvm.emulated: "),
    ];
    for (before, place) in cases {
        assert_eq!(refused(&with(samples::DUMP, before, "\"future\"")), format!("dir/name.json:{place}the key \"future\" is not known"));
    }
    let near = samples::DUMP.replace("\"unrecorded\"", "\"unrecoded\"");
    assert_eq!(refused(&near), "dir/name.json:20: cpus[0]: the key \"unrecoded\" is not known; did you mean \"unrecorded\"?");
}

#[test]
fn no_key_of_an_own_document_can_be_damaged_in_silence() {
    for text in [samples::DUMP, samples::POLICY] {
        let whole = machine(text);
        for (at, _) in text.match_indices("\":") {
            let start = text[..at].rfind('"').unwrap() + 1;
            let key = &text[start..at];
            let damaged = format!("{}{}{}", &text[..start], key.to_uppercase(), &text[at..]);
            let is_read = read("dir/name.json", damaged.as_bytes());
            // Inside what is skipped as a whole, nothing can be lost.
            let is_skipped = ["count", "names", "feature", "outcome"].contains(&key);
            assert!(is_read.as_ref().is_ok_and(|machines| *machines == [whole.clone()]) == is_skipped, "{key}: {is_read:?}");
        }
    }
}

#[test]
fn parts_of_one_schema_are_refused_in_the_other() {
    let refused = |text: &str| read("a", text.as_bytes()).unwrap_err().to_string();
    let leaf = r#"{"leaf":"0x0","subleaf":"0x0","eax":"0x1","ebx":"0x0","ecx":"0x0","edx":"0x0"}"#;
    for key in ["leaves", "msrs", "unrecorded", "named"] {
        let text = format!(r#"{{"schema":"vcpu.dump/1","basis":"raw","cpus":[{{"cpu":0,"leaves":[{leaf}]}}],"{key}":[]}}"#);
        assert_eq!(refused(&text), format!("a:1: vcpu.dump/1 has no key \"{key}\" at the top"));
    }
    let text = format!(r#"{{"schema":"vcpu.policy/1","basis":"raw","leaves":[{leaf}],"cpus":[]}}"#);
    assert_eq!(refused(&text), "a:1: vcpu.policy/1 has no key \"cpus\" at the top");
    for (before, key) in [("\"leaves\": [\n        {\"leaf\": \"0x00000001\"", "\"msrs\""), ("\"cpu\"", "\"basis\"")] {
        assert!(refused(&with(samples::DUMP, before, key)).contains(&format!("the key {key} is not known")));
    }
    let place = samples::DUMP.replace("{\"msr\": \"0x00000345\"}", "{\"msr\": \"0x00000345\", \"subleaf\": \"0x1\"}");
    assert!(refused(&place).contains("either leaf or msr is missing"));
}

#[test]
fn keys_may_stand_in_any_order() {
    let text = r#"{"cpus":[{"leaves":[{"edx":"0x4","ecx":"0x3","ebx":"0x2","eax":"0x1","subleaf":"0x0","leaf":"0x0"}],"cpu":7}],
        "basis":"raw","schema":"vcpu.dump/1"}"#;
    let machine = machine(text);
    assert_eq!(machine.cpus[0].number, 7);
    assert_eq!(machine.cpus[0].policy.cpuid.get(0, 0).unwrap().edx, 4);
}

#[test]
fn names_of_any_characters_survive() {
    let name = "quote \" backslash \\ tab \t nul \0 del \x7f umlaut ü";
    let machine = Machine { name: name.to_owned(), ..machine(samples::DUMP) };
    assert_eq!(self::machine(&Dump::new(&machine).to_string()).name, name);
}

#[test]
fn one_cpu_of_each_core_type_is_enough() {
    let mut machine = machine(samples::DUMP);
    for (number, kind) in [(1, CoreType::Performance), (2, CoreType::Efficiency), (3, CoreType::Efficiency)] {
        let mut cpu = machine.cpus[0].clone();
        (cpu.number, cpu.core_type) = (number, Some(kind));
        machine.cpus.push(cpu);
    }
    let kept = self::machine(&Dump::new(&machine).one_per_core_type().to_string());
    assert_eq!(kept.cpus.iter().map(|cpu| cpu.number).collect::<Vec<_>>(), [0, 2]);
    assert!(kept.is_hybrid());
}

#[test]
fn several_documents_in_one_file_are_several_machines() {
    let machines = read("fleet.json", [samples::DUMP, samples::POLICY].concat().as_bytes()).unwrap();
    assert_eq!(machines.iter().map(|machine| machine.format).collect::<Vec<_>>(), [Format::Dump, Format::Policy]);
}

#[test]
fn fleets_are_read_line_by_line() {
    let line = Dump::new(&machine(samples::DUMP)).one_line().to_string();
    assert_eq!(line.lines().count(), 1);
    let text = format!("{line}\n{{\"schema\":\"vcpu.dump/1\"}}\n{line}{}", line.trim_end());
    let results: Vec<String> = lines("fleet.jsonl", text.as_bytes())
        .map(|machine| machine.map_or_else(|error| error.to_string(), |machine| machine.name))
        .collect();
    assert_eq!(results, ["invented", "fleet.jsonl:3: basis is missing", "invented", "invented"]);
}

#[test]
fn a_machine_without_name_in_a_fleet_is_called_after_its_line() {
    let text = samples::POLICY.replace('\n', " ");
    let names: Vec<String> = lines("pool/fleet.jsonl", text.as_bytes()).map(|machine| machine.unwrap().name).collect();
    assert_eq!(names, ["fleet:1"]);
}

#[test]
fn a_file_without_documents_is_no_list_of_no_machines() {
    for format in [Format::Dump, Format::Policy] {
        assert_eq!(read_as(format, "x", b" \n").map_err(|error| error.problem), Err(Problem::Empty), "{format}");
    }
}
