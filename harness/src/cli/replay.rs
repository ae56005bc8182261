//! `harness replay`: evaluates rules again against a run's recorded series.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::{complain, print};
use crate::event::{Event, EventKind};
use crate::replay::{self, Done, Problem, RuleText, export, server::Host, show};
use crate::report;
use crate::run::suite;
use crate::stack::place::Places;
use crate::stack::program;
use crate::stack::reaper::Program;
use crate::stack::session::Session;
use crate::telemetry::recording::{Extent, Header, Recording};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The run's folder or id; `latest` is the newest.
    #[arg(default_value = "latest")]
    run: String,
    /// Only this scenario of the run.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Rule files to evaluate instead of those of the run, as production has them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Writes the run as a test for `promtool test rules`; needs a single scenario.
    #[arg(long, value_name = "FILE")]
    export_test: Option<PathBuf>,
    /// The Prometheus to use; by default that of PATH, else Debian's.
    #[arg(long, value_name = "PROGRAM")]
    prometheus: Option<PathBuf>,
    /// How results are written to stdout.
    #[arg(long, default_value = "text")]
    output: Output,
    /// Where runs are kept.
    #[arg(long, default_value = "reports", value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For machines: one document a scenario, in a list.
    Json,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let invalid = |error: anyhow::Error| {
        complain(&format!("error: {error:#}"));
        Ok(ExitCode::from(2))
    };
    let mut asked = match Asked::read(options) {
        Ok(asked) => asked,
        Err(error) => return invalid(error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let places = Places::from_environment();
    let session = Session::open(&suite::run_id(), &places, &Program::harness(&std::env::current_exe()?))?;
    let done = runtime.block_on(asked.replay(options, &session, &places));
    for left in session.close() {
        complain(&format!("warning: {} is left: {}", left.resource, left.message));
    }
    match done {
        Ok(done) => asked.conclude(options, &done),
        Err(error) if error.downcast_ref::<Problem>().is_some_and(is_input) => invalid(error),
        Err(error) => Err(error),
    }
}

const fn is_input(problem: &Problem) -> bool {
    matches!(problem, Problem::Rules(_) | Problem::Scale(_) | Problem::Recording(_))
}

/// What was asked for, read and found usable.
struct Asked {
    recordings: Vec<Recording>,
    rules: Option<Vec<RuleText>>,
    events: Vec<Event>,
    promtool: Option<PathBuf>,
}

impl Asked {
    fn read(options: &Options) -> anyhow::Result<Self> {
        let folder = match Path::new(&options.run) {
            path if path.is_dir() => path.to_path_buf(),
            _ => options.out.join(&options.run),
        };
        let events = report::log::read(&folder).context("there is no such run")?;
        let recordings = recordings(&folder, options.scenario.as_deref())?;
        if options.export_test.is_some() && recordings.len() != 1 {
            bail!("--export-test writes one scenario; choose it with --scenario");
        }
        let read = |path: &PathBuf| -> anyhow::Result<RuleText> {
            let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            Ok(RuleText { file: path.display().to_string(), path: path.clone(), text })
        };
        let rules: Vec<RuleText> = options.rules.iter().map(read).collect::<anyhow::Result<_>>()?;
        Ok(Self { recordings, rules: (!rules.is_empty()).then_some(rules), events, promtool: None })
    }

    fn rules_of(&self, header: &Header) -> Vec<RuleText> {
        self.rules.clone().unwrap_or_else(|| replay::rules::own(header))
    }

    async fn replay(&mut self, options: &Options, session: &Session, places: &Places) -> anyhow::Result<Vec<Done>> {
        let program = match &options.prometheus {
            Some(program) => std::path::absolute(program)?,
            None => program::prometheus(session, places).await.map_err(anyhow::Error::msg)?,
        };
        self.promtool = Some(program.with_file_name("promtool")).filter(|tool| tool.is_file());
        let host = Host { program: &program, session };
        let mut done = Vec::new();
        for recording in &self.recordings {
            done.push(replay::replay(recording, &self.rules_of(&recording.header), &host).await?);
        }
        Ok(done)
    }

    fn conclude(&self, options: &Options, done: &[Done]) -> anyhow::Result<ExitCode> {
        let pairs: Vec<(&Recording, &Done)> = self.recordings.iter().zip(done).collect();
        if let (Some(path), [(recording, done)]) = (&options.export_test, pairs.as_slice()) {
            let exported = export::test(recording, done, &self.rules_of(&recording.header), path)
                .with_context(|| format!("write {}", path.display()))?;
            complain(&exported.to_string());
            if let Some(refusal) = self.promtool.as_ref().map(|tool| proved(tool, path)).transpose()?.flatten() {
                complain(&format!("error: promtool does not accept the test that was written:\n{refusal}"));
                return Ok(ExitCode::from(70));
            }
        }
        match options.output {
            Output::Json => {
                let documents: Vec<_> = pairs.iter().map(|(it, done)| show::document(&it.header, done)).collect();
                print(&serde_json::to_string_pretty(&documents)?);
            }
            Output::Text => {
                for (recording, done) in &pairs {
                    print(&show::text(&recording.header, done, self.zero(&recording.header)));
                }
            }
        }
        Ok(ExitCode::from(verdict(&pairs)))
    }

    /// The first fault of a scenario, else the begin of its recording.
    fn zero(&self, header: &Header) -> i64 {
        let own = self.events.iter().filter(|event| event.scenario.as_deref() == Some(&header.scenario));
        let fault = own
            .into_iter()
            .find(|event| matches!(event.what, EventKind::FaultInjecting { .. } | EventKind::FaultLeftOut { .. }));
        fault.map_or(header.from, |event| event.at.0.div_euclid(1000))
    }
}

/// Runs `promtool test rules` on a test; its words when it refuses.
fn proved(promtool: &Path, test: &Path) -> anyhow::Result<Option<String>> {
    let output = std::process::Command::new(promtool).args(["test", "rules"]).arg(test).output();
    let output = output.with_context(|| format!("run {}", promtool.display()))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok((!output.status.success()).then_some(said))
}

/// 0 when everything was reproduced, 1 when something was not, 3 when too little could be.
fn verdict(pairs: &[(&Recording, &Done)]) -> u8 {
    if pairs.iter().any(|(_, done)| done.replayed.differs()) {
        return 1;
    }
    let cut = pairs.iter().any(|(recording, _)| recording.header.extent == Extent::Cut);
    let nothing = pairs.iter().any(|(_, done)| done.replayed.evaluations == 0);
    let left_out = pairs.iter().any(|(_, done)| !done.replayed.unfit.is_empty());
    let doubtful = pairs.iter().any(|(_, done)| !done.replayed.is_exact());
    if cut || nothing || left_out || doubtful { 3 } else { 0 }
}

fn recordings(folder: &Path, scenario: Option<&str>) -> anyhow::Result<Vec<Recording>> {
    let series = folder.join("series");
    let entries = std::fs::read_dir(&series).with_context(|| {
        format!(
            "find recorded series in {}; the run was made without, or ended before its stack was up",
            series.display()
        )
    })?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".jsonl.gz"));
    paths.sort();
    let mut recordings = Vec::new();
    for path in &paths {
        let recording = Recording::read(path).map_err(|error| anyhow::anyhow!("failed to {error}"))?;
        if scenario.is_none_or(|wanted| wanted == recording.header.scenario) {
            recordings.push(recording);
        }
    }
    if recordings.is_empty() {
        bail!("the run has no recorded series{}", scenario.map_or_else(String::new, |name| format!(" of `{name}`")));
    }
    Ok(recordings)
}
