//! Payloads of every receiver type, as Alertmanager sent them, read back.

use super::*;

fn content(kind: Kind, suffix: &str, body: &[u8]) -> Content {
    match read(kind, suffix, body) {
        Ok(Request::Message(content)) => content,
        other => panic!("{other:?}"),
    }
}

/// The default templates list both alerts, escaped differently by each kind.
fn lists_both_alerts(content: &Content) {
    assert_eq!((content.status, content.alerts.len()), (Status::Firing, 2), "{content:?}");
    let first = &content.alerts[0];
    assert_eq!((first.status, first.labels["route"].as_str()), (Status::Firing, "/api/items/{sku}"));
    assert_eq!(first.annotations["summary"], "5% of requests fail & more <b>");
    assert_eq!(first.annotations["description"], "line one\nline two");
    assert_eq!(content.alerts[1].annotations["summary"], "7% of requests fail");
}

#[test]
fn a_webhook_carries_everything() {
    let content = content(Kind::Webhook, "", include_bytes!("../golden/webhook-firing.json"));
    lists_both_alerts(&content);
    assert_eq!(content.group_key, r#"{}:{alertname="HighErrorRate", service="inventory"}"#);
    assert_eq!(content.group_labels["service"], "inventory");
    assert_eq!(content.alerts[0].fingerprint, "a5fc4cd6e67da1c0");
    assert_eq!(content.alerts[0].starts_at, Some(Stamp(1_795_168_925_000_000)));
    assert_eq!(content.alerts[0].ends_at, None);
}

#[test]
fn a_firing_webhook_may_hold_resolved_alerts_t39() {
    let content = content(Kind::Webhook, "", include_bytes!("../golden/webhook-mixed.json"));
    assert_eq!(content.status, Status::Firing);
    assert_eq!(content.alerts.iter().map(|alert| alert.status).collect::<Vec<_>>(), [Status::Resolved, Status::Firing]);
    assert_eq!(content.alerts[0].ends_at, Some(Stamp(1_795_168_928_000_000)));
}

#[test]
fn a_receiver_that_became_a_webhook_is_read_as_one() {
    for kind in Kind::ALL {
        let content = content(kind, "", include_bytes!("../golden/webhook-resolved.json"));
        assert_eq!((content.status, content.alerts.len()), (Status::Resolved, 2), "{kind:?}");
    }
}

#[test]
fn slack_shows_title_text_and_fields() {
    let with_text = content(Kind::Slack, "", include_bytes!("../golden/slack-text.json"));
    assert_eq!(with_text.title, "[FIRING:2] HighErrorRate inventory (critical)");
    assert_eq!(with_text.text, "5% of requests fail & more <b>\n7% of requests fail\n\nsev: critical");
    let default = content(Kind::Slack, "", include_bytes!("../golden/slack-default.json"));
    assert_eq!((default.status, default.text.as_str()), (Status::Firing, ""));
}

#[test]
fn slacks_colour_decides_where_the_title_does_not() {
    let body = |color: &str| format!(r#"{{"attachments":[{{"title":"Checkout","color":"{color}"}}]}}"#);
    for (color, status) in [("danger", Status::Firing), ("good", Status::Resolved), ("#abc", Status::Unknown)] {
        assert_eq!(content(Kind::Slack, "", body(color).as_bytes()).status, status);
    }
}

#[test]
fn pagerduty_lists_firing_and_resolved_alerts() {
    let trigger = content(Kind::Pagerduty, "", include_bytes!("../golden/pagerduty-trigger.json"));
    lists_both_alerts(&trigger);
    assert_eq!(trigger.title, "[FIRING:2] HighErrorRate inventory (critical)");
    assert_eq!(trigger.group_key.len(), 64);
    let mixed = content(Kind::Pagerduty, "", include_bytes!("../golden/pagerduty-mixed.json"));
    assert_eq!(mixed.alerts.iter().map(|alert| alert.status).collect::<Vec<_>>(), [Status::Firing, Status::Resolved]);
    let resolve = content(Kind::Pagerduty, "", include_bytes!("../golden/pagerduty-resolve.json"));
    assert_eq!((resolve.status, &resolve.group_key), (Status::Resolved, &trigger.group_key));
    assert!(read(Kind::Pagerduty, "", br#"{"event_action":"explode"}"#).is_err());
}

#[test]
fn opsgenie_is_several_calls_on_one_alias() {
    let create = content(Kind::Opsgenie, "/v2/alerts", include_bytes!("../golden/opsgenie-create.json"));
    lists_both_alerts(&create);
    let suffix = format!("/v2/alerts/{}/close", create.group_key);
    let close = content(Kind::Opsgenie, &suffix, include_bytes!("../golden/opsgenie-close.json"));
    assert_eq!((close.status, &close.group_key), (Status::Resolved, &create.group_key));
    let update = content(Kind::Opsgenie, "/v2/alerts/x/message", br#"{"message":"m"}"#);
    assert_eq!((update.status, update.title.as_str()), (Status::Unknown, "m"));
}

#[test]
fn the_other_kinds_show_title_and_text_and_list_alerts() {
    for (kind, body) in [
        (Kind::Victorops, &include_bytes!("../golden/victorops.json")[..]),
        (Kind::Discord, include_bytes!("../golden/discord.json")),
        (Kind::Telegram, include_bytes!("../golden/telegram.json")),
        (Kind::Webex, include_bytes!("../golden/webex.json")),
        (Kind::Wechat, include_bytes!("../golden/wechat.json")),
    ] {
        lists_both_alerts(&content(kind, "", body));
    }
}

#[test]
fn teams_cards_of_both_generations_list_their_alerts() {
    for (kind, body) in [
        (Kind::Msteams, &include_bytes!("../golden/msteams.json")[..]),
        (Kind::Msteamsv2, include_bytes!("../golden/msteamsv2.json")),
    ] {
        let content = content(kind, "", body);
        assert_eq!((content.status, content.title.as_str()), (Status::Firing, "[FIRING:1] Fault (127.0.0.1:8080 t)"));
        assert_eq!(content.alerts[0].status, Status::Firing);
        assert_eq!((content.alerts[0].labels["job"].as_str(), content.alerts[0].labels.len()), ("t", 3));
        assert_eq!(content.alerts[0].annotations["summary"], "v 1");
    }
}

#[test]
fn rocketchat_is_read_like_slack() {
    let content = content(Kind::Rocketchat, "", include_bytes!("../golden/rocketchat.json"));
    assert_eq!((content.status, content.title.as_str()), (Status::Firing, "[FIRING:1] Fault (127.0.0.1:8080 t)"));
}

#[test]
fn forms_are_read_where_the_kind_posts_them() {
    let content = content(Kind::Pushover, "", b"title=%5BFIRING%3A1%5D+A&message=it+burns&token=x");
    assert_eq!((content.status, content.text.as_str()), (Status::Firing, "it burns"));
}

#[test]
fn what_is_no_message_is_refused_with_the_reason_b70() {
    for (kind, body, reason) in [
        (Kind::Webhook, "hello", "not JSON"),
        (Kind::Slack, "[1]", "not a JSON object"),
        (Kind::Webhook, "{}", "no webhook message"),
        (Kind::Webhook, r#"{"version":"5","groupKey":"g","status":"firing","alerts":[]}"#, "version `5`"),
    ] {
        let error = read(kind, "", body.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn preparations_are_no_messages() {
    assert_eq!(read(Kind::Wechat, "/gettoken", b""), Ok(Request::Preparation));
    assert_eq!(read(Kind::Jira, "/search", b"{}"), Ok(Request::Preparation));
}
