//! The three ledgers of an agreement: what the client sent, what the metrics counted, what the logs tell.

use std::collections::BTreeMap;
use std::time::Duration;

use super::gather::Sources;
use crate::clock::Stamp;
use crate::expect::agreement::{Cell, Count};
use crate::expect::{Agreement, Dimension, Labels};
use crate::load::{self, ErrorClass, Status};
use crate::telemetry::Error;
use crate::telemetry::prometheus::{Prometheus, Series};

/// Counters as they stood before the load began: raw values by label set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Base {
    /// Until when everything had been scraped.
    pub at: Stamp,
}

/// What the client sent, by the cells of the agreement.
#[must_use]
pub fn client(spec: &Agreement, loads: &BTreeMap<String, load::Summary>) -> Count {
    let mut count = Count::default();
    for summary in loads.values() {
        count.unknown += summary.flow.cancelled;
        for (key, statuses) in &summary.ledger {
            for (status, number) in statuses {
                match status {
                    Status::Code(code) => {
                        let cell = cell(spec, |dimension| match dimension {
                            Dimension::Route => route(&key.route),
                            Dimension::Status => code.to_string(),
                            Dimension::Method => key.method.clone(),
                        });
                        *count.cells.entry(cell).or_default() += number;
                    }
                    Status::Error(ErrorClass::Connect | ErrorClass::Client) => {}
                    Status::Error(_) => count.unknown += number,
                }
            }
        }
    }
    count
}

/// A path template without its query string, which no route label has.
fn route(template: &str) -> String {
    template.split('?').next().unwrap_or(template).to_owned()
}

fn cell(spec: &Agreement, value: impl Fn(Dimension) -> String) -> Cell {
    spec.by.iter().map(|dimension| value(*dimension)).collect()
}

/// What the service's counters grew by since the load began, from raw samples, resets included (T07, T09).
pub async fn metrics(spec: &Agreement, from: Sources<'_>) -> Count {
    let Some(signal) = &from.signals.requests else {
        return failed("stack.toml names no `[signals] requests`".to_owned());
    };
    let series = match raw_since(from.prometheus, &signal.metric, from.base.at, from.settled, from.scrape).await {
        Ok(series) => series,
        Err(error) => return failed(error.to_string()),
    };
    let mut count = Count::default();
    for one in &series {
        let grown = growth(one, from.base.at);
        if grown == 0 {
            continue;
        }
        let label = |dimension| match dimension {
            Dimension::Route => signal.route.as_deref(),
            Dimension::Status => signal.status.as_deref(),
            Dimension::Method => signal.method.as_deref(),
        };
        if let Some(missing) = spec.by.iter().find(|it| !label(**it).is_some_and(|name| one.labels.contains_key(name)))
        {
            count.missing_label = Some(format!("{} has no label for {missing:?}", signal.metric).to_lowercase());
            return count;
        }
        let cell = cell(spec, |it| label(it).and_then(|name| one.labels.get(name)).cloned().unwrap_or_default());
        *count.cells.entry(cell).or_default() += grown;
    }
    count
}

async fn raw_since(
    prometheus: &Prometheus,
    metric: &str,
    since: Stamp,
    until: Stamp,
    scrape: Duration,
) -> Result<Vec<Series>, Error> {
    let length = until.since(since) + scrape * 2;
    let answer = prometheus.range_raw(&format!("{metric}[{}ms]", length.as_millis()), until).await?;
    Ok(answer.value)
}

/// How much a counter grew after `base`: the sum of its steps, where a step down is a restart from zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests, never negative")]
fn growth(series: &Series, base: Stamp) -> u64 {
    let mut previous: Option<f64> = None;
    let mut sum = 0.0;
    for point in &series.points {
        let before = previous.replace(point.value);
        if point.at <= base {
            continue;
        }
        sum += match before {
            Some(before) if point.value >= before => point.value - before,
            _ => point.value,
        };
    }
    sum.round() as u64
}

/// What the access log tells since the load began.
pub async fn logs(spec: &Agreement, from: Sources<'_>) -> Count {
    let Some(signal) = &from.signals.log_line else {
        return failed("stack.toml names no `[signals] log-line`".to_owned());
    };
    let Some(store) = from.loki else {
        return failed("the stack has no log store".to_owned());
    };
    let label = |dimension: &Dimension| match dimension {
        Dimension::Route => signal.route.clone(),
        Dimension::Status => signal.status.clone(),
        Dimension::Method => signal.method.clone(),
    };
    let Some(names) = spec.by.iter().map(label).collect::<Option<Vec<String>>>() else {
        return failed("`[signals] log-line` does not name every field the agreement is by".to_owned());
    };
    let event = signal.event.as_ref().map(|event| format!(" | {event}")).unwrap_or_default();
    let length = from.settled.since(from.base.at).as_millis();
    let query =
        format!("sum by ({}) (count_over_time({} | json{event} [{length}ms]))", names.join(", "), signal.selector);
    let answer = match store.instant(&query, from.settled.0.saturating_mul(1000)).await {
        Ok(answer) => answer,
        Err(error) => return failed(format!("{query}: {error}")),
    };
    let mut count = Count::default();
    for sample in answer.value {
        let cell = names.iter().map(|name| value_of(&sample.labels, name)).collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of lines")]
        let lines = sample.value as u64;
        *count.cells.entry(cell).or_default() += lines;
    }
    count
}

fn value_of(labels: &Labels, name: &str) -> String {
    labels.get(name).cloned().unwrap_or_default()
}

fn failed(error: String) -> Count {
    Count { error: Some(error), ..Count::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::prometheus::Point;

    fn series(values: &[(i64, f64)]) -> Series {
        let points =
            values.iter().map(|(second, value)| Point { at: Stamp(second * 1_000_000), value: *value }).collect();
        Series { labels: Labels::new(), points }
    }

    #[test]
    fn growth_counts_from_the_base_and_through_resets_t09() {
        let base = Stamp(10_000_000);
        assert_eq!(growth(&series(&[(9, 500.0), (11, 503.0), (12, 510.0)]), base), 10);
        assert_eq!(growth(&series(&[(11, 3.0), (12, 5.0)]), base), 5, "born after the base, counted from zero (T08)");
        assert_eq!(growth(&series(&[(9, 500.0), (11, 510.0), (12, 4.0)]), base), 14);
        assert_eq!(growth(&series(&[(9, 500.0)]), base), 0);
    }
}
