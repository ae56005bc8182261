//! Where a component's program comes from, as `stack.toml` says it: a Debian package, a container image. Used by `model`.

use serde::Deserialize;

use super::template::Template;

/// The Debian package that holds a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DebianPackage {
    /// The package's name.
    pub package: String,
    /// The program's path inside it, for example `usr/bin/prometheus`; the default is `usr/bin/<program>`. A `*` stands for
    /// any one folder. Where the package is installed, its program is used as it is.
    pub binary: Option<String>,
    /// More packages with shared libraries and data the program needs.
    #[serde(default)]
    pub with: Vec<String>,
    /// Whether the parts and the shared libraries that it depends on come with it.
    #[serde(default)]
    pub depends: bool,
}

/// A container image: pulled, built from a folder, or built from Debian packages where nothing can be pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Image {
    /// A folder with a `Dockerfile`, relative to the root.
    pub build: Option<String>,
    /// Run in the root before that, instead of the component's `build`.
    pub prepare: Option<Vec<String>>,
    /// Files that the `Dockerfile` copies, relative to the root.
    #[serde(default)]
    pub files: Vec<String>,
    /// Repository of the official image.
    pub name: Option<String>,
    /// Its tag.
    pub tag: Option<String>,
    /// Its digest, written by `stack images --lock` only.
    pub digest: Option<String>,
    /// Debian packages to make it from where it cannot be pulled, the program's own first.
    #[serde(default)]
    pub debian: Vec<String>,
    /// The program's path in them; the default is that of the component's `debian`, else `usr/bin/<first package>`.
    pub binary: Option<String>,
    /// The program's path in the image; the arguments are those of `command`.
    pub entrypoint: Option<String>,
    /// Program and arguments in a container, instead of `entrypoint` and `command`.
    #[serde(default)]
    pub command: Vec<Template>,
    /// The user to run as: `uid` or `uid:gid`.
    pub user: Option<String>,
    /// The working folder.
    pub workdir: Option<String>,
    /// Where the data folder lies in the container; the default is `/data`.
    pub data: Option<String>,
    /// Where the config lies in the container; the default is `/etc/<component>`.
    pub config: Option<String>,
}

impl Image {
    /// `name:tag` of the official image, if the stack file names one.
    #[must_use]
    pub fn reference(&self) -> Option<String> {
        let name = self.name.as_ref()?;
        Some(format!("{name}:{}", self.tag.as_deref().unwrap_or("latest")))
    }
}
