//! Panels with one query. A digit is its value, `N` NaN, `.` no point, ` ` neither a point nor a scrape. `$` in front: its data
//! source does not exist, `#`: the query is refused, `!`: nobody answers. The window is the whole story. In the baseline it was
//! 4 to 5, so that it rises above 6 and falls below 3.

use super::{Golden, STEP, TIME, at, hold};
use crate::expect::dashboard::board::Board;
use crate::expect::dashboard::{Asked, Dashboard, Seen, SeenPanel, Shown, Shows, Trouble, judge};
use crate::expect::look::Coverage;
use crate::expect::{Labels, Mode, Window};
use crate::outcome::Outcome;

fn shown(story: &str) -> Shown {
    let value = |letter: char| match letter {
        'N' => Some(f64::NAN),
        letter => letter.to_digit(10).map(f64::from),
    };
    let points: Vec<_> =
        story.chars().enumerate().filter_map(|(step, letter)| Some((at(step), value(letter)?))).collect();
    let series = if points.is_empty() { vec![] } else { vec![(Labels::new(), points)] };
    Shown { times: (0..story.len()).map(at).collect(), series }
}

fn judged(shows: Shows, mode: Mode, story: &str) -> Outcome {
    let answer = match story.chars().next() {
        Some('$') => Err(Trouble::NoSource("prom".into())),
        Some('#') => Err(Trouble::Refused("parse error".into())),
        Some('!') => Err(Trouble::Unanswered("timeout".into())),
        _ => Ok(shown(story)),
    };
    let moves = matches!(shows, Shows::Rises | Shows::Falls);
    let query =
        Asked { id: "A".into(), text: "x".into(), wrong_unit: None, answer, before: moves.then(|| Ok(shown("4545"))) };
    let scraped = story.chars().enumerate().filter(|(_, letter)| *letter != ' ').map(|(step, _)| at(step));
    let seen = Seen {
        panels: vec![SeenPanel { title: "Requests".into(), unit: "reqps".into(), queries: vec![query] }],
        coverage: Coverage::new(STEP, scraped.collect()),
        ..Seen::default()
    };
    let spec = Dashboard {
        uid: "d".into(),
        panels: Vec::new(),
        shows,
        provisioned: Ok(Board::default()),
        sources: Vec::new(),
    };
    judge(&spec, mode, Window::plain(at(0), at(story.len().saturating_sub(1))), &seen, TIME)
}

#[test]
fn panels_that_must_show_data() {
    hold(DATA, |story| judged(Shows::Data, Mode::Eventually, story));
    hold(ALWAYS_DATA, |story| judged(Shows::Data, Mode::Throughout, story));
}

#[test]
fn panels_that_must_show_nothing_t60() {
    hold(NOTHING, |story| judged(Shows::Nothing, Mode::Eventually, story));
}

#[test]
fn panels_that_must_move() {
    hold(RISES, |story| judged(Shows::Rises, Mode::Eventually, story));
    hold(FALLS, |story| judged(Shows::Falls, Mode::Eventually, story));
}

const DATA: &[Golden] = &[
    ("all the time", "0000000000", "passed"),
    ("at one evaluation", "....1.....", "passed"),
    ("at the last evaluation", ".........1", "passed"),
    ("never", "..........", "failed PANEL_NO_DATA"),
    ("NaN only", "NNNNNNNNNN", "failed PANEL_NO_DATA"),
    ("NaN and a number", "NNNNN1NNNN", "passed"),
    ("its data source does not exist", "$", "failed PANEL_NO_DATA"),
    ("refused", "#", "failed QUERY"),
    ("nobody answers", "!", "inconclusive UNREACHABLE"),
];

const ALWAYS_DATA: &[Golden] = &[
    ("all the time", "1111111111", "passed"),
    ("not at the first evaluation", ".111111111", "failed PANEL_NO_DATA"),
    ("not at the last evaluation", "111111111.", "failed PANEL_NO_DATA"),
    ("NaN once", "11111N1111", "failed PANEL_NO_DATA"),
    ("one scrape missing is a hole of the panel", "11111 1111", "failed PANEL_NO_DATA"),
];

const NOTHING: &[Golden] = &[
    ("nothing", "..........", "passed"),
    ("a number at the first evaluation", "1.........", "failed WRONG_VALUE"),
    ("a number at the last evaluation", ".........0", "failed WRONG_VALUE"),
    ("NaN is neither", "....N.....", "inconclusive NAN"),
    ("one scrape missing", ".... .....", "passed"),
    ("two scrapes missing", "....  ....", "inconclusive NO_COVERAGE"),
    ("its data source does not exist", "$", "failed PANEL_NO_DATA"),
];

const RISES: &[Golden] = &[
    ("as high as its ups and downs explain", "4566666666", "failed WRONG_VALUE"),
    ("higher", "4566667666", "passed"),
    ("higher at the last evaluation", "4545454547", "passed"),
    ("stays", "4545454545", "failed WRONG_VALUE"),
    ("falls", "4545411111", "failed WRONG_VALUE"),
    ("no data", "..........", "failed PANEL_NO_DATA"),
    ("NaN only", "NNNNNNNNNN", "failed PANEL_NO_DATA"),
    ("nobody answers", "!", "inconclusive UNREACHABLE"),
];

const FALLS: &[Golden] = &[
    ("as low as its ups and downs explain", "4543333333", "failed WRONG_VALUE"),
    ("lower", "4543323333", "passed"),
    ("lower at the last evaluation", "4545454542", "passed"),
    ("stays", "4545454545", "failed WRONG_VALUE"),
    ("rises", "4545499999", "failed WRONG_VALUE"),
    ("vanishes, which is no fall", "454.......", "failed WRONG_VALUE"),
    ("no data", "..........", "failed PANEL_NO_DATA"),
];

pub(super) const SETS: [&[Golden]; 5] = [DATA, ALWAYS_DATA, NOTHING, RISES, FALLS];
