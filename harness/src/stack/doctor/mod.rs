//! What this machine has, what each missing thing costs, and how to get it. Data only; `cli` prints it.

mod engine;
mod network;

use std::io;
use std::path::{Path, PathBuf};

use super::debian;
use super::local::on_path;
use super::place::{Places, private_folder};
use super::port;
use super::select::droppable;
use super::spec::Spec;
use crate::clock::{Stamp, wall};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Something cannot be done.
    Missing,
    /// Nothing can be done.
    Fatal,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub subject: String,
    /// How bad.
    pub grade: Grade,
    /// What was found.
    pub found: String,
    /// What its absence costs; empty when it is there.
    pub costs: String,
    /// How to get it; empty when it is there.
    pub remedy: String,
}

impl Finding {
    fn good(subject: &str, found: impl Into<String>) -> Self {
        let (subject, found) = (subject.to_owned(), found.into());
        Self { subject, grade: Grade::Good, found, costs: String::new(), remedy: String::new() }
    }

    fn bad(subject: &str, grade: Grade, found: impl Into<String>, costs: &str, remedy: &str) -> Self {
        let (subject, found) = (subject.to_owned(), found.into());
        Self { subject, grade, found, costs: costs.to_owned(), remedy: remedy.to_owned() }
    }
}

/// A gibibyte.
const GIB: u64 = 1 << 30;

/// Looks at everything; with a stack file also at its components' programs.
pub async fn examine(places: &Places, spec: Option<&Spec>) -> Vec<Finding> {
    let mut findings = vec![kernel(), cores(), memory(), clock(), files(), ports()];
    let (engine, network) = futures_util::future::join(engine::examine(spec), network::examine()).await;
    findings.extend(engine);
    findings.extend(network);
    findings.extend([packages(), engine::keys()]);
    findings.extend([("state", &places.state), ("cache", &places.cache), ("temporary", &places.temporary)].map(folder));
    let contained = findings.iter().any(|it| it.subject == engine::SUBJECT && it.grade == Grade::Good);
    findings.extend(spec.into_iter().flat_map(|spec| programs(spec, places, contained)));
    findings
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn kernel() -> Finding {
    let cgroups = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "cgroup v2" } else { "cgroup v1" };
    let release = read("/proc/sys/kernel/osrelease");
    if release.is_empty() {
        let costs = "processes cannot be told apart, so nothing can be started locally";
        return Finding::bad("kernel", Grade::Fatal, "no /proc", costs, "mount /proc; the local provider needs Linux");
    }
    Finding::good("kernel", format!("Linux {release}, {cgroups}"))
}

fn cores() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        let costs = "the load generator competes with the service, so latencies mean little";
        return Finding::bad("cores", Grade::Missing, cores.to_string(), costs, "use a machine with two cores or more");
    }
    Finding::good("cores", cores.to_string())
}

fn memory() -> Finding {
    let available = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024);
    let found = format!("{} free", size(available));
    if available < GIB {
        let costs = "a stack needs about half a gibibyte; scenarios side by side may be killed";
        return Finding::bad("memory", Grade::Missing, found, costs, "free 1 GiB, or run with --jobs 1");
    }
    Finding::good("memory", found)
}

fn size(bytes: u64) -> String {
    if bytes >= GIB {
        format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

fn packages() -> Finding {
    let missing: Vec<&str> = ["apt-get", "dpkg-deb"].into_iter().filter(|tool| on_path(tool).is_none()).collect();
    if missing.is_empty() {
        return Finding::good("Debian packages", "apt-get and dpkg-deb");
    }
    let costs = "programs that are not on PATH cannot be fetched, and images cannot be built without a registry";
    let remedy = "put the components' programs on PATH (Prometheus and Alertmanager: their release archives)";
    Finding::bad("Debian packages", Grade::Missing, format!("no {}", missing.join(", no ")), costs, remedy)
}

fn clock() -> Finding {
    // the year this was written: no honest clock is behind it
    const EARLIEST: Stamp = Stamp(1_735_689_600_000_000);
    let now = wall();
    if now < EARLIEST {
        let costs = "Prometheus refuses samples from the past, and package indexes are not valid yet";
        return Finding::bad("clock", Grade::Fatal, "before 2025", costs, "set the clock (timedatectl set-ntp true)");
    }
    let shown = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default();
    Finding::good("clock", shown.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    if limit < 1024 {
        let costs = "load with many connections fails in the harness itself";
        return Finding::bad("open files", Grade::Missing, limit.to_string(), costs, "ulimit -n 4096");
    }
    Finding::good("open files", if limit == u64::MAX { "no limit".to_owned() } else { limit.to_string() })
}

fn ports() -> Finding {
    let (first, last) = port::RANGE;
    match port::lease() {
        Ok(_) => {
            let taken = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| taken(&read(path))).concat();
            let found = format!("{first}–{last}, {} of them taken", taken.len());
            Finding::good("loopback ports", found)
        }
        Err(error) => {
            let costs = "no component can be started";
            Finding::bad("loopback ports", Grade::Fatal, error.to_string(), costs, "end what holds them: ss -ltnp")
        }
    }
}

/// Ports of the range that somebody listens on, by the kernel's table of sockets.
fn taken(table: &str) -> Vec<u16> {
    const LISTENS: &str = "0A";
    let port = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let local = words.next()?;
        let state = words.nth(1)?;
        let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (state == LISTENS && (port::RANGE.0..=port::RANGE.1).contains(&port)).then_some(port)
    };
    table.lines().filter_map(port).collect()
}

fn folder((name, path): (&str, &PathBuf)) -> Finding {
    let subject = format!("{name} folder");
    let writable = private_or_shared(name, path).and_then(|()| tempfile_in(path));
    if let Err(error) = writable {
        let remedy = match name {
            "state" => "set HARNESS_STATE to a folder that can be written",
            "cache" => "set HARNESS_CACHE to a folder that can be written",
            _ => "set TMPDIR to a folder that can be written",
        };
        return Finding::bad(
            &subject,
            Grade::Fatal,
            format!("{}: {error}", path.display()),
            "no run can start",
            remedy,
        );
    }
    let free = rustix::fs::statvfs(path).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let found = format!("{}, {} free", path.display(), size(free));
    if free < GIB {
        let costs = "fetching, building or recording may fill the disk";
        return Finding::bad(&subject, Grade::Missing, found, costs, "free 1 GiB there");
    }
    Finding::good(&subject, found)
}

fn private_or_shared(name: &str, path: &Path) -> io::Result<()> {
    if name == "temporary" { Ok(()) } else { private_folder(path) }
}

/// Creates and removes a file.
fn tempfile_in(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!("harness-probe-{}", std::process::id()));
    std::fs::File::create_new(&path)?;
    std::fs::remove_file(&path)
}

fn programs(spec: &Spec, places: &Places, contained: bool) -> Vec<Finding> {
    let (cache, droppable) = (places.cache.join("debian"), droppable(spec));
    let look = |name: &str, component: &super::spec::Component| {
        let subject = format!("component {name}");
        let commands = std::iter::once(&component.command).chain(&component.alternatives);
        let names: Vec<String> = commands.filter_map(|command| Some(command.first()?.to_string())).collect();
        if let Some(program) = names.iter().find_map(|name| on_path(name)) {
            return Finding::good(&subject, program.display().to_string());
        }
        if let Some(program) = component.debian.as_ref().and_then(debian::installed) {
            return Finding::good(&subject, program.display().to_string());
        }
        if let Some(found) = component.debian.as_ref().and_then(|package| debian::cached(&cache, package)) {
            return Finding::good(&subject, format!("Debian package {} in the cache", found.name));
        }
        if let Some(package) = &component.debian {
            let when =
                if droppable.contains(name) || component.optional { " where a scenario requires it" } else { "" };
            return Finding::good(&subject, format!("will be fetched{when}: Debian package {}", package.package));
        }
        if component.build.is_some() || names.iter().any(|name| name == "{harness}" || name.contains('/')) {
            return Finding::good(
                &subject,
                if component.build.is_some() { "will be built" } else { "part of the harness" },
            );
        }
        if let (Some(image), true) = (&component.image, contained) {
            let reference = image.reference().unwrap_or_default();
            let made = match image.debian.first() {
                Some(_) => format!(", or one made of {}", image.debian.join(", ")),
                None => String::new(),
            };
            return Finding::good(&subject, format!("in containers: image {reference}{made}"));
        }
        let costs = "it runs in containers only; scenarios that require it are skipped without an engine";
        Finding::bad(
            &subject,
            Grade::Missing,
            "no program here",
            costs,
            "install a container engine, or put it on PATH",
        )
    };
    let mut findings = Vec::new();
    for (name, component) in &spec.components {
        let mut finding = look(name, component);
        if component.unprivileged && finding.grade == Grade::Good && rustix::process::getuid().is_root() {
            finding.found.push_str(", run as nobody: it refuses root");
        }
        findings.push(finding);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_finding_that_is_bad_says_what_it_costs_and_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::below(folder.path());
        std::fs::create_dir_all(&places.temporary).unwrap();
        let findings = examine(&places, None).await;
        assert!(findings.len() >= 11);
        for finding in findings {
            let explained = !finding.costs.is_empty() && !finding.remedy.is_empty();
            assert_eq!(explained, finding.grade != Grade::Good, "{finding:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_fatal() {
        let finding = folder(("state", &PathBuf::from("/proc/nowhere/harness")));
        assert_eq!(finding.grade, Grade::Fatal);
        assert!(finding.remedy.contains("HARNESS_STATE"));
    }

    #[test]
    fn only_listeners_of_the_range_count_as_taken() {
        let table = "  sl  local_address rem_address   st\n\
                     0: 0100007F:4E20 00000000:0000 0A 00000000\n\
                     1: 0100007F:4E21 0100007F:9999 01 00000000\n\
                     2: 0100007F:0050 00000000:0000 0A 00000000\n";
        assert_eq!(taken(table), [0x4E20]);
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!((size(3 * GIB / 2).as_str(), size(5 << 20).as_str()), ("1.5 GiB", "5 MiB"));
    }
}
