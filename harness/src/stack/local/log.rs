//! A component's log files: standard output and standard error, each in a file of its own, and their last lines for errors.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How many lines an error shows of each file.
const LINES: usize = 20;
/// How far back they are looked for.
const TAIL: u64 = 64 * 1024;

/// The two files.
#[derive(Clone, Debug)]
pub(super) struct Logs {
    pub(super) stdout: PathBuf,
    pub(super) stderr: PathBuf,
}

impl Logs {
    pub(super) fn of(folder: &Path, component: &str) -> Self {
        Self { stdout: folder.join(format!("{component}.log")), stderr: folder.join(format!("{component}.stderr.log")) }
    }

    /// Opens both for appending: a component that is started again goes on in the same files.
    pub(super) fn open(&self) -> io::Result<(File, File)> {
        let open = |path: &Path| OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        Ok((open(&self.stdout)?, open(&self.stderr)?))
    }

    /// Both files with their present lengths.
    pub(super) fn positions(&self) -> Vec<(PathBuf, u64)> {
        let length = |path: &Path| path.metadata().map_or(0, |meta| meta.len());
        [&self.stdout, &self.stderr].into_iter().map(|path| (path.clone(), length(path))).collect()
    }

    /// The last lines of both, standard error last.
    pub(super) fn last_lines(&self, from: &[(PathBuf, u64)]) -> Vec<String> {
        from.iter().flat_map(|(path, from)| tail(path, *from).unwrap_or_default()).collect()
    }
}

fn tail(path: &Path, from: u64) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(TAIL).max(from);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LINES)..].iter().map(|line| line.chars().take(2000).collect()).collect())
}
