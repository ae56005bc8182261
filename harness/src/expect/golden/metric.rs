//! Metrics, `> 5`. A digit is the value, `N` NaN, `.` no series, ` ` no scrape and no series. The window is the whole story;
//! a query that looks back over a second.

use super::{STEP, TIME, at, hold};
use crate::condition::Condition;
use crate::expect::look::Coverage;
use crate::expect::metric::{Point, judge};
use crate::expect::{Labels, Metric, Mode, Quantifier, Window};
use crate::outcome::Outcome;

fn judged(mode: Mode, within: Option<u32>, story: &str) -> Outcome {
    let spec = Metric {
        query: "x".into(),
        written: "x".into(),
        value: Condition::parse("> 5").expect("it is a condition"),
        quantifier: Quantifier::All,
        reading: crate::expect::Reading::Value,
        reach: STEP,
    };
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
    hold(
        &[
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
        ],
        |story| judged(Mode::Eventually, Some(5), story),
    );
}

#[test]
fn metrics_that_must_stay_so() {
    hold(
        &[
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
        ],
        |story| judged(Mode::Throughout, None, story),
    );
}

#[test]
fn metrics_that_must_never_be_so() {
    hold(
        &[
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
        ],
        |story| judged(Mode::Never, None, story),
    );
}
