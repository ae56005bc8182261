//! The part of a running stack that is different in containers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Signal, getgid, getuid};

use super::allocation::{Allocation, CONFIG, DATA, Inside};
use super::error::StartError;
use super::running::Running;
use super::supervisor::{Launch, Process};
use super::unprivileged::NOBODY;
use crate::breakpoint;
use crate::stack::docker::{Container, Engine, EngineError, Mount, Plan, Writable};
use crate::stack::journal::Entry;
use crate::stack::port;
use crate::stack::session::Leftover;

/// For the engine to see a killed container's end.
const END_WITHIN: Duration = Duration::from_secs(10);

/// What to do to a container's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    Pause,
    Resume,
}

impl Allocation {
    /// The scenario's name, as far as names of resources go.
    pub(super) fn scenario(&self) -> &str {
        self.part.rsplit_once('/').map_or(self.part.as_str(), |(_, scenario)| scenario)
    }

    /// The folder a container sees at [`CONFIG`], and the config's file in it, if it is a file: with its neighbours, so
    /// that rule files and templates are found.
    pub(super) fn config_mount(&self, component: &str) -> Option<(PathBuf, Option<String>)> {
        let config = self.config(component)?;
        if config.is_dir() {
            return Some((config, None));
        }
        let file = config.file_name()?.to_str()?.to_owned();
        Some((config.parent()?.to_path_buf(), Some(file)))
    }
}

impl Running {
    /// Creates the container, or takes the one that ended, and starts it.
    pub(super) async fn spawn_container(
        &self,
        engine: &Engine,
        name: &str,
        launch: &Launch,
    ) -> Result<Process, StartError> {
        let failed = |source| StartError::Engine { component: name.to_owned(), source };
        // one that starts again does not queue: the end of a fault is measured
        let (container, turn) = match self.process(name).and_then(|process| process.container) {
            Some(container) => (container, None),
            None => {
                let turn = engine.turn().await;
                let plan = self.container_plan(name, launch)?;
                self.session.record(&Entry::Container(plan.name.clone()))?;
                let created = engine.create(plan).await.map_err(failed)?;
                breakpoint::reached("created");
                (created, turn)
            }
        };
        let logs = self.logs(name);
        let from = logs.positions();
        let spawn = |source| StartError::Spawn { component: name.to_owned(), program: launch.program.clone(), source };
        let (stdout, stderr) = logs.open().map_err(spawn)?;
        let copying = tokio::spawn(engine.follow(&container, stdout, stderr).await.map_err(failed)?);
        let identity = engine.start(&container).await.map_err(|source| self.refused(name, source))?;
        drop(turn);
        let (engine, waited) = (engine.clone(), container.clone());
        let end = async move {
            let ended = engine.ended(&waited).await.0;
            // its last lines are part of its end
            let _ = tokio::time::timeout(END_WITHIN, copying).await;
            ended
        };
        let process = Process::watched(identity, Some(container), from, end, self.unasked(name));
        self.keep(name, &process);
        Ok(process)
    }

    /// An engine that cannot publish a port does not say who has it.
    fn refused(&self, name: &str, source: EngineError) -> StartError {
        let words = source.to_string();
        let component = name.to_owned();
        if words.contains("already in use") || words.contains("already allocated") {
            let holder = |(_, at): (u16, SocketAddr)| Some(format!("{at} is taken by {}", port::holder(at.port())?));
            let taken: Vec<String> = self.allocation.published(name).into_iter().filter_map(holder).collect();
            if !taken.is_empty() {
                return StartError::PortTaken { component, taken: taken.join(", "), source };
            }
        }
        StartError::Engine { component, source }
    }

    fn container_plan(&self, name: &str, launch: &Launch) -> Result<Plan, StartError> {
        let allocation = &self.allocation;
        let unknown = || StartError::Unknown(name.to_owned());
        let contained = allocation.prepared.contained.get(name).ok_or_else(unknown)?;
        let Inside { network, addresses } = allocation.inside().ok_or_else(unknown)?.clone();
        let component = allocation.prepared.spec.components.get(name).ok_or_else(unknown)?;
        let image = component.image.as_ref();
        let user = image.and_then(|image| image.user.clone()).unwrap_or_else(own_user);
        let data = launch.folder.join("data");
        let refused = |source| StartError::Spawn { component: name.to_owned(), program: data.clone(), source };
        hand_over(&data, &user).map_err(refused)?;
        let mount = |from: &Path, to: &str, writable| Mount { from: from.to_path_buf(), to: to.to_owned(), writable };
        let mut mounts = vec![mount(&data, DATA, Writable::Yes)];
        if let Some((folder, _)) = allocation.config_mount(name) {
            mounts.push(mount(&folder, CONFIG, Writable::No));
        }
        if let Some(folder) = allocation.stack_mount(name) {
            // where this machine has it, so that what a configuration names in it by its absolute path is found
            mounts.push(mount(folder, &folder.display().to_string(), Writable::No));
        }
        if let (Some(program), Some(at)) = (&contained.program, &contained.entrypoint) {
            mounts.push(mount(program, at, Writable::No));
        }
        Ok(Plan {
            name: format!("harness-{}-{name}", allocation.part.replace('/', "-")),
            component: name.to_owned(),
            run: self.session.run().to_owned(),
            scenario: allocation.scenario().to_owned(),
            image: contained.image.clone(),
            entrypoint: contained.entrypoint.clone(),
            arguments: launch.arguments.clone(),
            environment: launch.environment.clone().into_iter().collect(),
            user,
            address: addresses.get(name).copied().ok_or_else(unknown)?,
            network,
            ports: allocation.published(name),
            mounts,
            limits: component.limits,
        })
    }

    /// Removes what the scenario has in the engine, once every container has ended.
    pub(super) async fn remove_network(&self, started: &BTreeMap<String, Process>) -> Vec<Leftover> {
        let (Some(engine), Some(inside)) = (self.allocation.prepared.engine(), self.allocation.inside()) else {
            return Vec::new();
        };
        let left = |resource: String, error: &EngineError| Leftover { resource, message: error.to_string() };
        let mut leftovers = Vec::new();
        let containers = started.values().filter_map(|process| process.container.as_ref());
        let removals = containers.map(async |container| {
            let _turn = engine.turn().await;
            (container, engine.remove(container).await)
        });
        for (container, removed) in futures_util::future::join_all(removals).await {
            if let Err(error) = removed {
                leftovers.push(left(format!("container {}", container.name), &error));
            }
        }
        if let Err(error) = engine.remove_network(&inside.network.name).await {
            leftovers.push(left(format!("network {}", inside.network.name), &error));
        }
        leftovers
    }
}

/// The harness's own user, or nobody when that is root.
fn own_user() -> String {
    let (user, group) = (getuid(), getgid());
    if user.is_root() { format!("{NOBODY}:{NOBODY}") } else { format!("{}:{}", user.as_raw(), group.as_raw()) }
}

/// Gives a data folder to the user a container runs as; only root can, and only root needs to.
fn hand_over(data: &Path, user: &str) -> io::Result<()> {
    if !getuid().is_root() {
        return Ok(());
    }
    let (user, group) = user.split_once(':').unwrap_or((user, user));
    chown(data, user.parse().ok(), group.parse().ok())
}

/// Freezes it or lets it go on.
pub(super) async fn freeze(engine: &Engine, container: &Container, process: &Process, halt: Halt) -> io::Result<()> {
    let done = match halt {
        Halt::Pause => engine.pause(container).await,
        Halt::Resume => engine.resume(container).await,
    };
    done.map_err(io::Error::other)?;
    process.set_frozen(halt == Halt::Pause);
    Ok(())
}

/// Resumes it if need be, asks it to end, and after `grace` kills it.
pub(super) async fn end_container(
    engine: &Engine,
    container: &Container,
    process: &Process,
    first: Signal,
    grace: Duration,
) -> Vec<Leftover> {
    if process.is_frozen() {
        // a refusal shows below
        let _ = engine.resume(container).await;
        process.set_frozen(false);
    }
    let asks = first != Signal::KILL && process.status().is_none();
    if asks && engine.kill(container, "SIGTERM").await.is_ok() {
        let _ = tokio::time::timeout(grace, process.end()).await;
    }
    if process.status().is_some() {
        return Vec::new();
    }
    let killed = engine.kill(container, "SIGKILL").await;
    let within = if killed.is_ok() { END_WITHIN } else { Duration::ZERO };
    match tokio::time::timeout(within, process.end()).await {
        Ok(_) => Vec::new(),
        Err(_) => {
            let message = killed.err().map_or_else(|| "does not end".to_owned(), |error| error.to_string());
            vec![Leftover { resource: format!("container {}", container.name), message }]
        }
    }
}
