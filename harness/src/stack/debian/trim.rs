//! What of Debian's packages is of use to a program that is not installed: libraries, and the server's own parts; not what
//! maintainer scripts want, nor what only people read.

use std::fs;
use std::io;
use std::path::Path;

/// What no program reads.
const SUPERFLUOUS: [&str; 7] = [
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/javascript",
    "usr/share/doc-base",
];

/// Shared libraries and the tools of the same server; not what Debian's maintainer scripts want.
pub(in crate::stack) fn is_library(package: &str, have: &[&str]) -> bool {
    const WANTED: [&str; 5] = ["lib", "zlib", "lua-", "redis-", "postgresql-client"];
    const UNWANTED: [&str; 5] = ["libllvm", "libperl", "libjs", "libz3", "libc-bin"];
    let starts = |with: &[&str]| with.iter().any(|prefix| package.starts_with(prefix));
    starts(&WANTED) && !starts(&UNWANTED) && !have.contains(&package)
}

/// Takes away what no program reads below `root`.
pub(in crate::stack) fn trim(root: &Path) -> io::Result<()> {
    for folder in SUPERFLUOUS.map(|folder| root.join(folder)) {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    bare(&root.join("usr/lib/postgresql"))
}

/// PostgreSQL without its compiler, whose own library is a hundred megabytes.
fn bare(postgres: &Path) -> io::Result<()> {
    let Ok(versions) = fs::read_dir(postgres) else { return Ok(()) };
    for version in versions {
        let library = version?.path().join("lib");
        if library.join("bitcode").exists() {
            fs::remove_dir_all(library.join("bitcode"))?;
        }
        if library.join("llvmjit.so").exists() {
            fs::remove_file(library.join("llvmjit.so"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_kept_and_script_engines_are_not() {
        let kept = ["libssl3t64", "zlib1g", "libicu76", "postgresql-client-17", "redis-tools"];
        let left_out = ["perl-base", "libllvm19", "libjs-jquery", "debconf", "libc6"];
        assert!(kept.iter().all(|package| is_library(package, &["libc6"])));
        assert!(!left_out.iter().any(|package| is_library(package, &["libc6"])));
    }
}
