//! What a load came to, as a whole and in any window. Made by `engine` from the recorder, read by whoever judges or
//! reports.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::distribution::{Distribution, Precision};
use super::flow::Flow;
use super::ledger::{Class, ErrorClass, Ledger};
use super::recorder::{Slot, Timing, Totals};
use super::watch::Saturation;
use crate::clock::Stamp;

/// A load's result; a consistent copy when taken while the load runs.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The load's name.
    pub load: String,
    /// Its first instant.
    pub started_at: Stamp,
    /// When this was taken; after [`super::Handle::stop`] the end of the last request.
    pub taken_at: Stamp,
    /// The declared warm-up, which [`Self::measured`] leaves out.
    pub warm_up: Duration,
    /// What happened to the requests in total, warm-up included.
    pub flow: Flow,
    /// How they ended, to the single one.
    pub ledger: Ledger,
    /// Errors by class.
    pub errors: BTreeMap<ErrorClass, u64>,
    /// Why TLS failed when it first did.
    pub tls_failure: Option<String>,
    /// What limited the generator, if anything did.
    pub saturation: Option<Saturation>,
    /// The width of its slots of time: what happened in one is not told apart.
    pub slot_width: Duration,
    pub(super) whole: Window,
    pub(super) slots: Vec<Arc<Slot>>,
}

/// Requests whose intended start lies in a stretch of time, however late they ended.
#[derive(Clone, Debug)]
pub struct Window {
    /// The beginning of the first slot inside.
    pub from: Stamp,
    /// The end of the last slot inside.
    pub to: Stamp,
    names: Arc<[String]>,
    flows: Vec<Flow>,
    cells: BTreeMap<(usize, Class), Timing>,
    lag: Distribution,
}

/// One second of a load as it happened; what ended in it may have begun earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Second {
    /// Its start.
    pub second: Stamp,
    /// Requests that were due.
    pub planned: u64,
    /// Of those, sent.
    pub started: u64,
    /// Of those, never sent.
    pub dropped: u64,
    /// Ended in this second, answered as expected.
    pub succeeded: u64,
    /// Ended in this second, answered otherwise or not at all.
    pub failed: u64,
    /// In flight at its end.
    pub in_flight: u64,
    /// Latency from the intended start in microseconds: p50, p90, p99, max; none without an answer.
    pub latency_us: Option<[u64; 4]>,
}

impl Summary {
    /// The load as a whole, with finer histograms than a window has.
    #[must_use]
    pub const fn whole(&self) -> &Window {
        &self.whole
    }

    /// The load without its warm-up; without a declared one the whole.
    #[must_use]
    pub fn measured(&self) -> Cow<'_, Window> {
        if self.warm_up.is_zero() {
            return Cow::Borrowed(&self.whole);
        }
        // slots that begin before the end of the warm-up are left out, so the last one may end after the summary
        let end = self.slots.last().map_or(Duration::ZERO, |slot| slot.to);
        Cow::Owned(self.between(self.started_at + self.warm_up, self.started_at + end))
    }

    /// How many requests were due in the declared warm-up.
    #[must_use]
    pub fn warmed_up_by(&self) -> u64 {
        self.flow.planned - self.measured().flow(None).planned
    }

    /// The requests whose intended start lies in the slots ([`Self::slot_width`] wide or narrower) inside `from..to`.
    #[must_use]
    pub fn between(&self, from: Stamp, to: Stamp) -> Window {
        let stamp = |offset: Duration| self.started_at + offset;
        let inside = |slot: &&Arc<Slot>| stamp(slot.from) >= from && stamp(slot.to) <= to;
        let mut window = Window::empty(Arc::clone(&self.whole.names), from, to);
        let mut covered: Option<(Stamp, Stamp)> = None;
        for slot in self.slots.iter().filter(inside) {
            window.add(slot);
            covered = Some((covered.map_or(stamp(slot.from), |(first, _)| first), stamp(slot.to)));
        }
        (window.from, window.to) = covered.unwrap_or((from, to));
        window
    }

    /// The load in stretches of `width`, for charts: start and window of each.
    pub fn series(&self, width: Duration) -> impl Iterator<Item = Window> + '_ {
        let count = self.taken_at.since(self.started_at).as_nanos().div_ceil(width.as_nanos().max(1));
        (0..u32::try_from(count).unwrap_or(u32::MAX)).map(move |index| {
            let from = self.started_at + width * index;
            self.between(from, from + width)
        })
    }
}

impl Window {
    fn empty(names: Arc<[String]>, from: Stamp, to: Stamp) -> Self {
        let flows = vec![Flow::default(); names.len()];
        Self { from, to, names, flows, cells: BTreeMap::new(), lag: Distribution::new(Precision::Coarse) }
    }

    pub(super) fn whole(names: Arc<[String]>, from: Stamp, to: Stamp, totals: &Totals) -> Self {
        let key = |index: usize| (index / Class::ALL.len(), Class::ALL[index % Class::ALL.len()]);
        let cells = totals.cells.iter().enumerate().filter_map(|(index, timing)| {
            let timing = timing.as_deref()?;
            Some((key(index), timing.clone()))
        });
        Self { from, to, names, flows: totals.flows.to_vec(), cells: cells.collect(), lag: totals.lag.clone() }
    }

    fn add(&mut self, slot: &Slot) {
        self.flows.iter_mut().zip(&slot.flows).for_each(|(flow, other)| flow.add(other));
        self.lag.add_packed(&slot.lag);
        for cell in &slot.cells {
            let key = (cell.request, cell.class);
            let timing = self.cells.entry(key).or_insert_with(|| Timing::new(Precision::Coarse));
            timing.latency.add_packed(&cell.latency);
            timing.service.add_packed(&cell.service);
        }
    }

    /// The names of the requests, in the order of the load.
    #[must_use]
    pub fn requests(&self) -> &[String] {
        &self.names
    }

    /// What happened to the requests of that name, or to all; a name that the load does not have has no requests.
    #[must_use]
    pub fn flow(&self, request: Option<&str>) -> Flow {
        let mut sum = Flow::default();
        let named = self.names.iter().zip(&self.flows).filter(|(name, _)| request.is_none_or(|wanted| wanted == *name));
        named.for_each(|(_, flow)| sum.add(flow));
        sum
    }

    /// Latency from the intended start of all answered and timed-out requests (of that name, or all); none when not a
    /// single one was answered, for then nothing is known about the service's latency.
    #[must_use]
    pub fn latency(&self, request: Option<&str>) -> Option<Distribution> {
        self.merged(request, |timing| &timing.latency)
    }

    /// Like [`Self::latency`], but from the actual start: what a tool that waits for the service would have seen.
    #[must_use]
    pub fn service_time(&self, request: Option<&str>) -> Option<Distribution> {
        self.merged(request, |timing| &timing.service)
    }

    /// Latency from the intended start by request name and status class.
    pub fn latency_by_class(&self) -> impl Iterator<Item = (&str, Class, &Distribution)> + '_ {
        self.cells.iter().map(|((request, class), timing)| (self.names[*request].as_str(), *class, &timing.latency))
    }

    /// How long after their intended start requests were sent.
    #[must_use]
    pub const fn lag(&self) -> &Distribution {
        &self.lag
    }

    fn merged(&self, request: Option<&str>, pick: impl Fn(&Timing) -> &Distribution) -> Option<Distribution> {
        if self.flow(request).completed == 0 {
            return None;
        }
        let mut sum = Distribution::new(Precision::Fine);
        for ((index, class), timing) in &self.cells {
            let named = request.is_none_or(|wanted| self.names[*index] == wanted);
            if named && *class != Class::Unanswered {
                sum.add(pick(timing));
            }
        }
        Some(sum)
    }
}
