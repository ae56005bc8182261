//! What a run may leave behind: marked processes, journals, temporary folders. Read by `drill` and by the tests of crashes.

use std::fs;
use std::path::{Path, PathBuf};

/// What is left of the runs of one stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Living processes with the run's mark, or whose command line names the stand's folder.
    pub processes: Vec<String>,
    /// Journals, and folders below the stand's temporary folder.
    pub files: Vec<PathBuf>,
}

impl Leftovers {
    /// Looks for everything of the run `run` of the stand at `root`.
    #[must_use]
    pub fn of(root: &Path, run: &str) -> Self {
        let mark = format!("HARNESS_RUN={run}");
        let processes = pids().filter(|pid| belongs(*pid, &mark)).map(describe).collect();
        let mut files = entries(&root.join("state/runs"));
        files.extend(entries(&root.join("tmp")));
        Self { processes, files }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.files.is_empty()
    }
}

/// Process ids whose command line contains all of `parts`.
#[must_use]
pub fn commanded(parts: &[&str]) -> Vec<i32> {
    let matches = |pid: &i32| {
        let line = command_line(*pid);
        parts.iter().all(|part| line.contains(part))
    };
    pids().filter(matches).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn belongs(pid: i32, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes())
}

fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn describe(pid: i32) -> String {
    format!("{pid} {}", command_line(pid))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
