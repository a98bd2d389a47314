//! Running the built command on dumps that the tests make up.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(unreachable_pub, reason = "shared by the test files")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use cpu_dumps::{Cpu, Dump, Format, KvmView, Machine, Provenance};
use cpuid_db::{Basis, Feature, Found, Named, Policy, Registers, Vendor, lookup};
use serde_json::Value;

/// What a run of the command left behind.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard output as JSON, of a run that must have ended with this code.
    pub fn json_with(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.json()
    }
}

/// Runs the command.
pub fn vcpu(args: &[&str]) -> Run {
    vcpu_on(args, b"")
}

/// Runs the command with something on standard input.
pub fn vcpu_on(args: &[&str], stdin: &[u8]) -> Run {
    let mut child = command(args).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // A command that does not read its input closes the pipe.
    let _ = pipe.write_all(stdin);
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The command with all pipes, without colours and in a usual width.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vcpu"));
    command.args(args).env_remove("CLICOLOR_FORCE").env("COLUMNS", "80");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A directory of its own for one test, gone at its end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vcpu-cli-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file and returns its name for the command line.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The names in it.
    pub fn entries(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all::<&Path>(&self.0);
    }
}

/// The feature that a word names.
pub fn feature(word: &str) -> Feature {
    match lookup(word) {
        Ok(Found::Named(Named::Feature(feature))) => feature,
        other => panic!("{word}: {other:?}"),
    }
}

/// What every 64-bit CPU has, enough for the dependencies of what tests add.
const USUAL: [&str; 26] = [
    "FPU", "TSC", "MSR", "PAE", "CX8", "APIC", "PGE", "CMOV", "PAT", "CLFSH", "MMX", "FXSR", "SSE", "SSE2", "SSE3", "SSSE3", "SSE4_1",
    "SSE4_2", "POPCNT", "CX16", "XSAVE", "SYSCALL", "NX", "LM", "LAHF_LM", "MCE",
];

/// A CPU: maker, signature, and features on top of the usual ones.
#[derive(Clone)]
pub struct Host(pub Machine);

impl Host {
    pub fn new(name: &str, vendor: Vendor, signature: u32, features: &[&str]) -> Self {
        let mut policy = Policy { basis: Basis::Raw, ..Policy::default() };
        let [b, d, c] = [0, 4, 8].map(|at| u32::from_le_bytes(vendor.bytes()[at..at + 4].try_into().unwrap()));
        policy.cpuid.insert(0, 0, Registers::new(0x1f, b, c, d)).unwrap();
        policy.cpuid.insert(1, 0, Registers::new(signature, 8 << 8, 0, 0)).unwrap();
        policy.cpuid.insert(0xd, 0, Registers::new(3, 0x240, 0x240, 0)).unwrap();
        policy.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0021, 0, 0, 0)).unwrap();
        for word in USUAL.iter().chain(features) {
            policy.set_feature(feature(word), true).unwrap();
        }
        if features.contains(&"AVX") {
            policy.set_feature(Feature::XCR0_AVX, true).unwrap();
            policy.cpuid.insert(0xd, 2, Registers::new(256, 576, 0, 0)).unwrap();
        }
        let machine = Machine {
            name: name.to_owned(),
            format: Format::Dump,
            provenance: Provenance::default(),
            basis: Basis::Raw,
            cpus: vec![Cpu { number: 0, core_type: None, policy, msrs: Vec::new() }],
            unknown_names: Vec::new(),
            kvm: None,
        };
        Self(machine)
    }

    pub fn intel(name: &str, features: &[&str]) -> Self {
        Self::new(name, Vendor::Intel, 0x0005_0654, features)
    }

    /// Changes the policy of every CPU.
    pub fn with(mut self, change: impl Fn(&mut Policy)) -> Self {
        self.0.cpus.iter_mut().for_each(|cpu| change(&mut cpu.policy));
        self
    }

    /// Adds what KVM answered there: the raw features but for these.
    pub fn with_kvm(mut self, without: &[&str]) -> Self {
        let mut supported = self.0.cpus[0].policy.clone();
        supported.basis = Basis::Recorded;
        for word in without {
            supported.set_feature(feature(word), false).unwrap();
        }
        self.0.kvm = Some(Box::new(KvmView { supported, emulated: None }));
        self
    }

    pub fn text(&self) -> String {
        Dump::new(&self.0).to_string()
    }

    /// Writes the dump and returns its name for the command line.
    pub fn write(&self, folder: &Folder) -> String {
        folder.write(&format!("{}.json", self.0.name), &self.text())
    }
}

/// Whether the list has an object with these members.
pub fn has(list: &Value, members: &Value) -> bool {
    let matches = |item: &Value| members.as_object().unwrap().iter().all(|(key, value)| item.get(key) == Some(value));
    list.as_array().unwrap().iter().any(matches)
}

/// The decision about a feature or field.
pub fn decision<'a>(policy: &'a Value, name: &str) -> &'a Value {
    let decisions = policy["decisions"].as_array().unwrap();
    let mut about = decisions.iter().filter(|one| one["feature"] == name || one["field"] == name);
    let one = about.next().unwrap_or_else(|| panic!("no decision about {name}"));
    assert!(about.next().is_none(), "two decisions about {name}");
    one
}
