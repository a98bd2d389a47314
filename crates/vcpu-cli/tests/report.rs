//! `vcpu baseline --report`: the page says what the policy object says, whatever the dumps hold, and needs nothing from outside.

mod common;
#[path = "common/markup.rs"]
mod markup;

use std::io::Write;

use common::{Folder, Host, Run, vcpu, vcpu_on};
use cpuid_db::{Feature, Registers, Unrecorded};
use serde_json::Value;

/// The page and the policy of one run on these machines.
fn report(hosts: &[Host], options: &[&str]) -> (String, Value) {
    let text: String = hosts.iter().map(Host::text).collect();
    let folder = Folder::new();
    let path = folder.path("pool.html");
    let args = [&["baseline", "--json", "--report", path.to_str().unwrap()], options, &["-"]].concat();
    let policy = vcpu_on(&args, text.as_bytes()).json_with(0);
    assert_eq!(folder.entries(), ["pool.html"], "no temporary file is left");
    (std::fs::read_to_string(path).unwrap(), policy)
}

/// The data of the page's script.
fn data(page: &str) -> Value {
    let tags = markup::tags(page);
    let data = tags.iter().find(|tag| tag.get("id") == Some("data")).unwrap();
    assert_eq!(data.get("type"), Some("application/json"));
    assert!(data.text.is_ascii() && !data.text.contains(['<', '>', '&']));
    serde_json::from_str(&data.text).unwrap()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

/// The row about a feature or field.
fn row<'a>(data: &'a Value, name: &str) -> &'a Value {
    data["rows"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row about {name}"))
}

/// The letter or value that a row has for a machine.
fn cell(data: &Value, name: &str, host: &str) -> Value {
    const DIGITS: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let columns = data["columns"].as_array().unwrap();
    let column = columns.iter().position(|column| strings(&column["hosts"]).contains(&host)).unwrap();
    let row = row(data, name);
    let Some(cells) = row["cells"].as_str() else {
        return row["values"][row["cells"][column].as_u64().unwrap() as usize].clone();
    };
    let letter = cells.chars().nth(if cells.len() == 1 { 0 } else { column }).unwrap();
    match row.get("values") {
        Some(values) => values[DIGITS.find(letter).unwrap()].clone(),
        None => letter.to_string().into(),
    }
}

/// Machines that differ in every way that a cell can tell.
fn zoo() -> Vec<Host> {
    let blind = Host::intel("blind", &["AVX", "ARCH_CAPABILITIES"]).with(|policy| {
        policy.unrecorded.insert(Unrecorded::Msr { index: 0x10a }).unwrap();
    });
    let newer = Host::intel("newer", &["AVX", "AVX2", "ARCH_CAPABILITIES", "RDCL_NO", "FDP_EXCPTN_ONLY"]).with(|policy| {
        policy.cpuid.insert(7, 1, Registers::new(0, 0, 0, 1 << 31)).unwrap();
        policy.cpuid.insert(0x8000_0008, 0, Registers::new(0x302e, 0, 0, 0)).unwrap();
    });
    let mut hybrid = Host::intel("hybrid", &["AVX", "SMEP", "MONITOR"]);
    let mut small = Host::intel("", &["AVX"]).0.cpus.remove(0);
    small.number = 1;
    hybrid.0.cpus.push(small);
    vec![blind, newer, hybrid, Host::intel("plain", &["AVX", "AVX2"]), Host::intel("twin", &["AVX", "AVX2"])]
}

fn assert_same_decisions(page: &Value, policy: &Value) {
    let decisions = policy["decisions"].as_array().unwrap();
    let rows = page["rows"].as_array().unwrap();
    assert_eq!(rows.len(), decisions.len());
    for one in decisions {
        let name = one.get("feature").unwrap_or(&one["field"]);
        let row = rows.iter().find(|row| row["name"] == *name && row.get("subleaf") == one.get("subleaf"));
        let row = row.unwrap_or_else(|| panic!("no row: {one}"));
        for key in ["outcome", "value", "rule"] {
            assert_eq!(row.get(key), one.get(key), "{key}: {one}");
        }
        let because = &one["because"];
        for (mine, theirs) in [("kind", &because["kind"]), ("cause", &because["text"]), ("count", &because["hosts"]["count"])] {
            assert_eq!(row[mine], *theirs, "{mine}: {one}");
        }
        assert_eq!(row.get("needs"), because.get("feature"), "{one}");
    }
}

#[test]
fn the_page_says_what_the_policy_says() {
    for options in [&[][..], &["--ceiling", "raw"], &["--without", "avx", "--kvm", "nested"]] {
        let (page, policy) = report(&zoo(), options);
        let page = data(&page);
        assert_eq!(page["schema"], "vcpu.report/1");
        let mut hosts: Vec<&str> = page["columns"].as_array().unwrap().iter().flat_map(|column| strings(&column["hosts"])).collect();
        hosts.sort_unstable();
        assert_eq!(hosts, strings(&policy["hosts"]["names"]));
        assert_same_decisions(&page, &policy);
    }
}

#[test]
fn the_text_without_scripts_has_every_decision_and_host() {
    let (page, policy) = report(&zoo(), &[]);
    let body: String = markup::tags(&page).into_iter().filter(|tag| tag.name != "script").map(|tag| tag.text).collect();
    for one in policy["decisions"].as_array().unwrap() {
        let name = one.get("feature").unwrap_or(&one["field"]).as_str().unwrap();
        let text = one["because"]["text"].as_str().unwrap();
        let cause = text.split_once(": ").unwrap().1.replace('\'', "&#39;");
        assert!(body.contains(name) && body.contains(&cause), "{one}");
    }
    for part in ["One guest CPU for all 5 hosts", "x86-64-v2", "basis derived", "What hosts cost", "Not recorded", "Unknown bits", "hybrid"]
    {
        assert!(body.contains(part), "{part}");
    }
}

#[test]
fn cells_tell_what_each_host_has() {
    let (page, _) = report(&zoo(), &[]);
    let page = data(&page);
    let cases = [
        ("AVX2", "plain", "1"),
        ("AVX2", "twin", "1"),
        ("AVX2", "blind", "0"),
        ("MONITOR", "plain", "0"),
        ("SMEP", "hybrid", "m"),
        ("RDCL_NO", "blind", "?"),
        ("RDCL_NO", "newer", "1"),
        ("HYPERVISOR", "plain", "e"),
        ("CPUID.7.1.EDX[31]", "newer", "1"),
        ("CPUID.7.1.EDX[31]", "plain", "0"),
        ("CLFLUSH_SIZE", "plain", "8"),
    ];
    for (name, host, expected) in cases {
        assert_eq!(cell(&page, name, host), expected, "{name} on {host}");
    }
    let denied = data(&report(&[Host::intel("a", &["MONITOR"])], &[]).0);
    assert_eq!(cell(&denied, "MONITOR", "a"), "k");
    let columns: Vec<Vec<&str>> = page["columns"].as_array().unwrap().iter().map(|column| strings(&column["hosts"])).collect();
    assert_eq!(columns, [vec!["blind"], vec!["hybrid"], vec!["newer"], vec!["plain", "twin"]]);
}

#[test]
fn hostile_names_stay_text() {
    const NAMES: [&str; 8] = [
        "<script>alert(1)</script>",
        "</script><img src=x onerror=alert(1)>",
        "\" onmouseover=\"alert(1)",
        "' autofocus onfocus='alert(1)",
        "<!--<script>",
        "{{data}}{{script}}",
        "\u{202e}txet\u{2066}\u{200b}",
        "\u{5d0}\u{1f600}&amp;",
    ];
    let brand = |policy: &mut cpuid_db::Policy| {
        let word = |text: &[u8; 4]| u32::from_le_bytes(*text);
        let part = Registers::new(word(b"<b>\""), word(b"'&\x1b<"), word(b"/scr"), word(b"ipt>"));
        for leaf in 0x8000_0002..=0x8000_0004 {
            policy.cpuid.insert(leaf, 0, part).unwrap();
        }
        policy.cpuid.insert(7, 1, Registers::new(0, 0, 0, 1 << 31)).unwrap();
        policy.unrecorded.insert(Unrecorded::Msr { index: 0x10a }).unwrap();
    };
    let hosts: Vec<Host> =
        (1..).zip(NAMES).map(|(at, name)| Host::intel(name, &["AVX", "ARCH_CAPABILITIES"][..at % 3]).with(brand)).collect();
    let (page, policy) = report(&hosts, &[]);
    let tags = markup::tags(&page);
    assert_eq!(tags.iter().filter(|tag| tag.name == "script").count(), 2);
    assert!(tags.iter().all(|tag| !["img", "b"].contains(&tag.name.as_str()) || tag.get("style").is_some()));
    assert!(tags.iter().flat_map(|tag| &tag.attributes).all(|(key, _)| !key.starts_with("on") && key != "autofocus"));
    let page = data(&page);
    let mut names: Vec<&str> = page["columns"].as_array().unwrap().iter().flat_map(|column| strings(&column["hosts"])).collect();
    names.sort_unstable();
    assert_eq!(names, strings(&policy["hosts"]["names"]));
    assert_same_decisions(&page, &policy);
}

#[test]
fn nothing_is_loaded_from_outside() {
    let (page, _) = report(&zoo(), &[]);
    for outside in ["://", "url(", "@import", "src=", "<link", "<iframe", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_same_pool_gives_the_same_page() {
    let hosts = zoo();
    let (first, _) = report(&hosts, &[]);
    let mut turned = hosts;
    turned.reverse();
    assert!(report(&turned, &[]).0 == first, "the order of hosts changes the page");
}

#[test]
fn a_failed_run_leaves_the_page_as_it_was() {
    let folder = Folder::new();
    let page = folder.write("pool.html", "before");
    let bad = folder.write("bad.json", "{}");
    assert_eq!(vcpu(&["baseline", "--report", &page, &bad]).code, Some(2));
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "before");
    let good = Host::intel("a", &[]).write(&folder);
    let run = vcpu(&["baseline", "--report", folder.path("none/pool.html").to_str().unwrap(), &good]);
    assert!(run.code == Some(2) && run.stderr.contains("pool.html") && run.stdout.is_empty(), "{run:?}");
    assert_eq!(vcpu(&["baseline", "--report", "-", &good]).code, Some(2));
    assert_eq!(vcpu(&["baseline", "--report", &page, &good]).code, Some(0));
    assert!(std::fs::read_to_string(&page).unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(folder.entries(), ["a.json", "bad.json", "pool.html"]);
}

/// Machines of which no two are alike, with every feature on some.
fn crowd(count: usize) -> Vec<Host> {
    let features: Vec<Feature> = Feature::all().collect();
    let host = |at: usize| {
        let mixed = |feature: usize| (feature.wrapping_mul(2_654_435_761) ^ at.wrapping_mul(40_503)) % 7 != 3;
        Host::intel(&format!("rack{:02}-node{:02}.example", at / 20, at % 20), &[]).with(|policy| {
            for feature in features.iter().enumerate().filter(|(number, _)| mixed(*number)).map(|(_, feature)| *feature) {
                // What does not fit into a table need not be there.
                let _ = policy.set_feature(feature, true);
            }
            policy.cpuid.insert(7, 1, Registers::new(0, 0, 0, at as u32)).unwrap();
        })
    };
    (0..count).map(host).collect()
}

#[test]
fn a_page_of_500_hosts_is_a_few_megabytes() {
    const HOSTS: usize = 500;
    let (page, policy) = report(&crowd(HOSTS), &["--ceiling", "raw"]);
    let data = data(&page);
    let rows = data["rows"].as_array().unwrap().len();
    assert!(rows >= 700, "{rows} rows");
    assert_eq!(data["columns"].as_array().unwrap().len(), HOSTS);
    assert_eq!(policy["hosts"]["count"], HOSTS);
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
}

/// What a browser makes of the page, if `VCPU_BROWSER` names one that takes Chromium's options.
#[test]
fn the_scripts_run_in_a_browser() {
    let Ok(browser) = std::env::var("VCPU_BROWSER") else {
        // Past the harness, which keeps to itself what a passing test prints.
        let _ = writeln!(std::io::stderr(), "SKIPPED: set VCPU_BROWSER to a Chromium to run the scripts of the report");
        return;
    };
    let folder = Folder::new();
    let path = folder.write("pool.html", &report(&zoo(), &[]).0);
    let profile = format!("--user-data-dir={}", folder.path("profile").display());
    let shown = |hash: &str| {
        let address = format!("file://{path}#{hash}");
        let args = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom", &profile, &address];
        let output = std::process::Command::new(&browser).args(args).output().unwrap();
        Run { code: output.status.code(), stdout: String::from_utf8_lossy(&output.stdout).into_owned(), stderr: String::new() }.stdout
    };
    let one = shown("find=avx2&theme=dark");
    for part in ["aria-label=\"AVX2, blind: lacks it\"", "data-theme=\"dark\"", "1 of ", "4 columns"] {
        assert!(one.contains(part), "{part}");
    }
    assert!(shown("find=nosuchthing").contains("Nothing matches"));
}
