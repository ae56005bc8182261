//! The Alertmanager client against recorded answers on a port.

use super::silence::{self, MatchOperator, Matcher, NewSilence, SilenceState};
use super::*;
use crate::telemetry::wire::Server;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../golden/alertmanager-", $name, ".json"))
    };
}

fn client(server: &Server) -> Alertmanager {
    Alertmanager::new(&server.url, Settings::default()).unwrap()
}

#[tokio::test]
async fn every_flag_is_sent_and_receiver_names_are_escaped_t40() {
    let server = Server::always(200, golden!("alerts")).await;
    let filter = AlertFilter {
        receiver: Some("team.a/pager".to_owned()),
        matchers: vec![r#"severity="critical""#.to_owned()],
        silenced: Listed::No,
        ..AlertFilter::everything()
    };
    let alerts = client(&server).alerts(&filter).await.unwrap();
    let expected = "GET /api/v2/alerts?active=true&silenced=false&inhibited=true&receiver=team\\.a/pager\
                    &filter=severity=\"critical\"&unprocessed=true";
    assert_eq!(server.asked()[0].line, expected);
    assert_eq!((alerts.len(), alerts[0].state), (2, AlertDisposition::Active));
    assert_eq!(
        (alerts[0].receivers.as_slice(), alerts[0].fingerprint.as_str()),
        (&["all".to_owned()][..], "a5fc4cd6e67da1c0")
    );
    assert_eq!(alerts[0].starts_at, Some(Stamp(1_795_168_925_000_000)));
}

#[tokio::test]
async fn null_is_no_alerts_t40() {
    let server = Server::always(200, "null").await;
    assert_eq!(client(&server).alerts(&AlertFilter::everything()).await, Ok(Vec::new()));
    let server = Server::always(200, "{}").await;
    assert!(matches!(client(&server).alerts(&AlertFilter::everything()).await, Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn groups_name_their_receiver_and_never_ask_for_unprocessed() {
    let server = Server::always(200, golden!("groups")).await;
    let groups = client(&server).groups(&AlertFilter::everything()).await.unwrap();
    assert_eq!((groups[0].receiver.as_str(), groups[0].alerts.len()), ("all", 2));
    assert_eq!(groups[0].labels["service"], "inventory");
    assert!(!server.asked()[0].line.contains("unprocessed"));
}

#[tokio::test]
async fn the_status_carries_configuration_version_and_start() {
    let status = client(&Server::always(200, golden!("status")).await).status().await.unwrap();
    assert_eq!((status.version.as_str(), status.cluster.as_str()), ("0.25.0", "disabled"));
    assert!(status.started.is_some() && status.config_yaml.contains("repeat_interval: 1h"));
}

#[tokio::test]
async fn a_silence_is_made_listed_and_ended() {
    let server = Server::answering(|asked| match asked.line.split_once(' ') {
        Some(("POST", _)) => r#"{"silenceID":"515b6ac9"}"#.to_owned(),
        Some(("GET", _)) => golden!("silences").to_owned(),
        _ => String::new(),
    })
    .await;
    let matcher = Matcher { name: "service".to_owned(), operator: MatchOperator::Matches, value: "inv.*".to_owned() };
    let new = NewSilence {
        matchers: vec![matcher.clone()],
        starts_at: Stamp(1_795_168_925_000_000),
        ends_at: Stamp(1_795_168_985_500_000),
        created_by: "harness".to_owned(),
        comment: "drill".to_owned(),
    };
    assert_eq!(silence::create(&client(&server), &new).await.unwrap(), "515b6ac9");
    let listed = silence::list(&client(&server)).await.unwrap();
    assert_eq!((listed[0].state, &listed[0].matchers), (SilenceState::Active, &vec![matcher]));
    silence::expire(&client(&server), "515b6ac9").await.unwrap();
    let asked = server.asked();
    assert!(
        asked[0].body.contains(r#""startsAt":"2026-11-20T10:02:05Z","endsAt":"2026-11-20T10:03:05.5Z""#),
        "{}",
        asked[0].body
    );
    assert_eq!(asked[2].line, "DELETE /api/v2/silence/515b6ac9");
}

#[tokio::test]
async fn deliveries_are_counted_by_integration_and_reason() {
    let server = Server::always(200, include_str!("../golden/alertmanager-metrics.txt")).await;
    let counted = deliveries(&client(&server).own_metrics().await.unwrap());
    assert_eq!((counted["webhook"].attempted, counted["email"].attempted, counted["sns"].attempted), (3.0, 6.0, 0.0));
    let newer = "alertmanager_notifications_failed_total{integration=\"slack\",reason=\"serverError\"} 2\n\
                 alertmanager_notifications_failed_total{integration=\"slack\",reason=\"other\"} 1\n";
    let counted = deliveries(&Exposition::parse(newer).unwrap());
    assert_eq!((counted["slack"].failed, counted["slack"].failed_by_reason["serverError"]), (3.0, 2.0));
}
