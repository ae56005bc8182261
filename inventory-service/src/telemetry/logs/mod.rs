//! The log: JSON lines to standard output and, when asked, to Loki.
//!
//! Whoever logs renders a line, takes the lock for the copy of a few hundred bytes, and goes on: two destinations with a
//! bounded buffer each empty theirs at their own pace (`stdout` on a thread, `loki` in a task). A full buffer loses new
//! lines, counted by reason. Access lines carry `seq`, given out under the lock, so that what reaches a destination is
//! contiguous there, and whatever is lost shows as a gap.

pub mod line;
mod loki;
mod stdout;

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

use super::metrics::Metrics;
use crate::clock;
use crate::sabotage::Sabotage;
use line::{Access, Line};
use loki::{Backlog, Pusher};

/// The `service` label and field.
pub const SERVICE: &str = "inventory";

/// The fields of every line.
pub const COMMON_FIELDS: [&str; 7] = ["ts", "level", "event", "msg", "service", "version", "boot"];

/// A kind of line.
#[derive(Clone, Copy, Debug)]
pub struct EventKind {
    /// The `event` field.
    pub name: &'static str,
    /// When it is written.
    pub help: &'static str,
    /// The fields besides [`COMMON_FIELDS`].
    pub fields: &'static [&'static str],
}

/// Every event that the service writes.
pub const EVENTS: [EventKind; 12] = [
    EventKind {
        name: "http_request",
        help: "one line a request, written when it is over; seq counts these lines since the start",
        fields: &[
            "request_id",
            "trace_id",
            "span_id",
            "route",
            "method",
            "status",
            "duration_ms",
            "cause",
            "error",
            "seq",
        ],
    },
    EventKind { name: "service_started", help: "both ports are open", fields: &["listen", "admin_listen", "database"] },
    EventKind { name: "database_awaited", help: "started without the database; it is tried again", fields: &["error"] },
    EventKind { name: "database_found", help: "the database is there and its schema up to date", fields: &[] },
    EventKind {
        name: "database_refused",
        help: "the database does not let us bring its schema up to date",
        fields: &["error"],
    },
    EventKind { name: "service_draining", help: "no new connections, requests under way are finished", fields: &[] },
    EventKind { name: "service_stopped", help: "the last line", fields: &["unfinished_connections"] },
    EventKind {
        name: "service_panicked",
        help: "a bug: a handler panicked and its request was answered 500",
        fields: &["request_id", "error"],
    },
    EventKind { name: "accept_failed", help: "a connection could not be accepted", fields: &["error"] },
    EventKind { name: "faults_changed", help: "a drill switched faults on or off", fields: &["active"] },
    EventKind {
        name: "log_push_failed",
        help: "Loki did not take a batch; it is tried again unless refused",
        fields: &["error"],
    },
    EventKind { name: "log_flood", help: "filler of the log-flood switch", fields: &["number"] },
];

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For whoever debugs.
    Debug,
    /// As it should be.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// As in the `level` field and label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// When it is none of the four.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| "expected debug, info, warn or error".to_owned())
    }
}

/// Why a destination did not get a line, as in the `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Standard output is slower than the log and its buffer is full.
    StdoutFull,
    /// Standard output is closed.
    StdoutClosed,
    /// Loki is away or slow, and its buffer is full.
    LokiFull,
    /// Loki answered that it will never take it.
    LokiRefused,
    /// Loki had not taken it when the service had to stop.
    LokiShutdown,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::StdoutFull, Self::StdoutClosed, Self::LokiFull, Self::LokiRefused, Self::LokiShutdown];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StdoutFull => "stdout_full",
            Self::StdoutClosed => "stdout_closed",
            Self::LokiFull => "loki_full",
            Self::LokiRefused => "loki_refused",
            Self::LokiShutdown => "loki_shutdown",
        }
    }
}

/// What the log needs to know.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Events below are not written; access lines always are.
    pub level: Level,
    /// The `env` label.
    pub environment: String,
    /// Loki's address.
    pub loki: Option<String>,
    /// Bytes that wait for each destination at most.
    pub buffer: usize,
    /// Lies to tell.
    pub sabotage: Sabotage,
}

#[derive(Debug)]
struct State {
    sequence: u64,
    stdout: stdout::Waiting,
    loki: Option<Backlog>,
}

#[derive(Debug)]
struct Shared {
    settings: LogSettings,
    boot: String,
    state: Mutex<State>,
    stdout_waiting: Condvar,
    loki_waiting: Notify,
    metrics: Arc<Metrics>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a line gets a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    Next,
    Without,
}

/// A handle to the log; clones write to the same one.
#[derive(Clone, Debug)]
pub struct Logs(Arc<Shared>);

/// The running destinations; closing it is what makes the log complete.
#[derive(Debug)]
pub struct LogWriters {
    logs: Logs,
    stdout: JoinHandle<()>,
    pusher: Option<tokio::task::JoinHandle<()>>,
}

impl Logs {
    /// Starts the log: lines go to `output` and, when the settings say so, to Loki. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the client for Loki or the writing thread cannot be made.
    pub fn start(
        settings: LogSettings,
        metrics: Arc<Metrics>,
        output: impl Write + Send + 'static,
    ) -> std::io::Result<(Self, LogWriters)> {
        let loki = settings.loki.as_ref().map(|_| Backlog::default());
        let state = State { sequence: 0, stdout: stdout::Waiting::default(), loki };
        let logs = Self(Arc::new(Shared {
            boot: format!("{:08x}", rand::random::<u32>()),
            state: Mutex::new(state),
            stdout_waiting: Condvar::new(),
            loki_waiting: Notify::new(),
            metrics,
            settings,
        }));
        let pusher = match &logs.0.settings.loki {
            Some(url) => Some(tokio::spawn(Pusher::new(url, logs.clone())?.run())),
            None => None,
        };
        let writing = logs.clone();
        let stdout = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || stdout::write_lines(&writing.0, output))?;
        Ok((logs.clone(), LogWriters { logs, stdout, pusher }))
    }

    /// Writes an event with some fields, unless its level is below the log's.
    pub fn event(&self, level: Level, event: &'static str, message: &str, fields: &[(&str, &str)]) {
        if level < self.0.settings.level {
            return;
        }
        let nanos = clock::wall_nanos();
        Line::with(nanos, level, event, message, &self.0.boot, |line| {
            for (key, value) in fields {
                line.text(key, value);
            }
            self.append(level, nanos, line, Numbering::Without);
        });
    }

    /// Writes the line of a request that is over.
    pub fn access(&self, access: &Access<'_>) {
        if self.0.settings.sabotage.silent_logs {
            return;
        }
        let nanos = clock::wall_nanos();
        let level = access.level();
        let anonymous = self.0.settings.sabotage.no_request_id;
        Line::with(nanos, level, "http_request", access.message(), &self.0.boot, |line| {
            access.write(line, anonymous);
            self.append(level, nanos, line, Numbering::Next);
        });
    }

    /// Ends the line, numbering it if it is an access line, and hands it to both destinations.
    fn append(&self, level: Level, nanos: i64, line: &mut Line, numbering: Numbering) {
        let shared = &self.0;
        let limit = shared.settings.buffer;
        let mut state = shared.lock();
        if numbering == Numbering::Next {
            state.sequence += 1;
            line.number("seq", state.sequence);
        }
        let bytes = line.end();
        let stdout = state.stdout.push(bytes, limit);
        let loki = state.loki.as_mut().map(|backlog| backlog.push(level, nanos, bytes, limit));
        let wake = state.stdout.should_wake();
        drop(state);
        if wake {
            shared.stdout_waiting.notify_one();
        }
        if loki == Some(Ok(loki::Pushed::First)) {
            shared.loki_waiting.notify_one();
        }
        shared.metrics.logged(level);
        for loss in [stdout.err(), loki.and_then(Result::err)].into_iter().flatten() {
            shared.metrics.log_lost(loss, 1);
        }
    }
}

impl LogWriters {
    /// Lets both destinations finish what waits for them, for at most `deadline`.
    pub async fn close(self, deadline: Duration) {
        let shared = &self.logs.0;
        {
            let mut state = shared.lock();
            state.stdout.close();
            if let Some(backlog) = state.loki.as_mut() {
                backlog.close();
            }
        }
        shared.stdout_waiting.notify_one();
        shared.loki_waiting.notify_one();
        let stdout = tokio::task::spawn_blocking(move || self.stdout.join());
        let both = async {
            if let Some(pusher) = self.pusher {
                drop(pusher.await);
            }
            drop(stdout.await);
        };
        if tokio::time::timeout(deadline, both).await.is_err() {
            let left = shared.lock().loki.as_ref().map_or(0, Backlog::lines);
            shared.metrics.log_lost(Loss::LokiShutdown, left);
        }
    }
}
