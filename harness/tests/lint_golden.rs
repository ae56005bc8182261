//! What authors see: every file in `tests/fixtures/lint` is read and linted, and the text beside it is what comes out.
//! `UPDATE_GOLDEN=1 cargo test -p harness --test lint_golden` rewrites the texts; read the difference before you commit it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use harness::scenario::render::{Colour, render};
use harness::scenario::surroundings::{AlertBounds, AlertRule, Between, Component, Link};
use harness::scenario::{Code, Severity, Surroundings, deny_warnings, lint, load_text, template};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/lint")
}

fn fixtures() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn component(switches: &[&str]) -> Component {
    Component { ports: names(&["http"]), switches: names(switches), replicas: 1 }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

fn bounds() -> AlertBounds {
    let span = |floor, ceiling, arithmetic: &str| Some(Between { floor, ceiling, arithmetic: arithmetic.to_owned() });
    AlertBounds {
        fires: span(minutes(5), Duration::from_secs(330), "scrape 15s + evaluation 15s + for 5m"),
        notified: span(Duration::from_secs(330), minutes(6), "scrape 15s + evaluation 15s + for 5m + group_wait 30s"),
        resolves: span(Duration::from_secs(45), minutes(7), "window 1m + evaluation 15s + group_interval 5m + 45s"),
        repeats: BTreeMap::new(),
        shortest_fault: Some(minutes(5)),
    }
}

/// The dead man's switch of the reference stack beats every two minutes.
fn beats() -> BTreeMap<String, Duration> {
    BTreeMap::from([("heartbeat".to_owned(), minutes(2))])
}

/// Stands for a LogQL parser: knows that a selector needs a matcher and that braces close.
fn logql(query: &str) -> Result<(), (usize, String)> {
    match (query.find("{}"), query.find('}')) {
        (Some(at), _) => Err((at, "a selector needs at least one matcher".to_owned())),
        (None, None) => Err((query.len(), "expected `}`".to_owned())),
        _ => Ok(()),
    }
}

/// A project's folder with a stack description, in which the fixtures stand under `scenarios/`.
static PROJECT: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let project = tempfile::tempdir().unwrap();
    for folder in ["scenarios", "stack"] {
        fs::create_dir(project.path().join(folder)).unwrap();
    }
    fs::write(project.path().join("stack/stack.toml"), "").unwrap();
    project
});

/// The reference stack in short.
fn surroundings() -> Surroundings {
    let service =
        component(&["errors", "slow", "leak-memory", "leak-connections", "stop-metrics", "slow-metrics", "log-flood"]);
    let plain = ["postgres", "redis", "prometheus", "alertmanager", "loki", "grafana"];
    let mut components: BTreeMap<String, Component> =
        plain.iter().map(|name| ((*name).to_owned(), component(&[]))).collect();
    components.insert("inventory-service".to_owned(), service);
    let link = |from: &str, to: &str| Link { from: from.to_owned(), to: to.to_owned() };
    let alert = |name: &str, severity: &str| {
        let labels = BTreeMap::from([("severity".to_owned(), severity.to_owned())]);
        (name.to_owned(), vec![AlertRule { labels, file: "prometheus/rules/inventory.yml".to_owned() }])
    };
    let alerts = [
        alert("InventoryDatabaseErrors", "critical"),
        alert("InventoryHighErrorRate", "critical"),
        alert("InventoryDown", "critical"),
        alert("Watchdog", "none"),
    ];
    Surroundings {
        root: Some(PROJECT.path().to_owned()),
        service: Some("inventory-service".to_owned()),
        components: Some(components),
        links: Some(vec![link("inventory-service", "postgres"), link("inventory-service", "redis")]),
        seeds: Some(names(&["items"])),
        alerts: Some(BTreeMap::from(alerts)),
        receivers: Some(names(&["pager", "chat", "mail", "heartbeat"])),
        intervals: Some(names(&["outside-office-hours"])),
        jobs: Some(names(&["inventory", "prometheus"])),
        dashboards: Some(BTreeMap::from([("inventory-overview".to_owned(), names(&["Request rate", "Error rate"]))])),
        dimensions: Some(names(&["route", "method", "status"])),
        bounds: BTreeMap::from([
            ("InventoryDatabaseErrors".to_owned(), bounds()),
            ("Watchdog".to_owned(), AlertBounds { repeats: beats(), ..AlertBounds::default() }),
        ]),
        logql: Some(logql),
    }
}

/// What `harness lint` says on a file.
fn verdict(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let diagnostics = match load_text(&name, &text) {
        Err(diagnostics) => diagnostics,
        Ok(mut loaded) => {
            loaded.file = PROJECT.path().join("scenarios").join(name.as_ref()).display().to_string();
            let mut found = lint(&loaded, &surroundings());
            found.iter_mut().for_each(|diagnostic| {
                diagnostic.location.file = name.to_string();
                diagnostic.labels.iter_mut().for_each(|label| label.location.file = name.to_string());
            });
            found
        }
    };
    diagnostics.iter().map(|diagnostic| render(diagnostic, &text, Colour::Off)).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_fixture_says_what_stands_beside_it() {
    let files = fixtures();
    assert!(files.len() > 30, "{} fixtures", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let (golden, actual) = (path.with_extension("txt"), verdict(&path));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &actual).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != actual {
            wrong.push(format!("{}:\n{actual}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clean_fixtures_are_clean_and_the_others_are_not() {
    for path in fixtures() {
        let clean = path.file_name().unwrap().to_string_lossy().starts_with("clean-");
        let verdict = verdict(&path);
        assert_eq!(verdict.is_empty(), clean, "{}: {verdict}", path.display());
    }
}

#[test]
fn the_template_for_a_new_scenario_is_clean() {
    let mut loaded = load_text("new.toml", &template("my-drill")).unwrap();
    loaded.file = PROJECT.path().join("scenarios/new.toml").display().to_string();
    assert_eq!(lint(&loaded, &surroundings()), []);
}

#[test]
fn a_shipped_scenario_states_its_intent() {
    let text = fs::read_to_string(folder().join("no-intent.toml")).unwrap();
    let found = deny_warnings(lint(&load_text("no-intent.toml", &text).unwrap(), &surroundings()));
    assert!(found.iter().any(|diagnostic| diagnostic.code == Code::NoIntent));
    assert!(found.iter().all(|diagnostic| diagnostic.severity == Severity::Error));
}

#[test]
fn every_rendering_begins_with_file_line_and_column() {
    for path in fixtures() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for block in verdict(&path).split("\n\n").filter(|block| !block.is_empty()) {
            let mut parts = block.lines().next().unwrap().splitn(4, ':');
            assert_eq!(parts.next(), Some(name.as_str()), "{block}");
            assert!(parts.next().unwrap().parse::<u32>().unwrap() > 0, "{block}");
            assert!(parts.next().unwrap().parse::<u32>().unwrap() > 0, "{block}");
        }
    }
}
