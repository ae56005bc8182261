//! What the service says about itself: metrics, logs, traces, and the catalogue.
//!
//! `names` is the one list of metrics and `logs::EVENTS` the one list of log events; `metrics` and `process` fill the
//! former, `logs` writes the latter, `exposition` renders `/metrics`, `catalogue` renders `/catalogue`.

pub mod catalogue;
pub mod exposition;
pub mod labels;
pub mod logs;
pub mod metrics;
pub mod names;
pub mod process;
pub mod traces;
