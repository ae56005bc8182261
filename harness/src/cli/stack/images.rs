//! `harness stack images`: what a stack in containers is made of; gets it, and locks it, when asked to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Padding, Style, Width};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::cli::place::When;
use crate::cli::{complain, print};
use crate::run::suite::run_id;
use crate::stack::docker::image::lock::Lock;
use crate::stack::docker::image::survey::{Row, Source, registry};
use crate::stack::docker::{Engine, Recipe};
use crate::stack::notice::{Fact, Notice, Notices};
use crate::stack::place::Places;
use crate::stack::reaper::Program;
use crate::stack::session::Session;
use crate::stack::spec::Spec;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// Components; without one, all.
    components: Vec<String>,
    /// The stack file.
    #[arg(long, default_value = "stack/stack.toml")]
    file: PathBuf,
    /// When images are got; by default this only looks.
    #[arg(long, default_value = "never", value_name = "WHEN")]
    pull: When,
    /// How the list is printed.
    #[arg(long, default_value = "table")]
    output: Output,
    /// Asks the registries which digest each tag has now, and writes that down beside the stack file; a run then refuses
    /// anything else.
    #[arg(long)]
    lock: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let Some(spec) = super::load(&options.file) else { return Ok(ExitCode::from(2)) };
    if let Some(unknown) = options.components.iter().find(|name| !spec.components.contains_key(*name)) {
        let known: Vec<&str> = spec.components.keys().map(String::as_str).collect();
        complain(&format!("error: there is no component `{unknown}`; there are {}", known.join(", ")));
        return Ok(ExitCode::from(2));
    }
    let chosen = |name: &&String| options.components.is_empty() || options.components.contains(name);
    let names: Vec<&str> = spec.components.keys().filter(chosen).map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let engine = match runtime.block_on(Engine::connect()) {
        Ok(engine) => engine.pulling(options.pull.into()),
        Err(error) => {
            complain(&format!("error: failed to {error}"));
            return Ok(ExitCode::from(4));
        }
    };
    if options.lock {
        return runtime.block_on(write_lock(&engine, &spec, &names));
    }
    let rows = runtime.block_on(survey(&engine, &spec, &names))?;
    match options.output {
        Output::Table => print(&table(&rows)),
        Output::Json => print(&serde_json::to_string_pretty(&rows)?),
    }
    let wanted = |row: &&Row| options.pull != When::Never && !row.here && !spec.components[&row.component].optional;
    let refused = |row: &&Row| row.source == Source::Refused;
    for row in rows.iter().filter(|row| options.output == Output::Table && row.source == Source::Nothing) {
        complain(&format!("note: {} cannot be had: {}", row.component, row.detail));
    }
    let failed: Vec<&Row> = rows.iter().filter(|row| wanted(row) || refused(row)).collect();
    for row in &failed {
        complain(&format!("error: {}: {}", row.component, row.detail));
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(4) })
}

/// Gets, as far as the engine's policy allows, and lists the images of some components; progress goes to stderr.
pub(super) async fn survey(engine: &Engine, spec: &Spec, names: &[&str]) -> anyhow::Result<Vec<Row>> {
    let places = Places::from_environment();
    let session = Session::open(&run_id(), &places, &Program::harness(&std::env::current_exe()?))?;
    let (sender, facts) = unbounded_channel();
    let shown = tokio::task::spawn_blocking(move || show(facts));
    let notices = Notices::new(sender);
    let rows = match Recipe::new(engine, &session, &places, &notices, spec) {
        Ok(recipe) => Ok(recipe.survey(spec, names).await),
        Err(error) => Err(error),
    };
    drop(notices);
    drop(shown.await);
    let left = tokio::task::spawn_blocking(|| session.close()).await?;
    left.iter().for_each(|it| complain(&format!("warning: left behind: {}: {}", it.resource, it.message)));
    Ok(rows?)
}

async fn write_lock(engine: &Engine, spec: &Spec, names: &[&str]) -> anyhow::Result<ExitCode> {
    let images = names.iter().filter_map(|name| spec.components[*name].image.as_ref()?.reference());
    let references: Vec<String> = images.collect();
    let asked = futures_util::future::join_all(references.iter().map(|it| engine.registry_digest(it))).await;
    let (mut digests, mut refusals) = (BTreeMap::new(), BTreeMap::new());
    for (reference, answer) in references.into_iter().zip(asked) {
        match answer {
            Ok(digest) => drop(digests.insert(reference, digest)),
            Err(message) => drop(refusals.insert(reference, message)),
        }
    }
    if refusals.is_empty() && !digests.is_empty() {
        let count = digests.len();
        let path = Lock::beside(&spec.file)?.with(digests).write(&spec.file)?;
        print(&format!("{count} digests are locked in {}", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    complain(&format!(
        "error: nothing was locked: digests come from registries only, and {} of {} images were not answered for\n{}",
        refusals.len(),
        refusals.len() + digests.len(),
        by_registry(&refusals)
    ));
    Ok(ExitCode::from(4))
}

/// One line for each registry: its first words stand for all of them.
fn by_registry(refusals: &BTreeMap<String, String>) -> String {
    let mut registries: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (reference, message) in refusals {
        registries.entry(registry(reference)).or_default().push((reference, message));
    }
    let line = |(registry, images): (&str, Vec<(&str, &str)>)| {
        let names: Vec<&str> = images.iter().map(|(reference, _)| *reference).collect();
        let words = images.first().map_or("", |(_, message)| message);
        format!("  {registry}: {words}\n    ({})", names.join(", "))
    };
    registries.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Facts as progress on stderr: bars where they are counted, lines else.
fn show(mut facts: UnboundedReceiver<Notice>) {
    let screen = MultiProgress::new();
    let style = ProgressStyle::with_template("{prefix:32} {bar:30} {bytes:>10} of {total_bytes:<10} {bytes_per_sec}")
        .expect("the template is constant");
    let mut bars: BTreeMap<String, ProgressBar> = BTreeMap::new();
    let say = |text: String| {
        // without a terminal nothing is drawn
        if screen.println(&text).is_err() || screen.is_hidden() {
            complain(&text);
        }
    };
    while let Some(notice) = facts.blocking_recv() {
        match notice.what {
            Fact::Pulling { what, done, total } => {
                let fresh = || screen.add(ProgressBar::new(total).with_style(style.clone()).with_prefix(what.clone()));
                let bar = bars.entry(what.clone()).or_insert_with(fresh);
                bar.set_length(total);
                bar.set_position(done);
            }
            Fact::Fetching { what, from, .. } => say(format!("fetching {what} from {from}")),
            Fact::Fetched { what, took } => {
                if let Some(bar) = bars.remove(&what) {
                    bar.finish_and_clear();
                }
                say(format!("{what} is here, after {:.1} s", took.as_secs_f64()));
            }
            Fact::Warned { message } => say(format!("warning: {message}")),
            _ => {}
        }
    }
}

fn table(rows: &[Row]) -> String {
    let mut builder = Builder::default();
    builder.push_record(["component", "image", "from", "version", "size", "digest"]);
    for row in rows {
        builder.push_record([
            row.component.clone(),
            row.image.clone(),
            from(row),
            row.version.clone().unwrap_or_else(|| "–".to_owned()),
            row.size.map_or_else(|| "–".to_owned(), size),
            digest(row),
        ]);
    }
    let mut table = builder.build();
    table
        .with(Style::blank())
        .with(Padding::new(0, 1, 0, 0))
        .modify(Columns::one(1), Width::wrap(50))
        .modify(Columns::one(2), Width::wrap(36).keep_words(true))
        .modify(Columns::one(3), Width::wrap(20));
    table.to_string()
}

fn from(row: &Row) -> String {
    match (row.source, row.here) {
        (Source::Registry, _) => format!("to be pulled from {}", row.detail),
        (Source::Debian, false) => format!("to be made from Debian packages {}", row.detail),
        (Source::Built, false) => format!("to be built from {}", row.detail),
        (Source::Local | Source::Debian, true) => row.source.to_string(),
        (Source::Refused, _) => "REFUSED, see below".to_owned(),
        (Source::Nothing, _) => "cannot be had, see below".to_owned(),
        _ => format!("{}: {}", row.source, row.detail),
    }
}

fn digest(row: &Row) -> String {
    match (&row.digest, row.source) {
        (Some(digest), _) if row.pinned => format!("{} locked", short(digest)),
        (Some(digest), _) => format!("{} unpinned", short(digest)),
        (None, Source::Debian | Source::Built | Source::Program) => "content hash".to_owned(),
        (None, _) => "– unpinned".to_owned(),
    }
}

/// `sha256:` and the first twelve digits.
fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

fn size(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

/// The components whose images `up` gets before it hands over to the holder: what always runs, and Grafana where it can be
/// had; not those that are built, which the holder does.
pub(super) fn beforehand(spec: &Spec) -> Vec<&str> {
    use crate::stack::spec::Role;
    let wanted = spec.components.iter().filter(|(_, component)| {
        let built = component.image.as_ref().is_some_and(|image| image.build.is_some());
        !built && (!component.optional || component.role == Some(Role::Grafana))
    });
    wanted.map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(component: &str, source: Source, here: bool) -> Row {
        Row {
            component: component.to_owned(),
            image: "prom/prometheus:v3.5.0".to_owned(),
            source,
            detail: "docker.io".to_owned(),
            here,
            version: None,
            size: here.then_some(12_345_678),
            digest: None,
            pinned: false,
            packages: Vec::new(),
        }
    }

    #[test]
    fn a_row_says_what_is_and_what_would_be() {
        let unlocked = Row { digest: Some(format!("sha256:{}", "a".repeat(64))), ..row("a", Source::Local, true) };
        let locked = Row { pinned: true, ..unlocked.clone() };
        assert_eq!(
            (digest(&unlocked).as_str(), digest(&locked).as_str()),
            ("sha256:aaaaaaaaaaaa unpinned", "sha256:aaaaaaaaaaaa locked")
        );
        assert_eq!(from(&row("a", Source::Registry, false)), "to be pulled from docker.io");
        assert_eq!(from(&row("a", Source::Debian, true)), "Debian packages");
        let text = table(&[locked, row("b", Source::Nothing, false)]);
        assert!(text.contains("12.3 MB") && text.contains("cannot be had"), "{text}");
    }
}
