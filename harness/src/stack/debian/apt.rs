//! The host's apt with a private state: its sources and keyrings, but lists, caches and status of the harness's own.
//! Works for any user; apt checks every file against the signed index.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::DebianError;
use crate::stack::process::RUN_MARK;

/// For the index.
const UPDATE_WITHIN: Duration = Duration::from_secs(180);
/// For all packages of a program.
const DOWNLOAD_WITHIN: Duration = Duration::from_secs(600);
/// For everything that needs no network.
const LOCAL_WITHIN: Duration = Duration::from_secs(120);

/// A package that will be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Download {
    /// Its file, as apt will call it.
    pub(in crate::stack) file: String,
    /// Its name.
    pub(in crate::stack) package: String,
    /// Its version.
    pub(in crate::stack) version: String,
    /// Its architecture.
    pub(in crate::stack) architecture: String,
    /// Its size.
    pub(in crate::stack) bytes: u64,
    /// The hash apt checks it against, as apt writes it: `SHA256:…`; empty in what [`Apt::closure`] finds.
    pub(in crate::stack) hash: String,
}

impl Download {
    /// `prometheus 2.42.0+ds-5+b5`.
    pub(in crate::stack) fn name(&self) -> String {
        format!("{} {}", self.package, self.version)
    }

    /// Reads a line of `apt-get download --print-uris`: `'<uri>' <package>_<version>_<arch>.deb <size> <hash>`.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix('\'')?.split_ascii_whitespace().skip(1);
        // what `install` prints has no hash where apt needs none shown: it checks against the signed index all the same
        let (file, bytes, hash) = (words.next()?, words.next()?.parse().ok()?, words.next().unwrap_or_default());
        let mut parts = file.strip_suffix(".deb")?.split('_');
        let (package, version, architecture) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            file: file.to_owned(),
            package: package.to_owned(),
            version: version.replace("%3a", ":"),
            architecture: architecture.to_owned(),
            bytes,
            hash: hash.to_owned(),
        })
    }
}

/// Whose packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Suite {
    /// The host's own: what is unpacked runs on the host's libc.
    Host,
    /// Debian's current stable: what is unpacked comes with its own libc, in an image.
    Stable,
}

/// Debian's current stable.
const STABLE: &str = "trixie";
/// The keys Debian signs it with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with a private state.
#[derive(Debug)]
pub(in crate::stack) struct Apt {
    config: PathBuf,
    run: String,
}

impl Apt {
    /// Lays out the private state below `home`, one for each suite. A host without Debian's keys uses its own suite.
    pub(in crate::stack) fn prepare(home: &Path, suite: Suite, run: &str) -> Result<Self, DebianError> {
        let lay_out = || -> io::Result<PathBuf> {
            for folder in ["lists/partial", "cache/archives/partial", "log"] {
                std::fs::create_dir_all(home.join(folder))?;
            }
            std::fs::write(home.join("status"), "")?;
            let config = home.join("apt.conf");
            let mut text = configuration(home);
            if suite == Suite::Stable && Path::new(KEYRING).exists() {
                let list = home.join("sources.list");
                std::fs::write(
                    &list,
                    format!("deb [signed-by={KEYRING}] http://deb.debian.org/debian {STABLE} main\n"),
                )?;
                text.push_str(&format!("Dir::Etc::sourcelist \"{}\";\n", list.display()));
                text.push_str("Dir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n");
            }
            std::fs::write(&config, text)?;
            Ok(config)
        };
        let config = lay_out().map_err(|source| DebianError::Cache { path: home.to_path_buf(), source })?;
        Ok(Self { config, run: run.to_owned() })
    }

    /// Fetches the index.
    pub(in crate::stack) async fn update(&self) -> Result<(), DebianError> {
        let what = "update Debian's package index".to_owned();
        self.run("apt-get", &["update", "--error-on=any"], Path::new("/"), UPDATE_WITHIN, what).await.map(drop)
    }

    /// What would be downloaded, by the index at hand.
    pub(in crate::stack) async fn plan(&self, packages: &[&str]) -> Result<Vec<Download>, DebianError> {
        let arguments = [&["download", "--print-uris"], packages].concat();
        let what = format!("find {} in Debian's package index", packages.join(", "));
        let output = self.run("apt-get", &arguments, Path::new("/"), LOCAL_WITHIN, what.clone()).await?;
        let downloads: Vec<Download> = output.lines().filter_map(Download::parse).collect();
        if downloads.len() < packages.len() {
            return Err(DebianError::Command { what, message: "the index does not have it".to_owned() });
        }
        Ok(downloads)
    }

    /// What installing the packages on an empty system would download, in apt's order.
    pub(in crate::stack) async fn closure(&self, packages: &[&str]) -> Result<Vec<Download>, DebianError> {
        let install = ["install", "--print-uris", "--yes", "--no-install-recommends", "-oDebug::NoLocking=1"];
        let arguments = [&install, packages].concat();
        let what = format!("find what {} need in Debian's package index", packages.join(", "));
        let output = self.run("apt-get", &arguments, Path::new("/"), LOCAL_WITHIN, what).await?;
        Ok(output.lines().filter_map(Download::parse).collect())
    }

    /// Packs a folder into an archive, owned by root.
    pub(in crate::stack) async fn pack(&self, root: &Path, archive: &Path) -> Result<(), DebianError> {
        pack(root, archive, &self.run).await
    }

    /// Whether there is an index.
    pub(in crate::stack) fn has_index(&self) -> bool {
        let lists = self.config.with_file_name("lists");
        let names = std::fs::read_dir(lists).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.into_iter().any(|name| name.to_string_lossy().contains("_Packages"))
    }

    /// Downloads into `folder`; apt refuses what does not match the signed index.
    pub(in crate::stack) async fn download(&self, packages: &[&str], folder: &Path) -> Result<(), DebianError> {
        let arguments = [&["download"], packages].concat();
        let what = format!("download {}", packages.join(", "));
        self.run("apt-get", &arguments, folder, DOWNLOAD_WITHIN, what).await.map(drop)
    }

    /// Unpacks a package below `root`.
    pub(in crate::stack) async fn unpack(&self, package: &Path, root: &Path) -> Result<(), DebianError> {
        let (file, folder) = (package.to_string_lossy(), root.to_string_lossy());
        let what = format!("unpack {file}");
        self.run("dpkg-deb", &["-x", &file, &folder], Path::new("/"), LOCAL_WITHIN, what).await.map(drop)
    }

    async fn run(
        &self,
        tool: &'static str,
        arguments: &[&str],
        folder: &Path,
        within: Duration,
        what: String,
    ) -> Result<String, DebianError> {
        let mut command = Command::new(tool);
        if tool == "apt-get" {
            command.arg("-c").arg(&self.config);
        }
        command.args(arguments).current_dir(folder).env(RUN_MARK, &self.run);
        finish(tool, command, within, what).await
    }
}

/// Packs a folder into an archive, owned by root, for `run`.
pub(in crate::stack) async fn pack(root: &Path, archive: &Path, run: &str) -> Result<(), DebianError> {
    let mut command = Command::new("tar");
    command.args(["--numeric-owner", "--owner=0", "--group=0", "-C"]).arg(root).arg("-cf").arg(archive).arg(".");
    command.env(RUN_MARK, run);
    finish("tar", command, LOCAL_WITHIN, format!("pack {}", root.display())).await.map(drop)
}

/// Runs a command to its end; what it wrote to stdout, or its last words.
async fn finish(
    tool: &'static str,
    mut command: Command,
    within: Duration,
    what: String,
) -> Result<String, DebianError> {
    command.env("LC_ALL", "C").env_remove("APT_CONFIG");
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(within, output).await {
        Ok(output) => output.map_err(|source| DebianError::Tool { tool, source })?,
        Err(_) => return Err(DebianError::Command { what, message: format!("no end within {within:?}") }),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = words.lines().filter(|line| !line.trim().is_empty()).rev().take(3).collect();
    let message =
        if last.is_empty() { output.status.to_string() } else { last.into_iter().rev().collect::<Vec<_>>().join("; ") };
    Err(DebianError::Command { what, message })
}

/// Read after the host's own files, so that `#clear` takes away its hooks, which would touch the host's caches.
fn configuration(home: &Path) -> String {
    let home = home.display();
    let user = if rustix::process::getuid().is_root() { "APT::Sandbox::User \"root\";\n" } else { "" };
    format!(
        "Dir::State \"{home}\";\nDir::State::lists \"{home}/lists\";\nDir::State::status \"{home}/status\";\n\
         Dir::Cache \"{home}/cache\";\nDir::Cache::pkgcache \"{home}/cache/pkgcache.bin\";\n\
         Dir::Cache::srcpkgcache \"{home}/cache/srcpkgcache.bin\";\nDir::Log \"{home}/log\";\n{user}\
         #clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n\
         APT::Get::AllowUnauthenticated \"false\";\nAcquire::AllowInsecureRepositories \"false\";\n\
         Acquire::Retries \"2\";\nAcquire::http::Timeout \"20\";\nAcquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_plan_is_read() {
        let line = "'http://deb.debian.org/debian/pool/main/r/redis/redis-server_7.0.15-1%7edeb12u5_amd64.deb' \
                    redis-server_5%3a7.0.15-1~deb12u5_amd64.deb 72508 SHA256:0123";
        let download = Download::parse(line).unwrap();
        assert_eq!(download.name(), "redis-server 5:7.0.15-1~deb12u5");
        assert_eq!((download.bytes, download.architecture.as_str()), (72508, "amd64"));
        assert_eq!(Download::parse("Reading package lists..."), None);
        let closure = "'http://deb.debian.org/debian-security/pool/updates/main/o/openssl/libssl3_3.0.22-1_amd64.deb' \
                       libssl3_3.0.22-1_amd64.deb 2039888 ";
        assert_eq!(Download::parse(closure).map(|it| it.name()).as_deref(), Some("libssl3 3.0.22-1"));
    }
}
