//! The command as a program: this machine, shells, help, closed pipes.

mod common;

use common::{Folder, command, vcpu, vcpu_on};

#[cfg(target_arch = "x86_64")]
#[test]
fn this_machine_is_recorded_and_shown() {
    let probed = vcpu(&["probe"]);
    let dump = probed.json_with(0);
    assert_eq!((&dump["schema"], &dump["basis"]), (&"vcpu.dump/1".into(), &"raw".into()));
    let shown = vcpu_on(&["show", "--json", "-"], probed.stdout.as_bytes()).json_with(0);
    assert_eq!(shown["name"], dump["name"]);
    assert_eq!(shown["cpus"].as_array().unwrap().len(), dump["cpus"].as_array().unwrap().len());
    assert!(common::has(&shown["features"], &serde_json::json!({ "name": "LM" })));
    let baseline = vcpu_on(&["baseline", "-"], probed.stdout.as_bytes());
    assert_eq!(baseline.code, Some(0), "{baseline:?}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_recording_goes_to_a_file() {
    let folder = Folder::new();
    let file = folder.path("host.json").to_str().unwrap().to_owned();
    let run = vcpu(&["probe", "--name", "my host", "-o", &file]);
    assert!(run.code == Some(0) && run.stdout.contains("my host"), "{run:?}");
    assert_eq!(folder.entries(), ["host.json"]);
    assert_eq!(vcpu(&["show", "--json", &file]).json_with(0)["name"], "my host");
    let again = vcpu(&["probe", "--json", "-o", &file]).json_with(0);
    assert_eq!(again["schema"], "vcpu.probe/1");
    let nowhere = folder.path("no/such/folder").to_str().unwrap().to_owned();
    assert_eq!(vcpu(&["probe", "-o", &nowhere]).code, Some(2));
}

#[test]
fn shells_get_a_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = vcpu(&["completions", shell]);
        assert!(run.code == Some(0) && run.stdout.contains("baseline"), "{shell}: {run:?}");
        let object = vcpu(&["completions", shell, "--json"]).json_with(0);
        assert_eq!(object["script"], run.stdout.as_str());
    }
    assert_eq!(vcpu(&["completions", "dos"]).code, Some(2));
}

#[test]
fn every_command_has_help_with_examples() {
    for name in ["probe", "show", "explain", "baseline", "diff", "convert", "completions"] {
        let run = vcpu(&[name, "--help"]);
        assert!(run.code == Some(0) && run.stdout.contains("Example"), "{name}: {run:?}");
    }
    assert!(vcpu(&["--help"]).stdout.contains("Exit codes"));
    assert_eq!(vcpu(&["--version"]).code, Some(0));
    assert_eq!(vcpu(&[]).code, Some(2));
    assert_eq!(vcpu(&["nonsense"]).code, Some(2));
}

#[test]
fn a_reader_that_goes_away_is_not_an_error() {
    for args in [&["explain", "SSE3"][..], &["explain", "--json", "SSE3"], &["completions", "zsh"], &["explain", "nosuchword"], &["--help"]]
    {
        let mut child = command(args).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take(), child.stdin.take()));
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 2)), "{args:?}: {code:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let output = command(&["explain", "SSE3"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("standard output"));
}
