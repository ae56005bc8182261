//! When the next request is due: by the schedule (open model), or when a user or connection has had its answer and its
//! pause (closed models). The later steps of a journey follow its first one in every model. Used by `engine`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::schedule::Schedule;
use super::spec::{Model, Protocol, Spec};

/// So long a connection or user of a closed model rests at least after a request that got no answer, so that a dead
/// target is not hammered with connection attempts.
const REST: Duration = Duration::from_millis(10);

/// Says what is due.
#[derive(Debug)]
pub(super) struct Pacer {
    origin: Origin,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Counts what was put to wait, so that equal times keep their order.
    put: u64,
    gate: Gate,
    end: Option<Duration>,
}

/// Where new requests come from.
#[derive(Debug)]
enum Origin {
    Schedule { schedule: Box<Schedule>, max_in_flight: usize },
    Loop { think: Duration },
}

/// Something that is due at a time; the fields are in the order of comparison.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Duration,
    number: u64,
    next: Next,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Next {
    /// A new request or journey.
    Fresh,
    /// The next step of a visit that is under way.
    Step(usize),
}

/// Whether the closed models send at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// Since then.
    Open(Duration),
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
        let (origin, waiting) = match &spec.model {
            Model::Open { stages, arrivals, max_in_flight } => {
                let schedule = Box::new(Schedule::new(stages, *arrivals, spec.seed, spec.lasts));
                (Origin::Schedule { schedule, max_in_flight: *max_in_flight }, Vec::new())
            }
            Model::Connections { count } => {
                let streams = if spec.protocol == Protocol::Http1 { 1 } else { spec.most_streams() };
                (Origin::Loop { think: Duration::ZERO }, vec![Duration::ZERO; count.saturating_mul(streams)])
            }
            Model::Users { count, ramp, think } => {
                let begins = (0..*count).map(|user| ramp.mul_f64(user as f64 / *count as f64));
                (Origin::Loop { think: *think }, begins.collect())
            }
        };
        let gate = Gate::Open(Duration::ZERO);
        let mut pacer = Self { origin, waiting: BinaryHeap::new(), put: 0, gate, end: spec.lasts };
        waiting.into_iter().for_each(|due| pacer.put(due, Next::Fresh));
        pacer
    }

    /// What is due by `now`, with its intended start.
    pub(super) fn take(&mut self, now: Duration) -> Option<(Duration, Next)> {
        let (due, source) = self.first()?;
        if due > now {
            return None;
        }
        match (&mut self.origin, source) {
            (Origin::Schedule { schedule, .. }, Source::Schedule) => schedule.take().map(|at| (at, Next::Fresh)),
            _ => self.waiting.pop().map(|Reverse(waiting)| (due, waiting.next)),
        }
    }

    /// When something is due next, as far as it is known.
    pub(super) fn next(&self) -> Option<Duration> {
        self.first().map(|(due, _)| due)
    }

    /// When something is due next after `at`, as far as it is known: a hint by which to set a timer early.
    pub(super) fn next_after(&self, at: Duration) -> Option<Duration> {
        let scheduled = match &self.origin {
            Origin::Schedule { schedule, .. } => [schedule.peek(), schedule.peek_second()],
            Origin::Loop { .. } => [None; 2],
        };
        scheduled.into_iter().chain([self.next()]).flatten().filter(|due| *due > at).min()
    }

    /// Whether another request fits beside those in flight.
    pub(super) const fn admits(&self, in_flight: usize) -> bool {
        match self.origin {
            Origin::Schedule { max_in_flight, .. } => in_flight < max_in_flight,
            Origin::Loop { .. } => true,
        }
    }

    /// A request ended; `next` is what whoever sent it does now.
    pub(super) fn ended(&mut self, now: Duration, how: End, next: Next) {
        match (&self.origin, next) {
            (Origin::Schedule { .. }, Next::Fresh) => {}
            (Origin::Schedule { .. }, Next::Step(_)) => self.put(now, next),
            (Origin::Loop { think }, _) => {
                let rest = if how == End::Answered { Duration::ZERO } else { REST };
                self.put(now + rest.max(*think), next);
            }
        }
    }

    /// Multiplies the rate; for the closed models, which have none, 0 shuts them and anything else opens them.
    pub(super) fn set_factor(&mut self, factor: f64, now: Duration) {
        match &mut self.origin {
            Origin::Schedule { schedule, .. } => schedule.set_factor(factor, now),
            Origin::Loop { .. } if factor <= 0.0 => self.gate = Gate::Shut,
            Origin::Loop { .. } if self.gate == Gate::Shut => self.gate = Gate::Open(now),
            Origin::Loop { .. } => {}
        }
    }

    /// Nothing is due at or after `end`.
    pub(super) fn end_at(&mut self, at: Duration) {
        self.end = Some(self.end.map_or(at, |earlier| earlier.min(at)));
        if let Origin::Schedule { schedule, .. } = &mut self.origin {
            schedule.end_at(at);
        }
    }

    fn put(&mut self, due: Duration, next: Next) {
        self.put += 1;
        self.waiting.push(Reverse(Waiting { due, number: self.put, next }));
    }

    /// What is due first. Who waited at a shut gate is due when it opens, not before.
    fn first(&self) -> Option<(Duration, Source)> {
        let scheduled = match &self.origin {
            Origin::Schedule { schedule, .. } => schedule.peek().map(|due| (due, Source::Schedule)),
            Origin::Loop { .. } => None,
        };
        let waiting = match (self.waiting.peek(), self.gate) {
            (Some(Reverse(waiting)), Gate::Open(since)) => Some(waiting.due.max(since)),
            _ => None,
        };
        let waiting = waiting.filter(|due| self.end.is_none_or(|end| *due < end)).map(|due| (due, Source::Waiting));
        scheduled.into_iter().chain(waiting).min()
    }
}

/// Where the first thing due comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Waiting,
    Schedule,
}

#[cfg(test)]
mod tests {
    use super::super::spec::RequestTemplate;
    use super::super::target::{Reach, Target};
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn pacer(model: Model) -> Pacer {
        let target = Target::resolve("http://127.0.0.1:1", Reach::Loopback).unwrap();
        let mut spec = Spec::new("test", target, model, vec![RequestTemplate::get("/")]);
        spec.lasts = Some(10 * S);
        Pacer::new(&spec)
    }

    #[test]
    fn users_begin_one_after_the_other_and_think_before_they_go_on() {
        let mut pacer = pacer(Model::Users { count: 2, ramp: 4 * S, think: 3 * S });
        assert_eq!(pacer.take(S), Some((Duration::ZERO, Next::Fresh)));
        assert_eq!((pacer.take(S), pacer.next()), (None, Some(2 * S)));
        pacer.ended(S, End::Answered, Next::Step(7));
        assert_eq!(pacer.take(5 * S), Some((2 * S, Next::Fresh)));
        assert_eq!(pacer.take(5 * S), Some((4 * S, Next::Step(7))));
        pacer.ended(8 * S, End::Answered, Next::Fresh);
        assert_eq!(pacer.take(20 * S), None, "nothing is due after the end");
    }

    #[test]
    fn who_waits_at_a_shut_gate_is_due_when_it_opens() {
        let mut pacer = pacer(Model::Connections { count: 1 });
        pacer.set_factor(0.0, S);
        assert_eq!((pacer.take(2 * S), pacer.next()), (None, None));
        pacer.set_factor(1.0, 3 * S);
        assert_eq!(pacer.take(4 * S), Some((3 * S, Next::Fresh)));
    }

    #[test]
    fn a_dead_target_is_not_hammered() {
        let mut pacer = pacer(Model::Connections { count: 1 });
        pacer.take(Duration::ZERO);
        pacer.ended(S, End::Unanswered, Next::Fresh);
        assert_eq!(pacer.next(), Some(S + REST));
    }

    #[test]
    fn the_steps_of_a_journey_follow_beside_the_schedule() {
        let mut pacer = pacer(Model::steady(1.0, 1));
        assert_eq!(pacer.take(S / 2), Some((Duration::ZERO, Next::Fresh)));
        pacer.ended(S / 2, End::Answered, Next::Step(0));
        assert_eq!(pacer.take(S), Some((S / 2, Next::Step(0))));
        assert_eq!(pacer.take(S), Some((S, Next::Fresh)));
        pacer.ended(S, End::Answered, Next::Fresh);
        assert_eq!((pacer.take(S), pacer.next()), (None, Some(2 * S)));
    }

    #[test]
    fn what_is_due_after_a_time_is_known_as_far_as_the_schedule_and_who_waits_tell() {
        let mut open = pacer(Model::steady(1.0, 1));
        assert_eq!((open.next_after(Duration::ZERO), open.next_after(S)), (Some(S), None));
        assert_eq!(open.take(S / 2), Some((Duration::ZERO, Next::Fresh)));
        open.ended(S / 2, End::Answered, Next::Step(0));
        assert_eq!((open.next_after(S / 4), open.next_after(S / 2)), (Some(S / 2), Some(S)));
        let users = pacer(Model::Users { count: 2, ramp: 4 * S, think: 3 * S });
        assert_eq!(users.next_after(Duration::ZERO), None);
    }
}
