//! What would be used, from where, without getting anything: for `harness stack images`.

use std::fmt;

use futures_util::future::join_all;
use serde::Serialize;

use super::debian::Rootfs;
pub use super::official::registry;
use super::{ImageError, Origin, Pull, Recipe, Resolved};
use crate::stack::spec::{Component, Image, Spec};

/// One component's image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// The component.
    pub component: String,
    /// The image as it is called here, or would be.
    pub image: String,
    /// Where it comes from.
    pub source: Source,
    /// In words: the registry, the packages, the folder, or why it cannot be had.
    pub detail: String,
    /// Whether it is here now.
    pub here: bool,
    /// Its version, by tag or package; none before it is made.
    pub version: Option<String>,
    /// Bytes, where it is here.
    pub size: Option<u64>,
    /// The registry's digest, where it is known.
    pub digest: Option<String>,
    /// Whether that is the one that was locked.
    pub pinned: bool,
    /// The packages it is made of, `name version`.
    pub packages: Vec<String>,
}

/// Where an image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It is here, and came from a registry or was loaded.
    Local,
    /// A registry that answered has it.
    Registry,
    /// Debian packages.
    Debian,
    /// A folder of the project.
    Built,
    /// A program of this machine, in an image with nothing but a libc.
    Program,
    /// There is one, but not the one that was locked.
    Refused,
    /// Nowhere.
    Nothing,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "local image",
            Self::Registry => "registry",
            Self::Debian => "Debian packages",
            Self::Built => "built here",
            Self::Program => "program of this machine",
            Self::Refused => "refused",
            Self::Nothing => "nothing",
        })
    }
}

impl Recipe<'_> {
    /// Gets every component's image as a run would, as far as the policy allows, and says what it is.
    pub async fn survey(&self, spec: &Spec, components: &[&str]) -> Vec<Row> {
        let wanted = spec.components.iter().filter(|(name, _)| components.contains(&name.as_str()));
        join_all(wanted.map(|(name, component)| self.row(name, component))).await
    }

    async fn row(&self, name: &str, component: &Component) -> Row {
        let folder = component.image.as_ref().and_then(|image| Some((image, image.build.as_ref()?)));
        let resolved = match (folder, self.pull) {
            // a look builds nothing
            (Some((image, folder)), Pull::Never) => match self.built_before(name, folder, image).await {
                Ok(Some(built)) => Ok(built),
                Ok(None) => Err("it is not built yet".to_owned()),
                Err(reason) => Err(reason),
            }
            .map_err(|reason| ImageError::Unavailable { component: name.to_owned(), reason }),
            _ => self.resolve(name, component).await,
        };
        match resolved {
            Ok(resolved) => here(name, resolved),
            Err(error) => self.absent(name, component, error).await,
        }
    }

    /// What a run would do instead, or if it may pull.
    async fn absent(&self, name: &str, component: &Component, error: ImageError) -> Row {
        let image = component.image.clone().unwrap_or_default();
        let (source, reason) = match error {
            ImageError::Refused { reason, .. } => (Source::Refused, reason),
            ImageError::Unavailable { reason, .. } => (Source::Nothing, reason),
        };
        let empty = Row {
            component: name.to_owned(),
            image: image.reference().unwrap_or_default(),
            source,
            detail: reason,
            here: false,
            version: None,
            size: None,
            digest: None,
            pinned: false,
            packages: Vec::new(),
        };
        if source == Source::Refused {
            return empty;
        }
        if let Some(folder) = &image.build {
            let detail = format!("folder {folder}: {}", empty.detail);
            return Row { image: format!("harness/{name}"), source: Source::Built, detail, ..empty };
        }
        let mut empty = empty;
        if self.pull == Pull::Never && image.name.is_some() {
            match self.in_registry(&image, &empty).await {
                Ok(row) => return row,
                Err(reason) => empty.detail = reason,
            }
        }
        if let Some(made) = Rootfs::of(component, &image) {
            let image = format!("harness/{}", made.packages[0]);
            let detail = if self.pull == Pull::Never { made.packages.join(", ") } else { empty.detail.clone() };
            return Row { image, source: Source::Debian, detail, ..empty };
        }
        let mut commands = std::iter::once(&component.command).chain(&component.alternatives);
        if commands.any(|command| command.first().is_some_and(|word| word.to_string() == "{harness}")) {
            return self.embedded(empty).await;
        }
        empty
    }

    /// What a registry that answers would give.
    async fn in_registry(&self, image: &Image, empty: &Row) -> Result<Row, String> {
        let reference = image.reference().unwrap_or_default();
        let digest = self.registry_digest(&reference).await?;
        Ok(Row {
            source: Source::Registry,
            detail: registry(&reference).to_owned(),
            version: image.tag.clone(),
            pinned: self.wanted(image, &reference).is_some_and(|wanted| wanted == digest),
            digest: Some(digest),
            ..empty.clone()
        })
    }

    /// The harness itself in the image with nothing but a libc.
    async fn embedded(&self, empty: Row) -> Row {
        let (image, detail) = ("harness/base".to_owned(), "the embedded log store".to_owned());
        let row = Row { image, source: Source::Program, detail, ..empty };
        match self.base().await {
            Ok(base) => {
                let version = Some(env!("CARGO_PKG_VERSION").to_owned());
                Row { image: base.reference, here: true, size: Some(base.size), version, ..row }
            }
            Err(_) => row,
        }
    }
}

fn here(name: &str, resolved: Resolved) -> Row {
    let (source, detail, packages) = match resolved.origin {
        Origin::Registry => (Source::Local, registry(&resolved.reference).to_owned(), Vec::new()),
        Origin::Debian(packages) => (Source::Debian, packages.first().cloned().unwrap_or_default(), packages),
        Origin::Folder(folder) => (Source::Built, format!("folder {}", folder.display()), Vec::new()),
    };
    Row {
        component: name.to_owned(),
        image: resolved.reference,
        source,
        detail,
        here: true,
        version: Some(resolved.version),
        size: Some(resolved.size),
        digest: resolved.digest,
        pinned: resolved.pinned,
        packages,
    }
}
