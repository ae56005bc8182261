//! Broken rules, targets, clocks, loads and faults: what can prove nothing must not pass. The ids are those of the sabotage
//! cases; see `sabotage` for what a case needs to count.

use std::path::Path;

use acceptance::{Drill, Stand};
use harness::event::{EventKind, Verdict};
use harness::outcome::{Outcome, Reason};

use crate::twin;

/// Asserts that the run is inconclusive because `expectation` could not be decided, for `reason`.
fn assert_undecided(drill: &Drill, expectation: &str, reason: Reason) {
    let outcome = drill.outcome(expectation);
    assert!(matches!(outcome, Outcome::Inconclusive(found, _) if *found == reason), "{}", drill.account());
    assert_eq!(drill.judgement().verdict, Verdict::Inconclusive, "{}", drill.account());
    assert_eq!(drill.ended.code, Some(3), "{}", drill.account());
}

#[tokio::test]
async fn s14_a_for_of_ten_minutes_never_fires_and_was_pending_to_the_end() {
    let stand = Stand::new("crash").edit_rules("for: 1m", "for: 10m");
    let (drill, _) = tokio::join!(stand.drill(), twin::crash());
    drill.assert_failed("alert-1", Reason::NeverFired);
    assert!(drill.outcome("alert-1").evidence().summary.contains("it was pending"), "{}", drill.account());
    drill.assert_failed("notification-1", Reason::NeverFired);
    drill.assert_held("target-1");
}

#[tokio::test]
async fn s22_a_target_that_relabelling_drops_is_absent_and_its_alert_can_never_fire() {
    let job = "  - job_name: inventory\n";
    let dropped =
        format!("{job}    relabel_configs:\n      - {{ action: drop, source_labels: [job], regex: inventory }}\n");
    let stand = Stand::new("crash").edit("stack/prometheus/prometheus.yml", job, &dropped);
    let (drill, _) = tokio::join!(stand.drill(), twin::crash());
    drill.assert_refused(Reason::TargetAbsent);
    let outcome = drill.outcome("alert-1");
    assert!(matches!(outcome, Outcome::Failed(Reason::NeverFired, _)), "{}", drill.account());
    assert!(outcome.evidence().summary.contains("absent(up"), "{}", drill.account());
}

#[tokio::test]
async fn s27_a_prometheus_whose_clock_is_ten_minutes_ahead_is_clock_skew_before_any_load() {
    let program = Path::new(env!("CARGO_BIN_EXE_skewed-prometheus"));
    let stand = Stand::new("burst").replace("prometheus", program, &["{listen:http}"]);
    let (drill, _) = tokio::join!(stand.drill(), twin::burst());
    let (reason, message) = drill.stack_failure().unwrap_or_else(|| panic!("{}", drill.account()));
    assert_eq!(reason, Reason::ClockSkew, "{}", drill.account());
    assert!(message.contains("600"), "the message says by how much: {message}");
    assert!(!drill.sent_load(), "{}", drill.account());
    assert_eq!(drill.judgement().verdict, Verdict::Environment, "{}", drill.account());
    assert_eq!(drill.ended.code, Some(4), "{}", drill.account());
}

#[tokio::test]
async fn s56_a_fault_that_cannot_be_applied_is_fault_not_effective_and_never_a_pass() {
    let stand = Stand::new("burst").edit(
        "stack/stack.toml",
        "INVENTORY_FAULTS = \"enabled\"",
        "INVENTORY_FAULTS = \"disabled\"",
    );
    let (drill, _) = tokio::join!(stand.drill(), twin::burst());
    assert!(drill.events.iter().any(|event| matches!(event.what, EventKind::FaultNotEffective { .. })));
    assert_undecided(&drill, "alert-1", Reason::FaultNotEffective);
    assert_undecided(&drill, "notification-1", Reason::FaultNotEffective);
    assert!(drill.judgement().reasons.contains(&Reason::FaultNotEffective), "{}", drill.account());
}

/// The reference switch, but undoing it is only asking how it stands.
#[tokio::test]
async fn s58_a_fault_that_is_not_reverted_is_not_recovered_and_its_process_does_not_outlive_the_run() {
    let undo = "undo = { delete = \"http://{self:admin}/faults/errors\" }";
    let stand = Stand::new("burst").edit("stack/stack.toml", undo, "undo = { get = \"http://{self:admin}/faults\" }");
    // `drill` asserts that nothing is left: the leak of this provider is a process, and it ends with the stack
    let (drill, _) = tokio::join!(stand.drill(), twin::burst());
    let told = drill.events.iter().any(|event| matches!(event.what, EventKind::FaultNotReverted { .. }));
    assert!(told, "{}", drill.account());
    assert_eq!(drill.judgement().verdict, Verdict::Fail, "{}", drill.account());
    assert!(drill.judgement().reasons.contains(&Reason::NotRecovered), "{}", drill.account());
    assert_eq!(drill.ended.code, Some(1), "{}", drill.account());
}

/// One request at a time, and each takes as long as twenty are planned in.
const SLOW: &str = r#"
[[fault]]
id  = "slow"
at  = "0s"
for = "6m"
inject.slow = { target = "inventory-service", add = "200ms" }
"#;

#[tokio::test]
async fn s59_a_load_of_which_a_twentieth_is_sent_is_load_not_achieved() {
    let stand = Stand::new("quiet").edit_scenario("max-in-flight = 400", "max-in-flight = 1").add_to_scenario(SLOW);
    let (drill, _) = tokio::join!(stand.drill(), twin::quiet());
    assert_undecided(&drill, "sent-shoppers", Reason::LoadNotAchieved);
}
