//! Judges `that.metric` from a query's answers on the scrape grid. Empty and NaN never decide silently (T05, T06, T13).

use std::time::Duration;

use super::look::{Coverage, ScaledTime, show_labels};
use super::{Labels, Metric, Mode, Quantifier, Window};
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};

/// A query's answer at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The evaluation time.
    pub at: Stamp,
    /// The vector; a scalar is one series without labels.
    pub series: Vec<(Labels, f64)>,
}

/// How a point stands to a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Empty,
    NotANumber,
    Holds,
    Breaks,
}

/// Judges a metric expectation. `points` are in order; `coverage` proves that Prometheus scraped all the time.
#[must_use]
pub fn judge(
    spec: &Metric,
    mode: Mode,
    within: Option<Duration>,
    window: Window,
    points: &[Point],
    coverage: &Coverage,
    time: ScaledTime,
) -> Outcome {
    let evidence = describe(spec, window, points, time);
    match mode {
        Mode::Eventually => judge_eventually(spec, within, window, points, coverage, evidence, time),
        Mode::Throughout | Mode::Never => judge_all(spec, mode, window, points, coverage, evidence, time),
    }
}

fn stand(spec: &Metric, point: &Point) -> Stand {
    let numbers: Vec<f64> = point.series.iter().map(|(_, value)| *value).collect();
    let holds = |value: &f64| spec.value.holds(*value);
    if numbers.is_empty() {
        return Stand::Empty;
    }
    match spec.quantifier {
        Quantifier::Any if numbers.iter().any(holds) => Stand::Holds,
        Quantifier::All if numbers.iter().all(holds) => Stand::Holds,
        _ if numbers.iter().all(|value| value.is_nan()) => Stand::NotANumber,
        Quantifier::All if numbers.iter().filter(|value| !value.is_nan()).all(holds) => Stand::NotANumber,
        _ => Stand::Breaks,
    }
}

fn judge_eventually(
    spec: &Metric,
    within: Option<Duration>,
    window: Window,
    points: &[Point],
    coverage: &Coverage,
    evidence: Evidence,
    time: ScaledTime,
) -> Outcome {
    let deadline = within.map_or(window.end, |within| (window.effective + within).min(window.end));
    let seen: Vec<&Point> = points.iter().filter(|point| point.at >= window.start && point.at <= deadline).collect();
    if let Some(point) = seen.iter().find(|point| stand(spec, point) == Stand::Holds) {
        let value = point.series.first().map_or(f64::NAN, |(_, value)| *value);
        let summary = format!("{value:.4} {} after {}", spec.value, time.from(window.effective, point.at));
        return Outcome::Passed(Evidence { summary, ..evidence });
    }
    if let Some(gap) = coverage.gap(window.start, deadline) {
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary: gap, ..evidence });
    }
    let stands: Vec<Stand> = seen.iter().map(|point| stand(spec, point)).collect();
    if let Some(worst) = undecided(&stands) {
        return Outcome::Inconclusive(worst.0, Evidence { summary: worst.1.to_owned(), ..evidence });
    }
    let last = seen.iter().rev().find_map(|point| point.series.first()).map_or(f64::NAN, |(_, value)| *value);
    let summary = format!("never {} in {} (last {last:.4})", spec.value, time.length(deadline.since(window.effective)));
    Outcome::Failed(Reason::WrongValue, Evidence { summary, ..evidence })
}

/// When not one point says anything.
fn undecided(stands: &[Stand]) -> Option<(Reason, &'static str)> {
    if stands.iter().all(|stand| *stand == Stand::Empty) {
        return Some((Reason::NoData, "the query answered with no series at any time"));
    }
    let silent = stands.iter().all(|stand| matches!(stand, Stand::Empty | Stand::NotANumber));
    silent.then_some((Reason::NotANumber, "the query answered with NaN only"))
}

fn judge_all(
    spec: &Metric,
    mode: Mode,
    window: Window,
    points: &[Point],
    coverage: &Coverage,
    evidence: Evidence,
    time: ScaledTime,
) -> Outcome {
    let from = window.start + spec.reach;
    let seen: Vec<&Point> = points.iter().filter(|point| point.at >= from && point.at <= window.end).collect();
    let forbidden = if mode == Mode::Never { Stand::Holds } else { Stand::Breaks };
    if let Some(point) = seen.iter().find(|point| stand(spec, point) == forbidden) {
        let value = point.series.iter().map(|(_, value)| format!("{value:.4}")).collect::<Vec<_>>().join(", ");
        let must = if mode == Mode::Never { "must never be" } else { "must always be" };
        let summary = format!("{value} {} into the window, {must} {}", time.from(window.start, point.at), spec.value);
        return Outcome::Failed(Reason::WrongValue, Evidence { summary, ..evidence });
    }
    if seen.len() < 3 {
        let summary = format!("only {} evaluations fit between the query's reach and the window's end", seen.len());
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
    }
    if let Some(gap) = coverage.gap(window.start, window.end) {
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary: gap, ..evidence });
    }
    let stands: Vec<Stand> = seen.iter().map(|point| stand(spec, point)).collect();
    let holes = stands.iter().filter(|stand| matches!(stand, Stand::Empty | Stand::NotANumber)).count();
    if holes > 0 {
        let reason = if stands.contains(&Stand::Empty) { Reason::NoData } else { Reason::NotANumber };
        let summary = format!("{holes} of {} evaluations had no number", stands.len());
        return Outcome::Inconclusive(reason, Evidence { summary, ..evidence });
    }
    let word = if mode == Mode::Never { "never" } else { "always" };
    let summary = format!("{word} {} at {} evaluations", spec.value, seen.len());
    Outcome::Passed(Evidence { summary, ..evidence })
}

/// Shows at most this many points and series in a report.
const SHOWN: usize = 12;

fn describe(spec: &Metric, window: Window, points: &[Point], time: ScaledTime) -> Evidence {
    let evidence =
        Evidence::default().with_code("query", spec.written.clone()).with("expected", spec.value.to_string());
    let evidence =
        if spec.query == spec.written { evidence } else { evidence.with_code("asked as", spec.query.clone()) };
    let inside: Vec<&Point> =
        points.iter().filter(|point| point.at >= window.start && point.at <= window.end).collect();
    let step = inside.len().div_ceil(SHOWN).max(1);
    let rows: Vec<Vec<String>> = inside
        .iter()
        .step_by(step)
        .map(|point| {
            let values: Vec<String> =
                point
                    .series
                    .iter()
                    .take(SHOWN)
                    .map(|(labels, value)| {
                        if labels.is_empty() { format!("{value}") } else { format!("{} {value}", show_labels(labels)) }
                    })
                    .collect();
            let shown = if values.is_empty() { "no series".to_owned() } else { values.join(" · ") };
            vec![time.from(window.start, point.at), shown]
        })
        .collect();
    evidence.with_table("answers", &["into the window", "series"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Condition;

    const TIME: ScaledTime = ScaledTime { scale: 1.0 };

    const fn at(seconds: i64) -> Stamp {
        Stamp(seconds * 1_000_000)
    }

    fn outcome(mode: Mode, condition: &str, values: &[Option<f64>]) -> Outcome {
        let window = Window::plain(at(10), at(10 + i64::try_from(values.len()).unwrap() - 1));
        let points: Vec<Point> = values
            .iter()
            .zip(10..)
            .map(|(value, second)| Point {
                at: at(second),
                series: value.iter().map(|value| (Labels::new(), *value)).collect(),
            })
            .collect();
        let coverage = Coverage::new(Duration::from_secs(1), points.iter().map(|point| point.at).collect());
        let spec = Metric {
            query: "x".into(),
            written: "x".into(),
            value: Condition::parse(condition).unwrap(),
            quantifier: Quantifier::All,
            reach: Duration::from_secs(1),
        };
        judge(&spec, mode, None, window, &points, &coverage, TIME)
    }

    fn says(mode: Mode, condition: &str, values: &[Option<f64>], reason: Option<Reason>) {
        let outcome = outcome(mode, condition, values);
        assert_eq!(outcome.reason(), reason, "{mode:?} {condition} {values:?}: {outcome:?}");
    }

    #[test]
    fn eventually_needs_one_time_at_which_it_holds() {
        says(Mode::Eventually, "> 0", &[Some(0.0), Some(0.0), Some(1.0), Some(0.0)], None);
        says(Mode::Eventually, "> 0", &[Some(0.0), Some(0.0), Some(0.0)], Some(Reason::WrongValue));
    }

    #[test]
    fn no_series_and_nan_never_decide_t05_t06_t13_b64() {
        for mode in [Mode::Eventually, Mode::Throughout, Mode::Never] {
            says(mode, "< 1", &[None, None, None, None], Some(Reason::NoData));
            says(mode, "< 1", &[Some(f64::NAN); 4], Some(Reason::NotANumber));
        }
        says(Mode::Throughout, "< 1", &[Some(0.0), Some(0.0), None, Some(0.0)], Some(Reason::NoData));
        says(Mode::Never, "> 1", &[Some(0.0), Some(0.0), Some(f64::NAN), Some(0.0)], Some(Reason::NotANumber));
    }

    #[test]
    fn throughout_fails_at_the_first_break_and_skips_what_reaches_before_the_window_t03() {
        says(Mode::Throughout, "< 1", &[Some(0.0); 4], None);
        says(Mode::Throughout, "< 1", &[Some(0.0), Some(0.0), Some(2.0), Some(0.0)], Some(Reason::WrongValue));
        says(Mode::Throughout, "< 1", &[Some(2.0), Some(0.0), Some(0.0), Some(0.0)], None);
    }

    #[test]
    fn never_fails_when_it_holds_once() {
        says(Mode::Never, "> 1", &[Some(0.0), Some(0.0), Some(2.0), Some(0.0)], Some(Reason::WrongValue));
        says(Mode::Never, "> 1", &[Some(0.0); 4], None);
        says(Mode::Never, "> 1", &[Some(0.0); 2], Some(Reason::NoCoverage));
    }

    #[test]
    fn infinity_is_compared_as_such_b28() {
        says(Mode::Throughout, "> 1", &[Some(f64::INFINITY); 4], None);
        says(Mode::Throughout, "< 1", &[Some(f64::NEG_INFINITY); 4], None);
    }

    #[test]
    fn all_series_must_hold_unless_any_is_asked_for() {
        let point = Point { at: at(12), series: vec![(Labels::new(), 1.0), (Labels::new(), 0.0)] };
        let spec = |quantifier| Metric {
            query: "x".into(),
            written: "x".into(),
            value: Condition::parse("> 0").unwrap(),
            quantifier,
            reach: Duration::ZERO,
        };
        assert_eq!(stand(&spec(Quantifier::All), &point), Stand::Breaks);
        assert_eq!(stand(&spec(Quantifier::Any), &point), Stand::Holds);
    }

    #[test]
    fn a_scrape_gap_makes_a_negative_inconclusive_t02() {
        let points: Vec<Point> = (10..20).map(|n| Point { at: at(n), series: vec![(Labels::new(), 0.0)] }).collect();
        let coverage = Coverage::new(Duration::from_secs(1), [10, 11, 12, 17, 18, 19].map(at).to_vec());
        let spec = Metric {
            query: "x".into(),
            written: "x".into(),
            value: Condition::parse("> 0").unwrap(),
            quantifier: Quantifier::All,
            reach: Duration::ZERO,
        };
        let outcome = judge(&spec, Mode::Never, None, Window::plain(at(10), at(19)), &points, &coverage, TIME);
        assert!(matches!(outcome, Outcome::Inconclusive(Reason::NoCoverage, _)), "{outcome:?}");
    }
}
