//! A chunk: entries of one stream that were pushed one after the other, kept sorted by time in one text buffer.

use std::mem::size_of;

use crate::clock::Nanos;
use crate::label::Labels;

/// A chunk takes no further entries beyond this many bytes of text …
const TEXT_TARGET: usize = 256 << 10;
/// … or this many entries.
const ENTRY_TARGET: usize = 8_192;

#[derive(Clone, Copy, Debug)]
struct Slot {
    at: Nanos,
    start: u32,
    length: u32,
    /// Index into `metadata` plus one; 0 for none.
    metadata: u32,
}

/// A line with its time and structured metadata.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Nanoseconds since the epoch.
    pub at: Nanos,
    /// The text.
    pub line: &'a str,
    /// Structured metadata, if any.
    pub metadata: Option<&'a Labels>,
}

/// Entries of one stream, sorted by time.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    slots: Vec<Slot>,
    text: String,
    metadata: Vec<Labels>,
    metadata_bytes: usize,
}

impl Chunk {
    /// Whether `line` may be added.
    pub(super) fn has_room(&self, line: &str) -> bool {
        let fits = self.text.len() + line.len() <= TEXT_TARGET || self.slots.is_empty();
        fits && self.slots.len() < ENTRY_TARGET
    }

    /// Whether an equal entry is there.
    pub(super) fn contains(&self, at: Nanos, line: &str, metadata: &Labels) -> bool {
        let first = self.slots.partition_point(|slot| slot.at < at);
        self.slots[first..].iter().take_while(|slot| slot.at == at).any(|slot| {
            let entry = self.entry(slot);
            entry.line == line && entry.metadata.unwrap_or(&Labels::default()) == metadata
        })
    }

    /// Adds an entry after those of the same time.
    pub(super) fn insert(&mut self, at: Nanos, line: &str, metadata: &Labels) {
        let place = self.slots.partition_point(|slot| slot.at <= at);
        let start = u32::try_from(self.text.len()).expect("a chunk's text stays far below 4 GiB");
        let length = u32::try_from(line.len()).expect("lines are bounded by the push body's limit");
        self.text.push_str(line);
        let metadata = self.intern(metadata);
        self.slots.insert(place, Slot { at, start, length, metadata });
    }

    fn intern(&mut self, metadata: &Labels) -> u32 {
        if metadata.is_empty() {
            return 0;
        }
        // lines that follow each other mostly share their metadata
        let recent = self.metadata.iter().enumerate().rev().take(16).find(|(_, known)| *known == metadata);
        let index = recent.map(|(index, _)| index).unwrap_or_else(|| {
            self.metadata_bytes += metadata.bytes() + metadata.len() * 64;
            self.metadata.push(metadata.clone());
            self.metadata.len() - 1
        });
        u32::try_from(index + 1).expect("a chunk holds a few thousand entries")
    }

    /// Gives back the spare capacity once nothing will be added any more.
    pub(super) fn seal(&mut self) {
        self.slots.shrink_to_fit();
        self.text.shrink_to_fit();
        self.metadata.shrink_to_fit();
    }

    /// The bytes of memory it takes.
    pub(super) fn footprint(&self) -> usize {
        size_of::<Self>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.text.capacity()
            + self.metadata.capacity() * size_of::<Labels>()
            + self.metadata_bytes
    }

    /// How many entries it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The bytes of all lines.
    #[must_use]
    pub fn line_bytes(&self) -> usize {
        self.text.len()
    }

    /// The first and the last time; `None` if empty.
    #[must_use]
    pub fn span(&self) -> Option<(Nanos, Nanos)> {
        Some((self.slots.first()?.at, self.slots.last()?.at))
    }

    /// The places of the entries with `from <= time < to`.
    #[must_use]
    pub fn range(&self, from: Nanos, to: Nanos) -> std::ops::Range<usize> {
        let first = self.slots.partition_point(|slot| slot.at < from);
        let last = self.slots.partition_point(|slot| slot.at < to);
        first..last.max(first)
    }

    /// The entry at a place.
    #[must_use]
    pub fn get(&self, place: usize) -> Entry<'_> {
        self.entry(&self.slots[place])
    }

    fn entry(&self, slot: &Slot) -> Entry<'_> {
        let start = slot.start as usize;
        let metadata = (slot.metadata as usize).checked_sub(1).map(|index| &self.metadata[index]);
        Entry { at: slot.at, line: &self.text[start..start + slot.length as usize], metadata }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_by_time_and_then_by_arrival() {
        let mut chunk = Chunk::default();
        for (at, line) in [(3, "c"), (1, "a"), (3, "d"), (2, "b")] {
            chunk.insert(at, line, &Labels::default());
        }
        let lines: Vec<_> = chunk.range(0, 10).map(|place| chunk.get(place).line).collect();
        assert_eq!(lines, ["a", "b", "c", "d"]);
        assert_eq!(chunk.range(2, 3).len(), 1);
        assert_eq!(chunk.range(5, 2).len(), 0);
        assert!(chunk.contains(3, "d", &Labels::default()) && !chunk.contains(3, "a", &Labels::default()));
    }
}
