//! The binary as a child process: what it acknowledged survives its death.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(data: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_logstore"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, url }
    }

    /// SIGKILL: nothing is flushed, no destructor runs.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn push(process: &Process, values: Vec<Value>) -> u16 {
    let body = json!({"streams": [{"stream": {"app": "x"}, "values": values}]});
    let url = format!("{}/loki/api/v1/push", process.url);
    reqwest::Client::new().post(url).json(&body).send().await.unwrap().status().as_u16()
}

async fn lines(process: &Process, start: i64, end: i64) -> Vec<String> {
    let query = [
        ("query", r#"{app="x"}"#.to_owned()),
        ("start", start.to_string()),
        ("end", end.to_string()),
        ("limit", "5000".to_owned()),
        ("direction", "forward".to_owned()),
    ];
    let url = format!("{}/loki/api/v1/query_range", process.url);
    let body: Value = reqwest::Client::new().get(url).query(&query).send().await.unwrap().json().await.unwrap();
    let streams = body["data"]["result"].as_array().unwrap().clone();
    let values = streams.iter().flat_map(|stream| stream["values"].as_array().unwrap().clone());
    let mut lines: Vec<String> = values.map(|value| value[1].as_str().unwrap().to_owned()).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn acknowledged_pushes_survive_sigkill_t54() {
    for fsync in ["never", "always"] {
        let folder = tempfile::tempdir().unwrap();
        let at = logstore::clock::wall();
        let mut expected = Vec::new();
        for round in 0..3i64 {
            let process = Process::start(folder.path(), &["--fsync", fsync]);
            assert_eq!(lines(&process, at, at + 10_000).await, expected, "round {round}");
            for number in 0..20i64 {
                let n = round * 20 + number;
                let value = json!([(at + n).to_string(), format!("line {n:03}"), {"trace": n.to_string()}]);
                assert_eq!(push(&process, vec![value]).await, 204);
                expected.push(format!("line {n:03}"));
            }
            process.kill();
        }
        let process = Process::start(folder.path(), &[]);
        assert_eq!(lines(&process, at, at + 10_000).await, expected);
    }
}

#[tokio::test]
async fn a_kill_amid_pushes_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), &[]);
    let at = logstore::clock::wall();
    let url = format!("{}/loki/api/v1/push", process.url);
    let (count, mut counted) = tokio::sync::mpsc::unbounded_channel();
    let writers: Vec<_> = (0..4i64)
        .map(|writer| {
            let (url, count) = (url.clone(), count.clone());
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let mut acknowledged = Vec::new();
                for number in 0..1_000i64 {
                    let line = format!("{writer} {number}");
                    let values = json!([[(at + number * 4 + writer).to_string(), line]]);
                    let body = json!({"streams": [{"stream": {"app": "x"}, "values": values}]});
                    match client.post(&url).json(&body).send().await {
                        Ok(response) if response.status().as_u16() == 204 => {
                            acknowledged.push(line);
                            let _ = count.send(());
                        }
                        _ => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..200 {
        counted.recv().await.unwrap();
    }
    process.kill();
    let process = Process::start(folder.path(), &[]);
    let found: std::collections::BTreeSet<_> = lines(&process, at, at + 1_000_000).await.into_iter().collect();
    for writer in writers {
        let acknowledged = writer.await.unwrap();
        for line in acknowledged {
            assert!(found.contains(&line), "{line} was acknowledged and is gone");
        }
    }
}

#[tokio::test]
async fn two_processes_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Process::start(folder.path(), &[]);
    let second = Command::new(env!("CARGO_BIN_EXE_logstore"))
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains("another logstore uses this folder"), "{text}");
}
