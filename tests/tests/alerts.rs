//! Every alert is rehearsed by a shipped scenario, or its runbook says why it cannot be here. The table is made from the rules
//! and the scenarios themselves; runbooks and their index must say the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use harness::plan::scale::yaml::{self, Node};
use harness::scenario::model::{Expectation, Mode, That, Window};

/// How a runbook's last section begins where no scenario fires the alert.
const NOT_DRILLED: &str = "Not drilled: ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

/// Every alert of Prometheus's, Loki's and Grafana's rules.
fn alerts() -> BTreeSet<String> {
    let mut alerts = BTreeSet::new();
    let path = root().join("stack/grafana/provisioning/alerting/rules.yml");
    let document = yaml::parse(&path.display().to_string(), &read(&path)).unwrap().remove(0);
    for group in document.get("groups").unwrap().items() {
        let rules = group.get("rules").unwrap().items();
        alerts.extend(rules.iter().map(|rule| rule.get("title").and_then(Node::text).unwrap().to_owned()));
    }
    for path in files("stack/prometheus/rules", ".yml").into_iter().chain(files("stack/loki/rules/fake", ".yml")) {
        let document = yaml::parse(&path.display().to_string(), &read(&path)).unwrap().remove(0);
        let groups = document.get("groups").unwrap().items().to_vec();
        let rules = groups.iter().flat_map(|group| group.get("rules").unwrap().items());
        alerts.extend(rules.filter_map(|rule| rule.get("alert").and_then(Node::text)).map(str::to_owned));
    }
    alerts
}

/// The alerts that must have fired for an expectation to hold.
fn fired_by(expectation: &Expectation, alerts: &BTreeSet<String>) -> Vec<String> {
    if expectation.mode() == Mode::Never || *expectation.during.get() == Window::Baseline {
        return Vec::new();
    }
    match expectation.that.get() {
        That::Alert(alert) => vec![alert.name.get().clone()],
        That::Notification(told) => vec![told.alert.get().clone()],
        That::Metric(metric) => {
            let asks =
                |name: &&String| metric.query.contains(&format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\""));
            alerts.iter().filter(asks).cloned().collect()
        }
        _ => Vec::new(),
    }
}

/// The scenarios that fire an alert, by alert.
fn rehearsals(alerts: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
    let mut table: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files("scenarios", ".toml") {
        let loaded = harness::scenario::load(&path).unwrap_or_else(|found| panic!("{}: {found:?}", path.display()));
        let scenario = &loaded.scenario;
        let fired = scenario.expect.iter().flat_map(|expectation| fired_by(expectation, alerts));
        for alert in fired.chain(scenario.alerts.always.iter().map(|alert| alert.get().clone())) {
            table.entry(alert).or_default().insert(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    table
}

/// The section "Drill" of an alert's runbook, as one line.
fn drill_section(alert: &str) -> String {
    let page = read(&root().join(format!("docs/runbooks/{alert}.md")));
    let section = page.split_once("\n## Drill\n").unwrap_or_else(|| panic!("{alert}.md has no section Drill")).1;
    section.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The scenarios a text links to.
fn linked(text: &str) -> BTreeSet<String> {
    let links = text.split("scenarios/").skip(1).filter_map(|rest| rest.split_once(".toml)"));
    links.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_alert_fires_in_a_shipped_scenario_or_its_runbook_says_why_not() {
    let alerts = alerts();
    let table = rehearsals(&alerts);
    let mut wrong = Vec::new();
    for alert in &alerts {
        let section = drill_section(alert);
        let reason = section.strip_prefix(NOT_DRILLED);
        let named = linked(&section);
        match (table.get(alert), reason) {
            (None, None) => wrong.push(format!("{alert}: no scenario fires it and its runbook gives no reason")),
            (None, Some(reason)) if reason.len() < 40 => wrong.push(format!("{alert}: `{reason}` is no reason")),
            (Some(_), Some(_)) => wrong.push(format!("{alert}: its runbook says {NOT_DRILLED}… and it is")),
            (Some(fires), None) if named.is_empty() || !named.is_subset(fires) => {
                wrong.push(format!("{alert}: its runbook names {named:?}, it fires in {fires:?}"));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unknown: Vec<&String> = table.keys().filter(|alert| !alerts.contains(*alert)).collect();
    assert!(unknown.is_empty(), "scenarios expect {unknown:?}, which no rule defines");
    assert!(alerts.len() > 40 && table.len() > 20, "{} of {} alerts are rehearsed", table.len(), alerts.len());
}

#[test]
fn the_index_of_the_runbooks_says_what_the_pages_say() {
    let index = read(&root().join("docs/runbooks/README.md"));
    let alerts = alerts();
    let rows: BTreeMap<String, BTreeSet<String>> = index
        .lines()
        .filter_map(|line| {
            let alert = line.strip_prefix("| [")?.split_once(']')?.0.to_owned();
            let last = line.trim_end_matches([' ', '|']).rsplit_once('|')?.1;
            let names = last.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            Some((alert, names))
        })
        .collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), alerts, "one row for each alert");
    for (alert, names) in rows {
        let section = drill_section(&alert);
        let said = if section.starts_with(NOT_DRILLED) { BTreeSet::new() } else { linked(&section) };
        assert_eq!(names, said, "the row of {alert} and its page");
    }
}
