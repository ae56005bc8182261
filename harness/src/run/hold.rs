//! Keeps a stack running for people, without a scenario: `harness stack up` starts this in the background, `harness stack
//! down` ends it. The same session, reaper and configuration rewriting as a drill.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::sink::Sink;
use super::stage::{self, Broken, Place};
use super::suite::{self, Suite, SuiteError};
use crate::clock::Clock;
use crate::event::EventKind;
use crate::plan::build::Plan;
use crate::plan::study::Stack;
use crate::stack::local::{Build, Wanted};
use crate::stack::process::{self, Identity};
use crate::stack::reaper::Program;
use crate::stack::session::Session;
use crate::stack::spec::Role;

/// How long components may take to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);

/// A stack that is kept running, as written to the state folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Held {
    /// The run's id.
    pub run: String,
    /// The process that holds it.
    pub holder: Identity,
    /// Addresses by component and port.
    pub addresses: BTreeMap<String, BTreeMap<String, String>>,
    /// The folder with configuration, logs and events.
    pub folder: PathBuf,
    /// The stack file.
    pub file: PathBuf,
}

/// Why a stack could not be held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The run could not begin.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// The programs could not be had.
    #[error(transparent)]
    Prepare(#[from] crate::stack::local::PrepareError),
    /// The stack did not come up.
    #[error("bring up the stack: {}{}", .0.message, .0.last_lines.iter().map(|line| format!("\n  {line}")).collect::<String>())]
    Broken(Box<Broken>),
    /// The state file could not be written.
    #[error("write {path}: {source}")]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The state file of the stack that is kept running.
#[must_use]
pub fn state_file(state: &Path) -> PathBuf {
    state.join("stack.json")
}

/// What is kept running now; none when nothing is, or when its holder has died.
#[must_use]
pub fn held(state: &Path) -> Option<Held> {
    let text = std::fs::read_to_string(state_file(state)).ok()?;
    let held: Held = serde_json::from_str(&text).ok()?;
    process::alive(held.holder).then_some(held)
}

/// Brings a stack up with some of its optional components, writes the state file, waits for `cancel`, and takes it down.
/// Returns what could not be removed.
///
/// # Errors
/// When it does not come up; then nothing is left.
pub async fn hold(
    stack: &Stack,
    suite: &Suite,
    with: &[String],
    cancel: CancellationToken,
) -> Result<Vec<String>, HoldError> {
    let run = suite::run_id();
    let folder = suite::make_folder(&suite.reports, &run)?;
    let sink = Sink::open(&folder, Clock::start(), None).map_err(SuiteError::from)?;
    let session =
        Arc::new(Session::open(&run, &suite.places, &Program::harness(&suite.binary)).map_err(SuiteError::from)?);
    let outcome = keep(stack, suite, with, &session, &folder, &sink, cancel).await;
    let left = match Arc::try_unwrap(session) {
        Ok(session) => tokio::task::spawn_blocking(|| session.close()).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    outcome?;
    Ok(left.into_iter().map(|it| format!("{}: {}", it.resource, it.message)).collect())
}

async fn keep(
    stack: &Stack,
    suite: &Suite,
    with: &[String],
    session: &Arc<Session>,
    folder: &Path,
    sink: &Sink,
    cancel: CancellationToken,
) -> Result<(), HoldError> {
    let (notices, heard) = suite::hear(sink);
    let wanted = Wanted {
        required: with.iter().cloned().collect(),
        build: Build::Run,
        harness: suite.binary.clone(),
        places: suite.places.clone(),
    };
    let prepared = Arc::new(suite.provider.prepare(Arc::clone(&stack.spec), session, &wanted, &notices).await?);
    let place = Place { prepared, session: Arc::clone(session), notices, folder: folder.to_path_buf() };
    let mut plan = Plan::without_scenario("stack", stack.spec.file.clone(), stack.scale.factor());
    plan.requires = with.to_vec();
    let broken = |broken| HoldError::Broken(Box::new(broken));
    let mut built = stage::build(&plan, &stack.config, &place, sink).await.map_err(broken)?;
    let lit = stage::light(&built.share(), &plan, sink, None).await;
    if let Ok(lit) = &lit {
        let sink = sink.of(&plan.name);
        let prometheus = stack.spec.with_role(Role::Prometheus).map_or("", |(name, _)| name);
        sink.tell(super::show::stack_ready(&plan.name, prometheus, lit, &sink.events(), sink.now()));
        announce(&built, suite, stack, folder, session.run())?;
        let mut record = super::record::Record::default();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(message) = built.mail.recv() => sink.tell_at(message.received, record.message(&message)),
            }
        }
        drop(std::fs::remove_file(state_file(&suite.places.state)));
    }
    for left in built.running.stop_all(GRACE).await {
        sink.tell(EventKind::LeftBehind { resource: left.resource, message: left.message });
    }
    drop((built, place));
    drop(heard.await);
    lit.map(drop).map_err(broken)
}

fn announce(built: &stage::Built, suite: &Suite, stack: &Stack, folder: &Path, run: &str) -> Result<(), HoldError> {
    let allocation = built.running.allocation();
    let addresses = allocation.components().map(|name| (name.to_owned(), allocation.addresses(name))).collect();
    let file = std::path::absolute(&stack.spec.file).unwrap_or_else(|_| stack.spec.file.clone());
    let (run, folder) = (run.to_owned(), folder.to_path_buf());
    let held = Held { run, holder: process::own(), addresses, folder, file };
    let path = state_file(&suite.places.state);
    let text = serde_json::to_vec_pretty(&held).unwrap_or_default();
    std::fs::write(&path, text).map_err(|source| HoldError::State { path, source })
}
