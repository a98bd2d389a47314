//! Every scenario of testdata/scenarios on the model.

use msr_scenarios::{Model, Verdict, read, run};

#[test]
fn the_model_does_what_the_scenarios_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios");
    let (mut passed, mut skipped) = (0, 0);
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for scenario in read(&name, &text).unwrap_or_else(|error| panic!("{error}")) {
            assert!(scenario.source.is_some(), "{name}:{}: say where the expected values come from", scenario.line);
            for result in run(&scenario, &mut Model::default()) {
                match result.verdict {
                    Verdict::Passed => passed += 1,
                    Verdict::Skipped => skipped += 1,
                    Verdict::Failed => wrong.push(format!(
                        "{name}:{}: {}: expected {:?}, came {:?}: {}",
                        result.line, scenario.name, result.expected, result.outcome, result.because
                    )),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!("{passed} steps passed, {skipped} skipped");
    assert!(passed > 0);
}
