//! Alerts. `.` inactive, `p` pending, `F` firing, `e` the rule in error, ` ` not evaluated, `R` inactive after a restart. The
//! fault is injected at evaluation 10, proved at 11, gone at 20; pages count until 30.

use std::time::Duration;

use super::{Golden, TIME, history, hold};
use crate::expect::alert::{State, judge};
use crate::expect::{Alert, Labels, Mode, WantedState, Window};
use crate::outcome::Outcome;

const WINDOW: Window = Window {
    start: crate::clock::Stamp(10_000_000),
    effective: crate::clock::Stamp(11_000_000),
    end: crate::clock::Stamp(20_000_000),
    observed_until: crate::clock::Stamp(30_000_000),
};

fn judged(mode: Mode, story: &str) -> Outcome {
    let promise = |seconds| Some(Duration::from_secs(seconds));
    let spec = Alert {
        name: "A".into(),
        labels: Labels::new(),
        annotations: Labels::new(),
        fires_after: promise(4).filter(|_| mode == Mode::Eventually),
        fires_within: promise(6).filter(|_| mode == Mode::Eventually),
        resolves_within: promise(5).filter(|_| mode == Mode::Eventually),
        state: WantedState::Firing,
        bound: None,
    };
    let state = |letter| match letter {
        'p' => State::Pending,
        'F' => State::Firing,
        _ => State::Inactive,
    };
    judge(&spec, mode, WINDOW, &history("A", story, state), TIME)
}

#[test]
fn alerts_that_must_fire() {
    hold(FIRING, |story| judged(Mode::Eventually, story));
}

/// Not before 14, not after 17, gone by 25.
const FIRING: &[Golden] = &[
    ("one evaluation too early", "...........ppFFFFFFFFF..................", "failed FIRED_EARLY"),
    ("at the first that is promised", "...........pppFFFFFFFF..................", "passed"),
    ("one evaluation later", "............pppFFFFFFF..................", "passed"),
    ("one evaluation before the last that is promised", ".............pppFFFFFF..................", "passed"),
    ("at the last that is promised", "..............pppFFFFF..................", "passed"),
    ("one evaluation too late", "...............pppFFFF..................", "failed FIRED_LATE"),
    ("resolved one evaluation before the last that is promised", "...........pppFFFFFFFFFF................", "passed"),
    ("resolved at the last that is promised", "...........pppFFFFFFFFFFF...............", "passed"),
    ("resolved one evaluation too late", "...........pppFFFFFFFFFFFF..............", "failed RESOLVED_LATE"),
    ("never resolved", "...........pppFFFFFFFFFFFFFFFFFFFFFFFFFF", "failed NEVER_RESOLVED"),
    ("never true", "........................................", "failed NEVER_FIRED"),
    ("pending and never long enough", "...........pppp.pppp.pppp...............", "failed NEVER_FIRED"),
    (
        "fired at the last evaluation that counts, too late",
        "...........................pppFF........",
        "failed FIRED_LATE",
    ),
    ("fired when nothing counts any more", "............................pppFF.......", "failed NEVER_FIRED"),
    ("firing before the fault", "........FFFFFFFFFFFFFF..................", "failed FIRING_AT_BASELINE"),
    (
        "pending at the window's first evaluation",
        "..........ppppFFFFFFFF..................",
        "failed FIRING_AT_BASELINE",
    ),
    ("pending at the evaluation after it", "...........ppppFFFFFFF..................", "passed"),
    (
        "never seen, and not looked at all the time",
        "..............      ....................",
        "inconclusive NO_COVERAGE",
    ),
    ("the rule in error", "...........pppeeeeeeeee.................", "inconclusive RULE_ERROR"),
    ("restarted in the window", "..............R.........................", "inconclusive PROM_RESTART"),
];

#[test]
fn alerts_that_must_not_fire() {
    hold(SILENT, |story| judged(Mode::Never, story));
}

const SILENT: &[Golden] = &[
    // 0         1         2         3
    // 0123456789012345678901234567890123456789
    ("silent", "........................................", "passed"),
    ("pending only", "..........pppppppppp....................", "passed"),
    ("ended at the evaluation before the window", ".....FFFF...............................", "passed"),
    ("ended at the window's first evaluation", ".....FFFFF..............................", "passed"),
    (
        "still firing at the window's first evaluation",
        ".....FFFFFF.............................",
        "failed UNEXPECTED_ALERT",
    ),
    ("fired at the window's last evaluation", "....................F...................", "failed UNEXPECTED_ALERT"),
    ("fired at the evaluation after the window", ".....................F..................", "passed"),
    ("fired once", "...............F........................", "failed UNEXPECTED_ALERT"),
    ("two evaluations missing", ".............  .........................", "inconclusive NO_COVERAGE"),
    ("one evaluation missing", "............. ..........................", "passed"),
    ("restarted in the window", "...............R........................", "inconclusive PROM_RESTART"),
    ("restarted before it", ".........R..............................", "passed"),
    ("nobody looked", "", "inconclusive NO_COVERAGE"),
];

pub(super) const SETS: [&[Golden]; 2] = [FIRING, SILENT];
