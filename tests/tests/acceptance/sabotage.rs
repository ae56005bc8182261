//! Broken observability. Each test breaks one thing in a copy of the stack; it counts only if verdict, failing expectation
//! and reason code are right and the healthy twin passes. The ids are those of the sabotage cases.

use acceptance::{Drill, Stand};
use harness::event::Verdict;
use harness::outcome::{Outcome, Reason};

use crate::twin;

/// Drills a broken `burst` beside its healthy twin.
async fn broken_burst(stand: Stand) -> Drill {
    tokio::join!(stand.drill(), twin::burst()).0
}

fn burst() -> Stand {
    Stand::new("burst")
}

// Alertmanager goes on trying to deliver what it has begun to, ten real seconds long: the pager stays dead until the last
// moment that counts.
const DEAD_PAGER: &str = r#"
[[fault]]
id  = "deaf"
at  = "0s"
for = "16m"
inject.stop = { target = "receiver:pager" }
"#;

const HUNG_PROMETHEUS: &str = r#"
[[fault]]
id  = "blind"
at  = "1m"
for = "4m"
inject.pause = { target = "prometheus" }
"#;

#[tokio::test]
async fn s01_metrics_that_answer_404_are_a_target_down_before_load() {
    let drill = broken_burst(burst().sabotage("metrics-404")).await;
    drill.assert_refused(Reason::TargetDown);
    assert!(drill.stack_failure().is_some_and(|(_, message)| message.contains("404")), "{}", drill.account());
}

#[tokio::test]
async fn s04_errors_that_are_not_counted_never_fire_and_disagree_with_the_client() {
    let drill = broken_burst(burst().sabotage("uncounted-errors")).await;
    drill.assert_failed("alert-1", Reason::NeverFired);
    drill.assert_failed("agreement-1", Reason::CountMismatch);
}

#[tokio::test]
async fn s05_requests_counted_twice_are_a_count_mismatch() {
    let drill = broken_burst(burst().sabotage("count-twice")).await;
    drill.assert_failed("agreement-1", Reason::CountMismatch);
    drill.assert_held("alert-1");
    drill.assert_held("log-1");
}

#[tokio::test]
async fn a_service_that_logs_nothing_is_log_missing() {
    let drill = broken_burst(burst().sabotage("silent-logs")).await;
    drill.assert_failed("log-1", Reason::LogMissing);
    drill.assert_held("alert-1");
}

#[tokio::test]
async fn s13_a_threshold_ten_times_higher_never_fires() {
    let drill = broken_burst(burst().edit_rules("> 0.05", "> 0.5")).await;
    drill.assert_failed("alert-1", Reason::NeverFired);
    drill.assert_failed("notification-1", Reason::NeverFired);
}

#[tokio::test]
async fn s14_a_longer_for_fires_late() {
    let patient = Stand::new("crash").edit("crash.toml", "within = \"4m\"", "within = \"6m\"");
    let stand = patient.edit_rules("for: 1m", "for: 4m");
    let (drill, _) = tokio::join!(stand.drill(), twin::crash());
    drill.assert_failed("alert-1", Reason::FiredLate);
}

#[tokio::test]
async fn s15_a_removed_for_fires_early() {
    let drill = broken_burst(burst().edit_rules("        for: 2m\n", "")).await;
    drill.assert_failed("alert-1", Reason::FiredEarly);
}

#[tokio::test]
async fn s16_an_inverted_comparison_is_firing_at_baseline() {
    let drill = broken_burst(burst().edit_rules("> 0.05", "< 0.05")).await;
    drill.assert_failed("alert-1", Reason::FiringAtBaseline);
}

#[tokio::test]
async fn s17_an_alert_that_always_fires_is_firing_at_baseline() {
    let expression = r#"expr: |
          sum by (job) (rate(http_requests_total{job="inventory", status=~"5.."}[2m]))
            /
          sum by (job) (rate(http_requests_total{job="inventory"}[2m]))
            > 0.05"#;
    let drill = broken_burst(burst().edit_rules(expression, "expr: vector(1)")).await;
    drill.assert_failed("alert-1", Reason::FiringAtBaseline);
}

#[tokio::test]
async fn s19_a_rule_file_that_no_glob_matches_is_rule_not_loaded_before_load() {
    let stand = burst().edit("stack/prometheus/prometheus.yml", "- rules/*.yml", "- rules/*.yaml");
    broken_burst(stand).await.assert_refused(Reason::RuleNotLoaded);
}

#[tokio::test]
async fn s20_a_wrong_severity_is_wrong_labels() {
    let rule = "for: 2m\n        labels:\n          severity: critical";
    let drill = broken_burst(burst().edit_rules(rule, &rule.replace("critical", "warning"))).await;
    drill.assert_failed("alert-1", Reason::WrongLabels);
    assert!(drill.outcome("alert-1").evidence().summary.contains("warning"), "{}", drill.account());
}

#[tokio::test]
async fn s24_a_hung_prometheus_in_a_never_window_is_no_coverage_and_exit_3() {
    let stand = Stand::new("quiet").add_to_scenario(HUNG_PROMETHEUS);
    let (drill, _) = tokio::join!(stand.drill(), twin::quiet());
    let outcome = drill.outcome("alert-1");
    assert!(matches!(outcome, Outcome::Inconclusive(Reason::NoCoverage, _)), "{}", drill.account());
    assert_eq!(drill.judgement().verdict, Verdict::Inconclusive, "{}", drill.account());
    assert_eq!(drill.ended.code, Some(3), "{}", drill.account());
}

#[tokio::test]
async fn s25_a_restarted_prometheus_in_a_never_window_is_prom_restart_and_exit_3() {
    let restart = HUNG_PROMETHEUS.replace("for = \"4m\"\n", "").replace("pause", "restart");
    let stand = Stand::new("quiet").add_to_scenario(&restart);
    let (drill, _) = tokio::join!(stand.drill(), twin::quiet());
    let outcome = drill.outcome("alert-1");
    assert!(matches!(outcome, Outcome::Inconclusive(Reason::PromRestart, _)), "{}", drill.account());
    assert_eq!(drill.judgement().verdict, Verdict::Inconclusive, "{}", drill.account());
    assert_eq!(drill.ended.code, Some(3), "{}", drill.account());
}

#[tokio::test]
async fn s28_an_alert_that_is_kept_firing_resolves_late() {
    let drill =
        broken_burst(burst().edit_rules("        for: 2m\n", "        for: 2m\n        keep_firing_for: 8m\n")).await;
    drill.assert_failed("alert-1", Reason::ResolvedLate);
}

#[tokio::test]
async fn s29_a_removed_alerting_block_loses_the_page_between_prometheus_and_alertmanager() {
    let block = "alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [\"alertmanager:9093\"]\n";
    let drill = broken_burst(burst().edit("stack/prometheus/prometheus.yml", block, "")).await;
    drill.assert_held("alert-1");
    drill.assert_failed("notification-1", Reason::HopPromAm);
}

#[tokio::test]
async fn s30_a_route_to_another_receiver_is_a_wrong_receiver_and_named() {
    let route = "- matchers: ['severity=\"critical\"']\n      receiver: pager";
    let drill = broken_burst(burst().edit_routes(route, &route.replace("pager", "chat"))).await;
    drill.assert_failed("notification-1", Reason::WrongReceiver);
    assert!(drill.outcome("notification-1").evidence().summary.contains("chat"), "{}", drill.account());
}

#[tokio::test]
async fn s34_a_dead_receiver_loses_the_page_between_alertmanager_and_receiver() {
    let drill =
        broken_burst(burst().edit_scenario("recovery = \"6m\"", "recovery = \"1m\"").add_to_scenario(DEAD_PAGER)).await;
    drill.assert_held("alert-1");
    drill.assert_failed("notification-1", Reason::HopAmReceiver);
}

#[tokio::test]
async fn s37_send_resolved_false_is_a_missing_resolved_message() {
    let pager = "pagerduty_configs:\n      - send_resolved: true";
    let drill = broken_burst(burst().edit_routes(pager, &pager.replace("true", "false"))).await;
    drill.assert_held("alert-1");
    drill.assert_failed("notification-1", Reason::ResolvedMissing);
}
