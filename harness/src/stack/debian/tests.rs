//! Unpacked packages: used again, replaced when damaged, never trusted unverified.

use super::*;
use crate::stack::debian::apt::Download;

fn wanted() -> DebianPackage {
    DebianPackage { package: "tool".to_owned(), binary: None, with: Vec::new(), depends: false }
}

fn download(version: &str) -> Download {
    let line = format!("'http://x/tool.deb' tool_{version}_all.deb 10 SHA256:00");
    let mut words = line.split(' ');
    let _ = words.next();
    Download {
        file: words.next().unwrap().to_owned(),
        package: "tool".to_owned(),
        version: version.to_owned(),
        architecture: "all".to_owned(),
        bytes: 10,
        hash: "SHA256:00".to_owned(),
    }
}

/// Puts a version into the cache by the same steps as a fetch, without apt.
fn unpack(home: &Path, version: &str) -> Unpacked {
    let root = home.join("work").join("root");
    std::fs::create_dir_all(root.join("usr/bin")).unwrap();
    std::fs::write(root.join("usr/bin/tool"), "#!/bin/sh\n").unwrap();
    let manifest = Manifest::of(&root, &[download(version)]).unwrap();
    let unpacked = cache::keep(home, &wanted(), &root, manifest).unwrap();
    std::fs::remove_dir_all(home.join("work")).unwrap();
    unpacked
}

#[test]
fn what_was_unpacked_is_used_again_the_newest_first() {
    let home = tempfile::tempdir().unwrap();
    unpack(home.path(), "1.0");
    unpack(home.path(), "2.0");
    let found = package(&wanted(), cache::find(home.path(), &wanted()).unwrap()).unwrap();
    assert_eq!(found.name, "tool 2.0");
    assert!(found.binary.is_file());
}

#[test]
fn the_libraries_of_a_version_with_an_epoch_can_stand_in_a_list_of_folders() {
    let home = tempfile::tempdir().unwrap();
    let unpacked = unpack(home.path(), "5:7.0.15");
    assert_eq!(unpacked.name, "tool 5:7.0.15");
    std::env::join_paths([unpacked.root.join("usr/lib")]).unwrap();
    std::fs::rename(home.path().join("tool_5%3a7.0.15_all"), home.path().join("tool_5:7.0.15_all")).unwrap();
    assert_eq!(cache::find(home.path(), &wanted()), None, "one of an older harness is not used");
}

#[test]
fn a_damaged_package_is_not_used_and_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let unpacked = unpack(home.path(), "1.0");
    std::fs::write(unpacked.root.join("usr/bin/tool"), "").unwrap();
    assert_eq!(cache::find(home.path(), &wanted()), None);
    unpack(home.path(), "1.0");
    assert!(cache::find(home.path(), &wanted()).is_some());
}

#[test]
fn a_program_that_is_not_in_the_package_is_named() {
    let home = tempfile::tempdir().unwrap();
    let unpacked = unpack(home.path(), "1.0");
    let wanted = DebianPackage { binary: Some("usr/sbin/tool".to_owned()), ..wanted() };
    assert_eq!(package(&wanted, unpacked).unwrap_err().to_string(), "find usr/sbin/tool in Debian package tool");
}

#[test]
fn a_star_in_a_programs_path_is_the_newest_version_that_has_it() {
    let root = tempfile::tempdir().unwrap();
    let wanted = DebianPackage { binary: Some("usr/lib/tool/*/bin/tool".to_owned()), ..wanted() };
    assert_eq!(program(root.path(), &wanted), None);
    for (version, file) in [("9", "tool"), ("15", "tool"), ("17", "other")] {
        let bin = root.path().join("usr/lib/tool").join(version).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join(file), "").unwrap();
    }
    assert_eq!(program(root.path(), &wanted), Some(root.path().join("usr/lib/tool/15/bin/tool")));
}
