//! What QEMU itself says about its models and about what is written for it. Skipped, loudly, where there is no `qemu-system-x86_64`.
//!
//! The data was recorded of one version, and `tests/qemu/differences.toml` lists where that version differs and why. A difference that
//! is not listed fails, and so does one that is gone. Other versions have other differences: there nothing is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use cpu_dumps::models::{Model, models};
use cpu_dumps::{Machine, Target, read, write};
use cpuid_db::{Feature, FeatureSet, Found, Location, LookupError, Named, Policy, Project, lookup};
use serde::Deserialize;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const QEMU: &str = "qemu-system-x86_64";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Differences {
    /// The version of QEMU.
    qemu: String,
    /// Words of the database that this version does not have.
    newer: Vec<String>,
    /// Boolean properties of a CPU that are no features of ours.
    no_feature: Vec<NoFeature>,
    /// What an accelerator changes in every model.
    accelerator: Vec<Accelerator>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFeature {
    words: Vec<String>,
    #[expect(dead_code, reason = "for those who read the file")]
    because: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accelerator {
    name: String,
    on: Vec<String>,
    off: Vec<String>,
    #[expect(dead_code, reason = "for those who read the file")]
    because: String,
}

/// The differences of the QEMU that is there; `None` without one, or with one of another version.
fn differences() -> Result<Option<Differences>> {
    let output = match Command::new(QEMU).arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: no {QEMU}");
            return Ok(None);
        }
        other => other?,
    };
    let version = String::from_utf8(output.stdout)?;
    let known: Differences = toml::from_str(include_str!("qemu/differences.toml"))?;
    if version.split_whitespace().any(|word| word.starts_with(&format!("{}.", known.qemu))) {
        return Ok(Some(known));
    }
    eprintln!("skipped: the differences of QEMU {} are known, and this is {}", known.qemu, version.lines().next().unwrap_or("another"));
    Ok(None)
}

/// The answers of one QEMU to several questions; `Err` inside where it refuses.
fn ask(args: &[&str], questions: &[Value]) -> Result<Vec<Value>> {
    let common = ["-nodefaults", "-S", "-display", "none", "-qmp", "stdio"];
    let mut qemu =
        Command::new(QEMU).args(args).args(common).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut text = json!({"execute": "qmp_capabilities"}).to_string();
    for question in questions.iter().chain([&json!({"execute": "quit"})]) {
        text.push('\n');
        text.push_str(&question.to_string());
    }
    text.push('\n');
    // One thread writes while the other reads: neither side's pipe holds it all.
    let mut stdin = qemu.stdin.take().ok_or("no pipe")?;
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = qemu.wait_with_output()?;
    let written = writer.join().map_err(|_| "the writer panicked")?;
    let answers: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<std::result::Result<_, _>>()?;
    let answers: Vec<Value> =
        answers.into_iter().filter(|answer| answer.get("QMP").is_none() && answer.get("event").is_none()).skip(1).collect();
    if written.is_err() || answers.len() < questions.len() {
        return Err(format!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(answers.into_iter().take(questions.len()).collect())
}

/// The properties of models, in the order of the questions.
fn expand(accelerator: &str, questions: &[Value]) -> Result<Vec<BTreeMap<String, Value>>> {
    let expansion = |model: &Value| json!({"execute": "query-cpu-model-expansion", "arguments": {"type": "full", "model": model}});
    let questions: Vec<Value> = questions.iter().map(expansion).collect();
    let answers = ask(&["-machine", "none", "-accel", accelerator], &questions)?;
    let properties = |answer: &Value| match answer["return"]["model"]["props"].as_object() {
        Some(properties) => Ok(properties.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
        None => Err(answer.to_string().into()),
    };
    answers.iter().map(properties).collect()
}

/// The models that this QEMU and the data both have.
fn known_models() -> Result<Vec<&'static Model>> {
    let answers = ask(&["-machine", "none", "-accel", "tcg"], &[json!({"execute": "query-cpu-definitions"})])?;
    let names: BTreeSet<&str> = answers[0]["return"].as_array().ok_or("no list")?.iter().filter_map(|row| row["name"].as_str()).collect();
    let known: Vec<&Model> = models(Project::Qemu).iter().filter(|model| names.contains(model.name.as_str())).collect();
    let newer: Vec<&Model> = models(Project::Qemu).iter().filter(|model| !known.contains(model)).collect();
    assert!(newer.iter().all(|model| model.since.is_some()), "{newer:?}");
    // base, host and max describe no model; every other name is known.
    let own = |name: &&str| !matches!(*name, "base" | "host" | "max") && cpu_dumps::models::model(Project::Qemu, name).is_none();
    assert_eq!(names.into_iter().filter(own).collect::<Vec<_>>(), Vec::<&str>::new());
    Ok(known)
}

/// What a word of QEMU's stands for, by the database alone.
fn features(word: &str) -> Vec<Feature> {
    let feature = |named: Named| if let Named::Feature(feature) = named { Some(feature) } else { None };
    match lookup(&format!("qemu:{word}")) {
        Ok(Found::Named(named)) => feature(named).into_iter().collect(),
        Err(LookupError::Ambiguous(several)) => several.into_iter().flatten().filter_map(feature).collect(),
        _ => Vec::new(),
    }
}

fn set(words: &[String]) -> FeatureSet {
    words.iter().flat_map(|word| features(word)).collect()
}

/// The model under an accelerator.
fn under(model: &Model, accelerator: &Accelerator, has_vmx: bool) -> FeatureSet {
    let vmx = if has_vmx { model.vmx.with(Feature::VMX) } else { FeatureSet::EMPTY };
    let changed = model.features.union(&vmx).union(&set(&accelerator.on)).difference(&set(&accelerator.off)).with(Feature::HYPERVISOR);
    // Without SVM none of what it can do (feature_dependencies in QEMU's target/i386/cpu.c).
    let is_of_svm = |feature: &Feature| matches!(feature.location(), Location::Cpuid { leaf: 0x8000_000a, .. });
    if changed.contains(Feature::SVM) { changed } else { changed.iter().filter(|feature| !is_of_svm(feature)).collect() }
}

/// The differences of one model from its properties, one line each.
fn disagreements(model: &Model, properties: &BTreeMap<String, Value>, known: &Differences, expected: &FeatureSet) -> Vec<String> {
    let mut lines = Vec::new();
    let mut said = FeatureSet::EMPTY;
    for (word, value) in properties {
        let Some(on) = value.as_bool() else { continue };
        let features = features(word);
        said = said.union(&features.iter().copied().collect());
        let is_expected = !features.is_empty() && features.iter().all(|feature| expected.contains(*feature));
        if on != is_expected && !known.no_feature.iter().any(|row| row.words.contains(word)) {
            lines.push(format!("{} {word}: {on} {features:?}", model.name));
        }
    }
    lines.extend(expected.difference(&said).iter().map(|feature| format!("{}: no word for {feature}", model.name)));
    let number = |key: &str| properties.get(key).and_then(Value::as_u64);
    let signature = cpuid_db::Signature(model.signatures[0]).to_string();
    let parts = ["family", "model", "stepping"].map(|key| number(key).unwrap_or_default().to_string()).join("-");
    if signature != parts {
        lines.push(format!("{}: {parts}", model.name));
    }
    if number("level") != model.level.map(u64::from) {
        lines.push(format!("{}: level {:?}", model.name, number("level")));
    }
    if properties.get("model-id").and_then(Value::as_str) != model.model_id.as_deref() {
        lines.push(format!("{}: model-id {:?}", model.name, properties.get("model-id")));
    }
    lines
}

fn agree(accelerator: &str, has_vmx: bool) -> Result<()> {
    let Some(known) = differences()? else { return Ok(()) };
    let row = known.accelerator.iter().find(|row| row.name == accelerator).ok_or("not listed")?;
    let models = known_models()?;
    let questions: Vec<Value> = models.iter().map(|model| json!({"name": model.name, "props": {"vmx": has_vmx}})).collect();
    let answers = match expand(accelerator, &questions) {
        Err(error) if accelerator == "kvm" => {
            eprintln!("skipped: no KVM here: {error}");
            return Ok(());
        }
        other => other?,
    };
    let lines = |(model, properties): (&&Model, _)| disagreements(model, properties, &known, &under(model, row, has_vmx));
    let lines: Vec<String> = models.iter().zip(&answers).flat_map(lines).collect();
    assert_eq!(lines, Vec::<String>::new());
    // What is listed is still there: each word changes some model, and each switch is a property.
    let switches = known.no_feature.iter().flat_map(|row| &row.words);
    assert_eq!(switches.filter(|word| !answers[0].contains_key(*word)).collect::<Vec<_>>(), Vec::<&String>::new());
    for (word, on) in row.on.iter().map(|word| (word, true)).chain(row.off.iter().map(|word| (word, false))) {
        let is_changed = |(model, properties): (&&Model, &BTreeMap<String, Value>)| {
            let has = features(word).iter().all(|feature| model.features.contains(*feature));
            has != on && properties.get(word) == Some(&Value::Bool(on))
        };
        assert!(models.iter().zip(&answers).any(is_changed), "{accelerator} no longer changes {word}");
    }
    eprintln!("{} models agree under {accelerator}", models.len());
    Ok(())
}

#[test]
fn models_are_what_qemu_says_under_tcg() -> Result<()> {
    agree("tcg", false)
}

#[test]
fn models_are_what_qemu_says_when_vmx_is_on() -> Result<()> {
    agree("tcg", true)
}

#[test]
fn models_are_what_qemu_says_under_kvm() -> Result<()> {
    agree("kvm", false)
}

/// The words that the writer may use, against QEMU's own list of properties.
#[test]
fn every_word_is_a_property_of_qemu() -> Result<()> {
    let Some(known) = differences()? else { return Ok(()) };
    let properties = expand("tcg", &[json!({"name": "max"})])?.remove(0);
    let is_foreign =
        |feature: &Feature| matches!(feature.location(), Location::Cpuid { leaf: 0x4000_0002.., .. } if feature_is_hyperv(*feature));
    let ours: BTreeSet<&str> = Feature::all()
        .filter(|feature| !is_foreign(feature) && !feature_is_hyperv(*feature))
        .filter_map(|feature| feature.text().names.iter().find(|(whose, _)| *whose == Project::Qemu))
        .map(|(_, word)| *word)
        .collect();
    let lacking: BTreeSet<&str> = ours.into_iter().filter(|word| !properties.contains_key(*word)).collect();
    assert_eq!(lacking, known.newer.iter().map(String::as_str).collect());
    Ok(())
}

fn feature_is_hyperv(feature: Feature) -> bool {
    matches!(feature.location(), Location::Cpuid { leaf: 0x4000_0000..=0x4fff_ffff, .. })
        && feature.text().names.iter().any(|(_, word)| word.starts_with("hv-"))
}

/// The registers of a CPU that QEMU starts, whatever TCG can do.
fn registers(option: &str) -> Result<Policy> {
    let cpu = format!("{option},x-force-features=on");
    let args = ["-machine", "pc", "-accel", "tcg", "-m", "16", "-cpu", &cpu];
    let answers = ask(&args, &[json!({"execute": "qom-list", "arguments": {"path": "/machine/unattached"}})])?;
    let devices = answers[0]["return"].as_array().ok_or("no list")?;
    let is_cpu = |row: &&Value| row["type"].as_str().is_some_and(|kind| kind.ends_with("-x86_64-cpu>"));
    let name = devices.iter().find(is_cpu).and_then(|row| row["name"].as_str()).ok_or("no CPU")?;
    let path = format!("/machine/unattached/{name}");
    let answers = ask(&args, &[json!({"execute": "qom-get", "arguments": {"path": path, "property": "feature-words"}})])?;
    let machine = read("words", format!("{}\n", answers[0]).as_bytes())?.remove(0);
    Ok(machine.cpus[0].policy.clone())
}

/// The features for which QEMU has words, in registers of CPUID that it shows.
fn visible(policy: &Policy) -> FeatureSet {
    let is_word = |feature: &Feature| {
        let has_name = feature.text().names.iter().any(|(whose, _)| *whose == Project::Qemu);
        has_name && !feature_is_hyperv(*feature) && matches!(feature.location(), Location::Cpuid { .. }) && feature.row().alias_of.is_none()
    };
    policy.features().iter().filter(is_word).collect()
}

/// The names stand for the bits: the registers of started CPUs have them.
#[test]
fn models_have_the_registers_that_the_data_says() -> Result<()> {
    let Some(known) = differences()? else { return Ok(()) };
    let row = known.accelerator.iter().find(|row| row.name == "tcg").ok_or("not listed")?;
    // One of each family is enough: names are the same for all, and a start takes its time.
    let is_first = |model: &&&Model| model.name.ends_with("-v1") && !model.name.contains("32");
    for model in known_models()?.iter().filter(is_first) {
        let expected: FeatureSet =
            under(model, row, false).iter().filter(|feature| matches!(feature.location(), Location::Cpuid { .. })).collect();
        assert_eq!(visible(&registers(&model.name)?), expected, "{}", model.name);
    }
    Ok(())
}

/// The machines of the repository.
fn hosts() -> Result<Vec<Machine>> {
    let mut hosts = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/hosts"))? {
        let path = entry?.path();
        hosts.extend(read(&path.to_string_lossy(), &std::fs::read(&path)?)?);
    }
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(hosts)
}

/// An option that this QEMU understands: without words that are newer, which are counted, and without the width of addresses, for
/// which TCG takes no other than its own. `None` when the model is newer.
fn understood(option: &str, known: &Differences, models: &[&Model]) -> Option<(String, FeatureSet)> {
    let name = option.split(',').next()?;
    models.iter().find(|model| model.name == name)?;
    let is_newer = |item: &&str| known.newer.iter().any(|word| item.strip_prefix(['+', '-']) == Some(word));
    let is_kept = |item: &&str| !is_newer(item) && !item.starts_with("phys-bits=");
    let kept: Vec<&str> = option.trim_end().split(',').filter(is_kept).collect();
    let newer = option.split(',').filter(is_newer).flat_map(|item| features(item.trim_start_matches(['+', '-']))).collect();
    Some((kept.join(","), newer))
}

#[test]
fn qemu_makes_of_what_is_written_the_machine_that_was_meant() -> Result<()> {
    let Some(known) = differences()? else { return Ok(()) };
    let models = known_models()?;
    let (mut made, mut newer) = (0, Vec::new());
    for machine in hosts()? {
        let option = write(&machine, Target::Qemu)?.parts.remove(0).text;
        let Some((option, unknown)) = understood(&option, &known, &models) else {
            newer.push(machine.name);
            continue;
        };
        let policy = &machine.cpus[0].policy;
        let unrecorded = policy.unrecorded_features();
        assert_eq!(
            visible(&registers(&option)?),
            visible(policy).difference(&unrecorded).difference(&unknown),
            "{}: {option}",
            machine.name
        );
        made += 1;
    }
    assert!(made >= 15, "{made}");
    eprintln!("{made} machines made; skipped: {} are of a model that QEMU {} does not have", newer.join(", "), known.qemu);
    Ok(())
}
