//! Log collection for services that only write to standard output: the harness's own small collector follows the files that
//! their output goes to and pushes every line to the log store. In production Grafana Alloy does it (`stack/alloy/`).
//!
//! The file is the buffer: no more than one batch is read ahead, so that an outage of the store loses nothing and costs no
//! memory. What is lost all the same is counted: bytes of a file that was truncated before they were read, lines that the store
//! will never take, the tail of a line that is too long.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::Full;
use tokio_util::task::AbortOnDropHandle;

use super::ready;
use crate::clock;
use crate::trust::{self, Access};

/// Between two looks at a file that has nothing new.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts to push.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What one push may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes read at a time; what is pushed at once is about that.
const BATCH: usize = 256 << 10;
/// The longest line, the store's own default; the rest of a longer one is cut off.
const LONGEST_LINE: usize = 256 << 10;

/// One file to follow.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file; it need not exist yet, and may be rotated.
    pub path: PathBuf,
    /// The labels of its stream.
    pub labels: BTreeMap<String, String>,
}

/// What became of the lines so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines that the store has taken.
    pub delivered: u64,
    /// Lines that it will never take.
    pub refused: u64,
    /// Bytes that were gone before they were read, or that a line was too long by.
    pub lost_bytes: u64,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: AtomicU64,
    refused: AtomicU64,
    lost_bytes: AtomicU64,
}

/// Collectors at work; they end with this value.
#[derive(Debug)]
pub struct Collector {
    counts: Arc<Counts>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Collector {
    /// Follows `sources` and pushes to the log store at `base`, such as `http://127.0.0.1:3100`.
    #[must_use]
    pub fn start(base: &str, access: &Access, sources: Vec<Source>) -> Self {
        let counts = Arc::new(Counts::default());
        let follow = |source: Source| {
            let push = Push {
                url: format!("{}/loki/api/v1/push", base.trim_end_matches('/')),
                access: access.clone(),
                client: ready::client(),
                labels: source.labels,
                counts: Arc::clone(&counts),
            };
            AbortOnDropHandle::new(tokio::spawn(follow(source.path, push)))
        };
        let tasks = sources.into_iter().map(follow).collect();
        Self { counts, _tasks: tasks }
    }

    /// What became of the lines so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { delivered, refused, lost_bytes } = &*self.counts;
        Tally { delivered: read(delivered), refused: read(refused), lost_bytes: read(lost_bytes) }
    }
}

async fn follow(path: PathBuf, push: Push) {
    let mut tail = Tail::new(path);
    let mut last = 0;
    loop {
        let read = tail.read();
        push.counts.lost_bytes.fetch_add(std::mem::take(&mut tail.lost), Ordering::Relaxed);
        match read {
            Ok(lines) if !lines.is_empty() => {
                // the store keeps the order of equal times, but a time of its own for each line is easier to page through
                let now = clock::wall().0 * 1000;
                let stamped = lines.into_iter().map(|line| {
                    last = now.max(last + 1);
                    (last, line)
                });
                push.deliver(stamped.collect()).await;
            }
            // a file that cannot be read now may be readable later
            Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A file that grows, and may be replaced or truncated.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: Option<(File, u64)>,
    position: u64,
    /// The beginning of a line whose end is not written yet.
    open: Vec<u8>,
    /// Whether the rest of the line is to be dropped.
    cutting: bool,
    lost: u64,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, position: 0, open: Vec::new(), cutting: false, lost: 0 }
    }

    /// The next whole lines; none when there is nothing new.
    fn read(&mut self) -> io::Result<Vec<String>> {
        if self.file.is_none() {
            let Some(found) = opened(&self.path)? else { return Ok(Vec::new()) };
            self.file = Some(found);
            self.position = 0;
        }
        let Some((file, inode)) = &mut self.file else { return Ok(Vec::new()) };
        let length = file.metadata()?.len();
        if length < self.position {
            // truncated in place: what was not read is gone, and how much it was nobody knows but for the open line
            self.lost += self.open.len() as u64 + 1;
            self.open.clear();
            self.cutting = false;
            self.position = 0;
        }
        file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = Vec::new();
        let read = file.take(BATCH as u64).read_to_end(&mut bytes)?;
        if read == 0 {
            // only a file that is read to its end is left for its successor
            let inode = *inode;
            if std::fs::metadata(&self.path).is_ok_and(|now| now.ino() != inode) {
                self.file = None;
                let rest = std::mem::take(&mut self.open);
                return Ok(if rest.is_empty() { Vec::new() } else { vec![text(&rest)] });
            }
            return Ok(Vec::new());
        }
        self.position += read as u64;
        Ok(self.split(&bytes))
    }

    fn split(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ended) = part.strip_suffix(b"\n").map_or((part, false), |content| (content, true));
            let room = if self.cutting { 0 } else { LONGEST_LINE - self.open.len() };
            let kept = content.len().min(room);
            self.open.extend_from_slice(&content[..kept]);
            self.lost += (content.len() - kept) as u64;
            self.cutting |= kept < content.len();
            if ended {
                self.cutting = false;
                let line = std::mem::take(&mut self.open);
                if !line.is_empty() {
                    lines.push(text(&line));
                }
            }
        }
        lines
    }
}

fn opened(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some((file, inode)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

/// The way to the store.
#[derive(Debug)]
struct Push {
    url: String,
    access: Access,
    client: reqwest::Client,
    labels: BTreeMap<String, String>,
    counts: Arc<Counts>,
}

impl Push {
    /// Pushes until the store has taken the lines or said that it never will.
    async fn deliver(&self, lines: Vec<(i64, String)>) {
        let count = lines.len() as u64;
        let values: Vec<[String; 2]> = lines.into_iter().map(|(at, line)| [at.to_string(), line]).collect();
        let document = serde_json::json!({ "streams": [{ "stream": self.labels, "values": values }] }).to_string();
        let body = Bytes::from(document);
        let mut pause = PAUSE;
        loop {
            let answered = tokio::time::timeout(PATIENCE, self.push(body.clone())).await;
            match answered {
                Ok(Ok(status)) if (200..300).contains(&status) => {
                    self.counts.delivered.fetch_add(count, Ordering::Relaxed);
                    return;
                }
                // what the store does not take now it may take later; anything else it refuses for good
                Ok(Ok(status)) if status != 429 && (400..500).contains(&status) => {
                    self.counts.refused.fetch_add(count, Ordering::Relaxed);
                    return;
                }
                _ => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// The status of one attempt.
    async fn push(&self, body: Bytes) -> Result<u16, String> {
        let authorization = self.access.credentials.header();
        if let Some(trust) = &self.access.trust {
            let mut request = http::Request::post(&self.url).header(CONTENT_TYPE, "application/json");
            if let Some(value) = authorization {
                request = request.header(AUTHORIZATION, value);
            }
            let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
            return Ok(trust::ask(trust, request).await?.response.status().as_u16());
        }
        let mut request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request.send().await.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
