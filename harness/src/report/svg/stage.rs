//! The way of a page from the series to the receiver: what the configuration allows as a range, what was seen as a mark.

use super::{Area, Svg, number};
use crate::clock::Stamp;
use crate::outcome::Stage;
use crate::report::length::Ruler;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 18.0;

/// One small picture a stage, all on the same scale.
#[must_use]
pub(in crate::report) fn stages(stages: &[Stage], ruler: Ruler) -> Vec<String> {
    let times = || stages.iter().flat_map(|stage| [stage.observed, stage.floor, stage.ceiling]).flatten();
    let begin = times().chain([ruler.origin]).min().unwrap_or(ruler.origin);
    let end = times().max().unwrap_or(begin);
    let whole = end.seconds_from(begin).max(1e-3);
    let x = |stamp: Stamp| 4.0 + stamp.seconds_from(begin) / whole * (WIDTH - 8.0);
    stages.iter().map(|stage| one(stage, ruler, x)).collect()
}

fn one(stage: &Stage, ruler: Ruler, x: impl Fn(Stamp) -> f64) -> String {
    let label =
        format!("{}: {}", stage.name, stage.observed.map_or("never seen".to_owned(), |at| ruler.production(at)));
    let mut svg = Svg::new(WIDTH, HEIGHT, "stage", &label);
    svg.line("lane-line", (4.0, HEIGHT / 2.0), (WIDTH - 4.0, HEIGHT / 2.0));
    let from = stage.floor.map_or(4.0, &x);
    let to = stage.ceiling.map_or(WIDTH - 4.0, &x);
    if stage.floor.is_some() || stage.ceiling.is_some() {
        svg.rect("allowed", Area { x: from, y: 4.0, width: (to - from).max(2.0), height: HEIGHT - 8.0 }, "allowed");
    }
    if let Some(observed) = stage.observed {
        let at = x(observed);
        let class = if is_inside(stage) { "seen" } else { "seen seen-outside" };
        let (left, right, middle) = (number(at - 5.0), number(at + 5.0), number(at));
        let diamond = format!("M{middle} 2L{right} 9L{middle} 16L{left} 9Z");
        svg.path(class, &diamond, &ruler.all(observed));
    }
    svg.finish()
}

/// Whether a stage was seen where the configuration allows it.
fn is_inside(stage: &Stage) -> bool {
    stage.observed.is_some_and(|at| {
        stage.floor.is_none_or(|floor| at >= floor) && stage.ceiling.is_none_or(|ceiling| at <= ceiling)
    })
}
