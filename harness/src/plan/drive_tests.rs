//! Where faults drive signals, against counts worked out by hand.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::load::{Protocol, Stage};
use crate::plan::scale::config;
use crate::plan::scale::source::from_text;

fn set(rules: &str) -> PrometheusConfig {
    let file = |path: &str, text: &str| from_text(Path::new(path), text.to_owned()).unwrap();
    let prometheus = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n";
    config::parse(file("p.yml", prometheus), vec![file("r.yml", rules)], None, Vec::new()).unwrap().prometheus
}

fn signals() -> Signals {
    let requests = RequestSignal {
        metric: "req".into(),
        route: Some("route".into()),
        method: None,
        status: Some("status".into()),
    };
    Signals { requests: Some(requests), ..Signals::default() }
}

fn load(rate: f64, arrivals: Arrivals) -> LoadPlan {
    let stages = vec![Stage { from: rate, to: rate, over: Duration::ZERO }];
    LoadPlan {
        name: "l".into(),
        model: Model::Open { stages, arrivals, max_in_flight: 100 },
        ramp: Duration::ZERO,
        timeout: Duration::from_secs(1),
        protocol: Protocol::default(),
        requests: Vec::new(),
        journeys: Vec::new(),
        seeds: Vec::new(),
        seed: 1,
    }
}

fn errors(share: f64, route: Option<&str>) -> Fault {
    let mut parameters = BTreeMap::from([("share".to_owned(), json!(share)), ("status".to_owned(), json!(500))]);
    parameters.extend(route.map(|route| ("route".to_owned(), json!(route))));
    Fault::Switch { target: String::new(), name: "errors".into(), parameters }
}

fn driven(expr: &str, loads: &[LoadPlan], fault: &Fault) -> Option<Drive> {
    let rules = format!(
        "groups: [{{name: g, rules: [{{record: 'r:share', expr: '{SHARE}'}}, {{alert: A, expr: '{expr}'}}]}}]\n"
    );
    let config = set(&rules);
    let rule = config.alerts_named("A")[0].1.clone();
    let signals = signals();
    drive(&config, &rule, Scene { signals: &signals, loads, fault })
}

const SHARE: &str = r#"sum(rate(req{status=~"5.."}[4s])) / sum(rate(req[4s]))"#;

#[test]
fn a_share_of_failing_requests_is_the_level_of_a_ratio_also_through_a_recording_rule() {
    for expr in [format!("{SHARE} > 0.05"), "r:share > 0.05".to_owned(), format!("0.05 < ({SHARE})")] {
        let found = driven(&expr, &[load(100.0, Arrivals::Constant)], &errors(0.25, None)).unwrap();
        assert_eq!((found.level, found.events, found.expected()), (0.25, 25.0, 100.0), "{expr}");
        // 20 of 100 failures cross it; drawn at random, 20 have surely come when 38 are expected
        let Strength::Times(times) = found.strength() else { panic!("{found:?}") };
        assert!((2.5..2.8).contains(&times), "{times}");
    }
}

#[test]
fn an_absolute_rate_that_one_scrape_shows_is_immediate() {
    let expr = r#"sum(rate(req{status="500"}[1s])) > 0.1"#;
    let found = driven(expr, &[load(200.0, Arrivals::Constant)], &errors(1.0, None)).unwrap();
    assert_eq!((found.level, found.strength()), (200.0, Strength::Immediate));
    let counted =
        driven(r#"increase(req{status=~"5.."}[10s]) > 5"#, &[load(10.0, Arrivals::Constant)], &errors(1.0, None));
    assert_eq!(counted.unwrap().level, 100.0, "ten a second in ten seconds");
}

#[test]
fn traffic_that_stops_drains_a_floor_on_it() {
    let stop = Fault::Load { name: "l".into(), factor: 0.0 };
    let found = driven("sum(rate(req[10s])) < 1 and up == 1", &[load(200.0, Arrivals::Constant)], &stop).unwrap();
    assert_eq!((found.level, found.healthy, found.expected()), (0.0, 200.0, 2000.0));
    let Strength::Times(times) = found.strength() else { panic!("{found:?}") };
    assert!((180.0..200.0).contains(&times), "{times}");
}

#[test]
fn what_cannot_be_known_is_not_guessed() {
    let loads = [load(100.0, Arrivals::Constant)];
    let users = LoadPlan {
        model: Model::Users { count: 3, ramp: Duration::ZERO, think: Duration::ZERO },
        ..load(1.0, Arrivals::Constant)
    };
    let of = |expr: &str, fault: &Fault| driven(expr, &loads, fault);
    assert!(of(&format!("{SHARE} > 0.05"), &errors(0.25, Some("/a"))).is_none(), "one route of several");
    assert!(of("up == 0", &errors(0.25, None)).is_none());
    assert!(of("sum(rate(other[4s])) > 1", &errors(0.25, None)).is_none());
    assert!(of(r#"sum(rate(req{status="503"}[4s])) > 1"#, &errors(0.25, None)).is_none(), "another status");
    assert!(of(r#"sum(rate(req{route="/a",status="500"}[4s])) > 1"#, &errors(0.25, None)).is_none());
    assert!(driven(&format!("{SHARE} > 0.05"), &[users], &errors(0.25, None)).is_none(), "the rate is not given");
    let weak = of(&format!("{SHARE} > 0.5"), &errors(0.25, None)).unwrap();
    assert_eq!(weak.strength(), Strength::Unknown, "under the threshold");
}
