//! Reading more lines than one answer may hold: forward by timestamp, each page overlapping the last by one nanosecond,
//! duplicates dropped. Pure; fed by [`super::Loki::query_range`].

use std::collections::BTreeSet;

use super::super::Error;
use super::{Entry, Limits, Window};

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for a page.
    Ask {
        /// From here, included.
        start: i64,
        /// At most so many.
        limit: usize,
    },
    /// There is nothing more to read.
    Done,
}

/// The pages read so far.
pub(super) struct Pages {
    window: Window,
    limits: Limits,
    next: Option<i64>,
    entries: Vec<Entry>,
    /// Entries at the timestamp the next page begins with.
    overlap: BTreeSet<Entry>,
    incomplete: Vec<String>,
}

impl Pages {
    pub(super) fn new(window: Window, limits: Limits) -> Self {
        let next = (window.start < window.end && limits.page > 0).then_some(window.start);
        Self { window, limits, next, entries: Vec::new(), overlap: BTreeSet::new(), incomplete: Vec::new() }
    }

    pub(super) const fn next_step(&self) -> Step {
        match self.next {
            Some(start) => Step::Ask { start, limit: self.limits.page },
            None => Step::Done,
        }
    }

    /// Takes a page, in whatever order it came.
    pub(super) fn take(&mut self, mut page: Vec<Entry>) {
        page.sort();
        let full = page.len() >= self.limits.page;
        let last = page.last().map(|entry| entry.ts);
        let fresh: Vec<Entry> = page.into_iter().filter(|entry| !self.overlap.contains(entry)).collect();
        let (stuck, start) = (last == self.next, self.next.unwrap_or(self.window.end));
        self.entries.extend(fresh);
        self.next = match last {
            Some(last) if full && stuck => self.skip(start, last),
            Some(last) if full => Some(last),
            _ => None,
        };
        self.remember_overlap();
        self.stop_at_total();
    }

    /// Lowers the page size to the server's maximum; whether that can help.
    pub(super) fn shrink(&mut self, error: &Error) -> bool {
        let Error::Query { message, .. } = error else { return false };
        let Some(allowed) = allowed_entries(message).filter(|allowed| (1..self.limits.page).contains(allowed)) else {
            return false;
        };
        self.limits.page = allowed;
        true
    }

    /// The entries, oldest first, and what is missing from them, in words.
    pub(super) fn finish(mut self) -> (Vec<Entry>, Vec<String>) {
        self.entries.sort();
        self.entries.dedup();
        (self.entries, self.incomplete)
    }

    /// A whole page at one nanosecond: what else is there cannot be asked for.
    fn skip(&mut self, start: i64, last: i64) -> Option<i64> {
        let message = format!("more than {} lines at {start} ns; what is beyond them cannot be read", self.limits.page);
        self.incomplete.push(message);
        Some(last + 1).filter(|next| *next < self.window.end)
    }

    fn remember_overlap(&mut self) {
        let Some(next) = self.next else { return self.overlap.clear() };
        self.overlap = self.entries.iter().rev().take_while(|entry| entry.ts >= next).cloned().collect();
    }

    fn stop_at_total(&mut self) {
        if self.next.is_some() && self.entries.len() >= self.limits.total {
            self.incomplete.push(format!("stopped after {} lines; there may be more", self.entries.len()));
            self.next = None;
        }
    }
}

/// The maximum in Loki's `max entries limit per query exceeded, limit > max_entries_limit_per_query (10000 > 5000)`.
fn allowed_entries(message: &str) -> Option<usize> {
    let (_, numbers) = message.split_once("max_entries_limit")?;
    let (_, allowed) = numbers.rsplit_once('>')?;
    allowed.trim().trim_end_matches(')').trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::Labels;

    fn entry(ts: i64, line: &str) -> Entry {
        Entry { ts, labels: Labels::new(), line: line.to_owned() }
    }

    /// Answers like Loki: forward, `start` included, `end` excluded, the first `limit`.
    fn read_all(stored: &[Entry], window: Window, limits: Limits) -> (Vec<Entry>, Vec<String>) {
        let mut pages = Pages::new(window, limits);
        while let Step::Ask { start, limit } = pages.next_step() {
            let mut page: Vec<Entry> =
                stored.iter().filter(|entry| (start..window.end).contains(&entry.ts)).take(limit).cloned().collect();
            page.reverse();
            pages.take(page);
        }
        pages.finish()
    }

    proptest! {
        #[test]
        fn paging_reads_every_line_once_t46_t47(times in prop::collection::vec(0_i64..60, 0..200), page in 8_usize..40) {
            let mut stored: Vec<Entry> = times.iter().enumerate().map(|(n, ts)| entry(*ts, &n.to_string())).collect();
            stored.sort();
            let most_at_once = (0..60).map(|ts| stored.iter().filter(|entry| entry.ts == ts).count()).max().unwrap();
            prop_assume!(most_at_once < page);
            let window = Window { start: 5, end: 55 };
            let (read, incomplete) = read_all(&stored, window, Limits { page, total: 1_000_000 });
            let expected: Vec<Entry> = stored.into_iter().filter(|entry| (5..55).contains(&entry.ts)).collect();
            prop_assert_eq!(read, expected);
            prop_assert!(incomplete.is_empty());
        }
    }

    #[test]
    fn exactly_one_full_page_is_followed_by_another_question_t47() {
        let stored = [entry(1, "a"), entry(2, "b")];
        let (read, incomplete) = read_all(&stored, Window { start: 0, end: 9 }, Limits { page: 2, total: 100 });
        assert_eq!((read.len(), incomplete.len()), (2, 0));
    }

    #[test]
    fn more_lines_at_one_nanosecond_than_a_page_holds_are_reported_not_hidden() {
        let stored: Vec<Entry> = (0..5).map(|n| entry(3, &n.to_string())).chain([entry(4, "last")]).collect();
        let (read, incomplete) = read_all(&stored, Window { start: 0, end: 9 }, Limits { page: 2, total: 100 });
        assert_eq!(read.last().unwrap().line, "last");
        assert_eq!(incomplete, ["more than 2 lines at 3 ns; what is beyond them cannot be read"]);
    }

    #[test]
    fn the_total_is_a_bound_that_is_said() {
        let stored: Vec<Entry> = (0..50).map(|n| entry(n, "x")).collect();
        let (read, incomplete) = read_all(&stored, Window { start: 0, end: 50 }, Limits { page: 10, total: 20 });
        assert!(read.len() >= 20 && read.len() < 50);
        assert_eq!(incomplete.len(), 1);
    }

    #[test]
    fn a_lower_maximum_of_the_server_is_taken_over_b32() {
        let mut pages = Pages::new(Window { start: 0, end: 9 }, Limits::default());
        let message = "max entries limit per query exceeded, limit > max_entries_limit_per_query (5000 > 100)";
        let error = Error::Query { kind: "bad_data".to_owned(), message: message.to_owned() };
        assert!(pages.shrink(&error));
        assert_eq!(pages.next_step(), Step::Ask { start: 0, limit: 100 });
        assert!(!pages.shrink(&error), "asking again with the same limit would not end");
    }
}
