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

#[test]
fn a_label_that_the_aggregation_drops_leaves_a_hole_in_the_text() {
    let with =
        |expr: &str, text: &str| codes(&format!("{{alert: A, expr: '{expr}', for: 1m, annotations: {{s: '{text}'}}}}"));
    let dropped = "dropped-label";
    assert!(with("sum by (job) (x) > 1", "{{ $labels.instance }}").contains(&dropped));
    assert!(with("1 < sum(x)", "{{ .Labels.job }}").contains(&dropped));
    assert!(with("histogram_quantile(0.9, sum by (job, le) (rate(x[5m]))) > 1", "{{ $labels.le }}").contains(&dropped));
    assert!(!with("sum by (job) (x) > 1", "{{ $labels.job }}").contains(&dropped));
    assert!(!with("sum without (pod) (x) > 1", "{{ $labels.job }}").contains(&dropped), "cannot be known");
    assert!(!with("sum by (job) (x) * on (job) group_left (team) y > 1", "{{ $labels.team }}").contains(&dropped));
    assert!(!with("x > 1", "{{ $labels.job }}").contains(&dropped));
}

fn package(text: &str) -> Vec<&'static str> {
    findings(&set(text, None)).into_iter().map(|finding| finding.code.code()).collect()
}

#[test]
fn packaging_traps_are_found() {
    let rule = "{alert: A, expr: 'x > 1', for: 10m, labels: {severity: page}}";
    let plain = format!("groups: [{{name: g, rules: [{rule}]}}]\n");
    assert!(package(&plain).is_empty(), "{:?}", package(&plain));
    let resource = format!("kind: PrometheusRule\nspec:\n  {plain}");
    assert_eq!(package(&resource), ["packed-resource"]);
    assert_eq!(package(&plain.replace("for: 10m", "for: 10m, anotations: {}")), ["unknown-field"]);
    assert_eq!(package(&plain.replace("name: g", "name: g, partial_response_strategy: warn")), ["unknown-field"]);
    for text in ["0x720", "012", "1_000", "yes", "Off"] {
        assert_eq!(package(&plain.replace("page", text)), ["ambiguous-scalar"], "{text}");
        assert!(package(&plain.replace("page", &format!("'{text}'"))).is_empty(), "{text} in quotes");
    }
    let merged = "groups: [{name: g, rules: [&a {alert: A, expr: 'x > 1', for: 10m}, {<<: *a, alert: B}]}]\n";
    assert_eq!(package(merged), ["merge-key"]);
    let helm = from_text(Path::new("r.yml"), "groups: [{name: '{{ .Values.x }}'}]\n".to_owned()).unwrap_err();
    assert!(helm.to_string().contains("helm template"), "{helm}");
}

#[test]
fn hex_integers_in_unit_tests_of_rules_are_found() {
    let test = |values: &str| {
        let text = format!("tests:\n  - input_series:\n      - series: up\n        values: {values}\n");
        test_findings(&from_text(Path::new("t.yml"), text).unwrap())
    };
    let found = test("0x720");
    assert_eq!((found.len(), found[0].location.line), (1, 4));
    assert!(found[0].message.contains("1824"), "{}", found[0].message);
    assert!(test("'0x720'").is_empty() && test("0x720 1").is_empty());
}

#[test]
fn an_allowance_needs_a_reason_and_something_to_allow() {
    let rules = |comments: [&str; 3]| {
        let [top, first, second] = comments;
        let text = format!(
            "{top}\ngroups:\n  - name: g\n    rules:\n      {first}\n      - alert: A\n        expr: x > 1\n      {second}\n      - alert: B\n        expr: y > 1\n"
        );
        let found = findings(&set(&text, None));
        found.into_iter().map(|finding| (finding.code.code(), finding.location.line)).collect::<Vec<_>>()
    };
    let bad = "one-bad-scrape";
    assert_eq!(rules(["", "", ""]), [(bad, 7), (bad, 10)]);
    assert_eq!(rules(["", "# harness: allow(one-bad-scrape) it repeats itself", ""]), [(bad, 10)]);
    assert_eq!(rules(["# harness: allow(one-bad-scrape, lazy-counter) gauges of ours", "", ""]), []);
    let without = rules(["", "# harness: allow(one-bad-scrape)", ""]);
    assert_eq!(without, [("useless-allowance", 5), (bad, 7), (bad, 10)]);
    let unused = rules(["", "", "# harness: allow(lazy-counter) no counter here"]);
    assert_eq!(unused, [(bad, 7), ("useless-allowance", 8), (bad, 10)]);
    assert!(rules(["# harness: allow(nonsense) x", "", ""]).contains(&("useless-allowance", 1)));
}

#[test]
fn a_rule_file_is_read_beside_the_prometheus_that_loads_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(folder.path().join("rules")).unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let rules = write("rules/a.yml", "groups: [{name: g, rules: [{alert: A, expr: 'rate(x[1m]) > 1', for: 10m}]}]\n");
    let quick = std::time::Duration::from_secs(15);
    let alone = findings_of(&rules, quick).unwrap();
    assert!(alone.assumed && alone.findings.is_empty(), "{:?}", alone.findings);
    write("prometheus.yml", "global: {scrape_interval: 30s}\nrule_files: [rules/*.yml]\nscrape_configs: []\n");
    let loaded = findings_of(&rules, quick).unwrap();
    let codes: Vec<&str> = loaded.findings.iter().map(|finding| finding.code.code()).collect();
    assert_eq!((loaded.assumed, codes), (false, vec!["short-window"]), "30 s leave two samples in a minute");
    assert_eq!(loaded.findings[0].location.file, rules.display().to_string());
}
