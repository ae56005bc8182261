//! One child process: started in a group of its own, marked, logged, and waited for until it ends.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::log::Logs;
use crate::breakpoint;
use crate::stack::docker::Container;
use crate::stack::process::{self, Identity, PART_MARK, RUN_MARK};

/// What to start.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) folder: PathBuf,
    pub(super) run: String,
    pub(super) part: String,
    pub(super) libraries: Vec<PathBuf>,
    pub(super) root: Option<PathBuf>,
    /// Whom it runs as, by number; the harness's own user without it.
    pub(super) user: Option<u32>,
}

/// A started process, or a started container, which is one process to its stack.
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// The process that leads it, as far as this machine's `/proc` shows it.
    pub(super) identity: Option<Identity>,
    pub(super) container: Option<Container>,
    /// Bytes that were in the logs before it started.
    pub(super) logs_from: Vec<(PathBuf, u64)>,
    /// Its status in words, once it has ended.
    pub(super) ended: watch::Receiver<Option<String>>,
    news: Arc<News>,
    frozen: Arc<AtomicBool>,
    waiting: AbortHandle,
}

/// Whether a process's end is news: not before it is ready (the error says it), not once it was asked to end, never twice.
#[derive(Debug, Default)]
pub(super) struct News {
    watched: AtomicBool,
    told: AtomicBool,
}

impl News {
    /// True once, for whoever has to tell.
    fn take(&self) -> bool {
        self.watched.load(Ordering::SeqCst) && !self.told.swap(true, Ordering::SeqCst)
    }
}

impl Process {
    /// Waits for `end`, a status in words, in the background; `unasked` is called with it when it is news.
    pub(super) fn watched(
        identity: Option<Identity>,
        container: Option<Container>,
        logs_from: Vec<(PathBuf, u64)>,
        end: impl Future<Output = String> + Send + 'static,
        unasked: impl FnOnce(String) + Send + 'static,
    ) -> Self {
        let (tell, ended) = watch::channel(None);
        let news = Arc::new(News::default());
        let of_process = Arc::clone(&news);
        let waiting = tokio::spawn(async move {
            let words = end.await;
            tell.send_replace(Some(words.clone()));
            if of_process.take() {
                unasked(words);
            }
        });
        let waiting = waiting.abort_handle();
        Self { identity, container, logs_from, ended, news, frozen: Arc::default(), waiting }
    }

    /// From now on its end is no news.
    pub(super) fn expect_end(&self) {
        self.news.watched.store(false, Ordering::SeqCst);
    }

    /// From now on its end is news; its status if it has ended already and nobody told.
    pub(super) fn watch(&self) -> Option<String> {
        self.news.watched.store(true, Ordering::SeqCst);
        self.status().filter(|_| self.news.take())
    }

    /// Waits for its end; its status in words.
    pub(super) async fn end(&self) -> String {
        let mut ended = self.ended.clone();
        let status = ended.wait_for(Option::is_some).await;
        status.ok().and_then(|status| status.clone()).unwrap_or_else(|| "unknown".to_owned())
    }

    /// Waits for its end no longer: it could not be ended, and what waits for it keeps the run from ending.
    pub(super) fn give_up(&self) {
        self.waiting.abort();
    }

    /// Whether its container is frozen.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::SeqCst)
    }

    pub(super) fn set_frozen(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::SeqCst);
    }

    pub(super) fn status(&self) -> Option<String> {
        self.ended.borrow().clone()
    }
}

impl Launch {
    fn command(&self) -> io::Result<Command> {
        self.lead_to_package()?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.folder).env_clear().process_group(0).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", &self.folder).env("TMPDIR", &self.folder).env("LANG", "C.UTF-8").env("TZ", "UTC");
        if !self.libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", std::env::join_paths(&self.libraries).map_err(io::Error::other)?);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.envs(&self.environment).env(RUN_MARK, &self.run).env(PART_MARK, &self.part);
        Ok(command)
    }

    /// A program from a package looks for its data in `usr`, relative to where it is started.
    fn lead_to_package(&self) -> io::Result<()> {
        let Some(root) = &self.root else { return Ok(()) };
        match std::os::unix::fs::symlink(root.join("usr"), self.folder.join("usr")) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Starts it. `journal` is told the new group at once; `unasked` is called when the process ends by itself.
    pub(super) fn start(
        &self,
        logs: &Logs,
        journal: impl Fn(Journalled),
        unasked: impl FnOnce(String) + Send + 'static,
        ended: impl FnOnce(Identity, &str) + Send + 'static,
    ) -> io::Result<Process> {
        let logs_from = logs.positions();
        let (stdout, stderr) = logs.open()?;
        let mut child = self.command()?.stdout(stdout).stderr(stderr).spawn()?;
        breakpoint::reached("created");
        let pid = child.id().ok_or_else(|| io::Error::other("it has no pid"))?;
        // not collected yet, so its entry is still there even if it has ended
        let identity =
            process::stat(pid).map(|stat| stat.identity).ok_or_else(|| io::Error::other("/proc does not show it"))?;
        journal(Journalled(identity));
        let end = async move {
            let words = match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => format!("unknown: {error}"),
            };
            ended(identity, &words);
            words
        };
        Ok(Process::watched(Some(identity), None, logs_from, end, unasked))
    }

    /// Runs it to its end; the error is its status in words.
    pub(super) async fn run(&self, logs: &Logs) -> io::Result<Result<(), String>> {
        let (stdout, stderr) = logs.open()?;
        let status = self.command()?.stdout(stdout).stderr(stderr).kill_on_drop(true).status().await?;
        Ok(if status.success() { Ok(()) } else { Err(status.to_string()) })
    }
}

/// The group to be written into the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Journalled(pub(super) Identity);

/// Whether a folder has nothing in it.
pub(super) fn is_empty(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}
