//! The `run` module; see `lib.rs` for its place.
