//! The journal of resources: what a run is about to create, on disk before it exists, so that whoever comes after a
//! `kill -9` knows what to remove. Written by the run; read by the reaper and the sweep.
//!
//! One JSON object a line, each flushed to the disk. A last line that was cut off by the kill is skipped: what it would
//! have announced was not created yet.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::place::private_folder;
use super::process::{self, Identity};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The first line: whose run it is.
    Owner(Owner),
    /// A folder that will be created; its last part is `harness-<run>`.
    Folder(PathBuf),
    /// A component will be started; its processes carry the run's mark.
    Starting(String),
    /// A process group, by its leader.
    Group(Identity),
    /// A process group that ended and was collected.
    Ended(Identity),
    /// A container that will be created, by its name.
    Container(String),
    /// A network that will be created, by its name.
    Network(String),
    /// A volume that will be created, by its name.
    Volume(String),
}

/// Whose run a journal belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Owner {
    /// The run's id.
    pub run: String,
    /// The harness's process.
    pub process: Identity,
    /// The boot it lives in.
    pub boot: String,
    /// The namespace its pid belongs to.
    pub pid_namespace: String,
}

/// Whether a journal's owner still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It does.
    Alive,
    /// It does not.
    Dead,
    /// It lives in another pid namespace, so that nobody here can tell.
    Elsewhere,
}

impl Owner {
    /// This process, as the owner of `run`.
    #[must_use]
    pub fn this(run: &str) -> Self {
        Self {
            run: run.to_owned(),
            process: process::own(),
            boot: process::boot_id(),
            pid_namespace: process::pid_namespace(),
        }
    }

    /// Whether it still lives.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        if self.boot != process::boot_id() {
            Liveness::Dead
        } else if self.pid_namespace != process::pid_namespace() {
            Liveness::Elsewhere
        } else if process::alive(self.process) {
            Liveness::Alive
        } else {
            Liveness::Dead
        }
    }
}

/// Why the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It could not be created.
    #[error("create the journal {path}: {source}; set HARNESS_STATE to a folder that can be written{}", full(.source))]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could not be written.
    #[error("write the journal {path}: {source}{}", full(.source))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why; [`io::ErrorKind::StorageFull`] when the disk is full.
        source: io::Error,
    },
    /// It could not be read.
    #[error("read the journal {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What to do about a full disk.
fn full(error: &io::Error) -> &'static str {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if full { " (DISK_FULL: make room, or set HARNESS_STATE to another file system)" } else { "" }
}

/// A run's own journal. Holds a lock on the file as long as it lives.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    /// Creates `<folder>/<run>.jsonl`, readable by this user only, with this process as its owner.
    ///
    /// # Errors
    /// When it cannot be created, exists already, or cannot be written.
    pub fn create(folder: &Path, run: &str) -> Result<Self, JournalError> {
        let path = folder.join(format!("{run}.jsonl"));
        let failed = |source| JournalError::Create { path: path.clone(), source };
        private_folder(folder).map_err(failed)?;
        // it gets its name only when it is locked and says whose it is, so that no sweep takes it for an abandoned one
        let unnamed = folder.join(format!("{run}.new"));
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&unnamed).map_err(failed)?;
        file.lock().map_err(failed)?;
        let journal = Self { path: path.clone(), file: Mutex::new(file) };
        journal.record(&Entry::Owner(Owner::this(run)))?;
        let named = std::fs::hard_link(&unnamed, &path);
        std::fs::remove_file(&unnamed).and(named).map_err(failed)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(journal)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an entry; on the disk when it returns.
    ///
    /// # Errors
    /// When it cannot be written; what the entry announces must not be created then.
    pub fn record(&self, entry: &Entry) -> Result<(), JournalError> {
        let failed = |source| JournalError::Write { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(entry).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(failed)
    }

    /// Removes the file: nothing of the run is left.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self) -> Result<(), JournalError> {
        remove(&self.path)
    }
}

fn remove(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(JournalError::Write { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

/// A journal as read by whoever cleans up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Whose it is; none when not even the first line was written, so that nothing was created.
    pub owner: Option<Owner>,
    /// Folders.
    pub folders: Vec<PathBuf>,
    /// Groups that did not end.
    pub groups: Vec<Identity>,
    /// Leaders of all groups, also of those that ended.
    pub leaders: Vec<Identity>,
    /// Containers.
    pub containers: Vec<String>,
    /// Networks.
    pub networks: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// Lines that could not be read.
    pub damaged: usize,
}

impl Record {
    /// Reads a journal, also a damaged one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, JournalError> {
        let bytes = std::fs::read(path).map_err(|source| JournalError::Read { path: path.to_path_buf(), source })?;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut record = Self::default();
        for line in lines {
            match serde_json::from_slice(line) {
                Ok(entry) => record.add(entry),
                Err(_) => record.damaged += 1,
            }
        }
        Ok(record)
    }

    /// Whether anything was to be created in a container engine.
    #[must_use]
    pub fn used_engine(&self) -> bool {
        !(self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty())
    }

    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Owner(owner) => self.owner = Some(owner),
            Entry::Folder(path) => self.folders.push(path),
            Entry::Starting(_) => {}
            Entry::Group(leader) => {
                self.groups.push(leader);
                self.leaders.push(leader);
            }
            Entry::Ended(leader) => self.groups.retain(|group| *group != leader),
            Entry::Container(name) => self.containers.push(name),
            Entry::Network(name) => self.networks.push(name),
            Entry::Volume(name) => self.volumes.push(name),
        }
    }
}

/// Somebody else's journal, held while it is being cleaned up, so that reaper and sweep never work on it at once.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    _lock: File,
}

impl Claim {
    /// Waits for the lock; none when the journal is gone by then.
    pub(super) fn wait(path: &Path) -> Option<Self> {
        let lock = File::open(path).ok()?;
        lock.lock().ok()?;
        path.exists().then(|| Self { path: path.to_path_buf(), _lock: lock })
    }

    /// Takes the lock if it is free.
    pub(super) fn take(path: &Path) -> Option<Self> {
        let lock = File::open(path).ok()?;
        lock.try_lock().ok()?;
        path.exists().then(|| Self { path: path.to_path_buf(), _lock: lock })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the journal.
    pub(super) fn remove(&self) -> Result<(), JournalError> {
        remove(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_recorded_is_read_back_and_the_ended_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path(), "r1").unwrap();
        let (gone, there) = (Identity { pid: 5, start: 6 }, Identity { pid: 7, start: 8 });
        for entry in
            [Entry::Folder("/tmp/harness-r1".into()), Entry::Group(gone), Entry::Group(there), Entry::Ended(gone)]
        {
            journal.record(&entry).unwrap();
        }
        let record = Record::read(journal.path()).unwrap();
        assert_eq!(record.owner.unwrap().liveness(), Liveness::Alive);
        assert_eq!((record.groups, record.folders), (vec![there], vec![PathBuf::from("/tmp/harness-r1")]));
    }

    #[test]
    fn a_line_cut_off_by_the_kill_does_not_hide_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path(), "r2").unwrap();
        journal.record(&Entry::Container("c1".to_owned())).unwrap();
        let mut file = OpenOptions::new().append(true).open(journal.path()).unwrap();
        file.write_all(b"{\"container\":\"c").unwrap();
        let record = Record::read(journal.path()).unwrap();
        assert_eq!((record.containers, record.damaged), (vec!["c1".to_owned()], 1));
    }

    #[test]
    fn only_this_user_can_read_it_and_a_run_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(&folder.path().join("runs"), "r3").unwrap();
        assert_eq!(std::fs::metadata(journal.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Journal::create(&folder.path().join("runs"), "r3"), Err(JournalError::Create { .. })));
    }

    #[test]
    fn an_owner_of_another_boot_or_with_another_start_is_dead_c49() {
        let owner = Owner::this("r");
        let rebooted = Owner { boot: "another".to_owned(), ..owner.clone() };
        let reused = Owner { process: Identity { start: owner.process.start - 1, ..owner.process }, ..owner.clone() };
        let elsewhere = Owner { pid_namespace: "another".to_owned(), ..owner };
        assert_eq!(rebooted.liveness(), Liveness::Dead);
        assert_eq!(reused.liveness(), Liveness::Dead);
        assert_eq!(elsewhere.liveness(), Liveness::Elsewhere);
    }

    #[test]
    fn a_journal_in_use_cannot_be_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path(), "r4").unwrap();
        assert!(Claim::take(journal.path()).is_none());
        let path = journal.path().to_path_buf();
        drop(journal);
        assert!(Claim::take(&path).is_some());
    }
}
