//! The `telemetry` module; see `lib.rs` for its place.
