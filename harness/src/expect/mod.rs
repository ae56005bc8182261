//! The `expect` module; see `lib.rs` for its place.
