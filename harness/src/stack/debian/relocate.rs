//! Makes a Go program from a Debian package run without being installed.
//!
//! Debian patches Go programs to read their data from fixed folders (Alertmanager: its default templates from
//! `/usr/share/prometheus/alertmanager`). Each mention of such a folder in the program is replaced by one of the same
//! length that is relative, `/usr/share/x` by `usr/share/x/`, as conda does with its prefixes; the program is then started
//! in a folder in which `usr` leads to the package. Nothing else in the program changes, and the host needs no root.

use std::fs;
use std::io;
use std::path::Path;

/// In every program that Go's linker wrote.
const GO: &[u8] = b"\xff Go buildinf:";

/// Whether a program was written by Go's linker.
pub(in crate::stack) fn is_go(binary: &Path) -> bool {
    fs::read(binary).is_ok_and(|program| find(&program, GO, 0).is_some())
}

/// Relocates the program at `binary` to the folders that the package at `root` has below `usr/share`. Returns how many
/// mentions were replaced; a program that is not Go's is left alone.
pub(super) fn relocate(root: &Path, binary: &Path) -> io::Result<usize> {
    let Ok(folders) = fs::read_dir(root.join("usr/share")) else { return Ok(0) };
    let mut program = fs::read(binary)?;
    if find(&program, GO, 0).is_none() {
        return Ok(0);
    }
    let mut replaced = 0;
    for folder in folders {
        let absolute = format!("/usr/share/{}", folder?.file_name().to_string_lossy());
        replaced += replace(&mut program, absolute.as_bytes(), format!("{}/", &absolute[1..]).as_bytes());
    }
    if replaced > 0 {
        // in place: permissions stay
        fs::write(binary, program)?;
    }
    Ok(replaced)
}

fn replace(program: &mut [u8], old: &[u8], new: &[u8]) -> usize {
    let mut count = 0;
    let mut from = 0;
    while let Some(at) = find(program, old, from) {
        program[at..at + new.len()].copy_from_slice(new);
        from = at + new.len();
        count += 1;
    }
    count
}

fn find(text: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at + wanted.len() <= text.len() {
        // skip to the next byte that can begin it; a plain window search over 100 MB takes seconds without optimisation
        at += text[at..].iter().position(|byte| *byte == wanted[0])?;
        if text[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(program: &[u8]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/share/prometheus/alertmanager")).unwrap();
        fs::create_dir_all(root.path().join("usr/share/doc")).unwrap();
        fs::write(root.path().join("program"), program).unwrap();
        root
    }

    #[test]
    fn every_mention_becomes_relative_in_the_same_length() {
        let text =
            b"\xff Go buildinf: a/usr/share/prometheus/alertmanager35 b/usr/share/prometheus c/usr/share/zoneinfo";
        let root = package(text);
        let program = root.path().join("program");
        assert_eq!(relocate(root.path(), &program).unwrap(), 2);
        let relocated = fs::read(&program).unwrap();
        assert_eq!(relocated.len(), text.len());
        let expected =
            b"\xff Go buildinf: ausr/share/prometheus//alertmanager35 busr/share/prometheus/ c/usr/share/zoneinfo";
        assert_eq!(relocated, expected);
    }

    #[test]
    fn a_program_that_is_not_gos_is_left_alone() {
        let root = package(b"ELF /usr/share/prometheus");
        assert_eq!(relocate(root.path(), &root.path().join("program")).unwrap(), 0);
    }
}
