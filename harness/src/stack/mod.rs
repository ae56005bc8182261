//! The `stack` module; see `lib.rs` for its place.
