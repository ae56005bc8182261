//! The store's own numbers, under Loki's names where they mean the same. Filled by `store` and `http`, read at `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Why entries were refused, as Loki names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A label set that does not parse or is not allowed.
    InvalidLabels,
    /// A stream without labels.
    MissingLabels,
    /// The global rate.
    RateLimited,
    /// The rate of one stream.
    StreamRateLimit,
    /// A line that is too long.
    LineTooLong,
    /// Too many streams.
    StreamLimit,
    /// Too old compared with the stream's newest entry.
    TooFarBehind,
    /// Too old compared with now.
    GreaterThanMaxSampleAge,
    /// Too new.
    TooFarInFuture,
    /// Too many labels.
    MaxLabelNames,
    /// A label's name is too long.
    LabelNameTooLong,
    /// A label's value is too long.
    LabelValueTooLong,
    /// A label stands twice.
    DuplicateLabelNames,
    /// Too many bytes of structured metadata.
    MetadataTooLarge,
    /// Too many labels of structured metadata.
    MetadataTooMany,
}

impl Reason {
    /// The value of the `reason` label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidLabels => "invalid_labels",
            Self::MissingLabels => "missing_labels",
            Self::RateLimited => "rate_limited",
            Self::StreamRateLimit => "per_stream_rate_limit",
            Self::LineTooLong => "line_too_long",
            Self::StreamLimit => "stream_limit",
            Self::TooFarBehind => "too_far_behind",
            Self::GreaterThanMaxSampleAge => "greater_than_max_sample_age",
            Self::TooFarInFuture => "too_far_in_future",
            Self::MaxLabelNames => "max_label_names_per_series",
            Self::LabelNameTooLong => "label_name_too_long",
            Self::LabelValueTooLong => "label_value_too_long",
            Self::DuplicateLabelNames => "duplicate_label_names",
            Self::MetadataTooLarge => "structured_metadata_too_large",
            Self::MetadataTooMany => "structured_metadata_too_many",
        }
    }
}

/// Counters and gauges.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Lines received, refused ones included.
    pub lines_received: AtomicU64,
    /// Bytes received, refused ones included.
    pub bytes_received: AtomicU64,
    /// Lines that were there already.
    pub duplicates: AtomicU64,
    /// Streams made.
    pub streams_created: AtomicU64,
    /// Streams that exist.
    pub streams: AtomicU64,
    /// Chunks that exist.
    pub chunks: AtomicU64,
    /// Entries that exist.
    pub entries: AtomicU64,
    /// Bytes of memory that streams and chunks take.
    pub memory: AtomicU64,
    /// Chunks dropped for want of memory.
    pub evicted_chunks: AtomicU64,
    /// Entries dropped for want of memory.
    pub evicted_entries: AtomicU64,
    /// Entries read from the log at start.
    pub recovered_entries: AtomicU64,
    /// Bytes of the log.
    pub log_bytes: AtomicU64,
    discarded: Mutex<BTreeMap<Reason, (u64, u64)>>,
    requests: Mutex<BTreeMap<(String, String, u16), u64>>,
}

impl Metrics {
    /// Counts refused entries.
    pub fn discard(&self, reason: Reason, entries: usize, bytes: usize) {
        let mut discarded = self.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        let count = discarded.entry(reason).or_default();
        count.0 += entries as u64;
        count.1 += bytes as u64;
    }

    /// Counts an answered request.
    pub fn request(&self, method: &str, route: &str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((method.to_owned(), route.to_owned(), status)).or_default() += 1;
    }

    /// The text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        let mut plain = |name: &str, kind: &str, help: &str, value: &AtomicU64| {
            let value = value.load(Ordering::Relaxed);
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        let (counter, gauge) = ("counter", "gauge");
        plain("loki_distributor_lines_received_total", counter, "Lines received.", &self.lines_received);
        plain("loki_distributor_bytes_received_total", counter, "Bytes received.", &self.bytes_received);
        plain("loki_ingester_streams_created_total", counter, "Streams made.", &self.streams_created);
        plain("loki_ingester_memory_streams", gauge, "Streams in memory.", &self.streams);
        plain("loki_ingester_memory_chunks", gauge, "Chunks in memory.", &self.chunks);
        plain("logstore_entries", gauge, "Entries in memory.", &self.entries);
        plain("logstore_memory_bytes", gauge, "Memory of streams and chunks.", &self.memory);
        plain("logstore_duplicate_lines_total", counter, "Lines that were there already.", &self.duplicates);
        plain("logstore_evicted_chunks_total", counter, "Chunks dropped for want of memory.", &self.evicted_chunks);
        plain("logstore_evicted_entries_total", counter, "Entries dropped for want of memory.", &self.evicted_entries);
        plain(
            "logstore_recovered_entries_total",
            counter,
            "Entries read from the log at start.",
            &self.recovered_entries,
        );
        plain("logstore_log_bytes", gauge, "Size of the log on disk.", &self.log_bytes);
        self.render_labelled(&mut out);
        out
    }

    fn render_labelled(&self, out: &mut String) {
        let discarded = self.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, help, pick) in [
            ("loki_discarded_samples_total", "Entries that were refused.", 0),
            ("loki_discarded_bytes_total", "Bytes that were refused.", 1),
        ] {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n");
            for (reason, counts) in &*discarded {
                let value = if pick == 0 { counts.0 } else { counts.1 };
                let _ = writeln!(out, "{name}{{reason=\"{}\",tenant=\"fake\"}} {value}", reason.as_str());
            }
        }
        let name = "loki_request_total";
        let _ = write!(out, "# HELP {name} Requests answered.\n# TYPE {name} counter\n");
        for ((method, route, status), value) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(out, "{name}{{method=\"{method}\",route=\"{route}\",status_code=\"{status}\"}} {value}");
        }
    }
}
