//! Golden histories of `that.series`, each with its known end. Scraped every second from 100 s on; the window is 110 s to
//! 130 s.

use super::*;
use crate::telemetry::prometheus::Point;

const TIME: ScaledTime = ScaledTime { scale: 1.0 };
const WINDOW: Window = Window::plain(at(110), at(130));

const fn at(second: i64) -> Stamp {
    Stamp(second * 1_000_000)
}

fn spec(metric: &str) -> Series {
    Series {
        metric: metric.to_owned(),
        kind: None,
        unit: None,
        labels: BTreeSet::new(),
        buckets: Vec::new(),
        max_series: None,
        birth: Birth::Anyhow,
    }
}

fn labels(text: &str) -> Labels {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A series from `from` to 130 s that grows by `step` a second from `first`.
fn series(text: &str, from: i64, first: f64, step: f64) -> prometheus::Series {
    let mut labels = labels(text);
    labels.insert("instance".to_owned(), "one".to_owned());
    let points = (from..=130).map(|second| Point { at: at(second), value: first + step * (second - from) as f64 });
    prometheus::Series { labels, points: points.collect() }
}

fn requests() -> Vec<prometheus::Series> {
    vec![
        series("__name__=http_requests_total,route=/a,status=200", 100, 0.0, 10.0),
        series("__name__=http_requests_total,route=/a,status=500", 100, 0.0, 0.0),
    ]
}

fn served(text: &str) -> Served {
    Served { url: "http://one/metrics".to_owned(), open_metrics: None, text: Exposition::parse(text).unwrap() }
}

const GOOD: &str = "# HELP http_requests_total Requests\n# TYPE http_requests_total counter\nhttp_requests_total{route=\"/a\",status=\"200\"} 1\n";

fn seen(series: Vec<prometheus::Series>) -> Seen {
    let ups: Vec<(Stamp, f64)> = (100..=130).map(|second| (at(second), 1.0)).collect();
    let target = Target {
        instance: "one".to_owned(),
        durations: ups.iter().map(|(at, _)| (*at, 0.02)).collect(),
        ups,
        timeout: Duration::from_secs(1),
        moved: Some((40, 200)),
    };
    Seen {
        series,
        coverage: Coverage::new(Duration::from_secs(1), (100..=130).map(at).collect()),
        targets: vec![target],
        metadata: vec![Metadata { kind: "counter".to_owned(), help: "Requests".to_owned(), unit: String::new() }],
        served: vec![served(GOOD)],
        answered: Some(200),
        follows_load: true,
    }
}

fn reason(spec: &Series, seen: &Seen) -> Option<Reason> {
    judge(spec, WINDOW, seen, TIME).reason()
}

#[test]
fn a_counter_that_is_what_it_should_be_passes() {
    let spec = Series {
        kind: Some("counter"),
        unit: Some(String::new()),
        labels: ["route", "status"].map(str::to_owned).into(),
        max_series: Some(2),
        birth: Birth::AtZero,
        ..spec("http_requests_total")
    };
    let outcome = judge(&spec, WINDOW, &seen(requests()), TIME);
    assert!(outcome.is_passed(), "{outcome:?}");
}

#[test]
fn a_dropped_label_is_label_missing_also_when_it_is_only_empty_s03() {
    let spec = Series { labels: ["status".to_owned()].into(), ..spec("http_requests_total") };
    for bad in ["__name__=http_requests_total,route=/a", "__name__=http_requests_total,route=/a,status="] {
        let seen = seen([requests(), vec![series(bad, 100, 0.0, 1.0)]].concat());
        assert_eq!(reason(&spec, &seen), Some(Reason::LabelMissing), "{bad}");
    }
    assert_eq!(reason(&spec, &seen(requests())), None);
}

fn histogram(bounds: &[&str]) -> Vec<prometheus::Series> {
    bounds.iter().map(|le| series(&format!("__name__=lat_bucket,route=/a,le={le}"), 100, 0.0, 5.0)).collect()
}

fn of_histogram(series: Vec<prometheus::Series>) -> Seen {
    let text = "# HELP lat Time\n# TYPE lat histogram\nlat_bucket{le=\"+Inf\"} 1\nlat_sum 1\nlat_count 1\n";
    let metadata = vec![Metadata { kind: "histogram".to_owned(), help: "Time".to_owned(), unit: String::new() }];
    Seen { served: vec![served(text)], metadata, ..seen(series) }
}

#[test]
fn a_missing_boundary_is_bucket_missing_however_its_number_is_written_s08() {
    let spec = Series { buckets: vec![0.25], kind: Some("histogram"), ..spec("lat") };
    assert_eq!(reason(&spec, &of_histogram(histogram(&["0.1", "0.25", "+Inf"]))), None);
    assert_eq!(reason(&spec, &of_histogram(histogram(&["0.1", "2.5e-1", "+Inf"]))), None);
    let outcome = judge(&spec, WINDOW, &of_histogram(histogram(&["0.1", "0.3", "+Inf"])), TIME);
    assert_eq!(outcome.reason(), Some(Reason::BucketMissing));
    assert!(outcome.evidence().summary.contains("only 0.1, 0.3, inf"), "{outcome:?}");
    let bare = of_histogram(vec![series("__name__=lat_count", 100, 0.0, 1.0)]);
    assert_eq!(reason(&spec, &bare), Some(Reason::BucketMissing), "no buckets at all");
}

#[test]
fn one_route_without_the_bucket_is_enough_s08() {
    let spec = Series { buckets: vec![0.25], ..spec("lat") };
    let other = series("__name__=lat_bucket,route=/b,le=+Inf", 100, 0.0, 1.0);
    let seen = of_histogram([histogram(&["0.25", "+Inf"]), vec![other]].concat());
    assert_eq!(reason(&spec, &seen), Some(Reason::BucketMissing));
}

#[test]
fn more_series_than_allowed_are_counted_and_the_label_is_blamed_s09() {
    let users = (0..50).map(|user| {
        series(&format!("__name__=http_requests_total,route=/a,status=200,user=u{user:02}"), 100, 0.0, 1.0)
    });
    let seen = seen(users.collect());
    let allowed = |most| Series { max_series: Some(most), ..spec("http_requests_total") };
    assert_eq!(reason(&allowed(50), &seen), None, "just as many");
    let outcome = judge(&allowed(49), WINDOW, &seen, TIME);
    assert_eq!(outcome.reason(), Some(Reason::Cardinality));
    let summary = &outcome.evidence().summary;
    assert!(summary.contains("has 50 series, at most 49") && summary.contains("label user has 50 values"), "{summary}");
}

#[test]
fn series_that_ended_before_the_window_do_not_count() {
    let mut old = series("__name__=http_requests_total,route=/old,status=200", 100, 0.0, 1.0);
    old.points.retain(|point| point.at < at(110));
    let spec = Series { max_series: Some(2), ..spec("http_requests_total") };
    assert_eq!(reason(&spec, &seen([requests(), vec![old]].concat())), None);
}

fn frozen() -> Seen {
    let still = vec![series("__name__=http_requests_total,route=/a,status=200", 100, 7.0, 0.0)];
    let mut seen = seen(still);
    seen.targets[0].moved = Some((0, 200));
    seen
}

#[test]
fn a_body_that_never_changes_under_load_is_stale_s10() {
    let spec = Series { kind: Some("counter"), ..spec("http_requests_total") };
    let outcome = judge(&spec, WINDOW, &frozen(), TIME);
    assert_eq!(outcome.reason(), Some(Reason::StaleExposition));
    assert!(outcome.evidence().summary.contains("not one of its 200 series moved while 200 requests"), "{outcome:?}");
}

#[test]
fn without_load_and_with_one_series_that_moves_a_still_metric_is_no_proof_s10() {
    let spec = Series { kind: Some("counter"), ..spec("http_requests_total") };
    let other = |change: fn(&mut Seen)| {
        let mut seen = frozen();
        seen.follows_load = false;
        change(&mut seen);
        reason(&spec, &seen)
    };
    assert_eq!(other(|_| {}), Some(Reason::StaleExposition), "the whole body stands still");
    assert_eq!(other(|seen| seen.answered = None), None, "no load");
    assert_eq!(other(|seen| seen.answered = Some(FEW_ANSWERS - 1)), None, "hardly any load");
    assert_eq!(other(|seen| seen.targets[0].moved = Some((1, 200))), None, "an error counter may rest");
}

#[test]
fn the_request_counter_itself_must_move_s10() {
    let mut seen = frozen();
    seen.targets[0].moved = Some((20, 200));
    let spec = Series { kind: Some("counter"), ..spec("http_requests_total") };
    assert_eq!(reason(&spec, &seen), Some(Reason::StaleExposition), "process metrics move, requests do not");
    seen.series[0].points[15].value += 1.0;
    assert_eq!(reason(&spec, &seen), None, "one scrape moved");
}

fn slow_scrapes(took: f64, up: f64) -> Seen {
    lost_scrapes(3, took, up)
}

fn lost_scrapes(count: usize, took: f64, up: f64) -> Seen {
    let mut seen = seen(requests());
    for second in (118..).take(count) {
        seen.targets[0].durations[second - 100].1 = took;
        seen.targets[0].ups[second - 100].1 = up;
    }
    seen
}

#[test]
fn scrapes_that_took_their_whole_timeout_are_named_s12_t17() {
    let spec = Series { kind: Some("counter"), ..spec("http_requests_total") };
    let outcome = judge(&spec, WINDOW, &slow_scrapes(1.0, 0.0), TIME);
    assert_eq!(outcome.reason(), Some(Reason::ScrapeTimeout));
    assert!(outcome.evidence().summary.starts_with("3 of 21 scrapes of one took longer"), "{outcome:?}");
    assert_eq!(reason(&spec, &lost_scrapes(2, 1.0, 0.0)), None, "less than one in ten");
}

#[test]
fn a_slow_scrape_that_worked_and_a_quick_one_that_failed_are_no_timeout_s12_t17() {
    let spec = Series { kind: Some("counter"), ..spec("http_requests_total") };
    assert_eq!(reason(&spec, &slow_scrapes(0.99, 1.0)), None);
    assert_eq!(reason(&spec, &slow_scrapes(0.01, 0.0)), None);
}

#[test]
fn type_unit_and_disagreement_are_metadata() {
    let gauge = Series { kind: Some("gauge"), ..spec("http_requests_total") };
    assert_eq!(reason(&gauge, &seen(requests())), Some(Reason::Metadata));
    let seconds = Series { unit: Some("seconds".to_owned()), ..spec("http_requests_total") };
    let mut seen = seen(requests());
    let open = |unit: &str| {
        format!("# TYPE http_requests counter\n# HELP http_requests R\n{unit}http_requests_total 1\n# EOF\n")
    };
    seen.served[0].open_metrics = Some(Exposition::parse(&open("")).unwrap());
    assert_eq!(reason(&seconds, &seen), Some(Reason::Metadata));
    seen.served[0].open_metrics = Some(Exposition::parse(&open("# UNIT http_requests seconds\n")).unwrap());
    assert_eq!(reason(&seconds, &seen), None);
    let other = Metadata { kind: "gauge".to_owned(), help: String::new(), unit: String::new() };
    seen.metadata.push(other);
    assert_eq!(reason(&seconds, &seen), Some(Reason::Metadata), "two targets, two types");
}

#[test]
fn a_birth_in_milliseconds_is_found() {
    let mut seen = seen(requests());
    let open = |value: &str| {
        let text = format!(
            "# TYPE http_requests counter\n# HELP http_requests R\nhttp_requests_total 1\nhttp_requests_created {value}\n# EOF\n"
        );
        Some(Exposition::parse(&text).unwrap())
    };
    let spec = Series { kind: Some("counter"), ..spec("http_requests_total") };
    seen.served[0].open_metrics = open("1795168810.5");
    assert_eq!(reason(&spec, &seen), None);
    seen.served[0].open_metrics = open("1795168810500");
    assert_eq!(reason(&spec, &seen), Some(Reason::Metadata));
}

#[test]
fn what_promtool_finds_at_the_metric_fails_and_elsewhere_is_told() {
    let spec = Series { kind: Some("counter"), ..spec("http_requests_total") };
    let mut seen = seen(requests());
    seen.served = vec![served(&GOOD.replace("# HELP http_requests_total Requests\n", ""))];
    assert_eq!(reason(&spec, &seen), Some(Reason::Exposition));
    seen.served = vec![served(&format!("{GOOD}# TYPE other gauge\nother 1\n"))];
    let outcome = judge(&spec, WINDOW, &seen, TIME);
    assert!(outcome.is_passed() && format!("{outcome:?}").contains("other: no help text"), "{outcome:?}");
}

#[test]
fn a_counter_born_late_is_not_initialised_one_born_at_zero_or_with_its_target_is_t08() {
    let spec = Series { birth: Birth::AtZero, ..spec("http_requests_total") };
    let with = |from, first| {
        let more = series("__name__=http_requests_total,route=/a,status=503", from, first, 1.0);
        reason(&spec, &seen([requests(), vec![more]].concat()))
    };
    assert_eq!(with(100, 5.0), None, "at its target's first scrape");
    assert_eq!(with(101, 5.0), Some(Reason::CounterNotInitialised), "one scrape later");
    assert_eq!(with(115, 5.0), Some(Reason::CounterNotInitialised));
    assert_eq!(with(115, 0.0), None, "late, and at 0");
}

#[test]
fn a_metric_nobody_serves_fails_when_the_target_is_up_and_is_open_when_it_is_not() {
    let spec = Series { max_series: Some(5), ..spec("http_requests_total") };
    let mut seen = seen(Vec::new());
    assert_eq!(reason(&spec, &seen), Some(Reason::NoData));
    seen.targets[0].ups.iter_mut().for_each(|(_, up)| *up = 0.0);
    assert!(matches!(judge(&spec, WINDOW, &seen, TIME), Outcome::Inconclusive(Reason::NoCoverage, _)));
}

#[test]
fn a_hole_in_the_scrapes_leaves_it_open() {
    let spec = Series { max_series: Some(5), ..spec("http_requests_total") };
    let mut seen = seen(requests());
    seen.coverage =
        Coverage::new(Duration::from_secs(1), (100..=130).filter(|s| !(116..119).contains(s)).map(at).collect());
    assert!(matches!(judge(&spec, WINDOW, &seen, TIME), Outcome::Inconclusive(Reason::NoCoverage, _)));
    seen.coverage = Coverage::new(Duration::from_secs(1), (100..=130).filter(|s| *s != 116).map(at).collect());
    assert_eq!(reason(&spec, &seen), None, "one lost scrape is no hole");
}

#[test]
fn a_label_that_prometheus_renamed_on_the_way_is_missing_whatever_the_target_serves_t18() {
    let spec = Series { labels: ["job".to_owned()].into(), ..spec("http_requests_total") };
    let kept = series("__name__=http_requests_total,job=inventory", 100, 0.0, 1.0);
    let renamed = series("__name__=http_requests_total,exported_job=inventory", 100, 0.0, 1.0);
    let with = |series: prometheus::Series| Seen {
        served: vec![served(&GOOD.replace("route=\"/a\"", "job=\"inventory\""))],
        ..seen(vec![series])
    };
    assert_eq!(reason(&spec, &with(kept)), None);
    assert_eq!(reason(&spec, &with(renamed)), Some(Reason::LabelMissing));
}
