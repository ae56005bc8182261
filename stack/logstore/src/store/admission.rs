//! Judges a push as Loki's distributor and ingester do: what is refused is counted and named, the rest goes on.

use indexmap::IndexMap;

use super::{Accepted, AcceptedEntry, PushEntry, PushError, PushStream, discovery};
use crate::clock::{self, Nanos};
use crate::label::Labels;
use crate::metric::{Metrics, Reason};
use crate::option::{Discovery, Limits};

/// The tenant of a Loki without tenants.
const TENANT: &str = "fake";

/// How many refused entries of a stream an error text lists.
const MAX_LISTED: usize = 10;

/// The judgement of one push.
pub(super) struct Admission<'a> {
    pub(super) limits: &'a Limits,
    metrics: &'a Metrics,
    oldest: Nanos,
    newest: Nanos,
    /// Texts of invalid streams and entries with their number, in the order they were met.
    invalid: IndexMap<String, usize>,
    /// The last refusal by a stream's own limits.
    last: Option<(u16, String)>,
}

impl<'a> Admission<'a> {
    pub(super) fn new(limits: &'a Limits, metrics: &'a Metrics, now: Nanos) -> Self {
        let oldest = now.saturating_sub(nanos(limits.max_age));
        let newest = now.saturating_add(nanos(limits.grace_period));
        Self { limits, metrics, oldest, newest, invalid: IndexMap::new(), last: None }
    }

    /// The streams and entries that are valid by themselves.
    pub(super) fn judge(&mut self, streams: Vec<PushStream>) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        for stream in streams {
            if stream.entries.is_empty() {
                continue;
            }
            let size: usize = stream.entries.iter().map(|entry| entry.line.len()).sum();
            let count = stream.entries.len();
            let labels = match self.labels(stream.labels) {
                Ok(labels) => labels,
                Err((reason, message)) => {
                    self.refuse(reason, count, size, message);
                    continue;
                }
            };
            let entries: Vec<_> = stream.entries.into_iter().filter_map(|entry| self.entry(&labels, entry)).collect();
            if !entries.is_empty() {
                accepted.push(Accepted { labels, entries });
            }
        }
        accepted
    }

    fn refuse(&mut self, reason: Reason, entries: usize, bytes: usize, message: String) {
        self.metrics.discard(reason, entries, bytes);
        *self.invalid.entry(message).or_default() += 1;
    }

    fn labels(&self, pairs: Vec<(String, String)>) -> Result<Labels, (Reason, String)> {
        let labels = Labels::new(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if labels.is_empty() {
            let message = "error at least one label pair is required per stream".to_owned();
            return Err((Reason::MissingLabels, message));
        }
        let labels = match self.limits.discovery {
            Discovery::On => discovery::with_service(&labels),
            Discovery::Off => labels,
        };
        let count = labels.len() - usize::from(labels.get("service_name").is_some());
        if count > self.limits.max_label_names {
            let message =
                format!("entry for stream '{labels}' has {count} label names; limit {}", self.limits.max_label_names);
            return Err((Reason::MaxLabelNames, message));
        }
        for (name, value) in labels.iter() {
            if name.len() > self.limits.max_label_name_length {
                return Err((Reason::LabelNameTooLong, format!("stream '{labels}' has label name too long: '{name}'")));
            }
            if value.len() > self.limits.max_label_value_length {
                return Err((
                    Reason::LabelValueTooLong,
                    format!("stream '{labels}' has label value too long: '{value}'"),
                ));
            }
        }
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("stream '{labels}' has duplicate label name: '{}'", twice[0]);
            return Err((Reason::DuplicateLabelNames, message));
        }
        Ok(labels)
    }

    fn entry(&mut self, labels: &Labels, entry: PushEntry) -> Option<AcceptedEntry> {
        let metadata = Labels::with_empty(entry.metadata);
        let size = entry.line.len() + metadata.bytes();
        if let Err((reason, message)) = self.check(labels, entry.at, &entry.line, &metadata) {
            self.refuse(reason, 1, size, message);
            return None;
        }
        let metadata = match self.limits.discovery {
            Discovery::On => discovery::with_level(labels, metadata, &entry.line),
            Discovery::Off => metadata,
        };
        Some(AcceptedEntry { at: entry.at, line: entry.line, metadata })
    }

    fn check(&self, labels: &Labels, at: Nanos, line: &str, metadata: &Labels) -> Result<(), (Reason, String)> {
        let limits = self.limits;
        if at < self.oldest {
            let (at, oldest) = (clock::rfc3339_seconds(at), clock::rfc3339_seconds(self.oldest));
            let message = format!(
                "entry for stream '{labels}' has timestamp too old: {at}, oldest acceptable timestamp is: {oldest}"
            );
            return Err((Reason::GreaterThanMaxSampleAge, message));
        }
        if at > self.newest {
            let at = clock::rfc3339_seconds(at);
            return Err((Reason::TooFarInFuture, format!("entry for stream '{labels}' has timestamp too new: {at}")));
        }
        if line.len() > limits.max_line_size {
            let message = format!(
                "Max entry size '{}' bytes exceeded for stream '{labels}' while adding an entry with length '{}' bytes",
                limits.max_line_size,
                line.len()
            );
            return Err((Reason::LineTooLong, message));
        }
        if metadata.bytes() > limits.max_metadata_size {
            let message = format!(
                "stream '{labels}' has structured metadata too large: '{}' bytes, limit: '{}' bytes. Please see \
                 `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it.",
                metadata.bytes(),
                limits.max_metadata_size
            );
            return Err((Reason::MetadataTooLarge, message));
        }
        if metadata.len() > limits.max_metadata_count {
            let message = format!(
                "stream '{labels}' has too many structured metadata labels: '{}', limit: '{}'. Please see \
                 `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it.",
                metadata.len(),
                limits.max_metadata_count
            );
            return Err((Reason::MetadataTooMany, message));
        }
        Ok(())
    }

    /// A whole stream is refused by its own rate.
    pub(super) fn stream_rate_limited(&mut self, stream: &Accepted, bytes: usize) {
        self.metrics.discard(Reason::StreamRateLimit, stream.entries.len(), bytes);
        let reason = format!(
            "Per stream rate limit exceeded (limit: {}/sec) while attempting to ingest for stream '{}' totaling {}, \
             consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can \
             be increased",
            size(self.limits.stream_rate),
            stream.labels,
            size(bytes)
        );
        let failed: Vec<_> = stream.entries.iter().map(|entry| (entry.at, reason.clone())).collect();
        self.last = Some((429, ignored(&stream.labels, &failed, stream.entries.len())));
    }

    /// A stream cannot be made.
    pub(super) fn too_many_streams(&mut self, stream: &Accepted, bytes: usize) {
        self.metrics.discard(Reason::StreamLimit, stream.entries.len(), bytes);
        let message = format!(
            "Maximum active stream limit exceeded when trying to create stream {}, reduce the number of active streams \
             (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be \
             increased, user: '{TENANT}'",
            stream.labels
        );
        self.last = Some((429, message));
    }

    /// Entries too far behind the newest of their stream, with the oldest time that would have been taken.
    pub(super) fn too_far_behind(&mut self, labels: &Labels, failed: &[(Nanos, Nanos, usize)], total: usize) {
        let bytes = failed.iter().map(|(_, _, bytes)| bytes).sum();
        self.metrics.discard(Reason::TooFarBehind, failed.len(), bytes);
        let texts: Vec<_> = failed
            .iter()
            .map(|(at, cutoff, _)| {
                let (entry, oldest) = (clock::rfc3339_seconds(*at), clock::rfc3339_seconds(*cutoff));
                let text = format!(
                    "entry too far behind, entry timestamp is: {entry}, oldest acceptable timestamp is: {oldest}"
                );
                (*at, text)
            })
            .collect();
        self.last = Some((400, ignored(labels, &texts, total)));
    }

    /// The answer to the push.
    pub(super) fn result(self) -> Result<(), PushError> {
        if let Some((status, message)) = self.last {
            return Err(PushError::Refused { status, message });
        }
        if self.invalid.is_empty() {
            return Ok(());
        }
        let plain = self.invalid.len() == 1 && self.invalid.values().all(|count| *count == 1);
        let texts: Vec<String> = self
            .invalid
            .into_iter()
            .map(|(text, count)| if plain { text } else { format!("{count} errors like: {text}") })
            .collect();
        Err(PushError::Refused { status: 400, message: texts.join("; ") })
    }
}

fn nanos(duration: std::time::Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

fn ignored(labels: &Labels, failed: &[(Nanos, String)], total: usize) -> String {
    let mut text = String::new();
    for (at, reason) in failed.iter().take(MAX_LISTED) {
        text.push_str(&format!("entry with timestamp {} ignored, reason: '{reason}',\n", clock::go_time(*at)));
    }
    text.push_str(&format!("user '{TENANT}', total ignored: {} out of {total} for stream: {labels}", failed.len()));
    text
}

pub(super) fn rate_limited(limit: usize, lines: usize, bytes: usize) -> String {
    format!(
        "Ingestion rate limit exceeded for user {TENANT} (limit: {limit} bytes/sec) while attempting to ingest '{lines}' \
         lines totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see if the limit can be \
         increased"
    )
}

/// A size as Loki's limits print it: whole units of 1024 where they fit.
fn size(bytes: usize) -> String {
    for (unit, factor) in [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)] {
        if bytes >= factor {
            let tenths = bytes * 10 / factor;
            return match tenths % 10 {
                0 => format!("{}{unit}", tenths / 10),
                rest => format!("{}.{rest}{unit}", tenths / 10),
            };
        }
    }
    format!("{bytes}B")
}
