//! The leak audit: everything a run may leave behind, looked for one by one where it would lie. Nothing of it goes through
//! the harness.

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::event::{Event, EventKind};

use crate::engine::{self, Belongings};
use crate::leftover::{Leftovers, commanded};
use crate::stand::Provider;

/// What is looked for, noted while the run lives.
#[derive(Clone, Debug)]
pub struct Audit {
    run: String,
    provider: Provider,
    ports: Vec<u16>,
    segments: Vec<String>,
    engine: Belongings,
}

impl Audit {
    /// Notes what a living run has.
    #[must_use]
    pub fn of(run: &str, provider: Provider, events: &[Event]) -> Self {
        let addresses = events.iter().filter_map(|event| match &event.what {
            EventKind::ComponentStarted { addresses, .. } => Some(addresses.values()),
            _ => None,
        });
        let port = |address: &String| address.rsplit_once(':')?.1.parse().ok();
        let engine = if provider == Provider::Docker { engine::of_run(run) } else { Belongings::default() };
        let mut ports: Vec<u16> = addresses.flatten().filter_map(port).collect();
        ports.dedup();
        let leader = |event: &Event| match &event.what {
            EventKind::ComponentChanged { detail, .. } => detail.strip_prefix("process ")?.parse().ok(),
            _ => None,
        };
        let segments = segments_of(&events.iter().filter_map(leader).collect::<Vec<u32>>());
        Self { run: run.to_owned(), provider, ports, segments, engine }
    }

    /// Containers, networks and subnets that the run had.
    #[must_use]
    pub const fn engine(&self) -> &Belongings {
        &self.engine
    }

    /// Everything that is left of the run of the stand at `root`, in words.
    #[must_use]
    pub fn leaks(&self, root: &Path) -> Vec<String> {
        let Leftovers { processes, files } = Leftovers::of(root, &self.run);
        let mut leaks: Vec<String> = processes.into_iter().map(|it| format!("process {it}")).collect();
        leaks.extend(files.iter().map(|file| format!("file {}", file.display())));
        let root = root.display().to_string();
        leaks.extend(commanded(&[&root]).iter().map(|pid| format!("process {pid}, which works in {root}")));
        leaks.extend(listening(&self.ports).iter().map(|port| format!("port {port} is listened on")));
        leaks.extend(mentions("/proc/mounts", &root).into_iter().map(|line| format!("mount {line}")));
        let there: Vec<String> = shared_memory().into_iter().map(|(id, _)| id).collect();
        leaks.extend(self.segments.iter().filter(|id| there.contains(id)).map(|id| format!("shared memory {id}")));
        if self.provider == Provider::Docker {
            leaks.extend(self.leaks_in_engine());
        }
        leaks
    }

    fn leaks_in_engine(&self) -> Vec<String> {
        let Belongings { containers, networks, volumes, .. } = engine::of_run(&self.run);
        let mut leaks: Vec<String> = containers.iter().map(|id| format!("container {id}")).collect();
        leaks.extend(networks.iter().map(|id| format!("network {id}")));
        leaks.extend(volumes.iter().map(|name| format!("volume {name}")));
        // known by what they were while the run lived, so that a label that was lost hides nothing
        for id in &self.engine.containers {
            if engine::ask("GET", &format!("/containers/{id}/json"), None).0 != 404 {
                leaks.push(format!("container {id}, by its id"));
            }
            leaks.extend(mentions("/proc/mounts", id).into_iter().map(|line| format!("mount {line}")));
            leaks.extend(control_groups(id));
        }
        let rules = packet_rules();
        for (bridge, subnet) in self.engine.bridges().iter().zip(&self.engine.subnets) {
            if Path::new("/sys/class/net").join(bridge).exists() {
                leaks.push(format!("link {bridge}"));
            }
            let own = rules.lines().filter(|rule| rule.contains(bridge.as_str()) || rule.contains(subnet.as_str()));
            leaks.extend(own.map(|rule| format!("packet rule {rule}")));
        }
        leaks
    }
}

/// Those of the ports that somebody listens on, by the kernel's own table.
#[must_use]
pub fn listening(ports: &[u16]) -> Vec<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let listener = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        (state == "0A").then(|| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok())?
    };
    let taken: Vec<u16> = tables.iter().flat_map(|table| table.lines()).filter_map(listener).collect();
    ports.iter().copied().filter(|port| taken.contains(port)).collect()
}

/// Segments of System V shared memory, each with its maker's pid.
fn shared_memory() -> Vec<(String, u32)> {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let segment = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        Some(((*fields.get(1)?).to_owned(), fields.get(4)?.parse().ok()?))
    };
    table.lines().filter_map(segment).collect()
}

fn segments_of(makers: &[u32]) -> Vec<String> {
    shared_memory().into_iter().filter(|(_, maker)| makers.contains(maker)).map(|(id, _)| id).collect()
}

fn mentions(file: &str, text: &str) -> Vec<String> {
    let lines = fs::read_to_string(file).unwrap_or_default();
    lines.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

fn control_groups(container: &str) -> Vec<String> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let first = hierarchies.map(|hierarchy| hierarchy.join("docker").join(container));
    let second = [root.join(format!("system.slice/docker-{container}.scope")), root.join("docker").join(container)];
    first.chain(second).filter(|path| path.is_dir()).map(|path| format!("control group {}", path.display())).collect()
}

/// The host's packet rules; empty where they cannot be read.
fn packet_rules() -> String {
    let save = Command::new("iptables-save").output();
    save.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
