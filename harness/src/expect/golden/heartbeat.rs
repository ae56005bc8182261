//! Beats of a dead man's switch, one due every two steps. `b` a beat comes, `.` none, `k` none and the inbox is shut, `-` none
//! and nobody knocks at it. The baseline is 0 to 10; the fault is injected at 10, proved at 11, gone at 20; what comes is
//! watched until 26. Where beats must be missed, they must be so within six.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Golden, STEP, TIME, at, history, hold, labels, steps};
use crate::expect::Window;
use crate::expect::alert::State;
use crate::expect::heartbeat::{Heartbeat, judge};
use crate::expect::look::Coverage;
use crate::expect::mail::Knocks;
use crate::expect::notification::{Delivery, Mail, Tells};
use crate::outcome::Outcome;

fn beat(step: usize) -> Delivery {
    Delivery {
        receiver: "heartbeat".into(),
        kind: "webhook".into(),
        group: "g".into(),
        received: at(step),
        tells: Tells::Firing,
        labels: labels("Watchdog"),
        annotations: super::Labels::new(),
        starts_at: None,
        truncated: 0,
        shown: String::new(),
    }
}

fn judged(missed_within: Option<u64>, story: &str) -> Outcome {
    let knocked = story.chars().enumerate().filter(|(_, letter)| !"k-".contains(*letter)).map(|(step, _)| at(step));
    let quarters = knocked.flat_map(|from| (0..4).map(move |quarter| from + STEP / 4 * quarter));
    let shut = steps(story, "k").into_iter().map(|step| (at(step), "it is set to Refuse(503)".to_owned()));
    let mail = Mail {
        deliveries: steps(story, "b").into_iter().map(beat).collect(),
        polls: Coverage::new(STEP, (0..story.len()).map(at).collect()),
        inboxes: BTreeMap::from([(
            "heartbeat".to_owned(),
            Knocks { opened: Coverage::new(STEP / 4, quarters.collect()), failed: shut.collect() },
        )]),
        ..Mail::default()
    };
    let spec = Heartbeat {
        receiver: "heartbeat".into(),
        alert: "Watchdog".into(),
        every: STEP * 2,
        missed_within: missed_within.map(Duration::from_secs),
    };
    let last = story.len() - 1;
    let window = Window { start: at(10), effective: at(11), end: at(20.min(last)), observed_until: at(26.min(last)) };
    let baseline = Window::plain(at(0), at(10));
    judge(&spec, window, Some(baseline), &mail, &history("Watchdog", story, |_| State::Firing), TIME)
}

#[test]
fn beats_that_must_go_on() {
    hold(BEATING, |story| judged(None, story));
}

#[test]
fn beats_that_must_be_missed() {
    hold(MISSED, |story| judged(Some(6), story));
}

const BEATING: &[Golden] = &[
    // 0         1         2
    // 012345678901234567890123456
    ("every beat when it is due", "b.b.b.b.b.b.b.b.b.b.b.b.b.b", "passed"),
    ("every beat before it is due", "bbbbbbbbbbbbbbbbbbbbbbbbbbb", "passed"),
    ("one beat at the step it is due", "b.b.b.b.b.bb.b.b.b.b.b.b.b.", "passed"),
    ("one beat a step too late", "b.b.b.b.b.b.b..b.b.b.b.b.b.", "failed HEARTBEAT_MISSING"),
    ("one beat left out", "b.b.b.b.b.b.b...b.b.b.b.b.b", "failed HEARTBEAT_MISSING"),
    ("late before the window only", "b.b...b.b.b.b.b.b.b.b.b.b.b", "passed"),
    ("none from the middle on", "b.b.b.b.b.b.b.b............", "failed HEARTBEAT_MISSING"),
    ("none from the last that the window asks for", "b.b.b.b.b.b.b.b.b.b........", "failed HEARTBEAT_MISSING"),
    ("none when the next is due one step after the window", "b.b.b.b.b.b.b.b.b.bb.......", "passed"),
    ("never a beat", "...........................", "failed HEARTBEAT_MISSING"),
    ("left out while the inbox was shut", "b.b.b.b.b.b.b.kkb.b.b.b.b.b", "inconclusive UNREACHABLE"),
    ("left out, and the inbox was shut earlier", "b.b.bkb.b.b.b.b...b.b.b.b.b", "failed HEARTBEAT_MISSING"),
    ("left out while nobody knocked", "b.b.b.b.b.b.b--.b.b.b.b.b.b", "inconclusive UNREACHABLE"),
    ("never left out although nobody knocked", "b-b-b-b-b-b-b-b-b-b-b-b-b-b", "passed"),
];

const MISSED: &[Golden] = &[
    // 0         1         2
    // 012345678901234567890123456
    ("the last beat before the fault", "b.b.b.b.b.b................", "passed"),
    ("missed one step before the promise ends", "b.b.b.b.b.b.b.b............", "passed"),
    ("missed when the promise ends", "b.b.b.b.b.b.b.bb...........", "passed"),
    ("missed one step too late", "b.b.b.b.b.b.b.b.b..........", "failed HEARTBEAT_NOT_MISSED"),
    ("never missed", "b.b.b.b.b.b.b.b.b.b.b.b.b.b", "failed HEARTBEAT_NOT_MISSED"),
    ("missed, and back after the fault", "b.b.b.b.b.b.b.......b.b.b.b", "passed"),
    ("missed once", "b.b.b.b.b.b...b.b.b.b.b.b.b", "passed"),
    ("never a beat, so none can be missed", "...........................", "failed HEARTBEAT_MISSING"),
    ("missed at the baseline's last moment", "b.b.b.b.b..................", "failed HEARTBEAT_MISSING"),
    ("missed one step after the baseline", "b.b.b.b.bb.................", "passed"),
    ("missed while the inbox was shut", "b.b.b.b.b.b.k..............", "inconclusive UNREACHABLE"),
    ("the inbox was shut when it had been missed", "b.b.b.b.b.b..k.............", "passed"),
    ("missed while nobody knocked", "b.b.b.b.b.b--..............", "inconclusive UNREACHABLE"),
    ("the run ends before the promise does", "b.b.b.b.b.b.b.b.b", "inconclusive NO_COVERAGE"),
];

pub(super) const SETS: [&[Golden]; 2] = [BEATING, MISSED];
