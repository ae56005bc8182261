//! Judges Grafana's own alert rules, for every scenario that looks at its dashboards: their data sources exist, their queries
//! answer, their receivers exist, and none of them would fire that nobody expects. Where Grafana does not run they are
//! evaluated here, from the same queries.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dashboard::board::Source;
use super::dashboard::{Shown, Trouble};
use super::look::ScaledTime;
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};

/// Implicit: Grafana's own rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Managed {
    /// The rules.
    pub rules: Vec<ManagedRule>,
    /// Data sources that exist.
    pub sources: Vec<Source>,
    /// Receivers that are named and do not exist.
    pub missing_receivers: Vec<String>,
    /// Alerts that may fire.
    pub known: Vec<String>,
}

/// An alert rule that Grafana evaluates; production time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManagedRule {
    /// Its title, which is also `alertname`.
    pub title: String,
    /// The letter of the expression that decides.
    pub condition: String,
    /// `for`.
    pub hold: Duration,
    /// How often it is evaluated.
    pub every: Duration,
    /// What no data means: `Alerting`, `NoData`, `OK` …
    pub no_data: String,
    /// What it asks data sources.
    pub questions: Vec<Question>,
    /// What it makes of the answers, by letter.
    pub conditions: BTreeMap<String, Condition>,
}

/// A query of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Its letter.
    pub id: String,
    /// The data source's uid.
    pub source: String,
    /// The query.
    pub text: String,
    /// How far it looks back.
    pub range: Duration,
}

/// A server-side expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Compares the last value.
    Threshold {
        /// The letter of its input.
        of: String,
        /// `gt`, `lt`, `within_range` …
        kind: String,
        /// The bounds.
        parameters: Vec<f64>,
    },
    /// Takes one value of its input; here every evaluation has only one.
    Reduce {
        /// The letter of its input.
        of: String,
    },
    /// Another kind, by its name.
    Unsupported(String),
}

/// What the questions of one rule were answered with, by letter: one point for each evaluation.
pub type Answers = BTreeMap<String, Result<Shown, Trouble>>;

/// Judges the rules; `answers` is by title.
#[must_use]
pub fn judge(spec: &Managed, way: &str, answers: &BTreeMap<String, Answers>, time: ScaledTime) -> Outcome {
    let mut rows = Vec::new();
    let mut wrong = None;
    let mut open = None;
    for rule in &spec.rules {
        let (state, problem) = of_rule(spec, rule, answers.get(&rule.title), time);
        rows.push(vec![rule.title.clone(), state]);
        match problem {
            Some(Problem::Wrong(reason, text)) => wrong = wrong.or(Some((reason, text))),
            Some(Problem::Open(reason, text)) => open = open.or(Some((reason, text))),
            None => {}
        }
    }
    let evidence = Evidence::default().with("asked", way).with_table("rules of Grafana", &["rule", "in the run"], rows);
    if let Some((reason, summary)) = wrong {
        return Outcome::Failed(reason, Evidence { summary, ..evidence });
    }
    if let Some(missing) = spec.missing_receivers.first() {
        let summary = format!("a route of Grafana names the contact point `{missing}`, which does not exist");
        return Outcome::Failed(Reason::WrongReceiver, Evidence { summary, ..evidence });
    }
    if let Some((reason, summary)) = open {
        return Outcome::Inconclusive(reason, Evidence { summary, ..evidence });
    }
    let summary = format!("{} rules of Grafana answer, and none fires unexpectedly", spec.rules.len());
    Outcome::Passed(Evidence { summary, ..evidence })
}

enum Problem {
    Wrong(Reason, String),
    Open(Reason, String),
}

fn of_rule(
    spec: &Managed,
    rule: &ManagedRule,
    answers: Option<&Answers>,
    time: ScaledTime,
) -> (String, Option<Problem>) {
    let empty = Answers::new();
    let answers = answers.unwrap_or(&empty);
    for question in &rule.questions {
        let place = format!("Grafana's rule {} query {}", rule.title, question.id);
        let problem = match answers.get(&question.id) {
            Some(Ok(_)) => continue,
            Some(Err(Trouble::NoSource(source))) => Problem::Wrong(
                Reason::RuleError,
                format!("{place} asks the data source `{source}`, which does not exist"),
            ),
            Some(Err(Trouble::Refused(why))) => {
                Problem::Wrong(Reason::RuleError, format!("{place} was refused: {why}"))
            }
            Some(Err(Trouble::Unanswered(why))) => Problem::Open(Reason::Unreachable, format!("{place}: {why}")),
            None => Problem::Open(Reason::NoCoverage, format!("{place} was never asked")),
        };
        return ("unusable".to_owned(), Some(problem));
    }
    let Some(states) = states(rule, answers) else {
        let kind = match rule.conditions.get(&rule.condition) {
            Some(Condition::Unsupported(kind)) => kind.as_str(),
            _ => "nothing that can be followed",
        };
        let text = format!("Grafana's rule {} decides by `{kind}`, which is not evaluated here", rule.title);
        return (text.clone(), Some(Problem::Open(Reason::NoCoverage, text)));
    };
    let Some(longest) = longest(&states) else { return ("never true".to_owned(), None) };
    // the time is real, the rule's is production time
    let stretch = longest.as_secs_f64() * time.scale;
    let shown = format!(
        "true for {}, fires after {}",
        time.length(longest),
        super::look::show_duration(rule.hold.as_secs_f64())
    );
    if stretch < rule.hold.as_secs_f64() || spec.known.contains(&rule.title) {
        return (shown, None);
    }
    let text = format!("Grafana's rule {} is {shown}, and nobody expects it", rule.title);
    (shown, Some(Problem::Wrong(Reason::UnexpectedAlert, text)))
}

/// Whether the rule is true at each evaluation; none when it decides by something that is not evaluated here.
fn states(rule: &ManagedRule, answers: &Answers) -> Option<Vec<(Stamp, bool)>> {
    let mut times: Vec<Stamp> =
        answers.values().filter_map(|it| it.as_ref().ok()).flat_map(|it| it.times.iter().copied()).collect();
    times.sort_unstable();
    times.dedup();
    times.into_iter().map(|at| Some((at, is_true(rule, answers, &rule.condition, at)?))).collect()
}

fn is_true(rule: &ManagedRule, answers: &Answers, id: &str, at: Stamp) -> Option<bool> {
    match rule.conditions.get(id)? {
        Condition::Threshold { of, kind, parameters } => {
            let values = values(rule, answers, of, at)?;
            if values.is_empty() {
                return Some(rule.no_data == "Alerting");
            }
            values.into_iter().map(|value| compare(kind, value, parameters)).try_fold(false, |any, it| Some(any | it?))
        }
        Condition::Reduce { of } => Some(values(rule, answers, of, at)?.iter().any(|value| *value != 0.0)),
        Condition::Unsupported(_) => None,
    }
}

fn values(rule: &ManagedRule, answers: &Answers, id: &str, at: Stamp) -> Option<Vec<f64>> {
    if let Some(Condition::Reduce { of }) = rule.conditions.get(id) {
        return values(rule, answers, of, at);
    }
    let shown = answers.get(id)?.as_ref().ok()?;
    let points = shown.series.iter().flat_map(|(_, points)| points);
    Some(points.filter(|(when, value)| *when == at && !value.is_nan()).map(|(_, value)| *value).collect())
}

fn compare(kind: &str, value: f64, bounds: &[f64]) -> Option<bool> {
    let first = *bounds.first()?;
    let second = bounds.get(1).copied();
    match kind {
        "gt" => Some(value > first),
        "lt" => Some(value < first),
        "gte" => Some(value >= first),
        "lte" => Some(value <= first),
        "within_range" => Some(value > first && value < second?),
        "outside_range" => Some(value < first || value > second?),
        _ => None,
    }
}

/// The longest stretch of true evaluations; none when there is none.
fn longest(states: &[(Stamp, bool)]) -> Option<Duration> {
    let mut began = None;
    let mut longest = None;
    for (at, state) in states {
        began = if *state { began.or(Some(*at)) } else { None };
        longest = longest.max(began.map(|began| at.since(began)));
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::Labels;

    const TIME: ScaledTime = ScaledTime { scale: 60.0 };

    fn rule() -> ManagedRule {
        let question =
            Question { id: "A".into(), source: "p".into(), text: "count(up)".into(), range: Duration::from_secs(600) };
        let below = Condition::Threshold { of: "A".into(), kind: "lt".into(), parameters: vec![1.0] };
        ManagedRule {
            title: "Silent".into(),
            condition: "B".into(),
            hold: Duration::from_secs(300),
            every: Duration::from_secs(60),
            no_data: "Alerting".into(),
            questions: vec![question],
            conditions: BTreeMap::from([("B".into(), below)]),
        }
    }

    fn spec(rule: ManagedRule) -> Managed {
        Managed { rules: vec![rule], sources: Vec::new(), missing_receivers: Vec::new(), known: Vec::new() }
    }

    /// One evaluation a real second.
    fn answers(values: &[Option<f64>]) -> Result<Shown, Trouble> {
        let times: Vec<Stamp> = (0..).map(|second| Stamp(second * 1_000_000)).take(values.len()).collect();
        let points = times.iter().copied().zip(values).filter_map(|(at, value)| Some((at, (*value)?))).collect();
        Ok(Shown { times, series: vec![(Labels::new(), points)] })
    }

    fn ends(spec: &Managed, answer: Result<Shown, Trouble>) -> Outcome {
        let answers = BTreeMap::from([("Silent".to_owned(), Answers::from([("A".to_owned(), answer)]))]);
        judge(spec, "directly", &answers, TIME)
    }

    fn reason(values: &[Option<f64>]) -> Option<Reason> {
        ends(&spec(rule()), answers(values)).reason()
    }

    #[test]
    fn a_quiet_rule_passes_and_one_true_for_its_whole_for_does_not() {
        assert_eq!(reason(&[Some(1.0); 20]), None);
        let low = |count| [vec![Some(1.0)], vec![Some(0.0); count], vec![Some(1.0)]].concat();
        assert_eq!(reason(&low(5)), None, "four seconds are four minutes, and `for` is five");
        assert_eq!(reason(&low(6)), Some(Reason::UnexpectedAlert), "one evaluation more");
    }

    #[test]
    fn one_good_evaluation_begins_for_again() {
        let low = vec![Some(0.0); 5];
        assert_eq!(reason(&[low.clone(), vec![Some(1.0)], low].concat()), None);
    }

    #[test]
    fn no_data_means_what_the_rule_says() {
        assert_eq!(reason(&[None; 10]), Some(Reason::UnexpectedAlert));
        let calm = ManagedRule { no_data: "OK".into(), ..rule() };
        assert_eq!(ends(&spec(calm), answers(&[None; 10])).reason(), None);
        assert_eq!(reason(&[Some(f64::NAN); 10]), Some(Reason::UnexpectedAlert), "NaN is no number");
    }

    #[test]
    fn an_expected_alert_may_fire() {
        let known = Managed { known: vec!["Silent".into()], ..spec(rule()) };
        assert_eq!(ends(&known, answers(&[Some(0.0); 10])).reason(), None);
    }

    #[test]
    fn sources_queries_and_receivers_must_exist() {
        let ends = |trouble| ends(&spec(rule()), Err(trouble));
        assert!(matches!(ends(Trouble::NoSource("x".into())), Outcome::Failed(Reason::RuleError, _)));
        assert!(matches!(ends(Trouble::Refused("x".into())), Outcome::Failed(Reason::RuleError, _)));
        assert!(matches!(ends(Trouble::Unanswered("x".into())), Outcome::Inconclusive(Reason::Unreachable, _)));
        let lost = Managed { missing_receivers: vec!["ops".into()], ..spec(rule()) };
        let outcome = judge(&lost, "directly", &BTreeMap::new(), TIME);
        assert!(matches!(outcome, Outcome::Failed(Reason::WrongReceiver, _)), "{outcome:?}");
    }

    #[test]
    fn what_cannot_be_followed_stays_open() {
        let mut odd = rule();
        odd.conditions.insert("B".into(), Condition::Unsupported("math".into()));
        let outcome = ends(&spec(odd), answers(&[Some(1.0); 10]));
        assert!(matches!(outcome, Outcome::Inconclusive(Reason::NoCoverage, _)), "{outcome:?}");
        let silent = judge(&spec(rule()), "directly", &BTreeMap::new(), TIME);
        assert!(matches!(silent, Outcome::Inconclusive(Reason::NoCoverage, _)), "{silent:?}");
    }

    #[test]
    fn comparisons_are_grafanas() {
        for (kind, bounds, yes, no) in [
            ("gt", vec![1.0], 1.1, 1.0),
            ("gte", vec![1.0], 1.0, 0.9),
            ("lt", vec![1.0], 0.9, 1.0),
            ("lte", vec![1.0], 1.0, 1.1),
            ("within_range", vec![1.0, 2.0], 1.5, 2.0),
            ("outside_range", vec![1.0, 2.0], 2.5, 1.0),
        ] {
            assert_eq!((compare(kind, yes, &bounds), compare(kind, no, &bounds)), (Some(true), Some(false)), "{kind}");
        }
        assert_eq!(compare("like", 1.0, &[1.0]), None);
    }

    #[test]
    fn a_threshold_on_a_reduced_query_is_followed() {
        let mut reduced = rule();
        reduced.conditions.insert("R".into(), Condition::Reduce { of: "A".into() });
        reduced
            .conditions
            .insert("B".into(), Condition::Threshold { of: "R".into(), kind: "lt".into(), parameters: vec![1.0] });
        assert_eq!(ends(&spec(reduced), answers(&[Some(0.0); 10])).reason(), Some(Reason::UnexpectedAlert));
    }
}
