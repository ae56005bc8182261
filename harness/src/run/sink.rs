//! Where events go: numbered, appended to the log on disk, kept for the verdict, and shown to whoever watches.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use crate::clock::{Clock, Stamp};
use crate::event::{Event, EventKind};
use crate::report::log::{Error, Writer};

/// The one place that events are handed to.
#[derive(Clone, Debug)]
pub struct Sink {
    shared: Arc<Mutex<Shared>>,
    clock: Clock,
    scenario: Option<String>,
}

#[derive(Debug)]
struct Shared {
    writer: Writer,
    events: Vec<Event>,
    watcher: Option<UnboundedSender<Event>>,
    broken: Option<String>,
}

impl Sink {
    /// Opens the log in a run's folder.
    ///
    /// # Errors
    /// When the log cannot be created.
    pub fn open(folder: &Path, clock: Clock, watcher: Option<UnboundedSender<Event>>) -> Result<Self, Error> {
        let shared = Shared { writer: Writer::create(folder)?, events: Vec::new(), watcher, broken: None };
        Ok(Self { shared: Arc::new(Mutex::new(shared)), clock, scenario: None })
    }

    /// The same sink for events of one scenario.
    #[must_use]
    pub fn of(&self, scenario: &str) -> Self {
        Self { scenario: Some(scenario.to_owned()), ..self.clone() }
    }

    /// Now, on the run's clock.
    #[must_use]
    pub fn now(&self) -> Stamp {
        self.clock.now()
    }

    /// The run's clock.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Records what happens now.
    pub fn tell(&self, what: EventKind) {
        self.tell_at(self.clock.now(), what);
    }

    /// Records what happened at `at`.
    pub fn tell_at(&self, at: Stamp, what: EventKind) {
        let mut shared = self.lock();
        let event = match shared.writer.append(at, self.scenario.clone(), what.clone()) {
            Ok(event) => event,
            Err(error) => {
                let text = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
                let code = if error.is_full() { "DISK_FULL: " } else { "" };
                shared.broken.get_or_insert(format!("{code}failed to {error}{text}"));
                let seq = u64::try_from(shared.events.len()).unwrap_or(u64::MAX);
                Event { seq, at, scenario: self.scenario.clone(), what }
            }
        };
        if let Some(watcher) = &shared.watcher
            && watcher.send(event.clone()).is_err()
        {
            shared.watcher = None;
        }
        shared.events.push(event);
    }

    /// Everything so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// Everything so far, and what is about to be told.
    #[must_use]
    pub fn with(&self, what: EventKind) -> Vec<Event> {
        let mut events = self.events();
        let seq = u64::try_from(events.len()).unwrap_or(u64::MAX);
        events.push(Event { seq, at: self.clock.now(), scenario: self.scenario.clone(), what });
        events
    }

    /// Why the log is incomplete, if it is (a full disk, most likely).
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// Stops telling the watcher, so that it can end.
    pub fn unwatch(&self) {
        self.lock().watcher = None;
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
