//! Inhibitions, as Prometheus, Alertmanager and the pager saw them. The symptom: `s` fires and is inhibited by the cause, `a`
//! fires and is active, `o` is inhibited by another alert, `q` is silenced, `x` fires and Alertmanager does not have it, `?`
//! fires inhibited and nobody asked Alertmanager; `S` and `A`: the pager is told at that moment. `c`: only the cause fires.
//! It fires beside `s`, `S`, `o`, `q`, `x` and `?`, too, and beside `b`, an active symptom. The window is 0 to 10, proved to
//! bite at 1; a page is due three steps after the cause is gone, and what follows 10 is still watched.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{STEP, TIME, at, hold};
use crate::expect::alert::{Change, History, Instance, State};
use crate::expect::look::Coverage;
use crate::expect::mail::Knocks;
use crate::expect::notification::{Delivery, Mail, Sighting, Tells};
use crate::expect::suppression::{Cause, Seen, Suppression, judge};
use crate::expect::{AlertBound, Labels, Span, Window};
use crate::outcome::Outcome;

fn labels(alert: &str) -> Labels {
    Labels::from([("alertname".into(), alert.into())])
}

fn steps(story: &str, letters: &str) -> Vec<usize> {
    story.chars().enumerate().filter(|(_, letter)| letters.contains(*letter)).map(|(step, _)| step).collect()
}

fn history(alert: &str, story: &str, firing: &str) -> History {
    let (mut changes, mut fires) = (Vec::new(), false);
    for (step, letter) in story.chars().enumerate() {
        if firing.contains(letter) != fires {
            fires = !fires;
            let state = if fires { State::Firing } else { State::Inactive };
            changes.push(Change { evaluated: at(step), state, value: None });
        }
    }
    History {
        rules: 1,
        instances: vec![Instance { labels: labels(alert), annotations: Labels::new(), changes }],
        coverage: Coverage::new(STEP, (0..story.len()).map(at).collect()),
        errors: vec![],
    }
}

/// One sighting for each step at which Alertmanager was asked and held the alert so; neighbours are one.
fn sightings(alert: &str, story: &str, letters: &str, inhibited_by: &[&str], silenced_by: &[&str]) -> Vec<Sighting> {
    let mut seen: Vec<(usize, usize)> = Vec::new();
    for step in steps(story, letters) {
        match seen.last_mut().filter(|(_, last)| *last + 1 == step) {
            Some((_, last)) => *last = step,
            None => seen.push((step, step)),
        }
    }
    let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<String>>();
    seen.into_iter()
        .map(|(first, last)| Sighting {
            at: at(first),
            last: at(last),
            labels: labels(alert),
            fingerprint: format!("print-of-{alert}"),
            receivers: vec!["pager".into()],
            inhibited_by: texts(inhibited_by),
            silenced_by: texts(silenced_by),
        })
        .collect()
}

fn told(step: usize) -> Delivery {
    Delivery {
        receiver: "pager".into(),
        kind: "webhook".into(),
        group: "g".into(),
        received: at(step),
        tells: Tells::Firing,
        labels: labels("Symptom"),
        annotations: Labels::new(),
        starts_at: None,
        truncated: 0,
        shown: String::new(),
    }
}

fn judged(story: &str) -> Outcome {
    let sightings = [
        sightings("Cause", story, "csSoqxb", &[], &[]),
        sightings("Symptom", story, "sS", &["print-of-Cause"], &[]),
        sightings("Symptom", story, "aAb", &[], &[]),
        sightings("Symptom", story, "o", &["print-of-Other"], &[]),
        sightings("Symptom", story, "q", &[], &["42"]),
    ];
    let opened = Coverage::new(STEP, (0..story.len()).map(at).collect());
    let asked = (0..story.len()).filter(|step| story.as_bytes()[*step] != b'?').map(at);
    let mail = Mail {
        deliveries: steps(story, "SA").into_iter().map(told).collect(),
        sightings: sightings.concat(),
        polls: Coverage::new(STEP, asked.collect()),
        inboxes: BTreeMap::from([("pager".to_owned(), Knocks { opened, failed: vec![] })]),
        ..Mail::default()
    };
    let delivery = Span { floor: Duration::ZERO, ceiling: STEP * 3 };
    let spec = Suppression {
        alert: "Symptom".into(),
        receiver: Some("pager".into()),
        cause: Cause::Inhibition { by: "Cause".into() },
        bound: Some(AlertBound { delivery, ..AlertBound::default() }),
    };
    let window = Window { start: at(0), effective: at(1), end: at(10), observed_until: at(story.len() - 1) };
    let (alert, by) = (history("Symptom", story, "sSaAoqx?b"), history("Cause", story, "csSoqx?b"));
    judge(&spec, window, Seen { mail: &mail, alert: &alert, by: &by, released: None }, TIME)
}

#[test]
fn symptoms_that_are_inhibited_by_their_cause() {
    hold(
        &[
            ("over with its cause", ".csssssssc.....", "passed"),
            ("told when the cause is gone", ".csssssssssAaaa", "passed"),
            ("told at the first moment of the hold: it was on its way", ".cSsssssssc....", "passed"),
            ("told one evaluation later", ".csSssssssc....", "failed NOT_SUPPRESSED"),
            ("told in the middle", ".csssSssssc....", "failed NOT_SUPPRESSED"),
            ("told at the last moment of the hold", ".cssssssssS....", "failed NOT_SUPPRESSED"),
            ("told before its cause fired", ".aAsssssssc....", "passed"),
            ("goes on and is never told", ".cssssssssaaaaa", "failed SUPPRESSED"),
            ("over when the page is due", ".cssssssssaa...", "passed"),
            ("over one evaluation after that", ".cssssssssaaa..", "failed SUPPRESSED"),
            ("goes on, and the run ends too soon", ".cssssssssaa", "inconclusive NO_COVERAGE"),
            ("active beside its cause", ".cbbbbbbbbc....", "failed NOT_SUPPRESSED"),
            ("held by another alert", ".cooooooooc....", "failed NOT_SUPPRESSED"),
            ("held by a silence", ".cqqqqqqqqc....", "failed NOT_SUPPRESSED"),
            ("held for one evaluation", ".cccsccccc.....", "passed"),
            ("the cause never fires", "..aaaaaaaa.....", "failed NEVER_FIRED"),
            ("the symptom never fires", ".ccccccccc.....", "failed NEVER_FIRED"),
            ("the symptom fires after the window", ".cccccccccca...", "failed NEVER_FIRED"),
            ("Alertmanager never has it", ".cxxxxxxxxc....", "failed HOP_PROM_AM"),
            ("one poll missing", ".csss?ssssc....", "passed"),
            ("not asked for a while", ".css????ssc....", "inconclusive NO_COVERAGE"),
        ],
        judged,
    );
}
