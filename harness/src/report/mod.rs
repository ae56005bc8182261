//! The `report` module; see `lib.rs` for its place.
