//! Fixtures of the acceptance suite: a [`Stand`] is a private copy of the reference stack with a short scenario that a test
//! edits and drills with the real binary; a [`Drill`] is what came of it. Read by `tests/acceptance`.

pub mod audit;
mod drill;
pub mod engine;
mod leftover;
pub mod proxy;
mod running;
mod stand;

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::stack::place::Places;

pub use drill::Drill;
pub use leftover::{Leftovers, commanded as processes};
pub use running::{Ended, Running};
pub use stand::{Provider, Stand};

/// The workspace's root.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace").to_path_buf()
}

/// A binary of the workspace, as built beside this test: `target/<profile>/<name>`.
///
/// # Panics
/// When it is not built; the message names the command.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
    let path = profile.join(name);
    assert!(path.is_file(), "{} is not built; run: cargo build -p harness -p inventory-service", path.display());
    path
}

/// Looks again and again until `check` holds; how long that took, none when it did not hold within `within`.
pub async fn holds_within(within: Duration, mut check: impl FnMut() -> bool) -> Option<Duration> {
    let begun = harness::clock::instant();
    let holds = async {
        while !check() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let held = tokio::time::timeout(within, holds).await;
    held.ok().map(|()| harness::clock::instant().duration_since(begun))
}

/// Looks again and again until `check` holds.
///
/// # Panics
/// When it does not hold within `within`.
pub async fn eventually(what: &str, within: Duration, mut check: impl FnMut() -> bool) {
    let holds = async {
        while !check() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(within, holds).await.is_ok(), "not within {within:?}: {what}");
}

/// A promtool: that of PATH, else that of the Debian package which a drill has unpacked.
///
/// # Panics
/// When there is none; a drill unpacks one.
#[must_use]
pub fn promtool() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = std::env::split_paths(&path).map(|folder| folder.join("promtool")).find(|tool| tool.is_file());
    let packages = Places::from_environment().cache.join("debian");
    let unpacked = || {
        let packages = std::fs::read_dir(packages).into_iter().flatten().flatten();
        packages.map(|package| package.path().join("root/usr/bin/promtool")).find(|tool| tool.is_file())
    };
    beside.or_else(unpacked).expect("a drill has unpacked Prometheus, and promtool with it")
}
