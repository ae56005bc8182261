//! What was seen between Prometheus and the on-call: what Alertmanager held and why, what the inboxes got and refused, and
//! whether they were open at all. Gathered by `run`, read by every judge of messages.

use std::collections::BTreeMap;

use super::Labels;
use super::look::Coverage;
use crate::clock::Stamp;

/// One alert inside one message that an inbox accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The receiver's name.
    pub receiver: String,
    /// The integration kind.
    pub kind: String,
    /// Alertmanager's key of the group, where the kind carries one.
    pub group: String,
    /// When the inbox had read it.
    pub received: Stamp,
    /// Whether the message tells the begin or the end.
    pub tells: Tells,
    /// The alert's labels.
    pub labels: Labels,
    /// Its annotations, rendered.
    pub annotations: Labels,
    /// When it began, by Prometheus.
    pub starts_at: Option<Stamp>,
    /// How many alerts the message left out.
    pub truncated: u64,
    /// Title and text as shown to the on-call.
    pub shown: String,
}

/// What a message tells of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tells {
    /// It fires.
    Firing,
    /// It has ended.
    Resolved,
}

/// What Alertmanager was seen to hold, one entry for every stretch in which nothing changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sighting {
    /// When it was seen first.
    pub at: Stamp,
    /// When it was seen last, unchanged.
    pub last: Stamp,
    /// The alert's labels as Alertmanager has them.
    pub labels: Labels,
    /// Alertmanager's hash of the labels.
    pub fingerprint: String,
    /// Ids of the silences that hold it back.
    pub silenced_by: Vec<String>,
    /// Fingerprints of the alerts that hold it back.
    pub inhibited_by: Vec<String>,
    /// The receivers it is routed to.
    pub receivers: Vec<String>,
}

impl Sighting {
    /// Whether a silence or another alert holds it back.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        !self.silenced_by.is_empty() || !self.inhibited_by.is_empty()
    }

    /// What holds it back, in words.
    #[must_use]
    pub fn held_by(&self) -> Vec<String> {
        let silences = self.silenced_by.iter().map(|id| format!("silence {id}"));
        silences.chain(self.inhibited_by.iter().map(|id| format!("inhibition by alert {id}"))).collect()
    }
}

/// A message that an inbox did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The receiver's name.
    pub receiver: String,
    /// When the inbox had read it.
    pub received: Stamp,
    /// How it answered; 0 when the sender went away first.
    pub answered: u16,
}

/// Knocks at a receiver's inbox: the proof that a message would have been taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knocks {
    /// When it opened.
    pub opened: Coverage,
    /// When it did not, and why.
    pub failed: Vec<(Stamp, String)>,
}

/// Everything seen on the way from Prometheus to the inboxes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mail {
    /// What the inboxes accepted, in the order of receipt.
    pub deliveries: Vec<Delivery>,
    /// What they did not take.
    pub refusals: Vec<Refusal>,
    /// What Alertmanager held.
    pub sightings: Vec<Sighting>,
    /// When Alertmanager was asked and answered.
    pub polls: Coverage,
    /// Whether the inboxes were open, by receiver; only those that some expectation needs to be.
    pub inboxes: BTreeMap<String, Knocks>,
    /// Alertmanager's own count of failed notifications: integration, reason, how many.
    pub failures: Vec<(String, String, u64)>,
    /// How many alerts Prometheus could send to no Alertmanager, by its own count.
    pub dropped: u64,
}

impl Mail {
    /// Why nobody can say that a receiver would have got a message between `from` and `to`; none when its inbox was open
    /// all the while.
    #[must_use]
    pub fn closed(&self, receiver: &str, from: Stamp, to: Stamp) -> Option<String> {
        let Some(knocks) = self.inboxes.get(receiver) else { return Some("nobody knocked".to_owned()) };
        if let Some((_, why)) = knocks.failed.iter().find(|(at, _)| *at >= from && *at <= to) {
            return Some(why.clone());
        }
        knocks.opened.gap(from, to)
    }
}
