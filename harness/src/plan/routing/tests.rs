//! Cases, their places and the time intervals; the tree itself is tested with its model and against a real Alertmanager.

use super::file::parse;
use super::*;
use crate::plan::scale::{alertmanager, source};

const TREE: &str = r#"
route:
  receiver: all
  routes:
    - matchers: ['severity="critical"']
      receiver: pager
      continue: true
    - matchers: ['team="db"']
      receiver: dba
      mute_time_intervals: [night]
    - matchers: ['team="web"']
      receiver: web
      active_time_intervals: [day]
time_intervals:
  - name: night
    time_intervals:
      - times: [{ start_time: '22:00', end_time: '24:00' }, { start_time: '00:00', end_time: '06:00' }]
      - weekdays: ['saturday', 'sunday']
      - days_of_month: ['-1']
        months: ['december']
        years: ['2026:2027']
  - name: day
    time_intervals: [{ times: [{ start_time: '08:00', end_time: '18:00' }], weekdays: ['1:5'] }]
inhibit_rules:
  - source_matchers: ['alertname="Down"']
    target_matchers: ['alertname!="Down"']
    equal: [job, cluster]
receivers: [{ name: all }, { name: pager }, { name: dba }, { name: web }]
"#;

fn config() -> AlertmanagerConfig {
    alertmanager::parse(source::from_text(Path::new("alertmanager.yml"), TREE.to_owned()).unwrap(), Vec::new()).unwrap()
}

fn cases(text: &str) -> Result<Cases, Vec<Diagnostic>> {
    parse(Path::new("stack/routes.toml"), text.to_owned())
}

fn checked(text: &str) -> Vec<Checked> {
    check(&cases(text).unwrap(), &config()).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn told(alert: &[(&str, &str)], firing: &[Labels], time: Option<&str>) -> Vec<String> {
    let (config, time) = (config(), time.map(|text| Time(text.parse().unwrap())));
    fate(&config, &intervals(&config).unwrap(), &labels(alert), firing, time).receivers.into_iter().collect()
}

#[test]
fn every_route_it_takes_is_told() {
    assert_eq!(told(&[("severity", "critical"), ("team", "db")], &[], None), ["dba", "pager"]);
    assert_eq!(told(&[("severity", "critical")], &[], None), ["pager"]);
    assert_eq!(told(&[("team", "x")], &[], None), ["all"]);
}

#[test]
fn inhibition_compares_missing_labels_as_empty_ones() {
    let down = |pairs: &[(&str, &str)]| [labels(&[("alertname", "Down")]).into_iter().chain(labels(pairs)).collect()];
    let alert = [("alertname", "Slow"), ("job", "a")];
    assert!(told(&alert, &down(&[("job", "a")]), None).is_empty(), "neither has a cluster");
    assert!(told(&alert, &down(&[("job", "a"), ("cluster", "")]), None).is_empty(), "an empty label is none");
    assert_eq!(told(&alert, &down(&[("job", "a"), ("cluster", "x")]), None), ["all"]);
    assert_eq!(told(&[("alertname", "Down"), ("job", "a")], &down(&[("job", "a")]), None), ["all"], "not its own kind");
}

#[test]
fn a_route_is_mute_inside_its_mute_times_and_outside_of_its_active_ones() {
    for (time, db, web) in [
        ("2026-11-20T21:59", true, false),
        ("2026-11-20T22:00", false, false),
        ("2026-11-20T23:59", false, false),
        ("2026-11-20T05:59", false, false),
        ("2026-11-20T06:00", true, false),
        ("2026-11-20T08:00", true, true),
        ("2026-11-20T17:59", true, true),
        ("2026-11-20T18:00", true, false),
        ("2026-11-21T12:00", false, false),
        ("2026-12-30T12:00", true, true),
        ("2026-12-31T12:00", false, true),
        ("2028-12-29T12:00", true, true),
    ] {
        let heard = |team| !told(&[("team", team)], &[], Some(time)).is_empty();
        assert_eq!((heard("db"), heard("web")), (db, web), "{time}");
    }
    assert_eq!(told(&[("team", "web")], &[], None), ["web"], "without a time nothing mutes");
}

#[test]
fn a_case_that_does_not_hold_says_where_and_which_way_the_alert_went() {
    let text = "[[case]]\nalert = { alertname = \"Slow\", team = \"db\" }\nreceivers = [\"pager\"]\n";
    let (cases, results) = (cases(text).unwrap(), checked(text));
    let complaint = results[0].complaint(&cases).unwrap();
    assert_eq!(complaint.headline(), "stack/routes.toml:3:13: error[route]: Slow: dba told, and it should be pager");
    assert!(complaint.help.unwrap().contains("route.routes[1] → dba (alertmanager.yml:8:7)"));
    let inhibited = "[[case]]\nname = \"x\"\nalert = { alertname = \"Slow\" }\nfiring = [{ alertname = \"Down\" }]\nreceivers = [\"all\"]\n";
    let (cases, results) = (self::cases(inhibited).unwrap(), checked(inhibited));
    let complaint = results[0].complaint(&cases).unwrap();
    assert!(complaint.message.contains("nobody is told"), "{}", complaint.message);
    assert!(complaint.help.unwrap().contains("inhibited by Down"));
}

#[test]
fn a_case_that_holds_has_nothing_to_say() {
    let text = "[[case]]\nalert = { team = \"db\" }\nat = \"2026-11-21T12:00Z\"\nreceivers = []\n";
    let results = checked(text);
    assert!(results[0].passed && results[0].complaint(&cases(text).unwrap()).is_none(), "{results:?}");
    assert!(results[0].fate.routes[0].mute.as_ref().is_some_and(|why| why.contains("Saturday")), "{results:?}");
}

#[test]
fn a_file_that_does_not_hold_water_is_refused_with_its_place() {
    for (text, place, word) in [
        ("", "1:1", "VACUOUS"),
        ("[[case]]\nalert = {}\nreceivers = []\n", "2:9", "at least one label"),
        ("[[case]]\nalert = { a = \"b\" }\nreciever = []\n", "3:1", "unknown field"),
        ("[[case]]\nalert = { a = \"b\" }\n", "1:1", "missing field"),
        ("[[case]]\nalert = { a = \"b\" }\nat = \"noon\"\nreceivers = []\n", "3:6", "is no time"),
        ("[[case]\n", "1:", "array table"),
    ] {
        let problems = cases(text).unwrap_err();
        let headline = problems[0].headline();
        assert!(headline.starts_with(&format!("stack/routes.toml:{place}")) && headline.contains(word), "{headline}");
    }
    let unknown = cases("[[case]]\nalert = { a = \"b\" }\nreceivers = [\"pagr\"]\n").unwrap();
    let problems = check(&unknown, &config()).unwrap_err();
    assert!(problems[0].headline().starts_with("stack/routes.toml:3:14: error[unknown-receiver]"), "{problems:?}");
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `pager`?"));
}

#[test]
fn a_time_zone_that_this_machine_may_not_know_is_refused() {
    let text = TREE.replace(
        "time_intervals: [{ times: [{ start_time: '08",
        "time_intervals: [{ location: 'Europe/Berlin', times: [{ start_time: '08",
    );
    let file = source::from_text(Path::new("alertmanager.yml"), text).unwrap();
    let error = intervals(&alertmanager::parse(file, Vec::new()).unwrap()).unwrap_err();
    assert!(error.to_string().contains("`location` other than UTC"), "{error}");
}

#[test]
fn the_reference_tree_holds_to_its_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stack/alertmanager");
    let cases = load(&folder.join("routes.toml")).unwrap();
    let results = check(&cases, &super::config(&cases.config).unwrap()).unwrap();
    let wrong: Vec<_> = results.iter().filter_map(|case| case.complaint(&cases)).map(|it| it.headline()).collect();
    assert!(results.len() >= 11 && wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reference_tree_holds_to_the_routes_that_amtool_checks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stack/alertmanager");
    let config = super::config(&folder.join("alertmanager.yml")).unwrap();
    let text = std::fs::read_to_string(folder.join("routes.txt")).unwrap();
    let mut lines = 0;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let expected: BTreeSet<String> = words.next().unwrap().split(',').map(str::to_owned).collect();
        let alert = words.filter_map(|word| word.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        assert_eq!(fate(&config, &BTreeMap::new(), &alert, &[], None).receivers, expected, "{line}");
        lines += 1;
    }
    assert!(lines >= 14);
}
