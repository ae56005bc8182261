//! The `analysis` module; see `lib.rs` for its place.
