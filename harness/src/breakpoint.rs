//! Places at which a test can hold the harness, to kill it there, or make it panic. Compiled to nothing without debug
//! assertions, so that a released harness cannot be held.
//!
//! `HARNESS_BREAK_AT=<place>` blocks the thread that reaches the place for ever, after it has created the file
//! `HARNESS_BREAK_FILE`; `HARNESS_PANIC_AT=<place>` panics there.

/// Every place that a run goes through, in its order.
pub const PLACES: [&str; 12] = [
    "building",
    "allocated",
    "created",
    "component-started",
    "stack-ready",
    "load-sampled",
    "fault-announced",
    "fault-proved",
    "fault-reverting",
    "collecting",
    "tearing-down",
    "reporting",
];

/// The run is at this place.
///
/// # Panics
/// When a test asked for it.
pub fn reached(place: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let asked = |name: &str| std::env::var_os(name).is_some_and(|value| value == place);
    assert!(!asked("HARNESS_PANIC_AT"), "a test asked for a panic at {place}");
    if asked("HARNESS_BREAK_AT") {
        if let Some(file) = std::env::var_os("HARNESS_BREAK_FILE") {
            // without it, the test that waits for it fails and says so
            drop(std::fs::write(file, place));
        }
        loop {
            std::thread::park();
        }
    }
}
