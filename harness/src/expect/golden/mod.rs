//! Golden histories: what was seen, one character an evaluation, and the verdict it has to get. Every boundary stands there
//! with the evaluation before it and the evaluation after it.

mod alert;
mod inhibition;
mod load;
mod log;
mod metric;
mod target;

use std::time::Duration;

use super::look::ScaledTime;
use crate::clock::Stamp;
use crate::outcome::Outcome;

const TIME: ScaledTime = ScaledTime { scale: 60.0 };
/// Evaluations and scrapes come once a second.
const STEP: Duration = Duration::from_secs(1);

fn at(step: usize) -> Stamp {
    Stamp(i64::try_from(step).expect("a story is short") * 1_000_000)
}

/// `passed`, or the way it did not pass with its reason code: `failed NEVER_FIRED`, `inconclusive NO_DATA`.
fn verdict(outcome: &Outcome) -> String {
    outcome.reason().map_or_else(|| outcome.word().to_owned(), |reason| format!("{} {reason}", outcome.word()))
}

/// Holds every golden history against its verdict, three times over: the same history gives the same outcome, byte by byte.
fn hold(goldens: &[(&str, &str, &str)], judge: impl Fn(&str) -> Outcome) {
    assert!(goldens.len() >= 10, "only {} golden histories", goldens.len());
    let wrong: Vec<String> = goldens
        .iter()
        .filter_map(|(why, story, expected)| {
            let outcome = judge(story);
            let bytes = || serde_json::to_vec(&judge(story)).expect("an outcome is JSON");
            assert_eq!(bytes(), bytes(), "{why}");
            let found = verdict(&outcome);
            (found != *expected).then(|| format!("{why}\n  {story}\n  expected {expected}, is {found}: {outcome:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
