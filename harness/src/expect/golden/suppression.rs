//! What is held back, as Prometheus, Alertmanager and the pager saw it. The symptom: `s` fires and is inhibited by the cause, `a`
//! fires and is active, `o` is inhibited by another alert, `q` is silenced, `x` fires and Alertmanager does not have it, `?`
//! fires inhibited and nobody asked Alertmanager; `S` and `A`: the pager is told at that moment. `c`: only the cause fires.
//! It fires beside `s`, `S`, `o`, `q`, `x` and `?`, too, and beside `b`, an active symptom. The window is 0 to 10, proved to
//! bite at 1; a page is due three steps after the cause is gone, and what follows 10 is still watched. `Q`: silenced, and the
//! pager is told; `k`: silenced, and the pager's inbox takes nothing; `m`: active, and routed to somebody else.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Golden, STEP, TIME, at, history, hold, labels, steps};
use crate::expect::alert::{History, State};
use crate::expect::look::Coverage;
use crate::expect::mail::Knocks;
use crate::expect::notification::{Delivery, Mail, Sighting, Tells};
use crate::expect::suppression::{Cause, Seen, Suppression, judge};
use crate::expect::{AlertBound, Labels, Span, Window};
use crate::outcome::Outcome;

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

fn fires(alert: &str, story: &str, letters: &str) -> History {
    history(alert, story, |letter| if letters.contains(letter) { State::Firing } else { State::Inactive })
}

/// `from` is when the window begins.
fn judged(cause: Cause, from: usize, story: &str) -> Outcome {
    let sightings = [
        sightings("Cause", story, "csSoqQkxb", &[], &[]),
        sightings("Symptom", story, "sS", &["print-of-Cause"], &[]),
        sightings("Symptom", story, "aAbm", &[], &[]),
        sightings("Symptom", story, "o", &["print-of-Other"], &[]),
        sightings("Symptom", story, "qQk", &[], &["42"]),
    ];
    let opened = (0..story.len()).filter(|step| story.as_bytes()[*step] != b'k').map(at);
    let shut = steps(story, "k").into_iter().map(|step| (at(step), "it is set to Refuse(503)".to_owned()));
    let asked = (0..story.len()).filter(|step| story.as_bytes()[*step] != b'?').map(at);
    let knocks = Knocks { opened: Coverage::new(STEP, opened.collect()), failed: shut.collect() };
    let mut mail = Mail {
        deliveries: steps(story, "SAQ").into_iter().map(told).collect(),
        sightings: sightings.concat(),
        polls: Coverage::new(STEP, asked.collect()),
        inboxes: BTreeMap::from([("pager".to_owned(), knocks)]),
        ..Mail::default()
    };
    if story.contains('m') {
        mail.sightings.iter_mut().for_each(|it| it.receivers = vec!["mail".into()]);
    }
    let delivery = Span { floor: Duration::ZERO, ceiling: STEP * 3 };
    let bound = Some(AlertBound { delivery, ..AlertBound::default() });
    let (alert, by) = (fires("Symptom", story, "sSaAoqQkmx?b"), fires("Cause", story, "csSoqx?b"));
    let by = if cause == (Cause::Inhibition { by: "Cause".into() }) { by } else { alert.clone() };
    let spec = Suppression { alert: "Symptom".into(), receiver: Some("pager".into()), cause, bound };
    let window = Window { start: at(from), effective: at(1), end: at(10), observed_until: at(story.len() - 1) };
    judge(&spec, window, Seen { mail: &mail, alert: &alert, by: &by, released: None }, TIME)
}

#[test]
fn symptoms_that_are_inhibited_by_their_cause() {
    hold(INHIBITED, |story| judged(Cause::Inhibition { by: "Cause".into() }, 0, story));
}

#[test]
fn alerts_that_are_silenced() {
    hold(SILENCED, |story| judged(Cause::Silence, 1, story));
}

#[test]
fn alerts_that_are_muted() {
    hold(MUTED, |story| judged(Cause::MuteTime, 1, story));
}

pub(super) const INHIBITED: &[Golden] = &[
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
];

/// The window is 1 to 10: what was told at 0 was told before.
pub(super) const SILENCED: &[Golden] = &[
    ("over with its silence", ".qqqqqqqqq.....", "passed"),
    ("told when the silence is over", ".qqqqqqqqqqAaaa", "passed"),
    ("told at the last moment of the silence", ".qqqqqqqqqQaaaa", "failed NOT_SUPPRESSED"),
    ("told in the middle", ".qqqqQqqqqqAaaa", "failed NOT_SUPPRESSED"),
    ("told at the first moment of the silence: it was on its way", ".Qqqqqqqqqq....", "passed"),
    ("told one evaluation later", ".qQqqqqqqqq....", "failed NOT_SUPPRESSED"),
    ("told before: nothing new was held back", "Aqqqqqqqqqq....", "inconclusive NO_COVERAGE"),
    ("goes on and is never told", ".qqqqqqqqqqaaaa", "failed SUPPRESSED"),
    ("over when the page is due", ".qqqqqqqqqqaa...", "passed"),
    ("over one evaluation after that", ".qqqqqqqqqqaaa..", "failed SUPPRESSED"),
    ("goes on, and the run ends too soon", ".qqqqqqqqqqaa", "inconclusive NO_COVERAGE"),
    ("goes on, and the run ends when the page is due", ".qqqqqqqqqqaaa", "failed SUPPRESSED"),
    ("never silenced", ".aaaaaaaaaaaaaa", "failed NOT_SUPPRESSED"),
    ("held by another alert", ".oooooooooo....", "failed NOT_SUPPRESSED"),
    ("silenced for one evaluation, then told", ".aaaaaqAaaaaaaa", "passed"),
    ("never fires", "...............", "failed NEVER_FIRED"),
    ("fires at the evaluation after the window", "...........aaaa", "failed NEVER_FIRED"),
    ("Alertmanager never has it", ".xxxxxxxxxx....", "failed HOP_PROM_AM"),
    ("one poll missing", ".qqq?qqqqq.....", "passed"),
    ("not asked for a while", ".qq????qqq.....", "inconclusive NO_COVERAGE"),
    ("the rule in error", ".qqqeqqqqq.....", "inconclusive RULE_ERROR"),
    ("the inbox took nothing", ".qqqqkqqqq.....", "inconclusive UNREACHABLE"),
];

/// A muted alert is active for Alertmanager, and its route says nothing.
pub(super) const MUTED: &[Golden] = &[
    ("over with its mute time", ".aaaaaaaaa.....", "passed"),
    ("told when the route speaks again", ".aaaaaaaaaaAaaa", "passed"),
    ("told at the last moment of the mute time", ".aaaaaaaaaAaaaa", "failed NOT_SUPPRESSED"),
    ("told in the middle", ".aaaaAaaaaa....", "failed NOT_SUPPRESSED"),
    ("told at the first moment: it was on its way", ".Aaaaaaaaaa....", "passed"),
    ("told one evaluation later", ".aAaaaaaaaa....", "failed NOT_SUPPRESSED"),
    ("goes on and is never told", ".aaaaaaaaaaaaaa", "failed SUPPRESSED"),
    ("over when the page is due", ".aaaaaaaaaaaa...", "passed"),
    ("over one evaluation after that", ".aaaaaaaaaaaaa..", "failed SUPPRESSED"),
    ("goes on, and the run ends too soon", ".aaaaaaaaaaaa", "inconclusive NO_COVERAGE"),
    ("a silence is no mute time", ".qqqqqqqqqq....", "failed NOT_SUPPRESSED"),
    ("another alert is none either", ".oooooooooo....", "failed NOT_SUPPRESSED"),
    ("routed to somebody else", ".mmmmmmmmmm....", "failed WRONG_RECEIVER"),
    ("never fires", "...............", "failed NEVER_FIRED"),
    ("Alertmanager never has it", ".xxxxxxxxxx....", "failed HOP_PROM_AM"),
    ("not asked for a while", ".aa????aaa.....", "inconclusive NO_COVERAGE"),
];
