//! `vcpu diff`: named differences, what is not compared, hybrid machines, exit codes.

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, Host, Run, has, vcpu, vcpu_on};
use cpu_dumps::{CoreType, Cpu};
use cpuid_db::{MsrEntry, Policy, Registers, Unrecorded, Vendor};
use serde_json::{Value, json};

fn run(a: &Host, b: &Host, options: &[&str]) -> Run {
    let folder = Folder::new();
    let (a, b) = (folder.write("a.json", &a.text()), folder.write("b.json", &b.text()));
    vcpu(&[&["diff", &a, &b], options].concat())
}

fn diff(a: &Host, b: &Host, options: &[&str]) -> Value {
    run(a, b, &[options, &["--json"]].concat()).json_with(0)
}

fn plain(name: &str) -> Host {
    Host::intel(name, &["SMEP"])
}

fn with(name: &str, change: impl Fn(&mut Policy)) -> Host {
    plain(name).with(change)
}

/// The lists of the document that are not empty.
fn lists(document: &Value) -> Vec<&str> {
    let object = document.as_object().unwrap();
    object.iter().filter(|(_, value)| value.as_array().is_some_and(|list| !list.is_empty())).map(|(key, _)| key.as_str()).collect()
}

/// A list of features by name and place alone.
fn places(list: &Value) -> Value {
    let mut list = list.clone();
    list.as_array_mut().unwrap().iter_mut().for_each(|one| drop(one.as_object_mut().unwrap().remove("consequence")));
    list
}

#[test]
fn features_are_named_with_their_places() {
    // SDM vol. 2A, CPUID: leaf 1 ECX[9] SSSE3, leaf 7 EBX[7] SMEP and EBX[20] SMAP; APM vol. 3: 8000_0001H ECX[5] ABM.
    let cases =
        [(1, 0, 2, 9, "SSSE3", "ecx"), (7, 0, 1, 7, "SMEP", "ebx"), (7, 0, 1, 20, "SMAP", "ebx"), (0x8000_0001, 0, 2, 5, "ABM", "ecx")];
    for (leaf, subleaf, register, bit, name, register_name) in cases {
        let change = |on: bool| {
            with(if on { "on" } else { "off" }, |policy| {
                let Registers { eax, ebx, ecx, edx } = policy.cpuid.get_or_zero(leaf, subleaf);
                let mut values = [eax, ebx, ecx, edx];
                values[register] = values[register] & !(1 << bit) | u32::from(on) << bit;
                let [eax, ebx, ecx, edx] = values;
                policy.cpuid.insert(leaf, subleaf, Registers { eax, ebx, ecx, edx }).unwrap();
            })
        };
        let (on, off) = (change(true), change(false));
        let feature = json!({
            "name": name, "leaf": format!("0x{leaf:08x}"), "subleaf": "0x00", "register": register_name, "bit": bit,
        });
        let document = diff(&on, &off, &[]);
        assert_eq!((places(&document["only_a"]), lists(&document)), (json!([feature]), vec!["only_a"]), "{document}");
        assert_eq!(places(&diff(&off, &on, &[])["only_b"]), json!([feature]));
        assert!(document["only_a"][0]["consequence"].as_str().is_some_and(|text| !text.is_empty()), "{document}");
        let text = run(&on, &off, &[]).stdout;
        let line = format!("    - {name:<20}{}[{bit}] ", register_name.to_uppercase());
        assert!(text.contains(&line) && text.contains("1 feature only in the first (-)"), "{line}\n{text}");
    }
}

#[test]
fn fields_have_both_values_in_their_unit() {
    let width = |name, bits| {
        with(name, |policy| {
            policy.cpuid.insert(0x8000_0008, 0, Registers::new(bits, 0, 0, 0)).unwrap();
        })
    };
    let document = diff(&width("a", 46), &width("b", 52), &[]);
    let field = json!({
        "name": "PHYS_ADDR_BITS", "leaf": "0x80000008", "subleaf": "0x00", "register": "eax", "high": 7, "low": 0, "a": "0x2e", "b": "0x34",
    });
    assert_eq!((&document["fields"], lists(&document)), (&json!([field]), vec!["fields"]));
    let text = run(&width("a", 46), &width("b", 52), &[]).stdout;
    assert!(text.contains("~ PHYS_ADDR_BITS      EAX[7:0] 46 -> 52 bits ("), "{text}");
    let absent = diff(&plain("a"), &width("b", 52), &[]);
    assert!(has(&absent["fields"], &json!({ "name": "PHYS_ADDR_BITS", "a": null, "b": "0x34" })), "{absent}");
    assert_eq!(absent["leaves"], json!([{ "leaf": "0x80000008", "subleaf": "0x00", "only_in": "b" }]));
}

#[test]
fn unnamed_bits_leaves_and_msrs_are_compared() {
    let rich = |name, unnamed, value| {
        let mut host = Host::intel(name, &["SMEP", "ARCH_CAPABILITIES"]).with(|policy| {
            policy.cpuid.insert(0x1d, 0, Registers::new(0, 0, 0, unnamed)).unwrap();
            policy.msrs.insert(0x10a, value).unwrap();
        });
        host.0.cpus[0].msrs = vec![MsrEntry { index: 0x10, value: value << 8 }, MsrEntry { index: 0x10a, value }];
        host
    };
    let document = diff(&rich("a", 1, 1), &rich("b", 6, 3), &[]);
    let bits = json!([{ "leaf": "0x0000001d", "subleaf": "0x00", "register": "edx", "only_a": "0x00000001", "only_b": "0x00000006" }]);
    assert_eq!(document["unknown_bits"], bits);
    let msrs = json!([
        { "index": "0x00000010", "a": "0x0000000000000100", "b": "0x0000000000000300" },
        { "index": "0x0000010a", "a": "0x0000000000000001", "b": "0x0000000000000003" },
    ]);
    assert_eq!(document["msrs"], msrs);
    // SDM vol. 4, MSR 10AH: bit 1 is IBRS_ALL.
    assert_eq!(places(&document["only_b"]), json!([{ "name": "IBRS_ALL", "msr": "0x10a", "bit": 1 }]));
    assert_eq!(lists(&document), ["only_b", "unknown_bits", "msrs"]);
    let text = run(&rich("a", 1, 1), &rich("b", 6, 3), &[]).stdout;
    for part in
        ["MSR 10AH (IA32_ARCH_CAPABILITIES)", "0x1 -> 0x3", "+ IBRS_ALL", "- EDX", "0x00000001 bits without a name", "+ EDX", "MSR 10H"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn unrecorded_is_never_a_difference() {
    let lacks = with("b", |policy| {
        policy.set_feature(common::feature("SMEP"), false).unwrap();
        policy.cpuid.retain(|entry| entry.leaf != 7);
        policy.unrecorded.insert(Unrecorded::Cpuid { leaf: 7, subleaf: 0 }).unwrap();
        policy.unrecorded.insert(Unrecorded::Msr { index: 0x10a }).unwrap();
    });
    let knows = Host::intel("a", &["SMEP", "ARCH_CAPABILITIES", "RDCL_NO"]).with(|policy| {
        policy.unrecorded.insert(Unrecorded::Msr { index: 0x345 }).unwrap();
    });
    let run_with = |options: &[&str]| run(&knows, &lacks, options);
    let document = run_with(&["--json", "--exit-code"]).json_with(0);
    assert_eq!((&document["equal"], lists(&document)), (&true.into(), vec!["unrecorded", "undecided_a"]));
    let places = json!([{ "msr": "0x00000345", "not_in": "a" }, { "leaf": "0x00000007", "subleaf": "0x00", "not_in": "b" }, { "msr": "0x0000010a", "not_in": "b" }]);
    assert_eq!(document["unrecorded"], places);
    assert!(has(&document["undecided_a"], &json!({ "name": "SMEP" })) && has(&document["undecided_a"], &json!({ "name": "RDCL_NO" })));
    let text = run_with(&["--exit-code"]);
    assert_eq!(text.code, Some(0));
    for part in
        ["No differences in what both record.", "unrecorded is neither 0 nor 1", "+ lacks     CPUID leaf 7H, MSR 10AH", "+ may have  SMEP"]
    {
        assert!(text.stdout.contains(part), "{part}: {}", text.stdout);
    }
}

#[test]
fn msrs_that_one_file_records_say_nothing_about_the_other() {
    let mut a = plain("a");
    a.0.cpus[0].msrs = vec![MsrEntry { index: 0x122, value: 1 }];
    let document = diff(&a, &plain("b"), &["--exit-code"]);
    assert_eq!(document["msrs_recorded_once"], json!([{ "msr": "0x00000122", "recorded_in": "a" }]));
    assert!(run(&a, &plain("b"), &[]).stdout.contains("- records   MSR 122H"));
}

#[test]
fn live_and_local_places_are_compared_on_demand_only() {
    // Leaf 1: EBX[31:24] is the initial APIC id, ECX[27] is OSXSAVE.
    let state = |name, id: u32, osxsave: u32| {
        with(name, |policy| {
            let registers = policy.cpuid.get_mut(1, 0).unwrap();
            registers.ebx = registers.ebx & 0x00ff_ffff | id << 24;
            registers.ecx |= osxsave << 27;
        })
    };
    let (a, b) = (state("a", 0, 0), state("b", 6, 1));
    assert_eq!(lists(&diff(&a, &b, &["--exit-code"])), Vec::<&str>::new());
    let all = run(&a, &b, &["--all", "--json", "--exit-code"]).json_with(1);
    assert!(has(&all["only_b"], &json!({ "name": "OSXSAVE" })) && all["fields"].as_array().unwrap().len() == 1, "{all}");
}

#[test]
fn leaves_beyond_the_maximum_are_compared_on_demand_only() {
    let beyond = |name, value| {
        with(name, |policy| {
            policy.cpuid.insert(0x2_0000, 0, Registers::new(value, 0, 0, 0)).unwrap();
        })
    };
    assert_eq!(diff(&beyond("a", 1), &beyond("b", 2), &[])["equal"], true);
    let all = diff(&beyond("a", 1), &beyond("b", 2), &["--all"]);
    assert!(has(&all["unknown_bits"], &json!({ "leaf": "0x00020000", "only_a": "0x00000001", "only_b": "0x00000002" })), "{all}");
}

/// A machine with performance and efficiency cores that have these features more.
fn hybrid(name: &str, performance: &[&str], efficiency: &[&str]) -> Host {
    let mut host = Host::intel(name, performance);
    let other = Host::intel(name, efficiency).0.cpus.remove(0);
    host.0.cpus[0].core_type = Some(CoreType::Performance);
    host.0.cpus.push(Cpu { number: 8, core_type: Some(CoreType::Efficiency), ..other });
    host
}

#[test]
fn hybrid_machines_are_compared_type_by_type() {
    let a = hybrid("a", &["SMEP", "ADX"], &["SMEP"]);
    let document = diff(&a, &hybrid("b", &["SMEP", "ADX"], &["SMEP", "ERMS"]), &[]);
    assert_eq!(lists(&document), ["only_b"]);
    assert!(has(&document["only_b"], &json!({ "name": "ERMS", "core_type": "efficiency" })));
    assert_eq!(diff(&a, &a, &[])["equal"], true);
    // A machine that knows no types is compared with each.
    let document = diff(&a, &Host::intel("b", &["SMEP"]), &[]);
    assert!(has(&document["only_a"], &json!({ "name": "ADX", "core_type": "performance" })), "{document}");
    assert_eq!(document["only_a"].as_array().unwrap().len(), 1);
    // Nor does one whose format has no room for types, but its CPU tells: leaf 7 EDX[15], leaf 1AH EAX[31:24] (SDM vol. 2A).
    let atom = |policy: &mut Policy| {
        policy.cpuid.get_mut(7, 0).unwrap().edx |= 1 << 15;
        policy.cpuid.insert(0x1a, 0, Registers::new(0x20 << 24, 0, 0, 0)).unwrap();
    };
    let mut told = hybrid("a", &["SMEP", "ADX"], &["SMEP"]);
    atom(&mut told.0.cpus[1].policy);
    let document = diff(&told, &Host::intel("b", &["SMEP"]).with(atom), &[]);
    assert_eq!(document["core_types"], json!([{ "core_type": "performance", "only_in": "a" }]), "{document}");
    assert_eq!(document["only_a"], json!([]));
    let mut half = a.clone();
    half.0.cpus.truncate(1);
    let document = diff(&half, &a, &["--all"]);
    assert_eq!((&document["core_types"], &document["equal"]), (&json!([{ "core_type": "efficiency", "only_in": "b" }]), &false.into()));
}

#[test]
fn cpus_that_differ_from_their_own_first_are_told() {
    let mut odd = plain("odd");
    odd.0.cpus.push(Cpu { number: 5, ..Host::intel("odd", &[]).0.cpus.remove(0) });
    assert_eq!(diff(&odd, &plain("b"), &[])["a"]["cpus_that_differ"], json!([5]));
    assert!(run(&odd, &plain("b"), &[]).stdout.contains("CPU 5 of odd"));
}

#[test]
fn what_kvm_gives_is_compared_where_both_recorded_it() {
    let kvm = |name, without: &[&str]| Host::intel(name, &["SMEP", "ERMS"]).with_kvm(without);
    let document = diff(&kvm("a", &["SMEP"]), &kvm("b", &["SMEP", "ERMS"]), &[]);
    assert_eq!((lists(&document), &document["equal"]), (vec![], &false.into()));
    assert!(has(&document["kvm"]["only_a"], &json!({ "name": "ERMS" })));
    let one = run(&kvm("a", &[]), &Host::intel("b", &["SMEP", "ERMS"]), &["--exit-code"]);
    assert!(one.code == Some(0) && one.stdout.contains("recorded on one side only, and not compared"), "{one:?}");
}

#[test]
fn every_host_equals_itself_and_its_conversions() {
    let folder = Folder::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/hosts")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file = path.to_str().unwrap();
        let document = vcpu(&["diff", "--all", "--json", "--exit-code", file, file]).json_with(0);
        assert_eq!(document["equal"], true, "{file}");
        let text = vcpu(&["convert", "--to", "cpuid-r", file]).stdout;
        let converted = folder.write("converted.txt", &text);
        let document = vcpu(&["diff", "--json", "--exit-code", file, &converted]).json_with(0);
        assert_eq!(document["equal"], true, "{file}: {document}");
    }
}

#[test]
fn any_formats_and_policies_can_be_compared_also_from_standard_input() {
    let folder = Folder::new();
    let host = plain("h");
    let file = host.write(&folder);
    let policy = vcpu(&["baseline", "--json", "--without", "smep", &file]);
    let document = vcpu_on(&["diff", "--json", &file, "-"], policy.stdout.as_bytes()).json_with(0);
    assert!(has(&document["only_a"], &json!({ "name": "SMEP" })), "{document}");
    assert_eq!(document["b"]["format"], "vcpu.policy/1");
    let cpudata = vcpu(&["convert", "--to", "libvirt-cpudata", &file]).stdout;
    assert_eq!(vcpu_on(&["diff", "-", &file, "--exit-code"], cpudata.as_bytes()).code, Some(0));
}

#[test]
fn exit_codes_are_as_asked() {
    let (a, b) = (plain("a"), Host::new("b", Vendor::Amd, 0x0083_0f10, &["SMAP"]));
    assert_eq!(run(&a, &b, &[]).code, Some(0));
    assert_eq!(run(&a, &b, &["--exit-code"]).code, Some(1));
    assert_eq!(run(&a, &a, &["--exit-code"]).code, Some(0));
    let folder = Folder::new();
    let file = a.write(&folder);
    let fleet = folder.write("fleet.jsonl", &(a.text() + &b.text()));
    let template = folder.write(
        "t.json",
        r#"{"cpuid_modifiers":[{"leaf":"0x1","subleaf":"0x0","flags":0,"modifiers":[{"register":"eax","bitmap":"0bx1"}]}]}"#,
    );
    let damaged = folder.write("damaged.json", "{\"schema\":\"vcpu.dump/1\",\n\"basis\":7}");
    let cases = [
        (vec!["diff", &file, &fleet], "fleet.jsonl: 2 machines (a and b) where one is wanted; vcpu convert --machine NAME takes one out"),
        (vec!["diff", &template, &file], "this is a template, not a machine"),
        (vec!["diff", &file, &damaged], "damaged.json:2: basis"),
        (vec!["diff", "-", "-"], "standard input (-) can be read only once"),
        (vec!["diff", &file], "Usage"),
        (vec!["diff", &file, "/no/such/file"], "/no/such/file: "),
    ];
    for (args, expected) in cases {
        let run = vcpu(&args);
        assert!(run.code == Some(2) && run.stderr.contains(expected) && run.stdout.is_empty(), "{args:?}: {run:?}");
    }
}

#[test]
fn text_fits_the_terminal_and_has_colours_only_where_wanted() {
    let folder = Folder::new();
    let (a, b) = (plain("a").write(&folder), Host::new("b", Vendor::Amd, 0x0083_0f10, &["SMAP", "ADX", "SVM"]).write(&folder));
    for columns in [40, 60, 80] {
        let output = common::command(&["diff", &a, &b]).env("COLUMNS", columns.to_string()).output().unwrap();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
    }
    let coloured = |key: &str| {
        let output = common::command(&["diff", &a, &b]).env(key, "1").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = coloured("CLICOLOR_FORCE");
    assert!(text.contains("\u{1b}[31m  - SMEP\u{1b}[0m"), "{text:?}");
    assert!(text.contains("\u{1b}[32m"), "what is gained is green");
    assert!(!coloured("NO_COLOR").contains('\u{1b}'));
}

#[test]
fn names_that_nobody_knows_are_told() {
    let folder = Folder::new();
    let file = folder.write("cpu.xml", "<cpu><arch>x86_64</arch><feature name='aes'/><feature name='nosuchword'/></cpu>");
    let document = vcpu(&["diff", "--json", &file, &file]).json_with(0);
    assert_eq!(document["a"]["unknown_names"], json!(["nosuchword"]));
    assert!(vcpu(&["diff", &file, &file]).stdout.contains("nosuchword"));
    let shown = vcpu(&["show", "--json", &file]).json_with(0);
    assert_eq!(shown["unknown_names"], json!(["nosuchword"]));
    let text = vcpu(&["show", &file]).stdout;
    assert!(text.contains("Unknown names") && text.contains("  nosuchword\n"), "{text}");
    let plain = vcpu_on(&["show", "--json", "-"], plain("a").text().as_bytes()).json_with(0);
    assert_eq!(plain["unknown_names"], json!([]));
}
