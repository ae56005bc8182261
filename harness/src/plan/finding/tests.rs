//! Each finding with a rule that shows it and a twin that does not.

use std::path::Path;

use super::super::scale::source::from_text;
use super::super::scale::{Scale, config, render};
use super::*;

fn set(rules: &str, manager: Option<&str>) -> ConfigSet {
    let file = |path: &str, text: &str| from_text(Path::new(path), text.to_owned()).unwrap();
    let prometheus = "global: {scrape_interval: 15s, evaluation_interval: 15s}\n";
    config::parse(
        file("p.yml", prometheus),
        vec![file("r.yml", rules)],
        manager.map(|text| file("a.yml", text)),
        Vec::new(),
    )
    .unwrap()
}

fn codes(rule: &str) -> Vec<&'static str> {
    let set = set(&format!("groups: [{{name: g, rules: [{rule}]}}]\n"), None);
    findings(&set).into_iter().map(|finding| finding.code.code()).collect()
}

#[test]
fn each_finding_has_a_rule_that_shows_it_and_a_twin_that_does_not() {
    for (bad, good, code) in [
        ("{alert: A, expr: 'rate(x[20s]) > 1'}", "{alert: A, expr: 'rate(x[1m]) > 1'}", "empty-range"),
        ("{record: 'a:b', expr: 'rate(x[45s])'}", "{record: 'a:b', expr: 'rate(x[1m])'}", "short-window"),
        (
            "{alert: A, expr: 'x > 1', for: 1m, labels: {v: '{{ $value }}'}}",
            "{alert: A, expr: 'x > 1', for: 1m, annotations: {v: '{{ $value }}'}}",
            "value-in-label",
        ),
        (
            "{alert: A, expr: 'rate(x[5m]) > 1', for: 5m}",
            "{alert: A, expr: 'rate(x[1m]) > 1', for: 5m}",
            "window-outlives-for",
        ),
        ("{alert: A, expr: 'x > 1', for: 5m}", "{alert: A, expr: 'x > 1', for: 10m}", "restart-resolves"),
        (
            "{alert: A, expr: 'increase(x{code=~\"5..\"}[5m]) > 0'}",
            "{alert: A, expr: 'increase(x{job=\"a\"}[5m]) > 0'}",
            "lazy-counter",
        ),
        ("{alert: A, expr: 'x > 1'}", "{alert: A, expr: 'x > 1', for: 1m}", "one-bad-scrape"),
        ("{alert: A, expr: 'irate(x[1m]) > 1'}", "{alert: A, expr: 'rate(x[1m]) > 1'}", "instant-rate"),
        (
            "{alert: A, expr: 'up == 0', for: 1m}",
            "{alert: A, expr: 'up == 0', for: 1m}, {alert: B, expr: 'absent(up)', for: 1m}",
            "up-without-absent",
        ),
        (
            "{alert: A, expr: 'histogram_quantile(0.9, sum by (job) (rate(x[5m]))) > 1'}",
            "{alert: A, expr: 'histogram_quantile(0.9, sum by (job, le) (rate(x[5m]))) > 1'}",
            "quantile-without-le",
        ),
    ] {
        assert!(codes(bad).contains(&code), "{bad} must show {code}: {:?}", codes(bad));
        assert!(!codes(good).contains(&code), "{good} must not show {code}: {:?}", codes(good));
    }
}

#[test]
fn a_range_as_long_as_for_names_the_burst_that_pages() {
    let set = set("groups: [{name: g, rules: [{alert: A, expr: 'rate(x[5m]) > 1', for: 5m}]}]\n", None);
    let found = findings(&set).into_iter().find(|finding| finding.code == FindingCode::WindowOutlivesFor).unwrap();
    // measured: a 45 s burst fires in all scrape phases and pages about 4.5 min after it ended
    assert!(found.message.contains("a burst of 45s pages, about 270s after it ended"), "{}", found.message);
}

#[test]
fn routes_and_inhibitions_are_looked_at_t36() {
    let manager = "route: {receiver: a, group_interval: 5m, repeat_interval: 5m}\nreceivers: [{name: a}]\ninhibit_rules: [{source_match: {a: b}, target_match: {c: d}}]\n";
    let found = findings(&set("groups: []\n", Some(manager)));
    let codes: Vec<&str> = found.iter().map(|finding| finding.code.code()).collect();
    assert_eq!(codes, ["repeat-equals-group", "inhibits-everywhere"]);
    let fine = "route: {receiver: a}\nreceivers: [{name: a}]\ninhibit_rules: [{source_match: {a: b}, target_match: {c: d}, equal: [x]}]\n";
    assert!(findings(&set("groups: []\n", Some(fine))).is_empty());
}

#[test]
fn thresholds_are_read_from_either_side() {
    let of = |expr: &str| {
        let set = set(&format!("groups: [{{name: g, rules: [{{alert: A, expr: '{expr}'}}]}}]\n"), None);
        threshold(set.prometheus.alerts().next().unwrap().1).map(|found| (found.operator, found.value))
    };
    assert_eq!(of("rate(x[5m]) > 0.5 and y > 3"), Some((crate::condition::Operator::Greater, 0.5)));
    assert_eq!(of("5 * 2 >= x"), Some((crate::condition::Operator::LessOrEqual, 10.0)));
    assert_eq!(of("absent(x)"), None);
}

#[test]
fn signals_within_a_tenth_of_the_threshold_are_too_close() {
    let threshold = Threshold { operator: crate::condition::Operator::Greater, value: 0.1 };
    assert!(too_close(threshold, 0.109).is_some() && too_close(threshold, 0.091).is_some());
    assert!(too_close(threshold, 0.2).is_none() && too_close(threshold, 0.0).is_none());
}

#[test]
fn events_are_counted_in_the_scaled_window_through_recording_rules() {
    let rules = "groups: [{name: g, rules: [{record: 'a:r', expr: 'rate(x[5m])'}, {alert: A, expr: 'a:r > 1'}]}]\n";
    let scaled = render::plan(&set(rules, None), Scale::new(60.0).unwrap()).unwrap().config.prometheus;
    let rule = scaled.alerts_named("A")[0].1;
    let budget = event_budget(&scaled, rule, 4.0).unwrap();
    assert_eq!((budget.window, budget.expected), (std::time::Duration::from_secs(5), 20.0));
    assert!(budget.expected < FEWEST_EVENTS);
}

#[test]
fn queries_of_scenarios_are_looked_at_t06() {
    let set = set("groups: []\n", None);
    let codes = |query: &str| {
        query_findings(&set.prometheus, query).map(|found| found.into_iter().map(|(code, _)| code).collect::<Vec<_>>())
    };
    assert_eq!(codes("rate(x[20s])").unwrap(), [FindingCode::EmptyRange]);
    assert_eq!(codes("sum(rate(x[1m]))").unwrap(), []);
    assert!(codes("rate(x)").is_err());
}
