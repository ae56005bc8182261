//! Judges `that.series`: what a metric is (type, unit, help), which label sets it has, how many, whether they exist before
//! their first event, and whether the exposition is alive. Fed with raw samples, Prometheus's metadata and what the target
//! itself serves.

mod account;
pub mod promlint;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::look::{Coverage, ScaledTime, show_labels};
use super::{Labels, Window};
use account::{describe, values_by_label};

use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};
use crate::telemetry::exposition::{Exposition, Family};
use crate::telemetry::prometheus::{self, Metadata};

/// `that.series`
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The metric's name as queries write it; a histogram's without `_bucket`.
    pub metric: String,
    /// Its type in the exposition, as a `# TYPE` line writes it.
    pub kind: Option<&'static str>,
    /// Its unit; empty asks for none.
    pub unit: Option<String>,
    /// Labels that every series must have, not empty.
    pub labels: BTreeSet<String>,
    /// Upper bounds that every histogram must have.
    pub buckets: Vec<f64>,
    /// Most series.
    pub max_series: Option<u64>,
    /// Whether every series must exist before its first event.
    pub birth: Birth,
}

/// Where a counter may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    /// At 0, or with the target itself: the first event is an increase that `rate()` sees (T08).
    AtZero,
    /// Nobody asked.
    Anyhow,
}

/// What was observed.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The metric's raw samples from the target's first scrape to the window's end, `_bucket`, `_sum` and `_count` included.
    pub series: Vec<prometheus::Series>,
    /// The targets that serve it, or that should.
    pub targets: Vec<Target>,
    /// What Prometheus keeps about it; several when targets disagree.
    pub metadata: Vec<Metadata>,
    /// What the targets serve, asked directly: OpenMetrics and text; empty where none could be reached.
    pub served: Vec<Served>,
    /// When the targets were scraped, successfully or not.
    pub coverage: Coverage,
    /// Requests answered to the client in the window; none when there was no load.
    pub answered: Option<u64>,
    /// Whether every answered request has to move it: it is what `[signals]` names as requests or latency.
    pub follows_load: bool,
}

/// A scrape target as Prometheus saw it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// The label `instance`.
    pub instance: String,
    /// `up` in and before the window, oldest first.
    pub ups: Vec<(Stamp, f64)>,
    /// `scrape_duration_seconds`, oldest first.
    pub durations: Vec<(Stamp, f64)>,
    /// The scrape timeout; zero where it is not known.
    pub timeout: Duration,
    /// How many of all its series changed their value in the window, and how many it has; none when that was not asked.
    pub moved: Option<(u64, u64)>,
}

/// What a target serves, asked directly.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Served {
    /// Its address.
    pub url: String,
    /// OpenMetrics, if it speaks it.
    pub open_metrics: Option<Exposition>,
    /// Prometheus text.
    pub text: Exposition,
}

/// One in so many scrapes that take their whole timeout is the service's slowness.
const SOME: usize = 10;
/// So few answers prove nothing about a metric that stands still.
const FEW_ANSWERS: u64 = 10;

/// Judges a series expectation over its window.
#[must_use]
pub fn judge(spec: &Series, window: Window, seen: &Seen, time: ScaledTime) -> Outcome {
    let evidence = describe(spec, seen);
    let checks: [Check; 9] = [timeouts, absent, identity, lint, labels, buckets, cardinality, stale, born_late];
    for check in checks {
        match check(spec, window, seen, time) {
            Some(Finding::Wrong(reason, summary)) => {
                return Outcome::Failed(reason, Evidence { summary, ..evidence });
            }
            Some(Finding::Open(reason, summary)) => {
                return Outcome::Inconclusive(reason, Evidence { summary, ..evidence });
            }
            None => {}
        }
    }
    if let Some(gap) = seen.coverage.gap(window.start, window.end) {
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary: gap, ..evidence });
    }
    let asked = asked(spec);
    let summary = format!("{} series of {} have {}", inside(seen, window).len(), spec.metric, asked.join(", "));
    Outcome::Passed(Evidence { summary, ..evidence })
}

/// One question; none for no objection.
type Check = fn(&Series, Window, &Seen, ScaledTime) -> Option<Finding>;

enum Finding {
    Wrong(Reason, String),
    Open(Reason, String),
}

fn asked(spec: &Series) -> Vec<String> {
    let mut asked: Vec<String> = Vec::new();
    asked.extend(spec.kind.map(|kind| format!("type {kind}")));
    asked.extend(spec.unit.as_ref().map(|unit| format!("unit \"{unit}\"")));
    asked.extend(spec.labels.iter().map(|label| format!("label {label}")));
    asked.extend(spec.buckets.iter().map(|bound| format!("a bucket at {bound}")));
    asked.extend(spec.max_series.map(|most| format!("at most {most} series")));
    if spec.birth == Birth::AtZero {
        asked.push("a value before their first event".to_owned());
    }
    asked
}

/// The series with a sample in the window.
fn inside(seen: &Seen, window: Window) -> Vec<&prometheus::Series> {
    let covers =
        |series: &&prometheus::Series| series.points.iter().any(|it| it.at >= window.start && it.at <= window.end);
    seen.series.iter().filter(covers).collect()
}

fn within(samples: &[(Stamp, f64)], window: Window) -> impl Iterator<Item = (Stamp, f64)> {
    samples.iter().copied().filter(move |(at, _)| *at >= window.start && *at <= window.end)
}

fn name(series: &prometheus::Series) -> &str {
    series.labels.get("__name__").map_or("", String::as_str)
}

/// A scrape that failed and took its whole timeout is the service's slowness, whatever else is wrong (T17).
fn timeouts(_: &Series, window: Window, seen: &Seen, _: ScaledTime) -> Option<Finding> {
    seen.targets.iter().find_map(|target| {
        if target.timeout.is_zero() {
            return None;
        }
        let limit = target.timeout.as_secs_f64();
        let took: BTreeMap<Stamp, f64> = target.durations.iter().copied().collect();
        let slow = |(at, up): &(Stamp, f64)| *up < 0.5 && took.get(at).is_some_and(|took| *took >= limit * 0.95);
        let all = within(&target.ups, window).count();
        let failed = within(&target.ups, window).filter(slow).count();
        // a lost scrape now and then is the machine's; the coverage says whether it matters
        (failed > 0 && failed * SOME >= all).then(|| {
            let summary = format!(
                "{failed} of {all} scrapes of {} took longer than their timeout of {:?} and were lost",
                target.instance, target.timeout
            );
            Finding::Wrong(Reason::ScrapeTimeout, summary)
        })
    })
}

fn absent(spec: &Series, window: Window, seen: &Seen, _: ScaledTime) -> Option<Finding> {
    if !inside(seen, window).is_empty() {
        return None;
    }
    let up = seen.targets.iter().any(|target| within(&target.ups, window).any(|(_, up)| up > 0.5));
    if !up {
        let summary = format!("no target was up in the window, so nothing is known about {}", spec.metric);
        return Some(Finding::Open(Reason::NoCoverage, summary));
    }
    if let Some(gap) = seen.coverage.gap(window.start, window.end) {
        return Some(Finding::Open(Reason::NoCoverage, gap));
    }
    let summary = format!("the target is up and there is no series {}", spec.metric);
    Some(Finding::Wrong(Reason::NoData, summary))
}

/// The family of a metric in an exposition; OpenMetrics leaves a counter's `_total` out of the family's name.
fn family<'a>(exposition: &'a Exposition, metric: &str) -> Option<(&'a str, &'a Family)> {
    let stem = metric.strip_suffix("_total").unwrap_or(metric);
    [metric, stem].into_iter().find_map(|name| {
        let (name, family) = exposition.families.get_key_value(name)?;
        Some((name.as_str(), family))
    })
}

fn identity(spec: &Series, _: Window, seen: &Seen, _: ScaledTime) -> Option<Finding> {
    let kinds: BTreeSet<&str> = seen.metadata.iter().map(|it| plain(&it.kind)).collect();
    let units: BTreeSet<&str> = seen.metadata.iter().map(|it| it.unit.as_str()).collect();
    let wrong = |summary: String| Some(Finding::Wrong(Reason::Metadata, summary));
    if kinds.len() > 1 {
        return wrong(format!("the targets disagree about the type of {}: {kinds:?}", spec.metric));
    }
    for served in &seen.served {
        let open = served.open_metrics.as_ref().and_then(|it| family(it, &spec.metric));
        let Some((_, own)) = open.or_else(|| family(&served.text, &spec.metric)) else {
            return wrong(format!("{} announces no type for {}", served.url, spec.metric));
        };
        if let Some(kind) = spec.kind.filter(|kind| own.kind != *kind) {
            return wrong(format!("{} is a {} in {}, not a {kind}", spec.metric, own.kind, served.url));
        }
        if let Some(kept) = kinds.first().filter(|kept| **kept != plain(&own.kind)) {
            return wrong(format!("{} serves a {} and Prometheus knows a {kept}", served.url, own.kind));
        }
        if let Some(created) = served.open_metrics.as_ref().and_then(|it| created(it, &spec.metric)) {
            return wrong(created);
        }
        if let Some((_, open)) = open
            && let Some(unit) = spec.unit.as_ref().filter(|unit| **unit != open.unit)
        {
            return wrong(format!("the unit of {} is \"{}\", not \"{unit}\"", spec.metric, open.unit));
        }
    }
    if seen.served.is_empty() {
        if kinds.is_empty() && (spec.kind.is_some() || spec.unit.is_some()) {
            let summary = format!("neither the target nor Prometheus says what {} is", spec.metric);
            return Some(Finding::Open(Reason::NoData, summary));
        }
        if let Some(kind) = spec.kind.filter(|kind| !kinds.contains(kind)) {
            return wrong(format!("{} is a {kinds:?} in Prometheus's metadata, not a {kind}", spec.metric));
        }
        if let Some(unit) = spec.unit.as_ref().filter(|unit| !units.contains(unit.as_str())) {
            return wrong(format!("the unit of {} is {units:?} in Prometheus's metadata, not \"{unit}\"", spec.metric));
        }
    }
    None
}

/// OpenMetrics calls `unknown` what text calls `untyped`.
fn plain(kind: &str) -> &str {
    if kind == "unknown" { "untyped" } else { kind }
}

/// `_created` says when a series was born, in seconds: one from another age is milliseconds, or nonsense.
fn created(exposition: &Exposition, metric: &str) -> Option<String> {
    let (name, family) = family(exposition, metric)?;
    let created = format!("{name}_created");
    let bad = family.samples.iter().find(|it| it.name == created && !(1e9..1e10).contains(&it.value))?;
    Some(format!("{created} is {}, which is no time in seconds since 1970", bad.value))
}

/// What `promtool check metrics` finds at this metric; about others it is only told.
fn lint(spec: &Series, _: Window, seen: &Seen, _: ScaledTime) -> Option<Finding> {
    seen.served.iter().find_map(|served| {
        let (name, _) = family(&served.text, &spec.metric)?;
        let problem = promlint::check(&served.text).into_iter().find(|problem| problem.family == name)?;
        Some(Finding::Wrong(Reason::Exposition, format!("{name}: {}", problem.text)))
    })
}

fn labels(spec: &Series, window: Window, seen: &Seen, _: ScaledTime) -> Option<Finding> {
    inside(seen, window).into_iter().find_map(|series| {
        let missing =
            spec.labels.iter().find(|label| series.labels.get(*label).is_none_or(|value| value.is_empty()))?;
        let summary = format!("{} has no label {missing}", show_labels(&series.labels));
        Some(Finding::Wrong(Reason::LabelMissing, summary))
    })
}

fn buckets(spec: &Series, window: Window, seen: &Seen, _: ScaledTime) -> Option<Finding> {
    if spec.buckets.is_empty() {
        return None;
    }
    let mut histograms: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    let bucket = format!("{}_bucket", spec.metric);
    for series in inside(seen, window).into_iter().filter(|series| name(series) == bucket) {
        let mut labels = series.labels.clone();
        let bound = labels.remove("le").and_then(|le| crate::telemetry::parse_number(&le));
        histograms.entry(labels).or_default().extend(bound);
    }
    if histograms.is_empty() {
        let summary = format!("{} has no buckets: there is no series {bucket}", spec.metric);
        return Some(Finding::Wrong(Reason::BucketMissing, summary));
    }
    histograms.iter_mut().find_map(|(labels, bounds)| {
        bounds.sort_by(f64::total_cmp);
        let missing = spec.buckets.iter().find(|wanted| !bounds.iter().any(|bound| same(*bound, **wanted)))?;
        let summary = format!("{} has no bucket at {missing}, only {}", show_labels(labels), listed(bounds));
        Some(Finding::Wrong(Reason::BucketMissing, summary))
    })
}

fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * other.abs().max(1e-9)
}

fn listed(bounds: &[f64]) -> String {
    bounds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn cardinality(spec: &Series, window: Window, seen: &Seen, _: ScaledTime) -> Option<Finding> {
    let most = spec.max_series?;
    let series = inside(seen, window);
    let count = series.len() as u64;
    if count <= most {
        return None;
    }
    let values = values_by_label(&series);
    let widest = values.iter().max_by_key(|(_, values)| values.len());
    let blame = widest.map_or_else(String::new, |(label, values)| {
        format!("; the label {label} has {} values, such as {:?}", values.len(), values.first().unwrap_or(&""))
    });
    let summary = format!("{} has {count} series, at most {most} are allowed{blame}", spec.metric);
    Some(Finding::Wrong(Reason::Cardinality, summary))
}

/// Up, scraped, under load, and nothing moves: what is served is a copy.
fn stale(spec: &Series, window: Window, seen: &Seen, _: ScaledTime) -> Option<Finding> {
    let answered = seen.answered.filter(|answered| *answered >= FEW_ANSWERS)?;
    let scrapes = |target: &Target| within(&target.ups, window).filter(|(_, up)| *up > 0.5).count();
    let frozen = seen
        .targets
        .iter()
        .find(|target| target.moved.is_some_and(|(moved, all)| moved == 0 && all > 0) && scrapes(target) >= 3);
    if let Some(target) = frozen {
        let summary = format!(
            "up = 1 at {} scrapes of {}, and not one of its {} series moved while {answered} requests were answered",
            scrapes(target),
            target.instance,
            target.moved.map_or(0, |(_, all)| all)
        );
        return Some(Finding::Wrong(Reason::StaleExposition, summary));
    }
    let moves = |series: &&prometheus::Series| {
        let mut values = series.points.iter().filter(|it| it.at >= window.start && it.at <= window.end);
        let first = values.next().map(|point| point.value.to_bits());
        values.any(|point| Some(point.value.to_bits()) != first)
            || series.points.first().is_some_and(|point| point.at > window.start)
    };
    let enough = seen.targets.iter().map(scrapes).max().unwrap_or(0) >= 3;
    if seen.follows_load && enough && !inside(seen, window).iter().any(moves) {
        let summary = format!("up = 1 and {} did not move while {answered} requests were answered", spec.metric);
        return Some(Finding::Wrong(Reason::StaleExposition, summary));
    }
    None
}

/// A series whose first sample comes later than its target's first scrape, and is not 0, hides its first events (T08).
fn born_late(spec: &Series, _: Window, seen: &Seen, time: ScaledTime) -> Option<Finding> {
    if spec.birth == Birth::Anyhow {
        return None;
    }
    let first_up = |instance: &str| {
        let target = seen.targets.iter().find(|target| target.instance == instance)?;
        target.ups.iter().find(|(_, up)| *up > 0.5).map(|(at, _)| *at)
    };
    let counted = seen.series.iter().filter(|series| !name(series).ends_with("_sum"));
    let late = counted.into_iter().find_map(|series| {
        let born = series.points.first()?;
        let target = first_up(series.labels.get("instance").map_or("", String::as_str))?;
        (born.value > 0.0 && born.at.since(target) > seen.coverage.interval / 2).then_some((series, born, target))
    });
    late.map(|(series, born, target)| {
        let summary = format!(
            "{} was first seen at {} ({} after its target), so its first events are an increase of 0",
            show_labels(&series.labels),
            born.value,
            time.from(target, born.at)
        );
        Finding::Wrong(Reason::CounterNotInitialised, summary)
    })
}

#[cfg(test)]
mod tests;
