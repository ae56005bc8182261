//! The one picture of a scenario: phases, faults, load, latency, alerts and notifications on one time axis.

use super::axis::{Axis, LEFT, RIGHT, WIDTH};
use super::{Anchor, Area, Svg, chart, lane, room, shorten};
use crate::report::view::{self, Scenario, Span};

/// Room between two groups of lanes.
const GAP: f64 = 12.0;

/// The picture; none if nothing of the scenario was recorded.
#[must_use]
pub(in crate::report) fn timeline(scenario: &Scenario) -> Option<String> {
    let begin = scenario.began?;
    let first = scenario.phases.first()?;
    let axis = Axis { begin: begin.min(first.begin), end: scenario.ended, ruler: scenario.ruler() };
    let height = height(scenario, &axis);
    let label = format!(
        "Timeline of {}: phases, {} faults, load, latency, {} alerts, {} notifications. The sections below say the same in words.",
        scenario.name,
        scenario.faults.len(),
        scenario.alerts.len(),
        scenario.notifications.len()
    );
    let mut svg = Svg::new(WIDTH, height, "timeline", &label);
    draw(&mut svg, scenario, &axis);
    Some(svg.finish())
}

/// Drawn once into nothing to learn how high it gets.
fn height(scenario: &Scenario, axis: &Axis) -> f64 {
    draw(&mut Svg::new(0.0, 0.0, "", ""), scenario, axis)
}

fn draw(svg: &mut Svg, scenario: &Scenario, axis: &Axis) -> f64 {
    let bottom = lanes(&mut Svg::new(0.0, 0.0, "", ""), scenario, axis);
    axis.grid(svg, 24.0, bottom);
    fault_shades(svg, scenario, axis, bottom);
    lanes(svg, scenario, axis);
    axis.draw(svg, bottom) + 4.0
}

/// All lanes from the top; returns where they end.
fn lanes(svg: &mut Svg, scenario: &Scenario, axis: &Axis) -> f64 {
    let mut y = phases(svg, scenario, axis) + GAP / 2.0;
    if !scenario.faults.is_empty() {
        y = lane::faults(svg, scenario, axis, y) + GAP;
    }
    for load in scenario.loads.iter().filter(|load| !load.samples.is_empty()) {
        y = chart::load(svg, load, axis, y) + GAP;
        y = chart::latency(svg, load, axis, y) + GAP;
    }
    if !scenario.alerts.is_empty() {
        y = lane::alerts(svg, scenario, axis, y) + GAP / 2.0;
    }
    if !scenario.notifications.is_empty() {
        y = lane::notifications(svg, scenario, axis, y) + GAP / 2.0;
    }
    y
}

fn phases(svg: &mut Svg, scenario: &Scenario, axis: &Axis) -> f64 {
    name(svg, 15.0, "phase", "");
    for Span { phase, begin, end } in &scenario.phases {
        let (x, right) = (axis.x(*begin), axis.x(*end));
        let word = view::phase(*phase);
        let length = end.since(*begin);
        let title = format!(
            "{word}: {} to {}, {} production time, {} real",
            axis.ruler.production(*begin),
            axis.ruler.production(*end),
            axis.ruler.length(length),
            crate::report::length::show(length)
        );
        let area = Area { x, y: 0.0, width: right - x, height: 22.0 };
        svg.rect(&format!("phase phase-{word}"), area, &title);
        if room(right - x) > 3 {
            let shown = shorten(word, room(right - x));
            svg.text("phase-name", (f64::midpoint(x, right), 15.0), Anchor::Middle, &shown, &title);
        }
    }
    22.0
}

/// The time of each fault, lightly behind all lanes.
fn fault_shades(svg: &mut Svg, scenario: &Scenario, axis: &Axis, bottom: f64) {
    for fault in &scenario.faults {
        let Some(begin) = fault.injecting else { continue };
        let end = fault.gone.unwrap_or(scenario.ended);
        let (x, right) = (axis.x(begin), axis.x(end));
        svg.rect("fault-shade", Area { x, y: 22.0, width: right - x, height: bottom - 22.0 }, "");
        svg.line("fault-edge", (x, 22.0), (x, bottom));
        if fault.gone.is_some() {
            svg.line("fault-edge", (right, 22.0), (right, bottom));
        }
    }
}

/// The name of a lane, left of the plot.
pub(super) fn name(svg: &mut Svg, y: f64, name: &str, title: &str) {
    let title = if title.is_empty() && name.chars().count() <= 31 {
        ""
    } else if title.is_empty() {
        name
    } else {
        title
    };
    svg.text("lane-name", (LEFT - 10.0, y), Anchor::End, &shorten(name, 31), title);
}

/// The frame of a chart.
pub(super) fn frame(svg: &mut Svg, y: f64, height: f64) {
    svg.line("axis", (LEFT, y + height), (RIGHT, y + height));
    svg.line("axis", (LEFT, y), (LEFT, y + height));
}
