//! The ruler as a whole: rules from files, an Alertmanager that is told, Loki's API that tells of both.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

use logstore::{Error, Options, Server};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const RULES: &str = "groups:\n- name: logs\n  interval: 50ms\n  rules:\n    - alert: Errors\n      \
                     expr: sum by (service) (count_over_time({level=\"error\"}[5m])) > 0\n      labels: {severity: warning}\n      \
                     annotations: {summary: '{{ $value }} lines of {{ $labels.service }}'}\n";

/// A folder with a configuration, and with `rules` for its tenant.
fn stand(alertmanager: &str, rules: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("rules/fake/a.yml", rules);
    let directory = folder.path().join("rules");
    write(
        "loki.yml",
        &format!(
            "auth_enabled: false\nruler:\n  storage: {{type: local, local: {{directory: {}}}}}\n  rule_path: /tmp/rules\n  \
             alertmanager_url: http://{alertmanager}\n  enable_alertmanager_v2: true\n  external_labels: {{cluster: eu}}\n",
            directory.display()
        ),
    );
    folder
}

fn options(folder: &Path) -> Options {
    Options { config: Some(folder.join("loki.yml")), ..Options::default() }
}

/// Takes one request, answers 200, and gives its first line and body.
async fn received(listener: &TcpListener) -> (String, Value) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
                return (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap());
            }
        }
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..length]);
    }
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://{}{path}", server.address)).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn push_error(server: &Server) {
    let at = logstore::clock::wall().to_string();
    let body =
        serde_json::json!({"streams": [{"stream": {"service": "shop", "level": "error"}, "values": [[at, "bad"]]}]});
    let url = format!("http://{}/loki/api/v1/push", server.address);
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 204);
}

#[tokio::test]
async fn an_alert_on_lines_reaches_alertmanager_and_is_told_by_lokis_api() {
    let alertmanager = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = stand(&alertmanager.local_addr().unwrap().to_string(), RULES);
    let server = Server::start(options(folder.path())).await.unwrap();
    push_error(&server).await;
    let (request, alerts) = received(&alertmanager).await;
    assert_eq!(request, "POST /api/v2/alerts HTTP/1.1");
    let labels = serde_json::json!({"alertname": "Errors", "cluster": "eu", "service": "shop", "severity": "warning"});
    assert_eq!((&alerts[0]["labels"], &alerts[0]["annotations"]["summary"]), (&labels, &"1 lines of shop".into()));

    let rules: Value = serde_json::from_str(&get(&server, "/prometheus/api/v1/rules").await.1).unwrap();
    let (group, rule) = (&rules["data"]["groups"][0], &rules["data"]["groups"][0]["rules"][0]);
    assert_eq!((&group["file"], &group["interval"]), (&"a.yml".into(), &0.05.into()));
    assert_eq!((&rule["state"], &rule["health"], &rule["lastError"]), (&"firing".into(), &"ok".into(), &"".into()));
    assert_eq!(rule["alerts"][0]["value"], "1e+00");
    assert!(rule["alerts"][0]["labels"].get("cluster").is_none(), "external labels are Alertmanager's only");
    assert_ne!(rule["lastEvaluation"], "0001-01-01T00:00:00Z");

    let alerts: Value = serde_json::from_str(&get(&server, "/prometheus/api/v1/alerts").await.1).unwrap();
    assert_eq!(alerts["data"]["alerts"][0]["state"], "firing");
    let listed = get(&server, "/loki/api/v1/rules/a.yml/logs").await;
    assert!(listed.0 == 200 && listed.1.contains("alert: \"Errors\""), "{listed:?}");
    assert_eq!(get(&server, "/loki/api/v1/rules/b.yml").await, (404, "no rule groups found\n".to_owned()));
    assert_eq!(get(&server, "/prometheus/api/v1/rules?type=alert").await.0, 400);

    let metrics = get(&server, "/metrics").await.1;
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("loki_prometheus_{name}{{"))).unwrap();
        assert!(
            !line.contains("rule_group=") || line.contains("rule_group=\"/tmp/rules/fake/a.yml;logs\",user=\"fake\""),
            "{line}"
        );
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(value("rule_evaluations_total") >= 1.0 && value("rule_group_iterations_total") >= 1.0);
    assert_eq!((value("rule_evaluation_failures_total"), value("rule_group_interval_seconds")), (0.0, 0.05));
    assert!(
        value("rule_group_last_evaluation_timestamp_seconds") > 0.0 && value("rule_group_last_duration_seconds") > 0.0
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn rules_that_cannot_be_evaluated_and_a_missing_folder_stop_the_start() {
    let folder = stand("127.0.0.1:1", &RULES.replace("alert: Errors", "record: errors:count"));
    let Err(Error::Ruler(error)) = Server::start(options(folder.path())).await else { panic!("it started") };
    let text = error.to_string();
    assert!(text.contains("rules/fake/a.yml: line 5: the rule records `errors:count`"), "{text}");
    fs::remove_dir_all(folder.path().join("rules")).unwrap();
    let Err(Error::Ruler(error)) = Server::start(options(folder.path())).await else { panic!("it started") };
    assert!(error.to_string().contains("rules/fake"), "{error}");
}

#[tokio::test]
async fn without_a_configuration_there_is_no_ruler_and_no_empty_list() {
    let server = Server::start(Options::default()).await.unwrap();
    let (status, text) = get(&server, "/prometheus/api/v1/rules").await;
    assert!(status == 404 && text.contains("without a ruler"), "{text}");
    assert!(!get(&server, "/metrics").await.1.contains("loki_prometheus_rule"));
    server.stop().await.unwrap();
}
