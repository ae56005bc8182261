//! The `cli` module; see `lib.rs` for its place.
