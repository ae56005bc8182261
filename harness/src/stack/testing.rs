//! For the tests of this module: places of their own, and a reaper that is this test binary started again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::place::Places;
use super::reaper::Program;
use super::session::Session;
use crate::clock;

/// The journal that the test binary, started as a reaper, works on.
pub(super) const JOURNAL: &str = "HARNESS_TEST_JOURNAL";

/// This test binary as a reaper: its test `reaper_entry` runs the reaper.
pub(super) fn reaper() -> Program {
    let exe = std::env::current_exe().unwrap();
    let script = format!("{JOURNAL}=\"$2\" exec \"$0\" --exact stack::reaper::tests::reaper_entry --nocapture");
    Program { path: PathBuf::from("/bin/sh"), arguments: vec!["-c".into(), script.into(), exe.into()] }
}

/// A name that no other test of any process uses.
pub(super) fn unique(name: &str) -> String {
    format!("test-{name}-{}", std::process::id())
}

pub(super) fn open(folder: &Path, run: &str) -> Arc<Session> {
    Arc::new(Session::open(run, &Places::below(folder), &reaper()).unwrap())
}

/// Asks until it holds; the test fails after 20 s.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = clock::instant() + Duration::from_secs(20);
    while !holds() {
        assert!(clock::instant() < end, "never: {what}");
        clock::sleep(Duration::from_millis(10));
    }
}
