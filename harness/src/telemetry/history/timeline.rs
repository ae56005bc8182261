//! One rule's evaluations and what follows from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::step::{Pair, Step};
use super::{AlertChange, AlertSeen, Coverage, Gap, Health, HealthChange, RuleKey, RuleKind, Source, State};
use crate::clock::Stamp;
use crate::telemetry::Labels;
use crate::telemetry::prometheus::Rule;

/// What an evaluation showed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) polled_at: Stamp,
    pub(super) source: Source,
    pub(super) health: Health,
    pub(super) error: String,
    pub(super) alerts: BTreeMap<Labels, AlertSeen>,
}

impl Seen {
    pub(super) fn of(rule: &Rule, polled_at: Stamp) -> Self {
        let alerts = rule.alerts.iter().map(|alert| (alert.labels.clone(), AlertSeen::of(alert))).collect();
        Self { polled_at, source: Source::Poll, health: rule.health, error: rule.last_error.clone(), alerts }
    }
}

/// What an observation changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Effect {
    #[default]
    Nothing,
    Appended,
    Refined,
}

/// One rule's evaluations, ordered by the time each began.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    kind: RuleKind,
    interval: Duration,
    hold: Duration,
    /// The rule's own labels, for telling rules of one name apart.
    labels: Labels,
    described_at: Option<Stamp>,
    evaluations: BTreeMap<Stamp, Seen>,
    unevaluated: BTreeSet<Stamp>,
    effect: Effect,
    told: BTreeSet<(Stamp, Labels, State)>,
}

impl Timeline {
    pub(super) fn new(kind: RuleKind) -> Self {
        Self {
            kind,
            interval: Duration::ZERO,
            hold: Duration::ZERO,
            labels: Labels::new(),
            described_at: None,
            evaluations: BTreeMap::new(),
            unevaluated: BTreeSet::new(),
            effect: Effect::Nothing,
            told: BTreeSet::new(),
        }
    }

    pub(super) const fn kind(&self) -> RuleKind {
        self.kind
    }

    pub(super) const fn hold(&self) -> Duration {
        self.hold
    }

    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Keeps what the latest poll says of the rule itself.
    pub(super) fn describe(&mut self, rule: &Rule, interval: Duration, polled_at: Stamp) {
        if self.described_at.is_none_or(|described| described <= polled_at) {
            (self.interval, self.hold, self.described_at) = (interval, rule.hold, Some(polled_at));
            self.labels.clone_from(&rule.labels);
        }
    }

    /// Whether an alert with these labels can be of this rule: its own labels, where they are no templates.
    pub(super) fn could_make(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|(name, value)| value.contains("{{") || labels.get(name) == Some(value))
    }

    pub(super) fn has_made(&self, labels: &Labels) -> bool {
        self.evaluations.values().any(|seen| seen.alerts.contains_key(labels))
    }

    pub(super) fn note_unevaluated(&mut self, polled_at: Stamp) {
        self.unevaluated.insert(polled_at);
    }

    /// Takes an evaluation. Of several polls that show the same one the earliest counts: a later one can already show the
    /// alerts of the next evaluation, whose time is published only when it is over.
    pub(super) fn take(&mut self, evaluated: Stamp, seen: Seen) {
        let newest = self.evaluations.last_key_value().is_none_or(|(last, _)| *last < evaluated);
        let replaces = self.evaluations.get(&evaluated).is_none_or(|known| {
            (known.source == Source::Series && seen.source == Source::Poll) || seen.polled_at < known.polled_at
        });
        if replaces {
            self.evaluations.insert(evaluated, seen);
            self.effect = if newest { Effect::Appended } else { Effect::Refined };
        }
    }

    /// Whether an evaluation with this timestamp has been seen.
    pub(super) fn knows(&self, timestamp: Stamp) -> bool {
        let slack = Duration::from_millis(2);
        let end = timestamp + self.interval.saturating_sub(slack);
        let start = timestamp - slack;
        start < end && self.evaluations.range(start..end).next().is_some()
    }

    /// Changes that have not been told yet.
    pub(super) fn news(&mut self, key: &RuleKey) -> Vec<AlertChange> {
        let mut changes = match std::mem::take(&mut self.effect) {
            Effect::Nothing => return Vec::new(),
            Effect::Appended => self.last_pair().map_or_else(Vec::new, |pair| self.transitions(key, pair)),
            Effect::Refined => self.changes(key),
        };
        changes.retain(|change| self.told.insert((change.evaluated, change.labels.clone(), change.to)));
        changes
    }

    /// Changes that have not been told yet, after evaluations were put in between.
    pub(super) fn news_after_merge(&mut self, key: &RuleKey) -> Vec<AlertChange> {
        if self.effect != Effect::Nothing {
            self.effect = Effect::Refined;
        }
        self.news(key)
    }

    pub(super) fn changes(&self, key: &RuleKey) -> Vec<AlertChange> {
        self.pairs().flat_map(|pair| self.transitions(key, pair)).collect()
    }

    pub(super) fn health_changes(&self, key: &RuleKey) -> Vec<HealthChange> {
        let changed = |pair: &Pair<'_>| {
            let before = pair.before.map_or((Health::Ok, ""), |(_, seen)| (seen.health, &seen.error));
            before != (pair.now.health, &pair.now.error)
        };
        let change = |pair: Pair<'_>| HealthChange {
            rule: key.clone(),
            health: pair.now.health,
            error: pair.now.error.clone(),
            evaluated: pair.at,
        };
        self.pairs().filter(changed).map(change).collect()
    }

    /// Evaluations that failed, with Prometheus's error text.
    pub(super) fn failures(&self) -> Vec<(Stamp, String)> {
        let failed = self.evaluations.iter().filter(|(_, seen)| seen.health == Health::Error);
        failed.map(|(at, seen)| (*at, seen.error.clone())).collect()
    }

    /// Polls that found the rule unevaluated although it had been evaluated before.
    pub(super) fn restarts(&self) -> Vec<Stamp> {
        let Some((first, _)) = self.evaluations.first_key_value() else { return Vec::new() };
        let mut restarts = Vec::new();
        let mut last_evaluated = None;
        for polled in self.unevaluated.range(*first..) {
            let evaluated = self.evaluations.range(..*polled).next_back().map(|(at, _)| *at);
            if evaluated != last_evaluated {
                restarts.push(*polled);
            }
            last_evaluated = evaluated;
        }
        restarts
    }

    pub(super) fn coverage(&self, from: Stamp, to: Stamp) -> Coverage {
        let mut coverage = Coverage::default();
        let mut previous = None;
        for (at, seen) in self.evaluations.range(from..=to.max(from)) {
            let missed =
                previous.map_or_else(|| self.missed_to_edge(from, *at), |before| self.missed_between(before, *at));
            if missed > 0 {
                coverage.gaps.push(Gap { after: previous.unwrap_or(from), before: *at, missed });
            }
            coverage.seen += 1;
            coverage.failed += usize::from(seen.health == Health::Error);
            coverage.first.get_or_insert(*at);
            previous = Some(*at);
        }
        coverage.last = previous;
        let missed = self.missed_to_edge(previous.unwrap_or(from), to);
        if missed > 0 {
            coverage.gaps.push(Gap { after: previous.unwrap_or(from), before: to, missed });
        }
        coverage
    }

    pub(super) fn evaluations(&self, from: Stamp, to: Stamp) -> Vec<(Stamp, BTreeMap<Labels, State>)> {
        let states = |seen: &Seen| seen.alerts.iter().map(|(labels, alert)| (labels.clone(), alert.state)).collect();
        self.evaluations.range(from..=to.max(from)).map(|(at, seen)| (*at, states(seen))).collect()
    }

    fn pairs(&self) -> impl Iterator<Item = Pair<'_>> {
        let before = std::iter::once(None).chain(self.evaluations.iter().map(|(at, seen)| Some((*at, seen))));
        before.zip(&self.evaluations).map(|(before, (at, now))| Pair { before, at: *at, now })
    }

    fn last_pair(&self) -> Option<Pair<'_>> {
        let mut newest = self.evaluations.iter().rev();
        let (at, now) = newest.next()?;
        Some(Pair { before: newest.next().map(|(at, seen)| (*at, seen)), at: *at, now })
    }

    fn transitions(&self, key: &RuleKey, pair: Pair<'_>) -> Vec<AlertChange> {
        let empty = BTreeMap::new();
        let before = pair.before.map_or(&empty, |(_, seen)| &seen.alerts);
        let labels: BTreeSet<&Labels> = before.keys().chain(pair.now.alerts.keys()).collect();
        let mut changes = Vec::new();
        for labels in labels {
            let step = Step { timeline: self, key, labels, pair };
            step.changes(before.get(labels), pair.now.alerts.get(labels), &mut changes);
        }
        changes
    }

    /// Evaluations missing between two that were seen.
    pub(super) fn missed_between(&self, before: Stamp, at: Stamp) -> usize {
        let intervals = self.intervals(before, at).round();
        whole(intervals - 1.0)
    }

    /// Evaluations missing between one that was seen and the edge of a window; the last one may still be on its way.
    fn missed_to_edge(&self, from: Stamp, to: Stamp) -> usize {
        whole((self.intervals(from, to) - 0.1).floor())
    }

    fn intervals(&self, from: Stamp, to: Stamp) -> f64 {
        if self.interval.is_zero() { 0.0 } else { to.since(from).as_secs_f64() / self.interval.as_secs_f64() }
    }

    pub(super) fn times(&self, count: usize) -> Duration {
        self.interval.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

fn whole(count: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count, negative ones become 0"
    )]
    let count = count.max(0.0) as usize;
    count
}
