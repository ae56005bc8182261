//! Bounds against measured cycles and against the mechanism's own terms.

use std::path::Path;

use super::super::scale::source::from_text;
use super::super::scale::{Scale, config, render};
use super::*;

struct Setup {
    scrape: &'static str,
    window: &'static str,
    hold: &'static str,
    wait: &'static str,
    interval: &'static str,
}

fn set_of(global: &str, rules: &str, route: &str) -> ConfigSet {
    let file = |path: &str, text: String| from_text(Path::new(path), text).unwrap();
    let prometheus =
        format!("global: {global}\nscrape_configs:\n  - {{job_name: a, static_configs: [{{targets: ['a:1']}}]}}\n");
    let manager = format!(
        "route:\n  {route}\n  receiver: pager\nreceivers:\n  - {{name: pager, webhook_configs: [{{url: 'http://x'}}]}}\n"
    );
    config::parse(
        file("p.yml", prometheus),
        vec![file("r.yml", rules.to_owned())],
        Some(file("a.yml", manager)),
        Vec::new(),
    )
    .unwrap()
}

fn one(setup: &Setup, expr: &str, conditions: Conditions) -> AlertBound {
    let Setup { scrape, window, hold, wait, interval } = setup;
    let expr = expr.replace("[W]", &format!("[{window}]"));
    let rules = format!("groups: [{{name: g, rules: [{{alert: A, expr: '{expr}', for: {hold}}}]}}]\n");
    let global = format!("{{scrape_interval: {scrape}, evaluation_interval: {scrape}}}");
    let set = set_of(&global, &rules, &format!("group_wait: {wait}\n  group_interval: {interval}"));
    bounds(&set, "A", &BTreeMap::new(), conditions).remove(0)
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

const FAST: Conditions = Conditions { strength: Strength::Immediate, group: Group::New, silence: Silence::Refuses };
const FAST_BUT_UNKNOWN: Conditions = Conditions { strength: Strength::Unknown, ..FAST };
const AGAIN: Conditions = Conditions { group: Group::Exists, ..FAST };

#[expect(clippy::approx_constant, reason = "3.14 s was measured")]
/// Runs with real Prometheus and Alertmanager: the median and the largest time to fire and to resolve.
const MEASURED: [(Setup, [f64; 2], [f64; 2]); 9] = [
    (Setup { scrape: "1s", window: "5s", hold: "0s", wait: "0s", interval: "1s" }, [1.16, 1.52], [4.96, 6.06]),
    (Setup { scrape: "1s", window: "5s", hold: "2s", wait: "0s", interval: "1s" }, [3.14, 3.52], [4.96, 6.06]),
    (Setup { scrape: "1s", window: "5s", hold: "0s", wait: "0s", interval: "100ms" }, [0.85, 1.22], [4.67, 5.30]),
    (Setup { scrape: "1s", window: "5s", hold: "2s", wait: "0s", interval: "100ms" }, [2.81, 3.23], [4.67, 5.30]),
    (Setup { scrape: "200ms", window: "1s", hold: "0s", wait: "0s", interval: "100ms" }, [0.21, 0.31], [0.97, 1.11]),
    (Setup { scrape: "200ms", window: "1s", hold: "1s", wait: "0s", interval: "100ms" }, [1.20, 1.31], [0.97, 1.11]),
    (
        Setup { scrape: "100ms", window: "500ms", hold: "100ms", wait: "0s", interval: "50ms" },
        [0.28, 0.34],
        [0.56, 0.62],
    ),
    (Setup { scrape: "250ms", window: "5s", hold: "5s", wait: "500ms", interval: "5s" }, [5.98, 9.82], [4.94, 9.96]),
    (Setup { scrape: "250ms", window: "5s", hold: "5s", wait: "0s", interval: "200ms" }, [5.32, 5.59], [5.11, 5.28]),
];

#[test]
fn measured_cycles_lie_inside_of_the_bounds() {
    for (setup, fired, resolved) in &MEASURED {
        let again = one(setup, "rate(e[W]) > 0.1", AGAIN).routes.remove(0);
        // the measured runs hold first firings and re-firings, so both may be
        let first = one(setup, "rate(e[W]) > 0.1", FAST).routes.remove(0);
        let fire = again.notified.union(first.notified);
        for seconds in fired {
            assert!(
                fire.holds(Duration::from_secs_f64(*seconds)),
                "{} {} fire {seconds} not in {fire}",
                setup.scrape,
                setup.hold
            );
        }
        for seconds in resolved {
            let bound = again.resolved_notified.unwrap();
            assert!(
                bound.holds(Duration::from_secs_f64(*seconds)),
                "{} resolve {seconds} not in {bound}",
                setup.scrape
            );
        }
    }
}

#[test]
fn bounds_are_no_wider_than_scrape_evaluation_group_and_transport() {
    let setup = Setup { scrape: "250ms", window: "5s", hold: "5s", wait: "0s", interval: "200ms" };
    let bound = one(&setup, "rate(e[W]) > 0.1", AGAIN);
    let route = &bound.routes[0];
    let allowed = Duration::from_millis(250 + 250 + 200 + 250);
    assert!(route.notified.ceiling - route.notified.floor <= allowed);
    assert!(route.resolved_notified.unwrap().ceiling - route.resolved_notified.unwrap().floor <= allowed);
}

#[test]
fn production_times_match_the_formula_and_an_end_waits_for_the_next_tick_t35() {
    let setup = Setup { scrape: "15s", window: "5m", hold: "5m", wait: "30s", interval: "5m" };
    let (first, again) = (one(&setup, "rate(e[W]) > 0.1", FAST), one(&setup, "rate(e[W]) > 0.1", AGAIN));
    let ends = |interval: Interval| (seconds(interval.floor), seconds(interval.ceiling));
    assert_eq!(ends(first.firing), (300.0, 330.0));
    assert_eq!(ends(first.routes[0].notified), (330.0, 360.25));
    assert_eq!(ends(again.routes[0].notified), (300.0, 630.25));
    assert_eq!(ends(again.routes[0].resolved_notified.unwrap()), (285.0, 615.25));
}

#[test]
fn the_terms_add_up_to_the_bound() {
    let setup = Setup { scrape: "250ms", window: "5s", hold: "7s", wait: "500ms", interval: "5s" };
    for expr in [
        "rate(e[W]) > 0.1",
        "up == 0",
        "absent(up)",
        "max_over_time(g[W]) > 1",
        "a / b offset 3s > 1",
        "max_over_time(rate(e[W])[10s:1s]) > 2",
    ] {
        let bound = one(&setup, expr, Conditions::default());
        assert_eq!((sum(&bound.firing_terms), sum(&bound.resolved_terms)), (bound.firing, bound.resolved), "{expr}");
        assert!(bound.firing.floor <= bound.firing.ceiling && bound.pending.ceiling <= bound.firing.ceiling);
    }
}

#[test]
fn for_waits_for_whole_evaluations_t22() {
    let firing = |scrape, hold| {
        let setup = Setup { scrape, window: "5s", hold, wait: "0s", interval: "1s" };
        let bound = one(&setup, "up == 0", FAST);
        seconds(bound.firing.ceiling) - seconds(bound.pending.ceiling)
    };
    for (hold, expected) in
        [("0s", 0.0), ("1ms", 0.3), ("500ms", 0.6), ("700ms", 0.9), ("1s", 1.2), ("2s", 2.1), ("5s", 5.1)]
    {
        assert!((firing("300ms", hold) - expected).abs() < 1e-9, "{hold}");
    }
}

#[test]
fn a_gauge_needs_one_scrape_and_a_hanging_target_its_timeout_t10() {
    let setup = Setup { scrape: "1s", window: "5s", hold: "0s", wait: "0s", interval: "1s" };
    assert_eq!(one(&setup, "up == 0", FAST).pending.ceiling, Duration::from_secs(2));
    let hangs = one(&setup, "up == 0", Conditions { silence: Silence::Hangs, ..FAST });
    assert_eq!(hangs.pending.ceiling, Duration::from_secs(3));
    assert_eq!(hangs.resolved, Interval { floor: Duration::ZERO, ceiling: Duration::from_secs(2) });
}

#[test]
fn an_exporter_may_take_its_whole_scrape_to_say_that_its_server_is_gone() {
    let setup = Setup { scrape: "1s", window: "5s", hold: "0s", wait: "0s", interval: "1s" };
    let bound = one(&setup, "pg_up == 0", FAST);
    assert_eq!(bound.pending.ceiling, Duration::from_secs(3));
    assert_eq!(bound.resolved, Interval { floor: Duration::ZERO, ceiling: Duration::from_secs(2) });
}

#[test]
fn the_detection_bound_of_the_trap_list_holds_t10() {
    // measured: scrape 2 s, evaluation 5 s, for 7 s: firing 11.6 .. 15.6 s after the change, bound 10 .. 17
    let set = set_of(
        "{scrape_interval: 2s, evaluation_interval: 5s}",
        "groups: [{name: g, rules: [{alert: A, expr: up == 0, for: 7s}]}]\n",
        "group_wait: 0s",
    );
    let bound = bounds(&set, "A", &BTreeMap::new(), FAST).remove(0);
    assert_eq!(bound.firing, Interval { floor: Duration::from_secs(10), ceiling: Duration::from_secs(17) });
}

#[test]
fn a_weak_fault_must_fill_the_window_and_a_strong_one_part_of_it() {
    let setup = Setup { scrape: "1s", window: "10s", hold: "0s", wait: "0s", interval: "1s" };
    let ceiling = |strength| one(&setup, "rate(e[W]) > 0.1", Conditions { strength, ..FAST }).pending.ceiling;
    assert_eq!(ceiling(Strength::Unknown), Duration::from_secs(12));
    assert_eq!(ceiling(Strength::Times(2.0)), Duration::from_secs(7));
    assert_eq!(ceiling(Strength::Immediate), Duration::from_secs(2));
    let floor = |strength| one(&setup, "rate(e[W]) > 0.1", Conditions { strength, ..FAST }).resolved.floor;
    assert_eq!(floor(Strength::Unknown), Duration::ZERO);
    assert_eq!(floor(Strength::Times(2.0)), Duration::from_secs(4));
    assert_eq!(floor(Strength::Immediate), Duration::from_secs(9));
}

#[test]
fn a_signal_that_falls_must_drain_its_window_and_refills_it_faster() {
    let setup = Setup { scrape: "1s", window: "10s", hold: "0s", wait: "0s", interval: "1s" };
    let bound = one(&setup, "sum(rate(r[W])) < 25", Conditions { strength: Strength::Times(4.0), ..FAST });
    let of = |floor: f64, ceiling: f64| Interval {
        floor: Duration::from_secs_f64(floor),
        ceiling: Duration::from_secs_f64(ceiling),
    };
    assert_eq!(bound.firing, of(6.5, 11.0));
    assert_eq!(bound.resolved, of(0.0, 4.5));
    let unknown = one(&setup, "sum(rate(r[W])) < 25", FAST_BUT_UNKNOWN);
    assert_eq!((unknown.firing, unknown.resolved), (of(0.0, 11.0), of(0.0, 12.0)));
    for (expr, firing, resolved) in [
        ("max_over_time(g[W]) > 5", of(0.0, 2.0), of(9.0, 11.0)),
        ("min_over_time(g[W]) > 5", of(9.0, 11.0), of(0.0, 2.0)),
        ("min_over_time(g[W]) < 5", of(0.0, 2.0), of(9.0, 11.0)),
        ("avg_over_time(g[W]) > 5", of(0.0, 12.0), of(0.0, 12.0)),
    ] {
        let bound = one(&setup, expr, FAST);
        assert_eq!((bound.firing, bound.resolved), (firing, resolved), "{expr}");
    }
    let absent = one(&setup, "absent_over_time(x[W])", FAST);
    assert_eq!((absent.firing, absent.resolved), (of(9.0, 11.0), of(0.0, 2.0)));
}

#[test]
fn the_explanation_shows_the_sum() {
    let setup = Setup { scrape: "250ms", window: "5s", hold: "5s", wait: "500ms", interval: "5s" };
    let lines = one(&setup, "rate(e[W]) > 0.1", FAST).explain();
    assert_eq!(
        lines[0],
        "firing 5.00..5.50 s = scrape 0.00..0.25 s (until the next scrape) + window 0.00..0.00 s (until `rate` over 5s shows the fault) \
         + evaluation 0.00..0.25 s (until the group's next evaluation) + for 5.00..5.00 s (5s in whole evaluations of 250ms)"
    );
    assert!(lines[2].starts_with("pager notified 5.50..6.25 s = firing + group_wait 0.50..0.50 s"), "{}", lines[2]);
}

#[test]
fn recording_rules_add_an_evaluation_unless_they_stand_above_in_the_same_group() {
    let record = "{record: 'e:rate', expr: 'rate(e[10s])'}";
    let alert = "{alert: A, expr: 'e:rate > 1'}";
    let ceiling = |rules: &str| {
        let set = set_of("{scrape_interval: 1s, evaluation_interval: 1s}", rules, "group_wait: 0s");
        let bound = bounds(&set, "A", &BTreeMap::new(), FAST).remove(0);
        (bound.pending.ceiling, bound.window)
    };
    let (same, window) = ceiling(&format!("groups: [{{name: g, rules: [{record}, {alert}]}}]\n"));
    let (below, _) = ceiling(&format!("groups: [{{name: g, rules: [{alert}, {record}]}}]\n"));
    let (other, _) =
        ceiling(&format!("groups: [{{name: r, interval: 3s, rules: [{record}]}}, {{name: g, rules: [{alert}]}}]\n"));
    assert_eq!([same, below, other].map(seconds), [2.0, 3.0, 5.0]);
    assert_eq!(window, Duration::from_secs(11));
}

#[test]
fn keep_firing_for_prolongs_the_resolution_t27() {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: up == 0, keep_firing_for: 3500ms}]}]\n";
    let set = set_of("{scrape_interval: 1s, evaluation_interval: 1s}", rules, "group_wait: 0s");
    let bound = bounds(&set, "A", &BTreeMap::new(), FAST).remove(0);
    assert_eq!(bound.resolved, Interval { floor: Duration::from_secs(4), ceiling: Duration::from_secs(6) });
}

#[test]
fn bounds_of_a_scaled_configuration_are_the_bounds_divided() {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: 'rate(e[5m]) > 1', for: 5m}]}]\n";
    let set = set_of("{scrape_interval: 15s, evaluation_interval: 15s}", rules, "group_wait: 30s");
    let scaled = render::plan(&set, Scale::new(60.0).unwrap()).unwrap().config;
    let of = |set: &ConfigSet| bounds(set, "A", &BTreeMap::new(), FAST).remove(0);
    assert_eq!(of(&set).firing.ceiling, of(&scaled).firing.ceiling * 60);
    assert_eq!(settle_time(&scaled.prometheus), Duration::from_secs(5));
}

#[test]
fn rules_of_one_name_are_told_apart_by_their_labels() {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: up == 0, for: 1s, labels: {severity: page}}, {alert: A, expr: up == 0, labels: {severity: info}}]}]\n";
    let set = set_of("{}", rules, "group_wait: 0s");
    let labels = |value: &str| BTreeMap::from([("severity".to_owned(), value.to_owned())]);
    assert_eq!(bounds(&set, "A", &labels("page"), FAST).len(), 1);
    assert_eq!(bounds(&set, "A", &BTreeMap::new(), FAST).len(), 2);
    assert!(bounds(&set, "B", &BTreeMap::new(), FAST).is_empty());
}

#[test]
fn strength_comes_from_threshold_and_level() {
    let rising = |value| Threshold { operator: Operator::Greater, value };
    assert_eq!(Strength::of(rising(0.05), 0.5), Strength::Times(10.0));
    assert_eq!(Strength::of(rising(0.0), 0.5), Strength::Immediate);
    assert_eq!(Strength::of(rising(0.05), 0.01), Strength::Unknown);
    let falling = Threshold { operator: Operator::Less, value: 25.0 };
    assert_eq!(Strength::of(falling, 100.0), Strength::Times(4.0));
    assert_eq!(Strength::of(falling, 20.0), Strength::Unknown);
}

#[test]
fn the_group_of_an_alert_is_known() {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: up == 0, labels: {severity: page}}]}]\n";
    let set = set_of("{external_labels: {region: eu}}", rules, "group_by: [alertname, region, zone]\n  group_wait: 0s");
    let group = bounds(&set, "A", &BTreeMap::new(), FAST).remove(0).routes.remove(0).group;
    let expected = [("alertname", "A"), ("region", "eu")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(group, BTreeMap::from(expected));
}
