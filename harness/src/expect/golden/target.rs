//! Targets. `u` up, `d` down, ` ` no sample. The window is the whole story, proved to bite at 1.

use super::{Golden, STEP, TIME, at, hold};
use crate::expect::target::{Ups, judge};
use crate::expect::{Health, Mode, Target, Window};
use crate::outcome::Outcome;

fn judged(mode: Mode, health: Health, within: Option<u32>, story: &str) -> Outcome {
    let samples = story.chars().enumerate().filter(|(_, letter)| *letter != ' ');
    let samples = samples.map(|(step, letter)| (at(step), f64::from(u8::from(letter == 'u')))).collect();
    let window = Window { effective: at(1), ..Window::plain(at(0), at(story.len().saturating_sub(1))) };
    let spec = Target { job: "j".into(), health };
    let ups = Ups::from([("a:1".to_owned(), samples)]);
    judge(&spec, mode, within.map(|steps| STEP * steps), window, &ups, STEP, TIME)
}

#[test]
fn targets_that_must_go_down() {
    hold(DOWN, |story| judged(Mode::Eventually, Health::Down, Some(4), story));
}

#[test]
fn targets_that_must_stay_up() {
    hold(UP, |story| judged(Mode::Throughout, Health::Up, None, story));
}

#[test]
fn targets_that_must_never_go_down() {
    hold(NEVER_DOWN, |story| judged(Mode::Never, Health::Down, None, story));
}

const DOWN: &[Golden] = &[
    ("at once", "dddddddddd", "passed"),
    ("at the last scrape that is promised", "uuuuuduuuu", "passed"),
    ("one scrape before", "uuuuduuuuu", "passed"),
    ("one scrape too late", "uuuuuuduuu", "failed TARGET_NOT_DOWN"),
    ("never", "uuuuuuuuuu", "failed TARGET_NOT_DOWN"),
    ("not scraped for a while", "uu    uuuu", "inconclusive NO_COVERAGE"),
    ("one scrape missing", "uu uuuuuuu", "failed TARGET_NOT_DOWN"),
    ("down although not scraped for a while before", "u   d uuuu", "passed"),
    ("no sample at all", "          ", "failed TARGET_ABSENT"),
    ("down and up again", "uduuuuuuuu", "passed"),
];

const UP: &[Golden] = &[
    ("always", "uuuuuuuuuu", "passed"),
    ("down at the first scrape", "duuuuuuuuu", "failed TARGET_DOWN"),
    ("down at the last scrape", "uuuuuuuuud", "failed TARGET_DOWN"),
    ("down once", "uuuuduuuuu", "failed TARGET_DOWN"),
    ("down all the time", "dddddddddd", "failed TARGET_DOWN"),
    ("one scrape missing", "uuuu uuuuu", "passed"),
    ("two scrapes missing", "uuuu  uuuu", "inconclusive NO_COVERAGE"),
    ("not scraped at the end", "uuuuuu    ", "inconclusive NO_COVERAGE"),
    ("down, and not scraped for a while", "ud    uuuu", "failed TARGET_DOWN"),
    ("no sample at all", "          ", "failed TARGET_ABSENT"),
];

const NEVER_DOWN: &[Golden] = &[
    ("never", "uuuuuuuuuu", "passed"),
    ("once", "uuuuduuuuu", "failed TARGET_NOT_DOWN"),
    ("at the first scrape", "duuuuuuuuu", "failed TARGET_NOT_DOWN"),
    ("at the last scrape", "uuuuuuuuud", "failed TARGET_NOT_DOWN"),
    ("all the time", "dddddddddd", "failed TARGET_NOT_DOWN"),
    ("one scrape missing", "uuuu uuuuu", "passed"),
    ("two scrapes missing", "uuuu  uuuu", "inconclusive NO_COVERAGE"),
    ("not scraped at the begin", "    uuuuuu", "inconclusive NO_COVERAGE"),
    ("not scraped at the end", "uuuuuu    ", "inconclusive NO_COVERAGE"),
    ("no sample at all", "          ", "failed TARGET_ABSENT"),
];

pub(super) const SETS: [&[Golden]; 3] = [DOWN, UP, NEVER_DOWN];
