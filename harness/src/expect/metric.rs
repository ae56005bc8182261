//! Judges `that.metric` from a query's answers on the scrape grid. Empty and NaN never decide silently (T05, T06, T13).

use std::time::Duration;

use super::look::{Coverage, ScaledTime, show_labels};
use super::{Labels, Metric, Mode, Quantifier, Window};
use crate::clock::Stamp;
use crate::condition::{Condition, Operator};
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
        let wrong = point.series.iter().filter(|(_, value)| spec.value.holds(*value) == (mode == Mode::Never));
        let named = |(labels, value): &(Labels, f64)| match labels.is_empty() {
            true => format!("{value:.4}"),
            false => format!("{} {value:.4}", show_labels(labels)),
        };
        let value = wrong.map(named).take(SHOWN).collect::<Vec<_>>().join(", ");
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

/// What a counter's series grew by in the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// The series.
    pub labels: Labels,
    /// Counted from raw samples.
    pub count: f64,
    /// Whether all of it was seen.
    pub end: End,
}

/// Whether all of a growth was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was.
    Exactly,
    /// A restart took with it what was counted since the last scrape (T09).
    AtLeast,
}

/// How an interval of counts stands to a condition: decided only when every count in it agrees.
fn decided(condition: &Condition, growth: &Growth) -> Option<bool> {
    let low = condition.holds(growth.count);
    match growth.end {
        End::Exactly => growth.count.is_finite().then_some(low),
        End::AtLeast => match condition.operator {
            Operator::Greater | Operator::GreaterOrEqual if low => Some(true),
            Operator::Less | Operator::LessOrEqual if !low => Some(false),
            _ => None,
        },
    }
}

/// Judges an exact count; each series is compared by itself.
#[must_use]
pub fn judge_growth(spec: &Metric, mode: Mode, window: Window, growths: &[Growth], coverage: &Coverage) -> Outcome {
    let rows = growths.iter().take(SHOWN).map(|it| {
        let end = if it.end == End::AtLeast { "at least " } else { "" };
        vec![show_labels(&it.labels), format!("{end}{}", it.count)]
    });
    let evidence = Evidence::default()
        .with_code("query", spec.written.clone())
        .with("expected", spec.value.to_string())
        .with_table("growth in the window, from raw samples", &["series", "count"], rows.collect());
    let open = |reason, summary: String| Outcome::Inconclusive(reason, Evidence { summary, ..evidence.clone() });
    if growths.is_empty() {
        return open(Reason::NoData, "the selector matches no series".to_owned());
    }
    if let Some(gap) = coverage.gap(window.start, window.end) {
        return open(Reason::NoCoverage, gap);
    }
    let stands: Vec<Option<bool>> = growths.iter().map(|it| decided(&spec.value, it)).collect();
    let holds = match spec.quantifier {
        Quantifier::All if stands.contains(&Some(false)) => Some(false),
        Quantifier::All => stands.iter().copied().collect::<Option<Vec<bool>>>().map(|_| true),
        Quantifier::Any if stands.contains(&Some(true)) => Some(true),
        Quantifier::Any => stands.iter().copied().collect::<Option<Vec<bool>>>().map(|_| false),
    };
    let wanted = mode != Mode::Never;
    let Some(holds) = holds else {
        let summary = format!("a restart in the window leaves counts open, so that {} cannot be decided", spec.value);
        return open(Reason::NoCoverage, summary);
    };
    let telling = growths.iter().zip(&stands).find(|(_, stand)| **stand == Some(holds)).map_or(&growths[0], |it| it.0);
    let summary = format!("{} grew by {} ({})", show_labels(&telling.labels), telling.count, spec.value);
    if holds == wanted {
        Outcome::Passed(Evidence { summary, ..evidence })
    } else {
        Outcome::Failed(Reason::WrongValue, Evidence { summary, ..evidence })
    }
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
    by_label_set(spec, &inside, evidence.with_table("answers", &["into the window", "series"], rows))
}

/// How each label set stood by itself; nothing to add for one.
fn by_label_set(spec: &Metric, points: &[&Point], evidence: Evidence) -> Evidence {
    let mut sets: std::collections::BTreeMap<&Labels, Vec<f64>> = std::collections::BTreeMap::new();
    for (labels, value) in points.iter().flat_map(|point| &point.series) {
        sets.entry(labels).or_default().push(*value);
    }
    if sets.len() < 2 {
        return evidence;
    }
    let rows = sets.into_iter().take(SHOWN * 4).map(|(labels, values)| {
        let held = values.iter().filter(|value| spec.value.holds(**value)).count();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shown = format!("{held} of {} (of {} evaluations)", values.len(), points.len());
        vec![show_labels(labels), shown, format!("{low}"), format!("{high}")]
    });
    evidence.with_table("by label set", &["series", "held", "lowest", "highest"], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::Reading;

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
            reading: Reading::Value,
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
            reading: Reading::Value,
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
            reading: Reading::Value,
            reach: Duration::ZERO,
        };
        let outcome = judge(&spec, Mode::Never, None, Window::plain(at(10), at(19)), &points, &coverage, TIME);
        assert!(matches!(outcome, Outcome::Inconclusive(Reason::NoCoverage, _)), "{outcome:?}");
    }

    fn grown(condition: &str, quantifier: Quantifier, counts: &[(f64, End)]) -> (bool, Option<Reason>) {
        let spec = Metric {
            query: "x_total".into(),
            written: "x_total".into(),
            value: Condition::parse(condition).unwrap(),
            quantifier,
            reading: Reading::Growth,
            reach: Duration::ZERO,
        };
        let growths: Vec<Growth> = counts
            .iter()
            .zip('a'..)
            .map(|((count, end), route)| Growth {
                labels: Labels::from([("route".to_owned(), route.to_string())]),
                count: *count,
                end: *end,
            })
            .collect();
        let coverage = Coverage::new(Duration::from_secs(1), (10..=20).map(at).collect());
        let outcome = judge_growth(&spec, Mode::Eventually, Window::plain(at(10), at(20)), &growths, &coverage);
        (matches!(outcome, Outcome::Inconclusive(..)), outcome.reason())
    }

    #[test]
    fn an_exact_count_is_exact_t07() {
        let one = |condition, count| grown(condition, Quantifier::All, &[(count, End::Exactly)]).1;
        assert_eq!((one("== 12", 12.0), one("== 12", 11.0)), (None, Some(Reason::WrongValue)));
        assert_eq!((one("> 11", 12.0), one("> 12", 12.0)), (None, Some(Reason::WrongValue)));
        assert_eq!(one("== 0", 0.0), None, "nothing happened, and that was counted");
    }

    #[test]
    fn each_series_is_compared_by_itself() {
        let two = [(5.0, End::Exactly), (0.0, End::Exactly)];
        assert_eq!(grown("> 0", Quantifier::All, &two).1, Some(Reason::WrongValue));
        assert_eq!(grown("> 0", Quantifier::Any, &two).1, None);
        assert_eq!(grown("> 9", Quantifier::Any, &two).1, Some(Reason::WrongValue));
    }

    #[test]
    fn a_restart_makes_a_count_an_interval_t09() {
        let lost = |condition| grown(condition, Quantifier::All, &[(10.0, End::AtLeast)]);
        assert_eq!(lost(">= 10"), (false, None), "at least ten is at least ten");
        assert_eq!(lost("> 10"), (true, Some(Reason::NoCoverage)), "it may have been eleven");
        assert_eq!(lost("== 10"), (true, Some(Reason::NoCoverage)));
        assert_eq!(lost("< 10"), (false, Some(Reason::WrongValue)), "it cannot have been fewer");
        assert_eq!(lost("< 11"), (true, Some(Reason::NoCoverage)));
    }

    #[test]
    fn no_series_and_no_scrapes_are_no_count() {
        assert_eq!(grown("== 0", Quantifier::All, &[]), (true, Some(Reason::NoData)));
    }

    #[test]
    fn label_sets_are_told_apart_in_the_evidence() {
        let of = |route: &str, value| (Labels::from([("route".to_owned(), route.to_owned())]), value);
        let points: Vec<Point> =
            (10..15).map(|n| Point { at: at(n), series: vec![of("/a", 1.0), of("/b", 3.0)] }).collect();
        let coverage = Coverage::new(Duration::from_secs(1), (10..15).map(at).collect());
        let spec = Metric {
            query: "x".into(),
            written: "x".into(),
            value: Condition::parse("< 2").unwrap(),
            quantifier: Quantifier::All,
            reading: Reading::Value,
            reach: Duration::ZERO,
        };
        let outcome = judge(&spec, Mode::Throughout, None, Window::plain(at(10), at(14)), &points, &coverage, TIME);
        let told = format!("{outcome:?}");
        assert!(outcome.evidence().summary.starts_with("{route=\"/b\"} 3.0000"), "only the one that breaks: {told}");
        assert!(told.contains("by label set") && told.contains("0 of 5 (of 5 evaluations)"), "{told}");
    }
}
