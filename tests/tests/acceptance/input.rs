//! Bad input: refused with exit code 2 and a place in the author's file, before anything is started.

use acceptance::Stand;

/// Asserts that the scenario is refused at `place` for something that `says` names, and that nothing was started.
async fn assert_refused(stand: Stand, place: &str, says: &[&str]) {
    let file = stand.scenario_file();
    let ended = stand.harness(&["validate", &file, "--out", "reports"]).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains(place), "the message must name {place}:\n{}", ended.stderr);
    for word in says {
        assert!(ended.stderr.contains(word), "the message must say `{word}`:\n{}", ended.stderr);
    }
    assert!(!stand.root().join("reports").exists(), "no run may be begun");
    let entries = std::fs::read_dir(stand.root().join("tmp")).expect("the stand has a temporary folder");
    assert_eq!(entries.count(), 0, "nothing may be created");
}

/// Replaces `from` by `to` in the scenario and expects the complaint at `at`, which is part of `to`.
async fn refused(from: &str, to: &str, at: &str, says: &[&str]) {
    let stand = Stand::new("burst").edit_scenario(from, to);
    let place = stand.place_of(at);
    assert_refused(stand, &place, says).await;
}

#[tokio::test]
async fn a_syntax_error_is_refused_with_its_place() {
    refused("baseline = \"2m\"", "baseline = = \"2m\"", "= \"2m\"", &[]).await;
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_a_suggestion() {
    refused("recovery = \"6m\"", "recovry = \"6m\"", "recovry", &["did you mean", "recovery"]).await;
}

#[tokio::test]
async fn a_duration_without_a_unit_is_refused() {
    refused("baseline = \"2m\"", "baseline = \"2\"", "\"2\"", &["unit"]).await;
}

#[tokio::test]
async fn a_negative_duration_is_refused() {
    refused("baseline = \"2m\"", "baseline = \"-2m\"", "\"-2m\"", &[]).await;
}

#[tokio::test]
async fn a_fault_on_an_unknown_target_is_refused_with_a_suggestion() {
    let from = "errors = { target = \"inventory-service\"";
    refused(
        from,
        "errors = { target = \"inventory-servce\"",
        "\"inventory-servce\"",
        &["did you mean", "inventory-service"],
    )
    .await;
}

#[tokio::test]
async fn an_alert_that_stands_in_no_rule_file_is_refused() {
    let from = "that.alert = { name = \"InventoryHighErrorRate\"";
    refused(
        from,
        "that.alert = { name = \"InventoryHighErorRate\"",
        "\"InventoryHighErorRate\"",
        &["InventoryHighErrorRate"],
    )
    .await;
}

#[tokio::test]
async fn a_promise_tighter_than_the_ceiling_is_refused_with_the_sum() {
    refused("fires-within = \"5m30s\"", "fires-within = \"2m40s\"", "\"2m40s\"", &["tighter"]).await;
}

#[tokio::test]
async fn a_fault_that_drives_the_signal_to_its_threshold_is_refused_with_the_distance() {
    refused("share = 0.25", "share = 0.052", "[[expect]]", &["too-close", "0.052", "4 % from its threshold 0.05"])
        .await;
}

#[tokio::test]
async fn too_few_events_in_a_window_are_refused_with_the_count() {
    let says = ["event-budget", "10 events", "2s (2m / 60)", "it takes 50"];
    refused("rate = 100", "rate = 20", "[[expect]]", &says).await;
}

#[tokio::test]
async fn two_faults_of_one_name_are_refused() {
    let second = "[[fault]]\nid = \"burst\" # again\nat = \"9m\"\nfor = \"1m\"\ninject.pause = { target = \"loki\" }\n";
    let stand = Stand::new("burst").add_to_scenario(second);
    let place = stand.place_of("\"burst\" # again");
    assert_refused(stand, &place, &["burst"]).await;
}

#[tokio::test]
async fn two_scenarios_of_one_name_are_refused() {
    let stand = Stand::new("burst");
    let copy = stand.root().join("other.toml");
    std::fs::copy(stand.root().join("burst.toml"), copy).expect("the stand's folder can be written");
    let ended = stand.harness(&["validate", "burst.toml", "other.toml", "--out", "reports"]).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("other.toml:1:11: error"), "{ended:#?}");
    assert!(ended.stderr.contains("burst.toml"), "both files are named: {ended:#?}");
    assert!(!stand.root().join("reports").exists(), "no run may be begun");
}

#[tokio::test]
async fn a_scenario_that_expects_nothing_is_refused() {
    let stand = Stand::new("burst");
    let path = stand.root().join("burst.toml");
    let text = std::fs::read_to_string(&path).expect("the scenario can be read");
    let (before, _) = text.split_once("[[expect]]").expect("the scenario expects something");
    std::fs::write(&path, before).expect("the copy can be written");
    assert_refused(stand, "burst.toml:1:11", &["expect"]).await;
}

#[tokio::test]
async fn a_promql_syntax_error_is_refused_at_the_query() {
    let stand = Stand::new("burst").add_to_scenario(
        "[[expect]]\nduring = \"burst\"\nthat.metric = { query = 'sum(rate(x[1m])', value = \"> 0\" }\n",
    );
    let place = stand.place_of("'sum(rate(x[1m])'");
    assert_refused(stand, &place, &[]).await;
}

#[tokio::test]
async fn a_logql_syntax_error_is_refused_at_the_query() {
    let from = "query = '{service=\"inventory\"} | json";
    refused(from, "query = '{service=\"inventory\" | json", "| json | event", &["LogQL"]).await;
}

const DOUBTFUL: &str =
    "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: rate(x_total[5m]) > 1\n        for: 5m\n";

#[tokio::test]
async fn a_rule_file_alone_is_linted_with_its_place_and_the_arithmetic() {
    let stand = Stand::new("burst").add_file("doubtful.yml", DOUBTFUL);
    let ended = stand.harness(&["lint", "doubtful.yml"]).await;
    assert_eq!(ended.code, Some(0), "a warning is no error: {ended:#?}");
    for word in ["doubtful.yml:5:15: warning[window-outlives-for]", "a burst of 45s pages", "evaluated every 15s"] {
        assert!(ended.stderr.contains(word), "the message must say `{word}`:\n{}", ended.stderr);
    }
    let ended = stand.harness(&["lint", "--deny", "warnings", "doubtful.yml"]).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
}

#[tokio::test]
async fn a_finding_that_makes_a_verdict_meaningless_is_an_error_and_stands_once_for_all_scenarios() {
    let two = Stand::new("burst")
        .edit_rules("for: 1m\n        labels:\n", "for: 1m\n        labels:\n          value: '{{ $value }}'\n");
    std::fs::copy(two.root().join("burst.toml"), two.root().join("other.toml")).expect("the stand can be written");
    let two = two.edit("other.toml", "\"burst\"\nsummary", "\"other\"\nsummary");
    let ended = two.harness(&["lint", "burst.toml", "other.toml", "--output", "json"]).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let found: serde_json::Value = serde_json::from_str(&ended.stdout).expect("the output is JSON");
    let values: Vec<&serde_json::Value> =
        found.as_array().expect("a list").iter().filter(|it| it["code"] == "value-in-label").collect();
    assert_eq!((values.len(), &values[0]["severity"]), (1, &serde_json::Value::from("error")), "{found:#}");
}
