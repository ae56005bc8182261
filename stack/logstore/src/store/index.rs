//! The streams by their labels, their chunks, and the bound on their memory.

use std::collections::{BTreeMap, VecDeque};
use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::admission::Admission;
use super::bucket::Bucket;
use super::chunk::Chunk;
use super::{Accepted, AcceptedEntry, Selected, add};
use crate::clock::Nanos;
use crate::label::Labels;
use crate::logql::Matcher;
use crate::metric::Metrics;
use crate::option::Limits;

/// What a stream takes besides its labels and chunks: map node, bucket, queue entries.
const STREAM_OVERHEAD: usize = 256;

#[derive(Debug)]
struct Stream {
    chunks: VecDeque<Arc<Chunk>>,
    newest: Nanos,
    rate: Bucket,
}

impl Stream {
    fn new(limits: &Limits, now: Instant) -> Self {
        let rate = Bucket::new(limits.stream_rate, limits.stream_burst, now);
        Self { chunks: VecDeque::new(), newest: Nanos::MIN, rate }
    }

    fn contains(&self, entry: &AcceptedEntry) -> bool {
        self.chunks.iter().rev().any(|chunk| {
            let may = chunk.span().is_some_and(|(first, last)| first <= entry.at && entry.at <= last);
            may && chunk.contains(entry.at, &entry.line, &entry.metadata)
        })
    }
}

/// All streams.
#[derive(Debug)]
pub(super) struct Index {
    streams: BTreeMap<Labels, Stream>,
    /// The streams of all chunks and the segments of the log they were begun in, in the order they were begun.
    order: VecDeque<(Labels, u64)>,
    entries: usize,
    memory: usize,
    max_bytes: usize,
}

impl Index {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { streams: BTreeMap::new(), order: VecDeque::new(), entries: 0, memory: 0, max_bytes }
    }

    /// What of `accepted` passes the limits that depend on what is there: number of streams, age within the stream.
    pub(super) fn plan(&self, accepted: Vec<Accepted>, admission: &mut Admission<'_>, now: Instant) -> Vec<Accepted> {
        let mut plan: Vec<Accepted> = Vec::with_capacity(accepted.len());
        let mut created: Vec<Labels> = Vec::new();
        for stream in accepted {
            let bytes = stream.entries.iter().map(AcceptedEntry::bytes).sum();
            let known = self.streams.get(&stream.labels);
            if known.is_none() && !created.contains(&stream.labels) {
                if self.streams.len() + created.len() >= admission.limits.max_streams {
                    admission.too_many_streams(&stream, bytes);
                    continue;
                }
                created.push(stream.labels.clone());
            }
            let limits = admission.limits;
            let full = || Bucket::new(limits.stream_rate, limits.stream_burst, now);
            let mut rate = known.map_or_else(full, |stream| stream.rate.clone());
            if !rate.take(bytes, now) {
                admission.stream_rate_limited(&stream, bytes);
                continue;
            }
            let newest = known.map_or(Nanos::MIN, |stream| stream.newest);
            plan.push(within_window(stream, newest, admission));
        }
        plan
    }

    /// Adds what was planned.
    pub(super) fn apply(
        &mut self,
        plan: Vec<Accepted>,
        limits: &Limits,
        now: Instant,
        segment: u64,
        metrics: &Metrics,
    ) {
        for stream in plan {
            let bytes: usize = stream.entries.iter().map(AcceptedEntry::bytes).sum();
            for entry in stream.entries {
                if !self.streams.contains_key(&stream.labels) {
                    self.create(&stream.labels, limits, now, metrics);
                }
                self.append(&stream.labels, entry, segment, metrics);
            }
            if let Some(stored) = self.streams.get_mut(&stream.labels) {
                stored.rate.take(bytes, now);
            }
        }
    }

    fn create(&mut self, labels: &Labels, limits: &Limits, now: Instant, metrics: &Metrics) {
        self.streams.insert(labels.clone(), Stream::new(limits, now));
        self.memory += STREAM_OVERHEAD + stream_bytes(labels);
        add(&metrics.streams_created, 1);
    }

    /// What was read from the log did not come through the limits of now.
    pub(super) fn refill(&mut self, limits: &Limits, now: Instant) {
        for stream in self.streams.values_mut() {
            stream.rate = Bucket::new(limits.stream_rate, limits.stream_burst, now);
        }
    }

    /// The segment of the log that the oldest chunk was begun in.
    pub(super) fn oldest_segment(&self) -> Option<u64> {
        self.order.front().map(|(_, segment)| *segment)
    }

    fn append(&mut self, labels: &Labels, entry: AcceptedEntry, segment: u64, metrics: &Metrics) {
        let stream = self.streams.get_mut(labels).expect("the caller made it");
        stream.newest = stream.newest.max(entry.at);
        if stream.contains(&entry) {
            add(&metrics.duplicates, 1);
            return;
        }
        if !stream.chunks.back().is_some_and(|chunk| chunk.has_room(&entry.line)) {
            if let Some(full) = stream.chunks.back_mut() {
                self.memory -= full.footprint();
                Arc::make_mut(full).seal();
                self.memory += full.footprint();
            }
            let fresh = Arc::new(Chunk::default());
            self.memory += fresh.footprint();
            stream.chunks.push_back(fresh);
            self.order.push_back((labels.clone(), segment));
        }
        let chunk = stream.chunks.back_mut().expect("a chunk with room was made above");
        self.memory -= chunk.footprint();
        // a query that still reads this chunk keeps its own copy
        Arc::make_mut(chunk).insert(entry.at, &entry.line, &entry.metadata);
        self.memory += chunk.footprint();
        self.entries += 1;
        self.evict(metrics);
    }

    /// Drops the oldest chunks until the memory is within its bound; the newest chunk always stays.
    fn evict(&mut self, metrics: &Metrics) {
        while self.memory > self.max_bytes && self.order.len() > 1 {
            let Some((labels, _)) = self.order.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(&labels) else { continue };
            if let Some(chunk) = stream.chunks.pop_front() {
                self.memory -= chunk.footprint();
                self.entries -= chunk.len();
                add(&metrics.evicted_chunks, 1);
                add(&metrics.evicted_entries, chunk.len());
            }
            if stream.chunks.is_empty() {
                self.streams.remove(&labels);
                self.memory -= STREAM_OVERHEAD + stream_bytes(&labels);
            }
        }
    }

    /// Writes the gauges.
    pub(super) fn publish(&self, metrics: &Metrics) {
        metrics.streams.store(self.streams.len() as u64, Ordering::Relaxed);
        metrics.chunks.store(self.order.len() as u64, Ordering::Relaxed);
        metrics.entries.store(self.entries as u64, Ordering::Relaxed);
        metrics.memory.store(self.memory as u64, Ordering::Relaxed);
    }

    pub(super) fn select(&self, matchers: &[Matcher], from: Nanos, to: Nanos) -> Vec<Selected> {
        let overlaps = |chunk: &&Arc<Chunk>| chunk.span().is_some_and(|(first, last)| first < to && from <= last);
        self.streams
            .iter()
            .filter(|(labels, _)| labels.satisfy(matchers))
            .map(|(labels, stream)| Selected {
                labels: labels.clone(),
                chunks: stream.chunks.iter().filter(overlaps).cloned().collect(),
            })
            .filter(|selected| !selected.chunks.is_empty())
            .collect()
    }
}

fn stream_bytes(labels: &Labels) -> usize {
    labels.bytes() + labels.len() * 2 * size_of::<Arc<str>>()
}

/// Without the entries that are too far behind the newest of their stream.
fn within_window(mut stream: Accepted, newest: Nanos, admission: &mut Admission<'_>) -> Accepted {
    let window = Nanos::try_from(admission.limits.out_of_order_window.as_nanos()).unwrap_or(Nanos::MAX);
    let (mut newest, mut failed, total) = (newest, Vec::new(), stream.entries.len());
    stream.entries.retain(|entry| {
        let cutoff = newest.saturating_sub(window);
        if newest != Nanos::MIN && entry.at < cutoff {
            failed.push((entry.at, cutoff, entry.bytes()));
            return false;
        }
        newest = newest.max(entry.at);
        true
    });
    if !failed.is_empty() {
        admission.too_far_behind(&stream.labels, &failed, total);
    }
    stream
}
