//! Consumers of the event log: they have never heard of `run`. The log is folded once into a [`view`]; terminal, HTML, JSON
//! and JUnit are renderings of it, and `progress` shows it while it grows.

mod clean;
pub mod html;
pub mod json;
pub mod junit;
mod length;
pub mod log;
pub mod progress;
mod svg;
pub mod terminal;
#[cfg(test)]
mod testing;
pub mod view;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::breakpoint;
use crate::event::Event;

/// Whether a text for a terminal is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// For terminals.
    Coloured,
    /// For files, pipes and `NO_COLOR`.
    Plain,
}

/// Writes `run.json`, `index.html` and `junit.xml` into a run's folder, readable by their owner only.
///
/// # Errors
/// When a file cannot be written; the others are tried nevertheless.
pub fn write_all(folder: &Path, events: &[Event]) -> io::Result<()> {
    let page = write(&folder.join("index.html"), &html::page(events));
    breakpoint::reached("reporting");
    let document = write(&folder.join("run.json"), &json::document(events));
    let junit = junit::document(events).map_err(io::Error::other);
    let junit = junit.and_then(|text| write(&folder.join("junit.xml"), &text));
    page.and(document).and(junit)
}

/// Replaces a file in one step, so that a reader never sees half a report.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    drop(file);
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_written_for_their_owner_only_and_written_again_x14() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            write_all(folder.path(), &testing::pass()).unwrap();
        }
        let mut names: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["index.html", "junit.xml", "run.json"]);
    }
}
