//! The engine in a process of its own, which the test can starve: of processor time, of file descriptors.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};

use super::super::command::{Options, Pace, Report, run};
use super::super::{Arrivals, ErrorClass};
use super::server::{Reply, Server};
use crate::clock::{self, Clock};

const TARGET: &str = "HARNESS_TEST_LOAD_TARGET";
const DESCRIPTORS: &str = "HARNESS_TEST_LOAD_DESCRIPTORS";

/// Starts this test binary again, as a process that does nothing but [`child`].
fn spawn(server: &Server, descriptors: Option<u64>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "load::tests::process::child", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(TARGET, format!("http://{}", server.address())).stdout(Stdio::piped());
    command.envs(descriptors.map(|descriptors| (DESCRIPTORS, descriptors.to_string())));
    command.spawn().unwrap()
}

fn report(child: Child) -> Report {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json = text.lines().find_map(|line| line.split_once("report=")).expect("the child printed its report").1;
    serde_json::from_str(json).unwrap()
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
    let mut options = Options::new(std::env::var(TARGET).unwrap(), pace, Duration::from_secs(2));
    options.timeout = Duration::from_secs(5);
    let summary = run(&options, Clock::start(), |_| (), std::future::pending()).await.unwrap();
    let json = serde_json::to_string(&Report::from(&summary)).unwrap();
    writeln!(std::io::stdout(), "\nreport={json}").unwrap();
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
