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
