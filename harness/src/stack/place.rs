//! Where the harness keeps things outside a run's report: state (journals), cache (unpacked packages), temporary folders.
//!
//! Read once from the environment by `cli`; handed down, so that tests have places of their own.

use std::env;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Journals of runs: `HARNESS_STATE`, else `$XDG_STATE_HOME/harness`, else `~/.local/state/harness`.
    pub state: PathBuf,
    /// Unpacked packages: `HARNESS_CACHE`, else `$XDG_CACHE_HOME/harness`, else `~/.cache/harness`.
    pub cache: PathBuf,
    /// Data of runs: the system's temporary folder (`TMPDIR`).
    pub temporary: PathBuf,
}

impl Places {
    /// From the environment.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            state: place("HARNESS_STATE", "XDG_STATE_HOME", ".local/state"),
            cache: place("HARNESS_CACHE", "XDG_CACHE_HOME", ".cache"),
            temporary: env::temp_dir(),
        }
    }

    /// All three below one folder.
    #[must_use]
    pub fn below(folder: &Path) -> Self {
        Self { state: folder.join("state"), cache: folder.join("cache"), temporary: folder.join("temporary") }
    }

    /// The folder of the journals.
    #[must_use]
    pub fn journals(&self) -> PathBuf {
        self.state.join("runs")
    }
}

fn place(own: &str, xdg: &str, home: &str) -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let fallback = || env::temp_dir().join(format!("harness-of-{}", rustix::process::getuid().as_raw()));
    set(own)
        .or_else(|| set(xdg).map(|folder| folder.join("harness")))
        .or_else(|| set("HOME").map(|folder| folder.join(home).join("harness")))
        .unwrap_or_else(fallback)
}

/// Creates a folder, and those above it, that only this user can enter.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            std::fs::set_permissions(path, Permissions::from_mode(0o700))
        }
        other => other,
    }
}
