//! The `load` module; see `lib.rs` for its place.
