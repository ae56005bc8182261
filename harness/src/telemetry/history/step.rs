//! What became of one alert between two evaluations that were seen, and what is known of those in between.

use std::time::Duration;

use super::timeline::{Seen, Timeline};
use super::{AlertChange, AlertSeen, RuleKey, Source, State};
use crate::clock::Stamp;
use crate::telemetry::Labels;

/// An evaluation begins this much after its own timestamp at most, as a share of the interval; where the distance to the
/// grid is larger, `activeAt` was restored after a restart and lies on no grid.
const LATEST_START: f64 = 0.2;

/// Two evaluations that follow each other in what was seen.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) before: Option<(Stamp, &'a Seen)>,
    pub(super) at: Stamp,
    pub(super) now: &'a Seen,
}

/// What became of one alert between two evaluations.
pub(super) struct Step<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) key: &'a RuleKey,
    pub(super) labels: &'a Labels,
    pub(super) pair: Pair<'a>,
}

impl Step<'_> {
    /// The changes from one to the other, in their order.
    pub(super) fn changes(&self, before: Option<&AlertSeen>, now: Option<&AlertSeen>, changes: &mut Vec<AlertChange>) {
        match (before, now) {
            (None, Some(now)) => self.appear(now, None, changes),
            (Some(before), None) => changes.push(self.disappear(before)),
            (Some(before), Some(now)) if is_another(before, now) => {
                let ended = self.end_unseen(before, now);
                let after = ended.earliest;
                changes.push(ended);
                self.appear(now, Some(after), changes);
            }
            (Some(before), Some(now)) if before.state != now.state => {
                changes.push(self.change(before.state, now.state, now, self.evaluated(now), self.missed()));
            }
            _ => {}
        }
    }

    /// An alert that was inactive at `after`, or at the evaluation before.
    fn appear(&self, now: &AlertSeen, after: Option<Stamp>, changes: &mut Vec<AlertChange>) {
        let inactive_at = after.or_else(|| self.pair.before.map(|(at, _)| at));
        let evaluated = self.evaluated(now);
        // Restored after a restart, it may claim to be older than what was seen.
        let began = now.active_at.filter(|began| inactive_at.is_none_or(|inactive| *began > inactive));
        match (began, now.state) {
            (Some(began), State::Pending) => changes.push(self.exactly(State::Inactive, State::Pending, now, began)),
            (Some(began), _) if self.timeline.hold().is_zero() => {
                changes.push(self.exactly(State::Inactive, State::Firing, now, began));
            }
            (Some(began), _) => {
                let pending = AlertChange {
                    source: Source::Inferred,
                    value: None,
                    ..self.exactly(State::Inactive, State::Pending, now, began)
                };
                changes.push(pending);
                let missed = self.timeline.missed_between(began, evaluated);
                changes.push(self.change(State::Pending, State::Firing, now, evaluated, missed));
            }
            (None, state) => {
                let missed = inactive_at.map_or(0, |inactive| self.timeline.missed_between(inactive, evaluated));
                changes.push(self.change(State::Inactive, state, now, evaluated, missed));
            }
        }
    }

    fn disappear(&self, before: &AlertSeen) -> AlertChange {
        let ended = AlertSeen { value: None, ..before.clone() };
        self.change(before.state, State::Inactive, &ended, self.evaluated(before), self.missed())
    }

    /// It is active again since a later time, so it was inactive at an evaluation in between.
    fn end_unseen(&self, before: &AlertSeen, now: &AlertSeen) -> AlertChange {
        let interval = self.timeline.interval();
        let first = self.pair.before.map_or(self.pair.at, |(at, _)| self.on_grid(at, before.active_at)) + interval;
        let began = now.active_at.unwrap_or_else(|| self.evaluated(now));
        let last = (began - interval).max(first);
        let change = self.change(before.state, State::Inactive, before, last, 0);
        AlertChange { earliest: first, value: None, source: Source::Inferred, ..change }
    }

    fn exactly(&self, from: State, to: State, seen: &AlertSeen, at: Stamp) -> AlertChange {
        AlertChange { latest: at, ..self.change(from, to, seen, at, 0) }
    }

    fn change(&self, from: State, to: State, seen: &AlertSeen, at: Stamp, missed: usize) -> AlertChange {
        let evaluated = self.not_before_hold(to, seen, at);
        let mut earliest = evaluated - self.timeline.times(missed);
        if let (State::Firing, Some(hold_over)) = (to, self.hold_over(seen)) {
            earliest = earliest.max(hold_over).min(evaluated);
        }
        let may_be_next = self.is_late() && evaluated == at;
        let latest = if may_be_next { evaluated + self.timeline.interval() } else { evaluated };
        AlertChange {
            rule: self.key.clone(),
            labels: self.labels.clone(),
            annotations: seen.annotations.clone(),
            from,
            to,
            evaluated,
            earliest,
            latest,
            value: seen.value,
            source: self.pair.now.source,
        }
    }

    /// An alert cannot fire before its `for` is over; if it seems to, the poll met the next evaluation half-way.
    fn not_before_hold(&self, to: State, seen: &AlertSeen, evaluated: Stamp) -> Stamp {
        let slack = Duration::from_millis(2);
        match (to, self.hold_over(seen)) {
            (State::Firing, Some(hold_over)) if evaluated + slack < hold_over => evaluated + self.timeline.interval(),
            _ => evaluated,
        }
    }

    /// The first evaluation at which the alert's `for` is over.
    fn hold_over(&self, seen: &AlertSeen) -> Option<Stamp> {
        let interval = self.timeline.interval().as_micros();
        let hold = self.timeline.hold().as_micros();
        let evaluations = if interval == 0 { 0 } else { hold.div_ceil(interval) };
        let began = seen.active_at?;
        Some(began + self.timeline.times(usize::try_from(evaluations).unwrap_or(usize::MAX)))
    }

    /// Whether the poll came so late that it may show alerts of the next evaluation.
    fn is_late(&self) -> bool {
        self.pair.now.polled_at >= self.pair.at + self.timeline.interval()
    }

    fn missed(&self) -> usize {
        self.pair.before.map_or(0, |(before, _)| self.timeline.missed_between(before, self.pair.at))
    }

    fn evaluated(&self, seen: &AlertSeen) -> Stamp {
        self.on_grid(self.pair.at, seen.active_at)
    }

    /// The timestamp of the evaluation that began at `at`: the last point before it on the grid on which `active_at` lies,
    /// and every sample of a series.
    fn on_grid(&self, at: Stamp, active_at: Option<Stamp>) -> Stamp {
        let sample = self.pair.before.filter(|(_, seen)| seen.source == Source::Series).map(|(at, _)| at);
        let interval = i64::try_from(self.timeline.interval().as_micros()).unwrap_or(0);
        let Some(active_at) = active_at.or(sample).filter(|_| interval > 0) else { return at };
        let after = (at.0 - active_at.0 + 1000).rem_euclid(interval) - 1000;
        #[expect(clippy::cast_precision_loss, reason = "intervals are far below 2^52 microseconds")]
        let share = after as f64 / interval as f64;
        if share > LATEST_START { at } else { Stamp(at.0 - after) }
    }
}

/// Whether it is active for another reason than before: it began later, as exactly as both observations say.
fn is_another(before: &AlertSeen, now: &AlertSeen) -> bool {
    let began_later = match (before.active_at, now.active_at) {
        (Some(before), Some(now)) => now > before,
        _ => matches!((before.active_second, now.active_second), (Some(before), Some(now)) if now > before),
    };
    began_later || (before.state == State::Firing && now.state == State::Pending)
}
