//! The fold: what readers may rely on, whatever the log.

use super::*;
use crate::event::{Event, EventKind};
use crate::report::testing;

#[test]
fn a_log_cut_anywhere_is_folded_and_never_passes() {
    let whole = testing::pass();
    for length in 0..whole.len() {
        let view = of(&whole[..length]);
        assert_eq!(view.ending, Ending::Incomplete);
        assert_ne!(view.verdict, Verdict::Pass, "after {length} events");
        assert_ne!(view.exit_code, 0);
    }
    assert_eq!(of(&whole).verdict, Verdict::Pass);
}

#[test]
fn a_scenario_cut_off_after_its_last_judgement_is_no_pass() {
    let mut log = testing::pass();
    log.retain(|event| !matches!(event.what, EventKind::ScenarioFinished { .. } | EventKind::RunFinished { .. }));
    let view = of(&log);
    assert!(view.scenarios.iter().all(|it| it.judgement.verdict == Verdict::Interrupted));
    assert!(view.scenarios.iter().all(|it| it.troubles.iter().any(|trouble| trouble.title == "incomplete")));
}

#[test]
fn phases_touch_and_the_axis_is_zero_at_the_first_fault() {
    let view = of(&testing::pass());
    let burst = &view.scenarios[1];
    assert!(burst.phases.windows(2).all(|pair| pair[0].end == pair[1].begin));
    assert_eq!(burst.ruler().origin, testing::at(14.02));
    assert_eq!(view.scenarios[0].ruler().origin, testing::at(6.0));
}

#[test]
fn exit_codes_of_the_log_count_more_than_what_the_scenarios_say() {
    let mut log = testing::pass();
    let last = log.pop().unwrap();
    log.push(Event { what: EventKind::RunFinished { exit_code: 5 }, ..last });
    assert_eq!(of(&log).verdict, Verdict::Leftovers);
}

#[test]
fn an_empty_log_is_an_incomplete_run_of_nothing() {
    let view = of(&[]);
    assert_eq!((view.ending, view.scenarios.len()), (Ending::Incomplete, 0));
    assert_ne!(view.exit_code, 0);
}
