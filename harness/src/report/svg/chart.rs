//! Load and latency over time. Seconds are put together when a run is long, so that a picture stays a picture.

use std::fmt::Write as _;

use super::axis::{Axis, LEFT, RIGHT};
use super::timeline::{frame, name};
use super::{Anchor, Area, Svg, float, number};
use crate::clock::Stamp;
use crate::event::LoadSample;
use crate::report::length;
use crate::report::view::Load;

const LOAD: f64 = 84.0;
const LATENCY: f64 = 92.0;
/// More bars than this would be thinner than two pixels.
const BARS: usize = 400;

/// Some seconds of a load: rates per second, the worst percentiles.
struct Slot {
    begin: Stamp,
    end: Stamp,
    planned: f64,
    succeeded: f64,
    failed: f64,
    dropped: f64,
    p50: Option<u64>,
    p99: Option<u64>,
}

fn slots(samples: &[LoadSample]) -> Vec<Slot> {
    let many = samples.len().div_ceil(BARS).max(1);
    samples.chunks(many).filter_map(slot).collect()
}

fn slot(samples: &[LoadSample]) -> Option<Slot> {
    let (first, last) = (samples.first()?, samples.last()?);
    let seconds = float(samples.len() as u64);
    let rate = |count: fn(&LoadSample) -> u64| float(samples.iter().map(count).sum()) / seconds;
    let worst = |which: usize| samples.iter().filter_map(|sample| Some(sample.latency_us?[which])).max();
    Some(Slot {
        begin: first.second,
        end: last.second + std::time::Duration::from_secs(1),
        planned: rate(|sample| sample.planned),
        succeeded: rate(|sample| sample.succeeded),
        failed: rate(|sample| sample.failed),
        dropped: rate(|sample| sample.dropped),
        p50: worst(0),
        p99: worst(2),
    })
}

/// Requests per second: succeeded, failed and never sent stacked, planned as a line. Returns where it ends.
pub(super) fn load(svg: &mut Svg, load: &Load, axis: &Axis, y: f64) -> f64 {
    let slots = slots(&load.samples);
    let peak =
        slots.iter().map(|slot| slot.planned.max(slot.succeeded + slot.failed + slot.dropped)).fold(1.0, f64::max);
    let top = round_up(peak * 1.05);
    let bottom = y + LOAD;
    name(svg, y + 12.0, &load.name, &load.description);
    legend(svg, y + 26.0, &[("key-succeeded", "succeeded"), ("key-failed", "failed"), ("key-dropped", "never sent")]);
    svg.text("lane-note", (LEFT - 10.0, y + 66.0), Anchor::End, "line: planned, requests/s", "");
    for share in [0.5, 1.0] {
        let line = bottom - share * LOAD;
        svg.line("grid", (LEFT, line), (RIGHT, line));
        svg.text("scale", (LEFT + 4.0, line + 10.0), Anchor::Start, &format!("{}/s", number(top * share)), "");
    }
    for slot in &slots {
        bar(svg, slot, axis, bottom, top);
    }
    let planned = steps(&slots, axis, |slot| bottom - slot.planned / top * LOAD);
    svg.path("planned", &planned, "");
    frame(svg, y, LOAD);
    bottom
}

fn bar(svg: &mut Svg, slot: &Slot, axis: &Axis, bottom: f64, top: f64) {
    let (x, right) = (axis.x(slot.begin), axis.x(slot.end));
    let title = format!(
        "{}: planned {}/s, succeeded {}/s, failed {}/s, never sent {}/s",
        axis.ruler.production(slot.begin),
        number(slot.planned),
        number(slot.succeeded),
        number(slot.failed),
        number(slot.dropped)
    );
    let mut base = bottom;
    for (class, rate) in [("succeeded", slot.succeeded), ("failed", slot.failed), ("dropped", slot.dropped)] {
        let height = rate / top * LOAD;
        if height > 0.0 {
            svg.rect(class, Area { x, y: base - height, width: right - x - 0.6, height }, &title);
            base -= height;
        }
    }
}

fn steps(slots: &[Slot], axis: &Axis, y: impl Fn(&Slot) -> f64) -> String {
    let mut path = String::new();
    for slot in slots {
        let verb = if path.is_empty() { 'M' } else { 'L' };
        let (x, right, y) = (axis.x(slot.begin), axis.x(slot.end), y(slot));
        let _ = write!(path, "{verb}{} {}H{}", number(x), number(y), number(right));
    }
    path
}

/// p50 and p99 on a logarithmic scale. Returns where it ends.
pub(super) fn latency(svg: &mut Svg, load: &Load, axis: &Axis, y: f64) -> f64 {
    let slots = slots(&load.samples);
    let bottom = y + LATENCY;
    let seen = || slots.iter().flat_map(|slot| [slot.p50, slot.p99]).flatten().filter(|micros| *micros > 0);
    name(svg, y + 12.0, "latency", "from the intended start of each request, logarithmic");
    legend(svg, y + 26.0, &[("key-p50", "p50"), ("key-p99", "p99")]);
    svg.text("lane-note", (LEFT - 10.0, y + 53.0), Anchor::End, "logarithmic", "");
    frame(svg, y, LATENCY);
    let (Some(low), Some(high)) = (seen().min(), seen().max()) else { return bottom };
    let low = float(low).log10().floor();
    let high = float(high).log10().ceil().max(low + 1.0);
    let place = |micros: f64| bottom - ((micros.log10() - low) / (high - low)).clamp(0.0, 1.0) * LATENCY;
    let mut decade = low;
    while decade <= high {
        let line = place(10f64.powf(decade));
        if decade > low {
            svg.line("grid", (LEFT, line), (RIGHT, line));
        }
        let beside = if decade < high { -3.0 } else { 10.0 };
        svg.text("scale", (LEFT + 4.0, line + beside), Anchor::Start, &micros(decade), "");
        decade += 1.0;
    }
    for (class, which) in [("p50", (|slot| slot.p50) as fn(&Slot) -> Option<u64>), ("p99", |slot| slot.p99)] {
        svg.path(class, &curve(&slots, axis, which, place), "");
    }
    for slot in &slots {
        tip(svg, slot, axis, y);
    }
    bottom
}

fn tip(svg: &mut Svg, slot: &Slot, axis: &Axis, y: f64) {
    let (Some(p50), Some(p99)) = (slot.p50, slot.p99) else { return };
    let (x, right) = (axis.x(slot.begin), axis.x(slot.end));
    let at = axis.ruler.production(slot.begin);
    let title = format!("{at}: p50 {}, p99 {}", length::micros(p50), length::micros(p99));
    svg.rect("tip", Area { x, y, width: right - x, height: LATENCY }, &title);
}

/// A line through the middles of the slots, broken where nothing was measured.
fn curve(slots: &[Slot], axis: &Axis, which: fn(&Slot) -> Option<u64>, place: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut verb = 'M';
    for slot in slots {
        let Some(micros) = which(slot) else {
            verb = 'M';
            continue;
        };
        let x = f64::midpoint(axis.x(slot.begin), axis.x(slot.end));
        let _ = write!(path, "{verb}{} {}", number(x), number(place(float(micros.max(1)))));
        verb = 'L';
    }
    path
}

fn micros(decade: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a power of ten of microseconds")]
    let micros = 10f64.powf(decade).round() as u64;
    length::micros(micros)
}

/// What the colours mean, right-aligned in the margin, one a line.
fn legend(svg: &mut Svg, y: f64, keys: &[(&str, &str)]) {
    let mut line = y;
    for (class, word) in keys {
        svg.text("lane-note", (LEFT - 24.0, line), Anchor::End, word, "");
        svg.rect(class, Area { x: LEFT - 19.0, y: line - 8.0, width: 9.0, height: 9.0 }, "");
        line += 13.0;
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round >= value)
        .unwrap_or(value)
}
