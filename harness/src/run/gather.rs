//! Gathers what a judge needs from the watchers, and hands it over. Asking happens here, deciding in `expect`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::about::About;
use super::count::{self, Base};
use super::record::Record;
use super::windows::Times;
use super::{exposed, panel, tally};
use crate::clock::Stamp;
use crate::expect::look::{Coverage, ScaledTime};
use crate::expect::{
    Counted, Expectation, Labels, Log, LogAnswer, Metric, Objective, Observer, Reading, Target, Window, agreement,
    alert, heartbeat, log, metric, notification, objective, suppression, target, unexpected,
};
use crate::load;
use crate::outcome::{Evidence, Outcome, Reason};
use crate::plan::build::{During, Step};
use crate::stack::spec::Signals;
use crate::telemetry::grafana::Grafana;
use crate::telemetry::loki::{self, Loki};
use crate::telemetry::prometheus::{Prometheus, Series};
use crate::telemetry::{Answer, Error};

/// Everything a judge may ask.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Metrics.
    pub prometheus: &'a Prometheus,
    /// Logs, where there is a log store.
    pub loki: Option<&'a Loki>,
    /// Dashboards, where Grafana runs.
    pub grafana: Option<&'a Grafana>,
    /// What was observed while the scenario ran.
    pub record: &'a Record,
    /// The loads' summaries by name.
    pub loads: &'a BTreeMap<String, load::Summary>,
    /// What the service calls its signals.
    pub signals: &'a Signals,
    /// Counters before the load began.
    pub base: &'a Base,
    /// The scrape interval.
    pub scrape: Duration,
    /// For texts.
    pub time: ScaledTime,
    /// What is known besides.
    pub about: &'a About,
    /// The latest time that is completely scraped.
    pub settled: Stamp,
    /// When phases and faults began and ended.
    pub times: &'a Times,
    /// When Prometheus itself was the target of a fault: what it then does not see is no hole.
    pub blind: &'a [(Stamp, Stamp)],
}

/// Judges one expectation in its window.
pub async fn judge(step: &Step, window: Window, from: Sources<'_>) -> Outcome {
    let time = from.time;
    match &step.what {
        Expectation::Metric(spec) => judge_metric(spec, step, window, from).await,
        Expectation::Target(spec) => judge_target(spec, step, window, from).await,
        Expectation::Log(spec) => judge_log(spec, step, window, from).await,
        Expectation::Alert(spec) => alert::judge(spec, step.mode, window, &from.record.history(&spec.name), time),
        Expectation::Notification(spec) => {
            let history = from.record.history(&spec.alert);
            notification::judge(spec, step.mode, window, &from.record.mail(), &history, time)
        }
        Expectation::Heartbeat(spec) => judge_heartbeat(spec, window, from.record, from.times, time),
        Expectation::Suppression(spec) => judge_suppression(spec, &step.during, window, from.record, from.times, time),
        Expectation::Load(spec) => judge_load(spec, window, from),
        Expectation::Series(spec) => exposed::judge(spec, window, from).await,
        Expectation::Dashboard(spec) => panel::judge(spec, step.mode, window, from).await,
        Expectation::Managed(spec) => panel::judge_managed(spec, window, from).await,
        Expectation::Agreement(spec) if spec.of == Counted::LogLines => tally::log_lines(spec, from).await,
        Expectation::Agreement(spec) if spec.of == Counted::Latency => tally::latencies(spec, from).await,
        Expectation::Agreement(spec) => {
            let mut counts = BTreeMap::new();
            for observer in &spec.between {
                let count = match observer {
                    Observer::Client => count::client(spec, from.loads),
                    Observer::Metrics => count::metrics(spec, from).await,
                    Observer::Logs => count::logs(spec, from).await,
                };
                counts.insert(*observer, count);
            }
            agreement::judge(spec, &counts)
        }
        Expectation::NoOtherAlert(spec) => {
            unexpected::judge_others(spec, window, from.blind, &from.record.histories(), time)
        }
        Expectation::Always(spec) => {
            unexpected::judge_always(spec, window, from.blind, from.record.histories().get(&spec.name), time)
        }
    }
}

/// Judges a heartbeat by what is known so far.
#[must_use]
pub fn judge_heartbeat(
    spec: &heartbeat::Heartbeat,
    window: Window,
    record: &Record,
    times: &Times,
    time: ScaledTime,
) -> Outcome {
    let baseline = times.window(&During::Baseline, Duration::ZERO);
    heartbeat::judge(spec, window, baseline, &record.mail(), &record.history(&spec.alert), time)
}

/// Judges a suppression by what is known so far.
#[must_use]
pub fn judge_suppression(
    spec: &suppression::Suppression,
    during: &During,
    window: Window,
    record: &Record,
    times: &Times,
    time: ScaledTime,
) -> Outcome {
    let alert = record.history(&spec.alert);
    let by = match &spec.cause {
        suppression::Cause::Inhibition { by } => record.history(by),
        _ => alert.clone(),
    };
    let seen = suppression::Seen { mail: &record.mail(), alert: &alert, by: &by, released: times.reverting(during) };
    suppression::judge(spec, window, seen, time)
}

/// A question that got no usable answer decides nothing; a query the server refuses is named as such.
#[must_use]
pub fn unanswered(what: &str, error: &Error) -> Outcome {
    let reason = match error {
        Error::Query { .. } => Reason::Query,
        Error::Auth { .. } => Reason::Auth,
        _ => Reason::Unreachable,
    };
    Outcome::Inconclusive(reason, Evidence::new(format!("{what}: {error}")))
}

fn partial<T>(answer: &Answer<T>) -> Option<Outcome> {
    (!answer.warnings.is_empty()).then(|| {
        let evidence =
            Evidence::new("the server answered with warnings").with_list("warnings", answer.warnings.clone());
        Outcome::Inconclusive(Reason::Partial, evidence)
    })
}

async fn judge_metric(spec: &Metric, step: &Step, window: Window, from: Sources<'_>) -> Outcome {
    if spec.reading == Reading::Growth {
        return judge_growth(spec, step, window, from).await;
    }
    // Prometheus keeps milliseconds, so the grid must lie on them
    let start = millisecond(window.start);
    let answer = match from.prometheus.query_range(&spec.query, start, window.end, from.scrape).await {
        Ok(answer) => answer,
        Err(error) => return unanswered("Prometheus", &error),
    };
    if let Some(outcome) = partial(&answer) {
        return outcome;
    }
    let coverage = match scrapes(from, window).await {
        Ok(coverage) => coverage,
        Err(error) => return unanswered("Prometheus", &error),
    };
    let points = points(answer.value, window, from.scrape);
    metric::judge(spec, step.mode, step.within, window, &points, &coverage, from.time)
}

/// Counts what a counter's series grew by in the window, from raw samples.
async fn judge_growth(spec: &Metric, step: &Step, window: Window, from: Sources<'_>) -> Outcome {
    let until = window.end.min(from.settled);
    // far enough back to know what each series had before the window, and when its target was first scraped
    let since = from.about.begun.min(window.start);
    let read = async {
        let series = count::raw_since(from.prometheus, &spec.query, since, until, from.scrape).await?;
        Ok::<_, Error>((series, scrapes(from, window).await?, count::restarts(from).await?))
    };
    let (series, coverage, restarts) = match read.await {
        Ok(read) => read,
        Err(error) => return unanswered("Prometheus", &error),
    };
    let grown = series.iter().map(|one| {
        let inside = restarts.iter().any(|it| it.after > window.start && it.before < window.end);
        let falls = one.points.windows(2).any(|pair| pair[1].at > window.start && pair[1].value < pair[0].value);
        metric::Growth {
            labels: one.labels.clone(),
            count: count::growth(one, window.start, &restarts),
            end: if inside || falls { metric::End::AtLeast } else { metric::End::Exactly },
        }
    });
    metric::judge_growth(spec, step.mode, window, &grown.collect::<Vec<_>>(), &coverage)
}

/// Turns series of points into one vector for each step, empty ones included.
fn points(series: Vec<Series>, window: Window, step: Duration) -> Vec<metric::Point> {
    let mut by_time: BTreeMap<Stamp, Vec<(Labels, f64)>> = BTreeMap::new();
    let mut at = millisecond(window.start);
    while at <= window.end {
        by_time.insert(at, Vec::new());
        at = at + step;
    }
    for one in series {
        for point in one.points {
            by_time.entry(millisecond(point.at)).or_default().push((one.labels.clone(), point.value));
        }
    }
    by_time.into_iter().map(|(at, series)| metric::Point { at, series }).collect()
}

/// Prometheus keeps milliseconds.
const fn millisecond(at: Stamp) -> Stamp {
    Stamp(at.0 - at.0.rem_euclid(1000))
}

/// When the service's job was scraped, successfully or not.
pub(super) async fn scrapes(from: Sources<'_>, window: Window) -> Result<Coverage, Error> {
    let job = from.signals.target.as_ref().map(|target| format!("{{job={:?}}}", target.job)).unwrap_or_default();
    let ups = raw(from, &format!("up{job}"), window).await?;
    let at = ups.into_iter().flat_map(|series| series.points.into_iter().map(|point| point.at)).collect();
    Ok(Coverage::new(from.scrape, at))
}

/// Raw samples of a selector from a little before a window's begin to its end.
async fn raw(from: Sources<'_>, selector: &str, window: Window) -> Result<Vec<Series>, Error> {
    let until = window.end.min(from.settled);
    let length = until.since(window.start) + from.scrape * 2;
    let range = format!("{selector}[{}ms]", length.as_millis());
    from.prometheus.range_raw(&range, until).await.map(|answer| answer.value)
}

async fn judge_target(spec: &Target, step: &Step, window: Window, from: Sources<'_>) -> Outcome {
    match raw(from, &format!("up{{job={:?}}}", spec.job), window).await {
        Err(error) => unanswered("Prometheus", &error),
        Ok(series) => {
            let ups: target::Ups = series
                .into_iter()
                .map(|one| {
                    let instance = one.labels.get("instance").cloned().unwrap_or_default();
                    (instance, one.points.into_iter().map(|point| (point.at, point.value)).collect())
                })
                .collect();
            target::judge(spec, step.mode, step.within, window, &ups, from.scrape, from.time)
        }
    }
}

/// The most lines that are read for one expectation.
const MOST_LINES: usize = 20_000;

async fn judge_log(spec: &Log, step: &Step, window: Window, from: Sources<'_>) -> Outcome {
    let Some(store) = from.loki else {
        let evidence = Evidence::new("the stack has no log store");
        return Outcome::Inconclusive(Reason::Unreachable, evidence);
    };
    let until = step.within.map_or(window.observed_until, |within| window.effective + within);
    let span = loki::Window::between(window.start, until);
    match find(spec, store, span, from.scrape).await {
        Ok(answer) => partial(&answer).unwrap_or_else(|| log::judge(spec, step.mode, &answer.value)),
        Err(error) => unanswered("the log store", &error),
    }
}

async fn find(spec: &Log, store: &Loki, span: loki::Window, step: Duration) -> Result<Answer<log::Found>, Error> {
    let mut found = log::Found::default();
    if spec.answer == LogAnswer::Metric {
        let answer = store.metric_range(&spec.query, span, step).await?;
        for series in answer.value {
            let labels = &series.labels;
            found.points.extend(
                series.points.iter().map(|it| metric::Point { at: it.at, series: vec![(labels.clone(), it.value)] }),
            );
        }
        return Ok(Answer { value: found, warnings: answer.warnings });
    }
    let limits = loki::Limits { total: MOST_LINES, ..loki::Limits::default() };
    let answer = store.query_range(&spec.query, span, limits).await?;
    found.lines = answer.value.into_iter().map(|entry| entry.line).collect();
    let selector = stream_selector(&spec.query);
    found.flowing = store.count(selector, span).await?.value;
    if found.lines.is_empty() && found.flowing > 0 {
        let few = loki::Limits { page: 8, total: 8 };
        found.near = store.query_range(selector, span, few).await?.value.into_iter().map(|it| it.line).collect();
    }
    Ok(Answer { value: found, warnings: answer.warnings })
}

/// The stream selector in front of a log query: up to the first `}` outside a string.
#[must_use]
pub fn stream_selector(query: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (index, character) in query.char_indices() {
        match (quote, character) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), close) if open == close && !escaped => quote = None,
            (None, '"' | '`') => quote = Some(character),
            (None, '}') => return &query[..=index],
            _ => {}
        }
        escaped = false;
    }
    query
}

fn judge_load(spec: &Objective, window: Window, from: Sources<'_>) -> Outcome {
    let Some(summary) = from.loads.get(&spec.load) else {
        let evidence = Evidence::new(format!("load {} was never started", spec.load));
        return Outcome::Inconclusive(Reason::LoadNotAchieved, evidence);
    };
    let part = summary.between(window.effective, window.end);
    let flow = part.flow(spec.request.as_deref());
    let latency = part.latency(spec.request.as_deref());
    const QUANTILES: [(&str, f64); 6] =
        [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];
    let mut percentiles = BTreeMap::new();
    if let Some(latency) = &latency {
        percentiles.extend(
            QUANTILES.iter().filter_map(|(name, quantile)| Some(((*name).to_owned(), latency.quantile(*quantile)?))),
        );
        percentiles.extend(latency.max().map(|max| ("max".to_owned(), max)));
    }
    let measured = objective::Measured {
        planned: flow.planned,
        started: flow.started,
        dropped: flow.dropped,
        succeeded: flow.succeeded(),
        failed: flow.failed + flow.unexpected,
        latency: percentiles,
        saturation: summary.saturation.as_ref().map(ToString::to_string),
    };
    objective::judge(spec, &measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brace_inside_a_string_does_not_end_the_selector() {
        assert_eq!(stream_selector(r#"{a="x}y", b=~`}`} |= "z}""#), r#"{a="x}y", b=~`}`}"#);
        assert_eq!(stream_selector(r#"{a="\"}"} | json"#), r#"{a="\"}"}"#);
    }

    #[test]
    fn a_step_without_an_answer_is_an_empty_vector_not_a_missing_one() {
        let window = Window::plain(Stamp(1_000_000), Stamp(1_500_000));
        let seen = points(Vec::new(), window, Duration::from_millis(250));
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|point| point.series.is_empty()));
    }
}
