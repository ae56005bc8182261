//! Evaluates rules in one of the two times: loads what they read into a throw-away server, asks for every rule at the
//! evaluations of its group, and writes what recording rules make back, so that the next rule can read it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::arrival::Arrivals;
use super::grid::Grid;
use super::rules::{Kind, Plan, Problem, ReplayRule, Time};
use super::server::Server;
use super::state::{Before, Evaluation, Life, lives};
use crate::clock::Stamp;
use crate::telemetry::prometheus::{Prometheus, RawSample, RawSeries, STALE, Series};
use crate::telemetry::recording::Recording;
use crate::telemetry::{Error, Labels};

/// How many questions are asked at the same time.
const AT_ONCE: usize = 6;
/// How many samples are written at once.
const BATCH: usize = 40_000;
/// Prometheus answers no more points than 11,000 at once.
const MOST_STEPS: usize = 10_000;

/// What became of the alerts of a rule.
pub type Output = BTreeMap<Labels, Life>;

/// From the time of the run to the time in which rules are evaluated, milliseconds both. The end stays where it is, so that
/// nothing lies in the future, which a server would refuse.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// The end of the recording.
    pub until: i64,
    /// How many times longer.
    pub factor: f64,
}

impl Stretch {
    /// The stretch of a time.
    #[must_use]
    pub fn of(plan: &Plan, time: Time, recording: &Recording) -> Self {
        let factor = if time == Time::Production { plan.scale.factor() } else { 1.0 };
        Self { until: recording.header.until, factor }
    }

    /// A time of the run, stretched.
    #[must_use]
    pub fn at(self, at: i64) -> i64 {
        #[expect(clippy::cast_precision_loss, reason = "a run is shorter than 2^52 ms")]
        let before = (self.until - at) as f64 * self.factor;
        #[expect(clippy::cast_possible_truncation, reason = "a run is shorter than 2^52 ms, also stretched")]
        let before = before.ceil() as i64;
        self.until - before
    }

    fn length(self, milliseconds: i64) -> i64 {
        self.at(self.until) - self.at(self.until - milliseconds)
    }
}

/// What a rule answered at one evaluation; none when it could not be evaluated.
type Answer = Option<Vec<(Labels, f64)>>;

/// Evaluates everything that belongs into a time. Answers with the alerts of each alerting rule, by its index in the plan.
///
/// # Errors
/// When the server does not answer.
pub async fn evaluate(
    plan: &Plan,
    time: Time,
    recording: &Recording,
    arrivals: &Arrivals,
    server: &Server,
) -> Result<BTreeMap<usize, Output>, Problem> {
    let order = plan.in_time(time);
    let stretch = Stretch::of(plan, time, recording);
    let lane = Lane { plan, time, stretch, client: &server.client };
    lane.load(recording, arrivals, &order).await?;
    for index in order.iter().copied().filter(|index| plan.rules[*index].kind == Kind::Record) {
        lane.record(&plan.rules[index]).await?;
    }
    let alerts = order.into_iter().filter(|index| plan.rules[*index].kind == Kind::Alert);
    let outputs = stream::iter(alerts.map(|index| {
        let lane = &lane;
        async move { lane.alert(&plan.rules[index]).await.map(|output| (index, output)) }
    }));
    Ok(outputs.buffer_unordered(AT_ONCE).try_collect().await?)
}

struct Lane<'a> {
    plan: &'a Plan,
    time: Time,
    stretch: Stretch,
    client: &'a Prometheus,
}

impl Lane<'_> {
    /// Loads the raw series that are read, without what the rules under replay make themselves.
    async fn load(&self, recording: &Recording, arrivals: &Arrivals, order: &[usize]) -> Result<(), Error> {
        let reads: BTreeSet<&str> =
            order.iter().flat_map(|index| &self.plan.rules[*index].reads).map(String::as_str).collect();
        let recorded = self.plan.recorded();
        let wanted = |name: &str| match name {
            "ALERTS" | "ALERTS_FOR_STATE" => reads.contains(name),
            _ => !recorded.contains(name) && (reads.contains(name) || reads.contains("")),
        };
        let (mut batch, mut size) = (Vec::new(), 0);
        for series in &recording.series {
            if !series.labels.get("__name__").is_some_and(|name| wanted(name)) {
                continue;
            }
            let samples = arrivals.of(series).map(|it| RawSample { at: self.stretch.at(it.at), bits: it.bits });
            batch.push(RawSeries { labels: series.labels.clone(), samples: samples.collect() });
            size += series.samples.len();
            if size > BATCH {
                self.client.write_raw(&std::mem::take(&mut batch)).await?;
                size = 0;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.client.write_raw(&batch).await }
    }

    async fn alert(&self, rule: &ReplayRule) -> Result<Output, Error> {
        let answers = self.answers(rule).await?;
        let grid = &self.plan.groups[rule.group].grid;
        let mut evaluations = Vec::new();
        let mut before = Before::Nothing;
        for (number, answer) in answers.into_iter().enumerate() {
            if number > 0 && grid.life(number).start == number {
                before = Before::Restart;
            }
            let Some(found) = answer.filter(|_| grid.happened(number)).and_then(|it| found(rule, it)) else {
                continue;
            };
            let at = self.stretch.at(grid.at(number));
            evaluations.push(Evaluation { number, at, found, before: std::mem::replace(&mut before, Before::Nothing) });
        }
        let timing = if self.time == Time::Production { rule.timing } else { rule.scaled_timing };
        Ok(lives(timing, &evaluations))
    }

    /// Evaluates a recording rule and writes what it makes, with stale markers where a series ends.
    async fn record(&self, rule: &ReplayRule) -> Result<(), Error> {
        let answers = self.answers(rule).await?;
        let grid = &self.plan.groups[rule.group].grid;
        let mut made: BTreeMap<Labels, RawSeries> = BTreeMap::new();
        let mut present: BTreeSet<Labels> = BTreeSet::new();
        for (number, answer) in answers.into_iter().enumerate().filter(|(number, _)| grid.happened(*number)) {
            // a Prometheus that has restarted does not know what it recorded before, and marks no end of it
            if grid.life(number).start == number {
                present.clear();
            }
            let at = self.stretch.at(grid.at(number));
            let mut now = BTreeSet::new();
            for (mut labels, value) in answer.unwrap_or_default() {
                labels.extend(rule.labels.clone());
                labels.insert("__name__".to_owned(), rule.name.clone());
                labels.retain(|_, value| !value.is_empty());
                let fresh = || RawSeries { labels: labels.clone(), samples: Vec::new() };
                let sample = RawSample { at, bits: value.to_bits() };
                made.entry(labels.clone()).or_insert_with(fresh).samples.push(sample);
                now.insert(labels);
            }
            for ended in present.difference(&now) {
                if let Some(series) = made.get_mut(ended) {
                    series.samples.push(RawSample { at, bits: STALE });
                }
            }
            present = now;
        }
        let made: Vec<RawSeries> = made.into_values().collect();
        if made.is_empty() { Ok(()) } else { self.client.write_raw(&made).await }
    }

    /// What a rule answers at each evaluation of its group.
    async fn answers(&self, rule: &ReplayRule) -> Result<Vec<Answer>, Error> {
        let grid = &self.plan.groups[rule.group].grid;
        let query = if self.time == Time::Production { &rule.written } else { &rule.scaled };
        match self.at_once(query, grid).await {
            Err(Error::Query { .. }) => self.one_by_one(query, grid).await,
            other => other,
        }
    }

    async fn at_once(&self, query: &str, grid: &Grid) -> Result<Vec<Answer>, Error> {
        let step = self.stretch.length(grid.interval);
        let mut answers: Vec<Answer> = vec![Some(Vec::new()); grid.count];
        for first in (0..grid.count).step_by(MOST_STEPS) {
            let last = grid.count.min(first + MOST_STEPS) - 1;
            let start = self.stretch.at(grid.at(first));
            let steps = i64::try_from(last - first).unwrap_or(0);
            let end = start + steps * step;
            let length = Duration::from_millis(u64::try_from(step).unwrap_or(1));
            let series = self.client.query_range(query, stamp(start), stamp(end), length).await?.value;
            for Series { mut labels, points } in series {
                labels.remove("__name__");
                for point in points {
                    let number = (point.at.0.div_euclid(1000) - start + step / 2).div_euclid(step);
                    let number = usize::try_from(number).ok().map(|number| first + number);
                    if let Some(Some(answer)) = number.and_then(|number| answers.get_mut(number)) {
                        answer.push((labels.clone(), point.value));
                    }
                }
            }
        }
        Ok(answers)
    }

    /// A rule that fails at some evaluations fails a question over all of them.
    async fn one_by_one(&self, query: &str, grid: &Grid) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::with_capacity(grid.count);
        for number in 0..grid.count {
            answers.push(match self.client.instant(query, stamp(self.stretch.at(grid.at(number)))).await {
                Ok(answer) => Some(
                    answer
                        .value
                        .into_iter()
                        .map(|mut sample| {
                            sample.labels.remove("__name__");
                            (sample.labels, sample.value)
                        })
                        .collect(),
                ),
                Err(Error::Query { .. }) => None,
                Err(error) => return Err(error),
            });
        }
        Ok(answers)
    }
}

/// The alerts of an answer; none when two of its series would be the same alert, which is an error of the rule (T30).
fn found(rule: &ReplayRule, answer: Vec<(Labels, f64)>) -> Option<BTreeSet<Labels>> {
    let count = answer.len();
    let alerts: BTreeSet<Labels> = answer
        .into_iter()
        .map(|(mut labels, _)| {
            labels.extend(rule.labels.clone());
            labels.insert("alertname".to_owned(), rule.name.clone());
            labels.retain(|name, value| !value.is_empty() && !rule.templates.contains(name));
            labels
        })
        .collect();
    (alerts.len() == count || !rule.templates.is_empty()).then_some(alerts)
}

const fn stamp(milliseconds: i64) -> Stamp {
    Stamp(milliseconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_stretched_towards_the_past_and_keep_their_order() {
        let stretch = Stretch { until: 100_000, factor: 60.0 };
        assert_eq!((stretch.at(100_000), stretch.at(99_750), stretch.length(250)), (100_000, 85_000, 15_000));
        let odd = Stretch { until: 100_000, factor: 7.3 };
        let stretched: Vec<i64> = (99_000..100_000).map(|at| odd.at(at)).collect();
        assert!(stretched.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
