//! The html rendering.

use crate::event::Event;

/// The rendering.
#[must_use]
pub fn page(events: &[Event]) -> String {
    serde_json::to_string_pretty(&crate::verdict::of_run(events).1).unwrap_or_default()
}
