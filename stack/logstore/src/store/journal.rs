//! The append-only log of `--data DIR`: what was accepted, so that a killed process comes back with it.
//!
//! Each push is one `write` before it is acknowledged; the operating system keeps it when the process dies. `fsync =
//! always` also waits for the disk. The log is a row of segments; each begins with no streams known and is complete in
//! itself, so that the oldest can be removed once memory holds nothing of it. A record is its length, a checksum and its
//! content; reading stops at the first record that is cut or damaged, and what follows it in that segment is cut off.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Accepted, AcceptedEntry};
use crate::label::Labels;
use crate::option::Fsync;

/// A segment is closed once it is this long.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Length and checksum.
const HEADER: usize = 8;
/// No record is longer than what one push may hold.
const MAX_RECORD: usize = 512 << 20;
const MAGIC: &[u8; 8] = b"LOGSTOR1";

/// The log on disk, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    fsync: Fsync,
    segments: Vec<(u64, u64)>,
    file: File,
    streams: HashMap<Labels, u32>,
    /// Held while the log is open: one process at a time.
    _lock: File,
}

impl Journal {
    /// Opens the log in `folder`, gives what it holds to `replay`, and begins a new segment.
    pub(super) fn open(folder: &Path, fsync: Fsync, mut replay: impl FnMut(u64, Accepted)) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = lock(folder)?;
        let mut segments = Vec::new();
        for number in numbers(folder)? {
            let length = read_segment(&path(folder, number), |accepted| replay(number, accepted))?;
            segments.push((number, length));
        }
        let number = segments.last().map_or(0, |(number, _)| number + 1);
        let file = begin(folder, number, fsync)?;
        segments.push((number, MAGIC.len() as u64));
        Ok(Self { folder: folder.to_owned(), fsync, segments, file, streams: HashMap::new(), _lock: lock })
    }

    /// The segment that the next record goes to.
    pub(super) fn segment(&self) -> u64 {
        self.segments.last().expect("a log has a segment").0
    }

    /// The bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, length)| length).sum()
    }

    /// Writes what was accepted; on an error nothing of it is in the log.
    pub(super) fn append(&mut self, accepted: &[Accepted]) -> io::Result<()> {
        let mut content = Vec::new();
        let known = length(self.streams.len());
        for stream in accepted.iter().filter(|stream| !stream.entries.is_empty()) {
            encode(stream, &mut self.streams, &mut content);
        }
        let mut record = Vec::with_capacity(HEADER + content.len());
        record.extend_from_slice(&length(content.len()).to_le_bytes());
        record.extend_from_slice(&checksum(&content).to_le_bytes());
        record.extend_from_slice(&content);
        let before = self.segments.last().expect("a log has a segment").1;
        let written = self.file.write_all(&record).and_then(|()| match self.fsync {
            Fsync::Always => self.file.sync_data(),
            Fsync::Never => Ok(()),
        });
        if let Err(error) = written {
            self.streams.retain(|_, number| *number < known);
            self.file.set_len(before)?;
            return Err(error);
        }
        self.segments.last_mut().expect("a log has a segment").1 += record.len() as u64;
        Ok(())
    }

    /// Begins a new segment if the last one is full, and removes the segments before `needed`.
    pub(super) fn rotate(&mut self, needed: u64) -> io::Result<()> {
        let (number, length) = *self.segments.last().expect("a log has a segment");
        if length < SEGMENT_BYTES {
            return Ok(());
        }
        self.file = begin(&self.folder, number + 1, self.fsync)?;
        self.segments.push((number + 1, MAGIC.len() as u64));
        self.streams.clear();
        let keep = self.segments.iter().position(|(number, _)| *number >= needed).unwrap_or(self.segments.len() - 1);
        for (number, _) in self.segments.drain(..keep) {
            fs::remove_file(path(&self.folder, number))?;
        }
        Ok(())
    }
}

fn lock(folder: &Path) -> io::Result<File> {
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(folder.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "another logstore uses this folder; choose another one"))
        }
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.log"))
}

/// The numbers of all segments, ascending.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|name| name.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn begin(folder: &Path, number: u64, fsync: Fsync) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create_new(true).open(path(folder, number))?;
    file.write_all(MAGIC)?;
    if fsync == Fsync::Always {
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

/// Reads a segment and cuts off what is damaged; the length that remains.
fn read_segment(path: &Path, mut replay: impl FnMut(Accepted)) -> io::Result<u64> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    if !bytes.starts_with(MAGIC) {
        if bytes.len() < MAGIC.len() {
            return Ok(bytes.len() as u64);
        }
        let message = format!("{} is no segment of this version of logstore; choose another folder", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut at = MAGIC.len();
    let mut streams = Vec::new();
    while let Some((content, next)) = record(&bytes, at) {
        let Some(accepted) = decode(content, &mut streams) else { break };
        accepted.into_iter().for_each(&mut replay);
        at = next;
    }
    if at < bytes.len() {
        OpenOptions::new().write(true).open(path)?.set_len(at as u64)?;
    }
    Ok(at as u64)
}

/// The content of the record at a place, and the place of the next one.
fn record(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let header = bytes.get(at..at + HEADER)?;
    let word = |from: usize| Some(u32::from_le_bytes(header.get(from..from + 4)?.try_into().ok()?));
    let length = usize::try_from(word(0)?).ok().filter(|length| *length <= MAX_RECORD)?;
    let start = at + HEADER;
    let content = bytes.get(start..start.checked_add(length)?)?;
    (checksum(content) == word(4)?).then_some((content, start + length))
}

fn checksum(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("a push is far below 4 GiB")
}

/// A stream's number (with its labels where it is new to the segment) and its entries.
fn encode(stream: &Accepted, known: &mut HashMap<Labels, u32>, out: &mut Vec<u8>) {
    let next = length(known.len());
    let number = known.get(&stream.labels).copied();
    put(out, number.unwrap_or(next));
    if number.is_none() {
        known.insert(stream.labels.clone(), next);
        put_labels(out, &stream.labels);
    }
    put(out, length(stream.entries.len()));
    for entry in &stream.entries {
        out.extend_from_slice(&entry.at.to_le_bytes());
        put_text(out, &entry.line);
        put_labels(out, &entry.metadata);
    }
}

fn put(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, length(text.len()));
    out.extend_from_slice(text.as_bytes());
}

fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put(out, length(labels.len()));
    for (name, value) in labels.iter() {
        put_text(out, name);
        put_text(out, value);
    }
}

/// The streams of a record; `None` if it is damaged.
fn decode(content: &[u8], streams: &mut Vec<Labels>) -> Option<Vec<Accepted>> {
    let mut rest = content;
    let mut accepted = Vec::new();
    while !rest.is_empty() {
        let number = usize::try_from(take(&mut rest)?).ok()?;
        if number == streams.len() {
            streams.push(take_labels(&mut rest)?);
        }
        let labels = streams.get(number)?.clone();
        let count = take(&mut rest)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let (at, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            let line = take_text(&mut rest)?;
            entries.push(AcceptedEntry { at: i64::from_le_bytes(*at), line, metadata: take_labels(&mut rest)? });
        }
        accepted.push(Accepted { labels, entries });
    }
    Some(accepted)
}

fn take(rest: &mut &[u8]) -> Option<u32> {
    let (word, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_le_bytes(*word))
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(take(rest)?).ok()?;
    let (text, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    String::from_utf8(text.to_vec()).ok()
}

fn take_labels(rest: &mut &[u8]) -> Option<Labels> {
    let mut pairs = Vec::new();
    for _ in 0..take(rest)? {
        pairs.push((take_text(rest)?, take_text(rest)?));
    }
    Some(Labels::with_empty(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(app: &str, lines: &[&str]) -> Accepted {
        let entries = lines.iter().enumerate().map(|(at, line)| AcceptedEntry {
            at: i64::try_from(at).unwrap(),
            line: (*line).to_owned(),
            metadata: Labels::with_empty([("trace", *line)]),
        });
        Accepted { labels: Labels::new([("app", app)]), entries: entries.collect() }
    }

    fn replayed(folder: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        let journal = Journal::open(folder, Fsync::Never, |_, stream| {
            let labels = stream.labels.to_string();
            lines.extend(stream.entries.into_iter().map(|entry| format!("{labels} {} {}", entry.line, entry.metadata)));
        });
        journal.unwrap();
        lines
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), Fsync::Always, |_, _| {}).unwrap();
        journal.append(&[accepted("x", &["a"]), accepted("y", &["b", ""])]).unwrap();
        journal.append(&[accepted("x", &["c"])]).unwrap();
        drop(journal);
        let expected = [
            r#"{app="x"} a {trace="a"}"#,
            r#"{app="y"} b {trace="b"}"#,
            r#"{app="y"}  {trace=""}"#,
            r#"{app="x"} c {trace="c"}"#,
        ];
        assert_eq!(replayed(folder.path()), expected);
        assert_eq!(replayed(folder.path()), expected, "reading changes nothing");
    }

    #[test]
    fn a_cut_or_damaged_tail_is_cut_off_and_the_rest_is_kept() {
        for damage in 0..40usize {
            let folder = tempfile::tempdir().unwrap();
            let mut journal = Journal::open(folder.path(), Fsync::Never, |_, _| {}).unwrap();
            journal.append(&[accepted("x", &["first"])]).unwrap();
            let whole = journal.bytes();
            journal.append(&[accepted("x", &["second"])]).unwrap();
            drop(journal);
            let file = path(folder.path(), 0);
            let mut bytes = fs::read(&file).unwrap();
            let place = usize::try_from(whole).unwrap() + damage.min(bytes.len() - usize::try_from(whole).unwrap() - 1);
            if damage % 2 == 0 {
                bytes.truncate(place)
            } else {
                bytes[place] ^= 0x55
            }
            fs::write(&file, bytes).unwrap();
            assert_eq!(replayed(folder.path()), [r#"{app="x"} first {trace="first"}"#], "damage at {damage}");
        }
    }

    #[test]
    fn a_folder_with_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path(), 0), b"something else").unwrap();
        assert!(Journal::open(folder.path(), Fsync::Never, |_, _| {}).is_err());
    }

    #[test]
    fn full_segments_rotate_and_unneeded_ones_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), Fsync::Never, |_, _| {}).unwrap();
        let line = "x".repeat(1 << 20);
        for _ in 0..40 {
            journal.append(&[accepted("x", &[&line])]).unwrap();
            journal.rotate(1).unwrap();
        }
        assert_eq!(numbers(folder.path()).unwrap(), [1, 2, 3, 4, 5]);
        drop(journal);
        assert!(!replayed(folder.path()).is_empty(), "a later segment is complete in itself");
    }
}
