//! Damaged files: whatever happens to a dump, reading it ends, soon, without a panic, and with a message that names the file.

mod samples;

use cpu_dumps::{Dump, Format, Machine, detect, limits, lines, read};
use samples::SAMPLES;

/// Reads damaged input; whatever is still readable must survive the own format.
fn survive(bytes: &[u8]) -> Option<Vec<Machine>> {
    detect(bytes);
    match read("damaged", bytes) {
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with("damaged:") && message.len() < 500 && !message.contains('\n'), "{message:?}");
            None
        }
        Ok(machines) => {
            assert!(machines.iter().all(|machine| !machine.cpus.is_empty()));
            for machine in &machines {
                let again = read("again", Dump::new(machine).to_string().as_bytes()).unwrap();
                assert_eq!(again, [Machine { format: Format::Dump, ..machine.clone() }]);
            }
            Some(machines)
        }
    }
}

/// A small generator of numbers that are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn files_cut_at_any_byte() {
    for (format, text) in SAMPLES {
        for length in 0..text.len() {
            let read = survive(&text.as_bytes()[..length]);
            let ends_anywhere = [Format::Aida, Format::LibcpuidRaw, Format::CpuidR, Format::Kcpuid, Format::PropolisToml, Format::QemuCpu];
            let has_an_end = !ends_anywhere.contains(&format);
            let is_cut = !text[length..].trim().is_empty();
            assert!(read.is_none() || !(has_an_end && is_cut), "{format} cut at {length} is taken for whole");
        }
    }
}

#[test]
fn files_that_lack_their_beginning() {
    for (_, text) in SAMPLES {
        for start in 0..text.len() {
            survive(&text.as_bytes()[start..]);
        }
    }
}

#[test]
fn single_bits_turned_over() {
    for (_, text) in SAMPLES {
        let mut bytes = text.as_bytes().to_vec();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                survive(&bytes);
                bytes[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn bytes_inserted_deleted_and_replaced() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for (_, text) in SAMPLES {
        for _ in 0..2000 {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(bytes.len());
                match numbers.below(3) {
                    0 => drop(bytes.remove(at)),
                    1 => bytes.insert(at, numbers.below(256) as u8),
                    _ => bytes[at] = b"0f:-[]{}<>\"'=x#\n\r\t,"[numbers.below(19)],
                }
            }
            survive(&bytes);
        }
    }
}

#[test]
fn lines_shuffled_doubled_and_mixed_between_formats() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let all: Vec<&str> = SAMPLES.iter().flat_map(|(_, text)| text.lines()).collect();
    for (_, text) in SAMPLES {
        let own: Vec<&str> = text.lines().collect();
        for round in 0..1000 {
            let pool = if round % 2 == 0 { &own } else { &all };
            let count = numbers.below(own.len() * 2);
            let picked: Vec<&str> = (0..count).map(|_| pool[numbers.below(pool.len())]).collect();
            survive(picked.join("\n").as_bytes());
        }
    }
}

#[test]
fn tables_of_kvm_are_read_whole_or_not_at_all() {
    let whole = samples::kvm_cpuid2();
    assert!(survive(&whole).is_some());
    for length in 0..whole.len() {
        assert!(survive(&whole[..length]).is_none(), "cut at {length}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            survive(&bytes);
        }
    }
}

#[test]
fn binary_files() {
    let mut numbers = Numbers(0x0123_4567_89ab_cdef);
    for length in [1, 7, 64, 4096, 100_000] {
        let bytes: Vec<u8> = (0..length).map(|_| numbers.below(256) as u8).collect();
        survive(&bytes);
        survive(&vec![0; length]);
        survive(&vec![0xff; length]);
        for (_, text) in SAMPLES {
            survive(&[text.as_bytes(), &bytes].concat());
            survive(&[&bytes, text.as_bytes()].concat());
        }
    }
}

#[test]
fn endless_lines_and_nesting() {
    let beginnings = [
        "",
        "CPU:\n",
        "CPUID 00000000: ",
        "basic_cpuid[",
        "<cpudata arch='x86'>",
        "<!--",
        "<cpudata ",
        "{\"a\":",
        "{\"schema\":\"vcpu.dump/1\",\"cpus\":",
    ];
    for beginning in beginnings {
        for filler in [" ", "-", "[", "{\"a\":", "<a>", "&lt;", "0", "\""] {
            let mut text = beginning.to_owned();
            text.push_str(&filler.repeat(200_000 / filler.len()));
            assert!(survive(text.as_bytes()).is_none());
        }
    }
}

#[test]
fn the_largest_input_is_refused_or_read_to_its_end() {
    let line = "CPUID 00000000: 00000000-00000000-00000000-00000000\n";
    let head = format!("------[ Logical CPU #0 ]------\n{line}");
    let fill = |unit: &str| format!("{head}{}", unit.repeat((limits::MAX_BYTES - head.len()) / unit.len()));
    let note = format!("{}\n", "x".repeat(500));
    for text in [fill(line), fill(&note), fill("------[ Logical CPU #1 ]------\n")] {
        survive(text.as_bytes());
    }
}

#[test]
fn streams_of_anything_end() {
    let mut numbers = Numbers(42);
    for (_, text) in SAMPLES {
        let mut bytes = text.replace('\n', " ").repeat(3).into_bytes();
        for _ in 0..20 {
            let at = numbers.below(bytes.len());
            bytes[at] = numbers.below(256) as u8;
        }
        bytes.extend(b"\n{}\nnull\n[]\n\0\n");
        for error in lines("damaged", &bytes[..]).filter_map(Result::err) {
            assert!(error.to_string().starts_with("damaged:"), "{error}");
        }
    }
}
