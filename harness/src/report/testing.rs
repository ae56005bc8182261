//! Hand-made event logs for the tests of all renderings.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Stamp;
use crate::event::{
    AlertState, Change, ComponentSample, Event, EventKind, ExpectationPlan, FaultPlan, LoadSample, LoadTotals,
    Notification, NotifiedAlert, Phase, ScenarioPlan, Verdict,
};
use crate::outcome::{Evidence, Outcome, Reason, Stage};
use crate::source::Location;

const BURST: &str = "http-error-burst";
const STEADY: &str = "steady-state";

/// A log under construction; times are real seconds from the run's start.
struct Log {
    events: Vec<Event>,
}

pub(super) fn at(seconds: f64) -> Stamp {
    Stamp(Stamp::from_seconds(1_789_000_000.0).0 + Stamp::from_seconds(seconds).0)
}

pub(super) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Log {
    fn new(scenarios: &[&str]) -> Self {
        let mut log = Self { events: Vec::new() };
        log.run(
            0.0,
            EventKind::RunStarted {
                run: "20260910-002640-test".to_owned(),
                harness: "0.1.0".to_owned(),
                time_scale: 60.0,
                provider: "local".to_owned(),
                provider_because: "no container engine answered".to_owned(),
                machine: map(&[("kernel", "Linux 6.12"), ("cores", "2"), ("memory", "4 GB")]),
                scenarios: scenarios.iter().map(ToString::to_string).collect(),
            },
        );
        log
    }

    fn add(&mut self, seconds: f64, scenario: Option<&str>, what: EventKind) {
        let seq = self.events.len() as u64;
        self.events.push(Event { seq, at: at(seconds), scenario: scenario.map(str::to_owned), what });
    }

    fn run(&mut self, seconds: f64, what: EventKind) {
        self.add(seconds, None, what);
    }

    fn own(&mut self, scenario: &str, seconds: f64, what: EventKind) {
        self.add(seconds, Some(scenario), what);
    }

    fn phase(&mut self, scenario: &str, seconds: f64, phase: Phase) {
        self.own(scenario, seconds, EventKind::PhaseStarted { phase });
    }

    fn judged(&mut self, scenario: &str, seconds: f64, id: &str, outcome: Outcome) {
        self.own(scenario, seconds, EventKind::ExpectationJudged { expectation: id.to_owned(), outcome });
    }

    /// In the order of time, as a run writes it.
    fn end(mut self, seconds: f64, exit_code: u8) -> Vec<Event> {
        self.run(seconds, EventKind::RunFinished { exit_code });
        self.events.sort_by_key(|event| event.at);
        for (event, seq) in self.events.iter_mut().zip(0..) {
            event.seq = seq;
        }
        self.events
    }

    fn load(&mut self, scenario: &str, from: u32, to: u32, failing: std::ops::Range<u32>) {
        for second in from..to {
            let wave = u64::from(second % 5);
            let failed = if failing.contains(&second) { 40 + wave } else { 0 };
            let slow = if failing.contains(&second) { 9 } else { 1 };
            self.own(
                scenario,
                f64::from(second) + 1.0,
                EventKind::LoadSampled(LoadSample {
                    load: "shoppers".to_owned(),
                    second: at(f64::from(second)),
                    planned: 200,
                    started: 199,
                    dropped: u64::from(second == to - 3),
                    succeeded: 196 + wave - failed,
                    failed,
                    in_flight: 3,
                    latency_us: Some([900 + wave * 40, 2_100, 4_200 * slow + wave * 100, 11_000 * slow]),
                }),
            );
        }
        self.own(
            scenario,
            f64::from(to) + 0.5,
            EventKind::LoadFinished(LoadTotals {
                load: "shoppers".to_owned(),
                planned: 8000,
                started: 7999,
                dropped: 1,
                completed: 7998,
                failed: 1,
                cancelled: 0,
                by_outcome: BTreeMap::from([(
                    "GET /api/items/{sku} (read item)".to_owned(),
                    BTreeMap::from([("200".to_owned(), 7578), ("500".to_owned(), 420), ("timeout".to_owned(), 1)]),
                )]),
                latency_us: BTreeMap::from([
                    ("p50".to_owned(), 950),
                    ("p99".to_owned(), 39_000),
                    ("max".to_owned(), 99_000),
                ]),
                saturation: None,
            }),
        );
    }

    fn stack(&mut self, scenario: &str, seconds: f64) {
        self.phase(scenario, seconds, Phase::Startup);
        for (component, version, source, port) in [
            ("prometheus", "2.42.0", "Debian package prometheus 2.42.0+ds-5", "127.0.0.1:40411"),
            ("alertmanager", "0.25.0", "PATH", "127.0.0.1:40412"),
            ("inventory-service", "0.1.0", "built by cargo", "127.0.0.1:40413"),
        ] {
            self.own(
                scenario,
                seconds + 0.1,
                EventKind::ComponentStarted {
                    component: component.to_owned(),
                    version: version.to_owned(),
                    source: source.to_owned(),
                    addresses: map(&[("http", port)]),
                },
            );
            let took = Duration::from_millis(850);
            self.own(scenario, seconds + 0.95, EventKind::ComponentReady { component: component.to_owned(), took });
        }
        self.own(scenario, seconds + 0.2, EventKind::ConfigRewritten {
            file: "prometheus/rules/inventory.yml".to_owned(),
            copy: "config/http-error-burst/rules/inventory.yml".to_owned(),
            diff: "--- a/inventory.yml\n+++ b/inventory.yml\n@@ -3,2 +3,2 @@\n alert: InventoryHighErrorRate\n-for: 2m\n+for: 2s\n"
                .to_owned(),
        });
        self.own(
            scenario,
            seconds + 0.2,
            EventKind::CaveatNoted { message: "the repeat interval of 4h is longer than the run".to_owned() },
        );
        let took = Duration::from_secs(2);
        let ready = EventKind::StackReady {
            took,
            gates_open: Some(Duration::from_millis(1650)),
            prometheus_first_up: Some(Duration::from_millis(1500)),
            slowest: Some("prometheus".to_owned()),
            slowest_boot: Some(Duration::from_millis(850)),
        };
        self.own(scenario, seconds + 2.0, ready);
        let change = |change, detail: &str| EventKind::ComponentChanged {
            component: "inventory-service".to_owned(),
            change,
            detail: detail.to_owned(),
        };
        self.own(scenario, seconds + 0.15, change(Change::Started, ""));
        for (cpu, memory) in [(0.25, 20_000_000), (0.75, 30_000_000)] {
            let sample = ComponentSample { cpu, memory, processes: 1 };
            let components = BTreeMap::from([("inventory-service".to_owned(), sample)]);
            self.own(scenario, seconds + 2.0, EventKind::ComponentsSampled { components });
        }
        self.own(scenario, seconds + 3.0, change(Change::Ended, "exit status 137"));
        self.own(scenario, seconds + 3.1, change(Change::Started, ""));
    }
}

pub(super) fn expectation(id: &str, kind: &str, title: &str, during: &str, line: u32) -> ExpectationPlan {
    ExpectationPlan {
        id: id.to_owned(),
        kind: kind.to_owned(),
        title: title.to_owned(),
        during: during.to_owned(),
        location: Location { file: "scenarios/http-error-burst.toml".to_owned(), line, column: 1 },
        source: format!("[[expect]]\nduring = \"{during}\"\nthat.{kind} = {{ … }}\n"),
    }
}

fn burst_plan() -> ScenarioPlan {
    ScenarioPlan {
        name: BURST.to_owned(),
        summary: "One request in five fails for ten minutes: the pager rings in time.".to_owned(),
        tags: vec!["errors".to_owned()],
        file: "scenarios/http-error-burst.toml".to_owned(),
        time_scale: 60.0,
        baseline: Duration::from_secs(6),
        recovery: Duration::from_secs(9),
        faults: vec![FaultPlan {
            id: "burst".to_owned(),
            title: "20 % errors 500 from inventory-service".to_owned(),
            at: Duration::ZERO,
            lasts: Duration::from_secs(10),
        }],
        expectations: vec![
            expectation("load-shoppers-1", "load", "load shoppers errors < 0.1%, p99 < 250ms", "baseline", 32),
            expectation("alert-1", "alert", "alert InventoryHighErrorRate fires within 8m", "burst", 45),
            expectation("log-1", "log", "log count >= 50 of event=http_request, status >= 500", "burst", 53),
        ],
        loads: map(&[("shoppers", "200 requests/s, poisson arrivals: GET /api/items/{sku}")]),
    }
}

fn steady_plan() -> ScenarioPlan {
    ScenarioPlan {
        name: STEADY.to_owned(),
        summary: "Nothing happens.".to_owned(),
        tags: vec![],
        file: "scenarios/steady-state.toml".to_owned(),
        faults: vec![],
        expectations: vec![expectation("metric-1", "metric", "metric up == 1", "run", 12)],
        ..burst_plan()
    }
}

/// The scenario that always passes, beside the others.
fn steady(log: &mut Log) {
    log.own(STEADY, 0.5, EventKind::ScenarioStarted(steady_plan()));
    log.stack(STEADY, 0.6);
    log.phase(STEADY, 3.0, Phase::WarmUp);
    log.phase(STEADY, 6.0, Phase::Baseline);
    log.judged(STEADY, 20.0, "metric-1", Outcome::Passed(Evidence::new("up was 1 at all 56 evaluations")));
    let (verdict, reasons) = (Verdict::Pass, vec![]);
    log.own(STEADY, 21.0, EventKind::ScenarioFinished { verdict, reasons });
}

/// The error burst until it is over; `alert` tells what Prometheus and the receivers did.
fn burst(log: &mut Log, alert: fn(&mut Log)) {
    log.own(BURST, 0.5, EventKind::ScenarioStarted(burst_plan()));
    log.stack(BURST, 0.6);
    log.phase(BURST, 3.0, Phase::WarmUp);
    log.phase(BURST, 8.0, Phase::Baseline);
    let seen = Evidence::new("0 of 1 200 requests failed, p99 4.2 ms").with("achieved", "99.9%");
    log.judged(BURST, 14.0, "load-shoppers-1", Outcome::Passed(seen));
    log.phase(BURST, 14.0, Phase::Drill);
    let fault = || "burst".to_owned();
    log.own(BURST, 14.02, EventKind::FaultInjecting { fault: fault() });
    log.own(BURST, 14.05, EventKind::FaultInjected { fault: fault() });
    log.own(BURST, 14.6, EventKind::FaultProved { fault: fault(), probe: "9 of 50 requests answered 500".to_owned() });
    alert(log);
    log.own(BURST, 24.0, EventKind::FaultReverting { fault: fault() });
    log.own(BURST, 24.3, EventKind::FaultGone { fault: fault(), probe: "0 of 50 requests failed".to_owned() });
    log.phase(BURST, 24.3, Phase::Recovery);
    log.load(BURST, 4, 33, 14..24);
    log.phase(BURST, 33.3, Phase::Collection);
}

const LABELS: [(&str, &str); 3] =
    [("alertname", "InventoryHighErrorRate"), ("severity", "critical"), ("team", "inventory")];

fn change(log: &mut Log, seconds: f64, state: AlertState) {
    log.own(
        BURST,
        seconds,
        EventKind::AlertChanged {
            alert: "InventoryHighErrorRate".to_owned(),
            labels: map(&LABELS),
            state,
            evaluated: at(seconds - 0.1),
            value: Some(0.0623),
        },
    );
}

fn page(log: &mut Log, seconds: f64, status: &str) {
    log.own(
        BURST,
        seconds,
        EventKind::NotificationReceived(Notification {
            receiver: "pager".to_owned(),
            kind: "pagerduty".to_owned(),
            received: at(seconds),
            status: status.to_owned(),
            group_key: "{}:{alertname=\"InventoryHighErrorRate\"}".to_owned(),
            group_labels: map(&LABELS[..1]),
            alerts: vec![NotifiedAlert {
                status: status.to_owned(),
                labels: map(&LABELS),
                annotations: map(&[
                    ("summary", "More than 5 % of requests fail"),
                    ("runbook_url", "https://runbooks.example/errors"),
                ]),
                starts_at: Some(at(17.9)),
                ends_at: None,
                fingerprint: "a1b2".to_owned(),
            }],
            truncated: 0,
            title: format!("[{}] InventoryHighErrorRate", status.to_uppercase()),
            text: "More than 5 % of requests to the InventoryService fail".to_owned(),
            answered: 202,
        }),
    );
}

fn rings(log: &mut Log) {
    change(log, 15.6, AlertState::Pending);
    change(log, 17.9, AlertState::Firing);
    page(log, 18.6, "firing");
    change(log, 29.6, AlertState::Inactive);
    page(log, 30.1, "resolved");
}

fn stages(fired: Option<f64>) -> Vec<Stage> {
    let stage = |name: &str, observed: Option<f64>, floor: f64, ceiling: f64| Stage {
        name: name.to_owned(),
        observed: observed.map(at),
        floor: Some(at(floor)),
        ceiling: Some(at(ceiling)),
    };
    vec![
        stage("pending", Some(15.5), 14.2, 17.0),
        stage("firing", fired, 16.2, 19.5),
        stage("resolved", fired.map(|_| 29.5), 27.0, 31.0),
    ]
}

fn alert_evidence(summary: &str, fired: Option<f64>) -> Evidence {
    let evidence = Evidence::new(summary)
        .with("alert", "InventoryHighErrorRate")
        .with_code("rule", "sum(rate(http_requests_total{status=~\"5..\"}[5m])) > 0.05")
        .with_list("nearest label sets", vec!["{severity=\"warning\"}".to_owned()])
        .with_table("state history", &["evaluated", "state"], vec![vec!["+1m 29s".to_owned(), "pending".to_owned()]]);
    Evidence { stages: stages(fired), ..evidence }
}

/// Two scenarios, both fine.
pub(super) fn pass() -> Vec<Event> {
    let mut log = Log::new(&[STEADY, BURST]);
    steady(&mut log);
    burst(&mut log, rings);
    log.judged(
        BURST,
        34.0,
        "alert-1",
        Outcome::Passed(alert_evidence("fired 3m 49s after the inject call", Some(17.8))),
    );
    log.judged(BURST, 34.1, "log-1", Outcome::Passed(Evidence::new("421 lines matched")));
    log.phase(BURST, 34.2, Phase::Teardown);
    let (verdict, reasons) = (Verdict::Pass, vec![]);
    log.own(BURST, 34.9, EventKind::ScenarioFinished { verdict, reasons });
    log.end(35.0, 0)
}

/// One scenario passes, one does not.
pub(super) fn fail() -> Vec<Event> {
    let mut log = Log::new(&[STEADY, BURST]);
    log.run(0.1, EventKind::Progressed { message: "building inventory-service".to_owned() });
    steady(&mut log);
    burst(&mut log, |log| {
        change(log, 15.6, AlertState::Pending);
        change(log, 17.4, AlertState::Inactive);
    });
    let summary = "never fired: pending from +1m 29s on, then the expression had no series any more";
    log.judged(BURST, 34.0, "alert-1", Outcome::Failed(Reason::NeverFired, alert_evidence(summary, None)));
    let unsure = Evidence::new("the query answered with no series").with_code("query", "{service=\"inventory\"}");
    log.judged(BURST, 34.1, "log-1", Outcome::Inconclusive(Reason::NoData, unsure));
    log.own(BURST, 34.1, EventKind::Warned { message: "loki was slow to answer".to_owned() });
    log.phase(BURST, 34.2, Phase::Teardown);
    let (verdict, reasons) = (Verdict::Fail, vec![Reason::NeverFired, Reason::NoData]);
    log.own(BURST, 34.9, EventKind::ScenarioFinished { verdict, reasons });
    log.end(35.0, 1)
}

/// The fault has no effect, so nothing can be said.
pub(super) fn inconclusive() -> Vec<Event> {
    let mut log = Log::new(&[BURST]);
    burst(&mut log, |log| {
        let (fault, probe) = ("burst".to_owned(), "0 of 50 requests failed".to_owned());
        log.own(BURST, 16.0, EventKind::FaultNotEffective { fault, probe });
        let (component, message) = ("prometheus".to_owned(), "connection refused".to_owned());
        log.own(BURST, 17.0, EventKind::ServerReachability { component, reachable: false, message });
    });
    for id in ["alert-1", "log-1"] {
        let seen = Evidence::new("the window was not covered");
        log.judged(BURST, 34.0, id, Outcome::Inconclusive(Reason::NoCoverage, seen));
    }
    let (verdict, reasons) = (Verdict::Inconclusive, vec![Reason::FaultNotEffective, Reason::NoCoverage]);
    log.own(BURST, 34.9, EventKind::ScenarioFinished { verdict, reasons });
    log.end(35.0, 3)
}

/// Prometheus does not come up.
pub(super) fn stack_failure() -> Vec<Event> {
    let mut log = Log::new(&[BURST]);
    log.own(BURST, 0.5, EventKind::ScenarioStarted(burst_plan()));
    log.phase(BURST, 0.6, Phase::Startup);
    log.own(
        BURST,
        0.7,
        EventKind::ComponentStarted {
            component: "prometheus".to_owned(),
            version: "2.42.0".to_owned(),
            source: "PATH".to_owned(),
            addresses: map(&[("http", "127.0.0.1:9090")]),
        },
    );
    log.own(
        BURST,
        30.6,
        EventKind::StackFailed {
            component: Some("prometheus".to_owned()),
            reason: Reason::ReadyTimeout,
            message: "GET http://127.0.0.1:9090/-/ready did not answer 200 within 30 s".to_owned(),
            last_lines: vec![
                "level=info msg=\"Starting Prometheus\"".to_owned(),
                "level=error msg=\"listen tcp 127.0.0.1:9090: bind: address already in use\"".to_owned(),
            ],
        },
    );
    let (verdict, reasons) = (Verdict::Environment, vec![Reason::ReadyTimeout]);
    log.own(BURST, 31.0, EventKind::ScenarioFinished { verdict, reasons });
    log.end(31.1, 4)
}

/// The log of `fail`, cut in the drill.
pub(super) fn incomplete() -> Vec<Event> {
    let mut events = fail();
    let cut = events.iter().position(|event| matches!(event.what, EventKind::FaultReverting { .. })).unwrap();
    events.truncate(cut);
    events
}

/// Every kind of event that the others lack, for tests that want all of them.
pub(super) fn everything() -> Vec<Event> {
    let mut log = Log { events: fail() };
    log.events.pop();
    rings(&mut log);
    let fault = || "burst".to_owned();
    let rare = [
        EventKind::ComponentExited {
            component: "loki".to_owned(),
            status: "exit status 1".to_owned(),
            last_lines: vec!["panic".to_owned()],
        },
        EventKind::StackFailed {
            component: Some("grafana".to_owned()),
            reason: Reason::Provider,
            message: "no such binary".to_owned(),
            last_lines: vec!["last words".to_owned()],
        },
        EventKind::FaultNotEffective { fault: fault(), probe: "nothing seen".to_owned() },
        EventKind::FaultLost { fault: fault(), probe: "gone early".to_owned() },
        EventKind::FaultNotReverted { fault: fault(), message: "still there".to_owned() },
        EventKind::RuleHealthChanged {
            rule: "InventorySlow".to_owned(),
            health: "err".to_owned(),
            error: "many-to-many matching".to_owned(),
        },
        EventKind::ServerReachability {
            component: "alertmanager".to_owned(),
            reachable: false,
            message: "connection reset".to_owned(),
        },
        EventKind::LeftBehind { resource: "process 4711".to_owned(), message: "not permitted".to_owned() },
    ];
    for what in rare {
        log.own(BURST, 34.95, what);
    }
    log.own(
        "skipped-one",
        34.96,
        EventKind::ScenarioSkipped { reason: Reason::RequirementMissing, message: "postgres is not here".to_owned() },
    );
    if let Some(EventKind::RunStarted { scenarios, .. }) = log.events.first_mut().map(|event| &mut event.what) {
        scenarios.push("skipped-one".to_owned());
    }
    log.run(34.97, EventKind::Warned { message: "an earlier run had left something".to_owned() });
    log.run(34.98, EventKind::InterruptReceived { signal: "SIGTERM".to_owned() });
    log.run(34.99, EventKind::LeftBehind { resource: "folder /tmp/x".to_owned(), message: "busy".to_owned() });
    log.end(35.0, 130)
}
