//! Gathers what agreements on log lines and on latency are judged by: numbered lines on standard output and in the log
//! store, the ids that were sent; the service's histogram and the client's times.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::count::{self, growth, raw_since, restarts};
use super::gather::Sources;
use crate::expect::latency::{self, Histogram, Measured, QUANTILES};
use crate::expect::lines::{self, Found, Line, Sent};
use crate::expect::{Agreement, Dimension, Observer};
use crate::load::Summary;
use crate::outcome::Outcome;
use crate::stack::spec::LogSignal;
use crate::telemetry::loki::{self, Loki};
use crate::telemetry::{Error, parse_number};

/// The most lines that are read for one account.
const MOST_LINES: usize = 5_000_000;

/// Judges the account of the log lines.
pub async fn log_lines(spec: &Agreement, from: Sources<'_>) -> Outcome {
    let found = match read_lines(spec, from).await {
        Ok(found) => found,
        Err(error) => Found { error: Some(error), ..Found::default() },
    };
    lines::judge(&found)
}

async fn read_lines(spec: &Agreement, from: Sources<'_>) -> Result<Found, String> {
    let signal = from.signals.log_line.as_ref().ok_or("stack.toml names no `[signals] log-line`")?;
    let sequence =
        signal.sequence.as_ref().ok_or("`[signals] log-line` names no `sequence`: lines cannot be missed")?;
    let store = from.loki.ok_or("the stack has no log store")?;
    let stdout = from.about.stdout.as_deref().and_then(|path| read_file(path, signal, sequence));
    let discarded = store.own_metrics().await.map(|metrics| loki::discarded(&metrics)).unwrap_or_default();
    let asks = spec.between.contains(&Observer::Client) && signal.request_id.is_some();
    Ok(Found {
        stdout,
        store: read_store(store, signal, sequence, from).await?,
        discarded: discarded.into_iter().filter(|(_, count)| *count > 0.0).collect(),
        sent: (asks && !from.loads.is_empty()).then(|| sent(from)),
        error: None,
    })
}

fn sent(from: Sources<'_>) -> Sent {
    let of = |(load, summary): (&String, &Summary)| {
        let prefix = from.about.prefixes.get(load)?.clone();
        Some((prefix, (summary.flow.started, summary.flow.started - summary.flow.completed)))
    };
    Sent { by_prefix: from.loads.iter().filter_map(of).collect() }
}

/// The numbered lines of a file; none where there is no such file.
fn read_file(path: &Path, signal: &LogSignal, sequence: &str) -> Option<Vec<Line>> {
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    Some(text.lines().zip(0..).filter_map(|(line, place)| numbered(line, place, signal, sequence)).collect())
}

/// Reads a line's number; one that is torn, no JSON or without a number is none of these lines.
fn numbered(line: &str, at: i64, signal: &LogSignal, sequence: &str) -> Option<Line> {
    let object = object(line)?;
    let field = |name: &Option<String>| match name.as_ref().and_then(|name| object.get(name)) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let number = match object.get(sequence)? {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    Some(Line { at, process: field(&signal.process), number, request: field(&signal.request_id) })
}

/// A line's object. What a killed process had half written stands in front of its successor's first line.
fn object(line: &str) -> Option<Value> {
    let whole = serde_json::from_str(line).ok();
    whole.or_else(|| line.match_indices("{\"").skip(1).find_map(|(at, _)| serde_json::from_str(&line[at..]).ok()))
}

/// The numbered lines of the log store, without the rest of their text.
async fn read_store(store: &Loki, signal: &LogSignal, sequence: &str, from: Sources<'_>) -> Result<Vec<Line>, String> {
    let mut parts = vec![format!("number={sequence:?}")];
    parts.extend(signal.process.as_ref().map(|name| format!("process={name:?}")));
    parts.extend(signal.request_id.as_ref().map(|name| format!("request={name:?}")));
    let query = format!(
        "{} | json {} | number!=\"\" | line_format \"{{{{.number}}}} {{{{.process}}}} {{{{.request}}}}\"",
        signal.selector,
        parts.join(", ")
    );
    let window = loki::Window::between(from.about.begun, from.settled);
    let limits = loki::Limits { total: MOST_LINES, ..loki::Limits::default() };
    let answer = store.query_range(&query, window, limits).await.map_err(|error| format!("{query}: {error}"))?;
    if let Some(warning) = answer.warnings.first() {
        return Err(format!("the log store answered only in part: {warning}"));
    }
    let read = |entry: loki::Entry| -> Option<Line> {
        let mut words = entry.line.split(' ');
        let number = words.next()?.parse().ok()?;
        let mut next = || words.next().unwrap_or_default().to_owned();
        Some(Line { at: entry.ts, process: next(), number, request: next() })
    };
    Ok(answer.value.into_iter().filter_map(read).collect())
}

/// Judges an agreement on latency.
pub async fn latencies(spec: &Agreement, from: Sources<'_>) -> Outcome {
    let seen = match histograms(spec, from).await {
        Ok(histograms) => latency::Seen {
            histograms,
            client: measured(spec, from),
            saturation: from.loads.values().find_map(|it| it.saturation.as_ref().map(ToString::to_string)),
            error: None,
        },
        Err(error) => latency::Seen { error: Some(error), ..latency::Seen::default() },
    };
    latency::judge(spec, &seen)
}

async fn histograms(spec: &Agreement, from: Sources<'_>) -> Result<BTreeMap<String, Histogram>, String> {
    let signal = from.signals.latency.as_ref().ok_or("stack.toml names no `[signals] latency`")?;
    let selector = format!("{{__name__=~\"{0}_bucket|{0}_sum|{0}_count\"}}", signal.metric);
    let read = async {
        let series = raw_since(from.prometheus, &selector, from.base.at, from.settled, from.scrape).await?;
        Ok::<_, Error>((series, restarts(from).await?))
    };
    let (series, restarts) = read.await.map_err(|error| format!("Prometheus: {error}"))?;
    let by_route = spec.by.contains(&Dimension::Route);
    let mut histograms: BTreeMap<String, (BTreeMap<Bound, f64>, Histogram)> = BTreeMap::new();
    for one in &series {
        let grown = growth(one, from.base.at, &restarts);
        let label = |name: &str| one.labels.get(name).cloned().unwrap_or_default();
        let route = signal.route.as_deref().map(label).filter(|_| by_route);
        for place in std::iter::once(String::new()).chain(route.filter(|route| !route.is_empty())) {
            let (buckets, histogram) = histograms.entry(place).or_default();
            match label("__name__").rsplit_once('_').map(|(_, suffix)| suffix.to_owned()).as_deref() {
                Some("bucket") => {
                    let bound = parse_number(&label("le")).unwrap_or(f64::NAN);
                    *buckets.entry(Bound(bound)).or_default() += grown;
                }
                Some("sum") => histogram.sum += grown,
                _ => histogram.count += grown,
            }
        }
    }
    let ready = histograms.into_iter().map(|(route, (buckets, histogram))| {
        let buckets = buckets.into_iter().map(|(bound, count)| (bound.0, count)).collect();
        (route, Histogram { buckets, ..histogram })
    });
    Ok(ready.filter(|(_, histogram)| histogram.count > 0.0).collect())
}

/// A bucket's upper bound, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bound(f64);

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What the client measured, all together where there is one load, and by route where one request alone takes it.
fn measured(spec: &Agreement, from: Sources<'_>) -> BTreeMap<String, Measured> {
    let times = |summary: &Summary, request: Option<&str>| -> Option<Measured> {
        let times = summary.whole().service_time(request)?;
        let quantiles = QUANTILES.iter().filter_map(|(_, quantile)| times.quantile(*quantile)).collect();
        Some(Measured { count: times.count(), quantiles })
    };
    let mut measured = BTreeMap::new();
    let loads: Vec<&Summary> = from.loads.values().collect();
    if let [only] = loads.as_slice() {
        measured.extend(times(only, None).map(|it| (String::new(), it)));
    }
    if spec.by.contains(&Dimension::Route) {
        let mut by_route: BTreeMap<String, BTreeSet<(usize, &str)>> = BTreeMap::new();
        for (index, summary) in loads.iter().enumerate() {
            for key in summary.ledger.keys() {
                by_route.entry(count::route(&key.route)).or_default().insert((index, key.request.as_str()));
            }
        }
        for (route, requests) in by_route.into_iter().filter(|(_, requests)| requests.len() == 1) {
            let Some((index, request)) = requests.into_iter().next() else { continue };
            measured.extend(times(loads[index], Some(request)).map(|it| (route, it)));
        }
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal() -> LogSignal {
        LogSignal {
            selector: "{a=\"b\"}".to_owned(),
            event: None,
            route: None,
            method: None,
            status: None,
            sequence: Some("seq".to_owned()),
            request_id: Some("request_id".to_owned()),
            process: Some("boot".to_owned()),
        }
    }

    #[test]
    fn numbered_lines_are_read_and_torn_ones_are_not() {
        let read = |text: &str| numbered(text, 7, &signal(), "seq");
        let line = read(r#"{"seq":12,"boot":"b1","request_id":"r-1"}"#).unwrap();
        assert_eq!(line, Line { at: 7, process: "b1".into(), number: 12, request: "r-1".into() });
        assert_eq!(read(r#"{"seq":"12"}"#).unwrap().number, 12);
        assert_eq!(read(r#"{"seq":99,"bo{"seq":1,"boot":"b2"}"#).unwrap().process, "b2", "after a torn line");
        for bad in ["", "plain", r#"{"msg":"x"}"#, r#"{"seq":-1}"#, r#"{"seq":12,"bo"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
