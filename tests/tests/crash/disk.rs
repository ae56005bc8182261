//! No space left, for the journal and for the report. Needs the right to mount; left out, aloud, without it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use acceptance::Provider;
use harness::event::Verdict;

use crate::stage::{assert_gone, audit, doomed, unharmed};

/// A small file system; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).expect("the stand can be written");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "harness-test"])
            .arg(at)
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        if !mounted {
            let mut err = std::io::stderr().lock();
            drop(writeln!(err, "SKIPPED: a full disk: no right to mount a small file system"));
        }
        mounted.then(|| Self(at.to_path_buf()))
    }

    /// Writes until nothing fits any more.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("the small file system can be written");
        let bytes = vec![0; 4096];
        while file.write_all(&bytes).is_ok() {}
        while file.write_all(b"0").is_ok() {}
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c45_a_full_disk_at_the_journal_is_an_error_before_anything_is_created() {
    let stand = doomed(Provider::Local);
    let Some(small) = Small::mount(&stand.root().join("state"), "64k") else { return };
    std::fs::create_dir(stand.root().join("state/runs")).expect("the small file system has room for a folder");
    small.fill();
    let file = stand.scenario_file();
    let ended = stand.harness(&["validate", &file, "--stack", "local", "--out", "reports"]).await;
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.stderr.contains("DISK_FULL") && ended.stderr.contains("HARNESS_STATE"), "{ended:#?}");
    let left = std::fs::read_dir(stand.root().join("tmp")).expect("the stand has a temporary folder").count();
    assert_eq!(left, 0, "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn c45_a_full_disk_at_the_report_is_an_error_and_everything_is_removed() {
    unharmed(Provider::Local).await;
    let stand = doomed(Provider::Local);
    let Some(small) = Small::mount(&stand.root().join("reports"), "4m") else { return };
    let mut running = stand.start().await;
    let folder = running.reached("load-sampled").await;
    let audit = audit(&folder, Provider::Local);
    small.fill();
    let status = running.wait().await;
    assert_eq!(status.code(), Some(4), "{}", stand.said());
    assert!(stand.said().contains("DISK_FULL"), "{}", stand.said());
    drop(running);
    let events = harness::report::log::read(&folder).expect("what was written can be read");
    assert_ne!(harness::report::view::of(&events).verdict, Verdict::Pass);
    // the small file system itself is the test's own
    drop(small);
    assert_gone(&audit, &stand).await;
}
