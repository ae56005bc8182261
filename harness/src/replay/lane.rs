//! Evaluates rules in one of the two times: loads what they read into a throw-away server, asks for every rule at the
//! evaluations of its group, and writes what recording rules make back, so that the next rule can read it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::arrival::{self, Arrivals, Target};
use super::grid::Grid;
use super::rules::{Kind, Plan, Problem, ReplayRule, Time};
use super::server::Server;
use super::state::{Before, Evaluation, Life, lives};
use crate::clock::Stamp;
use crate::telemetry::prometheus::{Prometheus, RawSample, RawSeries, STALE, Sample, Series};
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
    let mut lane = Lane { plan, time, stretch, client: &server.client, blind: Blind::new() };
    lane.blind = lane.load(recording, arrivals, &order).await?;
    for index in order.iter().copied().filter(|index| plan.rules[*index].kind == Kind::Record) {
        lane.record(index).await?;
    }
    let alerts = order.into_iter().filter(|index| plan.rules[*index].kind == Kind::Alert);
    let outputs = stream::iter(alerts.map(|index| {
        let lane = &lane;
        async move { lane.alert(index).await.map(|output| (index, output)) }
    }));
    Ok(outputs.buffer_unordered(AT_ONCE).try_collect().await?)
}

/// What rules answered at evaluations that did not see every scrape whose time lies before their own, by rule and evaluation.
type Blind = BTreeMap<(usize, usize), Answer>;

/// A moment of the run at which some rules are asked before more is loaded.
struct Stop {
    /// When the evaluation began: what could be seen by then is there.
    began: i64,
    group: usize,
    number: usize,
    rules: Vec<usize>,
}

/// A rule that reads both what is scraped and what is recorded cannot be asked before the recording rules have been; where it
/// may not have seen a scrape, nobody knows what it saw.
pub(super) fn doubt(plan: &mut Plan, arrivals: &Arrivals) {
    let recorded = plan.recorded();
    let mixed = |rule: &&ReplayRule| {
        let records = rule.reads.iter().filter(|name| recorded.contains(name.as_str())).count();
        records > 0 && records < rule.reads.len()
    };
    let groups: BTreeSet<usize> = plan.rules.iter().filter(mixed).map(|rule| rule.group).collect();
    for group in groups {
        let grid = &mut plan.groups[group].grid;
        let unsure: Vec<usize> = arrivals.blind(grid).into_keys().collect();
        grid.doubtful.extend(unsure);
    }
}

struct Lane<'a> {
    plan: &'a Plan,
    time: Time,
    stretch: Stretch,
    client: &'a Prometheus,
    blind: Blind,
}

impl Lane<'_> {
    /// Loads the raw series that are read, without what the rules under replay make themselves. Where evaluations did not see
    /// all of it, it is loaded up to there, and they are asked before the rest comes.
    async fn load(&self, recording: &Recording, arrivals: &Arrivals, order: &[usize]) -> Result<Blind, Error> {
        let reads: BTreeSet<&str> =
            order.iter().flat_map(|index| &self.plan.rules[*index].reads).map(String::as_str).collect();
        let recorded = self.plan.recorded();
        let wanted = |name: &str| match name {
            "ALERTS" | "ALERTS_FOR_STATE" => reads.contains(name),
            _ => !recorded.contains(name) && (reads.contains(name) || reads.contains("")),
        };
        let wanted = |series: &&RawSeries| series.labels.get("__name__").is_some_and(|name| wanted(name));
        let mut open: Vec<Open<'_>> = recording
            .series
            .iter()
            .filter(wanted)
            .map(|series| Open { labels: &series.labels, samples: arrivals.of(series).collect(), loaded: 0 })
            .collect();
        let mut blind = Blind::new();
        for stop in self.stops(&open, arrivals, order) {
            self.load_until(&mut open, stop.began).await?;
            let query_at = stamp(self.stretch.at(self.plan.groups[stop.group].grid.at(stop.number)));
            let asked = stream::iter(stop.rules.iter().map(|index| async move {
                self.ask(self.query(&self.plan.rules[*index]), query_at).await.map(|answer| (*index, answer))
            }));
            let answers: Vec<(usize, Answer)> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
            blind.extend(answers.into_iter().map(|(index, answer)| ((index, stop.number), answer)));
        }
        self.load_until(&mut open, i64::MAX).await?;
        Ok(blind)
    }

    /// The evaluations that did not see a scrape of what some rule of theirs reads, in the order in which they began. A rule
    /// that also reads what is recorded cannot be asked yet; it is taken to have seen everything.
    fn stops(&self, open: &[Open<'_>], arrivals: &Arrivals, order: &[usize]) -> Vec<Stop> {
        let recorded = self.plan.recorded();
        let mut names: BTreeMap<Target, BTreeSet<&str>> = BTreeMap::new();
        for series in open {
            if let (Some(target), Some(name)) = (arrival::target(series.labels), series.labels.get("__name__")) {
                names.entry(target).or_default().insert(name);
            }
        }
        let mut stops = Vec::new();
        for (group, own) in self.plan.groups.iter().enumerate() {
            let rules: Vec<usize> =
                order.iter().copied().filter(|index| self.plan.rules[*index].group == group).collect();
            for (number, targets) in arrivals.blind(&own.grid) {
                let unseen: BTreeSet<&str> =
                    targets.iter().filter_map(|it| names.get(*it)).flatten().copied().collect();
                let concerned = |index: &usize| {
                    let reads = &self.plan.rules[*index].reads;
                    let raw = reads.iter().any(|name| name.is_empty() || unseen.contains(name.as_str()));
                    raw && !reads.iter().any(|name| recorded.contains(name.as_str()))
                };
                let rules: Vec<usize> = rules.iter().copied().filter(concerned).collect();
                if !rules.is_empty() {
                    stops.push(Stop { began: own.grid.began(number), group, number, rules });
                }
            }
        }
        stops.sort_by_key(|stop| (stop.began, stop.group));
        stops
    }

    /// Loads what could be seen by a time of the run and is not loaded yet.
    async fn load_until(&self, open: &mut [Open<'_>], until: i64) -> Result<(), Error> {
        let (mut batch, mut size) = (Vec::new(), 0);
        for series in open {
            let rest = &series.samples[series.loaded..];
            let fresh = rest.iter().take_while(|(from, _)| *from <= until).count();
            if fresh == 0 {
                continue;
            }
            let stretched = |(_, it): &(i64, RawSample)| RawSample { at: self.stretch.at(it.at), bits: it.bits };
            batch.push(RawSeries {
                labels: series.labels.clone(),
                samples: rest[..fresh].iter().map(stretched).collect(),
            });
            series.loaded += fresh;
            size += fresh;
            if size > BATCH {
                self.client.write_raw(&std::mem::take(&mut batch)).await?;
                size = 0;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.client.write_raw(&batch).await }
    }

    fn query<'r>(&self, rule: &'r ReplayRule) -> &'r str {
        if self.time == Time::Production { &rule.written } else { &rule.scaled }
    }

    async fn alert(&self, index: usize) -> Result<Output, Error> {
        let answers = self.answers(index).await?;
        let rule = &self.plan.rules[index];
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
    async fn record(&self, index: usize) -> Result<(), Error> {
        let answers = self.answers(index).await?;
        let rule = &self.plan.rules[index];
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
    async fn answers(&self, index: usize) -> Result<Vec<Answer>, Error> {
        let rule = &self.plan.rules[index];
        let grid = &self.plan.groups[rule.group].grid;
        let query = self.query(rule);
        let mut answers = match self.at_once(query, grid).await {
            Err(Error::Query { .. }) => self.one_by_one(query, grid).await?,
            other => other?,
        };
        for ((_, number), answer) in self.blind.range((index, 0)..(index + 1, 0)) {
            answers[*number].clone_from(answer);
        }
        Ok(answers)
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
            answers.push(self.ask(query, stamp(self.stretch.at(grid.at(number)))).await?);
        }
        Ok(answers)
    }

    /// What a query answers at one time.
    async fn ask(&self, query: &str, at: Stamp) -> Result<Answer, Error> {
        match self.client.instant(query, at).await {
            Ok(answer) => {
                let unnamed = |mut sample: Sample| {
                    sample.labels.remove("__name__");
                    (sample.labels, sample.value)
                };
                Ok(Some(answer.value.into_iter().map(unnamed).collect()))
            }
            Err(Error::Query { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A series of which not all is loaded yet.
struct Open<'a> {
    labels: &'a Labels,
    /// From when on each sample could be seen.
    samples: Vec<(i64, RawSample)>,
    loaded: usize,
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

    #[test]
    fn two_series_of_one_label_set_are_an_error_of_the_rule_and_no_alert_t30() {
        let rule = |templates: &[&str]| ReplayRule {
            group: 0,
            kind: Kind::Alert,
            name: "A".into(),
            labels: Labels::from([("instance".into(), String::new())]),
            templates: templates.iter().map(ToString::to_string).collect(),
            written: String::new(),
            scaled: String::new(),
            timing: super::super::state::Timing::default(),
            scaled_timing: super::super::state::Timing::default(),
            time: Time::Production,
            sensitive: None,
            reads: BTreeSet::new(),
        };
        let series = |instance: &str| (Labels::from([("instance".into(), instance.into())]), 1.0);
        assert_eq!(found(&rule(&[]), vec![series("a")]).map(|alerts| alerts.len()), Some(1));
        assert_eq!(
            found(&rule(&[]), vec![series("a"), series("b")]),
            None,
            "the rule takes away what tells them apart"
        );
    }
}
