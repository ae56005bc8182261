//! The `scenario` module; see `lib.rs` for its place.
