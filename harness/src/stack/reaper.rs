//! The reaper: a child of the harness in a session of its own that holds the other end of a pipe. When the harness ends
//! in any way, `kill -9` included, the pipe closes, and the reaper removes everything in the run's journal. On a clean
//! end the harness says `done` first.
//!
//! Started by [`super::session::Session`]; the hidden subcommand `harness reaper --journal FILE` runs [`main`].

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};

use super::journal::Claim;
use super::process::Identity;
use super::sweep;

const READY: &str = "reaper ready";
const DONE: &[u8] = b"done";

/// How the reaper is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The binary.
    pub path: PathBuf,
    /// Its arguments; `--journal FILE` is appended.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// The harness's own binary with its hidden subcommand.
    #[must_use]
    pub fn harness(binary: &Path) -> Self {
        Self { path: binary.to_path_buf(), arguments: vec!["reaper".into()] }
    }
}

/// Why the reaper could not be started or ended.
#[derive(Debug, thiserror::Error)]
pub enum ReaperError {
    /// It could not be started.
    #[error("start the reaper {path}: {source}")]
    Start {
        /// The binary.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("start the reaper {path}: it ended before it was ready")]
    NotReady {
        /// The binary.
        path: PathBuf,
    },
    /// It was gone before the run ended, so that a killed harness would have left things behind.
    #[error("dismiss the reaper: {0}")]
    Gone(io::Error),
}

/// A running reaper. Dropped without [`Reaper::dismiss`], it goes to work.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
    pipe: ChildStdin,
}

impl Reaper {
    /// Starts it and waits until it has left this session, so that no Ctrl-C reaches it.
    ///
    /// # Errors
    /// When it cannot be started or ends at once.
    pub fn spawn(program: &Program, journal: &Path) -> Result<Self, ReaperError> {
        let failed = |source| ReaperError::Start { path: program.path.clone(), source };
        let mut child = Command::new(&program.path)
            .args(&program.arguments)
            .arg("--journal")
            .arg(journal)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let pipe = child.stdin.take().expect("its standard input is a pipe");
        let output = child.stdout.take().expect("its standard output is a pipe");
        // a test binary prints other lines first
        if BufReader::new(output).lines().map_while(Result::ok).any(|line| line.ends_with(READY)) {
            Ok(Self { child, pipe })
        } else {
            let _ = child.kill();
            let _ = child.wait();
            Err(ReaperError::NotReady { path: program.path.clone() })
        }
    }

    /// Tells it that everything was removed, and waits for its end.
    ///
    /// # Errors
    /// When it was gone already.
    pub fn dismiss(mut self) -> Result<(), ReaperError> {
        let told = self.pipe.write_all(DONE);
        drop(self.pipe);
        let ended = self.child.wait();
        told.and(ended).map(|_| ()).map_err(ReaperError::Gone)
    }

    /// Which process it is.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        super::process::stat(self.child.id()).map(|stat| stat.identity)
    }
}

/// What the reaper does: waits for the end of the harness, then removes what the journal names. The journal stays when
/// something could not be removed, so that the next sweep tries again.
#[must_use]
pub fn main(journal: &Path) -> ExitCode {
    // fails only for the leader of a group, which is out of reach of a terminal too
    let _ = rustix::process::setsid();
    let mut output = io::stdout();
    if writeln!(output, "{READY}").and_then(|()| output.flush()).is_err() {
        return ExitCode::FAILURE;
    }
    let mut said = Vec::new();
    // an error on the pipe is an end as good as any
    let _ = io::stdin().read_to_end(&mut said);
    if said == DONE {
        return ExitCode::SUCCESS;
    }
    let Some(claim) = Claim::wait(journal) else { return ExitCode::SUCCESS };
    if sweep::remove(&claim).left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::testing::JOURNAL;

    /// Not a test of its own: other tests start this binary as a reaper, and it enters here.
    #[test]
    fn reaper_entry() {
        if let Some(journal) = std::env::var_os(JOURNAL) {
            assert_eq!(main(Path::new(&journal)), ExitCode::SUCCESS);
        }
    }
}
