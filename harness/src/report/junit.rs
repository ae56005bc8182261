//! The junit rendering.

use crate::event::Event;

/// The rendering.
///
/// # Errors
/// Never.
pub fn document(events: &[Event]) -> Result<String, std::fmt::Error> {
    Ok(format!("{:?}", crate::verdict::of_run(events).1))
}
