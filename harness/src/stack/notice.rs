//! What the stack tells while it works: past-tense facts over a channel. Sent by the providers; `run` turns them into
//! events.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::clock;

/// One fact and when it became one.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Monotonic.
    pub at: Instant,
    /// The scenario's part of the run; empty for what is done once for all.
    pub scenario: String,
    /// The fact.
    pub what: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A build command begins.
    Building {
        /// The component.
        component: String,
        /// The command.
        command: String,
    },
    /// It ended well.
    Built {
        /// The component.
        component: String,
        /// How long it took.
        took: Duration,
    },
    /// Something is being fetched.
    Fetching {
        /// What, with its version: `prometheus 2.42.0`.
        what: String,
        /// From where: `Debian`.
        from: String,
        /// Its size, if known before.
        bytes: Option<u64>,
    },
    /// Some of it is here; told for every tenth.
    Pulling {
        /// What: `image prom/prometheus:v3.5.0`.
        what: String,
        /// Bytes that are here.
        done: u64,
        /// Bytes in all, as far as is known yet.
        total: u64,
    },
    /// It was fetched, verified and unpacked.
    Fetched {
        /// What.
        what: String,
        /// How long it took.
        took: Duration,
    },
    /// A component was started.
    Started {
        /// The component.
        component: String,
        /// Its version as it states it itself.
        version: String,
        /// Where its program comes from.
        source: String,
        /// Its ports as the harness reaches them, `host:port`.
        addresses: BTreeMap<String, String>,
    },
    /// A component met all its readiness conditions.
    Ready {
        /// The component.
        component: String,
        /// From its start.
        took: Duration,
    },
    /// A component ended although nobody asked it to.
    Exited {
        /// The component.
        component: String,
        /// Exit status in words.
        status: String,
        /// Its last lines.
        last_lines: Vec<String>,
    },
    /// Something happened to a component, asked for or not.
    Changed {
        /// The component.
        component: String,
        /// What.
        change: Change,
        /// What else is known, in words; empty when nothing is.
        detail: String,
    },
    /// What the running components use.
    Sampled {
        /// By component.
        components: BTreeMap<String, Sample>,
    },
    /// Something the reader should know.
    Warned {
        /// In words.
        message: String,
    },
}

/// What happens to a component's process or container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A container was created.
    Created,
    /// It was started.
    Started,
    /// It was frozen.
    Paused,
    /// It goes on.
    Resumed,
    /// The kernel ended one of its processes for lack of memory.
    OutOfMemory,
    /// It was sent a signal.
    Signalled,
    /// It ended.
    Ended,
    /// The engine started it again.
    Restarted,
    /// Its container was removed.
    Removed,
}

/// What a component used since it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Cores.
    pub cpu: f64,
    /// Bytes of memory now.
    pub memory: u64,
    /// Processes (in a container of the kernel's second control groups: threads) now.
    pub processes: u32,
}

/// Where notices go. A receiver that is gone is no error: the run is ending.
#[derive(Clone, Debug)]
pub struct Notices {
    scenario: String,
    sender: UnboundedSender<Notice>,
}

impl Notices {
    /// Sends into `sender`, for the run as a whole.
    #[must_use]
    pub fn new(sender: UnboundedSender<Notice>) -> Self {
        Self { scenario: String::new(), sender }
    }

    /// The same channel, for one scenario.
    #[must_use]
    pub fn of_scenario(&self, scenario: &str) -> Self {
        Self { scenario: scenario.to_owned(), sender: self.sender.clone() }
    }

    /// Tells one fact.
    pub fn tell(&self, what: Fact) {
        // the run is over when nobody listens any more
        let _ = self.sender.send(Notice { at: clock::instant(), scenario: self.scenario.clone(), what });
    }
}
