//! Every fault of a shipped scenario has something stated as its effect, so that the control can say whether the drill proves
//! anything (`just control` runs it). No server is started.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::path::{Path, PathBuf};

use harness::plan::build::{During, Step};
use harness::plan::study::{Desk, Overrides};
use harness::run::control::{self, Role};

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("scenarios");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    found.sort();
    found
}

fn is_effect_of(step: &Step, fault: &str) -> bool {
    let window = match &step.during {
        During::All(ids) | During::Any(ids) => ids.iter().any(|id| id == fault),
        _ => false,
    };
    window && control::role(step) == Role::Effect
}

#[test]
fn every_fault_of_a_shipped_scenario_has_a_stated_effect() {
    let mut desk = Desk::default();
    let (mut faults, mut silent) = (0, Vec::new());
    for file in scenarios() {
        let studied = desk.study(&file, Overrides::default()).unwrap_or_else(|found| panic!("{found:#?}"));
        for fault in &studied.plan.schedule.faults {
            faults += 1;
            if !studied.plan.expectations.iter().any(|step| is_effect_of(step, &fault.id)) {
                silent.push(format!("{}: {}", studied.plan.name, fault.id));
            }
        }
    }
    assert!(faults > 20, "only {faults} faults were found");
    assert!(silent.is_empty(), "no effect is stated of {silent:?}: the drill would pass whatever they did");
}
