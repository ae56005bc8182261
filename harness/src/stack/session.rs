//! One run of the harness as an owner of resources: its id, its journal, its reaper and its temporary folder.
//!
//! Opened before anything is created, closed after everything was removed; whatever happens in between, the journal and
//! the reaper know what to remove.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::docker;
use super::journal::{Entry, Journal, JournalError, Record};
use super::place::{Places, private_folder};
use super::process::{self, Census, RUN_MARK};
use super::reaper::{Program, Reaper, ReaperError};
use super::shared_memory;

/// Something that could not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What, by name.
    pub resource: String,
    /// Why.
    pub message: String,
}

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The reaper.
    #[error(transparent)]
    Reaper(#[from] ReaperError),
    /// The temporary folder.
    #[error("create the run's folder {path}: {source}; set TMPDIR to a folder that can be written")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A run that owns resources.
#[derive(Debug)]
pub struct Session {
    run: String,
    folder: PathBuf,
    // before the journal: when a session is dropped unclosed, the reaper is let loose first and then waits for the journal's lock
    reaper: Mutex<Option<Reaper>>,
    journal: Journal,
    engine_used: AtomicBool,
    census: Arc<Census>,
}

impl Session {
    /// Creates the journal, starts the reaper, creates the temporary folder, in this order.
    ///
    /// # Errors
    /// When one of them fails; the others are removed then.
    pub fn open(run: &str, places: &Places, reaper: &Program) -> Result<Self, SessionError> {
        let journal = Journal::create(&places.journals(), run)?;
        let started = Reaper::spawn(reaper, journal.path()).inspect_err(|_| drop(journal.remove()))?;
        let folder = places.temporary.join(format!("harness-{run}"));
        let (reaper, census) = (Mutex::new(Some(started)), Arc::default());
        let session = Self { run: run.to_owned(), folder, reaper, journal, engine_used: false.into(), census };
        session.record(&Entry::Folder(session.folder.clone()))?;
        let failed = |source| SessionError::Folder { path: session.folder.clone(), source };
        private_folder(&session.folder).map_err(failed)?;
        Ok(session)
    }

    /// The run's id.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The temporary folder, for this user only; gone when the session is closed.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What all stacks of the run look at processes with.
    #[must_use]
    pub fn census(&self) -> Arc<Census> {
        Arc::clone(&self.census)
    }

    /// Announces a resource; it may be created when this returns.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn record(&self, entry: &Entry) -> Result<(), JournalError> {
        if matches!(entry, Entry::Container(_) | Entry::Network(_) | Entry::Volume(_)) {
            self.engine_used.store(true, Ordering::SeqCst);
        }
        self.journal.record(entry)
    }

    /// Ends what is left of the run, removes its folder and its journal and lets the reaper go. Blocks for up to 10 s.
    /// When something could not be removed, the journal stays for the sweep.
    #[must_use]
    pub fn close(self) -> Vec<Leftover> {
        let mut left: Vec<Leftover> = process::end(&[], (RUN_MARK, &self.run), Duration::from_secs(2))
            .iter()
            .map(|stat| Leftover {
                resource: format!("process {}", stat.identity.pid),
                message: format!("does not end (state {})", stat.state),
            })
            .collect();
        let leaders = Record::read(self.journal.path()).map(|record| record.leaders).unwrap_or_default();
        left.extend(shared_memory::remove_of(&leaders.into_iter().collect()).1);
        if self.engine_used.load(Ordering::SeqCst) {
            left.extend(docker::clean_blocking(&self.run).1);
        }
        left.extend(remove_folder(&self.folder).err());
        if left.is_empty() {
            left.extend(self.journal.remove().err().map(|error| Leftover {
                resource: format!("journal {}", self.journal.path().display()),
                message: error.to_string(),
            }));
        }
        if let Some(reaper) = self.reaper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            left.extend(
                reaper
                    .dismiss()
                    .err()
                    .map(|error| Leftover { resource: "the reaper".to_owned(), message: error.to_string() }),
            );
        }
        left
    }
}

/// Removes a run's folder; one that is gone already is fine.
pub(super) fn remove_folder(path: &Path) -> Result<(), Leftover> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Leftover { resource: format!("folder {}", path.display()), message: error.to_string() })
        }
        _ => Ok(()),
    }
}
