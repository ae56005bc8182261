//! Messages that go wrong. One drill breaks many ways at once, each that of an alert and a receiver of its own, so that no
//! breakage hides another; its healthy twin is the same drill with every way whole. The ids are those of the sabotage cases.

use acceptance::{Drill, Stand};
use harness::outcome::Reason;
use tokio::sync::OnceCell;

use crate::twin;

/// The unbroken stand.
pub(crate) fn pages() -> Stand {
    Stand::new("pages")
        .with_fixture("pages-rules.yml", "stack/prometheus/rules/drill.yml")
        .with_fixture("pages-routes.yml", "stack/alertmanager/alertmanager.yml")
}

const INHIBITED_BY_THE_WATCHDOG: &str = r#"equal: [instance]
  - source_matchers: ['alertname="Watchdog"']
    target_matchers: ['alertname="PageAlone"']"#;

/// The stand in which every way is broken.
fn broken() -> Stand {
    pages()
        .edit_rules("{{ $labels.instance }} is down", "{{ query `nothing` | first | value }} is down")
        .edit_routes(r#"alertname="Watchdog"']"#, r#"alertname="Watchdogs"']"#)
        .edit_routes(
            r#"target_matchers: ['alertname="PageSymptom"']"#,
            r#"target_matchers: ['alertname="PageSymptoms"']"#,
        )
        .edit_routes("equal: [instance]", INHIBITED_BY_THE_WATCHDOG)
        .edit_routes("repeat_interval: 59m", "repeat_interval: 1m")
        .edit_routes("max_alerts: 0", "max_alerts: 1")
        .edit_scenario(r#"'alertname="PageHushed"'"#, r#"'alertname="PageCause"'"#)
        .edit_scenario(", first = 2 }", " }")
        .edit_scenario("for = \"3m\"", "for = \"14m\"")
}

/// The broken drill, beside its healthy twin.
async fn drill() -> &'static Drill {
    static DRILL: OnceCell<Drill> = OnceCell::const_new();
    let broken = DRILL.get_or_init(|| async { broken().drill().await });
    tokio::join!(broken, twin::pages()).0
}

fn summary(drill: &Drill, id: &str) -> String {
    drill.outcome(id).evidence().summary.clone()
}

#[tokio::test]
async fn s21_an_annotation_that_cannot_be_rendered_is_an_annotation_error() {
    let drill = drill().await;
    drill.assert_failed("notification-1", Reason::AnnotationError);
    assert!(summary(drill, "notification-1").contains("error expanding template"), "{}", drill.account());
}

#[tokio::test]
async fn s39_a_message_that_leaves_alerts_out_is_truncated() {
    drill().await.assert_failed("notification-2", Reason::NotifyTruncated);
}

#[tokio::test]
async fn s31_an_inhibition_that_matches_suppresses_the_page() {
    let drill = drill().await;
    drill.assert_failed("notification-3", Reason::Suppressed);
    assert!(summary(drill, "notification-3").contains("inhibition by alert"), "{}", drill.account());
}

#[tokio::test]
async fn s32_a_silence_suppresses_the_page() {
    let drill = drill().await;
    drill.assert_failed("notification-4", Reason::Suppressed);
    assert!(summary(drill, "notification-4").contains("silence "), "{}", drill.account());
}

#[tokio::test]
async fn s35_a_receiver_that_always_answers_500_loses_the_page_and_twice_is_no_loss() {
    let drill = drill().await;
    drill.assert_failed("notification-5", Reason::HopAmReceiver);
    assert!(summary(drill, "notification-5").contains("answered 500"), "{}", drill.account());
    let retried = format!("{:?}", twin::pages().await.outcome("notification-5").evidence().facts);
    assert!(retried.contains("2 attempts were answered 500"), "{retried}");
}

#[tokio::test]
async fn s41_a_repeat_interval_of_a_minute_is_too_many_messages() {
    drill().await.assert_failed("notification-6", Reason::NotifyCount);
}

#[tokio::test]
async fn an_inhibition_that_matches_nothing_is_not_suppressed() {
    drill().await.assert_failed("inhibition-1", Reason::NotSuppressed);
}

#[tokio::test]
async fn a_silence_that_matches_nothing_is_not_suppressed() {
    drill().await.assert_failed("silence-1", Reason::NotSuppressed);
}

#[tokio::test]
async fn a_heartbeat_that_takes_another_route_is_a_missing_heartbeat() {
    drill().await.assert_failed("heartbeat-1", Reason::HeartbeatMissing);
}

const DEAF_FOR_A_WHILE: &str = r#"
[[fault]]
id  = "deaf"
at  = "0s"
for = "4m"
inject.stop = { target = "alertmanager" }
"#;

#[tokio::test]
async fn s40_a_page_whose_first_send_is_lost_is_late_and_the_counter_is_named() {
    let stand = Stand::new("crash").add_to_scenario(DEAF_FOR_A_WHILE);
    let (drill, _) = tokio::join!(stand.drill(), twin::crash());
    drill.assert_held("alert-1");
    drill.assert_failed("notification-1", Reason::NotifyLate);
    assert!(summary(&drill, "notification-1").contains("dropped_total"), "{}", drill.account());
}

const NIGHT: &str = r#"
[[fault]]
id  = "night"
at  = "0s"
for = "3m"
inject.mute-time = { interval = "outside-office-hours" }

[[expect]]
during = "night"
that.mute-time = { alert = "InventoryServiceDown", receiver = "pager" }
"#;

#[tokio::test]
async fn a_mute_time_around_now_holds_a_page_back_until_it_ends_and_on_another_route_it_does_not() {
    let critical = r#"- matchers: ['severity="critical"']
      receiver: pager"#;
    let muted = format!("{critical}\n      mute_time_intervals: [outside-office-hours]");
    let stand = || {
        Stand::new("crash")
            .edit_scenario("within = \"4m\", resolved", "within = \"6m\", resolved")
            .add_to_scenario(NIGHT)
    };
    let (whole, broken) = (stand().edit_routes(critical, &muted), stand());
    let (whole, broken) = tokio::join!(whole.drill(), broken.drill());
    whole.assert_passed();
    assert!(summary(&whole, "mute-time-1").contains("was told"), "{}", whole.account());
    broken.assert_failed("mute-time-1", Reason::NotSuppressed);
}
