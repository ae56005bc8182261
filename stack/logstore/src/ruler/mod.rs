//! The ruler: evaluates alerting rules on the store and tells Alertmanager, as Loki's ruler does. Fed with Loki's own
//! configuration file by `serve`; read by `http`.
//!
//! * `config`, `file` — what the files say; `yaml` reads them;
//! * [`alert`] — what becomes of alerts, as a pure function; `schedule` — when groups are evaluated;
//! * `group` — one evaluation; `notify` — Alertmanager's API.

pub mod alert;
mod config;
mod file;
mod group;
mod notify;
mod schedule;
mod yaml;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

pub use config::Settings;
pub use file::{Group, Rule};
pub use group::{RuleState, Running, State};
pub use notify::Notification;

use crate::clock::{self, Nanos};
use crate::label::Labels;
use crate::store::Store;
use config::TENANT;
use notify::Notifier;
use schedule::Schedule;

/// Why there is no ruler.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("read {path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file says what cannot be evaluated.
    #[error("read {path}: {message}", path = path.display())]
    Meaning {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to try.
        message: String,
    },
}

/// Rules that are evaluated.
#[derive(Debug)]
pub struct Ruler {
    settings: Settings,
    groups: Vec<Arc<Running>>,
    notifier: Arc<Notifier>,
}

impl Ruler {
    /// Reads Loki's configuration and the rules it names; none if it has no ruler or names no folder.
    ///
    /// # Errors
    /// What cannot be read, or cannot be evaluated.
    pub fn read(config: &Path) -> Result<Option<Self>, Error> {
        let meaning = |message| Error::Meaning { path: config.to_owned(), message };
        let text = std::fs::read_to_string(config).map_err(|source| Error::Io { path: config.to_owned(), source })?;
        let settings = config::read(&text, |name| std::env::var(name).ok()).map_err(meaning)?;
        let Some(settings) = settings else { return Ok(None) };
        let groups = file::read(&settings)?.into_iter().map(|group| Arc::new(Running::new(group))).collect();
        let notifier = Arc::new(Notifier::new(&settings).map_err(meaning)?);
        Ok(Some(Self { settings, groups, notifier }))
    }

    /// The groups, in the order of files and in them.
    #[must_use]
    pub fn groups(&self) -> &[Arc<Running>] {
        &self.groups
    }

    /// Begins to evaluate and to notify; ends when the set is dropped.
    pub(crate) fn start(self: &Arc<Self>, store: &Arc<Store>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let notifier = Arc::clone(&self.notifier);
        tasks.spawn(async move { notifier.run().await });
        for running in &self.groups {
            tasks.spawn(evaluate(Arc::clone(self), Arc::clone(running), Arc::clone(store)));
        }
        tasks
    }

    /// The groups of each file as Loki lists them, by file.
    pub(crate) fn listed(&self, wanted: impl Fn(&Group) -> bool) -> BTreeMap<&str, Vec<String>> {
        let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for group in self.groups.iter().map(|running| &running.group).filter(|group| wanted(group)) {
            files.entry(&group.file).or_default().push(group.yaml());
        }
        files
    }

    /// The ruler's numbers in the text format of Prometheus, under Loki's names.
    pub(crate) fn render(&self, out: &mut String) {
        let states: Vec<(String, State)> =
            self.groups.iter().map(|running| (running.group.key(&self.settings.rule_path), running.state())).collect();
        self.render_groups(out, &states);
        let sum =
            |of: &dyn Fn(&State) -> Duration| states.iter().map(|(_, state)| of(state)).sum::<Duration>().as_secs_f64();
        let rules = |state: &State, of: &dyn Fn(&RuleState) -> u64| state.rules.iter().map(of).sum::<u64>();
        let evaluations: u64 = states.iter().map(|(_, state)| rules(state, &|rule| rule.evaluations)).sum();
        let iterations: u64 = states.iter().map(|(_, state)| state.iterations - state.missed).sum();
        let spent = sum(&|state| state.rules.iter().map(|rule| rule.total).sum());
        for (name, help, seconds, count) in [
            (
                "loki_prometheus_rule_evaluation_duration_seconds",
                "The duration for a rule to execute.",
                spent,
                evaluations,
            ),
            (
                "loki_prometheus_rule_group_duration_seconds",
                "The duration of rule group evaluations.",
                sum(&|state| state.total),
                iterations,
            ),
        ] {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} summary\n");
            let _ =
                write!(out, "{name}_sum{{user=\"{TENANT}\"}} {seconds}\n{name}_count{{user=\"{TENANT}\"}} {count}\n");
        }
        self.notifier.render(out);
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
    fn render_groups(&self, out: &mut String, states: &[(String, State)]) {
        let seconds = |at: Option<Nanos>| at.map_or(0.0, |at| at as f64 / 1e9);
        let intervals: BTreeMap<String, Nanos> = self
            .groups
            .iter()
            .map(|running| (running.group.key(&self.settings.rule_path), running.group.interval))
            .collect();
        type Pick<'a> = &'a dyn Fn(&str, &State) -> f64;
        let rules = |state: &State, of: &dyn Fn(&RuleState) -> u64| state.rules.iter().map(of).sum::<u64>() as f64;
        let metrics: [(&str, &str, &str, Pick<'_>); 9] = [
            ("rule_evaluations_total", "counter", "The total number of rule evaluations.", &|_, state| {
                rules(state, &|rule| rule.evaluations)
            }),
            (
                "rule_evaluation_failures_total",
                "counter",
                "The total number of rule evaluation failures.",
                &|_, state| rules(state, &|rule| rule.failures),
            ),
            (
                "rule_group_iterations_total",
                "counter",
                "The total number of scheduled rule group evaluations, whether executed or missed.",
                &|_, state| state.iterations as f64,
            ),
            (
                "rule_group_iterations_missed_total",
                "counter",
                "The total number of rule group evaluations missed due to slow rule group evaluation.",
                &|_, state| state.missed as f64,
            ),
            ("rule_group_interval_seconds", "gauge", "The interval of a rule group.", &|key, _| {
                seconds(intervals.get(key).copied())
            }),
            (
                "rule_group_last_evaluation_timestamp_seconds",
                "gauge",
                "The timestamp of the last rule group evaluation in seconds.",
                &|_, state| seconds(state.last_evaluation),
            ),
            (
                "rule_group_last_duration_seconds",
                "gauge",
                "The duration of the last rule group evaluation.",
                &|_, state| state.took.as_secs_f64(),
            ),
            ("rule_group_rules", "gauge", "The number of rules.", &|_, state| state.rules.len() as f64),
            (
                "last_evaluation_samples",
                "gauge",
                "The number of samples returned during the last rule group evaluation.",
                &|_, state| state.samples as f64,
            ),
        ];
        for (name, kind, help, pick) in metrics {
            let name = format!("loki_prometheus_{name}");
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (key, state) in states {
                let _ = writeln!(out, "{name}{{rule_group={key:?},user=\"{TENANT}\"}} {}", pick(key, state));
            }
        }
    }
}

/// Evaluates a group on its grid, for ever.
async fn evaluate(ruler: Arc<Ruler>, running: Arc<Running>, store: Arc<Store>) {
    let group = &running.group;
    let schedule = Schedule::new(&group.file, &group.name, group.interval);
    let mut at = schedule.first(clock::wall());
    let mut missed = 0;
    loop {
        tokio::time::sleep(Duration::from_nanos(u64::try_from(at - clock::wall()).unwrap_or(0))).await;
        running.count(missed);
        let (task, running, store) = (Arc::clone(&ruler), Arc::clone(&running), Arc::clone(&store));
        let evaluated = tokio::task::spawn_blocking(move || {
            task.notifier.send(running.evaluate(&store, &task.settings, at));
        });
        if evaluated.await.is_err() {
            // it was told to stop
            return;
        }
        (at, missed) = schedule.next(at, clock::wall());
    }
}

/// The phase in Loki's words.
pub(crate) const fn word(phase: alert::Phase) -> &'static str {
    match phase {
        alert::Phase::Inactive => "inactive",
        alert::Phase::Pending => "pending",
        alert::Phase::Firing => "firing",
    }
}

/// The unrendered labels and annotations of a rule.
pub(crate) fn written(rule: &Rule) -> (Labels, Labels) {
    (file::unrendered(&rule.labels), file::unrendered(&rule.annotations))
}
