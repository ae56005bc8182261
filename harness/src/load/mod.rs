//! Load that neither lies nor wastes: requests sent by a schedule whatever the target does, timed from their *intended*
//! start, counted to the single one. Fed by `run` (and by `harness load`) with a [`Spec`]; hands out [`Second`]s while it
//! runs and a [`Summary`] when it is stopped. Knows nothing of scenarios.
//!
//! ```text
//! spec ──► workload ─┐                     ┌─► pool ─► connection ─► wire, response, http2
//!      └─► pacer ────┴─► engine (a thread) ┤
//!          └ schedule      poller, flight  └─► recorder ─► distribution, ledger ─► summary
//! ```

mod chart;
pub mod command;
mod connection;
mod control;
mod deadline;
mod distribution;
mod engine;
mod flight;
mod flow;
mod generator;
mod handle;
mod http2;
mod ledger;
mod pacer;
mod page;
mod part;
mod poller;
mod pool;
mod recorder;
mod response;
mod schedule;
mod spec;
mod summary;
mod target;
mod tls;
mod visit;
mod watch;
mod wire;
mod workload;

pub use distribution::Distribution;
pub use flow::Flow;
pub use handle::{Handle, start};
pub use ledger::{Class, ErrorClass, Key, Ledger, Status, UnknownStatus};
pub use page::page;
pub use spec::{Arrivals, Checks, Generator, Journey, Model, Protocol, RequestTemplate, Spec, SpecError, Stage, Step};
pub use summary::{Second, Summary, Window};
pub use target::{Reach, Target, TargetError};
pub use tls::{TlsError, Trust};
pub use watch::{Limit, Saturation, lag_exceeded};

#[cfg(test)]
mod tests;
