//! Where the entries are. `http` pushes into it and takes snapshots out of it for `eval`; nothing is held while a query
//! runs but the shared chunks of its snapshot.
//!
//! A stream's entries lie in chunks. A push is judged, written to the log if there is one, and only then added, under one
//! lock for all pushes; it can be asked for before it is acknowledged.

mod admission;
mod bucket;
mod chunk;
mod discovery;
mod index;
mod journal;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use chunk::{Chunk, Entry};
use tokio::sync::broadcast;

use crate::clock::{self, Nanos};
use crate::label::Labels;
use crate::logql::Matcher;
use crate::metric::{Metrics, Reason};
use crate::option::Options;
use admission::Admission;
use bucket::Bucket;
use index::Index;
use journal::Journal;

/// How many pushes a slow tail may be behind before it loses some.
const TAIL_BUFFER: usize = 256;

/// A stream as it was pushed.
#[derive(Clone, Debug, Default)]
pub struct PushStream {
    /// In any order.
    pub labels: Vec<(String, String)>,
    /// In any order.
    pub entries: Vec<PushEntry>,
}

/// An entry as it was pushed.
#[derive(Clone, Debug, Default)]
pub struct PushEntry {
    /// Nanoseconds since the epoch.
    pub at: Nanos,
    /// The text.
    pub line: String,
    /// Structured metadata.
    pub metadata: Vec<(String, String)>,
}

/// Why a push, or a part of it, was not taken. What was valid is stored all the same, as in Loki.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The push is wrong or too much; the text is Loki's.
    #[error("{message}")]
    Refused {
        /// 400, 422 or 429.
        status: u16,
        /// Loki's text.
        message: String,
    },
    /// The log cannot be written; nothing of the push was stored.
    #[error("write the log: {0}")]
    Log(#[source] io::Error),
}

/// Entries that were judged and may be stored.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) labels: Labels,
    pub(crate) entries: Vec<AcceptedEntry>,
}

#[derive(Clone, Debug)]
pub(crate) struct AcceptedEntry {
    pub(crate) at: Nanos,
    pub(crate) line: String,
    pub(crate) metadata: Labels,
}

impl AcceptedEntry {
    /// The bytes that limits count: what was discovered is not the sender's.
    fn bytes(&self) -> usize {
        let pushed = self.metadata.iter().filter(|(name, _)| *name != discovery::LEVEL);
        self.line.len() + pushed.map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// A push that was stored, for those who tail.
#[derive(Clone, Debug)]
pub struct Pushed(Vec<Accepted>);

impl Pushed {
    /// Stream, time, line and metadata of all entries.
    pub fn entries(&self) -> impl Iterator<Item = (&Labels, Nanos, &str, &Labels)> {
        self.0.iter().flat_map(|stream| {
            stream.entries.iter().map(|entry| (&stream.labels, entry.at, entry.line.as_str(), &entry.metadata))
        })
    }
}

/// A stream and its chunks, as they were when asked for.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The stream's labels.
    pub labels: Labels,
    /// In the order they were begun; their times may overlap.
    pub chunks: Vec<Arc<Chunk>>,
}

/// All streams.
#[derive(Debug)]
pub struct Store {
    options: Options,
    metrics: Arc<Metrics>,
    writer: Mutex<Writer>,
    index: RwLock<Index>,
    pushed: broadcast::Sender<Arc<Pushed>>,
}

/// What only one push at a time may use.
#[derive(Debug)]
struct Writer {
    rate: Bucket,
    journal: Option<Journal>,
}

impl Store {
    /// A store with what its log holds, or an empty one if it has none.
    ///
    /// # Errors
    /// If the log cannot be read or begun.
    pub fn open(options: Options) -> io::Result<Self> {
        let (limits, now) = (&options.limits, clock::instant());
        let metrics = Arc::new(Metrics::default());
        let mut index = Index::new(options.max_bytes);
        let journal = match &options.data {
            None => None,
            Some(folder) => Some(Journal::open(folder, options.fsync, |segment, accepted| {
                add(&metrics.recovered_entries, accepted.entries.len());
                index.apply(vec![accepted], limits, now, segment, &metrics);
            })?),
        };
        index.refill(limits, now);
        index.publish(&metrics);
        let rate = Bucket::new(limits.ingestion_rate, limits.ingestion_burst, now);
        let writer = Mutex::new(Writer { rate, journal });
        let (pushed, _) = broadcast::channel(TAIL_BUFFER);
        Ok(Self { writer, index: RwLock::new(index), pushed, metrics, options })
    }

    /// The store's own numbers.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Stores the valid entries of a push.
    ///
    /// # Errors
    /// What was refused, with Loki's status and text.
    pub fn push(&self, streams: Vec<PushStream>) -> Result<(), PushError> {
        let refused = |status, message| Err(PushError::Refused { status, message });
        if streams.is_empty() {
            return refused(422, "error at least one valid stream is required for ingestion".to_owned());
        }
        self.count_received(&streams);
        let mut admission = Admission::new(&self.options.limits, &self.metrics, clock::wall());
        let accepted = admission.judge(streams);
        if accepted.is_empty() {
            return admission.result();
        }
        let mut writer = self.writer();
        let now = clock::instant();
        let (lines, bytes) = totals(&accepted);
        if !writer.rate.take(bytes, now) {
            self.metrics.discard(Reason::RateLimited, lines, bytes);
            return refused(429, admission::rate_limited(self.options.limits.ingestion_rate, lines, bytes));
        }
        let plan = {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            index.plan(accepted, &mut admission, now)
        };
        let told = (self.pushed.receiver_count() > 0).then(|| Arc::new(Pushed(plan.clone())));
        let segment = writer.log(&plan).map_err(PushError::Log)?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.apply(plan, &self.options.limits, now, segment, &self.metrics);
        index.publish(&self.metrics);
        let needed = index.oldest_segment();
        drop(index);
        if let Some(pushed) = told {
            // nobody may be listening any more
            let _ = self.pushed.send(pushed);
        }
        writer.tidy(needed, &self.metrics).map_err(PushError::Log)?;
        drop(writer);
        admission.result()
    }

    /// Tells of each push from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Pushed>> {
        self.pushed.subscribe()
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_received(&self, streams: &[PushStream]) {
        let (mut lines, mut bytes) = (0, 0);
        for entry in streams.iter().flat_map(|stream| &stream.entries) {
            lines += 1;
            bytes += entry.line.len() + entry.metadata.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
        }
        add(&self.metrics.lines_received, lines);
        add(&self.metrics.bytes_received, bytes);
    }

    /// The streams that satisfy `matchers` and have chunks with times in `from <= time < to`.
    #[must_use]
    pub fn select(&self, matchers: &[Matcher], from: Nanos, to: Nanos) -> Vec<Selected> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).select(matchers, from, to)
    }
}

impl Writer {
    /// Writes what was accepted to the log, if there is one; the number of the segment it went to.
    fn log(&mut self, plan: &[Accepted]) -> io::Result<u64> {
        match &mut self.journal {
            Some(journal) if plan.iter().any(|stream| !stream.entries.is_empty()) => {
                journal.append(plan)?;
                Ok(journal.segment())
            }
            _ => Ok(0),
        }
    }

    /// Begins a new segment where it is time, and removes those that nothing in memory comes from.
    fn tidy(&mut self, needed: Option<u64>, metrics: &Metrics) -> io::Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.rotate(needed.unwrap_or_else(|| journal.segment()))?;
        metrics.log_bytes.store(journal.bytes(), Ordering::Relaxed);
        Ok(())
    }
}

fn totals(accepted: &[Accepted]) -> (usize, usize) {
    let entries = || accepted.iter().flat_map(|stream| &stream.entries);
    (entries().count(), entries().map(AcceptedEntry::bytes).sum())
}

pub(crate) fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
