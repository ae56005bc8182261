//! The `plan` module; see `lib.rs` for its place.

pub mod bound;
pub mod finding;
pub mod scale;
