//! Many scenarios as one run: one id, one folder, one journal and reaper; scenarios side by side as far as the machine
//! allows. Fed by `cli` with planned scenarios, ends with an exit code and a complete event log.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::doors::Doors;
use super::drill::{self, Drill};
use super::sink::Sink;
use super::stage::Place;
use crate::clock::{self, Clock};
use crate::event::{Change, ComponentSample, Event, EventKind, Verdict};
use crate::exit_code;
use crate::outcome::Reason;
use crate::plan::study::Studied;
use crate::stack::local::{Build, PrepareError, Prepared, Wanted};
use crate::stack::notice::{self, Fact, Notice, Notices};
use crate::stack::place::Places;
use crate::stack::provider::Provider;
use crate::stack::reaper::Program;
use crate::stack::session::Session;
use crate::stack::spec::Spec;
use crate::stack::sweep::{self, Swept};

/// What to run and how.
pub struct Suite {
    /// The scenarios, in order.
    pub scenarios: Vec<Studied>,
    /// What runs the components.
    pub provider: Provider,
    /// Why that, in words.
    pub because: String,
    /// How many at the same time.
    pub jobs: usize,
    /// Where `reports/<run-id>` is made.
    pub reports: PathBuf,
    /// State, cache and temporary folders.
    pub places: Places,
    /// The harness's own binary.
    pub binary: PathBuf,
    /// Writes the reports into the run's folder.
    pub publish: Publish,
}

/// Writes reports of the events into a folder.
pub type Publish = Box<dyn Fn(&Path, &[Event]) -> io::Result<()> + Send + Sync>;

/// How it ended.
pub struct Ended {
    /// The process's exit code.
    pub exit_code: u8,
    /// The run's folder.
    pub folder: PathBuf,
    /// Everything that happened.
    pub events: Vec<Event>,
}

/// Why a run could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// No folder for the report.
    #[error("make the run's folder {path}: {source}; name another with --out")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No event log.
    #[error(transparent)]
    Log(#[from] crate::report::log::Error),
    /// No journal or reaper.
    #[error(transparent)]
    Session(#[from] crate::stack::session::SessionError),
}

impl Suite {
    /// Runs everything. `watcher` hears every event; cancelling `cancel` undoes faults, tears down and ends.
    ///
    /// # Errors
    /// Before anything was started: no folder, log, journal or reaper.
    pub async fn run(
        self,
        watcher: Option<UnboundedSender<Event>>,
        cancel: CancellationToken,
    ) -> Result<Ended, SuiteError> {
        let clock = Clock::start();
        let swept = sweep_first(&self.places).await;
        let run = run_id();
        let folder = make_folder(&self.reports, &run)?;
        let sink = Sink::open(&folder, clock, watcher)?;
        let session = Arc::new(Session::open(&run, &self.places, &Program::harness(&self.binary))?);
        self.tell_begin(&sink, &run, &swept);
        let verdicts = self.drills(&sink, &session, &folder, &cancel).await;
        Ok(finish(&sink, session, verdicts, folder, &self.publish).await)
    }

    fn tell_begin(&self, sink: &Sink, run: &str, swept: &Swept) {
        sink.tell(EventKind::RunStarted {
            run: run.to_owned(),
            harness: env!("CARGO_PKG_VERSION").to_owned(),
            time_scale: self.scenarios.first().map_or(1.0, |first| first.plan.scale),
            provider: self.provider.name().to_owned(),
            provider_because: self.because.clone(),
            machine: machine(),
            scenarios: self.scenarios.iter().map(|it| it.plan.name.clone()).collect(),
        });
        for removed in &swept.removed {
            sink.tell(EventKind::Warned { message: format!("an earlier run had left {removed}; it is removed now") });
        }
        for left in &swept.left {
            let message = format!("an earlier run left {}, and it cannot be removed: {}", left.resource, left.message);
            sink.tell(EventKind::Warned { message });
        }
    }

    async fn drills(
        &self,
        sink: &Sink,
        session: &Arc<Session>,
        folder: &Path,
        cancel: &CancellationToken,
    ) -> Vec<Verdict> {
        let (notices, heard) = hear(sink);
        let prepared = self.prepare(session, &notices, cancel).await;
        let doors = Arc::new(Doors::new(self.jobs, &self.provider));
        let mut running: JoinSet<Verdict> = JoinSet::new();
        // the longest first, so that the last to end is not one that began last
        let mut queue: Vec<&Studied> = self.scenarios.iter().collect();
        queue.sort_by_key(|studied| std::cmp::Reverse(studied.plan.reach + studied.plan.schedule.length()));
        for studied in queue {
            let own = sink.of(&studied.plan.name);
            let prepared = match prepared.get(&studied.spec.file) {
                Some(Ok(prepared)) => Arc::clone(prepared),
                Some(Err(message)) => {
                    own.tell(EventKind::StackFailed {
                        component: None,
                        reason: Reason::Provider,
                        message: message.clone(),
                        last_lines: Vec::new(),
                    });
                    own.tell(EventKind::ScenarioFinished {
                        verdict: Verdict::Environment,
                        reasons: vec![Reason::Provider],
                    });
                    running.spawn(async { Verdict::Environment });
                    continue;
                }
                None => {
                    running.spawn(async { Verdict::Interrupted });
                    continue;
                }
            };
            let drill = Drill {
                plan: Arc::clone(&studied.plan),
                config: Arc::clone(&studied.config),
                place: Place {
                    prepared,
                    session: Arc::clone(session),
                    notices: notices.clone(),
                    folder: folder.to_path_buf(),
                },
                sink: own,
                cancel: cancel.clone(),
                turn: None,
            };
            running.spawn(one(drill, Arc::clone(&doors)));
        }
        let verdicts = running.join_all().await;
        drop((prepared, notices));
        // every sender is gone now, so the listener has heard everything
        drop(heard.await);
        verdicts
    }

    /// Builds and fetches once for each stack file.
    async fn prepare(
        &self,
        session: &Session,
        notices: &Notices,
        cancel: &CancellationToken,
    ) -> BTreeMap<PathBuf, Result<Arc<Prepared>, String>> {
        let mut specs: BTreeMap<PathBuf, Arc<Spec>> = BTreeMap::new();
        for studied in &self.scenarios {
            specs.entry(studied.spec.file.clone()).or_insert_with(|| Arc::clone(&studied.spec));
        }
        let mut prepared = BTreeMap::new();
        for (file, spec) in specs {
            let required =
                self.scenarios.iter().filter(|it| it.spec.file == file).flat_map(|it| it.plan.requires.clone());
            let wanted = Wanted {
                required: required.collect(),
                build: Build::Run,
                harness: self.binary.clone(),
                places: self.places.clone(),
            };
            let one = tokio::select! {
                one = self.provider.prepare(spec, session, &wanted, notices) => one,
                () = cancel.cancelled() => break,
            };
            prepared.insert(file, one.map(Arc::new).map_err(|error| explain(&error)));
        }
        prepared
    }
}

fn explain(error: &PrepareError) -> String {
    format!("failed to {error}")
}

async fn one(mut drill: Drill, doors: Arc<Doors>) -> Verdict {
    let (place, turn) = tokio::select! {
        biased;
        () = drill.cancel.cancelled() => return Verdict::Interrupted,
        passed = doors.pass() => passed,
    };
    drill.turn = Some(turn);
    let sink = drill.sink.clone();
    let verdict = match tokio::spawn(drill.run()).await {
        Ok(judgement) => judgement.verdict,
        Err(error) => drill::crashed(&sink, &error.to_string()).verdict,
    };
    drop(place);
    verdict
}

async fn finish(
    sink: &Sink,
    session: Arc<Session>,
    mut verdicts: Vec<Verdict>,
    folder: PathBuf,
    publish: &Publish,
) -> Ended {
    let left = match Arc::try_unwrap(session) {
        Ok(session) => tokio::task::spawn_blocking(|| session.close()).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    for leftover in left {
        sink.tell(EventKind::LeftBehind { resource: leftover.resource, message: leftover.message });
        verdicts.push(Verdict::Leftovers);
    }
    if let Some(message) = sink.broken() {
        sink.tell(EventKind::Warned { message });
        verdicts.push(Verdict::Environment);
    }
    // the last event comes after the reports: who is killed while writing them leaves a log without an end, which is no pass
    let mut finished = EventKind::RunFinished { exit_code: exit_code::of_suite(&verdicts) };
    if let Err(error) = publish(&folder, &sink.with(finished.clone())) {
        let code = if error.kind() == io::ErrorKind::StorageFull { "DISK_FULL: " } else { "" };
        let message = format!("{code}failed to write the report into {}: {error}", folder.display());
        sink.tell(EventKind::Warned { message });
        verdicts.push(Verdict::Environment);
        finished = EventKind::RunFinished { exit_code: exit_code::of_suite(&verdicts) };
    }
    sink.tell(finished);
    sink.unwatch();
    Ended { exit_code: exit_code::of_suite(&verdicts), folder, events: sink.events() }
}

async fn sweep_first(places: &Places) -> Swept {
    let places = places.clone();
    tokio::task::spawn_blocking(move || sweep::sweep(&places)).await.unwrap_or_default()
}

/// Turns the stack's notices into events until every sender is gone.
pub(super) fn hear(sink: &Sink) -> (Notices, tokio::task::JoinHandle<()>) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Notice>();
    let sink = sink.clone();
    let listener = tokio::spawn(async move {
        while let Some(notice) = receiver.recv().await {
            let own = if notice.scenario.is_empty() { sink.clone() } else { sink.of(&notice.scenario) };
            own.tell_at(sink.clock().stamp(notice.at), event_of(notice.what));
        }
    });
    (Notices::new(sender), listener)
}

fn event_of(fact: Fact) -> EventKind {
    let noted = |message: String| EventKind::Progressed { message };
    match fact {
        Fact::Building { component, command } => noted(format!("building {component}: {command}")),
        Fact::Built { component, took } => noted(format!("built {component} in {:.1} s", took.as_secs_f64())),
        Fact::Fetching { what, from, bytes } => {
            let size = bytes.map_or_else(String::new, |bytes| format!(" ({:.1} MB)", bytes_as_mb(bytes)));
            noted(format!("fetching {what} from {from}{size}"))
        }
        Fact::Pulling { what, done, total } => {
            noted(format!("pulling {what}: {:.1} of {:.1} MB", bytes_as_mb(done), bytes_as_mb(total)))
        }
        Fact::Fetched { what, took } => noted(format!("fetched {what} in {:.1} s", took.as_secs_f64())),
        Fact::Started { component, version, source, addresses } => {
            EventKind::ComponentStarted { component, version, source, addresses }
        }
        Fact::Ready { component, took } => EventKind::ComponentReady { component, took },
        Fact::Exited { component, status, last_lines } => EventKind::ComponentExited { component, status, last_lines },
        Fact::Changed { component, change, detail } => {
            EventKind::ComponentChanged { component, change: change_of(change), detail }
        }
        Fact::Sampled { components } => EventKind::ComponentsSampled {
            components: components.into_iter().map(|(name, sample)| (name, sample_of(sample))).collect(),
        },
        Fact::Warned { message } => EventKind::Warned { message },
    }
}

const fn change_of(change: notice::Change) -> Change {
    match change {
        notice::Change::Created => Change::Created,
        notice::Change::Started => Change::Started,
        notice::Change::Paused => Change::Paused,
        notice::Change::Resumed => Change::Resumed,
        notice::Change::OutOfMemory => Change::OutOfMemory,
        notice::Change::Signalled => Change::Signalled,
        notice::Change::Ended => Change::Ended,
        notice::Change::Restarted => Change::Restarted,
        notice::Change::Removed => Change::Removed,
    }
}

/// To the thousandth of a core: the log has one a second.
fn sample_of(sample: notice::Sample) -> ComponentSample {
    let notice::Sample { cpu, memory, processes } = sample;
    ComponentSample { cpu: (cpu * 1e3).round() / 1e3, memory, processes }
}

#[expect(clippy::cast_precision_loss, reason = "a size shown to people")]
fn bytes_as_mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// A sortable id: the time in UTC and four random letters.
#[must_use]
pub fn run_id() -> String {
    let now = jiff::Timestamp::from_microsecond(clock::wall().0).unwrap_or_default();
    let letters: String = (0..4).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect();
    format!("{}-{letters}", now.strftime("%Y%m%d-%H%M%S"))
}

pub(super) fn make_folder(reports: &Path, run: &str) -> Result<PathBuf, SuiteError> {
    // components run in folders of their own, where a relative path would mean another place
    let absolute = std::path::absolute(reports.join(run));
    let folder = absolute.map_err(|source| SuiteError::Folder { path: reports.join(run), source })?;
    let failed = |source| SuiteError::Folder { path: folder.clone(), source };
    std::fs::create_dir_all(reports).map_err(failed)?;
    std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
    point_latest(reports, run).map_err(failed)?;
    Ok(folder)
}

/// Points `reports/latest` at the newest run, in one step; a real file or folder of that name is left alone.
fn point_latest(reports: &Path, run: &str) -> io::Result<()> {
    let link = reports.join("latest");
    match link.symlink_metadata() {
        Ok(found) if !found.file_type().is_symlink() => return Ok(()),
        _ => {}
    }
    let fresh = reports.join(format!(".latest-{run}"));
    symlink(run, &fresh)?;
    std::fs::rename(&fresh, &link)
}

/// Facts on the machine, for the report.
fn machine() -> BTreeMap<String, String> {
    let system = rustix::system::uname();
    let word = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default().trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    BTreeMap::from([
        ("kernel".to_owned(), format!("{} {}", word(system.sysname()), word(system.release()))),
        ("cores".to_owned(), cores.to_string()),
        ("memory".to_owned(), total),
    ])
}
