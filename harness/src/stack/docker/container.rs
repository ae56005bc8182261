//! One container: created without rights it does not need, started, followed, paused, killed, removed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{
    ContainerCreateBody, ContainerState, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigLogConfig,
    NetworkingConfig, PortBinding,
};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, InspectContainerOptions, KillContainerOptions,
    StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;

use super::{COMPONENT_LABEL, Engine, EngineError, Network, RUN_LABEL, SCENARIO_LABEL};
use crate::stack::process::{self, Identity};
use crate::stack::spec::Limits;

/// A folder of the host that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Mount {
    pub(in crate::stack) from: PathBuf,
    pub(in crate::stack) to: String,
    pub(in crate::stack) writable: Writable,
}

/// Whether a container may write there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Writable {
    Yes,
    No,
}

/// What is to be created.
#[derive(Debug)]
pub(in crate::stack) struct Plan {
    pub(in crate::stack) name: String,
    pub(in crate::stack) component: String,
    pub(in crate::stack) run: String,
    pub(in crate::stack) scenario: String,
    pub(in crate::stack) image: String,
    pub(in crate::stack) entrypoint: Option<String>,
    pub(in crate::stack) arguments: Vec<String>,
    pub(in crate::stack) environment: Vec<(String, String)>,
    pub(in crate::stack) user: String,
    pub(in crate::stack) network: Network,
    pub(in crate::stack) address: Ipv4Addr,
    /// Port in the container, and where the harness reaches it.
    pub(in crate::stack) ports: Vec<(u16, SocketAddr)>,
    pub(in crate::stack) mounts: Vec<Mount>,
    pub(in crate::stack) limits: Option<Limits>,
}

/// A container that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Container {
    pub(in crate::stack) name: String,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Ended(pub(in crate::stack) String);

/// Whether an init collects the zombies of a container; where the engine has none, its first process has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Init {
    Yes,
    No,
}

/// Where an engine takes a setting of a container's own interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Interface {
    /// With the container's settings, for its one interface `eth0`.
    Container,
    /// With what the container is given of its network (API 1.46 and later).
    Endpoint,
    /// Nowhere that is known: another engine behind the same API.
    Fixed,
}

/// Which control group the engine's containers are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Parent {
    /// The root, where each weighs as much as one of this machine's processes. An engine that makes groups itself puts all
    /// containers into one group, and all together weigh as much as one process: a compiler on the same machine starves them.
    Root,
    /// Whichever the engine takes.
    Engine,
}

/// What an engine can do beyond what all can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Means {
    pub(in crate::stack) init: Init,
    pub(in crate::stack) interface: Interface,
    pub(in crate::stack) parent: Parent,
}

/// How soon a container notices that an address is nobody's any more. Linux trusts an answer for up to 50 s and then asks
/// three times, a second apart: longer than a scaled scrape may take, so that a killed neighbour would not refuse but hang.
const NEIGHBOURS: [(&str, &str); 3] =
    [("base_reachable_time_ms", "50"), ("delay_first_probe_time", "0"), ("retrans_time_ms", "10")];

/// Cores when the stack file sets no limit.
const CPUS: f64 = 2.0;
/// Bytes when the stack file sets no limit.
const MEMORY: u64 = 1 << 30;
/// Processes and threads when the stack file sets no limit.
const PIDS: u32 = 512;

impl Plan {
    fn body(self, means: Means) -> ContainerCreateBody {
        let option = || {
            let settings = NEIGHBOURS.map(|(name, value)| format!("net.ipv4.neigh.IFNAME.{name}={value}"));
            HashMap::from([("com.docker.network.endpoint.sysctls".to_owned(), settings.join(","))])
        };
        let endpoint = EndpointSettings {
            driver_opts: (means.interface == Interface::Endpoint).then(option),
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some(self.address.to_string()),
                ..Default::default()
            }),
            aliases: Some(vec![self.component.clone()]),
            ..Default::default()
        };
        let networks = HashMap::from([(self.network.name.clone(), endpoint)]);
        let labels = [(RUN_LABEL, &self.run), (SCENARIO_LABEL, &self.scenario), (COMPONENT_LABEL, &self.component)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.clone()));
        ContainerCreateBody {
            hostname: Some(self.component.clone()),
            image: Some(self.image.clone()),
            entrypoint: self.entrypoint.clone().map(|program| vec![program]),
            cmd: Some(self.arguments.clone()),
            env: Some(self.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            user: Some(self.user.clone()),
            exposed_ports: Some(self.ports.iter().map(|(port, _)| format!("{port}/tcp")).collect()),
            labels: Some(labels.into()),
            networking_config: Some(NetworkingConfig { endpoints_config: Some(networks) }),
            host_config: Some(self.host(means)),
            ..Default::default()
        }
    }

    /// Limits are always set, also where the file sets none: an engine cannot take a limit away again that a fault set.
    fn host(&self, means: Means) -> HostConfig {
        let binding = |address: &SocketAddr| {
            let (host_ip, host_port) = (Some(address.ip().to_string()), Some(address.port().to_string()));
            Some(vec![PortBinding { host_ip, host_port }])
        };
        let mode = |mount: &Mount| if mount.writable == Writable::Yes { "rw" } else { "ro" };
        let bind = |mount: &Mount| format!("{}:{}:{}", mount.from.display(), mount.to, mode(mount));
        let memory = i64::try_from(self.limits.and_then(|l| l.memory).unwrap_or(MEMORY)).unwrap_or(i64::MAX);
        let rotation = [("max-size".to_owned(), "50m".to_owned()), ("max-file".to_owned(), "2".to_owned())];
        let setting = |(name, value): (&str, &str)| (format!("net.ipv4.neigh.eth0.{name}"), value.to_owned());
        let log = HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(rotation.into()) };
        HostConfig {
            network_mode: Some(self.network.name.clone()),
            port_bindings: Some(self.ports.iter().map(|(port, at)| (format!("{port}/tcp"), binding(at))).collect()),
            binds: Some(self.mounts.iter().map(bind).collect()),
            readonly_rootfs: Some(true),
            tmpfs: Some(HashMap::from([("/tmp".to_owned(), "rw,nosuid,nodev,size=64m".to_owned())])),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            nano_cpus: Some(nanos(self.limits.and_then(|l| l.cpus).unwrap_or(CPUS))),
            memory: Some(memory),
            memory_swap: Some(memory),
            pids_limit: Some(i64::from(self.limits.and_then(|l| l.pids).unwrap_or(PIDS))),
            log_config: Some(log),
            init: Some(means.init == Init::Yes),
            cgroup_parent: (means.parent == Parent::Root).then(|| "/".to_owned()),
            sysctls: (means.interface == Interface::Container).then(|| NEIGHBOURS.map(setting).into()),
            ..Default::default()
        }
    }
}

fn nanos(cores: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "cores are few, so billionths of them fit")]
    let nanos = (cores * 1e9) as i64;
    // an engine refuses more cores than there are
    let there = std::thread::available_parallelism().map_or(1, usize::from);
    nanos.min(i64::try_from(there).unwrap_or(1) * 1_000_000_000)
}

impl Engine {
    pub(in crate::stack) async fn create(&self, plan: Plan) -> Result<Container, EngineError> {
        let name = plan.name.clone();
        let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        let created = self.docker.create_container(Some(options), plan.body(self.means));
        self.bounded(&format!("create container {name}"), created).await?;
        Ok(Container { name })
    }

    /// Starts it; the process that leads it, where this machine's `/proc` shows it.
    pub(in crate::stack) async fn start(&self, container: &Container) -> Result<Option<Identity>, EngineError> {
        let name = &container.name;
        let started = self.docker.start_container(name, None::<StartContainerOptions>);
        self.bounded(&format!("start container {name}"), started).await?;
        let inspected = self.docker.inspect_container(name, None::<InspectContainerOptions>);
        let state = self.bounded(&format!("inspect container {name}"), inspected).await?.state;
        let pid = state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
        Ok(pid.filter(|pid| *pid > 0).and_then(process::stat).map(|stat| stat.identity))
    }

    /// Waits for its end; in words, like those of a process.
    pub(in crate::stack) async fn ended(&self, container: &Container) -> Ended {
        // an engine's own bound would end the wait; its end is not the container's
        loop {
            let options = WaitContainerOptions { condition: "not-running".to_owned() };
            let code = match self.docker.wait_container(&container.name, Some(options)).next().await {
                Some(Ok(answer)) => answer.status_code,
                Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
                Some(Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. })) => {
                    return Ended("removed".to_owned());
                }
                _ => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            return Ended(self.words(container, code).await);
        }
    }

    async fn words(&self, container: &Container, code: i64) -> String {
        let inspected = self.docker.inspect_container(&container.name, None::<InspectContainerOptions>);
        let state = self.bounded("inspect", inspected).await.ok().and_then(|container| container.state);
        let killed = state.and_then(|state| state.oom_killed).unwrap_or(false);
        match code {
            _ if killed => format!("exit status: {code} (out of memory)"),
            137 => "signal: 9 (SIGKILL)".to_owned(),
            143 => "signal: 15 (SIGTERM)".to_owned(),
            code => format!("exit status: {code}"),
        }
    }

    /// Copies what it writes into two files until it ends. Attached before it starts, so that nothing is missed or
    /// copied twice, also when it starts again.
    pub(in crate::stack) async fn follow(
        &self,
        container: &Container,
        mut stdout: File,
        mut stderr: File,
    ) -> Result<impl Future<Output = ()> + Send + 'static, EngineError> {
        let options = AttachContainerOptions { stream: true, stdout: true, stderr: true, ..Default::default() };
        let attached = self.docker.attach_container(&container.name, Some(options));
        let mut output = self.bounded(&format!("attach to container {}", container.name), attached).await?.output;
        Ok(async move {
            while let Some(Ok(output)) = output.next().await {
                // a full disk shows elsewhere; the component must not stop for it
                let _ = match output {
                    LogOutput::StdErr { message } => stderr.write_all(&message),
                    other => stdout.write_all(&other.into_bytes()),
                };
            }
        })
    }

    /// Halts all of its processes at once, with the freezer.
    pub(in crate::stack) async fn pause(&self, container: &Container) -> Result<(), EngineError> {
        let name = &container.name;
        self.bounded(&format!("pause container {name}"), self.docker.pause_container(name)).await
    }

    /// What the engine says it does.
    pub(in crate::stack) async fn look(&self, container: &Container) -> Result<Option<ContainerState>, EngineError> {
        let name = &container.name;
        let inspected = self.docker.inspect_container(name, None::<InspectContainerOptions>);
        match self.bounded(&format!("inspect container {name}"), inspected).await {
            Ok(container) => Ok(container.state),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets it go on.
    pub(in crate::stack) async fn resume(&self, container: &Container) -> Result<(), EngineError> {
        let name = &container.name;
        self.bounded(&format!("unpause container {name}"), self.docker.unpause_container(name)).await
    }

    /// Sends a signal by its name, `SIGTERM`; to a container that has ended, nothing.
    pub(in crate::stack) async fn kill(&self, container: &Container, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        let killed = self.docker.kill_container(&container.name, Some(options));
        match self.bounded(&format!("kill container {}", container.name), killed).await {
            Err(error) if !error.is_gone() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes it, whatever it does; one that is gone is fine.
    pub(in crate::stack) async fn remove(&self, container: &Container) -> Result<(), EngineError> {
        match self.remove_container(&container.name).await {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }
}
