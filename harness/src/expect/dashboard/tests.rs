//! Golden histories of panels, each with its known end. Evaluated every second; the window is 110 s to 120 s.

use std::time::Duration;

use super::*;

const TIME: ScaledTime = ScaledTime { scale: 1.0 };
const WINDOW: Window = Window::plain(at(110), at(120));

const fn at(second: i64) -> Stamp {
    Stamp(second * 1_000_000)
}

fn spec(shows: Shows) -> Dashboard {
    Dashboard {
        uid: "inv".to_owned(),
        panels: Vec::new(),
        shows,
        provisioned: Ok(Board::default()),
        sources: Vec::new(),
    }
}

/// One series with these values from 110 s on; none is a step without a point.
fn values(values: &[Option<f64>]) -> Shown {
    let times: Vec<Stamp> = (110..).take(values.len()).map(at).collect();
    let points = times.iter().copied().zip(values).filter_map(|(at, value)| Some((at, (*value)?)));
    let points: Vec<(Stamp, f64)> = points.collect();
    let series = if points.is_empty() { Vec::new() } else { vec![(Labels::new(), points)] };
    Shown { times, series }
}

fn steady(value: f64) -> Shown {
    values(&[Some(value); 11])
}

fn asked(answer: Result<Shown, Trouble>, before: Option<Shown>) -> Asked {
    Asked { id: "A".to_owned(), text: "up".to_owned(), wrong_unit: None, answer, before: before.map(Ok) }
}

fn panel(queries: Vec<Asked>) -> SeenPanel {
    SeenPanel { title: "Requests".to_owned(), unit: "reqps".to_owned(), queries }
}

fn seen(queries: Vec<Asked>) -> Seen {
    Seen {
        way: "directly".to_owned(),
        panels: vec![panel(queries)],
        coverage: Coverage::new(Duration::from_secs(1), (109..=121).map(at).collect()),
        ..Seen::default()
    }
}

fn ends(shows: Shows, mode: Mode, seen: &Seen) -> Option<Reason> {
    judge(&spec(shows), mode, WINDOW, seen, TIME).reason()
}

fn data(answers: Vec<Shown>) -> Option<Reason> {
    ends(Shows::Data, Mode::Eventually, &seen(answers.into_iter().map(|it| asked(Ok(it), None)).collect()))
}

#[test]
fn a_number_for_every_query_is_data() {
    assert_eq!(data(vec![steady(1.0), steady(0.0)]), None);
    assert_eq!(data(vec![values(&[None, None, Some(0.0)])]), None, "one evaluation is enough");
}

#[test]
fn one_query_without_a_series_is_panel_no_data_s52() {
    let outcome = judge(
        &spec(Shows::Data),
        Mode::Eventually,
        WINDOW,
        &seen(vec![asked(Ok(steady(1.0)), None), asked(Ok(Shown::default()), None)]),
        TIME,
    );
    assert_eq!(outcome.reason(), Some(Reason::PanelNoData));
    assert!(outcome.evidence().summary.contains("panel `Requests` query A answers with nothing"), "{outcome:?}");
}

#[test]
fn nan_and_infinity_are_no_data_and_not_nothing_either() {
    for value in [f64::NAN, f64::INFINITY] {
        assert_eq!(data(vec![steady(value)]), Some(Reason::PanelNoData));
        let nothing = seen(vec![asked(Ok(steady(value)), None)]);
        let outcome = judge(&spec(Shows::Nothing), Mode::Eventually, WINDOW, &nothing, TIME);
        assert!(matches!(outcome, Outcome::Inconclusive(Reason::NotANumber, _)), "{outcome:?}");
    }
}

#[test]
fn throughout_means_at_every_evaluation() {
    let of = |answer: Shown| ends(Shows::Data, Mode::Throughout, &seen(vec![asked(Ok(answer), None)]));
    assert_eq!(of(steady(1.0)), None);
    let mut holed = [Some(1.0); 11];
    holed[10] = None;
    assert_eq!(of(values(&holed)), Some(Reason::PanelNoData), "the last evaluation");
    holed[10] = Some(1.0);
    holed[0] = None;
    assert_eq!(of(values(&holed)), Some(Reason::PanelNoData), "the first");
}

#[test]
fn nothing_needs_proof_that_somebody_looked() {
    let nothing = || seen(vec![asked(Ok(values(&[None; 11])), None)]);
    assert_eq!(ends(Shows::Nothing, Mode::Eventually, &nothing()), None);
    let blind = Seen { coverage: Coverage::default(), ..nothing() };
    assert_eq!(ends(Shows::Nothing, Mode::Eventually, &blind), Some(Reason::NoCoverage));
    let one = seen(vec![asked(Ok(values(&[None, None, Some(0.0)])), None)]);
    assert_eq!(ends(Shows::Nothing, Mode::Eventually, &one), Some(Reason::WrongValue), "a single zero is a curve");
}

fn moved(shows: Shows, before: Shown, now: Shown) -> Option<Reason> {
    ends(shows, Mode::Eventually, &seen(vec![asked(Ok(now), Some(before))]))
}

#[test]
fn rising_is_higher_than_the_baseline_and_its_noise() {
    assert_eq!(moved(Shows::Rises, steady(100.0), steady(111.0)), None);
    assert_eq!(moved(Shows::Rises, steady(100.0), steady(110.0)), Some(Reason::WrongValue), "a tenth is noise");
    let noisy = || values(&[Some(80.0), Some(100.0), Some(90.0)]);
    assert_eq!(moved(Shows::Rises, noisy(), steady(120.0)), Some(Reason::WrongValue), "as much as it swings");
    assert_eq!(moved(Shows::Rises, noisy(), values(&[Some(90.0), Some(121.0), Some(90.0)])), None, "one peak");
    assert_eq!(moved(Shows::Rises, steady(0.0), steady(0.001)), None, "from zero everything is a rise");
    assert_eq!(moved(Shows::Rises, steady(0.0), steady(0.0)), Some(Reason::WrongValue));
}

#[test]
fn a_series_that_was_not_there_rises_and_cannot_fall() {
    assert_eq!(moved(Shows::Rises, Shown::default(), steady(0.5)), None);
    let outcome = judge(
        &spec(Shows::Falls),
        Mode::Eventually,
        WINDOW,
        &seen(vec![asked(Ok(steady(0.5)), Some(Shown::default()))]),
        TIME,
    );
    assert!(matches!(outcome, Outcome::Inconclusive(Reason::NoData, _)), "{outcome:?}");
}

#[test]
fn falling_is_lower_and_vanishing_is_no_fall() {
    assert_eq!(moved(Shows::Falls, steady(100.0), values(&[Some(100.0), Some(89.0)])), None);
    assert_eq!(moved(Shows::Falls, steady(100.0), steady(90.0)), Some(Reason::WrongValue));
    assert_eq!(moved(Shows::Falls, steady(100.0), Shown::default()), Some(Reason::PanelNoData));
}

#[test]
fn each_series_is_compared_with_itself() {
    let of = |value: f64, route: &str| {
        let labels = Labels::from([("route".to_owned(), route.to_owned())]);
        (labels, vec![(at(110), value)])
    };
    let before = Shown { times: vec![at(110)], series: vec![of(1.0, "/a"), of(500.0, "/b")] };
    let now = Shown { times: vec![at(110)], series: vec![of(2.0, "/a"), of(500.0, "/b")] };
    assert_eq!(moved(Shows::Rises, before, now), None, "a small curve beside a big one");
}

#[test]
fn never_turns_it_round_and_errors_stay_errors() {
    let of = |answer| ends(Shows::Data, Mode::Never, &seen(vec![asked(answer, None)]));
    assert_eq!(of(Ok(steady(1.0))), Some(Reason::WrongValue));
    assert_eq!(of(Ok(Shown::default())), None);
    assert_eq!(of(Err(Trouble::Refused("parse error".to_owned()))), Some(Reason::Query));
}

#[test]
fn a_wrong_source_a_refusal_and_silence_are_three_things_t58() {
    let of =
        |trouble| judge(&spec(Shows::Data), Mode::Eventually, WINDOW, &seen(vec![asked(Err(trouble), None)]), TIME);
    assert!(matches!(of(Trouble::NoSource("gone".into())), Outcome::Failed(Reason::PanelNoData, _)));
    assert!(matches!(of(Trouble::Refused("parse error".into())), Outcome::Failed(Reason::Query, _)));
    assert!(matches!(of(Trouble::Unanswered("refused".into())), Outcome::Inconclusive(Reason::Unreachable, _)));
}

#[test]
fn a_missing_dashboard_is_named_s54() {
    let missing = Seen { missing: Some("no provider loads it".to_owned()), ..Seen::default() };
    let outcome = judge(&spec(Shows::Data), Mode::Eventually, WINDOW, &missing, TIME);
    assert_eq!(outcome.reason(), Some(Reason::DashboardMissing));
    assert_eq!(outcome.evidence().summary, "there is no dashboard inv: no provider loads it");
}

#[test]
fn a_variable_without_options_is_named_s55() {
    let with = |options| {
        let variable = Resolved { name: "job".into(), query: "label_values(gone, job)".into(), options };
        let seen = Seen { variables: vec![variable], ..seen(vec![asked(Ok(steady(1.0)), None)]) };
        judge(&spec(Shows::Data), Mode::Eventually, WINDOW, &seen, TIME)
    };
    assert!(with(Ok(vec!["inventory".to_owned()])).is_passed());
    let empty = with(Ok(Vec::new()));
    assert_eq!(empty.reason(), Some(Reason::VariableEmpty));
    assert!(empty.evidence().summary.contains("$job (label_values(gone, job)) resolves to nothing"), "{empty:?}");
    assert!(matches!(with(Err(Trouble::Unanswered("down".into()))), Outcome::Inconclusive(Reason::Unreachable, _)));
}

#[test]
fn a_title_on_no_panel_and_a_wrong_unit_fail() {
    let unknown = Seen { unknown: vec!["Nowhere".to_owned()], ..seen(vec![asked(Ok(steady(1.0)), None)]) };
    assert_eq!(ends(Shows::Data, Mode::Eventually, &unknown), Some(Reason::PanelNoData));
    let wrong = Asked { wrong_unit: Some("seconds on an axis in bytes".to_owned()), ..asked(Ok(steady(1.0)), None) };
    assert_eq!(ends(Shows::Data, Mode::Eventually, &seen(vec![wrong])), Some(Reason::PanelUnit));
}
