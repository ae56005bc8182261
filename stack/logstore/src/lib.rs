//! An embedded, Loki-compatible log store for the minutes of a drill.
//!
//! * [`logql`] — queries as text and as trees; also used by the harness's lint.
//! * `clock` — the only reader of clocks.

pub mod clock;
pub mod label;
pub mod logql;
pub mod metric;
pub mod option;
pub mod store;
