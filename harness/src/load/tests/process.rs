//! The engine in a process of its own, which the test can starve: of processor time, of file descriptors, of ports.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};

use super::super::command::{Options, Pace, Report, run};
use super::super::{Arrivals, Distribution, ErrorClass, Summary, Window};
use super::server::{Reply, Server};
use crate::clock::{self, Clock};

const TARGET: &str = "HARNESS_TEST_LOAD_TARGET";
const DESCRIPTORS: &str = "HARNESS_TEST_LOAD_DESCRIPTORS";
/// The child serves itself, as nobody else is in its network.
const ALONE: &str = "HARNESS_TEST_LOAD_ALONE";
const CHILD: [&str; 5] = ["--exact", "load::tests::process::child", "--ignored", "--nocapture", "--test-threads=1"];

/// Starts this test binary again, as a process that does nothing but [`child`].
fn spawn(server: &Server, descriptors: Option<u64>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(CHILD);
    command.env(TARGET, format!("http://{}", server.address())).stdout(Stdio::piped());
    command.envs(descriptors.map(|descriptors| (DESCRIPTORS, descriptors.to_string())));
    command.spawn().unwrap()
}

fn report(child: Child) -> Report {
    told(child).0
}

/// The child's report, and its windows of 250 ms: when they began, with the 99th percentiles of latency and service time.
fn told(child: Child) -> (Report, Vec<[Duration; 3]>) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json = |name| text.lines().find_map(|line| line.split_once(name)).expect("the child printed it").1;
    (serde_json::from_str(json("report=")).unwrap(), serde_json::from_str(json("windows=")).unwrap())
}

fn windows(summary: &Summary) -> Vec<[Duration; 3]> {
    let p99 = |times: Option<Distribution>| times.and_then(|times| times.quantile(0.99));
    let row = |window: Window| {
        let times = [p99(window.latency(None))?, p99(window.service_time(None))?];
        Some([window.from.since(summary.started_at), times[0], times[1]])
    };
    summary.series(Duration::from_millis(250)).filter_map(row).collect()
}

#[tokio::test]
#[ignore = "is run as a process of its own by the tests below"]
async fn child() {
    if let Ok(descriptors) = std::env::var(DESCRIPTORS) {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let current = Some(open + descriptors.parse::<u64>().unwrap());
        setrlimit(Resource::Nofile, Rlimit { current, maximum: current }).unwrap();
    }
    let pace = Pace::Rate { rate: 200.0, ramp: Duration::ZERO, arrivals: Arrivals::Constant, max_in_flight: None };
    let own = std::env::var_os(ALONE).map(|_| Server::start(|_| Reply::ok().after(Duration::from_secs(1))));
    let url = own.as_ref().map_or_else(|| std::env::var(TARGET).unwrap(), |own| format!("http://{}", own.address()));
    let mut options = Options::new(url, pace, Duration::from_secs(2));
    options.timeout = Duration::from_secs(5);
    let summary = run(&options, Clock::start(), |_| (), std::future::pending()).await.unwrap();
    let json = serde_json::to_string(&Report::from(&summary)).unwrap();
    let windows = serde_json::to_string(&windows(&summary)).unwrap();
    writeln!(std::io::stdout(), "\nreport={json}\nwindows={windows}").unwrap();
}

#[test]
fn a_generator_with_a_tenth_of_a_core_sends_late_but_all_and_says_so_l06_l15() {
    let server = Server::start(|_| Reply::ok());
    let mut child = spawn(&server, None);
    let pid = Pid::from_child(&child);
    while child.try_wait().unwrap().is_none() {
        kill_process(pid, Signal::STOP).unwrap();
        clock::sleep(Duration::from_millis(90));
        kill_process(pid, Signal::CONT).unwrap();
        clock::sleep(Duration::from_millis(10));
    }
    let report = report(child);
    assert_eq!((report.flow.planned, report.flow.started, report.flow.dropped), (400, 400, 0));
    assert_eq!(server.counts.received(), 400);
    assert!(report.lag_us["p99"] > 25_000, "{:?}", report.lag_us);
    assert!(report.saturation.unwrap().contains("sent late"));
    assert_eq!(report.doubts.iter().map(|doubt| doubt.code.as_str()).collect::<Vec<_>>(), ["GENERATOR_SATURATED"]);
}

#[test]
fn exhausted_file_descriptors_are_the_clients_fault_and_saturation_l14() {
    let server = Server::start(|_| Reply::ok().after(Duration::from_millis(1_000)));
    let report = report(spawn(&server, Some(20)));
    let refused = report.errors[&ErrorClass::Client];
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!((refused, report.flow.completed), (report.flow.failed, server.counts.received()));
    assert!(refused > 100 && report.flow.completed >= 20, "{:?}", report.flow);
    assert!(report.saturation.unwrap().contains("for want of file descriptors"));
}

#[test]
fn latency_and_service_time_differ_only_where_the_generator_stood_still_l02() {
    let server = Server::start(|_| Reply::ok());
    let child = spawn(&server, None);
    let pid = Pid::from_child(&child);
    while server.counts.received() < 100 {
        clock::sleep(Duration::from_millis(1));
    }
    kill_process(pid, Signal::STOP).unwrap();
    clock::sleep(Duration::from_millis(600));
    kill_process(pid, Signal::CONT).unwrap();
    let (report, windows) = told(child);
    assert_eq!((report.flow.started, report.flow.dropped, report.flow.failed), (400, 0, 0));
    // what was due while it stood still was sent late: that is in the latency, and not in the service time
    let [_, latency, service] = *windows.iter().max_by_key(|[_, latency, _]| *latency).unwrap();
    assert!(latency >= Duration::from_millis(550) && service + Duration::from_millis(400) < latency, "{windows:?}");
    let stood = Duration::from_millis(250)..Duration::from_millis(1_750);
    let apart = windows.iter().filter(|[_, latency, service]| *latency - *service >= Duration::from_millis(100));
    assert!(apart.clone().count() <= 5 && apart.clone().all(|[from, ..]| stood.contains(from)), "{windows:?}");
    assert!(report.latency_us["p50"] - report.service_time_us["p50"] < 100_000, "{report:?}");
}

#[test]
fn exhausted_ports_are_the_clients_fault_and_saturation_l14() {
    // 20 local ports in a network namespace of its own
    let script = "ip link set lo up && echo 50000 50019 > /proc/sys/net/ipv4/ip_local_port_range && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
    command.args(CHILD).env(ALONE, "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output();
    let text = output.as_ref().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let Some((_, json)) = text.lines().find_map(|line| line.split_once("report=")) else {
        let why = output.map_or_else(|error| error.to_string(), |it| String::from_utf8_lossy(&it.stderr).into_owned());
        assert!(!why.contains("panicked"), "{why}");
        writeln!(std::io::stderr(), "SKIPPED: no network namespace with few ports can be made here: {why}").unwrap();
        return;
    };
    let report: Report = serde_json::from_str(json).unwrap();
    let refused = report.errors[&ErrorClass::Client];
    assert_eq!((report.errors.len(), refused), (1, report.flow.failed), "{:?}", report.errors);
    // the server listens on one of them
    assert!((19..=60).contains(&report.flow.completed) && refused > 300, "{:?}", report.flow);
    assert!(report.saturation.unwrap().contains("for want of file descriptors, ports"));
    assert!(report.doubts.iter().any(|doubt| doubt.code == "GENERATOR_SATURATED"), "{:?}", report.doubts);
}
