//! Record once, replay many: what a drill recorded gives the live firing and resolving evaluations again, with production's
//! own rules; a broken rule gives others; and the exported test says the same to promtool, without any server.

use acceptance::{Ended, Stand, promtool};
use serde_json::Value;

async fn replayed(stand: &Stand, run: &str, more: &[&str]) -> (Ended, Value) {
    let arguments = [&["replay", run, "--out", "reports", "--output", "json"], more].concat();
    let ended = stand.harness(&arguments).await;
    let documents: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    (ended, documents[0].clone())
}

fn alert<'a>(document: &'a Value, name: &str) -> &'a Value {
    let alerts = document["alerts"].as_array().expect("a replay lists alerts");
    let found = alerts.iter().find(|alert| alert["alert"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {document:#}"))
}

fn test_rules(stand: &Stand, file: &str) -> Ended {
    let output = std::process::Command::new(promtool())
        .args(["test", "rules", file])
        .current_dir(stand.root())
        .output()
        .expect("promtool starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[tokio::test]
async fn a_replay_and_an_exported_test_reproduce_a_run_and_find_a_threshold_ten_times_higher() {
    let stand = Stand::new("burst");
    let drill = stand.drill().await;
    drill.assert_passed();
    let run = drill.run();
    let (ended, document) = replayed(&stand, &run, &["--export-test", "burst.test.yml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(document["exact"], document["changes"], "{document:#}");
    let live = alert(&document, "InventoryHighErrorRate");
    assert_eq!((&live["rule"], &live["exact"]), (&"production".into(), &true.into()));
    assert!(live["live"][0]["fired"].is_i64() && live["live"][0]["resolved"].is_i64(), "{live:#}");
    let healthy = test_rules(&stand, "burst.test.yml");
    assert_eq!(healthy.code, Some(0), "{healthy:#?}");

    let rules = "stack/prometheus/rules/drill.yml";
    let stand = stand.edit(rules, "> 0.05", "> 0.5");
    let (ended, document) = replayed(&stand, &run, &["--rules", rules]).await;
    // 3 where evaluations came late, on a busy machine
    assert!(matches!(ended.code, Some(1 | 3)), "{ended:#?}");
    let broken = alert(&document, "InventoryHighErrorRate");
    assert_eq!(broken["replayed"], Value::Array(vec![]), "it never fires with ten times the threshold");
    assert_eq!(broken["exact"], false);
    let broken = test_rules(&stand, "burst.test.yml");
    assert_eq!(broken.code, Some(1), "{broken:#?}");
    assert!([broken.stdout, broken.stderr].concat().contains("InventoryHighErrorRate"));
}

#[tokio::test]
async fn a_replay_reproduces_a_crash_and_a_longer_for_fires_later() {
    let stand = Stand::new("crash");
    let drill = stand.drill().await;
    drill.assert_passed();
    let run = drill.run();
    let (ended, document) = replayed(&stand, &run, &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let live = alert(&document, "InventoryServiceDown").clone();
    assert_eq!(live["exact"], true, "{document:#}");
    let rules = "stack/prometheus/rules/drill.yml";
    let stand = stand.edit(rules, "for: 1m", "for: 2m");
    let (ended, document) = replayed(&stand, &run, &["--rules", rules]).await;
    // 3 where evaluations came late, on a busy machine
    assert!(matches!(ended.code, Some(1 | 3)), "{ended:#?}");
    let later = alert(&document, "InventoryServiceDown");
    let fired = |alert: &Value| alert["replayed"][0]["fired"].as_i64().expect("it fires");
    assert_eq!(fired(later) - fired(&live), 1_000, "a minute longer at scale 60 is a second, to the millisecond");
    assert_eq!(later["replayed"][0]["resolved"], live["live"][0]["resolved"]);
}

#[tokio::test]
async fn a_run_without_recorded_series_cannot_be_replayed() {
    let stand = Stand::new("crash");
    std::fs::create_dir_all(stand.root().join("reports/empty")).expect("the stand can be written");
    std::fs::write(stand.root().join("reports/empty/events.jsonl"), "").expect("the stand can be written");
    let ended = stand.harness(&["replay", "empty", "--out", "reports"]).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("recorded series"), "{ended:#?}");
}

#[tokio::test]
async fn an_effect_that_holds_without_its_fault_proves_nothing() {
    let vacuous = "
[[expect]]
during = \"crash\"
that.metric = { query = 'up{job=\"inventory\"}', value = \">= 0\" }
";
    let honest = Stand::new("crash").without_faults();
    let stand = Stand::new("crash").add_to_scenario(vacuous).without_faults();
    let (honest, vacuous) = tokio::join!(honest.drill(), stand.drill());
    honest.assert_passed();
    vacuous.assert_failed("metric-1", harness::outcome::Reason::ProvesNothing);
    assert_eq!(vacuous.ended.code, Some(1), "{}", vacuous.account());
    assert!(vacuous.outcome("metric-1").evidence().summary.starts_with("holds without the fault"));
}
