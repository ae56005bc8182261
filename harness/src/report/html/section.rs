//! One scenario of the page.

use super::expectation::{self, Expectation, Shown};
use super::message::{self, Message};
use super::page::icon;
use crate::clock::Stamp;
use crate::event::{AlertState, LoadTotals};
use crate::report::length::{self, Ruler};
use crate::report::svg;
use crate::report::view::{self, Component, Config, Fault, Load, Scenario, Used};

pub(super) struct Section {
    pub(super) anchor: String,
    pub(super) name: String,
    pub(super) word: &'static str,
    pub(super) icon: &'static str,
    pub(super) reasons: Vec<Shown>,
    pub(super) held: String,
    pub(super) took: String,
    pub(super) took_long: String,
    pub(super) summary: String,
    pub(super) file: String,
    pub(super) tags: Vec<String>,
    pub(super) skipped: Option<(&'static str, String)>,
    pub(super) troubles: Vec<TroubleBox>,
    pub(super) timeline: Option<String>,
    pub(super) legend: Vec<String>,
    pub(super) expectations: Vec<Expectation>,
    pub(super) messages: Vec<Message>,
    pub(super) told: usize,
    pub(super) faults: Vec<FaultRow>,
    pub(super) faults_line: String,
    pub(super) loads: Vec<LoadBox>,
    pub(super) alerts: Vec<AlertRow>,
    pub(super) alerts_line: String,
    pub(super) components: Vec<ComponentRow>,
    pub(super) components_line: String,
    pub(super) configs: Vec<ConfigBox>,
    pub(super) caveats: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) incidents: Vec<(String, String, String)>,
}

pub(super) struct TroubleBox {
    pub(super) word: &'static str,
    pub(super) title: String,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) last_lines: String,
}

pub(super) struct FaultRow {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) stamps: [String; 5],
    pub(super) probes: Vec<(&'static str, String)>,
}

pub(super) struct LoadBox {
    pub(super) name: String,
    pub(super) line: String,
    pub(super) description: String,
    pub(super) saturation: Option<String>,
    pub(super) flow: Vec<(String, String)>,
    pub(super) outcomes: Vec<(String, String, String, String)>,
}

pub(super) struct AlertRow {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) begin: String,
    pub(super) end: String,
    pub(super) labels: String,
}

pub(super) struct ComponentRow {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) source: String,
    pub(super) addresses: String,
    pub(super) ready: String,
    pub(super) cpu: String,
    pub(super) memory: String,
    pub(super) restarts: String,
    pub(super) out_of_memory: String,
    pub(super) changes: Vec<(String, String)>,
}

pub(super) struct ConfigBox {
    pub(super) file: String,
    pub(super) copy: String,
    pub(super) line: String,
    pub(super) lines: Vec<(&'static str, String)>,
}

impl Section {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let ruler = scenario.ruler();
        let plan = scenario.plan.as_ref();
        let tally = scenario.tally();
        Self {
            anchor: anchor(&scenario.name),
            name: scenario.name.clone(),
            word: view::word(scenario.judgement.verdict),
            icon: icon(scenario.judgement.verdict),
            reasons: scenario.judgement.reasons.iter().copied().map(Shown::from).collect(),
            held: format!("{} of {}", tally.passed, tally.total()),
            took: scenario.took().map_or("–".to_owned(), length::show),
            took_long: took(scenario),
            summary: plan.map(|plan| plan.summary.clone()).unwrap_or_default(),
            file: plan.map(|plan| plan.file.clone()).unwrap_or_default(),
            tags: plan.map(|plan| plan.tags.clone()).unwrap_or_default(),
            skipped: scenario.skipped.as_ref().map(|(reason, message)| (reason.code(), message.clone())),
            troubles: scenario.troubles.iter().map(trouble).collect(),
            timeline: svg::timeline(scenario),
            legend: legend(scenario),
            expectations: expectation::all(scenario),
            messages: message::all(&scenario.notifications, ruler),
            told: scenario.notifications.len(),
            faults: scenario.faults.iter().map(|fault| fault_row(fault, ruler)).collect(),
            faults_line: scenario.faults.iter().map(|it| it.plan.title.as_str()).collect::<Vec<_>>().join(", "),
            loads: scenario.loads.iter().map(load).collect(),
            alerts: alerts(scenario),
            alerts_line: alerts_line(scenario),
            components: scenario.components.iter().map(|it| component(it, ruler)).collect(),
            components_line: components_line(scenario),
            configs: scenario.configs.iter().map(config).collect(),
            caveats: scenario.caveats.clone(),
            warnings: scenario.warnings.clone(),
            incidents: incidents(scenario, ruler),
        }
    }
}

/// A name as an anchor holds it.
fn anchor(name: &str) -> String {
    let safe = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    format!("scenario-{}", name.chars().map(safe).collect::<String>())
}

fn took(scenario: &Scenario) -> String {
    let Some(took) = scenario.took() else { return "never began".to_owned() };
    let ruler = scenario.ruler();
    if ruler.is_real() {
        return format!("took {}", length::show(took));
    }
    format!("took {}, {} of production time", length::show(took), ruler.length(took))
}

/// What the picture's signs mean, as far as it has them.
fn legend(scenario: &Scenario) -> Vec<String> {
    let ruler = scenario.ruler();
    let mut legend = vec![format!("0 is {}, {} UTC", scenario.origin(), length::time(ruler.origin))];
    let mut add = |words: &str| legend.push(words.to_owned());
    if !scenario.faults.is_empty() {
        add("hatched purple: fault not proved (yet, or any more)");
    }
    if !scenario.alerts.is_empty() {
        add("hatched amber: pending");
        add("solid red: firing");
        add("bracket: when the configuration allows it to fire and to resolve");
    }
    if !scenario.notifications.is_empty() {
        add("▲ page: firing");
        add("▽ page: resolved");
    }
    legend
}

fn trouble(trouble: &view::Trouble) -> TroubleBox {
    TroubleBox {
        word: view::word(trouble.verdict),
        title: trouble.title.clone(),
        code: trouble.reason.code(),
        message: trouble.message.clone(),
        last_lines: trouble.last_lines.join("\n"),
    }
}

fn fault_row(fault: &Fault, ruler: Ruler) -> FaultRow {
    let stamp = |stamp: Option<Stamp>| stamp.map_or("–".to_owned(), |at| ruler.production(at));
    FaultRow {
        id: fault.plan.id.clone(),
        title: fault.plan.title.clone(),
        stamps: [fault.injecting, fault.injected, fault.proved, fault.reverting, fault.gone].map(stamp),
        probes: fault.probes.iter().map(|(_, finding, probe)| (finding.word(), probe.clone())).collect(),
    }
}

fn load(load: &Load) -> LoadBox {
    let totals = load.totals.as_ref();
    LoadBox {
        name: load.name.clone(),
        line: totals.map_or("the log stops before its end".to_owned(), load_line),
        description: load.description.clone(),
        saturation: totals.and_then(|totals| totals.saturation.clone()),
        flow: totals.map(flow).unwrap_or_default(),
        outcomes: totals.map(outcomes).unwrap_or_default(),
    }
}

fn load_line(totals: &LoadTotals) -> String {
    let p99 = totals.latency_us.get("p99").map_or_else(String::new, |p99| format!(", p99 {}", length::micros(*p99)));
    format!("{} requests sent of {} planned{p99}", length::count(totals.started), length::count(totals.planned))
}

fn flow(totals: &LoadTotals) -> Vec<(String, String)> {
    let counts = [
        ("planned", totals.planned),
        ("sent", totals.started),
        ("never sent", totals.dropped),
        ("answered", totals.completed),
        ("no answer", totals.failed),
        ("given up at the end", totals.cancelled),
    ];
    let counts = counts.into_iter().map(|(name, count)| (name.to_owned(), length::count(count)));
    let mut latencies: Vec<(&String, &u64)> = totals.latency_us.iter().collect();
    latencies.sort_by_key(|(_, micros)| **micros);
    counts.chain(latencies.into_iter().map(|(name, value)| (name.clone(), length::micros(*value)))).collect()
}

fn outcomes(totals: &LoadTotals) -> Vec<(String, String, String, String)> {
    let mut rows = Vec::new();
    for (request, answers) in &totals.by_outcome {
        let whole = answers.values().sum();
        for (answer, count) in answers {
            rows.push((request.clone(), answer.clone(), length::count(*count), length::share(*count, whole)));
        }
    }
    rows
}

fn alerts(scenario: &Scenario) -> Vec<AlertRow> {
    let ruler = scenario.ruler();
    let rows = scenario.alerts.iter().flat_map(|lane| {
        lane.intervals.iter().map(|interval| AlertRow {
            name: lane.alert.clone(),
            state: state(interval.state),
            begin: ruler.production(interval.begin),
            end: interval.end.map_or("the end".to_owned(), |end| ruler.production(end)),
            labels: lane.shown_labels(),
        })
    });
    rows.collect()
}

const fn state(state: AlertState) -> &'static str {
    match state {
        AlertState::Inactive => "inactive",
        AlertState::Pending => "pending",
        AlertState::Firing => "firing",
    }
}

fn alerts_line(scenario: &Scenario) -> String {
    let mut names: Vec<&str> = scenario
        .alerts
        .iter()
        .filter(|lane| lane.intervals.iter().any(|interval| interval.state == AlertState::Firing))
        .map(|lane| lane.alert.as_str())
        .collect();
    names.dedup();
    if names.is_empty() { "nothing fired".to_owned() } else { format!("{} fired", names.join(", ")) }
}

fn component(component: &Component, ruler: Ruler) -> ComponentRow {
    let life = &component.life;
    let used = |show: fn(&Used) -> String| life.used.as_ref().map_or("–".to_owned(), show);
    let changes = life.changes.iter().map(|(at, change, detail)| {
        let words = if detail.is_empty() { change.word().to_owned() } else { format!("{}, {detail}", change.word()) };
        (ruler.production(*at), words)
    });
    let addresses = component.addresses.iter().map(|(name, address)| format!("{name} {address}"));
    ComponentRow {
        name: component.name.clone(),
        version: component.version.clone(),
        source: component.source.clone(),
        addresses: addresses.collect::<Vec<_>>().join(", "),
        ready: component.took.map_or("never".to_owned(), length::show),
        cpu: used(|used| format!("{:.2} / {:.2}", used.cpu, used.peak_cpu)),
        memory: used(|used| length::bytes(used.peak_memory)),
        restarts: life.restarts().to_string(),
        out_of_memory: life.out_of_memory().to_string(),
        changes: changes.collect(),
    }
}

fn components_line(scenario: &Scenario) -> String {
    let names: Vec<String> =
        scenario.components.iter().map(|it| format!("{} {}", it.name, it.version).trim().to_owned()).collect();
    let ready = scenario.ready.as_ref().map_or_else(String::new, |it| format!("; all ready after {}", it.words()));
    format!("Components: {}{ready}", names.join(", "))
}

fn config(config: &Config) -> ConfigBox {
    let lines: Vec<(&'static str, String)> = config.diff.lines().map(|line| (kind(line), line.to_owned())).collect();
    let count = |class: &str| lines.iter().filter(|(kind, _)| *kind == class).count();
    ConfigBox {
        file: config.file.clone(),
        copy: config.copy.clone(),
        line: format!("−{} +{} lines", count("del"), count("add")),
        lines,
    }
}

fn kind(line: &str) -> &'static str {
    match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] | [b'@', b'@', ..] => "hunk",
        [b'+', ..] => "add",
        [b'-', ..] => "del",
        _ => "",
    }
}

fn incidents(scenario: &Scenario, ruler: Ruler) -> Vec<(String, String, String)> {
    let rules = scenario
        .rules
        .iter()
        .map(|(at, rule, health, error)| (*at, format!("rule {rule}: health {health}"), error.clone()));
    let servers =
        scenario.reachability.iter().map(|(at, component, message)| (*at, component.clone(), message.clone()));
    let mut all: Vec<(Stamp, String, String)> = rules.chain(servers).collect();
    all.sort_by_key(|(at, ..)| *at);
    all.into_iter().map(|(at, what, words)| (ruler.production(at), what, words)).collect()
}
