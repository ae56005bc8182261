//! Broken signals: what the service exposes, logs and shows on its dashboards. As in `sabotage`, each test breaks one thing
//! and counts only if the right expectation fails for the right reason while the healthy twin passes.

use acceptance::{Drill, Stand};
use harness::outcome::Reason;

use crate::twin;

fn signals() -> Stand {
    Stand::new("signals")
}

/// Drills a broken `signals` beside its healthy twin.
async fn broken(stand: Stand) -> Drill {
    tokio::join!(stand.drill(), twin::signals()).0
}

const SLOW_METRICS: &str = r#"
[[fault]]
id  = "slow"
at  = "0s"
for = "3m"
inject.slow-metrics = { target = "inventory-service", add = "2s" }

[[expect]]
during = "slow"
that.series = { metric = "http_requests_total", type = "counter" }
"#;

const DASHBOARD: &str = "stack/grafana/dashboards/inventory-service.json";

#[tokio::test]
async fn s03_a_dropped_status_label_is_label_missing() {
    let drill = broken(signals().sabotage("drop-status-label")).await;
    drill.assert_failed("series-1", Reason::LabelMissing);
    drill.assert_held("series-2");
}

#[tokio::test]
async fn s08_a_histogram_without_the_objectives_bucket_is_bucket_missing() {
    let drill = broken(signals().sabotage("drop-objective-bucket")).await;
    drill.assert_failed("series-2", Reason::BucketMissing);
    drill.assert_held("series-1");
}

#[tokio::test]
async fn s09_a_label_with_the_user_is_cardinality_with_the_count() {
    let drill = broken(signals().sabotage("user-label")).await;
    drill.assert_failed("series-1", Reason::Cardinality);
    let summary = &drill.outcome("series-1").evidence().summary;
    assert!(summary.contains("the label user_id has 500 values"), "{summary}");
}

#[tokio::test]
async fn s10_a_frozen_body_is_a_stale_exposition() {
    let drill = broken(signals().sabotage("frozen-metrics")).await;
    drill.assert_failed("series-1", Reason::StaleExposition);
    assert!(drill.outcome("series-1").evidence().summary.contains("up = 1"), "{}", drill.account());
}

#[tokio::test]
async fn s12_metrics_slower_than_their_timeout_are_a_scrape_timeout_in_the_window() {
    let drill = broken(
        signals()
            .edit_scenario("baseline = \"5m\"", "baseline = \"3m\"\nrecovery = \"2m\"")
            .add_to_scenario(SLOW_METRICS),
    )
    .await;
    drill.assert_failed("series-3", Reason::ScrapeTimeout);
}

#[tokio::test]
async fn s42_a_shipper_that_stops_is_log_missing_with_the_range() {
    let drill = broken(signals().sabotage("stop-shipping")).await;
    drill.assert_failed("agreement-1", Reason::LogMissing);
    let summary = &drill.outcome("agreement-1").evidence().summary;
    assert!(summary.starts_with("lost between standard output and the log store"), "{summary}");
    drill.assert_held("series-1");
}

#[tokio::test]
async fn s48_a_shipper_that_sends_twice_is_log_duplicate() {
    let drill = broken(signals().sabotage("ship-twice")).await;
    drill.assert_failed("agreement-1", Reason::LogDuplicate);
}

#[tokio::test]
async fn s50_lines_that_do_not_name_their_request_are_a_broken_correlation() {
    let drill = broken(signals().sabotage("no-request-id")).await;
    drill.assert_failed("agreement-1", Reason::Correlation);
    assert!(drill.outcome("agreement-1").evidence().summary.contains("0 of these ids"), "{}", drill.account());
}

#[tokio::test]
async fn s52_a_panel_that_asks_an_old_metric_is_panel_no_data() {
    let asks = r#""expr": "sum by (route) (rate(http_requests_total{job=~\"$job\"}[$__rate_interval]))""#;
    let drill = broken(signals().edit(DASHBOARD, asks, &asks.replace("http_requests_total", "requests_total"))).await;
    drill.assert_failed("dashboard-1", Reason::PanelNoData);
    assert!(drill.outcome("dashboard-1").evidence().summary.contains("`Request rate`"), "{}", drill.account());
}

#[tokio::test]
async fn s54_a_dashboard_that_no_provider_loads_is_dashboard_missing() {
    let file = "stack/grafana/provisioning/dashboards/dashboards.yml";
    let drill = broken(signals().edit(file, "/config/dashboards", "/config/elsewhere")).await;
    drill.assert_failed("dashboard-1", Reason::DashboardMissing);
}

#[tokio::test]
async fn s55_a_variable_that_resolves_to_nothing_is_variable_empty() {
    let query = r#""query": "label_values(http_requests_total, job)""#;
    let drill = broken(signals().edit(DASHBOARD, query, &query.replace("http_requests_total", "requests_total"))).await;
    drill.assert_failed("dashboard-1", Reason::VariableEmpty);
}

#[tokio::test]
async fn a_panel_with_a_data_source_that_does_not_exist_is_panel_no_data() {
    let file = "stack/grafana/provisioning/datasources/datasources.yml";
    let drill = broken(signals().edit(file, "uid: prometheus\n", "uid: mimir\n")).await;
    drill.assert_failed("dashboard-1", Reason::VariableEmpty);
    assert!(drill.outcome("dashboard-1").evidence().summary.contains("prometheus"), "{}", drill.account());
}
