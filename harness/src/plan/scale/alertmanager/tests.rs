//! Routes, grouping and inhibition, walked as Alertmanager walks them.

use std::path::Path;

use super::super::source;
use super::*;

const TREE: &str = r#"
route:
  receiver: chat
  group_by: [alertname]
  group_wait: 10s
  routes:
    - match: {severity: critical}
      receiver: pager
      continue: true
      group_interval: 1m
      routes:
        - match_re: {team: "db|cache"}
          receiver: dba
          group_by: ['...']
    - matchers: ['severity="critical"', 'service =~ "inv.*"']
      receiver: mail
    - matchers: ['{severity!="info",team!~"x|y"}']
      receiver: warn
receivers:
  - name: chat
    slack_configs: [{api_url: 'https://hooks.slack.com/x'}, {send_resolved: yes}]
  - name: pager
    pagerduty_configs: [{routing_key: k}]
  - name: mail
    email_configs: [{to: a@b}]
  - {name: dba, webhook_configs: [{url: 'http://x', max_alerts: 3}]}
  - name: warn
inhibit_rules:
  - source_match: {severity: critical}
    target_matchers: ['severity=~"warning|critical"']
    equal: [alertname, cluster]
"#;

fn config() -> AlertmanagerConfig {
    parse(source::from_text(Path::new("alertmanager.yml"), TREE.to_owned()).unwrap(), Vec::new()).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn receivers(pairs: &[(&str, &str)]) -> Vec<String> {
    config().route(&labels(pairs)).into_iter().map(|route| route.receiver).collect()
}

#[test]
fn routes_are_walked_as_alertmanager_walks_them() {
    assert_eq!(receivers(&[("severity", "critical")]), ["pager", "warn"]);
    assert_eq!(receivers(&[("severity", "critical"), ("service", "inventory")]), ["pager", "mail"]);
    assert_eq!(receivers(&[("severity", "critical"), ("team", "db")]), ["dba", "warn"]);
    assert_eq!(receivers(&[("severity", "info")]), ["chat"]);
    assert_eq!(receivers(&[("team", "x")]), ["chat"]);
    assert_eq!(receivers(&[]), ["warn"]);
    // anchored: `db` is not found inside of `dbx`
    assert_eq!(receivers(&[("severity", "critical"), ("team", "dbx")]), ["pager", "warn"]);
}

#[test]
fn children_inherit_what_they_do_not_say() {
    let found = config().route(&labels(&[("severity", "critical"), ("team", "cache")]));
    assert_eq!((found[0].group_wait, found[0].group_interval), (Duration::from_secs(10), Duration::from_secs(60)));
    assert_eq!(found[0].repeat_interval, DEFAULT_REPEAT_INTERVAL);
    assert_eq!((&found[0].group_by, found[0].path.as_str()), (&GroupBy::All, "route.routes[0].routes[0]"));
    assert_eq!(found[1].group_by, GroupBy::Labels(vec!["alertname".to_owned()]));
}

#[test]
fn send_resolved_has_the_default_of_its_kind_t42() {
    let config = config();
    let resolved = |name: &str| {
        config.receiver(name).unwrap().integrations.iter().map(|entry| entry.send_resolved).collect::<Vec<_>>()
    };
    assert_eq!(resolved("chat"), [false, true]);
    assert_eq!(resolved("pager"), [true]);
    assert_eq!(resolved("mail"), [false]);
    assert_eq!(config.receiver("dba").unwrap().integrations[0].max_alerts, Some(3));
}

#[test]
fn inhibition_needs_equal_labels_and_never_hits_its_own_source() {
    let config = config();
    let critical = labels(&[("alertname", "A"), ("severity", "critical")]);
    let warning = labels(&[("alertname", "A"), ("severity", "warning")]);
    let elsewhere = labels(&[("alertname", "A"), ("severity", "warning"), ("cluster", "b")]);
    assert_eq!(config.inhibitions(&critical, &warning).len(), 1);
    assert!(config.inhibitions(&critical, &elsewhere).is_empty());
    assert!(config.inhibitions(&critical, &critical).is_empty());
    assert!(config.inhibitions(&warning, &critical).is_empty());
}

#[test]
fn a_config_that_cannot_work_is_refused_with_its_line() {
    for (text, message) in [
        ("route: {receiver: a}\nreceivers:\n  - name: b\n", "`a` is not among"),
        ("receivers: []\n", "`route` is missing"),
        ("route: {receiver: a, group_wait: 5}\nreceivers: [{name: a}]\n", "no duration"),
        ("route: {receiver: a, group_interval: 0s}\nreceivers: [{name: a}]\n", "longer than zero"),
        ("route: {receiver: a, routes: [{matchers: ['x']}]}\nreceivers: [{name: a}]\n", "read the matcher"),
        ("route: {receiver: a, routes: [{match_re: {x: '('}}]}\nreceivers: [{name: a}]\n", "regular expression"),
    ] {
        let error = parse(source::from_text(Path::new("am.yml"), text.to_owned()).unwrap(), Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("am.yml:1:") && error.to_string().contains(message), "{error}");
    }
}
