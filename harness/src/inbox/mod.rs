//! The `inbox` module; see `lib.rs` for its place.
