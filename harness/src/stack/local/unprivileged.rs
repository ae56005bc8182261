//! Components that refuse to run as root. Where the harness is root they run as nobody, who can look neither into the run's
//! folder nor into the harness's cache nor into root's checkout: so the way to their own folder is opened, and their data
//! folder, a copy of their config and their package are put there.
//!
//! Called by [`super::running`] before a component's first start.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::process::getuid;

use super::allocation::Allocation;
use super::prepare::Located;

/// Whom components run as that must not be root.
pub(super) const NOBODY: u32 = 65534;

/// For those who know the name: to go through, not to look around.
const THROUGH: u32 = 0o711;

impl Allocation {
    /// The user a component runs as where that is not the harness's own.
    pub(super) fn user(&self, component: &str) -> Option<u32> {
        let unprivileged = self.prepared.spec.components.get(component)?.unprivileged;
        (unprivileged && self.inside().is_none() && getuid().is_root()).then_some(NOBODY)
    }

    /// Where a component finds its config: its own copy where it cannot look at the harness's.
    pub(super) fn config(&self, component: &str) -> Option<PathBuf> {
        let config = self.written_config(component)?;
        match (self.user(component), self.folder(component), config.file_name()) {
            (Some(_), Some(folder), Some(name)) => Some(folder.join("config").join(name)),
            _ => Some(config),
        }
    }

    /// Its program as the component's user can run it.
    pub(super) fn program(&self, component: &str) -> Option<Located> {
        let located = self.prepared.located(component)?.clone();
        let (Some(_), Some(folder), Some(root)) = (self.user(component), self.folder(component), &located.root) else {
            return Some(located);
        };
        let own = folder.join("package");
        let moved = |path: &PathBuf| path.strip_prefix(root).map_or_else(|_| path.clone(), |below| own.join(below));
        let libraries = located.libraries.iter().map(moved).collect();
        Some(Located { program: moved(&located.program), libraries, root: Some(own.clone()), ..located })
    }

    /// Gives the component's user what it has to read and to write; nothing is done where that is the harness's own, or
    /// the second time. Blocks for some 50 ms.
    pub(super) fn hand_over(&self, component: &str) -> io::Result<()> {
        let (Some(user), Some(folder)) = (self.user(component), self.folder(component)) else { return Ok(()) };
        let package = folder.join("package");
        if package.exists() {
            return Ok(());
        }
        let (own, above): (Vec<_>, Vec<_>) = folder.ancestors().skip(1).enumerate().partition(|(above, _)| *above < 2);
        own.into_iter().try_for_each(|(_, path)| open_the_way(path))?;
        above.into_iter().try_for_each(|(_, path)| is_open(path))?;
        if let Some((config, name)) = self.written_config(component).and_then(named) {
            fs::create_dir_all(folder.join("config"))?;
            put(&config, &folder.join("config").join(name), Put::Copy)?;
        }
        match self.prepared.located(component).and_then(|located| located.root.as_ref()) {
            Some(root) => put(root, &package, Put::Link)?,
            None => fs::create_dir(&package)?,
        }
        let data = self.data(component).into_iter();
        data.chain([folder.to_path_buf()]).try_for_each(|path| chown(path, Some(user), Some(user)))
    }
}

fn named(path: PathBuf) -> Option<(PathBuf, OsString)> {
    let name = path.file_name()?.to_os_string();
    Some((path, name))
}

/// Lets others go through a folder of the run, and into nothing that is in it so far.
fn open_the_way(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let mode = path.symlink_metadata()?;
        // one that was opened before stays open
        if mode.is_dir() && mode.permissions().mode() & 0o777 != THROUGH {
            fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(THROUGH))
}

/// What is not the run's own is not opened for others.
fn is_open(folder: &Path) -> io::Result<()> {
    if folder.metadata()?.permissions().mode() & 0o001 != 0 {
        return Ok(());
    }
    let message = format!("others cannot go through {}; set TMPDIR to a folder where they can", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// How a file gets to another place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    Copy,
    /// As another name of the same file, which its reader cannot write; copied where it would be on another file system.
    Link,
}

/// Puts a file or a folder with all that is in it where anybody can read it who can go there.
fn put(from: &Path, to: &Path, how: Put) -> io::Result<()> {
    let kind = from.symlink_metadata()?.file_type();
    if kind.is_dir() {
        fs::create_dir(to)?;
        fs::set_permissions(to, Permissions::from_mode(0o755))?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            put(&entry.path(), &to.join(entry.file_name()), how)?;
        }
        return Ok(());
    }
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if how == Put::Link && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    let mode = from.metadata()?.permissions().mode();
    fs::set_permissions(to, Permissions::from_mode(mode | 0o444))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_put_elsewhere_whole_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("usr/bin")).unwrap();
        fs::set_permissions(from.join("usr"), Permissions::from_mode(0o700)).unwrap();
        fs::write(from.join("usr/bin/tool"), "text").unwrap();
        fs::set_permissions(from.join("usr/bin/tool"), Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("tool", from.join("usr/bin/alias")).unwrap();
        put(&from, &to, Put::Copy).unwrap();
        let mode = |path: &str| to.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("usr"), mode("usr/bin/tool")), (0o755, 0o744));
        assert_eq!(fs::read_to_string(to.join("usr/bin/alias")).unwrap(), "text");
    }

    #[test]
    fn the_way_is_open_and_what_else_is_in_the_folder_is_not() {
        let run = tempfile::tempdir().unwrap();
        let [opened, secrets] = ["scenario", ".config"].map(|name| run.path().join(name));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        fs::create_dir(&opened).unwrap();
        open_the_way(&opened).unwrap();
        fs::create_dir(&secrets).unwrap();
        fs::set_permissions(&secrets, Permissions::from_mode(0o755)).unwrap();
        open_the_way(run.path()).unwrap();
        assert_eq!([mode(run.path()), mode(&opened), mode(&secrets)], [0o711, 0o711, 0o700]);
        assert!(is_open(run.path()).is_ok());
        assert!(is_open(&secrets).unwrap_err().to_string().contains("TMPDIR"));
    }
}
