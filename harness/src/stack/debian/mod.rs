//! Debian packages as a source of programs: downloaded and verified by the host's own apt in a private state, unpacked
//! into the harness's cache without root, used again later.
//!
//! Used by the local provider where a program is not on `PATH`, and for building images.

mod apt;
mod cache;
pub(super) mod relocate;
mod trim;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

pub(super) use self::apt::{Apt, Download, Suite, pack};
use self::cache::{Manifest, Unpacked};
pub(super) use self::trim::{is_library, trim};
use super::journal::{Entry, JournalError};
use super::notice::{Fact, Notices};
use super::place::Places;
use super::session::Session;
use super::spec::DebianPackage;
use crate::clock;

/// Why a package could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// It is not in the cache, and nothing asked to fetch it.
    #[error("Debian package {package} is not unpacked here; it is fetched when a scenario requires it")]
    NotFetched {
        /// The package.
        package: String,
    },
    /// A tool of Debian's is missing.
    #[error("run `{tool}`: {source}; on another system, put the program on PATH")]
    Tool {
        /// The tool.
        tool: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A tool of Debian's failed.
    #[error("{what}: {message}")]
    Command {
        /// What it was to do.
        what: String,
        /// Its own words.
        message: String,
    },
    /// The package does not hold the program.
    #[error("find {binary} in Debian package {package}")]
    NoBinary {
        /// The package.
        package: String,
        /// The program's path.
        binary: String,
    },
    /// The cache could not be written.
    #[error("use {path}: {source}; set HARNESS_CACHE to a folder that can be written")]
    Cache {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The work folder could not be journalled.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// An unpacked package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The program.
    pub binary: PathBuf,
    /// The folder that stands for `/`.
    pub root: PathBuf,
    /// `prometheus 2.42.0+ds-5+b5`.
    pub name: String,
    /// Folders with its shared libraries.
    pub libraries: Vec<PathBuf>,
}

/// The cache of unpacked packages.
#[derive(Debug)]
pub struct Debian<'a> {
    home: PathBuf,
    session: &'a Session,
    notices: Notices,
}

impl<'a> Debian<'a> {
    /// The cache below `places`, used by one run.
    #[must_use]
    pub fn new(places: &Places, session: &'a Session, notices: Notices) -> Self {
        Self { home: places.cache.join("debian"), session, notices }
    }

    /// The program of a package: from the cache, else, if `fetch` allows it, from Debian.
    ///
    /// # Errors
    /// When it is not in the cache and cannot or may not be fetched.
    pub async fn locate(&self, wanted: &DebianPackage, fetch: Fetch) -> Result<Package, DebianError> {
        if let Some(unpacked) = cache::find(&self.home, wanted) {
            return package(wanted, unpacked);
        }
        if fetch == Fetch::Never {
            return Err(DebianError::NotFetched { package: wanted.package.clone() });
        }
        let _lock = alone(&self.home).await?;
        // another run may have fetched it while this one waited
        let unpacked = match cache::find(&self.home, wanted) {
            Some(unpacked) => unpacked,
            None => self.fetch(wanted).await?,
        };
        package(wanted, unpacked)
    }

    async fn fetch(&self, wanted: &DebianPackage) -> Result<Unpacked, DebianError> {
        // beside the cache, so that it can be moved into it in one step; its name lets the sweep remove it
        let work = self.home.join(format!("harness-{}", self.session.run()));
        self.session.record(&Entry::Folder(work.clone()))?;
        std::fs::create_dir_all(&work).map_err(|source| DebianError::Cache { path: work.clone(), source })?;
        let fetched = self.fetch_into(&work, wanted).await;
        let removed = std::fs::remove_dir_all(&work);
        let unpacked = fetched?;
        removed.map_err(|source| DebianError::Cache { path: work, source })?;
        Ok(unpacked)
    }

    async fn fetch_into(&self, work: &Path, wanted: &DebianPackage) -> Result<Unpacked, DebianError> {
        let begun = clock::instant();
        let apt = Apt::prepare(&self.home.join("apt"), Suite::Host, self.session.run())?;
        let downloads = match plan(&apt, wanted).await {
            Ok(downloads) => downloads,
            Err(_) => self.update(&apt, wanted).await?,
        };
        self.announce(wanted, &downloads);
        let downloads = if apt.download(&names(&downloads), work).await.is_ok() {
            downloads
        } else {
            // an old index names packages that are gone from the mirror
            let downloads = self.update(&apt, wanted).await?;
            apt.download(&names(&downloads), work).await?;
            downloads
        };
        let root = work.join("root");
        for download in &downloads {
            apt.unpack(&work.join(&download.file), &root).await?;
        }
        if wanted.depends {
            trim(&root).map_err(|source| DebianError::Cache { path: root.clone(), source })?;
        }
        let binary = program(&root, wanted).ok_or_else(|| no_binary(wanted))?;
        relocate::relocate(&root, &binary).map_err(|source| DebianError::Cache { path: binary, source })?;
        let manifest =
            Manifest::of(&root, &downloads).map_err(|source| DebianError::Cache { path: root.clone(), source })?;
        let unpacked = cache::keep(&self.home, wanted, &root, manifest)?;
        if let Some(first) = downloads.first() {
            self.notices.tell(Fact::Fetched { what: first.name(), took: clock::instant().duration_since(begun) });
        }
        Ok(unpacked)
    }

    async fn update(&self, apt: &Apt, wanted: &DebianPackage) -> Result<Vec<Download>, DebianError> {
        self.notices.tell(Fact::Fetching {
            what: "the package index".to_owned(),
            from: "Debian".to_owned(),
            bytes: None,
        });
        apt.update().await?;
        plan(apt, wanted).await
    }

    fn announce(&self, wanted: &DebianPackage, downloads: &[Download]) {
        let fetching = |what: String, bytes| Fact::Fetching { what, from: "Debian".to_owned(), bytes: Some(bytes) };
        if wanted.depends {
            let what = format!("{} and {} more", wanted.package, downloads.len().saturating_sub(1));
            self.notices.tell(fetching(what, downloads.iter().map(|download| download.bytes).sum()));
        } else {
            downloads.iter().for_each(|download| self.notices.tell(fetching(download.name(), download.bytes)));
        }
    }
}

/// What has to be downloaded, by the index at hand: the package, what goes with it and, if it is asked for, the parts and
/// libraries that it depends on, but for the C library, which is the host's.
async fn plan(apt: &Apt, wanted: &DebianPackage) -> Result<Vec<Download>, DebianError> {
    let own: Vec<&str> = std::iter::once(&wanted.package).chain(&wanted.with).map(String::as_str).collect();
    let closure = if wanted.depends { apt.closure(&own).await? } else { Vec::new() };
    let (have, part) = ([&own[..], &["libc6"]].concat(), format!("{}-", wanted.package));
    let needed = |name: &&str| !own.contains(name) && (name.starts_with(&part) || is_library(name, &have));
    let more = closure.iter().map(|download| download.package.as_str()).filter(needed);
    let mut downloads = apt.plan(&own.iter().copied().chain(more).collect::<Vec<_>>()).await?;
    // by whose name it is told and found again
    downloads.sort_by_key(|download| download.package != wanted.package);
    Ok(downloads)
}

fn names(downloads: &[Download]) -> Vec<&str> {
    downloads.iter().map(|download| download.package.as_str()).collect()
}

/// One harness at a time in the cache below `home`; the kernel frees the lock with the process.
pub(super) async fn alone(home: &Path) -> Result<File, DebianError> {
    let path = home.join("lock");
    let failed = |source| DebianError::Cache { path: path.clone(), source };
    std::fs::create_dir_all(home).map_err(failed)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.map_err(io::Error::other).and_then(|locked| locked).map_err(failed)
}

/// The program of a package that is unpacked in the cache below `home` and whole.
pub(super) fn cached(home: &Path, wanted: &DebianPackage) -> Option<Package> {
    package(wanted, cache::find(home, wanted)?).ok()
}

/// Whether a package that is not in the cache may be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// It may.
    Allowed,
    /// It may not.
    Never,
}

fn binary_of(wanted: &DebianPackage) -> String {
    wanted.binary.clone().unwrap_or_else(|| format!("usr/bin/{}", wanted.package))
}

/// The program of a package below `root`. A `*` in its path stands for any one folder, the newest version
/// first.
fn program(root: &Path, wanted: &DebianPackage) -> Option<PathBuf> {
    let path = binary_of(wanted);
    let mut found = vec![root.to_path_buf()];
    for part in path.split('/') {
        found = match part {
            "*" => found.iter().flat_map(|folder| newest_first(folder)).collect(),
            _ => found.into_iter().map(|folder| folder.join(part)).collect(),
        };
    }
    found.into_iter().find(|path| path.is_file())
}

/// The program of a package that is installed on this machine where no `PATH` leads.
pub(super) fn installed(wanted: &DebianPackage) -> Option<PathBuf> {
    let beyond_path = !binary_of(wanted).starts_with("usr/bin/");
    beyond_path.then(|| program(Path::new("/"), wanted))?
}

fn newest_first(folder: &Path) -> Vec<PathBuf> {
    let mut inside: Vec<PathBuf> =
        folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let number = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    inside.sort_by_key(|path| std::cmp::Reverse((number(path), path.clone())));
    inside
}

fn no_binary(wanted: &DebianPackage) -> DebianError {
    DebianError::NoBinary { package: wanted.package.clone(), binary: binary_of(wanted) }
}

fn package(wanted: &DebianPackage, unpacked: Unpacked) -> Result<Package, DebianError> {
    let Some(binary) = program(&unpacked.root, wanted) else {
        return Err(no_binary(wanted));
    };
    let own = wanted.with.is_empty() && !wanted.depends;
    let libraries = if own { Vec::new() } else { libraries(&unpacked.root) };
    Ok(Package { binary, root: unpacked.root, name: unpacked.name, libraries })
}

/// `usr/lib/<triplet>` and `lib/<triplet>`, as Debian lays them out.
fn libraries(root: &Path) -> Vec<PathBuf> {
    let folders =
        ["usr/lib", "lib"].into_iter().flat_map(|lib| root.join(lib).read_dir().into_iter().flatten().flatten());
    let mut folders: Vec<PathBuf> = folders
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && path.to_string_lossy().ends_with("-gnu"))
        .collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests;
