//! Consumers of the event log: they have never heard of `run`.

pub mod log;
