//! The sweep: removes what dead runs left behind, by their journals. Never touches a live run; twice is the same as once.
//!
//! Called at the start of a run and by `harness sweep`; the reaper uses the same `remove` for its own run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::docker;
use super::journal::{Claim, Liveness, Record};
use super::place::Places;
use super::process::{self, RUN_MARK};
use super::session::{Leftover, remove_folder};
use super::shared_memory;

/// How long processes may take to end when asked.
const GRACE: Duration = Duration::from_secs(3);

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// What was removed, by name.
    pub removed: Vec<String>,
    /// What could not be.
    pub left: Vec<Leftover>,
    /// Runs that are alive and were not touched.
    pub alive: Vec<String>,
}

impl Swept {
    fn add(&mut self, other: Self) {
        self.removed.extend(other.removed);
        self.left.extend(other.left);
        self.alive.extend(other.alive);
    }
}

/// Removes what every dead run left behind. Blocks; up to 10 s for a run whose processes do not want to end.
#[must_use]
pub fn sweep(places: &Places) -> Swept {
    let mut swept = Swept::default();
    for path in journals(&places.journals()) {
        swept.add(sweep_one(&path));
    }
    swept
}

fn journals(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
    paths.sort();
    paths
}

fn sweep_one(path: &Path) -> Swept {
    let run = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let alive = || Swept { alive: vec![run.clone()], ..Swept::default() };
    let liveness = match Record::read(path) {
        Ok(record) => record.owner.map_or(Liveness::Dead, |owner| owner.liveness()),
        Err(_) if !path.exists() => return Swept::default(),
        Err(error) => return Swept { left: vec![leftover(path, &error.to_string())], ..Swept::default() },
    };
    match liveness {
        Liveness::Alive => alive(),
        Liveness::Elsewhere => {
            let message = "its run belongs to another pid namespace; sweep there, or remove the journal".to_owned();
            Swept { left: vec![leftover(path, &message)], ..Swept::default() }
        }
        // the lock is taken while a reaper works on it
        Liveness::Dead => Claim::take(path).map_or_else(alive, |claim| remove(&claim)),
    }
}

fn leftover(path: &Path, message: &str) -> Leftover {
    Leftover { resource: format!("journal {}", path.display()), message: message.to_owned() }
}

/// Removes everything a dead run's journal names, then the journal itself; it stays when something could not be removed.
pub(super) fn remove(claim: &Claim) -> Swept {
    let record = match Record::read(claim.path()) {
        Ok(record) => record,
        Err(error) => return Swept { left: vec![leftover(claim.path(), &error.to_string())], ..Swept::default() },
    };
    let mut swept = Swept::default();
    if let Some(owner) = &record.owner {
        swept.add(processes(&record, &owner.run, &owner.boot));
        if record.used_engine() {
            let (removed, left) = docker::clean_blocking(&owner.run);
            swept.add(Swept { removed, left, alive: Vec::new() });
        }
        for folder in &record.folders {
            swept.add(folder_of(&owner.run, folder));
        }
    }
    if swept.left.is_empty() {
        match claim.remove() {
            Ok(()) => swept.removed.push(format!("journal {}", claim.path().display())),
            Err(error) => swept.left.push(leftover(claim.path(), &error.to_string())),
        }
    }
    swept
}

/// After a reboot no recorded identity means anything, and no process carries the mark.
fn processes(record: &Record, run: &str, boot: &str) -> Swept {
    let groups = if boot == process::boot_id() { record.groups.as_slice() } else { &[] };
    let mark = (RUN_MARK, run);
    let found = process::members(groups, mark);
    let survivors = process::end(groups, mark, GRACE);
    let survived = |identity| survivors.iter().any(|survivor| survivor.identity == identity);
    let gone = found.iter().map(|stat| stat.identity).filter(|identity| !survived(*identity));
    let leaders = if boot == process::boot_id() { record.leaders.as_slice() } else { &[] };
    let makers = gone.clone().chain(leaders.iter().copied()).collect();
    let (segments, stayed) = shared_memory::remove_of(&makers);
    let mut swept = Swept {
        removed: gone.map(|identity| format!("process {}", identity.pid)).collect(),
        left: survivors
            .iter()
            .map(|stat| Leftover {
                resource: format!("process {}", stat.identity.pid),
                message: format!("does not end (state {})", stat.state),
            })
            .collect(),
        alive: Vec::new(),
    };
    swept.removed.extend(segments);
    swept.left.extend(stayed);
    swept
}

/// A journal is only a file: nothing but a run's own folder is ever removed on its word.
fn folder_of(run: &str, path: &Path) -> Swept {
    let mut swept = Swept::default();
    let own = path.is_absolute() && path.file_name().is_some_and(|name| *name == *format!("harness-{run}"));
    if !own {
        let message = format!("is not called `harness-{run}`, so it is left alone");
        swept.left.push(Leftover { resource: format!("folder {}", path.display()), message });
    } else if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        match remove_folder(path) {
            Ok(()) => swept.removed.push(format!("folder {}", path.display())),
            Err(leftover) => swept.left.push(leftover),
        }
    }
    swept
}
