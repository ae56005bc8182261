//! What a container uses, from its control group's files: some 0.1 ms a look, where asking the engine costs it a core's
//! hundredth for each container and second.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::Usage;

const ROOT: &str = "/sys/fs/cgroup";

/// The files of one control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ControlGroup {
    /// One hierarchy for each controller.
    First { cpu: PathBuf, memory: PathBuf, pids: PathBuf },
    /// One for all.
    Second(PathBuf),
}

impl ControlGroup {
    /// The control group of a process; none where this machine does not show its files.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?, Path::new(ROOT))
    }

    /// Lines are `<number>:<controllers>:<path>`; the second version has one line, without controllers.
    fn read(text: &str, root: &Path) -> Option<Self> {
        let line = |line: &str| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            Some((controllers.to_owned(), path.trim_start_matches('/').to_owned()))
        };
        let lines: Vec<(String, String)> = text.lines().filter_map(line).collect();
        let folder = |controller: &str| {
            let (controllers, path) =
                lines.iter().find(|(names, _)| names.split(',').any(|name| name == controller))?;
            let folders = [controller, controllers].map(|name| root.join(name).join(path));
            folders.into_iter().find(|folder| folder.is_dir())
        };
        if let (Some(cpu), Some(memory), Some(pids)) = (folder("cpuacct"), folder("memory"), folder("pids")) {
            return Some(Self::First { cpu, memory, pids });
        }
        let (_, path) = lines.iter().find(|(controllers, _)| controllers.is_empty())?;
        let folder = root.join(path);
        folder.join("cpu.stat").is_file().then_some(Self::Second(folder))
    }

    /// What it uses now; none when it is gone. Memory is what cannot be given back at once: without inactive files.
    pub(super) fn usage(&self) -> Option<Usage> {
        let (cpu, used, stat, inactive, pids) = match self {
            Self::First { cpu, memory, pids } => (
                Duration::from_nanos(number(&cpu.join("cpuacct.usage"))?),
                memory.join("memory.usage_in_bytes"),
                memory.join("memory.stat"),
                "total_inactive_file",
                pids.join("pids.current"),
            ),
            Self::Second(folder) => (
                Duration::from_micros(entry(&folder.join("cpu.stat"), "usage_usec")?),
                folder.join("memory.current"),
                folder.join("memory.stat"),
                "inactive_file",
                folder.join("pids.current"),
            ),
        };
        let memory = number(&used)?.saturating_sub(entry(&stat, inactive).unwrap_or(0));
        Some(Usage { cpu, memory, processes: u32::try_from(number(&pids)?).unwrap_or(u32::MAX) })
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A value of a file with a `name value` on each line.
fn entry(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    const EXPECTED: Usage = Usage { cpu: Duration::from_millis(1500), memory: 3_000, processes: 7 };

    #[test]
    fn the_first_version_has_a_folder_for_each_controller() {
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("cpu,cpuacct/docker/x"), &[("cpuacct.usage", "1500000000\n")]);
        let memory =
            [("memory.usage_in_bytes", "5000\n"), ("memory.stat", "inactive_file 1\ntotal_inactive_file 2000\n")];
        write(&root.path().join("memory/docker/x"), &memory);
        write(&root.path().join("pids/docker/x"), &[("pids.current", "7\n")]);
        let text = "9:name=systemd:/\n4:memory:/docker/x\n3:pids:/docker/x\n2:cpu,cpuacct:/docker/x\n0::/\n";
        assert_eq!(ControlGroup::read(text, root.path()).unwrap().usage(), Some(EXPECTED));
    }

    #[test]
    fn the_second_version_has_one_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("system.slice/docker-x.scope");
        let files = [
            ("cpu.stat", "usage_usec 1500000\nuser_usec 1\n"),
            ("memory.current", "5000\n"),
            ("memory.stat", "anon 1\ninactive_file 2000\n"),
            ("pids.current", "7\n"),
        ];
        write(&folder, &files);
        let group = ControlGroup::read("0::/system.slice/docker-x.scope\n", root.path()).unwrap();
        assert_eq!(group.usage(), Some(EXPECTED));
        fs::remove_dir_all(folder).unwrap();
        assert_eq!(group.usage(), None, "a group that is gone uses nothing");
    }

    #[test]
    fn a_group_whose_files_are_not_shown_here_is_none() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(ControlGroup::read("0::/../../docker-x.scope\n", root.path()), None);
    }
}
