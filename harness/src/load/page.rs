//! A load as a page: one self-contained HTML file, without script, that shows what was planned, what was sent and how long
//! it took. Made from a `Summary`; written by `cli` for `harness load`.

use std::fmt::Write as _;
use std::time::Duration;

use super::command::percentiles;
use super::summary::{Summary, Window};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 160.0;
/// At most so many points in a chart; longer loads get wider ones.
const POINTS: u32 = 300;

/// A stretch of the load as a point in a chart.
struct Point {
    /// Requests per second.
    planned: f64,
    sent: f64,
    errors: f64,
    p50: Option<Duration>,
    p99: Option<Duration>,
}

/// The summary as an HTML page. Everything that comes from outside is escaped.
#[must_use]
pub fn page(summary: &Summary) -> String {
    let width = stretch(summary.taken_at.since(summary.started_at));
    let points: Vec<Point> = summary.series(width).map(|window| point(&window, width)).collect();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
         <title>Load {name}</title>\n<style>{STYLE}</style></head>\n<body><h1>Load {name}</h1>\n",
        name = escaped(&summary.load),
    );
    let flow = summary.flow;
    let share = |share: Option<f64>| share.map_or_else(|| "n/a".to_owned(), |share| format!("{:.3} %", share * 100.0));
    push(
        &mut html,
        format_args!(
            "<p>{} planned, {} sent ({}), {} dropped; {} answered, {} of them not as expected, {} without an answer, {} \
         cancelled. Errors: {}.</p>\n",
            flow.planned,
            flow.started,
            share(flow.achieved_share()),
            flow.dropped,
            flow.completed,
            flow.unexpected,
            flow.failed,
            flow.cancelled,
            share(flow.error_share()),
        ),
    );
    if let Some(saturation) = &summary.saturation {
        push(
            &mut html,
            format_args!("<p class=\"bad\">The generator was saturated: {}</p>\n", escaped(&saturation.to_string())),
        );
    }
    rates(&mut html, &points);
    latencies(&mut html, &points);
    table(&mut html, summary);
    html.push_str("</body></html>\n");
    html
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ccc}\
td:first-child,th:first-child{text-align:left}.bad{color:#b00020}figure{margin:1rem 0}svg{width:100%;height:auto}\
figcaption{color:#555}";

fn stretch(lasted: Duration) -> Duration {
    let per_point = lasted / POINTS;
    Duration::from_secs(per_point.as_secs() + 1)
}

fn point(window: &Window, width: Duration) -> Point {
    let latency = window.latency(None);
    let quantile = |quantile| latency.as_ref().and_then(|latency| latency.quantile(quantile));
    let flow = window.flow(None);
    let rate = |count: u64| count as f64 / width.as_secs_f64();
    Point {
        planned: rate(flow.planned),
        sent: rate(flow.started),
        errors: rate(flow.unexpected + flow.failed),
        p50: quantile(0.5),
        p99: quantile(0.99),
    }
}

fn rates(html: &mut String, points: &[Point]) {
    let line = |value: fn(&Point) -> f64| points.iter().map(|point| Some(value(point))).collect();
    figure(
        html,
        "requests per second by intended start",
        &[
            ("planned", "#bbb", line(|point| point.planned)),
            ("sent", "#1565c0", line(|point| point.sent)),
            ("errors", "#b00020", line(|point| point.errors)),
        ],
    );
}

fn latencies(html: &mut String, points: &[Point]) {
    let millis = |value: Option<Duration>| value.map(|value| value.as_secs_f64() * 1e3);
    figure(
        html,
        "latency from the intended start in ms",
        &[
            ("p99", "#e65100", points.iter().map(|point| millis(point.p99)).collect()),
            ("p50", "#2e7d32", points.iter().map(|point| millis(point.p50)).collect()),
        ],
    );
}

/// A line chart; a gap is where nothing is known.
fn figure(html: &mut String, title: &str, lines: &[(&str, &str, Vec<Option<f64>>)]) {
    let top = lines.iter().flat_map(|(_, _, values)| values.iter().flatten()).copied().fold(0.0, f64::max);
    if top <= 0.0 {
        return push(html, format_args!("<figure><figcaption>{title}: nothing to show</figcaption></figure>\n"));
    }
    push(html, format_args!("<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"));
    for (_, colour, values) in lines {
        let step = WIDTH / values.len().max(2) as f64;
        let mut pen = 'M';
        let mut path = String::new();
        for (index, value) in values.iter().enumerate() {
            let Some(value) = value else {
                pen = 'M';
                continue;
            };
            let (x, y) = ((index as f64 + 0.5) * step, HEIGHT - 4.0 - value / top * (HEIGHT - 8.0));
            push(&mut path, format_args!("{pen}{x:.1} {y:.1}h0.1"));
            pen = 'L';
        }
        push(html, format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"));
    }
    let legend: Vec<String> =
        lines.iter().map(|(name, colour, _)| format!("<span style=\"color:{colour}\">{name}</span>")).collect();
    let legend = legend.join(", ");
    push(html, format_args!("</svg><figcaption>{title}: {legend}; the top is {top:.1}</figcaption></figure>\n"));
}

fn table(html: &mut String, summary: &Summary) {
    const COLUMNS: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];
    html.push_str("<table><tr><th>request</th><th>sent</th><th>statuses</th>");
    COLUMNS.iter().for_each(|column| push(html, format_args!("<th>{column} ms</th>")));
    html.push_str("</tr>\n");
    for (key, statuses) in &summary.ledger {
        let whole = summary.whole();
        let statuses: Vec<String> = statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        let (name, started) = (escaped(&key.request), whole.flow(Some(&key.request)).started);
        push(html, format_args!("<tr><td>{name}</td><td>{started}</td><td>{}</td>", statuses.join(", ")));
        let latency = percentiles(whole.latency(Some(&key.request)).as_ref());
        for column in COLUMNS {
            let value =
                latency.get(column).map_or_else(|| "n/a".to_owned(), |micros| format!("{:.1}", *micros as f64 / 1e3));
            push(html, format_args!("<td>{value}</td>"));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes every write");
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
