//! The three ledgers of an agreement on requests: what the client sent, what the metrics counted, what the logs tell; each
//! with what it cannot know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::gather::Sources;
use crate::clock::Stamp;
use crate::expect::agreement::{Cell, Count, Pattern, Slack};
use crate::expect::{Agreement, Dimension, Labels};
use crate::load::{self, ErrorClass, Status};
use crate::telemetry::Error;
use crate::telemetry::prometheus::{Point, Prometheus, Series};

/// Counters as they stood before the load began: raw values by label set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Base {
    /// Until when everything had been scraped.
    pub at: Stamp,
}

/// A restart of the service: its last scrape before, its first one after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Restart {
    /// The last scrape of the old process.
    pub before: Stamp,
    /// The first scrape of the new one.
    pub after: Stamp,
}

/// How long log lines may be on their way when their process is killed.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What the client sent, by the cells of the agreement.
#[must_use]
pub fn client(spec: &Agreement, loads: &BTreeMap<String, load::Summary>) -> Count {
    let mut count = Count::default();
    for summary in loads.values() {
        for (key, statuses) in &summary.ledger {
            let coordinate = |dimension: Dimension| match dimension {
                Dimension::Route => Some(route(&key.route)),
                Dimension::Status => None,
                Dimension::Method => Some(key.method.clone()),
            };
            let mut unknown = summary.whole().flow(Some(&key.request)).cancelled;
            for (status, number) in statuses {
                match status {
                    Status::Code(code) => {
                        let cell = cell(spec, |it| coordinate(it).unwrap_or_else(|| code.to_string()));
                        *count.cells.entry(cell).or_default() += number;
                    }
                    Status::Error(ErrorClass::Connect | ErrorClass::Client) => {}
                    Status::Error(_) => unknown += number,
                }
            }
            if unknown > 0 {
                let cell = spec.by.iter().map(|it| coordinate(*it)).collect();
                count.slack.push(Slack { cell, up_to: unknown, why: "sent, and no answer" });
            }
        }
    }
    count
}

/// A path template without its query string, which no route label has.
pub(super) fn route(template: &str) -> String {
    template.split('?').next().unwrap_or(template).to_owned()
}

fn cell(spec: &Agreement, value: impl Fn(Dimension) -> String) -> Cell {
    spec.by.iter().map(|dimension| value(*dimension)).collect()
}

/// What a restart may have taken with it: the requests that were answered shortly before, by what is known of them.
fn taken(spec: &Agreement, from: Sources<'_>, restarts: &[Restart], back: Duration, why: &'static str) -> Vec<Slack> {
    let mut taken: BTreeMap<Pattern, u64> = BTreeMap::new();
    for summary in from.loads.values() {
        let keys: BTreeSet<_> = summary.ledger.keys().collect();
        for restart in restarts {
            let slot = summary.slot_width;
            let since = Stamp(restart.before.0 - micros(back.max(slot)));
            let part = summary.between(since, restart.after + slot);
            for key in &keys {
                let answered = part.flow(Some(&key.request)).completed;
                let pattern = spec.by.iter().map(|dimension| match dimension {
                    Dimension::Route => Some(route(&key.route)),
                    Dimension::Status => None,
                    Dimension::Method => Some(key.method.clone()),
                });
                *taken.entry(pattern.collect()).or_default() += answered;
            }
        }
    }
    let some = taken.into_iter().filter(|(_, up_to)| *up_to > 0);
    some.map(|(cell, up_to)| Slack { cell, up_to, why }).collect()
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// What the service's counters grew by since the load began, from raw samples, resets included (T07, T09).
pub async fn metrics(spec: &Agreement, from: Sources<'_>) -> Count {
    let Some(signal) = &from.signals.requests else {
        return failed("stack.toml names no `[signals] requests`".to_owned());
    };
    let read = async {
        let series = raw_since(from.prometheus, &signal.metric, from.base.at, from.settled, from.scrape).await?;
        Ok::<_, Error>((series, restarts(from).await?))
    };
    let (series, restarts) = match read.await {
        Ok(read) => read,
        Err(error) => return failed(error.to_string()),
    };
    let mut count = Count::default();
    for one in &series {
        let grown = whole(growth(one, from.base.at, &restarts));
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
    count.slack = taken(spec, from, &restarts, from.scrape, "counted since the last scrape of a process that ended");
    count
}

pub(super) async fn raw_since(
    prometheus: &Prometheus,
    selector: &str,
    since: Stamp,
    until: Stamp,
    scrape: Duration,
) -> Result<Vec<Series>, Error> {
    let length = until.since(since) + scrape * 2;
    let answer = prometheus.range_raw(&format!("{selector}[{}ms]", length.as_millis()), until).await?;
    Ok(answer.value)
}

/// The service's restarts since the load began, by the start time that its process exposes.
pub(super) async fn restarts(from: Sources<'_>) -> Result<Vec<Restart>, Error> {
    let job = from.signals.target.as_ref().map(|target| format!("{{job={:?}}}", target.job)).unwrap_or_default();
    let selector = format!("process_start_time_seconds{job}");
    let series = raw_since(from.prometheus, &selector, from.base.at, from.settled, from.scrape).await?;
    Ok(changes(&series))
}

/// Where a value changes from one sample to the next.
fn changes(series: &[Series]) -> Vec<Restart> {
    let pairs = series.iter().flat_map(|one| one.points.windows(2));
    let changed = |pair: &&[Point]| pair[0].value.to_bits() != pair[1].value.to_bits();
    let mut found: Vec<Restart> =
        pairs.filter(changed).map(|pair| Restart { before: pair[0].at, after: pair[1].at }).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// How much a counter grew after `base`: the sum of its steps, where a step down, and a step over a restart, begin at zero.
pub(super) fn growth(series: &Series, base: Stamp, restarts: &[Restart]) -> f64 {
    let mut previous: Option<Point> = None;
    let mut sum = 0.0;
    for point in &series.points {
        let before = previous.replace(*point);
        if point.at <= base {
            continue;
        }
        let anew = |before: &Point| restarts.iter().any(|it| it.before >= before.at && it.after <= point.at);
        sum += match before {
            Some(before) if point.value >= before.value && !anew(&before) => point.value - before.value,
            _ => point.value,
        };
    }
    sum
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests, never negative")]
fn whole(count: f64) -> u64 {
    count.round() as u64
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
        *count.cells.entry(cell).or_default() += whole(sample.value);
    }
    match restarts(from).await {
        Ok(restarts) => {
            count.slack = taken(spec, from, &restarts, LAST_WORDS, "the last lines of a process that ended");
            count
        }
        Err(error) => failed(error.to_string()),
    }
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

    fn series(values: &[(i64, f64)]) -> Series {
        let points =
            values.iter().map(|(second, value)| Point { at: Stamp(second * 1_000_000), value: *value }).collect();
        Series { labels: Labels::new(), points }
    }

    fn grown(values: &[(i64, f64)], restarts: &[Restart]) -> u64 {
        whole(growth(&series(values), Stamp(10_000_000), restarts))
    }

    #[test]
    fn growth_counts_from_the_base_and_through_resets_t09() {
        assert_eq!(grown(&[(9, 500.0), (11, 503.0), (12, 510.0)], &[]), 10);
        assert_eq!(grown(&[(11, 3.0), (12, 5.0)], &[]), 5, "born after the base, counted from zero (T08)");
        assert_eq!(grown(&[(9, 500.0), (11, 510.0), (12, 4.0)], &[]), 14);
        assert_eq!(grown(&[(9, 500.0)], &[]), 0);
    }

    #[test]
    fn a_restart_counts_from_zero_also_when_the_new_process_overtakes_the_old_t09() {
        let restart = Restart { before: Stamp(11_000_000), after: Stamp(14_000_000) };
        assert_eq!(grown(&[(9, 5.0), (11, 7.0), (14, 20.0)], &[]), 15, "13 steps, as far as anybody can tell");
        assert_eq!(grown(&[(9, 5.0), (11, 7.0), (14, 20.0)], &[restart]), 22);
        assert_eq!(grown(&[(9, 5.0), (11, 7.0), (14, 20.0), (15, 21.0)], &[restart]), 23, "only at the restart");
    }

    #[test]
    fn restarts_are_where_the_start_time_changes() {
        let starts = [series(&[(10, 100.0), (11, 100.0), (14, 113.0), (15, 113.0)])];
        let found = changes(&starts);
        assert_eq!(found, [Restart { before: Stamp(11_000_000), after: Stamp(14_000_000) }]);
    }
}
