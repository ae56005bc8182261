//! Images made here from Debian packages: a root file system that the engine builds an image from. Nothing is run while it
//! is made, and the engine needs no network.
//!
//! One base with a libc, and one layer on it for each program. The program lies, or is linked, where the official image has
//! it, so that one container specification serves both.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::call::{ASKED, Made, PACKAGES};
use super::{Origin, Pull, RECIPE, Recipe, Resolved, digest_of, entrypoint};
use crate::clock;
use crate::stack::debian::relocate::is_go;
use crate::stack::debian::{Apt, DebianError, Download, Suite, is_library, trim};
use crate::stack::notice::Fact;
use crate::stack::spec::{Component, Image};

/// In every image: libc, and what programs expect of any system.
const BASE: [&str; 6] = ["base-files", "libc6", "libgcc-s1", "netbase", "tzdata", "media-types"];
/// Where `/usr` was merged, the root has these links; the base has them, and other layers must not replace them.
const LINKS: [(&str, &str); 4] = [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")];
/// Who runs it, unless the stack file says otherwise.
const NOBODY: &str = "65534:65534";

/// What an image made here is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rootfs {
    /// The packages, the program's own first; none for the base.
    pub(super) packages: Vec<String>,
    /// Where the official image has the program.
    entrypoint: Option<String>,
    /// Where the package has it, without the leading slash.
    program: String,
    ports: Vec<u16>,
    user: Option<String>,
    workdir: Option<String>,
}

impl Rootfs {
    /// None for a component without packages.
    pub(super) fn of(component: &Component, image: &Image) -> Option<Self> {
        let own = component.debian.iter().flat_map(|debian| std::iter::once(&debian.package).chain(&debian.with));
        let packages = if image.debian.is_empty() { own.cloned().collect() } else { image.debian.clone() };
        let first = packages.first()?;
        // an image's packages say the version themselves
        let of_debian =
            component.debian.as_ref().and_then(|debian| debian.binary.clone()).filter(|it| !it.contains('*'));
        let program = image.binary.clone().or(of_debian).unwrap_or_else(|| format!("usr/bin/{first}"));
        Some(Self {
            entrypoint: entrypoint(image),
            program: program.trim_start_matches('/').to_owned(),
            ports: component.ports.values().copied().collect(),
            user: image.user.clone(),
            workdir: image.workdir.clone(),
            packages,
        })
    }

    fn base() -> Self {
        let (packages, program) = (Vec::new(), String::new());
        Self { packages, entrypoint: None, program, ports: Vec::new(), user: None, workdir: None }
    }

    fn name(&self) -> &str {
        self.packages.first().map_or("base", String::as_str)
    }

    /// The program's path in the image.
    fn path(&self) -> String {
        self.entrypoint.clone().unwrap_or_else(|| format!("/{}", self.program))
    }

    /// A hash of what is asked for, before anybody knows which versions that is.
    fn asked(&self) -> String {
        let (text, base, packages) = (self.dockerfile("base"), BASE.join(" "), self.packages.join(" "));
        let recipe = RECIPE.to_string();
        digest_of([&recipe, &text, &base, &packages, &self.program].map(|part: &String| part.as_bytes()))
    }

    fn dockerfile(&self, base: &str) -> String {
        let mut text = format!("FROM {base}\nCOPY root/ /\n");
        if self.packages.is_empty() {
            text = "FROM scratch\nCOPY root/ /\n\
                    ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                .to_owned();
        } else {
            for port in &self.ports {
                let _ = writeln!(text, "EXPOSE {port}");
            }
            if let Some(folder) = &self.workdir {
                let _ = writeln!(text, "WORKDIR {folder}");
            }
            let _ = writeln!(text, "USER {}", self.user.as_deref().unwrap_or(NOBODY));
            let _ = writeln!(text, "ENTRYPOINT [\"{}\"]", self.path());
        }
        text
    }
}

/// A root file system on disk, ready to be packed.
struct Laid {
    downloads: Vec<Download>,
    dockerfile: String,
}

impl Recipe<'_> {
    /// A root file system with nothing but a libc, for programs that are mounted into it and for other images.
    pub(in crate::stack) async fn base(&self) -> Result<Resolved, String> {
        self.base.get_or_try_init(async || self.made(&Rootfs::base()).await).await.cloned()
    }

    /// What was made before, where there is no need to look for something newer.
    pub(super) async fn made_before(&self, wanted: &Rootfs) -> Option<Resolved> {
        let made = self.engine.made_images(&wanted.asked()).await.ok()?.into_iter().next()?;
        Some(resolved(wanted, made))
    }

    /// The image, made now unless that was done before.
    pub(super) async fn made(&self, wanted: &Rootfs) -> Result<Resolved, String> {
        let before = self.made_before(wanted).await;
        match (before, self.pull) {
            (Some(before), Pull::Never | Pull::Missing) => return Ok(before),
            (None, Pull::Never) => {
                return Err(format!("no image of Debian package {} is here, and nothing is fetched", wanted.name()));
            }
            (Some(before), Pull::Always) if self.is_current(&before).await => return Ok(before),
            _ => {}
        }
        let failed = |error: DebianError| format!("it cannot be made from Debian packages: failed to {error}");
        // another harness may have made it while this one waited for its turn
        self.kitchen().await.map_err(failed)?;
        if let (Some(made), Pull::Missing) = (self.made_before(wanted).await, self.pull) {
            return Ok(made);
        }
        // the base is made on the way, and a future that holds itself needs a box
        Box::pin(self.make(wanted)).await.map_err(failed)
    }

    /// Whether Debian has nothing newer.
    async fn is_current(&self, made: &Resolved) -> bool {
        let Origin::Debian(packages) = &made.origin else { return false };
        let names: Vec<&str> = packages.iter().map(|it| it.split(' ').next().unwrap_or(it)).collect();
        let Ok(kitchen) = self.kitchen().await else { return false };
        let Ok(plan) = kitchen.apt.plan(&names).await else { return false };
        plan.iter().all(|download| packages.contains(&download.name()))
    }

    /// apt with its index: fetched when there is none, and always when that was asked for.
    pub(super) async fn packages_index(&self, home: &Path) -> Result<Apt, DebianError> {
        let apt = Apt::prepare(&home.join("apt-stable"), Suite::Stable, self.session.run())?;
        if self.pull == Pull::Always || !apt.has_index() {
            self.notices.tell(fetching("the package index", None));
            apt.update().await?;
        }
        Ok(apt)
    }

    async fn make(&self, wanted: &Rootfs) -> Result<Resolved, DebianError> {
        let begun = clock::instant();
        let kitchen = self.kitchen().await?;
        let command = |message: String| DebianError::Command { what: format!("make image {}", wanted.name()), message };
        let base = match wanted.packages.first() {
            Some(_) => Some(self.base().await.map_err(command)?.reference),
            None => None,
        };
        let work = kitchen.work.join(wanted.name());
        let laid = self.lay_out(&kitchen.apt, &work, wanted, base.as_deref().unwrap_or("scratch")).await?;
        let content = laid.downloads.iter().map(|it| it.hash.as_bytes());
        let hash = digest_of([wanted.asked().as_bytes(), laid.dockerfile.as_bytes()].into_iter().chain(content));
        let packages = packages_of(wanted, &laid.downloads);
        let reference = format!("harness/{}:{hash}", wanted.name());
        let labels = [(ASKED.to_owned(), wanted.asked()), (PACKAGES.to_owned(), packages.join(", "))];
        let context = kitchen.work.join(format!("{}.tar", wanted.name()));
        kitchen.apt.pack(&work, &context).await?;
        self.engine.build(&reference, HashMap::from(labels), &context).await.map_err(command)?;
        let removed = fs::remove_dir_all(&work).and_then(|()| fs::remove_file(&context));
        removed.map_err(|source| DebianError::Cache { path: work, source })?;
        self.engine.remove_older(&wanted.asked(), &reference).await;
        let took = clock::instant().duration_since(begun);
        self.notices.tell(Fact::Fetched { what: format!("image {reference}"), took });
        self.made_before(wanted).await.ok_or_else(|| command("the engine has built it and does not have it".to_owned()))
    }

    async fn lay_out(&self, apt: &Apt, work: &Path, wanted: &Rootfs, base: &str) -> Result<Laid, DebianError> {
        let cache = |source| DebianError::Cache { path: work.to_path_buf(), source };
        let (root, files) = (work.join("root"), work.join("packages"));
        fs::create_dir_all(&files).and_then(|()| link_root(&root)).map_err(cache)?;
        let own: Vec<&str> = wanted.packages.iter().map(String::as_str).collect();
        let names = if own.is_empty() { BASE.to_vec() } else { own.clone() };
        let mut downloads = self.unpack(apt, &names, &files, &root).await?;
        if !own.is_empty() {
            // Go programs need nothing but the base
            if !is_go(&root.join(&wanted.program)) {
                let closure = apt.closure(&own).await?;
                let have = [&own[..], &BASE[..]].concat();
                let more = closure.iter().map(|it| it.package.as_str()).filter(|name| is_library(name, &have));
                downloads.extend(self.unpack(apt, &more.collect::<Vec<_>>(), &files, &root).await?);
            }
            place(&root, wanted).map_err(cache)?.ok_or_else(|| missing(wanted))?;
        }
        fs::remove_dir_all(&files).and_then(|()| finish(&root, wanted)).map_err(cache)?;
        let dockerfile = wanted.dockerfile(base);
        fs::write(work.join("Dockerfile"), &dockerfile).map_err(cache)?;
        Ok(Laid { downloads, dockerfile })
    }

    async fn unpack(&self, apt: &Apt, names: &[&str], files: &Path, root: &Path) -> Result<Vec<Download>, DebianError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut downloads = apt.plan(names).await?;
        let bytes = downloads.iter().map(|download| download.bytes).sum();
        let what = match names {
            [name] => (*name).to_owned(),
            [name, ..] => format!("{name} and {} more", names.len() - 1),
            [] => String::new(),
        };
        self.notices.tell(fetching(&what, Some(bytes)));
        if apt.download(names, files).await.is_err() {
            // an old index names packages that are gone from the mirror
            apt.update().await?;
            downloads = apt.plan(names).await?;
            apt.download(names, files).await?;
        }
        downloads.sort_by_key(|download| names.iter().position(|name| *name == download.package));
        for download in &downloads {
            apt.unpack(&files.join(&download.file), root).await?;
        }
        Ok(downloads)
    }
}

fn resolved(wanted: &Rootfs, made: Made) -> Resolved {
    let own = made.packages.first().cloned().unwrap_or_default();
    Resolved {
        entrypoint: wanted.entrypoint.clone(),
        version: own.split_once(' ').map_or_else(|| "unknown".to_owned(), |(_, version)| version.to_owned()),
        origin: Origin::Debian(made.packages),
        reference: made.reference,
        size: made.size,
        digest: None,
        pinned: false,
    }
}

fn fetching(what: &str, bytes: Option<u64>) -> Fact {
    Fact::Fetching { what: what.to_owned(), from: "Debian".to_owned(), bytes }
}

/// `name version`, the program's own first.
fn packages_of(wanted: &Rootfs, downloads: &[Download]) -> Vec<String> {
    let own = |download: &&Download| download.package == wanted.name();
    let (first, rest): (Vec<_>, Vec<_>) = downloads.iter().partition(own);
    first.into_iter().chain(rest).map(Download::name).collect()
}

/// A root in which every path leads below `/usr`, whatever a package calls it.
fn link_root(root: &Path) -> io::Result<()> {
    for (link, to) in LINKS {
        fs::create_dir_all(root.join(to))?;
        symlink(to, root.join(link))?;
    }
    Ok(())
}

/// Puts the program where the official image has it; the path that was found, none if the packages do not have it.
fn place(root: &Path, wanted: &Rootfs) -> io::Result<Option<PathBuf>> {
    let (program, path) = (root.join(&wanted.program), root.join(wanted.path().trim_start_matches('/')));
    if path.symlink_metadata().is_ok() {
        return Ok(Some(path));
    }
    if !program.is_file() {
        return Ok(None);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    symlink(format!("/{}", wanted.program), &path)?;
    Ok(Some(path))
}

fn missing(wanted: &Rootfs) -> DebianError {
    DebianError::NoBinary { package: wanted.name().to_owned(), binary: wanted.program.clone() }
}

/// Takes away what no program reads, and adds what no package brings: users, name resolution, places to mount and to write.
fn finish(root: &Path, wanted: &Rootfs) -> io::Result<()> {
    trim(root)?;
    if !wanted.packages.is_empty() {
        // the base has them
        return LINKS.iter().try_for_each(|(link, _)| fs::remove_file(root.join(link)));
    }
    for folder in ["etc", "data", "config", "tmp", "run"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let users = "root:x:0:0::/:/usr/sbin/nologin\nredis:x:998:998::/data:/usr/sbin/nologin\n\
                 postgres:x:999:999::/data:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n";
    fs::write(root.join("etc/passwd"), users)?;
    fs::write(root.join("etc/group"), "root:x:0:\nredis:x:998:\npostgres:x:999:\nnogroup:x:65534:\n")?;
    fs::write(root.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rootfs(packages: &[&str], entrypoint: Option<&str>) -> Rootfs {
        Rootfs {
            packages: packages.iter().map(|it| (*it).to_owned()).collect(),
            entrypoint: entrypoint.map(str::to_owned),
            program: "usr/bin/prometheus-alertmanager".to_owned(),
            ports: vec![9093],
            user: None,
            workdir: None,
        }
    }

    #[test]
    fn an_image_asked_for_differently_is_another_one() {
        let one = rootfs(&["prometheus-alertmanager"], None);
        assert_eq!(one.asked(), one.clone().asked());
        assert_ne!(one.asked(), rootfs(&["prometheus-alertmanager", "dash"], None).asked());
        assert_ne!(one.asked(), rootfs(&["prometheus-alertmanager"], Some("/bin/alertmanager")).asked());
        assert_ne!(one.asked(), Rootfs::base().asked());
    }

    #[test]
    fn an_image_made_here_says_of_itself_what_the_official_one_does() {
        let text = rootfs(&["prometheus-alertmanager"], Some("/bin/alertmanager")).dockerfile("harness/base:0");
        let expected = "FROM harness/base:0\nCOPY root/ /\nEXPOSE 9093\nUSER 65534:65534\n\
                        ENTRYPOINT [\"/bin/alertmanager\"]\n";
        assert_eq!(text, expected);
        assert!(Rootfs::base().dockerfile("x").starts_with("FROM scratch\n"));
    }

    #[test]
    fn the_program_is_found_where_the_official_image_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        link_root(&root).unwrap();
        let wanted = rootfs(&["prometheus-alertmanager"], Some("/bin/alertmanager"));
        assert_eq!(place(&root, &wanted).unwrap(), None);
        fs::write(root.join("usr/bin/prometheus-alertmanager"), "x").unwrap();
        place(&root, &wanted).unwrap().unwrap();
        let link = fs::read_link(root.join("usr/bin/alertmanager")).unwrap();
        assert_eq!(link, Path::new("/usr/bin/prometheus-alertmanager"));
        finish(&root, &wanted).unwrap();
        assert!(root.join("bin").symlink_metadata().is_err(), "the base's link would be replaced");
    }
}
