//! When the next request is due: by the schedule (open model), or when a connection has nothing to do (closed model). Used
//! by `engine`.

use std::collections::VecDeque;
use std::time::Duration;

use super::schedule::Schedule;
use super::spec::{Model, Spec};

/// So long a connection of the closed model rests after a request that got no answer, so that a dead target is not
/// hammered with connection attempts.
const REST: Duration = Duration::from_millis(10);

/// Says what is due.
#[derive(Debug)]
pub(super) enum Pacer {
    Open { schedule: Schedule, max_in_flight: usize },
    Closed { ready: usize, resting: VecDeque<Duration>, open: Gate, end: Option<Duration> },
}

/// Whether the closed model sends at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Shut,
}

/// How a request ended, as far as the pace is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    Unanswered,
}

impl Pacer {
    pub(super) fn new(spec: &Spec) -> Self {
        match &spec.model {
            Model::Open { stages, arrivals, max_in_flight } => Self::Open {
                schedule: Schedule::new(stages, *arrivals, spec.seed, spec.lasts),
                max_in_flight: *max_in_flight,
            },
            Model::Connections { count } => {
                Self::Closed { ready: *count, resting: VecDeque::new(), open: Gate::Open, end: spec.lasts }
            }
        }
    }

    /// The intended start of the next request, if it is due.
    pub(super) fn take(&mut self, now: Duration) -> Option<Duration> {
        match self {
            Self::Open { schedule, .. } => schedule.peek().filter(|at| *at <= now).and_then(|_| schedule.take()),
            Self::Closed { ready, resting, open, end } => {
                while resting.front().is_some_and(|until| *until <= now) {
                    resting.pop_front();
                    *ready += 1;
                }
                if *ready == 0 || *open == Gate::Shut || end.is_some_and(|end| now >= end) {
                    return None;
                }
                *ready -= 1;
                Some(now)
            }
        }
    }

    /// When something is due next, as far as it is known.
    pub(super) fn next(&self) -> Option<Duration> {
        match self {
            Self::Open { schedule, .. } => schedule.peek(),
            Self::Closed { open: Gate::Shut, .. } => None,
            Self::Closed { ready: 1.., end, .. } => end.is_none().then_some(Duration::ZERO),
            Self::Closed { resting, .. } => resting.front().copied(),
        }
    }

    /// Whether another request fits beside those in flight.
    pub(super) const fn admits(&self, in_flight: usize) -> bool {
        match self {
            Self::Open { max_in_flight, .. } => in_flight < *max_in_flight,
            Self::Closed { .. } => true,
        }
    }

    pub(super) fn ended(&mut self, now: Duration, how: End) {
        if let Self::Closed { ready, resting, .. } = self {
            match how {
                End::Answered => *ready += 1,
                End::Unanswered => resting.push_back(now + REST),
            }
        }
    }

    /// Multiplies the rate; for the closed model, which has none, 0 shuts it and anything else opens it.
    pub(super) fn set_factor(&mut self, factor: f64, now: Duration) {
        match self {
            Self::Open { schedule, .. } => schedule.set_factor(factor, now),
            Self::Closed { open, .. } => *open = if factor > 0.0 { Gate::Open } else { Gate::Shut },
        }
    }

    /// Nothing is due at or after `end`.
    pub(super) fn end_at(&mut self, at: Duration) {
        match self {
            Self::Open { schedule, .. } => schedule.end_at(at),
            Self::Closed { end, .. } => *end = Some(end.map_or(at, |earlier| earlier.min(at))),
        }
    }
}
