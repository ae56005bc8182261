//! Dashboards asked through servers that speak Prometheus's and Grafana's APIs.

use super::*;
use crate::expect::dashboard::board::SourceRole;
use crate::expect::look::ScaledTime;
use crate::outcome::Reason;
use crate::plan::scale::Scale;
use crate::run::about::About;
use crate::run::count::Base;
use crate::run::record::Record;
use crate::stack::spec::Signals;
use crate::telemetry::http::Settings;
use crate::telemetry::prometheus::Prometheus;
use crate::telemetry::wire::{Asked as Heard, Server};

const START: i64 = 1_795_168_800;

const fn at(second: i64) -> Stamp {
    Stamp((START + second) * 1_000_000)
}

/// A matrix with one point a second from `START` on; empty for no series.
fn matrix(values: &[f64]) -> String {
    let points: Vec<String> =
        values.iter().zip(START..).map(|(value, second)| format!("[{second},\"{value}\"]")).collect();
    let series =
        if values.is_empty() { String::new() } else { format!(r#"{{"metric":{{}},"values":[{}]}}"#, points.join(",")) };
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#)
}

/// A Prometheus that knows `http_requests_total` with the job `inventory`, whose rate is 5, and nothing else.
async fn prometheus() -> Server {
    Server::answering(|heard: &Heard| {
        let line = &heard.line;
        if line.contains("/api/v1/series") {
            let known = line.contains("http_requests_total");
            let list = if known { r#"{"__name__":"http_requests_total","job":"inventory"}"# } else { "" };
            return format!(r#"{{"status":"success","data":[{list}]}}"#);
        }
        if line.contains("query=up") {
            return matrix(&[1.0; 11]);
        }
        matrix(if line.contains("http_requests_total") { &[5.0; 11] } else { &[] })
    })
    .await
}

fn query(text: &str, source: &str) -> Query {
    Query { id: "A".into(), source: source.into(), text: text.into(), ..Query::default() }
}

fn spec(query: Query, variable: &str) -> Dashboard {
    let panel = Panel { title: "Requests".into(), unit: "reqps".into(), queries: vec![query], ..Panel::default() };
    let variable = Variable {
        name: "job".into(),
        kind: "query".into(),
        query: variable.into(),
        source: "prometheus".into(),
        current: vec!["inventory".into()],
        ..Variable::default()
    };
    let range = Duration::from_secs(3600);
    let board = Board { uid: "inv".into(), title: "I".into(), range, panels: vec![panel], variables: vec![variable] };
    let source = Source {
        uid: "prometheus".into(),
        name: "Prometheus".into(),
        kind: "prometheus".into(),
        role: SourceRole::Default,
        scrape: Some(Duration::from_secs(15)),
    };
    Dashboard {
        uid: "inv".into(),
        panels: Vec::new(),
        shows: Shows::Data,
        provisioned: Ok(board),
        sources: vec![source],
    }
}

const REQUESTS: &str = "sum(rate(http_requests_total{job=~\"$job\"}[$__rate_interval]))";

/// Judges `spec` against servers, at a scale of 60, in the eleven seconds from `START` on.
async fn judged(spec: &Dashboard, prometheus: &str, grafana: Option<&str>) -> Outcome {
    let prometheus = Prometheus::new(prometheus, Settings::default()).unwrap();
    let grafana = grafana.map(|url| Grafana::new(url, Settings::default()).unwrap());
    let about = About {
        scale: Scale::new(60.0).unwrap(),
        context: promql::Context::default(),
        begun: at(-10),
        baseline: Some(Window::plain(at(0), at(10))),
        stdout: None,
        prefixes: BTreeMap::new(),
    };
    let from = Sources {
        prometheus: &prometheus,
        loki: None,
        grafana: grafana.as_ref(),
        record: &Record::default(),
        loads: &BTreeMap::new(),
        signals: &Signals::default(),
        base: &Base::default(),
        scrape: Duration::from_secs(1),
        time: ScaledTime { scale: 60.0 },
        about: &about,
        settled: at(20),
        times: &crate::run::windows::Times::default(),
        blind: &[],
    };
    judge(spec, Mode::Eventually, Window::plain(at(0), at(10)), from).await
}

const VALUES: &str = "label_values(http_requests_total, job)";

#[tokio::test]
async fn a_panel_is_asked_with_its_variables_filled_in_and_its_windows_scaled() {
    let server = prometheus().await;
    let outcome = judged(&spec(query(REQUESTS, "prometheus"), VALUES), &server.url, None).await;
    assert!(outcome.is_passed(), "{outcome:?}");
    let asked = server.asked();
    let filled = "sum(rate(http_requests_total{job=~\"inventory\"}[1s]))";
    assert!(asked.iter().any(|heard| heard.line.contains(filled)), "60 s at a scale of 60: {asked:?}");
    assert!(format!("{outcome:?}").contains("because no Grafana runs in this stack"), "the report says who was asked");
}

#[tokio::test]
async fn a_panel_that_uses_an_old_metric_is_panel_no_data_s52() {
    let server = prometheus().await;
    let old = query("sum(rate(requests_total{job=~\"$job\"}[$__rate_interval]))", "prometheus");
    assert_eq!(judged(&spec(old, VALUES), &server.url, None).await.reason(), Some(Reason::PanelNoData));
}

#[tokio::test]
async fn a_panel_with_a_data_source_that_does_not_exist_is_panel_no_data_t58() {
    let server = prometheus().await;
    let outcome = judged(&spec(query(REQUESTS, "gone"), VALUES), &server.url, None).await;
    assert!(
        matches!(&outcome, Outcome::Failed(Reason::PanelNoData, it) if it.summary.contains("`gone`")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_dashboard_that_is_not_provisioned_is_missing_s54() {
    let server = prometheus().await;
    let missing =
        Dashboard { provisioned: Err("no file has this uid".into()), ..spec(query(REQUESTS, "prometheus"), VALUES) };
    assert_eq!(judged(&missing, &server.url, None).await.reason(), Some(Reason::DashboardMissing));
}

#[tokio::test]
async fn a_variable_that_resolves_to_nothing_is_variable_empty_s55() {
    let server = prometheus().await;
    let empty = spec(query(REQUESTS, "prometheus"), "label_values(requests_total, job)");
    assert_eq!(judged(&empty, &server.url, None).await.reason(), Some(Reason::VariableEmpty));
}

#[tokio::test]
async fn a_value_on_the_wrong_axis_is_panel_unit() {
    let server = prometheus().await;
    let count = query("sum(increase(http_requests_total[$__range]))", "prometheus");
    assert_eq!(judged(&spec(count, VALUES), &server.url, None).await.reason(), Some(Reason::PanelUnit));
}

/// A Grafana that has the dashboard `inv` with one panel that asks `expr`.
async fn grafana(expr: &'static str, frames: &'static str) -> Server {
    Server::answering(move |heard: &Heard| {
        let target = heard.line.split(' ').nth(1).unwrap_or_default();
        match target.split('?').next().unwrap_or_default() {
            "/api/health" => r#"{"database":"ok","version":"12.1.1"}"#.to_owned(),
            "/api/datasources" => {
                r#"[{"uid":"prometheus","name":"P","type":"prometheus","isDefault":true,"jsonData":{"timeInterval":"15s"}}]"#.to_owned()
            }
            "/api/dashboards/uid/inv" => {
                let panel = json!({"type": "timeseries", "title": "Requests", "fieldConfig": {"defaults": {"unit": "reqps"}},
                    "targets": [{"refId": "A", "expr": expr, "datasource": {"type": "prometheus", "uid": "prometheus"}}]});
                json!({"meta": {"provisioned": true}, "dashboard": {"uid": "inv", "title": "I", "panels": [panel]}}).to_string()
            }
            "/api/ds/query" => format!(r#"{{"results":{{"A":{{"status":200,"frames":{frames}}}}}}}"#),
            other => panic!("{other} was not expected"),
        }
    })
    .await
}

const FRAME: &str = r#"[{"schema":{"fields":[{"name":"Time","type":"time"},{"name":"Value","type":"number","labels":{"route":"/a"}}]},
    "data":{"values":[[1795168800000,1795168801000],[5,6]]}}]"#;
const EMPTY: &str = r#"[{"schema":{"fields":[]},"data":{"values":[]}}]"#;

#[tokio::test]
async fn where_grafana_runs_it_is_asked_with_the_step_of_the_drill() {
    let (prometheus, grafana) =
        (prometheus().await, grafana("sum(rate(http_requests_total[$__rate_interval]))", FRAME).await);
    let unused = Dashboard { provisioned: Err("not read".into()), ..spec(query(REQUESTS, "prometheus"), VALUES) };
    let outcome = judged(&unused, &prometheus.url, Some(&grafana.url)).await;
    assert!(outcome.is_passed(), "{outcome:?}");
    assert!(format!("{outcome:?}").contains("through Grafana 12.1.1 (/api/ds/query)"), "the report says who was asked");
    let asked = grafana.asked();
    let question = asked.iter().find(|heard| heard.line.contains("/api/ds/query")).unwrap();
    let question: serde_json::Value = serde_json::from_str(&question.body).unwrap();
    assert_eq!(question["queries"][0]["expr"], "sum(rate(http_requests_total[1s]))");
    assert_eq!(
        (&question["queries"][0]["interval"], &question["queries"][0]["intervalMs"]),
        (&json!("1000ms"), &json!(1000))
    );
}

#[tokio::test]
async fn an_empty_frame_of_grafana_is_panel_no_data_s52() {
    let (prometheus, grafana) = (prometheus().await, grafana("old_metric", EMPTY).await);
    let outcome = judged(&spec(query(REQUESTS, "prometheus"), VALUES), &prometheus.url, Some(&grafana.url)).await;
    assert_eq!(outcome.reason(), Some(Reason::PanelNoData), "{outcome:?}");
}

#[tokio::test]
async fn a_grafana_without_the_dashboard_is_dashboard_missing_s54() {
    let prometheus = prometheus().await;
    let grafana = Server::always(404, r#"{"message":"Dashboard not found"}"#).await;
    let outcome = judged(&spec(query(REQUESTS, "prometheus"), VALUES), &prometheus.url, Some(&grafana.url)).await;
    assert_eq!(outcome.reason(), Some(Reason::DashboardMissing), "{outcome:?}");
}

#[tokio::test]
async fn a_grafana_that_does_not_answer_decides_nothing() {
    let prometheus = prometheus().await;
    let grafana = Server::always(503, "starting").await;
    let outcome = judged(&spec(query(REQUESTS, "prometheus"), VALUES), &prometheus.url, Some(&grafana.url)).await;
    assert!(matches!(outcome, Outcome::Inconclusive(Reason::Unreachable, _)), "{outcome:?}");
}

#[test]
fn variables_queries_and_their_regex_are_read() {
    assert_eq!(label_values("label_values(up{a=\"b\"}, job)"), Some((Some("up{a=\"b\"}"), "job")));
    assert_eq!(label_values("label_values(job)"), Some((None, "job")));
    assert_eq!(label_values("metrics(up)"), None);
    assert_eq!(cut("host-a:9100", "/(.*):/"), Some("host-a".to_owned()));
    assert_eq!(cut("host-a", "/b$/"), None);
    assert_eq!(cut("host-a", ""), Some("host-a".to_owned()));
}

#[test]
fn points_beside_the_grid_are_put_on_it() {
    let times: Vec<Stamp> = (0..4).map(at).collect();
    let moved = |micros: i64| (0..4).map(|second| (Stamp(at(second).0 + micros), 1.0)).collect();
    let on = |micros| on_grid(moved(micros), &times, Duration::from_secs(1)).iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(on(0), times);
    assert_eq!(on(-400_000), times, "Loki begins at a multiple of the step");
    assert_eq!(on(400_000), times);
    assert_eq!(on(2_000_000), times[2..], "what lies outside is left out");
}
