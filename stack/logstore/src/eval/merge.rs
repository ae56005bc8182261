//! The entries of many streams in one order of time, read lazily: a stream's chunks mostly follow each other; those that
//! overlap are sorted together when they are reached.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Direction;
use crate::clock::Nanos;
use crate::store::{Chunk, Entry, Selected};

/// The entries of one stream with `from <= time < to`, in order.
pub(super) struct StreamEntries<'a> {
    /// Chunks that overlap in time, by time.
    clusters: VecDeque<Vec<&'a Chunk>>,
    from: Nanos,
    to: Nanos,
    direction: Direction,
    /// Places in the cluster that is being read, the next one last.
    pending: Vec<(&'a Chunk, usize)>,
}

impl<'a> StreamEntries<'a> {
    pub(super) fn new(stream: &'a Selected, from: Nanos, to: Nanos, direction: Direction) -> Self {
        let mut chunks: Vec<(Nanos, Nanos, &Chunk)> = stream
            .chunks
            .iter()
            .filter_map(|chunk| chunk.span().map(|(first, last)| (first, last, &**chunk)))
            .collect();
        chunks.sort_by_key(|(first, _, _)| *first);
        let mut clusters: VecDeque<Vec<&Chunk>> = VecDeque::new();
        let mut reached = Nanos::MIN;
        for (first, last, chunk) in chunks {
            match clusters.back_mut() {
                Some(cluster) if first <= reached => cluster.push(chunk),
                _ => clusters.push_back(vec![chunk]),
            }
            reached = reached.max(last);
        }
        Self { clusters, from, to, direction, pending: Vec::new() }
    }

    fn refill(&mut self) -> Option<()> {
        let cluster = match self.direction {
            Direction::Forward => self.clusters.pop_front()?,
            Direction::Backward => self.clusters.pop_back()?,
        };
        for chunk in &cluster {
            self.pending.extend(chunk.range(self.from, self.to).map(|place| (*chunk, place)));
        }
        if cluster.len() > 1 {
            self.pending.sort_by_key(|(chunk, place)| chunk.get(*place).at);
        }
        if self.direction == Direction::Forward {
            self.pending.reverse();
        }
        Some(())
    }
}

impl<'a> Iterator for StreamEntries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some((chunk, place)) = self.pending.pop() {
                return Some(chunk.get(place));
            }
            self.refill()?;
        }
    }
}

/// The entries of all streams in order; of equal times the stream that was selected first comes first.
pub(super) struct Merged<'a> {
    streams: Vec<StreamEntries<'a>>,
    heads: Vec<Option<Entry<'a>>>,
    heap: BinaryHeap<Reverse<(Nanos, usize)>>,
    direction: Direction,
}

impl<'a> Merged<'a> {
    pub(super) fn new(selected: &'a [Selected], from: Nanos, to: Nanos, direction: Direction) -> Self {
        let streams = selected.iter().map(|stream| StreamEntries::new(stream, from, to, direction)).collect();
        let mut merged = Self { streams, heads: vec![None; selected.len()], heap: BinaryHeap::new(), direction };
        for index in 0..selected.len() {
            merged.advance(index);
        }
        merged
    }

    fn advance(&mut self, index: usize) {
        self.heads[index] = self.streams[index].next();
        if let Some(entry) = self.heads[index] {
            let key = match self.direction {
                Direction::Forward => entry.at,
                // negation would overflow for the smallest time
                Direction::Backward => !entry.at,
            };
            self.heap.push(Reverse((key, index)));
        }
    }
}

impl<'a> Iterator for Merged<'a> {
    /// The index of the stream and its entry.
    type Item = (usize, Entry<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((_, index)) = self.heap.pop()?;
        let entry = self.heads[index].take().expect("what is in the heap has a head");
        self.advance(index);
        Some((index, entry))
    }
}
