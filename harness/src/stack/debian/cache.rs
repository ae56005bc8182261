//! Unpacked packages on disk: `<package>_<version>_<arch>/{manifest.json, root/}`, complete or not there at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::apt::Download;
use super::{DebianError, DebianPackage};
use crate::clock::{Stamp, wall};

/// What was unpacked, written last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Manifest {
    /// Name, version, architecture and hash of every package; the program's own first.
    packages: Vec<[String; 4]>,
    /// Every file and its size.
    files: Vec<(PathBuf, u64)>,
    unpacked: Stamp,
}

/// A package in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    pub(super) root: PathBuf,
    pub(super) name: String,
}

impl Manifest {
    pub(super) fn of(root: &Path, downloads: &[Download]) -> io::Result<Self> {
        let mut files = Vec::new();
        list(root, Path::new(""), &mut files)?;
        files.sort();
        let row = |d: &Download| [d.package.clone(), d.version.clone(), d.architecture.clone(), d.hash.clone()];
        Ok(Self { packages: downloads.iter().map(row).collect(), files, unpacked: wall() })
    }

    fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join("manifest.json")).ok()?).ok()
    }

    fn names(&self) -> Vec<&str> {
        self.packages.iter().map(|row| row[0].as_str()).collect()
    }

    /// Whether every file is still there in its size.
    fn holds(&self, root: &Path) -> bool {
        let whole = |(path, size): &(PathBuf, u64)| root.join(path).metadata().is_ok_and(|meta| meta.len() == *size);
        !self.files.is_empty() && self.files.iter().all(whole)
    }
}

fn list(root: &Path, below: &Path, files: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(root, &path, files)?;
        } else if kind.is_file() {
            files.push((path, entry.metadata()?.len()));
        }
    }
    Ok(())
}

/// The newest unpacked version of a package that is whole.
pub(super) fn find(home: &Path, wanted: &DebianPackage) -> Option<Unpacked> {
    let entries = fs::read_dir(home).ok()?.flatten().map(|entry| entry.path());
    let prefix = format!("{}_", wanted.package);
    // a folder with a colon cannot stand in a list of folders, and its libraries have to
    let fitting = |name: &str| name.starts_with(&prefix) && !name.contains(':');
    let named = entries.filter(|path| path.file_name().is_some_and(|name| fitting(&name.to_string_lossy())));
    let packages: Vec<&str> = std::iter::once(&wanted.package).chain(&wanted.with).map(String::as_str).collect();
    let read = named.filter_map(|folder| Some((Manifest::read(&folder)?, folder.join("root"))));
    let fits = |manifest: &Manifest, root: &Path| {
        packages.iter().all(|name| manifest.names().contains(name)) && manifest.holds(root)
    };
    let (manifest, root) =
        read.filter(|(manifest, root)| fits(manifest, root)).max_by_key(|(manifest, _)| manifest.unpacked)?;
    let [name, version, ..] = manifest.packages.first()?;
    Some(Unpacked { name: format!("{name} {version}"), root })
}

/// Moves an unpacked root into the cache in one step, in place of a damaged one.
pub(super) fn keep(
    home: &Path,
    wanted: &DebianPackage,
    root: &Path,
    manifest: Manifest,
) -> Result<Unpacked, DebianError> {
    let first = manifest.packages.iter().find(|row| row[0] == wanted.package).or(manifest.packages.first());
    let [name, version, architecture, _] = first
        .ok_or_else(|| DebianError::NoBinary { package: wanted.package.clone(), binary: "anything".to_owned() })?;
    // an epoch's colon as apt writes it in file names
    let folder = home.join(format!("{name}_{}_{architecture}", version.replace(':', "%3a")));
    let shown = format!("{name} {version}");
    let failed = |source| DebianError::Cache { path: folder.clone(), source };
    let whole = root.with_file_name("whole");
    let move_in = || -> io::Result<()> {
        fs::create_dir(&whole)?;
        fs::rename(root, whole.join("root"))?;
        fs::write(whole.join("manifest.json"), serde_json::to_vec(&manifest)?)?;
        if folder.exists() {
            fs::rename(&folder, root.with_file_name("damaged"))?;
        }
        fs::rename(&whole, &folder)
    };
    move_in().map_err(failed)?;
    Ok(Unpacked { root: folder.join("root"), name: shown })
}
