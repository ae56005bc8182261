//! The engine: one thread, one epoll, that sends what is due, reads what comes, gives up on what is overdue and counts it
//! all. Fed by `handle` with commands, hands out seconds and summaries.
//!
//! A turn of its loop handles socket events first and due requests second, so that a request that is due finds the
//! connections that have just become idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::connection::Outcome;
use super::control::{Command, Stage, Wiring};
use super::flight::{Exchange, Flights};
use super::ledger::{ErrorClass, Key, Ledger, Status};
use super::pacer::{End, Next, Pacer};
use super::poller::{Events, Poller, Woken};
use super::pool::{Pool, Way};
use super::recorder::{Ended, Recorder};
use super::response::Body;
use super::spec::{Model, Spec, SpecError};
use super::summary::{Second, Summary, Window};
use super::tls::Tls;
use super::visit::Visits;
use super::watch::{Pacing, Watch};
use super::workload::{self, Pick, Workload};
use crate::clock::{self, Clock, Stamp};

/// So many overdue requests are sent before answers are looked at again.
const BURST: usize = 64;
const SCRATCH: usize = 64 * 1024;

/// The stop that was asked for.
#[derive(Debug)]
struct Stopping {
    drained_by: Duration,
    reply: Option<oneshot::Sender<Summary>>,
}

/// What an engine is made of, made where a failure can still be told.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) workload: Workload,
    pub(super) poller: Poller,
    pub(super) tls: Option<Tls>,
}

/// The engine's state; it lives on its thread.
#[derive(Debug)]
pub(super) struct Engine {
    name: String,
    timeout: Duration,
    lasts: Option<Duration>,
    warm_up: Duration,
    origin: Instant,
    started_at: Stamp,
    names: Arc<[String]>,
    keys: Vec<Key>,
    poller: Poller,
    pool: Pool,
    flights: Flights,
    workload: Workload,
    visits: Visits,
    pacer: Pacer,
    recorder: Recorder,
    watch: Watch,
    wiring: Wiring,
    scratch: Box<[u8]>,
    sent: u64,
    next_second: Duration,
    stopping: Option<Stopping>,
}

impl Engine {
    /// Must be called on the thread it runs on.
    pub(super) fn new(spec: &Spec, parts: Parts, wiring: Wiring, clock: Clock) -> Self {
        let Parts { workload, mut poller, tls } = parts;
        let origin = clock::instant();
        poller.count_from_now();
        let pacing = match spec.model {
            Model::Open { .. } | Model::Users { .. } => Pacing::Paced,
            Model::Connections { .. } => Pacing::FullSpeed,
        };
        Self {
            name: spec.name.clone(),
            timeout: spec.timeout,
            lasts: spec.lasts,
            warm_up: spec.warm_up,
            origin,
            started_at: clock.stamp(origin),
            names: spec.templates().map(|request| request.name.clone()).collect(),
            keys: workload::keys(spec),
            poller,
            pool: Pool::new(Way {
                address: spec.target.address(),
                protocol: spec.protocol,
                tls,
                streams: spec.most_streams(),
            }),
            flights: Flights::default(),
            workload,
            visits: Visits::default(),
            pacer: Pacer::new(spec),
            recorder: Recorder::new(spec.templates().count(), spec.slots, spec.warm_up),
            watch: Watch::new(pacing, spec.lag_limit),
            wiring,
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            sent: 0,
            next_second: Duration::from_secs(1),
            stopping: None,
        }
    }

    pub(super) const fn started_at(&self) -> Stamp {
        self.started_at
    }

    /// Runs until it is stopped or abandoned.
    ///
    /// # Errors
    /// When the operating system refuses to let it wait.
    pub(super) fn run(mut self) -> Result<(), SpecError> {
        let mut events = Events::new();
        loop {
            let now = self.now();
            self.expire(now);
            let backlog = self.send_due(now);
            self.tell_stage(now);
            if self.is_stopped(now) {
                self.finish(now);
                return Ok(());
            }
            let wakes = if backlog == Backlog::More { [Some(now), None] } else { self.next_wakes(now) };
            let waited = self.poller.wait(now, wakes, &mut events);
            waited.map_err(|source| SpecError::System {
                load: self.name.clone(),
                doing: "wait for sockets",
                source,
            })?;
            while let Some(woken) = self.poller.next(&mut events) {
                match woken {
                    Woken::Socket(token, events) => {
                        self.pool.advance(token, events, &mut self.scratch, &self.poller);
                        self.take_ended();
                    }
                    Woken::Called => self.obey(),
                }
            }
        }
    }

    fn now(&self) -> Duration {
        clock::instant().duration_since(self.origin)
    }

    /// Sends what is due; late requests are sent late, however late.
    fn send_due(&mut self, now: Duration) -> Backlog {
        for _ in 0..BURST {
            // a second ends when everything that was due in it has been sent
            if self.next_second <= now && self.pacer.next().is_none_or(|next| next >= self.next_second) {
                self.end_second(now);
                continue;
            }
            match self.pacer.take(now) {
                Some((intended, next)) => self.begin(intended, next),
                None => return Backlog::Nothing,
            }
        }
        Backlog::More
    }

    fn begin(&mut self, intended: Duration, next: Next) {
        let visit = match next {
            Next::Step(visit) => Ok(visit),
            Next::Fresh => match self.workload.pick() {
                Pick::Request(request) => Err(request),
                Pick::Journey(journey, captures) => Ok(self.visits.begin(journey, captures)),
            },
        };
        let (request, visit) = match visit {
            Ok(visit) => (self.visits.request(visit, &self.workload), Some(visit)),
            Err(request) => (request, None),
        };
        if !self.pacer.admits(self.flights.count()) {
            visit.into_iter().for_each(|visit| self.visits.end(visit));
            return self.recorder.dropped(request, intended);
        }
        let started = self.now().max(intended);
        self.recorder.started(request, intended, started);
        self.sent += 1;
        let flight = self.flights.begin(Exchange { request, visit, intended, started });
        self.send(flight, request, visit);
    }

    fn send(&mut self, flight: usize, request: usize, visit: Option<usize>) {
        let Self { workload, visits, pool, poller, sent, .. } = self;
        let captured = visit.map_or(&[][..], |visit| visits.captured(visit));
        let compiled = workload.request(request);
        let wanted = (compiled.answer, if compiled.read_body() { Body::Keep } else { Body::Discard });
        pool.send(flight, wanted, poller, |out| workload.write(request, *sent, captured, out));
        self.take_ended();
    }

    /// Records what the pool has brought to an end.
    fn take_ended(&mut self) {
        while let Some((flight, outcome)) = self.pool.ended() {
            match outcome {
                Outcome::Answered(status, body) => self.answered(flight, status, &body),
                Outcome::Failed(error) => self.record(flight, Status::Error(error), Some(error)),
            }
        }
    }

    fn answered(&mut self, flight: usize, status: u16, body: &[u8]) {
        let exchange = self.flights.get(flight);
        let request = self.workload.request(exchange.request);
        let error = if !request.checks.accept_status(status) {
            Some(ErrorClass::Status)
        } else if request.read_body() {
            let captured = request.checks.accept_body(body).then(|| request.captured(body));
            match (captured.flatten(), exchange.visit) {
                (Some(captured), Some(visit)) => {
                    self.visits.keep(visit, captured);
                    None
                }
                (Some(_), None) => None,
                (None, _) => Some(ErrorClass::Check),
            }
        } else {
            None
        };
        self.record(flight, Status::Code(status), error);
    }

    fn record(&mut self, flight: usize, status: Status, error: Option<ErrorClass>) {
        let ended = self.now();
        let Exchange { request, visit, intended, started } = self.flights.end(flight);
        self.recorder.ended(&Ended { request, intended, started, ended, status, error });
        let how = if matches!(status, Status::Code(_)) { End::Answered } else { End::Unanswered };
        let step = visit.and_then(|visit| match error {
            None => self.visits.go_on(visit, &self.workload),
            Some(_) => {
                self.visits.end(visit);
                None
            }
        });
        self.pacer.ended(ended, how, step.map_or(Next::Fresh, Next::Step));
    }

    /// Gives up on the requests that have had their time.
    fn expire(&mut self, now: Duration) {
        while let Some((flight, started)) = self.flights.oldest() {
            if started + self.timeout > now {
                break;
            }
            self.pool.cancel(flight, &self.poller);
            self.record(flight, Status::Error(ErrorClass::Timeout), Some(ErrorClass::Timeout));
            self.take_ended();
        }
    }

    /// Tells whoever waits when the arrivals and all requests have ended by themselves.
    fn tell_stage(&self, now: Duration) {
        let ended = self.lasts.is_some_and(|lasts| now >= lasts) && self.pacer.next().is_none();
        let over = ended && self.flights.count() == 0;
        if over && *self.wiring.stage.borrow() == Stage::Running {
            self.wiring.stage.send_replace(Stage::Over);
        }
    }

    fn end_second(&mut self, now: Duration) {
        let second = self.started_at + self.next_second - Duration::from_secs(1);
        self.next_second += Duration::from_secs(1);
        self.watch.look(now);
        self.recorder.settle(self.pacer.next().map_or(now, |next| next.min(now)));
        let (flow, latency_us) = self.recorder.take_second();
        let sample = Second {
            second,
            planned: flow.planned,
            started: flow.started,
            dropped: flow.dropped,
            succeeded: flow.succeeded(),
            failed: flow.unexpected + flow.failed,
            in_flight: self.flights.count() as u64,
            latency_us,
        };
        // nobody may be watching
        let _ = self.wiring.seconds.send(sample);
    }

    /// When there is something to do by itself, and when something is due after that.
    fn next_wakes(&self, now: Duration) -> [Option<Duration>; 2] {
        let deadline = self.flights.oldest().map(|(_, started)| started + self.timeout);
        let drained = self.stopping.as_ref().map(|stopping| stopping.drained_by);
        let over = self.lasts.filter(|lasts| *lasts > now);
        let first = [self.pacer.next(), deadline, drained, over, Some(self.next_second)].into_iter().flatten().min();
        [first, first.and_then(|first| self.pacer.next_after(first))]
    }

    fn obey(&mut self) {
        while let Ok(command) = self.wiring.commands.try_recv() {
            let now = self.now();
            while self.send_due(now) == Backlog::More {}
            match command {
                Command::Factor(factor) => self.pacer.set_factor(factor, now),
                // the asker may have gone
                Command::Snapshot(reply) => drop(reply.send(self.summary(now))),
                Command::Stop { drain, reply } => self.stop(now, drain, Some(reply)),
                Command::Abandon => self.stop(now, Duration::ZERO, None),
            }
        }
    }

    fn stop(&mut self, now: Duration, drain: Duration, reply: Option<oneshot::Sender<Summary>>) {
        self.pacer.end_at(now);
        self.stopping = Some(Stopping { drained_by: now + drain, reply });
    }

    fn is_stopped(&self, now: Duration) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| self.flights.count() == 0 || now >= stopping.drained_by)
    }

    /// Cancels what is still in flight and hands out the summary.
    fn finish(&mut self, now: Duration) {
        self.pool.shut();
        while let Some((flight, _)) = self.flights.oldest() {
            let exchange = self.flights.end(flight);
            self.recorder.cancelled(exchange.request, exchange.intended);
        }
        self.end_second(now);
        let summary = self.summary(now);
        if let Some(reply) = self.stopping.take().and_then(|stopping| stopping.reply) {
            // the asker may have gone
            let _ = reply.send(summary);
        }
    }

    fn summary(&self, now: Duration) -> Summary {
        let totals = &self.recorder.totals;
        let taken_at = self.started_at + now;
        let ledger: Ledger = self.keys.iter().cloned().zip(totals.statuses.iter().cloned()).collect();
        Summary {
            load: self.name.clone(),
            started_at: self.started_at,
            taken_at,
            warm_up: self.warm_up,
            flow: totals.flow(),
            ledger,
            errors: totals.errors.clone(),
            tls_failure: self.pool.tls_failure().map(ToOwned::to_owned),
            saturation: self.watch.judge(totals),
            whole: Window::whole(Arc::clone(&self.names), self.started_at, taken_at, totals),
            slot_width: self.recorder.width(),
            slots: self.recorder.slots(),
        }
    }
}

/// Whether more requests are due than were sent in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backlog {
    Nothing,
    More,
}
