//! Images: the official one if it is here or can be pulled, else one made here from Debian packages.
//!
//! An image made here is a root file system that is imported as it is: no builder, no network for the engine, nothing run
//! while it is made. Its tag is a hash of what it is made of, so it is made once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use super::{Engine, EngineError, bounded, said};
use crate::clock;
use crate::stack::debian::relocate::is_go;
use crate::stack::debian::{Apt, DebianError, Download, Suite};
use crate::stack::journal::Entry;
use crate::stack::notice::{Fact, Notices};
use crate::stack::place::Places;
use crate::stack::session::Session;
use crate::stack::spec::{Component, Image};

/// Changes when images are made differently, so that old ones are not used.
const RECIPE: u32 = 1;
/// In every image: the root's links, libc, and what programs expect of any system. The links have to come first.
const BASE: [&str; 6] = ["base-files", "libc6", "libgcc-s1", "netbase", "tzdata", "media-types"];
/// The label with the packages an image is made of.
const PACKAGES: &str = "harness.packages";
/// For the registry to say anything.
const FIRST_WORD: Duration = Duration::from_secs(15);
/// For a whole pull.
const PULL_WITHIN: Duration = Duration::from_secs(600);
/// For an import.
const IMPORT_WITHIN: Duration = Duration::from_secs(300);

/// An image that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Resolved {
    /// How the engine knows it.
    pub(in crate::stack) reference: String,
    /// The program, where it is not the image's own.
    pub(in crate::stack) entrypoint: Option<String>,
    /// For people.
    pub(in crate::stack) source: String,
    /// The version, by tag or package.
    pub(in crate::stack) version: String,
}

/// What images are made with.
#[derive(Debug)]
pub(in crate::stack) struct Recipe<'a> {
    pub(in crate::stack) engine: &'a Engine,
    pub(in crate::stack) session: &'a Session,
    pub(in crate::stack) places: &'a Places,
    pub(in crate::stack) notices: &'a Notices,
}

impl Recipe<'_> {
    /// The image of a component that has one.
    pub(in crate::stack) async fn resolve(&self, name: &str, component: &Component) -> Result<Resolved, EngineError> {
        let image = component.image.clone().unwrap_or_default();
        let refused = match reference(&image) {
            Some(reference) => match self.official(&reference).await {
                Ok(()) => return Ok(official(&image, reference)),
                Err(reason) => format!("{reference}: {reason}"),
            },
            None => "the stack file names no image".to_owned(),
        };
        let packages = packages(component, &image);
        let Some(first) = packages.first() else {
            let reason = format!("{refused}, and there is no Debian package to make it from");
            return Err(EngineError::Image { image: name.to_owned(), reason });
        };
        let program = program(component, &image, first);
        self.made(&packages, Some(&program)).await
    }

    /// A root file system with nothing but a libc, for programs that are mounted into it.
    pub(in crate::stack) async fn base(&self) -> Result<Resolved, EngineError> {
        self.made(&[], None).await
    }

    async fn official(&self, reference: &str) -> Result<(), String> {
        if self.engine.has_image(reference).await.is_some() {
            return Ok(());
        }
        self.notices.tell(fetching(reference, "its registry", None));
        let begun = clock::instant();
        self.engine.pull(reference).await?;
        let took = clock::instant().duration_since(begun);
        self.notices.tell(Fact::Fetched { what: reference.to_owned(), took });
        Ok(())
    }

    async fn made(&self, packages: &[String], program: Option<&str>) -> Result<Resolved, EngineError> {
        let name = packages.first().map_or("base", String::as_str);
        let tag = format!("harness/{name}:{:016x}", hash(packages));
        let label = match self.engine.has_image(&tag).await {
            Some(label) => label,
            None => self
                .make(&tag, packages, program)
                .await
                .map_err(|error| EngineError::Image { image: tag.clone(), reason: format!("failed to {error}") })?,
        };
        let own = label.split(", ").find(|package| package.split(' ').next() == Some(name)).unwrap_or_default();
        Ok(Resolved {
            reference: tag,
            entrypoint: program.map(|program| format!("/{program}")),
            source: format!("image made here from Debian package {own} (unpinned)"),
            version: own.split_once(' ').map_or_else(|| "unknown".to_owned(), |(_, version)| version.to_owned()),
        })
    }

    /// Makes an image; returns the names and versions of its packages.
    async fn make(&self, tag: &str, packages: &[String], program: Option<&str>) -> Result<String, DebianError> {
        let begun = clock::instant();
        let home = self.places.cache.join("debian");
        let work = home.join("images").join(format!("harness-{}", self.session.run()));
        self.session.record(&Entry::Folder(work.clone()))?;
        let cache = |source| DebianError::Cache { path: work.clone(), source };
        std::fs::create_dir_all(&work).map_err(cache)?;
        let made = self.make_in(&work, tag, packages, program).await;
        std::fs::remove_dir_all(&work).map_err(cache)?;
        let took = clock::instant().duration_since(begun);
        made.inspect(|_| self.notices.tell(Fact::Fetched { what: format!("image {tag}"), took }))
    }

    async fn make_in(
        &self,
        work: &Path,
        tag: &str,
        packages: &[String],
        program: Option<&str>,
    ) -> Result<String, DebianError> {
        let apt = Apt::prepare(&self.places.cache.join("debian/apt-stable"), Suite::Stable, self.session.run())?;
        let names: Vec<&str> = BASE.iter().copied().chain(packages.iter().map(String::as_str)).collect();
        let root = work.join("root");
        let mut downloads = self.unpack(&apt, &names, work, &root).await?;
        if program.is_some_and(|program| !is_go(&root.join(program))) {
            let wanted: Vec<&str> = packages.iter().map(String::as_str).collect();
            let closure = apt.closure(&wanted).await?;
            let more: Vec<&str> =
                closure.iter().map(|d| d.package.as_str()).filter(|p| is_library(p, &names)).collect();
            downloads.extend(self.unpack(&apt, &more, work, &root).await?);
        }
        let archive = work.join("root.tar");
        furnish(&root).map_err(|source| DebianError::Cache { path: root.clone(), source })?;
        apt.pack(&root, &archive).await?;
        let label = downloads.iter().map(Download::name).collect::<Vec<_>>().join(", ");
        self.engine
            .import(tag, &archive, &label)
            .await
            .map_err(|message| DebianError::Command { what: format!("import image {tag}"), message })?;
        Ok(label)
    }

    async fn unpack(&self, apt: &Apt, names: &[&str], work: &Path, root: &Path) -> Result<Vec<Download>, DebianError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut downloads = apt.plan(names).await;
        if downloads.is_err() {
            self.notices.tell(fetching("the package index", "Debian", None));
            apt.update().await?;
            downloads = apt.plan(names).await;
        }
        let downloads = downloads?;
        let bytes = downloads.iter().map(|download| download.bytes).sum();
        let last = names.last().copied().unwrap_or_default();
        self.notices.tell(fetching(&format!("{} Debian packages for {last}", names.len()), "Debian", Some(bytes)));
        if apt.download(names, work).await.is_err() {
            apt.update().await?;
            let downloads = apt.plan(names).await?;
            apt.download(names, work).await?;
            return unpack_all(apt, names, downloads, work, root).await;
        }
        unpack_all(apt, names, downloads, work, root).await
    }
}

/// In the order of the names: what comes first lays the links that others go through.
async fn unpack_all(
    apt: &Apt,
    names: &[&str],
    mut downloads: Vec<Download>,
    work: &Path,
    root: &Path,
) -> Result<Vec<Download>, DebianError> {
    downloads.sort_by_key(|download| names.iter().position(|name| *name == download.package));
    for download in &downloads {
        apt.unpack(&work.join(&download.file), root).await?;
    }
    Ok(downloads)
}

fn fetching(what: &str, from: &str, bytes: Option<u64>) -> Fact {
    Fact::Fetching { what: what.to_owned(), from: from.to_owned(), bytes }
}

/// `name:tag@digest`, as far as the stack file says.
fn reference(image: &Image) -> Option<String> {
    let name = image.name.as_ref()?;
    let tag = image.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = image.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
    Some(format!("{name}{tag}{digest}"))
}

fn official(image: &Image, reference: String) -> Resolved {
    let pinned = if image.digest.is_some() { "" } else { " (unpinned)" };
    Resolved {
        entrypoint: entrypoint(image),
        source: format!("image {reference}{pinned}"),
        version: image.tag.clone().unwrap_or_else(|| "unknown".to_owned()),
        reference,
    }
}

fn packages(component: &Component, image: &Image) -> Vec<String> {
    if !image.debian.is_empty() {
        return image.debian.clone();
    }
    component.debian.iter().flat_map(|debian| std::iter::once(&debian.package).chain(&debian.with)).cloned().collect()
}

/// The program's path in an image made from Debian packages, without the leading slash.
fn program(component: &Component, image: &Image, package: &str) -> String {
    let of_debian = component.debian.as_ref().and_then(|debian| debian.binary.clone());
    let path = entrypoint(image).or(of_debian).unwrap_or_else(|| format!("usr/bin/{package}"));
    path.trim_start_matches('/').to_owned()
}

/// What the stack file says about the program.
fn entrypoint(image: &Image) -> Option<String> {
    image.command.first().map(ToString::to_string).or_else(|| image.entrypoint.clone())
}

fn hash(packages: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (RECIPE, BASE, packages).hash(&mut hasher);
    hasher.finish()
}

/// Shared libraries and the tools of the same server; not what Debian's maintainer scripts want.
fn is_library(package: &str, have: &[&str]) -> bool {
    const WANTED: [&str; 5] = ["lib", "zlib", "lua-", "redis-", "postgresql-client"];
    const UNWANTED: [&str; 5] = ["libllvm", "libperl", "libjs", "libz3", "libc-bin"];
    let starts = |with: &[&str]| with.iter().any(|prefix| package.starts_with(prefix));
    starts(&WANTED) && !starts(&UNWANTED) && !have.contains(&package)
}

/// What no package brings: users, name resolution, places to mount and to write.
fn furnish(root: &Path) -> std::io::Result<()> {
    for folder in ["etc", "data", "config", "tmp", "run"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    let users = "root:x:0:0::/:/usr/sbin/nologin\nredis:x:998:998::/data:/usr/sbin/nologin\n\
                 postgres:x:999:999::/data:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n";
    std::fs::write(root.join("etc/passwd"), users)?;
    std::fs::write(root.join("etc/group"), "root:x:0:\nredis:x:998:\npostgres:x:999:\nnogroup:x:65534:\n")?;
    std::fs::write(root.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")
}

impl Engine {
    /// The packages of an image that is here, empty for one that was not made here; none when it is not here.
    async fn has_image(&self, reference: &str) -> Option<String> {
        let image = bounded("inspect image", self.docker.inspect_image(reference)).await.ok()?;
        let labels = image.config.and_then(|config| config.labels).unwrap_or_default();
        Some(labels.get(PACKAGES).cloned().unwrap_or_default())
    }

    async fn pull(&self, reference: &str) -> Result<(), String> {
        let options = CreateImageOptions { from_image: Some(reference.to_owned()), ..Default::default() };
        let mut progress = self.docker.create_image(Some(options), None, None);
        let pulled = async {
            let mut patience = FIRST_WORD;
            loop {
                match tokio::time::timeout(patience, progress.next()).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(Ok(_))) => patience = PULL_WITHIN,
                    Ok(Some(Err(error))) => return Err(said(&error)),
                    Err(_) => return Err(format!("the registry did not answer within {patience:?}")),
                }
            }
        };
        tokio::time::timeout(PULL_WITHIN, pulled)
            .await
            .unwrap_or_else(|_| Err(format!("not pulled within {PULL_WITHIN:?}")))
    }

    async fn import(&self, tag: &str, archive: &Path, packages: &str) -> Result<(), String> {
        let file = tokio::fs::File::open(archive).await.map_err(|error| error.to_string())?;
        let chunks = futures_util::stream::try_unfold(file, async |mut file| {
            let mut chunk = bytes::BytesMut::with_capacity(256 * 1024);
            let read = file.read_buf(&mut chunk).await?;
            Ok((read > 0).then(|| (chunk.freeze(), file)))
        });
        let (repo, tag) = tag.split_once(':').unwrap_or((tag, "latest"));
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repo.to_owned()),
            tag: Some(tag.to_owned()),
            changes: vec![format!("LABEL {PACKAGES}=\"{packages}\""), "ENV PATH=/usr/sbin:/usr/bin".to_owned()],
            ..Default::default()
        };
        let mut progress = self.docker.create_image(Some(options), Some(bollard::body_try_stream(chunks)), None);
        let imported = async {
            while let Some(step) = progress.next().await {
                step.map_err(|error| said(&error))?;
            }
            Ok(())
        };
        let imported = tokio::time::timeout(IMPORT_WITHIN, imported).await;
        imported.unwrap_or_else(|_| Err(format!("not imported within {IMPORT_WITHIN:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_what_the_stack_file_says() {
        let text = |value: &str| Some(value.to_owned());
        let image = Image { name: text("prom/prometheus"), tag: text("v3.5.0"), ..Image::default() };
        assert_eq!(reference(&image).as_deref(), Some("prom/prometheus:v3.5.0"));
        let pinned = Image { digest: text("sha256:00"), ..image };
        assert_eq!(reference(&pinned).as_deref(), Some("prom/prometheus:v3.5.0@sha256:00"));
        assert_eq!(official(&pinned, reference(&pinned).unwrap()).source, "image prom/prometheus:v3.5.0@sha256:00");
        assert_eq!(reference(&Image::default()), None);
    }

    #[test]
    fn libraries_are_kept_and_script_engines_are_not() {
        let kept = ["libssl3t64", "zlib1g", "libicu76", "postgresql-client-17", "redis-tools"];
        let left_out = ["perl-base", "libllvm19", "libjs-jquery", "debconf", "libc6"];
        assert!(kept.iter().all(|package| is_library(package, &BASE)));
        assert!(!left_out.iter().any(|package| is_library(package, &BASE)));
    }

    #[test]
    fn an_image_of_other_packages_has_another_tag() {
        assert_ne!(hash(&["prometheus".to_owned()]), hash(&["prometheus-alertmanager".to_owned()]));
    }
}
