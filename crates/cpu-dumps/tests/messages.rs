//! The exact message of every kind of bad input. A message names the file, the place in it, and the offender.

mod samples;

use cpu_dumps::{limits, read};
use samples::{AIDA, CPUID_R, DUMP, FIRECRACKER, LIBCPUID_RAW, LIBVIRT, POLICY};

fn message(bytes: &[u8]) -> String {
    match read("hosts/a.txt", bytes) {
        Ok(machines) => format!("read as {machines:?}"),
        Err(error) => error.to_string(),
    }
}

/// Replaces the first `from` of a sample by `to`; the message must be `hosts/a.txt` and `expected`, where `~` stands for `phrase`.
#[track_caller]
fn check(sample: &str, phrase: &str, cases: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (from, to, expected) in cases {
        assert!(sample.contains(from), "{from}");
        let message = message(sample.replacen(from, to, 1).as_bytes());
        if message != format!("hosts/a.txt{}", expected.replace('~', phrase)) {
            wrong.push(format!("{from} -> {to}\n  expected {expected}\n  got {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_dump_at_all() {
    let known = "not in a known format; known are vcpu.dump/1, vcpu.policy/1, AIDA64 text, libcpuid raw, libvirt cpudata, cpuid -r, Firecracker fingerprint, Firecracker template, Firecracker MSR list, kcpuid -r, libvirt CPU, QMP replies, Propolis TOML, Propolis JSON, Cloud Hypervisor profile, kvm_cpuid2, QEMU -cpu";
    let cases: [(&[u8], String); 9] = [
        (b"", "hosts/a.txt: the file is empty".into()),
        (b" \r\n\t\n", "hosts/a.txt: the file is empty".into()),
        (b"hello\n", format!("hosts/a.txt: {known}")),
        (b"{}", format!("hosts/a.txt: {known}")),
        (b"<html/>", format!("hosts/a.txt: {known}")),
        (b"a\nb\n\x7fELF\0", "hosts/a.txt:3: byte 0x7f is not text".into()),
        (
            b"{\"schema\": \"vcpu.dump/9\"}",
            "hosts/a.txt:1: schema: schema \"vcpu.dump/9\" is not known; known are \"vcpu.dump/1\" and \"vcpu.policy/1\"".into(),
        ),
        (b"{\"a\": [1, 2", "hosts/a.txt:1: EOF while parsing a list".into()),
        (b"{\"schema\": 1}", "hosts/a.txt:1: schema: invalid type: integer `1`, expected a string".into()),
    ];
    for (bytes, expected) in cases {
        assert_eq!(message(bytes), expected);
    }
    let huge = vec![b'-'; limits::MAX_BYTES + 1];
    assert_eq!(message(&huge), "hosts/a.txt: larger than 67108864 bytes");
}

#[test]
fn aida64_text() {
    let phrase = "expected CPUID, a leaf of 8 hex digits, four registers of 8 hex digits joined by -, and [SL xx] or a comment, found";
    let leaf_1 = "CPUID 00000001: 000506E3-00100800-7FFAFBBF-BFEBFBFF";
    check(
        AIDA,
        phrase,
        &[
            ("7FFAFBBF-", "7FFAFBB-", ":4: ~ \"CPUID 00000001: 000506E3-00100800-7FFAFBB-BFEBFBFF\""),
            ("-BFEBFBFF", "", ":4: ~ \"CPUID 00000001: 000506E3-00100800-7FFAFBBF\""),
            ("-BFEBFBFF", "-BFEBFBFF-00000000", ":4: ~ \"CPUID 00000001: 000506E3-00100800-7FFAFBBF-BFEBFBFF-00000000\""),
            ("[SL 01]", "[SL 1]", ":6: ~ \"CPUID 00000007: 00000010-00000000-00000000-00000000 [SL 1]\""),
            ("[GenuineIntel]", "GenuineIntel", ":3: ~ \"CPUID 00000000: 00000007-756E6547-6C65746E-49656E69 GenuineI...\""),
            (
                leaf_1,
                "CPUID 00000000: 00000007-00000000-00000000-00000000",
                ":4: leaf 00000000 is given twice with different values and without subleaf numbers",
            ),
            ("[SL 00]", "[SL 01]", ":6: leaf 00000007 subleaf 01 is given twice with different values"),
            ("CPUID 00000000: 00000007-", "CPUID 00000002: 00000007-", ": CPU 0 has no leaf 00000000"),
            ("Logical CPU #0", "Logical CPU #x", ":1: expected a CPU heading, found \"------[ Logical CPU #x ]------\""),
            ("Logical CPU #0", "Versions", ":3: leaf data before the first CPU heading"),
            (
                "0000-0000-0000-002B",
                "0000-0000-002B",
                ":11: expected MSR, an address of 8 hex digits, and 16 hex digits in groups of four joined by -, found \"MSR 0000010A: 0000-0000-002B [comment]\"",
            ),
            ("[comment]", "[x]\nMSR 0000010A: < FAILED >", ":12: MSR 0000010a is given twice with different values"),
            ("[GenuineIntel]", "[\u{1}]", ":3: byte 0x01 is not text"),
            (&AIDA[31..], "", ": no CPU in the file"),
        ],
    );
    let repeated = "------[ Logical CPU #0 ]------\nCPUID 00000007: 00000001-0-0-0\n".replace("0-0-0", "00000000-00000000-00000000");
    let text = format!("{repeated}CPUID 00000007: 00000002-00000000-00000000-00000000\n");
    assert_eq!(message(text.as_bytes()), "hosts/a.txt:3: leaf 00000007 is given twice with different values and without subleaf numbers");
    assert_eq!(
        message(b"CPUID Registers (CPU #0):\nCPUID Registers (CPU #1):\n"),
        "hosts/a.txt:1: expected a CPU heading, found \"CPUID Registers (CPU #0):\""
    );
}

#[test]
fn libcpuid_raw() {
    let phrase = "expected name[index]= and four registers of 8 hex digits, found";
    check(
        LIBCPUID_RAW,
        phrase,
        &[
            ("bfebfbff", "bfebfbf", ":5: ~ \"basic_cpuid[1]=000506e3 00100800 7ffafbbf bfebfbf\""),
            ("basic_cpuid[7]", "basic_cpuid[-7]", ":6: ~ \"basic_cpuid[-7]=00000001 029c6fbf 00000000 bc000400\""),
            ("basic_cpuid[7]", "basic_cpuid[999]", ":6: ~ \"basic_cpuid[999]=00000001 029c6fbf 00000000 bc000400\""),
            ("basic_cpuid[7]", "magic_cpuid[7]", ":6: expected a table of libcpuid's raw format, found \"magic_cpuid\""),
            ("basic_cpuid[7]", "basic_cpuid[1]", ":6: leaf 00000001 is given twice with different values"),
            ("basic_cpuid[0]", "basic_cpuid[2]", ": CPU 0 has no leaf 00000000"),
            ("CPU #0 ___", "CPU #0 ", ":3: expected a CPU heading, found \"_________________ Logical CPU #0 ______________\""),
            ("ext_cpuid[0]", "_________________ Logical CPU #0 _________________\next_cpuid[0]", ":8: CPU 0 is given twice"),
        ],
    );
}

#[test]
fn cpuid_r() {
    let phrase = "expected 0x, a leaf, 0x, a subleaf, and eax= ebx= ecx= edx=, found";
    check(
        CPUID_R,
        phrase,
        &[
            (" edx=0xbfebfbff", "", ":3: ~ \"0x00000001 0x00: eax=0x000506e3 ebx=0x00100800 ecx=0x7ffafbb...\""),
            ("edx=0xbfebfbff", "edx=0xbfeb", ":3: ~ \"0x00000001 0x00: eax=0x000506e3 ebx=0x00100800 ecx=0x7ffafbb...\""),
            ("0x00000001 0x00:", "0x00000000 0x00:", ":3: leaf 00000000 is given twice with different values"),
            ("CPU 0:", "CPU x:", ":1: expected a CPU heading, found \"CPU x:\""),
            ("CPU 0:\n", "", ":1: leaf data before the first CPU heading"),
        ],
    );
    let twice = format!("{CPUID_R}{CPUID_R}");
    assert_eq!(message(twice.as_bytes()), "hosts/a.txt:5: CPU 0 is given twice");
}

#[test]
fn libvirt_cpudata() {
    check(
        LIBVIRT,
        "",
        &[
            ("eax='0x00000007'", "eax='7'", ":3: expected 0x and up to 8 hex digits, found \"7\""),
            ("eax='0x00000007' ", "", ":3: eax is missing"),
            (
                "eax='0x00000007'",
                "ebx='0x00000007'",
                ":3: error while parsing attribute: position 57: duplicated attribute, previous declaration at position 40",
            ),
            ("arch='x86'", "arch='s390'", ":2: expected arch='x86', found \"s390\""),
            ("arch='x86'", "", ":2: arch is missing"),
            ("eax_in='0x00000001'", "eax_in='0x00000000'", ":4: leaf 00000000 is given twice with different values"),
            ("</cpudata>\n", "", ":7: the end of cpudata is missing"),
            ("</cpudata>", "</cpu>", ":7: ill-formed document: expected `</cpudata>`, but `</cpu>` was found"),
            ("</cpudata>", "</cpudata><cpudata arch='x86'/>", ":7: the root element is given twice"),
            ("<msr ", "<msr index='0x10a' edx='0x0' eax='0x0'/><msr ", ":6: MSR 0000010a is given twice with different values"),
        ],
    );
    assert_eq!(message(b"<cpudata arch='x86'>\n</cpudata>\n"), "hosts/a.txt:3: no CPU in the file");
    assert_eq!(message(b"<cpudata arch='x86'>\n\xff</cpudata>\n"), "hosts/a.txt:2: byte 0xff is not text");
}

#[test]
fn firecracker_fingerprint() {
    let register = "0b00000000000000000000000000000111";
    check(
        FIRECRACKER,
        "",
        &[
            (
                register,
                "0b0xxx",
                ":11: guest_cpu_config.cpuid_modifiers[0].modifiers[0].bitmap: expected 0b and 32 binary digits, found \"0b0xxx\"",
            ),
            (
                "\"eax\"",
                "\"rax\"",
                ":11: guest_cpu_config.cpuid_modifiers[0].modifiers[0].register: expected eax, ebx, ecx or edx, found \"rax\"",
            ),
            ("\"eax\"", "\"ebx\"", ":12: guest_cpu_config.cpuid_modifiers[0].modifiers[1]: ebx is given twice"),
            ("\"register\": \"eax\", ", "", ":11: guest_cpu_config.cpuid_modifiers[0].modifiers[0]: register is missing"),
            (
                "\"leaf\": \"0x0\"",
                "\"leaf\": 0",
                ":9: guest_cpu_config.cpuid_modifiers[0].leaf: invalid type: integer `0`, expected a string of 0x and up to 8 hex digits",
            ),
            ("\"leaf\": \"0x0\", ", "", ":16: guest_cpu_config.cpuid_modifiers[0]: leaf is missing"),
            ("\"addr\": \"0x10a\", ", "", ":19: guest_cpu_config.msr_modifiers[0]: addr is missing"),
        ],
    );
    assert_eq!(message(br#"{"guest_cpu_config": {}}"#), "hosts/a.txt: no CPU in the file");
}

#[test]
fn own_formats() {
    check(
        DUMP,
        "",
        &[
            (
                "\"0x756e6547\"",
                "\"756e6547\"",
                ":14: cpus[0].leaves[0].ebx: expected a string of 0x and up to 8 hex digits, found \"756e6547\"",
            ),
            (
                "\"0x756e6547\"",
                "7",
                ":14: cpus[0].leaves[0].ebx: invalid type: integer `7`, expected a string of 0x and up to 8 hex digits",
            ),
            (", \"edx\": \"0x49656e69\"", "", ":14: cpus[0].leaves[0]: edx is missing"),
            ("\"ecx\"", "\"ebx\"", ":14: cpus[0].leaves[0].ebx: ebx is given twice"),
            (
                "\"leaf\": \"0x00000007\", \"subleaf\": \"0x01\"",
                "\"leaf\": \"0x00000000\", \"subleaf\": \"0x00\"",
                ":15: cpus[0].leaves[1]: leaf 00000000 is given twice with different values",
            ),
            ("\"cpu\": 0", "\"cpu\": -1", ":11: cpus[0].cpu: invalid value: integer `-1`, expected u32"),
            ("\"cpu\": 0,", "", ":24: cpus[0]: cpu is missing"),
            ("\"performance\"", "\"fast\"", ":12: cpus[0].core_type: expected performance, efficiency or low-power, found \"fast\""),
            ("\"raw\"", "\"cooked\"", ":4: basis: expected raw, derived or recorded, found \"cooked\""),
            ("\"basis\": \"raw\",", "", ": basis is missing"),
            (
                "\"0x000000000000002b\"",
                "\"0x0000000000000002b\"",
                ":18: cpus[0].msrs[0].value: expected a string of 0x and up to 16 hex digits, found \"0x0000000000000002b\"",
            ),
            ("{\"msr\": \"0x00000345\"}", "{}", ":22: cpus[0].unrecorded[1]: either leaf or msr is missing"),
            ("\"by hand\"", "[]", ":6: provenance.tool: invalid type: sequence, expected a string"),
            (
                "\"schema\": \"vcpu.dump/1\",",
                "\"basis\": \"raw\",",
                ": not in a known format; known are vcpu.dump/1, vcpu.policy/1, AIDA64 text, libcpuid raw, libvirt cpudata, cpuid -r, Firecracker fingerprint, Firecracker template, Firecracker MSR list, kcpuid -r, libvirt CPU, QMP replies, Propolis TOML, Propolis JSON, Cloud Hypervisor profile, kvm_cpuid2, QEMU -cpu",
            ),
            ("\"leaves\": [", "\"leaves\": {", ":13: cpus[0].leaves: invalid type: map, expected a list"),
        ],
    );
    assert_eq!(message(br#"{"schema":"vcpu.dump/1","basis":"raw","cpus":[]}"#), "hosts/a.txt: no CPU in the file");
    assert_eq!(message(br#"{"schema":"vcpu.policy/1","basis":"raw"}"#), "hosts/a.txt: no CPU in the file");
    assert_eq!(message(format!("{POLICY}\n{{").as_bytes()), "hosts/a.txt:13: EOF while parsing an object");
}

#[test]
fn messages_do_not_quote_whole_files() {
    let long = "x".repeat(1_000_000);
    let texts = [
        format!("{{\"schema\":\"vcpu.dump/1\",\"cpus\":\"{long}\"}}"),
        format!("{{\"schema\":\"{long}\"}}"),
        format!("<cpudata arch='{long}'></cpudata>"),
        format!("<cpudata arch='x86'></{long}>"),
    ];
    for text in texts {
        assert!(message(text.as_bytes()).len() < 400);
    }
}

#[test]
fn limits_on_counts_and_sizes() {
    let line = format!("{AIDA}\nCPUID 00000002: 00000000-00000000-00000000-00000000 [{}]\n", "x".repeat(limits::MAX_LINE));
    assert_eq!(message(line.as_bytes()), "hosts/a.txt:13: line is longer than 4096 bytes");

    let leaf = |leaf: usize| format!("   0x{leaf:08x} 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n");
    let leaves: String = (0..=limits::MAX_LEAVES).map(leaf).collect();
    assert_eq!(message(format!("CPU:\n{leaves}").as_bytes()), "hosts/a.txt:258: more than 256 leaves in one CPU");

    let cpus: Vec<String> = (0..=limits::MAX_CPUS)
        .map(|cpu| format!("CPU#{cpu:03} AffMask: 0x1\nCPUID 00000000: 00000000-00000000-00000000-00000000\n"))
        .collect();
    assert_eq!(message(cpus.concat().as_bytes()), "hosts/a.txt:8193: more than 4096 CPUs");

    let numbers: Vec<String> = (0..=limits::MAX_CPUS).map(|cpu| format!("{{\"cpu\":{cpu}}}")).collect();
    let dump = format!("{{\"schema\":\"vcpu.dump/1\",\"basis\":\"raw\",\"cpus\":[{}]}}", numbers.join(","));
    assert_eq!(message(dump.as_bytes()), "hosts/a.txt:1: cpus[4096]: more than 4096 CPUs");

    let msrs: Vec<String> = (0..=limits::MAX_MSRS).map(|msr| format!("{{\"index\":\"0x{msr:x}\",\"value\":\"0x0\"}}")).collect();
    let policy = format!("{{\"schema\":\"vcpu.policy/1\",\"basis\":\"raw\",\"msrs\":[{}]}}", msrs.join(","));
    assert_eq!(message(policy.as_bytes()), "hosts/a.txt:1: msrs[65536]: more than 65536 MSRs in one CPU");

    let machines = "{\"schema\":\"vcpu.policy/1\",\"basis\":\"raw\",\"msrs\":[{\"index\":\"0x1\",\"value\":\"0x0\"}]}\n"
        .repeat(limits::MAX_MACHINES + 1);
    assert_eq!(message(machines.as_bytes()), "hosts/a.txt: more than 4096 machines");
}
