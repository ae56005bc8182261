//! A line chart as SVG: values over the seconds of a load, with an axis that people can read. Used by `page`.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 230.0;
/// Where the plot lies in the picture.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 890.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 200.0;

/// A line: its name, its colour's class, and a value for every stretch of time, where it is known.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

/// Draws lines over `seconds`; a gap is where nothing is known.
pub(super) fn figure(html: &mut String, title: &str, unit: &str, lines: &[Line], seconds: f64) {
    let highest = lines.iter().flat_map(|line| line.values.iter().flatten()).copied().fold(0.0, f64::max);
    if highest <= 0.0 {
        return push(html, format_args!("<figure><figcaption>{title}: nothing to show</figcaption></figure>\n"));
    }
    let step = pleasant(highest / 4.0);
    let top = (highest / step).ceil() * step;
    push(html, format_args!("<figure><figcaption>{title}"));
    lines.iter().for_each(|line| push(html, format_args!(" <span class=\"{0}\">{0}</span>", line.name)));
    push(html, format_args!("</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"));
    let mut level = 0.0;
    while level <= top + step / 2.0 {
        let (y, label) = (height(level, top), number(level, step));
        push(html, format_args!("<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"));
        push(html, format_args!("<text x=\"{}\" y=\"{:.1}\" class=\"y\">{label}{unit}</text>", LEFT - 6.0, y + 4.0));
        level += step;
    }
    let step = pleasant(seconds / 6.0).max(1.0);
    let mut at = 0.0;
    while at <= seconds + 0.001 {
        let x = LEFT + at / seconds * (RIGHT - LEFT);
        push(
            html,
            format_args!("<text x=\"{x:.1}\" y=\"{}\" class=\"x\">{} s</text>", BOTTOM + 20.0, number(at, step)),
        );
        at += step;
    }
    lines.iter().for_each(|line| path(html, line, top));
    html.push_str("</svg></figure>\n");
}

fn path(html: &mut String, line: &Line, top: f64) {
    let step = (RIGHT - LEFT) / line.values.len().max(1) as f64;
    let mut pen = 'M';
    push(html, format_args!("<path class=\"{}\" d=\"", line.name));
    for (index, value) in line.values.iter().enumerate() {
        let Some(value) = value else {
            pen = 'M';
            continue;
        };
        let (x, y) = (LEFT + (index as f64 + 0.5) * step, height(*value, top));
        push(html, format_args!("{pen}{x:.1} {y:.1}h0.1"));
        pen = 'L';
    }
    html.push_str("\"/>");
}

fn height(value: f64, top: f64) -> f64 {
    BOTTOM - value / top * (BOTTOM - TOP)
}

/// The next larger number of the form 1, 2 or 5 times a power of ten.
fn pleasant(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].iter().map(|factor| factor * power).find(|it| *it >= least).unwrap_or(10.0 * power)
}

/// With as many decimals as steps of that size need.
fn number(value: f64, step: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of decimals")]
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!([0.03, 0.1, 1.3, 30.0, 700.0].map(pleasant), [0.05, 0.1, 2.0, 50.0, 1_000.0]);
        assert_eq!([number(0.15, 0.05), number(3.0, 1.0), number(1_500.0, 500.0)], ["0.15", "3", "1500"]);
    }

    #[test]
    fn a_gap_is_a_gap_and_no_line_to_zero() {
        let mut html = String::new();
        let values = vec![Some(1.0), None, Some(2.0), Some(2.0)];
        figure(&mut html, "t", " ms", &[Line { name: "p50", values }], 4.0);
        assert_eq!((html.matches('M').count(), html.matches('L').count()), (2, 1), "{html}");
        assert!(html.contains(">2.0 ms<") && html.contains(">4 s<"), "{html}");
    }
}
