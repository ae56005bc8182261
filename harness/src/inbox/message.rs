//! What an inbox got: one value for every kind of receiver. Made by [`super::payload`] and [`super::mail`], read by
//! `expect` through `run`, which copies it into the event log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::clock::Stamp;

/// A message as it came in, also one that was refused or never answered: Alertmanager delivers at least once, and each
/// attempt is one message (T38).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The receiver's name in `alertmanager.yml`.
    pub receiver: String,
    /// Which of its integrations.
    pub kind: Kind,
    /// Position among the receiver's integrations of this kind, from 0.
    pub index: usize,
    /// When the last byte had been read.
    pub received: Stamp,
    /// What it says of the group.
    pub status: Status,
    /// Alertmanager's group key for webhooks; PagerDuty's `dedup_key`, Opsgenie's `alias` and VictorOps's `entity_id` are
    /// its hash; empty where the kind carries neither.
    pub group_key: String,
    /// The group's labels; only webhooks carry them.
    pub group_labels: BTreeMap<String, String>,
    /// The alerts inside, as far as the kind carries them or the default templates list them.
    pub alerts: Vec<MessageAlert>,
    /// Alerts left out by `max_alerts` (T39).
    pub truncated: u64,
    /// Title, summary or subject as the on-call would have seen it; a webhook has none.
    pub title: String,
    /// Text as the on-call would have seen it.
    pub text: String,
    /// The beginning of the body, with keys and tokens replaced.
    pub raw: String,
    /// How the inbox answered: an HTTP status or an SMTP code; 0 when the sender went away first.
    pub answered: u16,
    /// Why the body could not be read; such a message is refused and kept as evidence (B70).
    pub defect: Option<String>,
}

/// What a message says of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// At least one alert fires.
    Firing,
    /// All have ended.
    Resolved,
    /// It does not say: a custom template, or a call that is no message.
    #[default]
    Unknown,
}

impl Status {
    /// The word for the event log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Unknown => "unknown",
        }
    }
}

/// An alert inside a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageAlert {
    /// Firing or resolved.
    pub status: Status,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, rendered.
    pub annotations: BTreeMap<String, String>,
    /// When it began; only webhooks carry it.
    pub starts_at: Option<Stamp>,
    /// When it ended; only webhooks carry it.
    pub ends_at: Option<Stamp>,
    /// Alertmanager's hash of the labels; only webhooks carry it.
    pub fingerprint: String,
}

/// What a body says, before it is known whose it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    pub(super) status: Status,
    pub(super) group_key: String,
    pub(super) group_labels: BTreeMap<String, String>,
    pub(super) alerts: Vec<MessageAlert>,
    pub(super) truncated: u64,
    pub(super) title: String,
    pub(super) text: String,
}
