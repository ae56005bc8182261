//! Load objectives: p99 below 250 ms, under 10 % errors, at least 90 % sent. One character a request: `o` answered in 100 ms,
//! `s` in 249 ms, `l` in 250 ms, `f` failed after 100 ms, `d` never sent, `w` sent and not yet ended. `!` at the end: the
//! generator was the bottleneck.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Golden, hold};
use crate::condition::Condition;
use crate::expect::Objective;
use crate::expect::objective::{Measured, judge};
use crate::outcome::Outcome;

fn judged(story: &str) -> Outcome {
    let count = |wanted: &str| u64::try_from(story.chars().filter(|it| wanted.contains(*it)).count()).expect("short");
    let slowest = [('l', 250), ('s', 249), ('o', 100), ('f', 100)]
        .into_iter()
        .find_map(|(letter, millis)| story.contains(letter).then(|| Duration::from_millis(millis)));
    let measured = Measured {
        planned: count("oslfdw"),
        started: count("oslfw"),
        dropped: count("d"),
        succeeded: count("osl"),
        failed: count("f"),
        latency: slowest.map(|slowest| BTreeMap::from([("p99".to_owned(), slowest)])).unwrap_or_default(),
        saturation: story.ends_with('!').then(|| "scheduler lag p99 80 ms".to_owned()),
    };
    let condition = |text| Condition::parse(text).expect("it is a condition");
    let spec = Objective {
        load: "shoppers".into(),
        request: None,
        latency: BTreeMap::from([("p99".to_owned(), condition("< 250ms"))]),
        errors: Some(condition("< 10%")),
        achieved: Some(condition(">= 90%")),
    };
    judge(&spec, &measured)
}

#[test]
fn objectives() {
    hold(OBJECTIVES, judged);
}

pub(super) const OBJECTIVES: &[Golden] = &[
    ("all well", "oooooooooo", "passed"),
    ("just below the latency", "ooooosoooo", "passed"),
    ("at the latency", "ooooolooooo", "failed OBJECTIVE_MISSED"),
    ("one error in eleven", "oooooooooof", "passed"),
    ("one error in ten is not under 10 %", "ooooooooof", "failed OBJECTIVE_MISSED"),
    ("all failed", "ffffffffff", "failed OBJECTIVE_MISSED"),
    ("nine of ten sent", "oooooooood", "passed"),
    ("eight of nine sent is not 90 %", "ooooooood", "inconclusive LOAD_NOT_ACHIEVED"),
    ("too little sent, and that slow: nothing is decided", "lllldddddd", "inconclusive LOAD_NOT_ACHIEVED"),
    ("nothing planned", "", "inconclusive LOAD_NOT_ACHIEVED"),
    ("nothing sent", "dddddddddd", "inconclusive LOAD_NOT_ACHIEVED"),
    ("nothing ended", "wwwwwwwwww", "inconclusive NO_DATA"),
    ("the generator was the bottleneck", "llllllllll!", "inconclusive GENERATOR_SATURATED"),
    ("errors are said before latency", "lffff", "failed OBJECTIVE_MISSED"),
];
