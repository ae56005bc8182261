//! Counts and times every request: per slot of time, request and status class for windows, in total for the whole load,
//! per second for whoever watches. Fed by `engine`, turned into `summary::Summary`.
//!
//! A request belongs to the slot of its *intended* start, also when it ends much later, so that in every slot
//! `planned = started + dropped` and `started = completed + failed + cancelled` hold exactly once the slot is settled.
//! Memory is bounded for any duration: settled slots are packed, and when there are too many of them, slots become twice as
//! wide and those that are there are merged with their neighbours.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::distribution::{Distribution, Packed, Precision};
use super::flow::Flow;
use super::ledger::{Class, ErrorClass, Status};

/// The width of a slot to begin with.
const SLOT_WIDTH: Duration = Duration::from_millis(250);
/// So many pairs of slots are merged when one is settled: all of them at once would make requests late.
const MERGED_AT_ONCE: usize = 2;

/// A request that ended; times since the load's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) request: usize,
    pub(super) intended: Duration,
    pub(super) started: Duration,
    pub(super) ended: Duration,
    pub(super) status: Status,
    /// Why it counts as an error, if it does.
    pub(super) error: Option<ErrorClass>,
}

/// Latency from the intended start, and service time from the actual one.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    pub(super) latency: Distribution,
    pub(super) service: Distribution,
}

impl Timing {
    pub(super) fn new(precision: Precision) -> Self {
        Self { latency: Distribution::new(precision), service: Distribution::new(precision) }
    }

    fn record(&mut self, ended: &Ended) {
        self.latency.record(ended.ended.saturating_sub(ended.intended));
        self.service.record(ended.ended.saturating_sub(ended.started));
    }
}

/// A settled slot.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) flows: Box<[Flow]>,
    pub(super) cells: Box<[Cell]>,
    pub(super) lag: Packed,
}

/// The times of one request and status class in a slot.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) request: usize,
    pub(super) class: Class,
    pub(super) latency: Packed,
    pub(super) service: Packed,
}

/// A slot that still has requests due or in flight.
#[derive(Debug)]
struct OpenSlot {
    flows: Box<[Flow]>,
    cells: Vec<Option<Box<Timing>>>,
    lag: Distribution,
}

/// What went on in the current second, by the time it happened.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) flow: Flow,
    pub(super) latency: Distribution,
}

/// The recorder.
#[derive(Debug)]
pub(super) struct Recorder {
    requests: usize,
    /// So many settled slots are kept.
    limit: usize,
    /// The end of the warm-up: no slot is merged across it.
    warm_up: Duration,
    width: Duration,
    settled: Vec<Arc<Slot>>,
    /// So many of the settled slots have been looked at since slots became wider.
    merged: usize,
    open: VecDeque<OpenSlot>,
    /// The number of the first open slot, in widths.
    first_open: u64,
    pub(super) totals: Totals,
    pub(super) live: Live,
}

/// Everything since the start.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    pub(super) flows: Box<[Flow]>,
    pub(super) cells: Vec<Option<Box<Timing>>>,
    pub(super) lag: Distribution,
    pub(super) statuses: Vec<std::collections::BTreeMap<Status, u64>>,
    pub(super) errors: std::collections::BTreeMap<ErrorClass, u64>,
}

impl Totals {
    pub(super) fn flow(&self) -> Flow {
        let mut sum = Flow::default();
        self.flows.iter().for_each(|flow| sum.add(flow));
        sum
    }
}

impl Recorder {
    pub(super) fn new(requests: usize, limit: usize, warm_up: Duration) -> Self {
        let flows = vec![Flow::default(); requests].into_boxed_slice();
        Self {
            requests,
            limit: limit.max(2),
            warm_up,
            width: SLOT_WIDTH,
            settled: Vec::new(),
            merged: 0,
            open: VecDeque::new(),
            first_open: 0,
            totals: Totals {
                flows,
                cells: vec![None; requests * Class::ALL.len()],
                lag: Distribution::new(Precision::Fine),
                statuses: vec![std::collections::BTreeMap::new(); requests],
                errors: std::collections::BTreeMap::new(),
            },
            live: Live { flow: Flow::default(), latency: Distribution::new(Precision::Coarse) },
        }
    }

    /// A request was due and could not be sent.
    pub(super) fn dropped(&mut self, request: usize, intended: Duration) {
        self.count(request, intended, |flow| {
            flow.planned += 1;
            flow.dropped += 1;
        });
    }

    /// A request was due and is being sent.
    pub(super) fn started(&mut self, request: usize, intended: Duration, started: Duration) {
        self.count(request, intended, |flow| {
            flow.planned += 1;
            flow.started += 1;
        });
        let lag = started.saturating_sub(intended);
        self.totals.lag.record(lag);
        self.slot(intended).lag.record(lag);
    }

    /// A started request was given up because the load ends.
    pub(super) fn cancelled(&mut self, request: usize, intended: Duration) {
        self.count(request, intended, |flow| flow.cancelled += 1);
    }

    /// A started request ended.
    pub(super) fn ended(&mut self, ended: &Ended) {
        let class = Class::from(ended.status);
        let answered = matches!(ended.status, Status::Code(_));
        self.count(ended.request, ended.intended, |flow| match (answered, ended.error) {
            (true, None) => flow.completed += 1,
            (true, Some(_)) => {
                flow.completed += 1;
                flow.unexpected += 1;
            }
            (false, _) => flow.failed += 1,
        });
        *self.totals.statuses[ended.request].entry(ended.status).or_insert(0) += 1;
        if let Some(error) = ended.error {
            *self.totals.errors.entry(error).or_insert(0) += 1;
        }
        let cell = ended.request * Class::ALL.len() + class as usize;
        timing(&mut self.totals.cells[cell], Precision::Fine).record(ended);
        timing(&mut self.slot(ended.intended).cells[cell], Precision::Coarse).record(ended);
        if class != Class::Unanswered {
            self.live.latency.record(ended.ended.saturating_sub(ended.intended));
        }
    }

    /// Ends the current second.
    pub(super) fn take_second(&mut self) -> (Flow, Option<[u64; 4]>) {
        let micros = |quantile| {
            let value: Option<Duration> = self.live.latency.quantile(quantile);
            value.and_then(|value| u64::try_from(value.as_micros()).ok())
        };
        let latency = match (micros(0.5), micros(0.9), micros(0.99), micros(1.0)) {
            (Some(p50), Some(p90), Some(p99), Some(max)) if self.live.flow.completed > 0 => Some([p50, p90, p99, max]),
            _ => None,
        };
        self.live.latency.clear();
        (std::mem::take(&mut self.live.flow), latency)
    }

    /// Packs the slots that lie before `horizon`, before which no request is due any more, and have nothing in flight.
    pub(super) fn settle(&mut self, horizon: Duration) {
        while let Some(first) = self.open.front() {
            let from = self.width * u32::try_from(self.first_open).unwrap_or(u32::MAX);
            let outstanding: u64 = first.flows.iter().map(Flow::in_flight).sum();
            if from + self.width > horizon || outstanding > 0 {
                break;
            }
            let slot = first.pack(from, from + self.width);
            self.open.pop_front();
            self.first_open += 1;
            self.settled.extend(slot.map(Arc::new));
            self.merge_some();
            // an odd one would be half of a wider slot
            if self.settled.len() >= self.limit && self.first_open.is_multiple_of(2) {
                self.widen();
            }
        }
    }

    /// How wide slots are; those of the past may still be narrower.
    pub(super) const fn width(&self) -> Duration {
        self.width
    }

    /// All slots so far, the open ones as they stand.
    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        let open = self.open.iter().zip(self.first_open..).filter_map(|(slot, number)| {
            let from = self.width * u32::try_from(number).unwrap_or(u32::MAX);
            slot.pack(from, from + self.width).map(Arc::new)
        });
        self.settled.iter().cloned().chain(open).collect()
    }

    fn count(&mut self, request: usize, intended: Duration, change: impl Fn(&mut Flow)) {
        change(&mut self.totals.flows[request]);
        change(&mut self.live.flow);
        change(&mut self.slot(intended).flows[request]);
    }

    fn slot(&mut self, intended: Duration) -> &mut OpenSlot {
        let number = u64::try_from(intended.as_nanos() / self.width.as_nanos()).unwrap_or(u64::MAX);
        if self.open.is_empty() {
            self.first_open = self.first_open.max(number);
        }
        let index = usize::try_from(number.saturating_sub(self.first_open)).expect("slots are as long as a load");
        while self.open.len() <= index {
            self.open.push_back(OpenSlot::new(self.requests));
        }
        &mut self.open[index]
    }

    /// Makes slots twice as wide: the open ones now, the settled ones bit by bit.
    fn widen(&mut self) {
        self.width *= 2;
        self.merged = 0;
        let narrow = std::mem::take(&mut self.open);
        for (number, slot) in (self.first_open..).zip(narrow) {
            match self.open.back_mut() {
                Some(first) if !number.is_multiple_of(2) => first.add(&slot),
                _ => self.open.push_back(slot),
            }
        }
        self.first_open /= 2;
    }

    /// Merges a few settled slots that are narrower than slots are by now with their neighbours.
    fn merge_some(&mut self) {
        let place = |slot: &Slot| (slot.from.as_nanos() / self.width.as_nanos(), slot.from >= self.warm_up);
        for _ in 0..MERGED_AT_ONCE {
            let [one, two, ..] = &self.settled[self.merged..] else { return };
            if place(one) == place(two) {
                self.settled[self.merged] = Arc::new(one.merge(two));
                self.settled.remove(self.merged + 1);
            }
            self.merged += 1;
        }
    }
}

impl OpenSlot {
    fn new(requests: usize) -> Self {
        Self {
            flows: vec![Flow::default(); requests].into_boxed_slice(),
            cells: vec![None; requests * Class::ALL.len()],
            lag: Distribution::new(Precision::Coarse),
        }
    }

    fn add(&mut self, next: &Self) {
        self.flows.iter_mut().zip(&next.flows).for_each(|(flow, other)| flow.add(other));
        self.lag.add(&next.lag);
        for (cell, other) in self.cells.iter_mut().zip(&next.cells) {
            if let Some(other) = other {
                let timing = timing(cell, Precision::Coarse);
                timing.latency.add(&other.latency);
                timing.service.add(&other.service);
            }
        }
    }

    /// None when nothing was due in it.
    fn pack(&self, from: Duration, to: Duration) -> Option<Slot> {
        let cell = |(index, timing): (usize, &Option<Box<Timing>>)| {
            let timing = timing.as_ref()?;
            let class = Class::ALL[index % Class::ALL.len()];
            let (latency, service) = (timing.latency.pack(), timing.service.pack());
            Some(Cell { request: index / Class::ALL.len(), class, latency, service })
        };
        let cells = self.cells.iter().enumerate().filter_map(cell).collect();
        let planned = self.flows.iter().any(|flow| flow.planned > 0);
        planned.then(|| Slot { from, to, flows: self.flows.clone(), cells, lag: self.lag.pack() })
    }
}

impl Slot {
    fn merge(&self, next: &Self) -> Self {
        let mut flows = self.flows.clone();
        flows.iter_mut().zip(&next.flows).for_each(|(flow, other)| flow.add(other));
        let mut lag = Distribution::new(Precision::Coarse);
        lag.add_packed(&self.lag);
        lag.add_packed(&next.lag);
        let mut cells = std::collections::BTreeMap::new();
        for cell in self.cells.iter().chain(&next.cells) {
            let timing = cells.entry((cell.request, cell.class)).or_insert_with(|| Timing::new(Precision::Coarse));
            timing.latency.add_packed(&cell.latency);
            timing.service.add_packed(&cell.service);
        }
        let pack = |((request, class), timing): ((usize, Class), Timing)| {
            let (latency, service) = (timing.latency.pack(), timing.service.pack());
            Cell { request, class, latency, service }
        };
        Self { from: self.from, to: next.to, flows, cells: cells.into_iter().map(pack).collect(), lag: lag.pack() }
    }
}

fn timing(cell: &mut Option<Box<Timing>>, precision: Precision) -> &mut Timing {
    cell.get_or_insert_with(|| Box::new(Timing::new(precision)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_for_any_duration_and_nothing_is_lost() {
        let mut recorder = Recorder::new(2, 512, Duration::from_millis(99_250));
        let (step, count) = (Duration::from_millis(125), 25_600_u32);
        let mut most = 0;
        for number in 0..count {
            let (request, intended) = (number as usize % 2, step * number);
            recorder.started(request, intended, intended);
            let (started, ended) = (intended, intended + Duration::from_micros(u64::from(number)));
            recorder.ended(&Ended { request, intended, started, ended, status: Status::Code(200), error: None });
            recorder.settle(intended);
            most = most.max(recorder.settled.len());
        }
        let slots = recorder.slots();
        assert!((500..=514).contains(&most), "{most}");
        // 3,200 s in 512 slots: 8 s each, but for the one in which the warm-up ends, which is cut in two there
        assert_eq!(recorder.width(), Duration::from_secs(8));
        assert!(slots.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert!(slots.iter().all(|slot| slot.to - slot.from <= recorder.width()));
        assert_eq!((slots.len(), slots.iter().filter(|slot| slot.to == recorder.warm_up).count()), (401, 1));
        let sum: u64 = slots.iter().flat_map(|slot| &slot.flows).map(|flow| flow.completed).sum();
        assert_eq!((sum, recorder.totals.flow().completed), (u64::from(count), u64::from(count)));
        let mut latency = Distribution::new(Precision::Coarse);
        slots.iter().flat_map(|slot| &slot.cells).for_each(|cell| latency.add_packed(&cell.latency));
        assert_eq!((latency.count(), latency.max()), (u64::from(count), Some(Duration::from_micros(25_599))));
    }

    #[test]
    fn a_request_belongs_to_the_slot_of_its_intended_start_however_late_it_ends() {
        let mut recorder = Recorder::new(1, 4, Duration::ZERO);
        let at = Duration::from_millis;
        recorder.started(0, at(100), at(100));
        recorder.started(0, at(300), at(310));
        recorder.dropped(0, at(400));
        recorder.settle(at(9_000));
        assert!(recorder.settled.is_empty(), "a slot with a request in flight is not settled");
        let ended = |intended, ended| Ended {
            request: 0,
            intended,
            started: intended,
            ended,
            status: Status::Code(503),
            error: Some(ErrorClass::Status),
        };
        recorder.ended(&ended(at(300), at(8_000)));
        recorder.ended(&ended(at(100), at(8_500)));
        recorder.settle(at(9_000));
        let flows: Vec<Flow> = recorder.settled.iter().map(|slot| slot.flows[0]).collect();
        let flow = Flow { planned: 1, started: 1, completed: 1, unexpected: 1, ..Flow::default() };
        assert_eq!(flows, [flow, Flow { planned: 2, dropped: 1, ..flow }]);
    }
}
