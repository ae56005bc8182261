//! Fixtures of the acceptance suite: a [`Stand`] is a private copy of the reference stack with a short scenario that a test
//! edits and drills with the real binary; a [`Drill`] is what came of it. Read by `tests/acceptance`.

mod drill;
mod leftover;
mod stand;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use drill::Drill;
pub use leftover::Leftovers;
pub use stand::{Ended, Running, Stand};

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
