//! `harness validate`: runs scenarios and judges them.

use std::collections::BTreeMap;
use std::io::stderr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::{colour, complain, find, palette, print, print_diagnostics};
use crate::plan::build::Purpose;
use crate::plan::study::{Desk, Overrides, Studied};
use crate::report;
use crate::run::suite::{Ended, Suite};
use crate::scenario::Diagnostic;
use crate::source::Location;
use crate::stack::place::Places;
use crate::stack::provider::Provider;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Scenarios by name, glob, file or folder; without one, all that are not tagged `realtime`.
    scenarios: Vec<String>,
    /// Only scenarios with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// How many scenarios at the same time; by default three for each core, with containers half of that.
    #[arg(long)]
    jobs: Option<usize>,
    /// Where the run's folder is made.
    #[arg(long, default_value = "reports", value_name = "DIR")]
    out: PathBuf,
    /// Production seconds per real second; 1 runs everything as written.
    #[arg(long, value_name = "K")]
    time_scale: Option<f64>,
    /// Leaves the faults out: whatever is stated as an effect of one must not hold then, else the scenario proves nothing.
    #[arg(long)]
    control: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let studied = match planned(options) {
        Ok(studied) => studied,
        Err(code) => return Ok(code),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Some((provider, because)) = runtime.block_on(options.place.provider()) else { return Ok(ExitCode::from(4)) };
    let jobs = options.jobs.unwrap_or_else(|| side_by_side(&provider));
    let suite = Suite {
        scenarios: studied,
        provider,
        because,
        jobs,
        reports: options.out.clone(),
        places: Places::from_environment(),
        binary: std::env::current_exe()?,
        publish: Box::new(report::write_all),
    };
    let ended = runtime.block_on(perform(suite))?;
    runtime.shutdown_background();
    Ok(conclude(&ended))
}

/// How many scenarios run side by side. Containers cost several times what processes do to start and to forward for, and a
/// starved drill proves nothing.
fn side_by_side(provider: &Provider) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    match provider {
        Provider::Local => cores * 3,
        Provider::Docker(_) => (cores * 3 / 2).max(1),
    }
}

/// Everything that can be seen to be wrong is found before anything is started.
fn planned(options: &Options) -> Result<Vec<Studied>, ExitCode> {
    let invalid = ExitCode::from(2);
    let files = find::scenarios(&options.scenarios).map_err(|error| {
        complain(&format!("error: {error:#}"));
        invalid
    })?;
    let overrides = Overrides { time_scale: options.time_scale };
    let mut desk = Desk::default();
    let mut problems: Vec<Diagnostic> = Vec::new();
    let mut studied: Vec<Studied> = Vec::new();
    for file in files {
        match desk.study(&file, overrides) {
            Ok(one) if is_wanted(&one, options) => studied.push(one),
            Ok(_) => {}
            Err(diagnostics) => problems.extend(diagnostics),
        }
    }
    print_diagnostics(&problems, colour(&stderr()));
    if !problems.is_empty() {
        return Err(invalid);
    }
    if let Some(message) = same_name(&studied) {
        complain(&message);
        return Err(invalid);
    }
    if options.control {
        studied.iter_mut().for_each(|it| Arc::make_mut(&mut it.plan).purpose = Purpose::Control);
    }
    if studied.is_empty() {
        complain("error: no scenario is left to run; see `harness list`");
        return Err(invalid);
    }
    Ok(studied)
}

/// Names are unique in a run, because they name folders and reports; the second of two equal ones is complained of.
fn same_name(studied: &[Studied]) -> Option<String> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let (plan, first) = studied.iter().find_map(|it| {
        let plan = &it.plan;
        seen.insert(plan.name.as_str(), plan.file.as_str()).map(|first| (plan, first))
    })?;
    let place = crate::scenario::load(std::path::Path::new(&plan.file)).map_or_else(
        |_| plan.file.clone(),
        |loaded| Location::of(&loaded.file, &loaded.text, loaded.scenario.name.span().start).to_string(),
    );
    Some(format!("{place}: error: `{}` is the name of {first} too; names are unique in a run", plan.name))
}

fn is_wanted(studied: &Studied, options: &Options) -> bool {
    let tags = &studied.plan.tags;
    match &options.tag {
        Some(tag) => tags.contains(tag),
        None => !options.scenarios.is_empty() || !tags.iter().any(|tag| tag == "realtime"),
    }
}

async fn perform(suite: Suite) -> anyhow::Result<Ended> {
    let cancel = CancellationToken::new();
    let (watcher, events) = tokio::sync::mpsc::unbounded_channel();
    let shown = tokio::spawn(report::progress::show(events));
    let signals = tokio::spawn(super::signal::listen(cancel.clone()));
    let ended = suite.run(Some(watcher), cancel).await;
    signals.abort();
    drop(shown.await);
    Ok(ended?)
}

fn conclude(ended: &Ended) -> ExitCode {
    print(&report::terminal::table(&ended.events, palette(&std::io::stdout())));
    print(&format!("report: {}", ended.folder.join("index.html").display()));
    ExitCode::from(ended.exit_code)
}
