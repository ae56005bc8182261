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

/// A recording of a drill, kept because its replay once was not exact.
fn kept(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/replay").join(name);
    folder.display().to_string()
}

#[tokio::test]
async fn a_scrape_that_was_stored_while_an_evaluation_began_is_settled_by_what_was_found_live() {
    let stand = Stand::new("burst");
    let (ended, document) = replayed(&stand, &kept("race"), &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let score = [&document["exact"], &document["settled"], &document["changes"]];
    assert_eq!(score, [2, 1, 3], "what is open is not counted as reproduced: {document:#}");
    let races = document["races"].as_array().expect("the document lists them");
    assert_eq!(races.len(), 1, "one scrape, not as many as it takes: {document:#}");
    assert_eq!((&races[0]["job"], races[0]["took"].as_i64().is_some()), (&"inventory".into(), true), "{document:#}");
    let exported = ["--export-test", "race.test.yml"];
    let (ended, _) = replayed(&stand, &kept("race"), &exported).await;
    assert_eq!(ended.code, Some(0), "promtool accepts the order, too: {ended:#?}");
}

#[tokio::test]
async fn no_race_explains_another_for_or_another_threshold() {
    let stand = Stand::new("burst");
    let kept = kept("race");
    let packed = std::path::Path::new(&kept).join("series/race.jsonl.gz");
    let recording = harness::telemetry::recording::Recording::read(&packed).expect("the recording can be read");
    let written = &recording.header.rules[0].written;
    for (name, from, to) in [("for.yml", "for: 2m", "for: 3m"), ("threshold.yml", "14.4 * 0.001", "144 * 0.001")] {
        assert!(written.contains(from));
        std::fs::write(stand.root().join(name), written.replace(from, to)).expect("the stand can be written");
        let (ended, document) = replayed(&stand, &kept, &["--rules", name]).await;
        assert_eq!(ended.code, Some(1), "{name}: {ended:#?}");
        assert_eq!(alert(&document, "InventoryErrorBudgetBurnsFast")["exact"], false, "{document:#}");
    }
}

#[tokio::test]
async fn while_prometheus_is_dead_nothing_is_evaluated_and_afterwards_alerts_begin_anew() {
    let stand = Stand::new("burst");
    let (ended, document) = replayed(&stand, &kept("death"), &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!((&document["exact"], &document["changes"]), (&6.into(), &6.into()), "{document:#}");
    assert_eq!((&document["restarts"], &document["settled"]), (&1.into(), &0.into()), "{document:#}");
    let watchdog = alert(&document, "Watchdog");
    assert_eq!(watchdog["replayed"].as_array().map(Vec::len), Some(2), "once in each life: {watchdog:#}");
    let absent = alert(&document, "InventoryTargetAbsent");
    assert_eq!(absent["replayed"].as_array().map(Vec::len), Some(1), "not while nobody looked: {absent:#}");
}
