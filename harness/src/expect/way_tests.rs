//! Ways of a page with known times: where each stage may lie, and which one was late.

use super::*;
use crate::expect::Span;
use crate::outcome::Evidence;

const TIME: ScaledTime = ScaledTime { scale: 60.0 };

const fn ms(milliseconds: i64) -> Stamp {
    Stamp(milliseconds * 1000)
}

const fn length(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A fault from 10.0 to 16.0 s; scrapes and evaluations every 250 ms, `for` of 1 s, a window of 1 s.
const WINDOW: Window = Window { start: ms(10_000), effective: ms(10_040), end: ms(16_010), observed_until: ms(30_000) };

fn bound() -> AlertBound {
    let span = |floor, ceiling| Span { floor: length(floor), ceiling: length(ceiling) };
    AlertBound {
        pending: span(0, 500),
        firing: span(1000, 1500),
        delivery: span(0, 1250),
        resolved: span(750, 1250),
        resolved_delivery: span(0, 1250),
        pending_for: length(1000),
        evaluation: length(250),
        scrape: length(250),
        ..AlertBound::default()
    }
}

fn judged(times: [(&str, i64); 6]) -> Vec<Stage> {
    let stage = |(name, at): (&str, i64)| Stage {
        name: name.to_owned(),
        observed: Some(ms(at)),
        floor: None,
        ceiling: Some(ms(at + 1000)),
    };
    times.map(stage).to_vec()
}

const GOOD: [(&str, i64); 6] = [
    ("pending", 10_400),
    ("firing", 11_400),
    ("alertmanager", 11_410),
    ("receiver", 11_660),
    ("resolved", 17_150),
    ("resolved-receiver", 17_660),
];

fn truth() -> Truth {
    Truth::new(length(25), (10_250..17_000).step_by(25).map(ms).collect())
}

fn completed(outcome: Outcome) -> Outcome {
    let (bound, truth) = (bound(), truth());
    let with =
        Circumstances { window: WINDOW, reverting: ms(16_000), bound: Some(&bound), truth: Some(&truth), time: TIME };
    complete(outcome, with)
}

fn evidence(times: [(&str, i64); 6]) -> Evidence {
    Evidence { stages: judged(times), ..Evidence::new("told") }
}

#[test]
fn a_way_has_eight_stages_in_two_legs_and_each_lies_where_the_one_before_lets_it() {
    let outcome = completed(Outcome::Passed(evidence(GOOD)));
    let stages = &outcome.evidence().stages;
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    let expected =
        ["series", "pending", "firing", "alertmanager", "receiver", "series-back", "resolved", "resolved-receiver"];
    assert_eq!(names, expected);
    assert_eq!(stages[0].observed, Some(ms(10_250)));
    assert_eq!(stages[5].observed, Some(ms(16_975)));
    for stage in stages {
        let (at, floor, ceiling) = (stage.observed, stage.floor, stage.ceiling);
        assert!(floor.is_none_or(|floor| at >= Some(floor)) && at <= ceiling, "{stage:?}");
    }
    assert_eq!(late(stages), None);
    assert_eq!(contradiction(stages), None);
    assert_eq!(outcome.evidence().summary, "told", "nothing was late, so nothing is said");
}

#[test]
fn a_late_page_names_the_stage_that_was_late() {
    for (late_from, name) in
        [("pending", "pending"), ("firing", "firing"), ("alertmanager", "alertmanager"), ("receiver", "receiver")]
    {
        let from = GOOD.iter().position(|(stage, _)| *stage == late_from).unwrap();
        let mut times = GOOD;
        times[from..4].iter_mut().for_each(|(_, at)| *at += 2000);
        let mut evidence = evidence(times);
        evidence.stages[3].ceiling = Some(ms(times[1].1 + 1250));
        let outcome = completed(Outcome::Failed(Reason::NotifyLate, evidence));
        let summary = &outcome.evidence().summary;
        assert!(summary.contains(&format!("late was the stage `{name}`")), "{late_from}: {summary}");
    }
}

#[test]
fn a_promise_that_the_configuration_itself_breaks_names_no_stage() {
    let outcome = completed(Outcome::Failed(Reason::FiredLate, evidence(GOOD)));
    assert!(outcome.evidence().summary.contains("the configuration itself takes so long"), "{outcome:?}");
}

#[test]
fn observers_that_contradict_each_other_are_found() {
    let mut times = GOOD;
    times[2].1 = 11_000;
    let outcome = completed(Outcome::Passed(evidence(times)));
    let found = contradiction(&outcome.evidence().stages).map(|(a, b)| (a.name.clone(), b.name.clone()));
    assert_eq!(found, Some(("firing".to_owned(), "alertmanager".to_owned())));
}

#[test]
fn an_expression_that_was_true_twice_is_told_apart() {
    let twice = Truth::new(length(25), [100, 125, 150, 400, 425].map(ms).to_vec());
    assert_eq!(twice.spans, [(ms(100), ms(150)), (ms(400), ms(425))]);
    assert_eq!(twice.moved(ms(430)), Some(ms(400)));
    assert_eq!(twice.moved(ms(300)), None);
    assert_eq!(twice.moved_back(ms(300)), Some(ms(150)));
}

#[test]
fn without_raw_samples_the_judged_stages_stay() {
    let with = Circumstances { window: WINDOW, reverting: ms(16_000), bound: None, truth: None, time: TIME };
    let outcome = Outcome::Passed(evidence(GOOD));
    assert_eq!(complete(outcome.clone(), with), outcome);
}
