//! The binary: how it starts, ends and survives.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

struct Process {
    child: Child,
    base: String,
    admin: String,
    output: BufReader<std::process::ChildStdout>,
}

fn spawn(variables: &[(&str, &str)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory-service"));
    command
        .env_clear()
        .env("LISTEN", "127.0.0.1:0")
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("INVENTORY_FAULTS", "enabled");
    let mut child = command.envs(variables.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(started["event"], "service_started");
    let url = |field: &str| format!("http://{}", started[field].as_str().unwrap());
    Process { child, base: url("listen"), admin: url("admin_listen"), output }
}

impl Process {
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn rest(&mut self) -> Vec<Value> {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_what_is_under_way_writes_the_log_and_exits_0() {
    let mut process = spawn(&[]);
    let client = client();
    let switch = client.put(format!("{}/faults", process.admin)).json(&json!({ "slow": { "add": "500ms" } }));
    assert_eq!(switch.send().await.unwrap().status(), 200);
    let under_way = tokio::spawn(client.get(format!("{}/api/items", process.base)).send());
    let bitten = async || {
        let shown: Value = client.get(format!("{}/faults", process.admin)).send().await.unwrap().json().await.unwrap();
        (shown["bitten"]["slow"] == 1).then_some(())
    };
    crate::support::eventually("the request", bitten).await;
    process.signal(Signal::TERM);
    assert_eq!(under_way.await.unwrap().unwrap().status(), 200);
    let lines = tokio::task::block_in_place(|| process.rest());
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events.iter().filter(|event| **event == "http_request").count(), 1);
    assert_eq!(events.last(), Some(&"service_stopped"));
}

#[tokio::test]
async fn kill_loses_no_acknowledged_write() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("inventory.db").display());
    let mut process = spawn(&[("DATABASE_URL", &url)]);
    let client = client();
    let items = format!("{}/api/items", process.base);
    for number in 0..50 {
        let body = json!({ "sku": format!("SKU-{number}"), "name": "x", "quantity": number });
        assert_eq!(client.post(&items).json(&body).send().await.unwrap().status(), 201);
    }
    process.signal(Signal::KILL);
    process.child.wait().unwrap();
    let mut again = spawn(&[("DATABASE_URL", &url)]);
    let page: Value =
        client.get(format!("{}/api/items?limit=200", again.base)).send().await.unwrap().json().await.unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 50);
    again.signal(Signal::TERM);
    assert_eq!(again.child.wait().unwrap().code(), Some(0));
}

#[test]
fn wrong_settings_are_named_and_exit_2() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory-service"));
    let output = command.env_clear().env("DATABASE_URL", "mongodb://secret@host").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("DATABASE_URL") && !text.contains("secret"), "{text}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory-service"));
    let output = command.env_clear().env("LISTEN", &address).env("ADMIN_LISTEN", "127.0.0.1:0").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains(&address) && text.contains("LISTEN"), "{text}");
}
