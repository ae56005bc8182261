//! Read-only clients of the watchers: Prometheus, Alertmanager, Loki and Grafana, and of any `/metrics` endpoint.
//!
//! Fed by servers on the wire, read by `expect` and `run`. A client says *what the server said* and nothing more: a server
//! that does not answer ([`Error::Unreachable`]), one that refuses ([`Error::Refused`], [`Error::Auth`]), a query it
//! cannot evaluate ([`Error::Query`]) and an answer of the wrong shape ([`Error::Malformed`]) are four different things,
//! and none of them is "no data". Warnings travel with the answer in [`Answer`].
//!
//! Three parts are pure: [`exposition`] reads the text format, [`history`] turns polls of the rules API into the complete
//! history of every alert, [`recording`] keeps raw series in a file.

pub mod alertmanager;
mod document;
mod error;
pub mod exposition;

pub mod grafana;
pub mod history;
pub mod http;

pub mod loki;
mod number;
pub mod prometheus;
pub mod recording;
#[cfg(test)]
pub(crate) mod wire;

use std::collections::BTreeMap;

pub use error::Error;
pub use number::parse_number;

/// A label set, in the order of names.
pub type Labels = BTreeMap<String, String>;

/// A value with the warnings the server attached to it. Warnings and truncation make an answer partial; who asked decides
/// whether that matters (T15, B55).
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// The server's `warnings` and `infos`, in its words; empty for a complete answer.
    pub warnings: Vec<String>,
}

impl<T> Answer<T> {
    /// The same warnings around another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: change(self.value), warnings: self.warnings }
    }
}
