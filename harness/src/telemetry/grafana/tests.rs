//! The Grafana client against recorded answers on a port.

use super::annotation::{self, Annotation};
use super::*;
use crate::telemetry::wire::Server;

fn client(server: &Server) -> Grafana {
    Grafana::new(&server.url, Settings::default()).unwrap()
}

fn panel_query(id: &str) -> PanelQuery {
    let model = json!({"expr": "rate(x[$__rate_interval])", "range": true}).as_object().unwrap().clone();
    PanelQuery { id: id.to_owned(), data_source: "prom".to_owned(), model, interval_ms: 15_000, max_data_points: 400 }
}

const FROM: Stamp = Stamp(1_795_168_810_734_999);
const TO: Stamp = Stamp(1_795_168_870_734_999);

#[tokio::test]
async fn health_dashboards_and_data_sources_are_read() {
    let server = Server::answering(|asked| {
        let target = asked.line.split_once(' ').unwrap().1;
        match target.split('?').next().unwrap() {
            "/api/health" => r#"{"database":"ok","version":"12.1.0","commit":"x"}"#,
            "/api/search" => r#"[{"id":1,"uid":"inv","title":"Inventory","type":"dash-db","folderTitle":"Shop"}]"#,
            "/api/dashboards/uid/inv" => {
                r#"{"meta":{"provisioned":true},"dashboard":{"uid":"inv","title":"Inventory","panels":[{"id":2}]}}"#
            }
            "/api/datasources/uid/prom/health" => {
                r#"{"status":"OK","message":"Successfully queried the Prometheus API."}"#
            }
            _ => {
                r#"[{"uid":"prom","name":"Prometheus","type":"prometheus","url":"http://p:9090","isDefault":true,
                    "jsonData":{"timeInterval":"5s"}},{"uid":"loki","name":"Loki","type":"loki"}]"#
            }
        }
        .to_owned()
    })
    .await;
    let grafana = client(&server);
    assert_eq!(grafana.health().await.unwrap().version, "12.1.0");
    assert_eq!(grafana.dashboards().await.unwrap()[0].folder, "Shop");
    let dashboard = grafana.dashboard("inv").await.unwrap();
    assert!(dashboard.provisioned && dashboard.model["panels"][0]["id"] == 2);
    let sources = grafana.data_sources().await.unwrap();
    assert_eq!((sources[0].is_default, sources[0].scrape_interval.as_str()), (true, "5s"));
    assert_eq!((sources[1].is_default, sources[1].scrape_interval.as_str()), (false, ""));
    assert!(grafana.data_source_health("prom").await.unwrap().starts_with("Successfully"));
}

#[tokio::test]
async fn frames_keep_labels_times_gaps_and_what_json_cannot_write() {
    let body = json!({"results": {"A": {"status": 200, "frames": [{
        "schema": {"name": "GET /items", "meta": {"notices": [{"severity": "warning", "text": "truncated"}]}, "fields": [
            {"name": "Time", "type": "time"}, {"name": "Value", "type": "number", "labels": {"route": "/items"}}]},
        "data": {"values": [[1_795_168_810_734_i64, 2, 3, 4], [1.5, null, null, null]],
                 "entities": [null, {"NaN": [1], "Inf": [2], "NegInf": []}]}}]},
        "B": {"status": 200, "frames": [{"schema": {"fields": []}, "data": {"values": []}}]}}})
    .to_string();
    let server = Server::always(200, &body).await;
    let results = client(&server).query(&[panel_query("A"), panel_query("B")], FROM, TO).await.unwrap();
    let frame = &results["A"].as_ref().unwrap()[0];
    assert_eq!(
        (frame.name.as_str(), frame.rows(), frame.notices.as_slice()),
        ("GET /items", 4, &["truncated".to_owned()][..])
    );
    assert_eq!(frame.fields[0].values[0], Cell::Time(Stamp(1_795_168_810_734_000)));
    assert_eq!(frame.fields[1].labels["route"], "/items");
    let numbers: Vec<String> = frame.numbers().map(|number| number.to_string()).collect();
    assert_eq!((numbers.join(" ").as_str(), &frame.fields[1].values[3]), ("1.5 NaN inf", &Cell::Nothing));
    assert_eq!(results["B"].as_ref().unwrap()[0].numbers().count(), 0, "no data");
    let asked: Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    assert_eq!((&asked["from"], &asked["queries"][1]["refId"]), (&json!("1795168810734"), &json!("B")));
    assert_eq!(asked["queries"][0]["datasource"]["uid"], "prom");
    assert_eq!(asked["queries"][0]["expr"], "rate(x[$__rate_interval])");
}

#[tokio::test]
async fn a_failing_query_says_so_and_hides_no_other_t58() {
    let body = r#"{"results":{"A":{"error":"bad_data: parse error","status":400},"B":{"status":200,"frames":[]}}}"#;
    for status in [200, 207, 400, 500] {
        let server = Server::always(status, body).await;
        let results = client(&server).query(&[panel_query("A"), panel_query("B")], FROM, TO).await.unwrap();
        assert_eq!(results["A"], Err("bad_data: parse error".to_owned()));
        assert_eq!(results["B"], Ok(Vec::new()));
    }
    let server = Server::always(404, r#"{"message":"Data source not found"}"#).await;
    let error = client(&server).query(&[panel_query("A")], FROM, TO).await.unwrap_err();
    assert!(error.to_string().contains("Data source not found"), "{error}");
}

#[tokio::test]
async fn annotations_are_posted_in_milliseconds_and_removed() {
    let server = Server::always(200, r#"{"message":"Annotation added","id":7}"#).await;
    let annotation = Annotation { from: FROM, to: TO, tags: vec!["drill".to_owned()], text: "db-down".to_owned() };
    assert_eq!(annotation::post(&client(&server), &annotation).await, Ok(7));
    annotation::delete(&client(&server), 7).await.unwrap();
    let asked = server.asked();
    let expected = r#"{"time":1795168810734,"timeEnd":1795168870734,"tags":["drill"],"text":"db-down"}"#;
    assert_eq!((asked[0].body.as_str(), asked[1].line.as_str()), (expected, "DELETE /api/annotations/7"));
}

#[tokio::test]
async fn provisioned_rules_and_contact_points_are_listed() {
    let rules =
        r#"[{"uid":"r","title":"High","folderUID":"f","ruleGroup":"g","for":"5m","labels":{"severity":"page"}}]"#;
    let rules = client(&Server::always(200, rules).await).alert_rules().await.unwrap();
    assert_eq!((rules[0].hold.as_str(), rules[0].labels["severity"].as_str()), ("5m", "page"));
    let points =
        client(&Server::always(200, r#"[{"uid":"c","name":"ops","type":"webhook"}]"#).await).contact_points().await;
    assert_eq!(points.unwrap()[0].kind, "webhook");
}
