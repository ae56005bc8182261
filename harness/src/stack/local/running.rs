//! A running stack: started in dependency order, side by side where there is none; stopped in reverse.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use rustix::process::Signal;
use tokio::sync::watch;

use super::allocation::{Allocation, AllocationError};
use super::contained::end_container;
use super::error::StartError;
use super::evidence::Evidence;
use super::log::Logs;
use super::look::State;
use super::supervisor::{Launch, Process, is_empty};
use crate::breakpoint;
use crate::clock;
use crate::stack::journal::Entry;
use crate::stack::notice::{Change, Fact, Notices};
use crate::stack::process::{self, Family, Identity, PART_MARK};
use crate::stack::ready::{self, Condition};
use crate::stack::session::{Leftover, Session};
use crate::stack::spec::{self, Component, ReadyCondition, Role};
use crate::trust::Access;

/// How long a component may take to become ready when its table does not say.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long `init` may take.
const INIT_WITHIN: Duration = Duration::from_secs(60);

/// A stack that runs, or is about to. Share it as an [`Arc`].
#[derive(Debug)]
pub struct Running {
    pub(super) allocation: Allocation,
    pub(super) session: Arc<Session>,
    logs: PathBuf,
    pub(super) notices: Notices,
    client: reqwest::Client,
    pub(super) processes: Arc<Processes>,
    evidence: Evidence,
}

/// What was started, by component.
pub(super) type Processes = Mutex<BTreeMap<String, Process>>;

impl Running {
    pub(super) const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Nothing is started yet. Each component's output goes to `<logs>/<component>.log` and `<component>.stderr.log`. Must be
    /// called inside a runtime: what happens to the components and what they use is told from now on.
    #[must_use]
    pub fn new(allocation: Allocation, session: Arc<Session>, logs: &Path, notices: Notices) -> Self {
        let (logs, processes) = (logs.to_path_buf(), Arc::default());
        let evidence = Evidence::gather(&allocation, &session, &processes, &notices);
        Self { allocation, session, logs, notices, client: ready::client(), processes, evidence }
    }

    /// What the stack was given.
    #[must_use]
    pub fn allocation(&self) -> &Allocation {
        &self.allocation
    }

    /// Starts every component once what it needs is ready, and waits until all are ready.
    ///
    /// # Errors
    /// The first failure; the rest is not started then. What was started stays until [`Running::stop_all`].
    pub async fn start_all(&self) -> Result<(), StartError> {
        let ready: BTreeMap<String, watch::Sender<bool>> =
            self.allocation.components().map(|name| (name.to_owned(), watch::channel(false).0)).collect();
        let one = async |name: &String| {
            for need in self.needs(name) {
                if let Some(ready) = ready.get(&need) {
                    // the sender lives as long as this function
                    let _ = ready.subscribe().wait_for(|ready| *ready).await;
                }
            }
            self.start(name).await?;
            ready[name].send_replace(true);
            Ok(())
        };
        // where components queue, those go first that others wait for, and before them Prometheus, which looks for its targets
        // seconds after it is ready
        let components = &self.allocation.prepared.spec.components;
        let needed: BTreeSet<String> = ready.keys().flat_map(|name| self.needs(name)).collect();
        let is_prometheus = |name: &String| components.get(name).is_some_and(|it| it.role == Some(Role::Prometheus));
        let mut order: Vec<&String> = ready.keys().collect();
        order.sort_by_key(|name| (!is_prometheus(name), !needed.contains(*name)));
        try_join_all(order.into_iter().map(one)).await.map(|_: Vec<()>| ())
    }

    /// Starts one component, again after it ended, on the same ports and data, and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready in time.
    pub async fn start(&self, name: &str) -> Result<(), StartError> {
        let spec = &self.allocation.prepared.spec;
        let component = spec.components.get(name).ok_or_else(|| StartError::Unknown(name.to_owned()))?;
        if matches!(self.state(name), State::Runs | State::Paused) {
            return Err(StartError::RunsAlready(name.to_owned()));
        }
        let begun = clock::instant();
        let hand_over = |source| StartError::HandOver { component: name.to_owned(), source };
        self.allocation.hand_over(name).map_err(hand_over)?;
        let launch = self.launch(name)?;
        self.session.record(&Entry::Starting(name.to_owned()))?;
        self.initialise(name, component, &launch).await?;
        let process = match self.allocation.prepared.engine() {
            None => self.spawn(name, &launch)?,
            Some(engine) => self.spawn_container(engine, name, &launch).await?,
        };
        self.notices.tell(self.started(name));
        breakpoint::reached("component-started");
        self.wait_until_ready(name, component, &process).await?;
        self.notices.tell(Fact::Ready { component: name.to_owned(), took: clock::instant().duration_since(begun) });
        if let Some(status) = process.watch() {
            let last_lines = self.last_lines(name, &process.logs_from);
            self.notices.tell(Fact::Exited { component: name.to_owned(), status, last_lines });
        }
        Ok(())
    }

    fn needs(&self, name: &str) -> Vec<String> {
        self.allocation.selection.needs(&self.allocation.prepared.spec, name)
    }

    pub(super) fn logs(&self, name: &str) -> Logs {
        Logs::of(&self.logs, name)
    }

    fn launch(&self, name: &str) -> Result<Launch, StartError> {
        let allocation = &self.allocation;
        let (spec, selection) = (&allocation.prepared.spec, &allocation.selection);
        let located = allocation.program(name).ok_or_else(|| StartError::Unknown(name.to_owned()))?;
        let variant = selection.variant(spec, name);
        let written = located.arguments.iter().chain(variant.into_iter().flat_map(|variant| &variant.args));
        let mut arguments = written.map(|text| allocation.render_within(name, text)).collect::<Result<Vec<_>, _>>()?;
        arguments.extend(allocation.extra_arguments.get(name).into_iter().flatten().cloned());
        let environment = selection.environment(spec, name).into_iter();
        let environment = environment.map(|(key, text)| Ok((key.to_owned(), allocation.render_within(name, text)?)));
        Ok(Launch {
            program: located.program,
            arguments,
            environment: environment.collect::<Result<_, AllocationError>>()?,
            folder: allocation.folder(name).ok_or_else(|| StartError::Unknown(name.to_owned()))?.to_path_buf(),
            run: self.session.run().to_owned(),
            part: self.part(name),
            libraries: located.libraries,
            root: located.root,
            user: allocation.user(name),
        })
    }

    pub(super) fn part(&self, name: &str) -> String {
        format!("{}/{name}", self.allocation.part)
    }

    async fn initialise(&self, name: &str, component: &Component, launch: &Launch) -> Result<(), StartError> {
        let Some(init) = component.init.as_ref().filter(|_| self.allocation.inside().is_none()) else { return Ok(()) };
        if !self.allocation.data(name).is_some_and(|data| is_empty(&data)) {
            return Ok(());
        }
        let words = init.iter().map(|text| self.allocation.render_within(name, text)).collect::<Result<Vec<_>, _>>()?;
        let Some((program, arguments)) = words.split_first() else { return Ok(()) };
        // a tool of the component lies beside its program when it came with it, for a script too
        let beside = launch.program.with_file_name(program);
        let program = if beside.exists() { beside } else { PathBuf::from(program) };
        let failed = |source| StartError::Spawn { component: name.to_owned(), program: program.clone(), source };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = launch.program.parent().map(Path::to_path_buf).into_iter().chain(std::env::split_paths(&path));
        let path = std::env::join_paths(path).map_err(|error| failed(io::Error::other(error)))?;
        let mut init = Launch { program: program.clone(), arguments: arguments.to_vec(), ..launch.clone() };
        init.environment.insert("PATH".to_owned(), path.to_string_lossy().into_owned());
        let logs = self.logs(name);
        let from = logs.positions();
        let ended = tokio::time::timeout(INIT_WITHIN, init.run(&logs)).await;
        let status =
            ended.unwrap_or_else(|_| Ok(Err(format!("`init` did not end within {INIT_WITHIN:?}")))).map_err(failed)?;
        status.map_err(|status| self.exited(name, status, &from))
    }

    fn spawn(&self, name: &str, launch: &Launch) -> Result<Process, StartError> {
        let session = Arc::clone(&self.session);
        // the mark in its environment stands in for a group that could not be written down
        let journal = |group: super::supervisor::Journalled| drop(self.session.record(&Entry::Group(group.0)));
        let (notices, component) = (self.notices.clone(), name.to_owned());
        let ended = move |identity: Identity, words: &str| {
            drop(session.record(&Entry::Ended(identity)));
            notices.tell(Fact::Changed { component, change: Change::Ended, detail: words.to_owned() });
        };
        let failed = |source| StartError::Spawn { component: name.to_owned(), program: launch.program.clone(), source };
        let process = launch.start(&self.logs(name), journal, self.unasked(name), ended).map_err(failed)?;
        self.keep(name, &process);
        let detail = process.identity.map_or_else(String::new, |identity| format!("process {}", identity.pid));
        self.notices.tell(Fact::Changed { component: name.to_owned(), change: Change::Started, detail });
        Ok(process)
    }

    /// What tells that a component ended although nobody asked it to.
    pub(super) fn unasked(&self, name: &str) -> impl FnOnce(String) + Send + 'static {
        let (notices, component, logs) = (self.notices.clone(), name.to_owned(), self.logs(name));
        let (from, secrets) = (logs.positions(), self.allocation.redactor());
        move |status| {
            let last_lines = logs.last_lines(&from).iter().map(|line| secrets.redact(line)).collect();
            notices.tell(Fact::Exited { component, status, last_lines });
        }
    }

    pub(super) fn keep(&self, name: &str, process: &Process) {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), process.clone());
    }

    fn started(&self, name: &str) -> Fact {
        let located = self.allocation.prepared.located(name);
        let text = |of: fn(&super::Located) -> &String| located.map(of).cloned().unwrap_or_default();
        Fact::Started {
            component: name.to_owned(),
            version: text(|located| &located.version),
            source: text(|located| &located.source),
            addresses: self.allocation.addresses(name),
        }
    }

    async fn wait_until_ready(&self, name: &str, component: &Component, process: &Process) -> Result<(), StartError> {
        let access = self.allocation.prepared.spec.access(name);
        let access = access.map_err(|source| StartError::Access { component: name.to_owned(), source })?;
        let ready = component.ready.iter();
        let conditions = ready.map(|condition| self.condition(name, condition.get_ref(), process, &access));
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
        let within = component.ready_within.unwrap_or(READY_WITHIN);
        let (last, answer) = watch::channel("nothing was asked yet".to_owned());
        tokio::select! {
            biased;
            status = process.end() => Err(self.exited(name, status, &process.logs_from)),
            () = ready::wait(&conditions, &self.client, &last) => Ok(()),
            () = tokio::time::sleep(within) => {
                let last_answer = self.allocation.redact(&answer.borrow());
                let last_lines = self.last_lines(name, &process.logs_from);
                Err(StartError::NotReady { component: name.to_owned(), within, last_answer, last_lines })
            }
        }
    }

    fn condition(
        &self,
        name: &str,
        written: &ReadyCondition,
        process: &Process,
        access: &Access,
    ) -> Result<Condition, AllocationError> {
        let render = |text| self.allocation.render_for(name, text);
        if let Some(url) = &written.http {
            let (status, contains) = (written.status.unwrap_or(200), written.contains.clone());
            return Ok(Condition::Http { url: render(url)?, status, contains, access: access.clone() });
        }
        if let Some(address) = &written.tcp {
            let (send, expect) = (written.send.clone(), written.expect.clone());
            return Ok(Condition::Tcp { address: render(address)?, send, expect });
        }
        let pattern =
            regex::Regex::new(written.log.as_deref().unwrap_or_default()).expect("the spec's check compiled it");
        Ok(Condition::Log { pattern, files: process.logs_from.clone() })
    }

    fn exited(&self, name: &str, status: String, from: &[(PathBuf, u64)]) -> StartError {
        StartError::Exited { component: name.to_owned(), status, last_lines: self.last_lines(name, from) }
    }

    fn last_lines(&self, name: &str, from: &[(PathBuf, u64)]) -> Vec<String> {
        self.logs(name).last_lines(from).iter().map(|line| self.allocation.redact(line)).collect()
    }

    pub(super) fn process(&self, name: &str) -> Option<Process> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The file a component's log lines go to, whether it has any yet or not.
    #[must_use]
    pub fn log_of(&self, name: &str, from: spec::Logs) -> PathBuf {
        let Logs { stdout, stderr } = self.logs(name);
        match from {
            spec::Logs::Stdout => stdout,
            spec::Logs::Stderr => stderr,
        }
    }

    /// A component's last lines since it was started last.
    #[must_use]
    pub fn last_lines_of(&self, name: &str) -> Vec<String> {
        self.process(name).map(|process| self.last_lines(name, &process.logs_from)).unwrap_or_default()
    }

    pub(super) fn running(&self, name: &str) -> io::Result<Process> {
        let running = self.process(name).filter(|process| process.status().is_none());
        running.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name} does not run")))
    }

    /// Kills a component's group with `SIGKILL` and waits for its end; its status in words.
    ///
    /// # Errors
    /// When it does not run or the kernel refuses.
    pub async fn kill(&self, name: &str) -> io::Result<String> {
        self.end(name, Signal::KILL, Duration::ZERO).await
    }

    /// Asks a component to end and kills what is left after `grace`; its status in words.
    ///
    /// # Errors
    /// When it does not run or the kernel refuses.
    pub async fn terminate(&self, name: &str, grace: Duration) -> io::Result<String> {
        self.end(name, Signal::TERM, grace).await
    }

    async fn end(&self, name: &str, first: Signal, grace: Duration) -> io::Result<String> {
        let process = self.running(name)?;
        process.expect_end();
        let left = self.end_process(name, &process, first, grace).await;
        if let Some(left) = left.first() {
            return Err(io::Error::other(format!("{}: {}", left.resource, left.message)));
        }
        Ok(process.end().await)
    }

    /// The leader first, with time to end in order; then whatever else is left of the group.
    async fn end_process(&self, name: &str, process: &Process, first: Signal, grace: Duration) -> Vec<Leftover> {
        if let (Some(engine), Some(container)) = (self.allocation.prepared.engine(), &process.container) {
            return end_container(engine, container, process, first, grace).await;
        }
        let Some(identity) = process.identity else { return Vec::new() };
        let part = self.part(name);
        // whom it has started is known before it is gone
        let look = move || Family::of(&[identity], (PART_MARK, &part));
        let family = tokio::task::spawn_blocking(look).await;
        // a refusal shows as a survivor
        let _ = process::signal_group(identity, first);
        let _ = process::halt(identity, Signal::CONT);
        let _ = tokio::time::timeout(grace, process.end()).await;
        let kill = move || family.map(|mut family| family.end(Duration::ZERO));
        let left = tokio::task::spawn_blocking(kill).await.and_then(|left| left).unwrap_or_default();
        let leftover = |stat: process::Stat| Leftover {
            resource: format!("process {} of {name}", stat.identity.pid),
            message: format!("does not end (state {})", stat.state),
        };
        left.into_iter().map(leftover).collect()
    }

    /// Stops everything, in reverse order of need, side by side where there is none: asks, and after `grace` kills.
    /// Returns what could not be removed.
    pub async fn stop_all(&self, grace: Duration) -> Vec<Leftover> {
        let started: BTreeMap<String, Process> = self.processes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        started.values().for_each(Process::expect_end);
        let stopped: BTreeMap<&String, watch::Sender<bool>> =
            started.keys().map(|name| (name, watch::channel(false).0)).collect();
        let one = async |(name, process): (&String, &Process)| {
            for dependent in started.keys().filter(|other| self.needs(other).contains(name)) {
                // the sender lives as long as this function
                let _ = stopped[dependent].subscribe().wait_for(|stopped| *stopped).await;
            }
            let left = self.end_process(name, process, Signal::TERM, grace).await;
            breakpoint::reached("tearing-down");
            stopped[name].send_replace(true);
            left
        };
        let mut left: Vec<Leftover> = join_all(started.iter().map(one)).await.into_iter().flatten().collect();
        left.extend(self.remove_network(&started).await);
        started.values().filter(|process| process.status().is_none()).for_each(Process::give_up);
        self.evidence.finish().await;
        left
    }
}

#[cfg(test)]
impl Running {
    /// Waits for a component's end, however it comes.
    pub(super) async fn process_end(&self, name: &str) {
        self.process(name).unwrap().end().await;
    }
}
