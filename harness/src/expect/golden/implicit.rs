//! What every scenario implies. Alerts: `.` inactive, `p` pending, `F` firing, ` ` not evaluated, `e` in error, `R` inactive after a restart;
//! the window is 5 to 15, Prometheus is itself the target of a fault from `(` to `)`. Grafana's rule fires when its value has
//! been above 5 for three minutes, one of them a step: a digit is the value, `N` NaN, `.` no point.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Golden, TIME, at, history, hold, steps};
use crate::clock::Stamp;
use crate::expect::alert::State;
use crate::expect::dashboard::{Shown, Trouble};
use crate::expect::managed::{self, Answers, Condition, Managed, ManagedRule, Question};
use crate::expect::unexpected::{judge_always, judge_others};
use crate::expect::{Always, Labels, Others, Window};
use crate::outcome::Outcome;

const WINDOW: Window = Window::plain(Stamp(5_000_000), Stamp(15_000_000));

/// Brackets are evaluations that nobody saw, with those between them.
fn seen(story: &str) -> (crate::expect::alert::History, Vec<(Stamp, Stamp)>) {
    let blind = steps(story, "(").into_iter().zip(steps(story, ")")).map(|(from, to)| (at(from), at(to))).collect();
    let state = |letter| match letter {
        'F' => State::Firing,
        'p' => State::Pending,
        _ => State::Inactive,
    };
    (history("A", &story.replace(['(', ')'], " "), state), blind)
}

fn others(story: &str) -> Outcome {
    let (history, blind) = seen(story);
    let histories = BTreeMap::from([("A".to_owned(), history)]);
    judge_others(&Others { known: BTreeSet::new() }, WINDOW, &blind, &histories, TIME)
}

fn always(story: &str) -> Outcome {
    let (history, blind) = seen(story);
    judge_always(&Always { name: "A".into() }, WINDOW, &blind, Some(&history), TIME)
}

fn of_grafana(story: &str) -> Outcome {
    let above = Condition::Threshold { of: "A".into(), kind: "gt".into(), parameters: vec![5.0] };
    let rule = ManagedRule {
        title: "Busy".into(),
        condition: "B".into(),
        hold: Duration::from_secs(180),
        every: Duration::from_secs(60),
        no_data: "OK".into(),
        questions: vec![Question { id: "A".into(), ..Question::default() }],
        conditions: BTreeMap::from([("B".into(), above)]),
    };
    let value = |letter: char| match letter {
        'N' => Some(f64::NAN),
        letter => letter.to_digit(10).map(f64::from),
    };
    let points = story.chars().enumerate().filter_map(|(step, letter)| Some((at(step), value(letter)?)));
    let answer = match story {
        "$" => Err(Trouble::NoSource("prom".into())),
        "!" => Err(Trouble::Unanswered("timeout".into())),
        _ => Ok(Shown { times: (0..story.len()).map(at).collect(), series: vec![(Labels::new(), points.collect())] }),
    };
    let spec = Managed { rules: vec![rule], sources: vec![], missing_receivers: vec![], known: vec![] };
    let answers = BTreeMap::from([("Busy".to_owned(), Answers::from([("A".to_owned(), answer)]))]);
    managed::judge(&spec, "directly", &answers, TIME)
}

#[test]
fn alerts_that_nobody_expects() {
    hold(OTHERS, others);
}

#[test]
fn alerts_that_always_fire() {
    hold(ALWAYS, always);
}

#[test]
fn rules_of_grafana_that_nobody_expects_to_fire() {
    hold(MANAGED, of_grafana);
}

pub(super) const OTHERS: &[Golden] = &[
    // 01234567890123456789
    ("silent", "....................", "passed"),
    ("pending only", "......ppppp.........", "passed"),
    ("fired one evaluation before the window", "....F...............", "passed"),
    ("fired at the window's first evaluation", ".....F..............", "failed UNEXPECTED_ALERT"),
    ("fired once", "..........F.........", "failed UNEXPECTED_ALERT"),
    ("fired at the window's last evaluation", "...............F....", "failed UNEXPECTED_ALERT"),
    ("fired one evaluation after it", "................F...", "passed"),
    ("one evaluation missing", ".......... .........", "passed"),
    ("two evaluations missing", "..........  ........", "inconclusive NO_COVERAGE"),
    ("missing while Prometheus was the target", ".......(    ).......", "passed"),
    ("fired after Prometheus was the target", ".......(  )F........", "failed UNEXPECTED_ALERT"),
    ("restarted in the window", "..........R.........", "inconclusive NO_COVERAGE"),
    ("the rule in error", "..........ee........", "inconclusive RULE_ERROR"),
    ("the rule in error after the window", "................eeee", "passed"),
    ("nobody looked", "", "inconclusive NO_COVERAGE"),
];

pub(super) const ALWAYS: &[Golden] = &[
    // 01234567890123456789
    ("all the time", "FFFFFFFFFFFFFFFFFFFF", "passed"),
    ("from the window's first evaluation on", ".....FFFFFFFFFFFFFFF", "passed"),
    ("one evaluation later", "......FFFFFFFFFFFFFF", "failed ALERT_NOT_ALWAYS"),
    ("paused once", "FFFFFFFFFF.FFFFFFFFF", "failed ALERT_NOT_ALWAYS"),
    ("pending once", "FFFFFFFFFFpFFFFFFFFF", "failed ALERT_NOT_ALWAYS"),
    ("over at the window's last evaluation", "FFFFFFFFFFFFFFF.....", "failed ALERT_NOT_ALWAYS"),
    ("over one evaluation after it", "FFFFFFFFFFFFFFFF....", "passed"),
    ("one evaluation missing", "FFFFFFFFFF FFFFFFFFF", "passed"),
    ("two evaluations missing", "FFFFFFFFFF  FFFFFFFF", "inconclusive NO_COVERAGE"),
    ("missing while Prometheus was the target", "FFFFFFFF(    )FFFFFF", "passed"),
    ("never", "....................", "failed ALERT_NOT_ALWAYS"),
    ("restarted in the window", "FFFFFFFFFFRFFFFFFFFF", "inconclusive PROM_RESTART"),
    ("restarted one evaluation after it", "FFFFFFFFFFFFFFFFRFFF", "passed"),
    ("the rule in error", "FFFFFFFFFFeeeeeeeeee", "inconclusive RULE_ERROR"),
];

pub(super) const MANAGED: &[Golden] = &[
    ("never above", "0000000000", "passed"),
    ("equal is not above", "0005555500", "passed"),
    ("one evaluation too short", "0006660000", "passed"),
    ("as long as `for`", "0006666000", "failed UNEXPECTED_ALERT"),
    ("one evaluation longer", "0006666600", "failed UNEXPECTED_ALERT"),
    ("at the end, one evaluation too short", "0000000666", "passed"),
    ("at the end, as long as `for`", "0000006666", "failed UNEXPECTED_ALERT"),
    ("one good evaluation begins `for` anew", "0666066600", "passed"),
    ("no data is well, by the rule", "..........", "passed"),
    ("NaN is no number", "066N666000", "passed"),
    ("its data source does not exist", "$", "failed RULE_ERROR"),
    ("nobody answers", "!", "inconclusive UNREACHABLE"),
];
