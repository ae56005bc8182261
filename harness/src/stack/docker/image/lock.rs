//! The lock: which digest a tag had when somebody looked. Written by `harness stack images --lock` from what registries
//! say, never by hand; lies beside the stack file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

const HEAD: &str = "# Written by `harness stack images --lock` from what the registries say; do not edit.\n";

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is there, but cannot be read or written.
    #[error("read or write the lock of images {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what this harness writes.
    #[error("understand the lock of images {path}: {message}; write it anew with `harness stack images --lock`")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// Digests by `name:tag`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    digests: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Content {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

impl Lock {
    /// Where the lock of a stack file lies: `stack.toml` has `stack.lock`.
    #[must_use]
    pub fn path(stack_file: &Path) -> PathBuf {
        stack_file.with_extension("lock")
    }

    /// The lock beside a stack file; empty when there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read or understood: a broken lock is not an open one.
    pub fn beside(stack_file: &Path) -> Result<Self, LockError> {
        let path = Self::path(stack_file);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|message| LockError::Content { path, message }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(LockError::File { path, source }),
        }
    }

    /// A lock of these digests.
    #[must_use]
    pub fn of(digests: BTreeMap<String, String>) -> Self {
        Self { digests }
    }

    /// The same lock with some digests set anew.
    #[must_use]
    pub fn with(mut self, digests: BTreeMap<String, String>) -> Self {
        self.digests.extend(digests);
        self
    }

    fn parse(text: &str) -> Result<Self, String> {
        let content: Content = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        match content.digest.iter().find(|(_, digest)| !is_digest(digest)) {
            Some((reference, digest)) => Err(format!("`{digest}` of {reference} is not a digest")),
            None => Ok(Self { digests: content.digest }),
        }
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.digests.iter().map(|(reference, digest)| format!("\"{reference}\" = \"{digest}\"\n"));
        format!("{HEAD}\n[digest]\n{}", lines.collect::<String>())
    }

    /// Writes the file in one step.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays then.
    pub fn write(&self, stack_file: &Path) -> Result<PathBuf, LockError> {
        let path = Self::path(stack_file);
        let fresh = path.with_extension("lock.new");
        let written = std::fs::write(&fresh, self.text()).and_then(|()| std::fs::rename(&fresh, &path));
        written.map_err(|source| LockError::File { path: path.clone(), source })?;
        Ok(path)
    }

    /// The digest that `name:tag` must have.
    #[must_use]
    pub fn digest(&self, reference: &str) -> Option<&str> {
        self.digests.get(reference).map(String::as_str)
    }
}

/// `sha256:` and 64 hexadecimal digits.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(of: char) -> String {
        format!("sha256:{}", of.to_string().repeat(64))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let stack = folder.path().join("stack.toml");
        assert_eq!(Lock::beside(&stack).unwrap(), Lock::default());
        let lock = Lock::of(BTreeMap::from([("127.0.0.1:5000/a/b:1".to_owned(), digest('a'))]));
        assert_eq!(lock.write(&stack).unwrap(), folder.path().join("stack.lock"));
        let read = Lock::beside(&stack).unwrap();
        assert_eq!(read, lock);
        assert_eq!(read.digest("127.0.0.1:5000/a/b:1"), Some(digest('a').as_str()));
        assert_eq!(read.digest("127.0.0.1:5000/a/b:2"), None);
    }

    #[test]
    fn a_broken_lock_is_refused_and_not_taken_for_an_open_one() {
        let folder = tempfile::tempdir().unwrap();
        let stack = folder.path().join("stack.toml");
        for text in ["digest = 1", "[digest]\n\"a:1\" = \"latest\"", "[digests]\n", "\"a"] {
            std::fs::write(folder.path().join("stack.lock"), text).unwrap();
            let error = Lock::beside(&stack).unwrap_err().to_string();
            assert!(error.contains("--lock"), "{error}");
        }
    }
}
