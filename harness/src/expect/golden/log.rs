//! Logs: at least three lines with a request id. `m` matches and has it, `x` matches and lacks it, `0` has an empty one, `t` is
//! no JSON, `-` is a line of the stream that does not match.

use super::{Golden, at, hold};
use crate::condition::Condition;
use crate::expect::log::{Found, judge};
use crate::expect::metric::Point;
use crate::expect::{Labels, Log, LogAnswer, Mode};
use crate::outcome::Outcome;

fn judged(mode: Mode, count: &str, story: &str) -> Outcome {
    let line = |letter| match letter {
        'm' => Some(r#"{"request_id":"r1"}"#),
        'x' => Some(r#"{"other":1}"#),
        '0' => Some(r#"{"request_id":""}"#),
        't' => Some("plain text"),
        _ => None,
    };
    let spec = Log {
        query: "{a=\"b\"} | json".into(),
        answer: LogAnswer::Lines,
        count: Some(Condition::parse(count).expect("it is a condition")),
        value: None,
        fields: vec!["request_id".into()],
    };
    let found = Found {
        lines: story.chars().filter_map(line).map(str::to_owned).collect(),
        near: Vec::new(),
        flowing: story.chars().count().try_into().expect("a story is short"),
        points: Vec::new(),
    };
    judge(&spec, mode, &found)
}

#[test]
fn lines_that_must_be_there() {
    hold(PRESENT, |story| judged(Mode::Eventually, ">= 3", story));
}

#[test]
fn lines_that_are_counted_exactly() {
    hold(COUNTED, |story| judged(Mode::Eventually, "== 2", story));
}

#[test]
fn lines_that_must_not_be_there() {
    hold(ABSENT, |story| judged(Mode::Never, ">= 1", story));
}

/// A digit is a value of a metric query, `.` a step without one.
fn valued(mode: Mode, story: &str) -> Outcome {
    let spec = Log {
        query: "sum(count_over_time({a=\"b\"}[1m]))".into(),
        answer: LogAnswer::Metric,
        count: None,
        value: Some(Condition::parse("> 5").expect("it is a condition")),
        fields: Vec::new(),
    };
    let points = story.chars().enumerate().map(|(step, letter)| Point {
        at: at(step),
        series: letter.to_digit(10).map(|digit| (Labels::new(), f64::from(digit))).into_iter().collect(),
    });
    judge(&spec, mode, &Found { points: points.collect(), ..Found::default() })
}

#[test]
fn values_of_log_queries() {
    hold(VALUES, |story| valued(Mode::Eventually, story));
}

const PRESENT: &[Golden] = &[
    ("exactly enough", "--m-m-m--", "passed"),
    ("one more", "mmmm", "passed"),
    ("one too few", "--m-m----", "failed LOG_MISSING"),
    ("none, and the stream flows", "---------", "failed LOG_MISSING"),
    ("no line in the stream", "", "failed LOG_MISSING"),
    ("enough, and one lacks the field", "mmmx", "failed LOG_FIELD"),
    ("an empty field is none", "mm0", "failed LOG_FIELD"),
    ("a line that is no JSON", "mmt", "failed LOG_FIELD"),
    ("too few is said first", "mx", "failed LOG_MISSING"),
    ("all lack it", "xxx", "failed LOG_FIELD"),
    ("others in between do not matter", "m---m---------m", "passed"),
];

const COUNTED: &[Golden] = &[
    ("exactly", "m-m", "passed"),
    ("one too few", "--m", "failed LOG_MISSING"),
    ("one too many", "mmm", "failed LOG_MISSING"),
    ("none", "---", "failed LOG_MISSING"),
    ("many too many", "mmmmmmmmmm", "failed LOG_MISSING"),
    ("the right number, one without the field", "mx", "failed LOG_FIELD"),
    ("the right number, one that is no JSON", "tm", "failed LOG_FIELD"),
    ("the right number at the end", "------mm", "passed"),
    ("the right number at the begin", "mm------", "passed"),
    ("an empty stream", "", "failed LOG_MISSING"),
];

const ABSENT: &[Golden] = &[
    ("none, and the stream flows", "---------", "passed"),
    ("one line flows", "-", "passed"),
    ("nothing flows, so nothing is proved", "", "inconclusive NO_COVERAGE"),
    ("one", "----m----", "failed WRONG_VALUE"),
    ("the first", "m--------", "failed WRONG_VALUE"),
    ("the last", "--------m", "failed WRONG_VALUE"),
    ("all", "mmm", "failed WRONG_VALUE"),
    ("one without the field matches too", "----x----", "failed WRONG_VALUE"),
    ("one that is no JSON matches too", "----t----", "failed WRONG_VALUE"),
    ("one with an empty field matches too", "----0----", "failed WRONG_VALUE"),
];

const VALUES: &[Golden] = &[
    ("once above", "0060", "passed"),
    ("at the first step", "6000", "passed"),
    ("at the last step", "0006", "passed"),
    ("equal is not above", "0050", "failed WRONG_VALUE"),
    ("never", "0000", "failed WRONG_VALUE"),
    ("no series", "....", "inconclusive NO_DATA"),
    ("no answer", "", "inconclusive NO_DATA"),
    ("born above", "...6", "passed"),
    ("born below", "...4", "failed WRONG_VALUE"),
    ("one below, one above", "46", "passed"),
];

pub(super) const SETS: [&[Golden]; 4] = [PRESENT, COUNTED, ABSENT, VALUES];
