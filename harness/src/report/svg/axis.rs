//! Time on the x axis: stamps become coordinates, and both times, production and real, get their ticks.

use super::{Anchor, Svg};
use crate::clock::Stamp;
use crate::report::length::{Ruler, signed};

/// Width of every timeline.
pub(super) const WIDTH: f64 = 1160.0;
/// Where the plot begins; labels stand left of it.
pub(super) const LEFT: f64 = 212.0;
/// Where the plot ends.
pub(super) const RIGHT: f64 = WIDTH - 14.0;

/// The x axis of a timeline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) begin: Stamp,
    pub(super) end: Stamp,
    pub(super) ruler: Ruler,
}

impl Axis {
    /// The coordinate of a stamp, kept inside the plot.
    pub(super) fn x(&self, stamp: Stamp) -> f64 {
        let whole = self.end.seconds_from(self.begin).max(1e-3);
        let share = (stamp.seconds_from(self.begin) / whole).clamp(0.0, 1.0);
        LEFT + share * (RIGHT - LEFT)
    }

    /// Ticks of production or real time: coordinate and label.
    fn ticks(&self, scale: f64) -> Vec<(f64, String)> {
        let begin = self.begin.seconds_from(self.ruler.origin) * scale;
        let end = self.end.seconds_from(self.ruler.origin) * scale;
        let step = step(end - begin);
        let mut ticks = Vec::new();
        let mut at = (begin / step).ceil() * step;
        while at <= end && ticks.len() < 40 {
            let stamp = Stamp(self.ruler.origin.0 + Stamp::from_seconds(at / scale).0);
            ticks.push((self.x(stamp), signed(at)));
            at += step;
        }
        ticks
    }

    /// Light vertical lines at the ticks of production time.
    pub(super) fn grid(&self, svg: &mut Svg, top: f64, bottom: f64) {
        for (x, _) in self.ticks(self.ruler.scale) {
            svg.line("grid", (x, top), (x, bottom));
        }
    }

    /// Both rows of ticks below `y`; returns where they end.
    pub(super) fn draw(&self, svg: &mut Svg, y: f64) -> f64 {
        svg.line("axis", (LEFT, y), (RIGHT, y));
        let y = self.row(svg, y, self.ruler.scale, "production time", "tick");
        if self.ruler.is_real() {
            return y;
        }
        self.row(svg, y, 1.0, "real time", "tick real")
    }

    fn row(&self, svg: &mut Svg, y: f64, scale: f64, name: &str, class: &str) -> f64 {
        svg.text("lane-name", (LEFT - 10.0, y + 15.0), Anchor::End, name, "");
        for (x, label) in self.ticks(scale) {
            svg.line("axis", (x, y), (x, y + 4.0));
            let anchor = if x > RIGHT - 24.0 { Anchor::End } else { Anchor::Middle };
            svg.text(class, (x, y + 15.0), anchor, &label, "");
        }
        y + 20.0
    }
}

/// A round step that gives at most twelve ticks.
fn step(span: f64) -> f64 {
    const STEPS: [f64; 20] = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
        14_400.0, 43_200.0, 86_400.0,
    ];
    STEPS.into_iter().find(|step| span / step <= 12.0).unwrap_or(span.max(1.0) / 10.0)
}
