//! Golden histories: what was seen, one character an evaluation, and the verdict it has to get. Every boundary stands there
//! with the evaluation before it and the evaluation after it.

mod agreement;
mod alert;
mod dashboard;
mod heartbeat;
mod implicit;
mod load;
mod log;
mod metric;
mod notification;
mod series;
mod suppression;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::alert::{Change, History, Instance, State};
use super::look::{Coverage, ScaledTime};
use super::{Labels, suppression::Cause};
use crate::clock::Stamp;
use crate::outcome::Outcome;

/// Why it is there, the story, the verdict.
type Golden = (&'static str, &'static str, &'static str);

/// The golden histories of each kind of expectation, as scenarios write the kind; what scenarios only imply stands at the end.
const ALL: [(&str, &[&[Golden]]); 17] = [
    ("metric", &metric::SETS),
    ("alert", &alert::SETS),
    ("notification", &notification::SETS),
    ("heartbeat", &heartbeat::SETS),
    ("inhibition", &[suppression::INHIBITED]),
    ("silence", &[suppression::SILENCED]),
    ("mute-time", &[suppression::MUTED]),
    ("log", &log::SETS),
    ("agreement", &agreement::SETS),
    ("dashboard", &dashboard::SETS),
    ("target", &target::SETS),
    ("series", &series::SETS),
    ("load", &[load::OBJECTIVES]),
    ("agreement of log lines", &[agreement::LINES]),
    ("no-other-alert", &[implicit::OTHERS]),
    ("always", &[implicit::ALWAYS]),
    ("grafana-rules", &[implicit::MANAGED]),
];

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
fn hold(goldens: &[Golden], judge: impl Fn(&str) -> Outcome) {
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

/// The history of an alert. ` ` is no evaluation, `e` one at which the rule was in error, `R` the first of a Prometheus that
/// restarted; every other letter is a state.
fn history(alert: &str, story: &str, state: impl Fn(char) -> State) -> History {
    let (mut changes, mut seen, mut errors, mut restarts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut now = State::Inactive;
    for (step, letter) in story.chars().enumerate() {
        match letter {
            ' ' => continue,
            'e' => errors.push((at(step), "many-to-many matching".to_owned())),
            'R' => restarts.push(at(step)),
            _ => {}
        }
        seen.push(at(step));
        // what a rule in error last said is frozen
        let next = match letter {
            'e' => now,
            'R' => State::Inactive,
            letter => state(letter),
        };
        if next != now {
            changes.push(Change { evaluated: at(step), state: next, value: Some(1.0) });
            now = next;
        }
    }
    let instance = Instance { labels: labels(alert), annotations: Labels::new(), changes };
    let instances = if instance.changes.is_empty() { vec![] } else { vec![instance] };
    History { rules: 1, instances, coverage: Coverage { restarts, ..Coverage::new(STEP, seen) }, errors }
}

fn labels(alert: &str) -> Labels {
    Labels::from([("alertname".into(), alert.into())])
}

/// The steps at which a story has one of these letters.
fn steps(story: &str, letters: &str) -> Vec<usize> {
    story.chars().enumerate().filter(|(_, letter)| letters.contains(*letter)).map(|(step, _)| step).collect()
}

/// Every kind that a scenario can write, by its schema.
fn written_kinds() -> BTreeSet<String> {
    let schema = include_str!("../../../../schemas/scenario.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).expect("the schema is JSON");
    let that = &schema["definitions"]["That"]["oneOf"];
    let kinds = that.as_array().expect("`that` is one of its kinds").iter();
    kinds.flat_map(|kind| kind["properties"].as_object().expect("a kind is a table").keys().cloned()).collect()
}

#[test]
fn every_kind_of_expectation_has_ten_golden_histories_and_every_verdict_among_them() {
    let all: BTreeMap<&str, Vec<&Golden>> =
        ALL.iter().map(|(kind, sets)| (*kind, sets.iter().flat_map(|set| *set).collect())).collect();
    let known: BTreeSet<&str> = all.keys().copied().collect();
    let missing: Vec<String> = written_kinds().into_iter().filter(|kind| !known.contains(kind.as_str())).collect();
    assert!(missing.is_empty(), "without golden histories: {missing:?}");
    for (kind, goldens) in all {
        let stories: BTreeSet<&str> = goldens.iter().map(|(_, story, _)| *story).collect();
        assert!(stories.len() >= 10, "{kind} has only {} golden histories", stories.len());
        for word in ["passed", "failed", "inconclusive"] {
            assert!(goldens.iter().any(|(.., verdict)| verdict.starts_with(word)), "{kind}: none is {word}");
        }
    }
}

#[test]
fn causes_of_suppression_are_kinds_of_their_own() {
    let causes = [Cause::Inhibition { by: String::new() }, Cause::Silence, Cause::MuteTime];
    assert!(causes.iter().all(|cause| written_kinds().contains(cause.kind())));
}
