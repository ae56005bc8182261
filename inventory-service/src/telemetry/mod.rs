//! What the service says about itself: metrics, logs, and the catalogue of both.
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
