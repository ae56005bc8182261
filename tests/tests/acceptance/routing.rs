//! The evaluator of routing trees against a real Alertmanager: the same alerts, the same receivers, the same inhibitions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use acceptance::{Stand, eventually};
use harness::plan::routing::{self, Labels};
use harness::telemetry::alertmanager::{AlertFilter, Alertmanager, ReceivedAlert};
use harness::telemetry::http::{Endpoint, Settings};
use serde_json::{Value, json};

/// Old and new matchers, `continue`, nesting, anchored regular expressions, missing labels, one- and two-sided inhibition.
const TREE: &str = r#"
route:
  receiver: all
  group_by: ['...']
  routes:
    - match: { severity: critical }
      receiver: pager
      continue: true
      routes:
        - match_re: { team: 'db|cache' }
          receiver: dba
        - matchers: ['cluster!="a"', 'team=""']
          receiver: elsewhere
          continue: true
    - matchers: ['{severity=~"warn.*", team!~"db|"}']
      receiver: chat
    - matchers: ['team = "d"', 'cluster=~".+"']
      receiver: never
    - matchers: [cluster=b]
      receiver: b
receivers: [{ name: all }, { name: pager }, { name: dba }, { name: elsewhere }, { name: chat }, { name: never }, { name: b }]
inhibit_rules:
  - source_match: { severity: critical }
    target_match: { severity: warning }
    equal: [alertname, cluster]
  - source_matchers: ['alertname="C"']
    target_matchers: ['team=~"db|cache"', 'alertname!="C"']
    equal: [cluster, nowhere]
  - source_matchers: ['severity=""']
    target_matchers: ['severity=""']
    equal: [team]
"#;

/// Every combination of a small vocabulary; an empty value is no label.
fn alerts() -> Vec<Labels> {
    let mut all = Vec::new();
    for alert in ["A", "B", "C"] {
        for severity in ["critical", "warning", ""] {
            for team in ["db", "cache", "dbx", ""] {
                for cluster in ["a", "b", ""] {
                    let pairs = [("alertname", alert), ("severity", severity), ("team", team), ("cluster", cluster)];
                    let filled = pairs.into_iter().filter(|(_, value)| !value.is_empty());
                    let mut labels: Labels = filled.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                    labels.insert("id".to_owned(), all.len().to_string());
                    all.push(labels);
                }
            }
        }
    }
    all
}

#[tokio::test]
async fn every_alert_takes_the_way_that_a_real_alertmanager_sends_it() {
    let stand = Stand::new("quiet").with_text("stack/alertmanager/alertmanager.yml", TREE);
    let up = stand.harness(&["stack", "up", "--stack", "local"]).await;
    assert_eq!(up.code, Some(0), "{}", up.stderr);
    let state = std::fs::read_to_string(stand.root().join("state/stack.json")).expect("the stack is held");
    let state: Value = serde_json::from_str(&state).expect("JSON");
    let address = state["addresses"]["alertmanager"]["http"].as_str().expect("Alertmanager has an address").to_owned();
    let base = format!("http://{address}");
    let alerts = alerts();
    let body: Vec<Value> = alerts.iter().map(|labels| json!({ "labels": labels })).collect();
    let endpoint = Endpoint::new(&base, Settings::default()).expect("an address");
    endpoint.post("api/v2/alerts", &Value::Array(body)).await.expect("Alertmanager takes alerts");
    let server = Alertmanager::new(&base, Settings::default()).expect("an address");
    let held = server.alerts(&AlertFilter::everything()).await.expect("Alertmanager answers");
    let seen: BTreeMap<String, ReceivedAlert> =
        held.into_iter().filter_map(|alert| Some((alert.labels.get("id")?.clone(), alert))).collect();
    let down = stand.harness(&["stack", "down"]).await;
    assert_eq!(down.code, Some(0), "{}", down.stderr);
    eventually("nothing is held any more", Duration::from_secs(20), || !stand.root().join("state/stack.json").exists())
        .await;

    let config = routing::config(&stand.root().join("stack/alertmanager/alertmanager.yml")).expect("it is read");
    assert_eq!(seen.len(), alerts.len());
    let (mut inhibited, mut routed) = (0, BTreeSet::new());
    for alert in &alerts {
        let others: Vec<Labels> = alerts.iter().filter(|other| *other != alert).cloned().collect();
        let ours = routing::fate(&config, &BTreeMap::new(), alert, &others, None);
        let theirs = &seen[&alert["id"]];
        let routes: BTreeSet<String> = ours.routes.iter().map(|stop| stop.receiver.clone()).collect();
        assert_eq!(routes, theirs.receivers.iter().cloned().collect(), "{alert:?}");
        let is_inhibited = !theirs.inhibited_by.is_empty();
        assert_eq!(!ours.inhibited_by.is_empty(), is_inhibited, "{alert:?}");
        inhibited += usize::from(is_inhibited);
        routed.extend(routes);
    }
    assert!(inhibited > 10 && inhibited < alerts.len() - 10, "{inhibited} of {} are inhibited", alerts.len());
    assert_eq!(routed.len(), 6, "all receivers but `never` are reached: {routed:?}");
}
