//! A load as a page: one self-contained HTML file, without script, that shows what was planned, what was sent and how long
//! it took. Made from a `Summary`; written by `cli` for `harness load`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::chart::{Line, figure};
use super::command::{Report, percentiles};
use super::summary::{Summary, Window};

/// At most so many points in a chart; longer loads get wider ones.
const POINTS: u32 = 300;
const COLUMNS: [&str; 6] = ["p50", "p90", "p95", "p99", "p99.9", "max"];

/// A stretch of the load as a point in a chart.
struct Point {
    /// Requests per second.
    planned: f64,
    sent: f64,
    errors: f64,
    latency: BTreeMap<String, u64>,
}

/// The summary as an HTML page. Everything that comes from outside is escaped.
#[must_use]
pub fn page(summary: &Summary) -> String {
    let report = Report::from(summary);
    let lasted = summary.taken_at.since(summary.started_at);
    let width = stretch(lasted, summary.slot_width);
    let mut points: Vec<Point> = summary.series(width).map(|window| point(&window, width)).collect();
    // while the last answers are waited for, nothing is due any more, which is no rate of zero
    while points.pop_if(|last| last.planned == 0.0).is_some() {}
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Load {name}</title>\n<style>{STYLE}</style></head>\n<body><h1>Load {name}</h1>\n",
        name = escaped(&summary.load),
    );
    for doubt in &report.doubts {
        let (code, what) = (escaped(&doubt.code), escaped(&doubt.what));
        push(&mut html, format_args!("<p class=\"bad\"><b>INCONCLUSIVE({code})</b> {what}</p>\n"));
    }
    if let Some(why) = &report.tls_failure {
        push(&mut html, format_args!("<p class=\"bad\"><b>TLS failed:</b> {}</p>\n", escaped(why)));
    }
    counts(&mut html, &report);
    // a point is as wide as its stretch, so the axis ends with the last one
    let seconds = width.as_secs_f64() * points.len().max(1) as f64;
    rates(&mut html, &points, seconds);
    latencies(&mut html, &points, seconds);
    times(&mut html, &report);
    requests(&mut html, &report);
    html.push_str("</body></html>\n");
    html
}

const STYLE: &str = ":root{--ink:#1c2430;--soft:#667;--line:#d8dce3;--card:#f5f6f8;--page:#fff;--red:#c62828;\
--blue:#1565c0;--green:#2e7d32;--amber:#e65100}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa3b0;--line:#343b46;--card:#1d232c;--page:#14181e;\
--red:#ef7070;--blue:#64a8f0;--green:#74c078;--amber:#f2a04c}}\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:var(--ink);\
background:var(--page)}h1{font-size:1.5rem}\
dl{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}dl div{background:var(--card);border-radius:.4rem;\
padding:.4rem .9rem;min-width:6.5rem}dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-size:1.25rem;\
font-variant-numeric:tabular-nums}\
table{border-collapse:collapse;margin:1rem 0;width:100%;font-variant-numeric:tabular-nums}\
td,th{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--line)}th{color:var(--soft);font-weight:500}\
td:first-child,th:first-child,.left{text-align:left}.bad{border-left:4px solid var(--red);background:var(--card);\
padding:.4rem .8rem}.note{color:var(--soft)}figure{margin:1.5rem 0}svg{width:100%;height:auto;display:block}\
figcaption span{margin-left:.8rem;font-weight:600}\
svg line{stroke:var(--line)}svg text{fill:var(--soft);font-size:12px}.y{text-anchor:end}.x{text-anchor:middle}\
path{fill:none;stroke-width:1.8;stroke-linejoin:round}path.planned{stroke:var(--soft);stroke-width:4;opacity:.45}\
path.sent{stroke:var(--blue)}path.errors{stroke:var(--red)}path.p50{stroke:var(--green)}path.p90{stroke:var(--blue)}\
path.p99{stroke:var(--amber)}span.planned{color:var(--soft)}span.sent,span.p90{color:var(--blue)}\
span.errors{color:var(--red)}span.p50{color:var(--green)}span.p99{color:var(--amber)}";

/// Whole slots, as part of one would be missing.
fn stretch(lasted: Duration, slot: Duration) -> Duration {
    let least = Duration::from_secs((lasted / POINTS).as_secs() + 1);
    slot * u32::try_from(least.as_nanos().div_ceil(slot.as_nanos())).unwrap_or(u32::MAX)
}

fn point(window: &Window, width: Duration) -> Point {
    let flow = window.flow(None);
    let rate = |count: u64| count as f64 / width.as_secs_f64();
    Point {
        planned: rate(flow.planned),
        sent: rate(flow.started),
        errors: rate(flow.unexpected + flow.failed),
        latency: percentiles(window.latency(None).as_ref()),
    }
}

fn counts(html: &mut String, report: &Report) {
    let flow = &report.flow;
    let share = |share: Option<f64>| share.map_or_else(|| "n/a".to_owned(), |share| format!("{:.2} %", share * 100.0));
    html.push_str("<dl>");
    for (name, value) in [
        ("planned", flow.planned.to_string()),
        ("sent", format!("{} ({})", flow.started, share(report.achieved_share))),
        ("dropped", flow.dropped.to_string()),
        ("as expected", flow.succeeded().to_string()),
        ("not as expected", flow.unexpected.to_string()),
        ("without an answer", flow.failed.to_string()),
        ("cancelled", flow.cancelled.to_string()),
        ("errors", share(report.error_share)),
        ("lasted", format!("{:.1} s", report.lasted.as_secs_f64())),
    ] {
        push(html, format_args!("<div><dt>{name}</dt><dd>{value}</dd></div>"));
    }
    html.push_str("</dl>\n");
}

fn rates(html: &mut String, points: &[Point], seconds: f64) {
    let line =
        |name, value: fn(&Point) -> f64| Line { name, values: points.iter().map(|it| Some(value(it))).collect() };
    let lines = [
        line("planned", |point| point.planned),
        line("sent", |point| point.sent),
        line("errors", |point| point.errors),
    ];
    figure(html, "Requests per second by intended start", "", &lines, seconds);
}

fn latencies(html: &mut String, points: &[Point], seconds: f64) {
    let line = |name| {
        let millis = |point: &Point| point.latency.get(name).map(|micros| *micros as f64 / 1e3);
        Line { name, values: points.iter().map(millis).collect() }
    };
    figure(html, "Latency from the intended start", " ms", &[line("p99"), line("p90"), line("p50")], seconds);
}

/// The load's times as a whole.
fn times(html: &mut String, report: &Report) {
    html.push_str("<table><tr><th>all requests</th>");
    COLUMNS.iter().for_each(|column| push(html, format_args!("<th>{column} ms</th>")));
    html.push_str("</tr>\n");
    for (name, times) in [
        ("latency, from the intended start", &report.latency_us),
        ("service time, from the actual start", &report.service_time_us),
        ("lag, from the intended to the actual start", &report.lag_us),
    ] {
        push(html, format_args!("<tr><td>{name}</td>"));
        cells(html, times);
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    if let Some(warm_up) = &report.warm_up {
        let (planned, lasted) = (warm_up.planned, warm_up.lasted.as_secs_f64());
        push(
            html,
            format_args!(
                "<p class=\"note\">The tables' times leave out the warm-up: {planned} requests in the first {lasted:.1} s. \
                 Counts, statuses and charts have them.</p>\n"
            ),
        );
    }
}

fn requests(html: &mut String, report: &Report) {
    html.push_str("<table><tr><th>request</th><th class=\"left\">statuses</th>");
    COLUMNS.iter().for_each(|column| push(html, format_args!("<th>{column} ms</th>")));
    html.push_str("</tr>\n");
    for request in &report.requests {
        let statuses: Vec<String> =
            request.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        // a load from the command line has one request, which its method and route tell more about than its name
        let route = format!("{} {}", request.method, request.route);
        let name = if report.requests.len() > 1 { format!("{}: {route}", request.request) } else { route };
        let statuses = if statuses.is_empty() { "none".to_owned() } else { statuses.join(", ") };
        push(html, format_args!("<tr><td>{}</td><td class=\"left\">{statuses}</td>", escaped(&name)));
        cells(html, &request.latency_us);
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
}

/// Times in milliseconds.
fn cells(html: &mut String, times: &BTreeMap<String, u64>) {
    for column in COLUMNS {
        let millis = |micros: &u64| format!("{:.2}", *micros as f64 / 1e3);
        let value = times.get(column).map_or_else(|| "n/a".to_owned(), millis);
        push(html, format_args!("<td>{value}</td>"));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_a_chart_is_as_wide_as_whole_slots_so_that_long_loads_have_no_gaps() {
        let (second, slot) = (Duration::from_secs(1), Duration::from_millis(250));
        assert_eq!(stretch(30 * second, slot), second);
        assert_eq!(stretch(600 * second, 2 * second), 4 * second);
        assert_eq!(stretch(3_600 * second, 16 * second), 16 * second);
    }
}
