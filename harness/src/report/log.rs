//! The event log on disk: appended and flushed line by line while a run goes, read back by every report. A torn last line
//! (the harness was killed while writing it) is left out, not an error.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::clock::Stamp;
use crate::event::{Event, EventKind};
use crate::report::clean;

/// The file's name in a run's folder.
pub const FILE: &str = "events.jsonl";

/// Why the log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened, written or read.
    #[error("use the event log {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line other than the last is no event.
    #[error("read {path}: line {line} is no event of this version of the harness: {message}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        message: String,
    },
}

impl Error {
    /// Whether there is no space left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
    }
}

/// Appends events; every line is handed to the operating system at once, so that it survives a kill of the harness.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    next: u64,
}

impl Writer {
    /// Creates `events.jsonl` in `folder`, readable by its owner only.
    ///
    /// # Errors
    /// When the file exists already or cannot be created.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| Error::Io { path: path.clone(), source })?;
        Ok(Self { file, path, next: 0 })
    }

    /// Numbers an event and appends it, without the secrets in its texts: the log is kept and handed around.
    ///
    /// # Errors
    /// When the line cannot be written, for example because the disk is full.
    pub fn append(&mut self, at: Stamp, scenario: Option<String>, what: EventKind) -> Result<Event, Error> {
        let event = clean::without_secrets(&Event { seq: self.next, at, scenario, what });
        let io = |source| Error::Io { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(&event).map_err(|error| io(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(io)?;
        self.next += 1;
        Ok(event)
    }
}

/// Reads a log. The last line is left out if it is torn.
///
/// # Errors
/// When the file cannot be read or another line is no event.
pub fn read(folder: &Path) -> Result<Vec<Event>, Error> {
    let path = folder.join(FILE);
    let io = |source| Error::Io { path: path.clone(), source };
    let mut lines = BufReader::new(File::open(&path).map_err(io)?).split(b'\n').peekable();
    let mut events = Vec::new();
    let mut number = 0;
    while let Some(line) = lines.next() {
        let line = line.map_err(io)?;
        number += 1;
        match serde_json::from_slice(&line) {
            Ok(event) => events.push(event),
            Err(_) if lines.peek().is_none() => break,
            Err(error) => return Err(Error::Line { path, line: number, message: error.to_string() }),
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(text: &str) -> EventKind {
        EventKind::Warned { message: text.into() }
    }

    #[test]
    fn what_is_written_is_read_back_and_a_torn_last_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path()).unwrap();
        let first = writer.append(Stamp(1), None, warned("one")).unwrap();
        let second = writer.append(Stamp(2), Some("s".into()), warned("two")).unwrap();
        writer.file.write_all(b"{\"seq\":2,\"at").unwrap();
        assert_eq!(read(folder.path()).unwrap(), [first, second]);
    }

    #[test]
    fn a_secret_is_not_kept_and_characters_stay_as_they_were_x11() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path()).unwrap();
        let told = writer.append(Stamp(1), None, warned("\u{1b}[1mGET /x?token=hunter2")).unwrap();
        assert_eq!(told.what, warned("\u{1b}[1mGET /x?token=[redacted]"));
        assert_eq!(read(folder.path()).unwrap(), [told]);
        assert!(!std::fs::read_to_string(folder.path().join(FILE)).unwrap().contains("hunter2"));
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path()).unwrap();
        writer.append(Stamp(1), None, warned("one")).unwrap();
        writer.file.write_all(b"nonsense\n").unwrap();
        writer.append(Stamp(2), None, warned("two")).unwrap();
        assert!(matches!(read(folder.path()), Err(Error::Line { line: 2, .. })));
    }

    #[test]
    fn a_log_is_never_overwritten_b37() {
        let folder = tempfile::tempdir().unwrap();
        let _writer = Writer::create(folder.path()).unwrap();
        assert!(matches!(Writer::create(folder.path()), Err(Error::Io { .. })));
    }
}
