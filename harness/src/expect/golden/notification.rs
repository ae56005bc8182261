//! Pages. `f` the alert fires and Alertmanager has it, `F` and the pager is told at that moment, `T` told with alerts left out,
//! `B` told with a broken template, `L` told with another label, `c` the chat is told instead, `w` the pager refuses, `s` it is
//! silenced, `x` Alertmanager does not have it, `D` it fires and the pager is told that it is over; `E` it is over and the pager
//! is told so, `k` nothing and the pager's inbox is shut, `.` nothing. The fault is injected at 10, proved at 11, gone at 20;
//! pages count until 30, and one is promised within five.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Golden, STEP, TIME, at, history, hold, labels, steps};
use crate::condition::Condition;
use crate::expect::alert::State;
use crate::expect::look::Coverage;
use crate::expect::mail::{Knocks, Refusal};
use crate::expect::notification::{Delivery, Mail, Sighting, Tells, judge};
use crate::expect::{Labels, Mode, Notification, Resolved, Window};
use crate::outcome::Outcome;

const WINDOW: Window = Window {
    start: crate::clock::Stamp(10_000_000),
    effective: crate::clock::Stamp(11_000_000),
    end: crate::clock::Stamp(20_000_000),
    observed_until: crate::clock::Stamp(30_000_000),
};

const FIRES: &str = "fFTBLcwsxD";

fn of(severity: &str) -> Labels {
    Labels::from([("severity".into(), severity.into())]).into_iter().chain(labels("A")).collect()
}

fn delivery(step: usize, letter: char) -> Option<Delivery> {
    let tells = match letter {
        'F' | 'T' | 'B' | 'L' | 'c' => Tells::Firing,
        'E' | 'D' => Tells::Resolved,
        _ => return None,
    };
    let summary = if letter == 'B' { "<error expanding template A: x>" } else { "It burns" };
    Some(Delivery {
        receiver: if letter == 'c' { "chat" } else { "pager" }.into(),
        kind: "webhook".into(),
        group: "g".into(),
        received: at(step),
        tells,
        labels: of(if letter == 'L' { "warning" } else { "critical" }),
        annotations: Labels::from([("summary".into(), summary.into())]),
        starts_at: None,
        truncated: u64::from(letter == 'T'),
        shown: "[FIRING:1] A".into(),
    })
}

fn sighting(step: usize, letter: char) -> Sighting {
    Sighting {
        at: at(step),
        last: at(step),
        labels: of("critical"),
        silenced_by: if letter == 's' { vec!["42".into()] } else { vec![] },
        receivers: vec!["pager".into()],
        ..Sighting::default()
    }
}

fn mail(story: &str) -> Mail {
    let letters = || story.chars().enumerate();
    let opened = letters().filter(|(_, letter)| *letter != 'k').map(|(step, _)| at(step));
    let shut = steps(story, "k").into_iter().map(|step| (at(step), "it is set to Refuse(503)".to_owned()));
    let refused = |step| Refusal { receiver: "pager".into(), received: at(step), answered: 500 };
    let held = letters().filter(|(_, letter)| FIRES.contains(*letter) && *letter != 'x');
    Mail {
        deliveries: letters().filter_map(|(step, letter)| delivery(step, letter)).collect(),
        refusals: steps(story, "w").into_iter().map(refused).collect(),
        sightings: held.map(|(step, letter)| sighting(step, letter)).collect(),
        inboxes: BTreeMap::from([(
            "pager".to_owned(),
            Knocks { opened: Coverage::new(STEP, opened.collect()), failed: shut.collect() },
        )]),
        ..Mail::default()
    }
}

fn judged(mode: Mode, story: &str) -> Outcome {
    let spec = Notification {
        receiver: "pager".into(),
        alert: "A".into(),
        labels: Labels::from([("severity".into(), "critical".into())]),
        within: Some(Duration::from_secs(5)).filter(|_| mode == Mode::Eventually),
        resolved: if mode == Mode::Eventually { Resolved::Required } else { Resolved::Unasked },
        count: Some(Condition::parse("== 1").expect("it is a condition")).filter(|_| mode == Mode::Eventually),
        alerts: None,
        contains: vec![],
        bound: None,
    };
    let state = |letter| if FIRES.contains(letter) { State::Firing } else { State::Inactive };
    let mut history = history("A", story, state);
    history.instances.iter_mut().for_each(|it| it.labels = of("critical"));
    judge(&spec, mode, WINDOW, &mail(story), &history, TIME)
}

#[test]
fn pages_that_must_come() {
    hold(TOLD, |story| judged(Mode::Eventually, story));
}

#[test]
fn pages_that_must_not_come() {
    hold(QUIET, |story| judged(Mode::Never, story));
}

const TOLD: &[Golden] = &[
    // 0         1         2         3
    // 0123456789012345678901234567890123456789
    ("one evaluation before the last that is promised", "............fffFfffffff..E..............", "passed"),
    ("at the last that is promised", "............ffffFffffff..E..............", "passed"),
    ("one evaluation too late", "............fffffFfffff..E..............", "failed NOTIFY_LATE"),
    ("at the last moment that counts", "............ffffffffffffffffffFfE.......", "failed NOTIFY_LATE"),
    ("when nothing counts any more", "............fffffffffffffffffffFfE......", "failed HOP_AM_RECEIVER"),
    ("at the window's first moment", "........ffFfffffffff....E...............", "passed"),
    ("one evaluation before it", "........fFffffffffff....E...............", "failed FIRING_AT_BASELINE"),
    ("told and told again", "............fFffFffffff..E..............", "failed NOTIFY_COUNT"),
    ("told again one evaluation after all that counts", "............fFfffffffffffffffffFE.......", "passed"),
    ("never told", "............fffffffffff.................", "failed HOP_AM_RECEIVER"),
    ("refused every time", "............wwwwwwwwwww.................", "failed HOP_AM_RECEIVER"),
    ("refused, then taken", "............wwwFfffffff..E..............", "passed"),
    ("Alertmanager never has it", "............xxxxxxxxxxx.................", "failed HOP_PROM_AM"),
    ("silenced", "............sssssssssss.................", "failed SUPPRESSED"),
    ("somebody else is told", "............fffcfffffff.................", "failed WRONG_RECEIVER"),
    ("told with another label", "............fffLfffffff.................", "failed WRONG_LABELS"),
    ("told with alerts left out", "............fffTfffffff..E..............", "failed NOTIFY_TRUNCATED"),
    ("told what could not be rendered", "............fffBfffffff..E..............", "failed ANNOTATION_ERROR"),
    ("the end is never told", "............fffFfffffff.................", "failed RESOLVED_MISSING"),
    ("the end is told when it is over", "............fffFfffffffE................", "passed"),
    ("the end is told one evaluation before", "............fffFffffffD.................", "failed RESOLVED_MISSING"),
    ("never fires", "........................................", "failed NEVER_FIRED"),
    (
        "never fires, and not looked at all the time",
        "..............   .......................",
        "inconclusive NO_COVERAGE",
    ),
    ("the rule in error", "............eeeeeeeeeee.................", "inconclusive RULE_ERROR"),
    ("restarted at the window's first moment", "..........R...fFfffffff..E..............", "inconclusive PROM_RESTART"),
    ("restarted one evaluation before", ".........R....fFfffffff..E..............", "passed"),
];

const QUIET: &[Golden] = &[
    // 0         1         2         3
    // 0123456789012345678901234567890123456789
    ("nothing", "........................................", "passed"),
    ("fires, and nobody is told", "............fffffffffff.................", "passed"),
    ("somebody else is told", "............fffcfffffff.................", "passed"),
    ("told one evaluation before the window", ".........Ff.............................", "passed"),
    ("told at the window's first moment", "..........Ff............................", "failed NOT_SUPPRESSED"),
    ("told once", "...............F........................", "failed NOT_SUPPRESSED"),
    ("told at the last moment that counts", "..............................F.........", "failed NOT_SUPPRESSED"),
    ("told one evaluation later", "...............................F........", "passed"),
    ("told of the end only", "...............E........................", "passed"),
    ("one evaluation missing", "............. ..........................", "passed"),
    ("two evaluations missing", ".............  .........................", "inconclusive NO_COVERAGE"),
    ("the inbox was shut for a moment", "...............k........................", "inconclusive UNREACHABLE"),
    ("the inbox was shut after the window", ".....................k..................", "passed"),
    ("the rule in error", "............eeee........................", "inconclusive RULE_ERROR"),
    ("restarted in the window", "..............R.........................", "inconclusive PROM_RESTART"),
];

pub(super) const SETS: [&[Golden]; 2] = [TOLD, QUIET];
