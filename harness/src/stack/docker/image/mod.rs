//! Images: the official one where it is here or can be pulled, else one made here from Debian packages; the service's own
//! from a folder with a Dockerfile.
//!
//! `official` pulls and holds what it got against the [`lock`]; `debian` and `folder` give the engine something to
//! build, cached by a hash of what goes in; [`survey`] only says what would be used. Used by the preparation of a stack in
//! containers and by `harness stack images`.

mod call;
mod debian;
mod folder;
pub mod lock;
mod official;
pub mod survey;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use self::debian::Rootfs;
use self::lock::Lock;
use self::official::Refusal;
use super::Engine;
use crate::stack::debian::{Apt, DebianError};
use crate::stack::journal::Entry;
use crate::stack::notice::Notices;
use crate::stack::place::Places;
use crate::stack::session::Session;
use crate::stack::spec::{Component, Image};

/// Changes when images are made differently, so that old ones are not used.
const RECIPE: u32 = 2;

/// When the network is asked for an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// Never: what is here is used, and nothing else.
    Never,
    /// When it is not here.
    #[default]
    Missing,
    /// Every time: a registry may have a newer image under the same tag, Debian a newer package.
    Always,
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A registry, pulled now or before.
    Registry,
    /// Made here from Debian packages, each `name version`.
    Debian(Vec<String>),
    /// Built here from a folder.
    Folder(PathBuf),
}

/// An image that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// How the engine knows it.
    pub reference: String,
    /// The program, where it is not the image's own.
    pub entrypoint: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// The version, by tag or package.
    pub version: String,
    /// Bytes.
    pub size: u64,
    /// The registry's digest, where it came from one.
    pub digest: Option<String>,
    /// Whether that digest was asked for, by the lock or the stack file.
    pub pinned: bool,
}

impl Resolved {
    /// For people, in events and reports.
    #[must_use]
    pub fn source(&self) -> String {
        let pinned = if self.pinned { "" } else { " (unpinned)" };
        match &self.origin {
            Origin::Registry => format!("image {}{pinned}", self.reference),
            Origin::Debian(packages) => {
                let own = packages.first().map_or("", String::as_str);
                format!("image made here from Debian package {own}{pinned}")
            }
            Origin::Folder(folder) => format!("image built here from {}", folder.display()),
        }
    }
}

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Nothing of what the stack file offers worked.
    #[error("get an image for {component}: {reason}")]
    Unavailable {
        /// The component.
        component: String,
        /// Everything that was tried.
        reason: String,
    },
    /// There is one, but not the one that the lock names. Nothing else is used instead.
    #[error("use the image of {component}: {reason}")]
    Refused {
        /// The component.
        component: String,
        /// Both digests.
        reason: String,
    },
}

/// What images are got and made with, for one stack file. Made once a run, so that what was found out about a registry or
/// the package index is not found out again.
#[derive(Debug)]
pub struct Recipe<'a> {
    engine: &'a Engine,
    session: &'a Session,
    places: &'a Places,
    notices: &'a Notices,
    pull: Pull,
    lock: Lock,
    /// Where the folders of images are.
    root: &'a Path,
    /// Registries that did not answer, with their last words.
    silent: Mutex<BTreeMap<String, String>>,
    kitchen: OnceCell<Kitchen>,
    base: OnceCell<Resolved>,
}

/// What is needed as soon as anything has to be made from packages: the lock against other harnesses, a work folder, apt.
#[derive(Debug)]
struct Kitchen {
    apt: Apt,
    work: PathBuf,
    _alone: File,
}

impl<'a> Recipe<'a> {
    /// Asks nobody anything yet.
    ///
    /// # Errors
    /// When the lock beside the stack file is broken.
    pub fn new(
        engine: &'a Engine,
        session: &'a Session,
        places: &'a Places,
        notices: &'a Notices,
        stack: &'a crate::stack::spec::Spec,
    ) -> Result<Self, lock::LockError> {
        let lock = Lock::beside(&stack.file)?;
        Ok(Self {
            engine,
            session,
            places,
            notices,
            pull: engine.pull_policy(),
            lock,
            root: &stack.root,
            silent: Mutex::default(),
            kitchen: OnceCell::new(),
            base: OnceCell::new(),
        })
    }

    /// The image of a component that has one.
    ///
    /// # Errors
    /// When none can be had, or the one that is there is not the one that was locked.
    pub async fn resolve(&self, name: &str, component: &Component) -> Result<Resolved, ImageError> {
        let image = component.image.clone().unwrap_or_default();
        let mut reasons = Vec::new();
        if let Some(folder) = &image.build {
            match self.folder(name, folder, &image).await {
                Ok(built) => return Ok(built),
                Err(reason) => reasons.push(format!("{folder} cannot be built: {reason}")),
            }
        }
        let made = Rootfs::of(component, &image);
        if let Some(reference) = image.reference() {
            let instead = match (&made, self.pull) {
                (Some(made), Pull::Missing) => self.made_before(made).await,
                _ => None,
            };
            match self.official(&image, &reference, instead.is_some()).await {
                Ok(official) => return Ok(official),
                Err(Refusal::Digest(reason)) => {
                    return Err(ImageError::Refused { component: name.to_owned(), reason });
                }
                Err(Refusal::Unavailable(reason)) => reasons.push(format!("{reference}: {reason}")),
            }
            if let Some(instead) = instead {
                return Ok(instead);
            }
        }
        match made {
            Some(made) => match self.made(&made).await {
                Ok(made) => return Ok(made),
                Err(reason) => reasons.push(reason),
            },
            None if image.build.is_none() => reasons.push("there is no Debian package to make it from".to_owned()),
            None => {}
        }
        Err(ImageError::Unavailable { component: name.to_owned(), reason: reasons.join(", and ") })
    }

    /// Everything that making needs, got once.
    async fn kitchen(&self) -> Result<&Kitchen, DebianError> {
        self.kitchen.get_or_try_init(async || self.open_kitchen().await).await
    }

    async fn open_kitchen(&self) -> Result<Kitchen, DebianError> {
        let home = self.places.cache.join("debian");
        let alone = crate::stack::debian::alone(&home).await?;
        let work = home.join("images").join(format!("harness-{}", self.session.run()));
        self.session.record(&Entry::Folder(work.clone()))?;
        std::fs::create_dir_all(&work).map_err(|source| DebianError::Cache { path: work.clone(), source })?;
        let apt = self.packages_index(&home).await?;
        Ok(Kitchen { apt, work, _alone: alone })
    }
}

impl Drop for Recipe<'_> {
    fn drop(&mut self) {
        if let Some(kitchen) = self.kitchen.get() {
            // what cannot be removed is in the journal, and the sweep says so
            let _ = std::fs::remove_dir_all(&kitchen.work);
        }
    }
}

/// What the stack file says about the program.
fn entrypoint(image: &Image) -> Option<String> {
    image.command.first().map(ToString::to_string).or_else(|| image.entrypoint.clone())
}

/// The first 16 digits of the SHA-256 of some texts, each with its length.
fn digest_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod tests;
