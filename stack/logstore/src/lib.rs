//! An embedded, Loki-compatible log store for the minutes of a drill.
//!
//! * [`logql`] — queries as text and as trees; also used by the harness's lint.
//! * [`store`] — the entries: judged, kept in chunks, bounded in memory.
//! * [`eval`] — answers to queries.
//! * `http` — Loki's API.
//! * [`ruler`] — alerting rules on the entries, and Alertmanager told of them.
//! * [`serve`], [`Server`] — starting and stopping.
//! * [`option`], [`label`], [`metric`], [`clock`] — what all of them use.

pub mod clock;
pub mod eval;
mod http;
pub mod label;
pub mod logql;
pub mod metric;
pub mod option;
pub mod ruler;
mod serve;
pub mod store;

pub use option::{Discovery, Fsync, Limits, Options};
pub use serve::{Error, Server, main, serve, terminated};
