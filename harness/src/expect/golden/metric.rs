//! Metrics, `> 5`. A digit is the value, `N` NaN, `.` no series, ` ` no scrape and no series. The window is the whole story;
//! a query that looks back over a second.

use super::{Golden, STEP, TIME, at, hold};
use crate::condition::Condition;
use crate::expect::look::Coverage;
use crate::expect::metric::{End, Growth, Point, judge, judge_growth};
use crate::expect::{Labels, Metric, Mode, Quantifier, Window};
use crate::outcome::Outcome;

fn spec(condition: &str) -> Metric {
    Metric {
        query: "x".into(),
        written: "x".into(),
        value: Condition::parse(condition).expect("it is a condition"),
        quantifier: Quantifier::All,
        reading: crate::expect::Reading::Value,
        reach: STEP,
    }
}

fn judged(mode: Mode, within: Option<u32>, story: &str) -> Outcome {
    let spec = spec("> 5");
    let value = |letter: char| match letter {
        'N' => Some(f64::NAN),
        letter => letter.to_digit(10).map(f64::from),
    };
    let points: Vec<Point> = story
        .chars()
        .enumerate()
        .map(|(step, letter)| Point {
            at: at(step),
            series: value(letter).into_iter().map(|value| (Labels::new(), value)).collect(),
        })
        .collect();
    let scraped = story.chars().enumerate().filter(|(_, letter)| *letter != ' ').map(|(step, _)| at(step)).collect();
    let window = Window::plain(at(0), at(story.len().saturating_sub(1)));
    judge(&spec, mode, within.map(|steps| STEP * steps), window, &points, &Coverage::new(STEP, scraped), TIME)
}

#[test]
fn metrics_that_must_become_so() {
    hold(EVENTUALLY, |story| judged(Mode::Eventually, Some(5), story));
}

#[test]
fn metrics_that_must_stay_so() {
    hold(THROUGHOUT, |story| judged(Mode::Throughout, None, story));
}

#[test]
fn metrics_that_must_never_be_so() {
    hold(NEVER, |story| judged(Mode::Never, None, story));
}

const EVENTUALLY: &[Golden] = &[
    ("at once", "9000000000", "passed"),
    ("at the last moment that is promised", "0000060000", "passed"),
    ("one moment before", "0000600000", "passed"),
    ("one moment too late", "0000006000", "failed WRONG_VALUE"),
    ("equal is not above", "0000055555", "failed WRONG_VALUE"),
    ("never", "0000000000", "failed WRONG_VALUE"),
    ("no series at all", "..........", "inconclusive NO_DATA"),
    ("NaN only", "NNNNNNNNNN", "inconclusive NAN"),
    ("no series, then NaN", "...NNNNNNN", "inconclusive NAN"),
    ("born in time", "...N960000", "passed"),
    ("not seen, and not scraped all the time", "00   00000", "inconclusive NO_COVERAGE"),
    ("seen although not scraped all the time", "00   60000", "passed"),
];

const THROUGHOUT: &[Golden] = &[
    ("always", "9999999999", "passed"),
    ("equal once", "9999599999", "failed WRONG_VALUE"),
    ("below at the last moment", "9999999994", "failed WRONG_VALUE"),
    ("below at the first moment that counts", "9499999999", "failed WRONG_VALUE"),
    ("below before the query's reach is inside", "4999999999", "passed"),
    ("a moment without a series", "9999.99999", "inconclusive NO_DATA"),
    ("a moment of NaN", "9999N99999", "inconclusive NAN"),
    ("NaN and below", "999N499999", "failed WRONG_VALUE"),
    ("one scrape missing", "9999 99999", "inconclusive NO_DATA"),
    ("two scrapes missing", "9999  9999", "inconclusive NO_COVERAGE"),
    ("too short to say anything", "999", "inconclusive NO_COVERAGE"),
    ("just long enough", "9999", "passed"),
];

const NEVER: &[Golden] = &[
    ("never", "0000000000", "passed"),
    ("equal is not above", "0000500000", "passed"),
    ("above once", "0000600000", "failed WRONG_VALUE"),
    ("above at the last moment", "0000000006", "failed WRONG_VALUE"),
    ("above before the query's reach is inside", "6000000000", "passed"),
    ("no series is no proof", "..........", "inconclusive NO_DATA"),
    ("one moment without a series is none either", "0000.00000", "inconclusive NO_DATA"),
    ("NaN is neither", "0000N00000", "inconclusive NAN"),
    ("not scraped for a while", "000    000", "inconclusive NO_COVERAGE"),
    ("too short to say anything", "000", "inconclusive NO_COVERAGE"),
];

/// One letter a series, which grew by so many; `+` behind it: a restart hid how many more. At least five each.
fn grown(mode: Mode, story: &str) -> Outcome {
    let mut growths: Vec<Growth> = Vec::new();
    for letter in story.chars() {
        match (letter.to_digit(10), growths.last_mut()) {
            (Some(count), _) => {
                let labels = Labels::from([("n".into(), growths.len().to_string())]);
                growths.push(Growth { labels, count: f64::from(count), end: End::Exactly });
            }
            (None, Some(last)) => last.end = End::AtLeast,
            (None, None) => {}
        }
    }
    let spec = Metric { reading: crate::expect::Reading::Growth, ..spec(">= 5") };
    let coverage = Coverage::new(STEP, (0..10).map(at).collect());
    judge_growth(&spec, mode, Window::plain(at(0), at(9)), &growths, &coverage)
}

#[test]
fn counts_from_raw_samples() {
    hold(GROWN, |story| grown(Mode::Eventually, story));
}

const GROWN: &[Golden] = &[
    ("exactly as many", "5", "passed"),
    ("one less", "4", "failed WRONG_VALUE"),
    ("one more", "6", "passed"),
    ("one of three has one less", "545", "failed WRONG_VALUE"),
    ("each has enough", "556", "passed"),
    ("at least as many", "5+", "passed"),
    ("one less, and a restart may hide one", "4+", "inconclusive NO_COVERAGE"),
    ("one is undecided and one certainly has less", "4+4", "failed WRONG_VALUE"),
    ("no series", "", "inconclusive NO_DATA"),
];

pub(super) const SETS: [&[Golden]; 4] = [EVENTUALLY, THROUGHOUT, NEVER, GROWN];
