//! Series. One letter a scrape: a digit is the counter's value, `.` the target is up without it, `d` down, `t` its scrape took
//! longer than the timeout, ` ` not scraped. The window is 5 to 15; a hundred requests were answered in it, and the counter has
//! to begin at 0 or with its target. Of sets of series one letter is a series: `r` has its label, `u` lacks it, `e` has it empty.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Golden, STEP, TIME, at, hold};
use crate::expect::look::Coverage;
use crate::expect::series::{Birth, Seen, Series, Target, judge};
use crate::expect::{Labels, Window};
use crate::outcome::Outcome;
use crate::telemetry::prometheus::{self, Point};

const METRIC: &str = "requests_total";

fn spec() -> Series {
    Series {
        metric: METRIC.into(),
        kind: None,
        unit: None,
        labels: BTreeSet::new(),
        buckets: Vec::new(),
        max_series: None,
        birth: Birth::Anyhow,
    }
}

fn target(story: &str) -> Target {
    let scraped = || story.chars().enumerate().filter(|(_, letter)| *letter != ' ');
    let up = |letter| if "dt".contains(letter) { 0.0 } else { 1.0 };
    let took = |letter| if letter == 't' { 1.0 } else { 0.02 };
    Target {
        instance: "one".into(),
        ups: scraped().map(|(step, letter)| (at(step), up(letter))).collect(),
        durations: scraped().map(|(step, letter)| (at(step), took(letter))).collect(),
        timeout: Duration::from_secs(1),
        moved: None,
    }
}

fn series(labels: &[(&str, &str)], points: Vec<Point>) -> prometheus::Series {
    let own = [("__name__", METRIC), ("instance", "one")];
    let labels = own.iter().chain(labels).map(|(name, value)| ((*name).into(), (*value).into()));
    prometheus::Series { labels: labels.collect::<Labels>(), points }
}

fn scraped(story: &str) -> Outcome {
    let value = |(step, letter): (usize, char)| Some(Point { at: at(step), value: f64::from(letter.to_digit(10)?) });
    let points: Vec<Point> = story.chars().enumerate().filter_map(value).collect();
    let all = story.chars().enumerate().filter(|(_, letter)| *letter != ' ').map(|(step, _)| at(step));
    let seen = Seen {
        series: if points.is_empty() { vec![] } else { vec![series(&[], points)] },
        targets: vec![target(story)],
        coverage: Coverage::new(STEP, all.collect()),
        answered: Some(100),
        follows_load: true,
        ..Seen::default()
    };
    judge(&Series { birth: Birth::AtZero, ..spec() }, Window::plain(at(5), at(15)), &seen, TIME)
}

fn listed(story: &str) -> Outcome {
    let points = || (0..16).map(|step| Point { at: at(step), value: 1.0 }).collect();
    let one = |(number, letter): (usize, char)| {
        let number = number.to_string();
        match letter {
            'r' => series(&[("n", &number), ("route", "/a")], points()),
            'e' => series(&[("n", &number), ("route", "")], points()),
            _ => series(&[("n", &number)], points()),
        }
    };
    let seen = Seen {
        series: story.chars().enumerate().map(one).collect(),
        targets: vec![target(&".".repeat(16))],
        coverage: Coverage::new(STEP, (0..16).map(at).collect()),
        ..Seen::default()
    };
    let spec = Series { labels: BTreeSet::from(["route".into()]), max_series: Some(5), ..spec() };
    judge(&spec, Window::plain(at(5), at(15)), &seen, TIME)
}

#[test]
fn counters_that_must_begin_at_zero_and_live() {
    hold(SCRAPED, scraped);
}

#[test]
fn label_sets_that_must_be_whole_and_few() {
    hold(LISTED, listed);
}

const SCRAPED: &[Golden] = &[
    // 0123456789012345
    ("there from the begin", "0000001122334455", "passed"),
    ("born later, at 0", "......0112233445", "passed"),
    ("born later, at 1", "......1112233445", "failed COUNTER_NOT_INITIALISED"),
    ("born with its target, at 1", "1111112233445566", "passed"),
    ("born one scrape after its target, at 1", ".111112233445566", "failed COUNTER_NOT_INITIALISED"),
    ("born with a target that came late", "ddd1112233445566", "passed"),
    ("never moves", "5555555555555555", "failed STALE_EXPOSITION"),
    ("moves at the window's last scrape", "5555555555555556", "passed"),
    ("moved last at the window's first scrape", "0123445555555555", "passed"),
    ("moved last one scrape before", "0123455555555555", "failed STALE_EXPOSITION"),
    ("no such series", "................", "failed NO_DATA"),
    ("the target is down", "dddddddddddddddd", "inconclusive NO_COVERAGE"),
    ("one scrape in eleven took too long", "00000001t2334455", "passed"),
    ("two scrapes in eleven took too long", "00000001tt334455", "failed SCRAPE_TIMEOUT"),
    ("took too long before the window", "0tttt01122334455", "passed"),
    ("one scrape missing", "0000001 22334455", "passed"),
    ("two scrapes missing", "0000001  2334455", "inconclusive NO_COVERAGE"),
];

const LISTED: &[Golden] = &[
    ("one less than allowed", "rrrr", "passed"),
    ("as many as allowed", "rrrrr", "passed"),
    ("one too many", "rrrrrr", "failed CARDINALITY"),
    ("one without its label", "rrru", "failed LABEL_MISSING"),
    ("one whose label is empty", "errr", "failed LABEL_MISSING"),
    ("a missing label is said first", "urrrrr", "failed LABEL_MISSING"),
    ("one", "r", "passed"),
    ("none", "", "failed NO_DATA"),
];

pub(super) const SETS: [&[Golden]; 2] = [SCRAPED, LISTED];
