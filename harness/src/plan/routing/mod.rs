//! A batch of synthetic alerts against a routing tree: who is told, and what holds a message back. Walks the tree, the
//! inhibition rules and the time intervals with Alertmanager's own semantics; nothing is started. Fed by `cli` with a file of
//! cases (`file`), read by `cli`. Held against a real Alertmanager in `tests`.

mod file;
mod interval;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::scale::alertmanager::{AlertmanagerConfig, ResolvedRoute};
use crate::scenario::diagnostic::{Code, Diagnostic, Finding};
use crate::source::Location;

pub use file::{Case, Cases, Time, load};
pub use interval::{Interval, intervals};

/// Labels of an alert.
pub type Labels = BTreeMap<String, String>;

/// What becomes of one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fate {
    /// The receivers that are told, sorted; empty when nobody is.
    pub receivers: BTreeSet<String>,
    /// The routes it takes, in the order Alertmanager walks them.
    pub routes: Vec<Stop>,
    /// The alerts that hold it back everywhere.
    pub inhibited_by: Vec<Inhibitor>,
}

/// A route an alert takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stop {
    /// Its place in the tree, for example `route.routes[1]`.
    pub route: String,
    /// Where it stands.
    pub location: Location,
    /// Its receiver.
    pub receiver: String,
    /// Why it is mute at the case's time; none when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute: Option<String>,
}

/// An alert that holds another back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inhibitor {
    /// Its labels.
    pub labels: Labels,
    /// The rule by which it does.
    pub rule: Location,
}

/// What a case came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checked {
    /// Its name, or the alert's.
    pub name: String,
    /// Where it stands.
    pub location: Location,
    /// The alert's labels.
    pub alert: Labels,
    /// The receivers that must be told.
    pub expected: BTreeSet<String>,
    /// What becomes of the alert.
    #[serde(flatten)]
    pub fate: Fate,
    /// Whether they are the same.
    pub passed: bool,
}

/// What becomes of an alert while `firing` fire too, at `time`. Labels with empty values are no labels.
#[must_use]
pub fn fate(
    config: &AlertmanagerConfig,
    intervals: &BTreeMap<String, Interval>,
    alert: &Labels,
    firing: &[Labels],
    time: Option<Time>,
) -> Fate {
    let alert = without_empty(alert);
    let mut inhibited_by = Vec::new();
    for source in firing.iter().map(without_empty) {
        let rules = config.inhibitions(&source, &alert);
        inhibited_by
            .extend(rules.first().map(|rule| Inhibitor { rule: rule.location.clone(), labels: source.clone() }));
    }
    let stop = |route: ResolvedRoute| Stop {
        mute: time.and_then(|time| mute(&route, intervals, time)),
        route: route.path,
        location: route.location,
        receiver: route.receiver,
    };
    let routes: Vec<Stop> = config.route(&alert).into_iter().map(stop).collect();
    let told = routes.iter().filter(|stop| stop.mute.is_none() && inhibited_by.is_empty());
    Fate { receivers: told.map(|stop| stop.receiver.clone()).collect(), routes, inhibited_by }
}

fn without_empty(labels: &Labels) -> Labels {
    labels.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Why a route is mute: one of its mute intervals contains the time, or none of its active ones does.
fn mute(route: &ResolvedRoute, intervals: &BTreeMap<String, Interval>, time: Time) -> Option<String> {
    let contains = |name: &&String| intervals.get(*name).is_some_and(|interval| interval.contains(time));
    if let Some(name) = route.muted_in.iter().find(contains) {
        return Some(format!("`{name}` contains {time}"));
    }
    let active = route.active_in.is_empty() || route.active_in.iter().any(|name| contains(&name));
    (!active).then(|| format!("{time} lies outside of {}", route.active_in.join(", ")))
}

/// Holds every case against the tree.
///
/// # Errors
/// When a case names a receiver or a time that cannot be decided; each with its place.
pub fn check(cases: &Cases, config: &AlertmanagerConfig) -> Result<Vec<Checked>, Vec<Diagnostic>> {
    let mut wrong = Vec::new();
    let timed = cases.cases.iter().any(|case| case.at.is_some());
    let intervals = if timed {
        intervals(config).unwrap_or_else(|error| {
            wrong.push(Diagnostic::of_file(Code::Stack, &error.location().file.clone(), error.to_string()));
            BTreeMap::new()
        })
    } else {
        BTreeMap::new()
    };
    for case in &cases.cases {
        for receiver in case.receivers.get().iter().filter(|name| config.receiver(name.get()).is_none()) {
            let message = format!("Alertmanager has no receiver `{receiver}`");
            let names = config.receivers.iter().map(|known| known.name.as_str());
            let help = crate::scenario::suggest(receiver, "receivers", names);
            wrong.push(cases.locate(Finding::error(Code::UnknownReceiver, receiver.span(), message).help(help)));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(cases.cases.iter().map(|case| checked(cases, case, config, &intervals)).collect())
}

fn checked(cases: &Cases, case: &Case, config: &AlertmanagerConfig, intervals: &BTreeMap<String, Interval>) -> Checked {
    let fate = fate(config, intervals, case.alert.get(), &case.firing, case.at.as_ref().map(|at| *at.get()));
    let expected: BTreeSet<String> = case.receivers.get().iter().map(|name| name.get().clone()).collect();
    Checked {
        name: case.name(),
        location: Location::of(&cases.file, &cases.text, case.receivers.span().start),
        alert: case.alert.get().clone(),
        passed: expected == fate.receivers,
        expected,
        fate,
    }
}

impl Checked {
    /// Why the case does not hold, at the place of its receivers; none when it holds.
    #[must_use]
    pub fn complaint(&self, cases: &Cases) -> Option<Diagnostic> {
        if self.passed {
            return None;
        }
        let told = match self.fate.receivers.len() {
            0 => "nobody is told".to_owned(),
            _ => format!("{} told", list(&self.fate.receivers)),
        };
        let message = format!("{}: {told}, and it should be {}", self.name, list(&self.expected));
        let case = cases
            .cases
            .iter()
            .find(|case| Location::of(&cases.file, &cases.text, case.receivers.span().start) == self.location)?;
        let finding = Finding::error(Code::Route, case.receivers.span(), message);
        Some(cases.locate(finding.help(self.way())))
    }

    /// How the alert went, in words.
    fn way(&self) -> String {
        let held = self.fate.inhibited_by.iter().map(|it| {
            let name = it.labels.get("alertname").map_or("another alert", String::as_str);
            format!("inhibited by {name} ({})", it.rule)
        });
        let stops = self.fate.routes.iter().map(|stop| {
            let mute = stop.mute.as_ref().map_or_else(String::new, |why| format!(", mute: {why}"));
            format!("{} → {} ({}){mute}", stop.route, stop.receiver, stop.location)
        });
        held.chain(stops).collect::<Vec<_>>().join("; ")
    }
}

fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") }
}

/// Reads an `alertmanager.yml` for routing.
///
/// # Errors
/// When it cannot be read or does not say what it must.
pub fn config(path: &Path) -> Result<AlertmanagerConfig, Diagnostic> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Diagnostic::of_file(Code::Unreadable, &name, format!("failed to read it: {error}")))?;
    let parsed = super::scale::source::from_text(path, text.clone())
        .and_then(|file| super::scale::alertmanager::parse(file, Vec::new()));
    parsed.map_err(|error| {
        let location = error.location();
        let mut diagnostic = Diagnostic::of_file(Code::Stack, &name, format!("failed to {error}"));
        diagnostic.location = location.clone();
        diagnostic.end = location;
        diagnostic
    })
}

#[cfg(test)]
mod tests;
