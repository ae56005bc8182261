//! The computed bounds against a real Prometheus and Alertmanager: a fault again and again, each page and each end of a page
//! measured against its floor and ceiling. Three cycles here; twenty, and how exact an inbox's clock is, on request
//! (`just bench-bounds`), because they want three minutes and an idle machine.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use acceptance::{Drill, Stand};
use harness::clock::{Clock, Stamp};
use harness::event::EventKind;
use harness::expect::way::{self, TRANSPORT};
use harness::expect::{AlertBound, Expectation};
use harness::inbox::{Inbox, Kind};
use harness::outcome::Stage;
use harness::plan::study::{Desk, Overrides};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An absolute rate far over its threshold: one scrape shows it.
const RULES: &str = r#"groups:
  - name: cycles
    rules:
      - alert: CycleErrors
        expr: sum by (job) (rate(http_requests_total{job="inventory", status=~"5.."}[1m])) > 0.1
        for: 1m
        labels:
          severity: critical
"#;

/// From one fault to the next, in scenario time: no multiple of an evaluation, so that the phases differ.
const PERIOD: Duration = Duration::from_millis(483_700);
/// A fault lasts until its page has surely come.
const LASTS: &str = "4m";

/// A page, or the end of one, against what was computed; real seconds from the fault's begin or end.
struct Measured {
    cycle: usize,
    what: &'static str,
    took: f64,
    floor: f64,
    ceiling: f64,
    /// How long the proof of the fault (or of its end) took: it is part of the ceiling and not of the bound's width.
    proof: f64,
    /// Scrape, evaluation, the group's term and 0.25 s.
    allowed: f64,
}

impl Measured {
    fn width(&self) -> f64 {
        self.ceiling - self.floor - self.proof
    }

    fn is_inside(&self) -> bool {
        self.floor <= self.took && self.took <= self.ceiling
    }
}

fn stand(cycles: usize) -> Stand {
    let mut added = String::new();
    for cycle in 1..=cycles {
        let at = PERIOD * u32::try_from(cycle - 1).expect("a few cycles");
        writeln!(
            added,
            "[[fault]]\nid = \"cycle-{cycle}\"\nat = \"{}ms\"\nfor = \"{LASTS}\"\ninject.errors = {{ target = \"inventory-service\" }}\n\
             [[expect]]\nduring = \"cycle-{cycle}\"\nthat.alert = {{ name = \"CycleErrors\", fires-within = \"3m\", resolves-within = \"3m\" }}\n\
             [[expect]]\nduring = \"cycle-{cycle}\"\nthat.notification = {{ receiver = \"pager\", alert = \"CycleErrors\", within = \"6m\", resolved = true }}",
            at.as_millis()
        )
        .expect("writing to a string cannot fail");
    }
    let stand = Stand::new("cycles").add_file("stack/prometheus/rules/cycles.yml", RULES);
    stand.edit_scenario("[alerts]", &format!("{added}\n[alerts]"))
}

fn seconds(at: Stamp, origin: Stamp) -> f64 {
    at.seconds_from(origin)
}

fn told(drill: &Drill, wanted: impl Fn(&EventKind) -> bool) -> Stamp {
    drill.events.iter().find(|event| wanted(&event.what)).map(|event| event.at).expect("every cycle runs to its end")
}

fn stage<'a>(stages: &'a [Stage], name: &str) -> &'a Stage {
    stages.iter().find(|stage| stage.name == name).expect("every way has this stage")
}

/// What the plan of the same scenario computed before anything ran.
fn bounds(stand: &Stand) -> AlertBound {
    let file = stand.root().join(stand.scenario_file());
    let studied = Desk::default().study(&file, Overrides::default()).unwrap_or_else(|found| panic!("{found:#?}"));
    let mut planned = studied.plan.expectations.iter().filter_map(|step| match &step.what {
        Expectation::Notification(it) => it.bound.clone(),
        _ => None,
    });
    planned.next().expect("there is a notification")
}

fn measure(drill: &Drill, bound: &AlertBound, cycle: usize) -> [Measured; 2] {
    let id = format!("cycle-{cycle}");
    let injecting = told(drill, |it| matches!(it, EventKind::FaultInjecting { fault } if *fault == id));
    let proved = told(drill, |it| matches!(it, EventKind::FaultProved { fault, .. } if *fault == id));
    let reverting = told(drill, |it| matches!(it, EventKind::FaultReverting { fault } if *fault == id));
    let gone = told(drill, |it| matches!(it, EventKind::FaultGone { fault, .. } if *fault == id));
    let stages = &drill.outcome(&format!("notification-{cycle}")).evidence().stages;
    let received = stage(stages, "receiver").observed.expect("the page came");
    let ended = stage(stages, "resolved-receiver").observed.expect("the end of the page came");
    // only the first cycle's alert creates its group
    let delivery = if cycle == 1 { bound.delivery_new } else { bound.delivery_known };
    let group = delivery.ceiling - TRANSPORT;
    let grid = bound.scrape + bound.evaluation + TRANSPORT;
    let first = Measured {
        cycle,
        what: "page",
        took: seconds(received, injecting),
        floor: (bound.firing.floor + delivery.floor).as_secs_f64(),
        ceiling: seconds(proved, injecting) + (bound.firing.ceiling + delivery.ceiling).as_secs_f64(),
        proof: seconds(proved, injecting),
        allowed: (grid + group).as_secs_f64(),
    };
    let resolved_group = bound.resolved_delivery.ceiling - TRANSPORT;
    let last = Measured {
        cycle,
        what: "its end",
        took: seconds(ended, reverting),
        floor: bound.resolved.floor.as_secs_f64(),
        ceiling: seconds(gone, reverting) + (bound.resolved.ceiling + bound.resolved_delivery.ceiling).as_secs_f64(),
        proof: seconds(gone, reverting),
        allowed: (grid + resolved_group).as_secs_f64(),
    };
    [first, last]
}

fn say(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

fn table(measured: &[Measured]) -> String {
    let mut text =
        "| cycle | | took s | floor s | ceiling s | width s | allowed s | proof s |\n|---:|---|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for it in measured {
        let (took, floor, ceiling) = (it.took, it.floor, it.ceiling);
        let inside = if it.is_inside() { "" } else { " **outside**" };
        writeln!(
            text,
            "| {} | {}{inside} | {took:.3} | {floor:.3} | {ceiling:.3} | {:.3} | {:.3} | {:.3} |",
            it.cycle,
            it.what,
            it.width(),
            it.allowed,
            it.proof
        )
        .expect("writing to a string cannot fail");
    }
    text
}

/// How much later than the stage before each stage was seen, for the slowest cycle.
fn slowest(drill: &Drill, cycles: usize) -> String {
    let mut text = String::new();
    for (from, to) in
        [("pending", "firing"), ("firing", "alertmanager"), ("series", "pending"), ("series-back", "resolved")]
    {
        let gaps = (1..=cycles).filter_map(|cycle| {
            let stages = &drill.outcome(&format!("notification-{cycle}")).evidence().stages;
            Some(seconds(stage(stages, to).observed?, stage(stages, from).observed?))
        });
        let (least, most) = gaps.fold((f64::MAX, f64::MIN), |(least, most), gap| (least.min(gap), most.max(gap)));
        writeln!(text, "{from} to {to}: {least:.3} .. {most:.3} s").expect("writing to a string cannot fail");
    }
    text
}

async fn cycles(count: usize) {
    let stand = stand(count).patient(Duration::from_secs(600));
    let bound = bounds(&stand);
    let drill = stand.drill().await;
    drill.assert_passed();
    let measured: Vec<Measured> = (1..=count).flat_map(|cycle| measure(&drill, &bound, cycle)).collect();
    say(&format!("\n{}\n{}\n", table(&measured), slowest(&drill, count)));
    for cycle in 1..=count {
        for id in [format!("alert-{cycle}"), format!("notification-{cycle}")] {
            let stages = &drill.outcome(&id).evidence().stages;
            assert_eq!(way::contradiction(stages), None, "{id}: the observers contradict each other\n{stages:#?}");
            assert!(stages.iter().all(|stage| stage.observed.is_some()), "{id}: a stage was not seen\n{stages:#?}");
        }
    }
    let outside = measured.iter().filter(|it| !it.is_inside()).count();
    assert_eq!(outside, 0, "{outside} of {} times lie outside of their bounds", measured.len());
    let wide: Vec<&Measured> = measured.iter().filter(|it| it.width() > it.allowed + 1e-6).collect();
    assert!(wide.is_empty(), "{} bounds are wider than scrape + evaluation + group + 0.25 s", wide.len());
}

#[tokio::test]
async fn pages_and_their_ends_of_three_cycles_lie_inside_of_narrow_bounds() {
    cycles(3).await;
}

#[tokio::test]
#[ignore = "three minutes on an idle machine; `just bench-bounds` runs it"]
async fn pages_and_their_ends_of_twenty_cycles_lie_inside_of_narrow_bounds() {
    cycles(20).await;
}

/// Posts one webhook message that carries the time it was sent at.
async fn post(stream: &mut TcpStream, path: &str, host: &str, sent: &str) {
    let body = format!(
        r#"{{"version":"4","groupKey":"k","truncatedAlerts":0,"status":"firing","receiver":"r","groupLabels":{{}},"commonLabels":{{}},"commonAnnotations":{{}},"externalURL":"","alerts":[{{"status":"firing","labels":{{"alertname":"A"}},"annotations":{{}},"startsAt":"{sent}","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"f"}}]}}"#
    );
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("the inbox takes it");
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).await.expect("the inbox answers");
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure of an idle machine; `just bench-bounds` runs it"]
async fn an_inbox_stamps_what_it_receives_within_50_ms_of_the_senders_own_time() {
    const MESSAGES: usize = 2000;
    let clock = Clock::start();
    let (inbox, mut mail) = Inbox::start(clock, IpAddr::from([127, 0, 0, 1]));
    let url = inbox.url("r", Kind::Webhook, 0).expect("it has an address");
    let (host, path) = url.trim_start_matches("http://").split_once('/').expect("a URL has a path");
    let path = Path::new("/").join(path).display().to_string();
    let mut stream = TcpStream::connect(host).await.expect("it listens");
    let mut late: Vec<f64> = Vec::new();
    for _ in 0..MESSAGES {
        let now = clock.now();
        let sent = jiff::Timestamp::from_microsecond(now.0).expect("the present").to_string();
        post(&mut stream, &path, host, &sent).await;
        let message = mail.recv().await.expect("every message is handed over");
        let stamped = message.alerts[0].starts_at.expect("it carries the sender's time");
        late.push(message.received.seconds_from(stamped) * 1e3);
    }
    late.sort_by(f64::total_cmp);
    let at = |share: usize| late[MESSAGES * share / 1000 - 1];
    say(&format!(
        "receipt after the sender's own time stamp: p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms\n",
        at(500),
        at(990),
        at(1000)
    ));
    assert!(at(990) < 50.0, "p99 {} ms", at(990));
}
