//! The container engine: what the stack asks of it, with every call bounded.
//!
//! Everything that is created carries the run's id as a label and is journalled by name before it exists; whatever the
//! harness loses track of is found again by the label.

pub mod about;
mod container;
pub mod image;
mod network;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{SystemInfoCgroupDriverEnum, SystemVersion};
use bollard::query_parameters::{
    ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions,
};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(super) use self::container::{Container, Mount, Plan, Writable};
use self::container::{Init, Interface, Means, Parent};
pub use self::image::{ImageError, Pull, Recipe, Resolved};
pub(super) use self::network::Network;
use super::session::Leftover;

/// The label of everything a run creates; its value is the run's id.
pub const RUN_LABEL: &str = "harness.run";
/// The label of a container; its value is the component's name.
pub const COMPONENT_LABEL: &str = "harness.component";

/// The label of a container; its value is the scenario's name.
pub const SCENARIO_LABEL: &str = "harness.scenario";

/// For any one call.
const PATIENCE: Duration = Duration::from_secs(30);
/// For any call after one that was not answered.
const IMPATIENCE: Duration = Duration::from_secs(2);
/// For containers that the engine is still creating for a harness that is gone.
const LATECOMERS: Duration = Duration::from_secs(2);
/// For finding out whether there is an engine at all.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// Why the engine did not do something.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It is not there, or does not let this user in.
    #[error("reach the container engine: {0}; `harness doctor` says more, `--stack local` does without")]
    Unreachable(String),
    /// `DOCKER_HOST` names an engine of another machine.
    #[error(
        "use the container engine at {0}: drills use engines of this machine only, because components get folders and ports \
         of this machine and load goes to nobody else; unset DOCKER_HOST, or take --stack local"
    )]
    Remote(String),
    /// It refused.
    #[error("{what}: {}", said(.source))]
    Refused {
        /// What it was asked for.
        what: String,
        /// Its answer.
        source: bollard::errors::Error,
    },
    /// It did not answer in time.
    #[error("{what}: the container engine did not answer within {within:?}")]
    Hangs {
        /// What it was asked for.
        what: String,
        /// The bound.
        within: Duration,
    },
}

/// The engine's own words, without the wrapper.
fn said(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// A container engine that answered.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
    version: String,
    pull: Pull,
    means: Means,
    turns: Arc<Semaphore>,
    health: Arc<Health>,
}

/// Docker says so itself; Podman answers as an engine of its own.
fn interface(version: &SystemVersion) -> Interface {
    let components = version.components.iter().flatten();
    let newer = version.api_version.as_deref().and_then(|api| api.strip_prefix("1.")?.parse::<u32>().ok());
    match newer {
        _ if !components.map(|component| &*component.name).any(|name| name == "Engine") => Interface::Fixed,
        Some(minor) if minor < 46 => Interface::Container,
        _ => Interface::Endpoint,
    }
}

/// Whether the engine answered the last time.
#[derive(Debug, Default)]
struct Health(AtomicBool);

impl Health {
    /// How long to wait for an answer: an engine that has let one call down gets little time for the next, so that the end
    /// of a run does not take half a minute for each container.
    fn patience(&self) -> Duration {
        if self.0.load(Ordering::SeqCst) { IMPATIENCE } else { PATIENCE }
    }

    fn hangs(&self, hangs: bool) {
        self.0.store(hangs, Ordering::SeqCst);
    }
}

impl Engine {
    /// Connects to the engine of `DOCKER_HOST`, else of the default socket.
    ///
    /// # Errors
    /// When none answers within 5 s.
    pub async fn connect() -> Result<Self, EngineError> {
        if let Some(remote) = std::env::var("DOCKER_HOST").ok().filter(|host| is_remote(host)) {
            return Err(EngineError::Remote(remote));
        }
        let reach = async {
            let docker = Docker::connect_with_local_defaults()?.with_timeout(PATIENCE).negotiate_version().await?;
            let (version, info) = tokio::try_join!(docker.version(), docker.info())?;
            // without its program, the engine says that it is of no commit
            let init = info.init_commit.and_then(|commit| commit.id).is_some_and(|id| !matches!(&*id, "" | "N/A"));
            let init = if init { Init::Yes } else { Init::No };
            let interface = interface(&version);
            let groups = info.cgroup_driver == Some(SystemInfoCgroupDriverEnum::CGROUPFS);
            let parent = if groups && interface != Interface::Fixed { Parent::Root } else { Parent::Engine };
            let means = Means { init, interface, parent };
            let version = version.version.unwrap_or_else(|| "unknown".to_owned());
            Ok::<_, bollard::errors::Error>(Self {
                docker,
                version,
                pull: Pull::default(),
                means,
                turns: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from))),
                health: Arc::default(),
            })
        };
        match tokio::time::timeout(FIRST_ANSWER, reach).await {
            Ok(Ok(engine)) => Ok(engine),
            Ok(Err(error)) => Err(EngineError::Unreachable(said(&error))),
            Err(_) => Err(EngineError::Unreachable(format!("no answer within {FIRST_ANSWER:?}"))),
        }
    }

    /// The same engine, with another answer to when images are pulled.
    #[must_use]
    pub fn pulling(self, pull: Pull) -> Self {
        Self { pull, ..self }
    }

    fn pull_policy(&self) -> Pull {
        self.pull
    }

    /// A turn to make or remove a container: as many at once as there are cores, so that the stacks that come and go leave
    /// those under drill room to be measured.
    pub(in crate::stack) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Removes every container, network and volume with the run's label. Returns what was removed and what is left.
    pub async fn clean(&self, run: &str) -> (Vec<String>, Vec<Leftover>) {
        let mut done = Clean::default();
        match self.containers(run).await {
            Ok(names) => {
                let removals = names.iter().map(|name| self.remove_container(name));
                let results = futures_util::future::join_all(removals).await;
                names.iter().zip(results).for_each(|(name, result)| done.note("container", name, result));
            }
            Err(error) => done.fail("containers", &error),
        }
        match self.networks(run).await {
            Ok(names) => {
                for name in names {
                    let removed = self.docker.remove_network(&name);
                    done.note("network", &name, self.bounded(&format!("remove network {name}"), removed).await);
                }
            }
            Err(error) => done.fail("networks", &error),
        }
        match self.volumes(run).await {
            Ok(names) => {
                for name in names {
                    let removed = self.docker.remove_volume(&name, None::<RemoveVolumeOptions>);
                    done.note("volume", &name, self.bounded(&format!("remove volume {name}"), removed).await);
                }
            }
            Err(error) => done.fail("volumes", &error),
        }
        (done.removed, done.left)
    }

    /// The ids of a run's containers, also of those that ended.
    pub(super) async fn containers(&self, run: &str) -> Result<Vec<String>, EngineError> {
        let options = ListContainersOptions { all: true, filters: Some(of_run(run)), ..Default::default() };
        let found = self.bounded("list containers", self.docker.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(|container| container.id).collect())
    }

    /// The ids of a run's networks.
    pub(super) async fn networks(&self, run: &str) -> Result<Vec<String>, EngineError> {
        let options = ListNetworksOptions { filters: Some(of_run(run)) };
        let found = self.bounded("list networks", self.docker.list_networks(Some(options))).await?;
        Ok(found.into_iter().filter_map(|network| network.id).collect())
    }

    async fn volumes(&self, run: &str) -> Result<Vec<String>, EngineError> {
        let options = ListVolumesOptions { filters: Some(of_run(run)) };
        let found = self.bounded("list volumes", self.docker.list_volumes(Some(options))).await?;
        Ok(found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
    }

    /// One call with its bound.
    async fn bounded<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, EngineError> {
        let within = self.health.patience();
        let answered = bounded_by(within, what, call).await;
        self.health.hangs(matches!(answered, Err(EngineError::Hangs { .. })));
        answered
    }

    /// Removes a container with its anonymous volumes, also a running or paused one.
    async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        self.bounded(&format!("remove container {name}"), self.docker.remove_container(name, Some(options))).await
    }
}

/// [`Engine::clean`] for those who have no runtime: the reaper, the sweep, a session's end. Blocks.
pub(super) fn clean_blocking(run: &str) -> (Vec<String>, Vec<Leftover>) {
    let clean = || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let engine = Engine::connect().await.map_err(|error| error.to_string())?;
            let (mut removed, _) = engine.clean(run).await;
            // what a killed harness had asked for may still come into being, and keep its network from going
            tokio::time::sleep(LATECOMERS).await;
            let (more, left) = engine.clean(run).await;
            removed.extend(more);
            Ok((removed, left))
        })
    };
    // a thread of its own: the caller may be inside a runtime
    let cleaned = std::thread::scope(|scope| scope.spawn(clean).join());
    cleaned.unwrap_or_else(|_| Err("the clean-up itself failed".to_owned())).unwrap_or_else(|message: String| {
        (Vec::new(), vec![Leftover { resource: format!("containers and networks of run {run}"), message }])
    })
}

#[derive(Default)]
struct Clean {
    removed: Vec<String>,
    left: Vec<Leftover>,
}

impl Clean {
    fn note(&mut self, kind: &str, name: &str, result: Result<(), EngineError>) {
        let resource = format!("{kind} {}", name.chars().take(24).collect::<String>());
        match result {
            Err(error) if !error.is_gone() => self.left.push(Leftover { resource, message: error.to_string() }),
            _ => self.removed.push(resource),
        }
    }

    fn fail(&mut self, kind: &str, error: &EngineError) {
        self.left.push(Leftover { resource: kind.to_owned(), message: error.to_string() });
    }
}

impl EngineError {
    /// Whether the engine says that there is no such thing (any more).
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Refused { source: bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }, .. }
        )
    }

    /// Whether the engine says that it is done already, or being done.
    fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                source: bollard::errors::Error::DockerResponseServerError { status_code: 304 | 409, .. },
                ..
            }
        )
    }
}

/// Whether an address of an engine leads to another machine; a socket in a folder does not.
fn is_remote(host: &str) -> bool {
    !(host.is_empty() || host.starts_with("unix://") || host.starts_with('/'))
}

fn of_run(run: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{RUN_LABEL}={run}")])])
}

/// One call with its bound.
async fn bounded<T>(
    what: &str,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    bounded_by(PATIENCE, what, call).await
}

async fn bounded_by<T>(
    within: Duration,
    what: &str,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(within, call).await {
        Ok(Ok(answer)) => Ok(answer),
        // the client has a bound of its own
        Ok(Err(bollard::errors::Error::RequestTimeoutError)) | Err(_) => {
            Err(EngineError::Hangs { what: what.to_owned(), within })
        }
        Ok(Err(source)) => Err(EngineError::Refused { what: what.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::SystemVersionComponents;

    use super::*;

    #[test]
    fn an_engine_that_is_not_reached_through_a_socket_is_remote_x23() {
        assert!(["tcp://10.0.0.7:2375", "ssh://root@build", "http://localhost:2375"].into_iter().all(is_remote));
        assert!(!["", "unix:///run/user/1000/docker.sock"].into_iter().any(is_remote));
    }

    #[test]
    fn an_interface_is_set_up_where_this_engine_takes_it() {
        let engine = |name: &str, api: &str| {
            let component = SystemVersionComponents { name: name.to_owned(), ..Default::default() };
            let (components, api_version) = (Some(vec![component]), Some(api.to_owned()));
            interface(&SystemVersion { components, api_version, ..Default::default() })
        };
        assert_eq!(engine("Engine", "1.41"), Interface::Container);
        assert_eq!(engine("Engine", "1.45"), Interface::Container);
        assert_eq!(engine("Engine", "1.46"), Interface::Endpoint);
        assert_eq!(engine("Engine", "1.51"), Interface::Endpoint);
        assert_eq!(engine("Podman Engine", "1.41"), Interface::Fixed);
        assert_eq!(interface(&SystemVersion::default()), Interface::Fixed);
    }
}
