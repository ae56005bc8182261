//! The harness as a child process on a stand: waited for, held, killed, ended. Made by `stand`, read by the tests.

use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Child;
use tokio::sync::SemaphorePermit;

use crate::leftover::commanded;
use crate::stand::{Stand, read};
use crate::{Drill, eventually, holds_within};

/// A harness that runs on a stand.
#[derive(Debug)]
pub struct Running<'a> {
    pub(crate) stand: &'a Stand,
    pub(crate) child: Child,
    pub(crate) permit: Option<SemaphorePermit<'static>>,
}

/// How a process ended and what it wrote.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its results.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
}

impl Running<'_> {
    /// Waits until the log has an event that contains `text`; the run's folder.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn reached(&mut self, text: &str) -> PathBuf {
        let log = || self.stand.runs().pop().map(|folder| folder.join("events.jsonl"));
        let said = || log().is_some_and(|path| fs::read_to_string(path).unwrap_or_default().contains(text));
        let told = holds_within(Duration::from_secs(90), said).await;
        assert!(told.is_some(), "the run does not tell {text}\n{}", read(&self.stand.root().join("stderr")));
        self.stand.runs().pop().expect("the log lies in a run's folder")
    }

    /// Waits until the harness is held where [`Stand::hold_at`] said; the run's folder.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn held(&mut self) -> PathBuf {
        let file = self.stand.held_file();
        let mut ended = None;
        let there = || file.exists() || self.child.try_wait().is_ok_and(|status| status.is_some());
        eventually("the harness is held", Duration::from_secs(120), there).await;
        if !file.exists() {
            ended = self.child.try_wait().ok().flatten();
        }
        let words = || read(&self.stand.root().join("stderr"));
        assert_eq!(ended, None, "the harness ended before it was held\n{}", words());
        self.stand.runs().pop().expect("a run has a folder")
    }

    /// Kills the harness itself, and lets the next drill of the suite begin.
    ///
    /// # Panics
    /// When it has ended already.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait().await;
        self.permit = None;
    }

    /// Closes our end of its output, as `| head -1` does.
    pub fn close_output(&mut self) {
        self.child.stdout = None;
    }

    /// Sends a signal to the harness's process group, as a terminal or a CI runner does.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal_group(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process_group(pid.expect("the harness still runs"), signal).expect("it is our own child's group");
    }

    /// Sends a signal to the harness itself.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("the harness still runs"), signal).expect("it is our own child");
    }

    /// Kills the reaper of this stand's run.
    ///
    /// # Panics
    /// When there is not exactly one.
    pub fn kill_reaper(&self) {
        let journals = self.stand.root().join("state").display().to_string();
        let found = commanded(&["reaper", "--journal", &journals]);
        let [pid] = found[..] else { panic!("one reaper, not {found:?}") };
        kill_process(Pid::from_raw(pid).expect("a pid is positive"), Signal::KILL).expect("it is our grandchild");
    }

    /// Waits until the process has ended.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn wait(&mut self) -> ExitStatus {
        tokio::time::timeout(self.stand.longest, self.child.wait())
            .await
            .expect("the harness ends")
            .expect("it can be waited for")
    }

    /// Waits for the end and reads what came of it.
    ///
    /// # Panics
    /// When it does not end or wrote no report.
    pub async fn end(mut self) -> Drill {
        let status = self.wait().await;
        let root = self.stand.root();
        let ended =
            Ended { code: status.code(), stdout: read(&root.join("stdout")), stderr: read(&root.join("stderr")) };
        let folder = self.stand.runs().pop().unwrap_or_else(|| panic!("no run was made: {ended:#?}"));
        let events = harness::report::log::read(&folder).expect("the event log can be read");
        for file in ["index.html", "junit.xml"] {
            assert!(folder.join(file).is_file(), "{file} was not written: {ended:#?}");
        }
        let json = serde_json::from_str(&read(&folder.join("run.json"))).expect("run.json is JSON");
        Drill { ended, folder, events, json }
    }
}
