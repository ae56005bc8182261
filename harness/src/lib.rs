//! A fire drill for a service's observability.
//!
//! ```text
//! scenario ──► plan ──► run ──(events)──► verdict ──► report
//!  as written   what     doing             judged      shown
//! ```
//!
//! * [`scenario`] reads TOML with source positions; [`plan`] turns it into times, ids and bounds; [`run`] does it.
//! * [`stack`], [`load`], [`fault`], [`telemetry`], [`inbox`] are leaves that know nothing of scenarios or of each other;
//!   [`expect`] judges what they saw.
//! * [`event`] is the spine: everything that happens is an event on disk, and [`verdict`] and [`report`] only read events.
//! * [`replay`] evaluates rules again against what a run recorded; [`cli`] is the thin shell around it all.

pub mod breakpoint;
pub mod cli;
pub mod clock;
pub mod condition;
pub mod event;
pub mod exit_code;
pub mod expect;
pub mod fault;
pub mod inbox;
pub mod load;
pub mod outcome;
pub mod plan;
pub mod replay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod source;
pub mod stack;
pub mod telemetry;
pub mod trust;
pub mod verdict;
