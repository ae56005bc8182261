//! The `fault` module; see `lib.rs` for its place.
