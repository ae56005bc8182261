//! Consumers of the event log: they have never heard of `run`.

use std::path::Path;

use crate::event::Event;

pub mod html;
pub mod json;
pub mod junit;
pub mod log;
pub mod progress;
pub mod terminal;

/// Writes every rendering of a run into its folder.
///
/// # Errors
/// When a file cannot be written.
pub fn write_all(folder: &Path, events: &[Event]) -> std::io::Result<()> {
    std::fs::write(folder.join("run.json"), json::document(events))?;
    std::fs::write(folder.join("index.html"), html::page(events))
}
