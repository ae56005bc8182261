//! What polling costs: Prometheus with the reference rules, evaluated every second, left alone and then polled as a drill
//! polls it. On request (`just bench-bounds`): it takes a minute and wants an idle machine.

use std::io::Write as _;
use std::time::Duration;

use acceptance::{Stand, processes, repository};
use harness::clock::Clock;
use harness::run::hold;
use harness::run::observe::{self, Seen};
use harness::run::record::Record;
use harness::telemetry::alertmanager::Alertmanager;
use harness::telemetry::http::Settings;
use harness::telemetry::prometheus::Prometheus;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long each of the two is watched.
const WATCHED: Duration = Duration::from_secs(40);
/// At this scale the reference stack's 15 s are one second.
const SCALE: &str = "15";
/// Of one core, for Prometheus and the harness together.
const MOST: f64 = 0.02;

/// Processor time of a process so far, user and system.
fn spent(pid: i32) -> Duration {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_else(|error| panic!("process {pid}: {error}"));
    let (_, fields) = text.rsplit_once(") ").expect("a name stands in brackets");
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

struct Spent {
    prometheus: Duration,
    alertmanager: Duration,
    harness: Duration,
}

impl Spent {
    fn of(prometheus: i32, alertmanager: i32) -> Self {
        let own = i32::try_from(std::process::id()).expect("a process id fits");
        Self { prometheus: spent(prometheus), alertmanager: spent(alertmanager), harness: spent(own) }
    }

    /// Shares of one core since `before`.
    fn since(&self, before: &Self, length: Duration) -> [f64; 3] {
        let share = |now: Duration, then: Duration| (now.saturating_sub(then)).as_secs_f64() / length.as_secs_f64();
        [
            share(self.prometheus, before.prometheus),
            share(self.alertmanager, before.alertmanager),
            share(self.harness, before.harness),
        ]
    }
}

/// A stand whose Prometheus runs the reference rules, too.
fn stand() -> Stand {
    let rules = repository().join("stack/prometheus/rules");
    let files = std::fs::read_dir(&rules).expect("the stack has rules").flatten();
    files.fold(Stand::new("burst"), |stand, entry| {
        let text = std::fs::read_to_string(entry.path()).expect("a rule file can be read");
        stand.add_file(&format!("stack/prometheus/rules/{}", entry.file_name().to_string_lossy()), &text)
    })
}

/// Watches for a while; with clients, polls as a drill does.
async fn watched(clients: Option<(Prometheus, Alertmanager)>, pids: (i32, i32)) -> ([f64; 3], usize) {
    let clock = Clock::start();
    let period = Duration::from_millis(500);
    let (to, mut from) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    if let Some((prometheus, alertmanager)) = clients {
        tokio::spawn(observe::rules(prometheus, period, clock, to.clone(), stop.clone()));
        tokio::spawn(observe::holdings(alertmanager, period, clock, to.clone(), stop.clone()));
    }
    let (before, end) = (Spent::of(pids.0, pids.1), Instant::now() + WATCHED);
    let (mut record, mut polls) = (Record::default(), 0);
    while let Ok(Some(seen)) = tokio::time::timeout_at(end, from.recv()).await {
        polls += 1;
        match seen {
            Seen::Rules { asked, groups } => drop(record.rules(&groups, asked)),
            Seen::LogRules { .. } => panic!("nobody asks the log store"),
            Seen::Held { asked, alerts } => record.held(&alerts, asked),
            Seen::Deliveries(deliveries) => record.deliveries(&deliveries),
            Seen::Silent { component, error } => panic!("{component}: {error}"),
            Seen::Knocked { receiver, .. } => panic!("nobody knocks at {receiver}"),
        }
    }
    stop.cancel();
    drop(to);
    (Spent::of(pids.0, pids.1).since(&before, WATCHED), polls)
}

fn only(found: Vec<i32>, what: &str) -> i32 {
    let [pid] = found[..] else { panic!("one {what}, not {found:?}") };
    pid
}

#[tokio::test]
#[ignore = "a figure of an idle machine, in a minute and a half; `just bench-bounds` runs it"]
async fn polling_costs_less_than_two_percent_of_a_core() {
    let stand = stand();
    let up = stand.harness(&["stack", "up", "--time-scale", SCALE]).await;
    assert_eq!(up.code, Some(0), "{up:#?}");
    let held = hold::held(&stand.root().join("state")).expect("a stack is kept running");
    let base = |component: &str| format!("http://{}", held.addresses[component]["http"]);
    let prometheus = Prometheus::new(&base("prometheus"), Settings::default()).expect("an address");
    let alertmanager = Alertmanager::new(&base("alertmanager"), Settings::default()).expect("an address");
    let root = stand.root().display().to_string();
    let pids = (
        only(processes(&["prometheus.yml", "--storage.tsdb.path", &root]), "Prometheus"),
        only(processes(&["alertmanager.yml", "--storage.path", &root]), "Alertmanager"),
    );
    let rules = prometheus.rules().await.expect("it answers").value;
    let count: usize = rules.iter().map(|group| group.rules.len()).sum();
    let (alone, _) = watched(None, pids).await;
    let (polled, polls) = watched(Some((prometheus, alertmanager)), pids).await;
    let down = stand.harness(&["stack", "down"]).await;
    assert_eq!(down.code, Some(0), "{down:#?}");
    let percent = |share: f64| share * 100.0;
    let mut text = format!("\n{count} rules every second, {polls} polls in {} s\n\n", WATCHED.as_secs());
    text.push_str("| % of one core | left alone | polled | polling |\n|---|---:|---:|---:|\n");
    for (index, name) in ["Prometheus", "Alertmanager", "harness"].into_iter().enumerate() {
        let (before, after) = (percent(alone[index]), percent(polled[index]));
        text.push_str(&format!("| {name} | {before:.2} | {after:.2} | {:.2} |\n", after - before));
    }
    drop(std::io::stderr().write_all(text.as_bytes()));
    assert!(polls > 100, "{polls} polls are too few to say anything");
    let added = (polled[0] - alone[0]).max(0.0) + (polled[2] - alone[2]).max(0.0);
    assert!(added < MOST, "polling adds {:.2} % of a core", percent(added));
}
