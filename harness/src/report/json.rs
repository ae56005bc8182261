//! The report for machines: verdicts, evidence and timings with explicit units. Its form is `schemas/report.schema.json`;
//! a change that breaks readers raises [`VERSION`]. Fed by the event log, read by CI and by whoever asks `run.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;

use super::length::rfc3339;
use super::view::{self, Ending, View};
use crate::clock::Stamp;
use crate::event::{AlertState, Event, LoadTotals, Notification, Phase, Verdict};
use crate::outcome::{Evidence, Outcome, Reason};
use crate::source::Location;

/// The version of the form.
pub const VERSION: u32 = 1;

/// A report.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Report {
    /// The version of this form; readers refuse what they do not know.
    schema_version: u32,
    /// The run's id.
    run: String,
    /// The harness's version.
    harness: String,
    /// Production seconds per real second.
    time_scale: f64,
    /// `local`, `docker` or `attach`.
    provider: String,
    /// Facts on the machine.
    machine: BTreeMap<String, String>,
    /// When it began, RFC 3339 in UTC.
    began: String,
    /// From the first event to the last, in seconds.
    took_seconds: f64,
    /// Whether the event log has its end; what is not complete is never a pass.
    complete: bool,
    /// The run's verdict.
    verdict: Verdict,
    /// The exit code.
    exit_code: u8,
    /// The scenarios in the order of the run.
    scenarios: Vec<Scenario>,
    /// Warnings that belong to no scenario.
    warnings: Vec<String>,
    /// What this run created and could not remove.
    leftovers: Vec<String>,
}

/// A scenario.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Scenario {
    /// Its name.
    name: String,
    /// The file it stands in.
    file: Option<String>,
    /// Whether it came to its end.
    complete: bool,
    /// Its verdict.
    verdict: Verdict,
    /// Why it is not a pass, the most important first.
    reasons: Vec<Cause>,
    /// From its first event to its last, in seconds.
    took_seconds: Option<f64>,
    /// The expectations in the author's order.
    expectations: Vec<Expectation>,
    /// What kept it from passing, besides expectations.
    troubles: Vec<Trouble>,
    /// The phases.
    phases: Vec<Span>,
    /// The faults.
    faults: Vec<Fault>,
    /// The totals of its loads.
    loads: Vec<LoadTotals>,
    /// When alerts were pending or firing.
    alerts: Vec<Alert>,
    /// What the receivers got.
    notifications: Vec<Notification>,
    /// The components of its stack.
    components: Vec<Component>,
    /// The files that were rewritten for this run.
    rewritten: Vec<String>,
    /// What is not tested at this time scale.
    caveats: Vec<String>,
    /// Warnings.
    warnings: Vec<String>,
}

/// A reason code and its meaning.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Cause {
    /// The stable code.
    code: Reason,
    /// In words.
    meaning: String,
}

/// An expectation and what it came to.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Expectation {
    /// Unique in its scenario.
    id: String,
    /// `alert`, `metric`, `log` …
    kind: String,
    /// One line.
    title: String,
    /// The window it is judged in.
    during: String,
    /// Where it stands in the author's file.
    location: Location,
    /// `passed`, `failed`, `inconclusive`, `skipped` or `not judged`.
    status: String,
    /// Why it is not a pass.
    reason: Option<Cause>,
    /// What was seen; none if it was never judged.
    evidence: Option<Evidence>,
}

/// Something besides an expectation that keeps a scenario from passing.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Trouble {
    /// What.
    title: String,
    /// What it makes of the scenario.
    verdict: Verdict,
    /// Why.
    reason: Reason,
    /// In words.
    message: String,
    /// The component's own last log lines.
    last_lines: Vec<String>,
}

/// A phase.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Span {
    /// Which.
    phase: Phase,
    /// When, RFC 3339 in UTC.
    begin: String,
    /// Until when.
    end: String,
}

/// A fault. Times are RFC 3339 in UTC.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Fault {
    /// Its id.
    id: String,
    /// What it does.
    title: String,
    /// The injector is called.
    injecting: Option<String>,
    /// The injector returned.
    injected: Option<String>,
    /// The probe shows that it bites.
    proved: Option<String>,
    /// The revert is called.
    reverting: Option<String>,
    /// The probe shows that it is gone.
    gone: Option<String>,
    /// What the probes saw, in order.
    probes: Vec<String>,
}

/// An alert with one set of labels.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Alert {
    /// Its name.
    alert: String,
    /// Its labels.
    labels: BTreeMap<String, String>,
    /// When it was pending or firing.
    intervals: Vec<Interval>,
}

/// A time in which an alert was pending or firing.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Interval {
    /// Pending or firing.
    state: AlertState,
    /// From, RFC 3339 in UTC: the evaluation's time.
    begin: String,
    /// To; none while it lasts.
    end: Option<String>,
    /// The value at its begin.
    value: Option<f64>,
}

/// A component of the stack.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Component {
    /// Its name.
    name: String,
    /// Its version.
    version: String,
    /// Where it comes from.
    source: String,
    /// Its addresses.
    addresses: BTreeMap<String, String>,
    /// How long it took to be ready, in seconds; none if it never was.
    ready_seconds: Option<f64>,
    /// Cores on average and in its busiest second; none when nobody could look.
    cpu: Option<[f64; 2]>,
    /// Bytes of memory at most; none when nobody could look.
    memory_peak: Option<u64>,
    /// How often it was started again.
    restarts: usize,
    /// How often the kernel ended one of its processes for lack of memory.
    out_of_memory: usize,
}

/// The report of a log.
#[must_use]
pub fn document(events: &[Event]) -> String {
    let mut text = serde_json::to_string_pretty(&report(view::of(events))).expect("plain data with string keys");
    text.push('\n');
    text
}

/// The JSON schema of [`document`].
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Report>();
    schema.insert("title".to_owned(), "A report of a run of the harness".into());
    schema.to_value()
}

fn report(view: View) -> Report {
    Report {
        schema_version: VERSION,
        took_seconds: seconds(view.took()),
        began: rfc3339(view.run.began),
        run: view.run.id,
        harness: view.run.harness,
        time_scale: view.run.time_scale,
        provider: view.run.provider,
        machine: view.run.machine,
        complete: view.ending == Ending::Complete,
        verdict: view.verdict,
        exit_code: view.exit_code,
        scenarios: view.scenarios.into_iter().map(scenario).collect(),
        warnings: view.warnings,
        leftovers: view.leftovers.into_iter().map(|(resource, why)| format!("{resource}: {why}")).collect(),
    }
}

fn scenario(scenario: view::Scenario) -> Scenario {
    Scenario {
        took_seconds: scenario.took().map(seconds),
        name: scenario.name,
        file: scenario.plan.map(|plan| plan.file),
        complete: scenario.ending == Ending::Complete,
        verdict: scenario.judgement.verdict,
        reasons: scenario.judgement.reasons.into_iter().map(cause).collect(),
        expectations: scenario.expectations.into_iter().map(expectation).collect(),
        troubles: scenario.troubles.into_iter().map(trouble).collect(),
        phases: scenario.phases.iter().map(span).collect(),
        faults: scenario.faults.into_iter().map(fault).collect(),
        loads: scenario.loads.into_iter().filter_map(|load| load.totals).collect(),
        alerts: scenario.alerts.into_iter().map(alert).collect(),
        notifications: scenario.notifications,
        components: scenario.components.into_iter().map(component).collect(),
        rewritten: scenario.configs.into_iter().map(|config| config.file).collect(),
        caveats: scenario.caveats,
        warnings: scenario.warnings,
    }
}

fn cause(code: Reason) -> Cause {
    Cause { code, meaning: code.meaning().to_owned() }
}

fn expectation(expectation: view::Expectation) -> Expectation {
    let status = expectation.word().to_owned();
    let plan = expectation.plan;
    Expectation {
        id: plan.id,
        kind: plan.kind,
        title: plan.title,
        during: plan.during,
        location: plan.location,
        status,
        reason: expectation.outcome.as_ref().and_then(Outcome::reason).map(cause),
        evidence: expectation.outcome.map(|outcome| outcome.evidence().clone()),
    }
}

fn trouble(trouble: view::Trouble) -> Trouble {
    let view::Trouble { verdict, reason, title, message, last_lines } = trouble;
    Trouble { title, verdict, reason, message, last_lines }
}

fn span(span: &view::Span) -> Span {
    Span { phase: span.phase, begin: rfc3339(span.begin), end: rfc3339(span.end) }
}

fn fault(fault: view::Fault) -> Fault {
    let time = |stamp: Option<Stamp>| stamp.map(rfc3339);
    Fault {
        injecting: time(fault.injecting),
        injected: time(fault.injected),
        proved: time(fault.proved),
        reverting: time(fault.reverting),
        gone: time(fault.gone),
        probes: fault.probes.iter().map(|(_, finding, probe)| format!("{}: {probe}", finding.word())).collect(),
        id: fault.plan.id,
        title: fault.plan.title,
    }
}

fn alert(lane: view::Lane) -> Alert {
    let interval = |interval: &view::Interval| Interval {
        state: interval.state,
        begin: rfc3339(interval.begin),
        end: interval.end.map(rfc3339),
        value: interval.value,
    };
    Alert { intervals: lane.intervals.iter().map(interval).collect(), alert: lane.alert, labels: lane.labels }
}

fn component(component: view::Component) -> Component {
    let view::Component { name, version, source, addresses, took, life } = component;
    let rounded = |cores: f64| (cores * 1e3).round() / 1e3;
    Component {
        name,
        version,
        source,
        addresses,
        ready_seconds: took.map(seconds),
        cpu: life.used.map(|used| [rounded(used.cpu), rounded(used.peak_cpu)]),
        memory_peak: life.used.map(|used| used.peak_memory),
        restarts: life.restarts(),
        out_of_memory: life.out_of_memory(),
    }
}

/// Seconds to the millisecond.
fn seconds(length: Duration) -> f64 {
    (length.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing;

    /// `UPDATE_SCHEMAS=1 cargo test -p harness --lib report` rewrites it.
    #[test]
    fn the_schema_file_of_reports_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/report.schema.json");
        let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == generated, "stale: run `UPDATE_SCHEMAS=1 cargo test -p harness --lib the_schema_file`");
    }

    #[test]
    fn machines_read_verdict_reasons_and_evidence() {
        insta::assert_snapshot!(document(&testing::fail()));
    }

    #[test]
    fn an_incomplete_log_is_marked_and_no_pass() {
        let document: serde_json::Value = serde_json::from_str(&document(&testing::incomplete())).unwrap();
        assert_eq!(document["complete"], false);
        assert_eq!(document["verdict"], "interrupted");
        assert_ne!(document["exit-code"], 0);
    }

    #[test]
    fn a_report_is_what_the_schema_says() {
        let schema = schema();
        let required = schema["required"].as_array().unwrap();
        let document: serde_json::Value = serde_json::from_str(&document(&testing::pass())).unwrap();
        assert!(required.iter().all(|key| document.get(key.as_str().unwrap()).is_some()));
        assert_eq!(document["schema-version"], VERSION);
    }
}
