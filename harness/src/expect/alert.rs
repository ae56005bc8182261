//! Judges `that.alert` from the rule's whole history: promised times first, then whether Prometheus did what its
//! configuration says. Fed with histories that `telemetry::history` gathered.

use super::{Alert, AlertBound, Labels, Mode, WantedState, Window};
use crate::clock::Stamp;
use crate::expect::look::{Coverage, ScaledTime};
use crate::outcome::{Evidence, Outcome, Reason, Stage};

/// The state of an alert at an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No such series.
    Inactive,
    /// True, but not for the whole `for`.
    Pending,
    /// Sent to Alertmanager.
    Firing,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The evaluation at which it happened.
    pub evaluated: Stamp,
    /// The new state.
    pub state: State,
    /// The expression's value then.
    pub value: Option<f64>,
}

/// One alert (one label set) of a rule and its changes, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its labels, with `alertname`.
    pub labels: Labels,
    /// Its annotations as last rendered.
    pub annotations: Labels,
    /// What happened to it.
    pub changes: Vec<Change>,
}

/// Everything known of the rules of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// How many rules of this name Prometheus has loaded.
    pub rules: usize,
    /// Its alerts.
    pub instances: Vec<Instance>,
    /// When it was evaluated, and when that could not be seen.
    pub coverage: Coverage,
    /// Evaluation errors: when and what Prometheus said.
    pub errors: Vec<(Stamp, String)>,
}

impl Instance {
    /// The state in force at `at`.
    #[must_use]
    pub fn state_at(&self, at: Stamp) -> State {
        self.changes.iter().rev().find(|change| change.evaluated <= at).map_or(State::Inactive, |change| change.state)
    }

    fn first(&self, state: State, from: Stamp, until: Stamp) -> Option<Stamp> {
        self.changes
            .iter()
            .find(|change| change.state == state && change.evaluated >= from && change.evaluated <= until)
            .map(|change| change.evaluated)
    }

    fn pending_before(&self, fired: Stamp) -> Option<Stamp> {
        self.changes
            .iter()
            .rev()
            .find(|change| change.evaluated <= fired && change.state == State::Pending)
            .map(|change| change.evaluated)
    }

    fn ever(&self, state: State, from: Stamp, until: Stamp) -> bool {
        self.state_at(from) >= state
            || self
                .changes
                .iter()
                .any(|change| change.state >= state && change.evaluated >= from && change.evaluated <= until)
    }

    fn carries(&self, labels: &Labels) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
    }
}

/// Judges an alert expectation.
#[must_use]
pub fn judge(spec: &Alert, mode: Mode, window: Window, history: &History, time: ScaledTime) -> Outcome {
    let evidence = describe(spec, window, history, time);
    if history.rules == 0 {
        let summary = format!("Prometheus has loaded no alerting rule named {}", spec.name);
        return Outcome::Failed(Reason::RuleNotLoaded, Evidence { summary, ..evidence });
    }
    if let Some((at, error)) = history.errors.iter().find(|(at, _)| *at >= window.start && *at <= window.observed_until)
    {
        let summary = format!("the rule was in error {}: {error}", time.from(window.start, *at));
        return Outcome::Inconclusive(Reason::RuleError, Evidence { summary, ..evidence });
    }
    if let Some(at) = history.coverage.restarted(window.start, window.observed_until) {
        let summary =
            format!("Prometheus restarted {} into the window and forgot what was pending", time.from(window.start, at));
        return Outcome::Inconclusive(Reason::PromRestart, Evidence { summary, ..evidence });
    }
    if mode == Mode::Never || spec.state == WantedState::Inactive {
        return judge_silence(spec, window, history, evidence, time);
    }
    judge_firing(spec, window, history, evidence, time)
}

fn judge_silence(spec: &Alert, window: Window, history: &History, evidence: Evidence, time: ScaledTime) -> Outcome {
    let forbidden = if spec.state == WantedState::Firing { State::Firing } else { State::Pending };
    let loud = history
        .instances
        .iter()
        .find(|instance| instance.carries(&spec.labels) && instance.ever(forbidden, window.start, window.end));
    if let Some(instance) = loud {
        let at = instance.first(forbidden, window.start, window.end).unwrap_or(window.start);
        let summary = format!("{} fired {}, and it must not", spec.name, time.from(window.start, at));
        return Outcome::Failed(Reason::UnexpectedAlert, Evidence { summary, ..evidence });
    }
    match history.coverage.gap(window.start, window.end) {
        Some(gap) => {
            let summary = format!("nothing fired, but {gap}");
            Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence })
        }
        None => {
            let seen = history.coverage.count(window.start, window.end);
            Outcome::Passed(Evidence { summary: format!("silent at all of {seen} evaluations"), ..evidence })
        }
    }
}

fn judge_firing(spec: &Alert, window: Window, history: &History, evidence: Evidence, time: ScaledTime) -> Outcome {
    let wanted = if spec.state == WantedState::Pending { State::Pending } else { State::Firing };
    if let Some(early) = history.instances.iter().find(|instance| instance.state_at(window.start) > State::Inactive) {
        let summary = format!(
            "{} was already {:?} before the window began, so nothing it does in it means anything",
            spec.name,
            early.state_at(window.start)
        )
        .to_lowercase();
        return Outcome::Failed(Reason::FiringAtBaseline, Evidence { summary, ..evidence });
    }
    let reached = |instance: &&Instance| instance.first(wanted, window.start, window.observed_until).is_some();
    let fired: Vec<&Instance> = history.instances.iter().filter(reached).collect();
    let Some(instance) = fired.iter().find(|instance| instance.carries(&spec.labels)) else {
        return match fired.first() {
            Some(other) => wrong_labels(spec, other, evidence),
            None => never(spec, wanted, window, history, evidence, time),
        };
    };
    judge_instance(spec, wanted, window, instance, evidence, time)
}

fn wrong_labels(spec: &Alert, other: &Instance, evidence: Evidence) -> Outcome {
    let diff: Vec<String> = spec
        .labels
        .iter()
        .filter(|(name, value)| other.labels.get(*name) != Some(value))
        .map(|(name, value)| match other.labels.get(name) {
            Some(actual) => format!("{name}: expected \"{value}\", is \"{actual}\""),
            None => format!("{name}: expected \"{value}\", is missing"),
        })
        .collect();
    let summary = format!("{} fired with other labels: {}", spec.name, diff.join("; "));
    Outcome::Failed(Reason::WrongLabels, Evidence { summary, ..evidence })
}

fn never(
    spec: &Alert,
    wanted: State,
    window: Window,
    history: &History,
    evidence: Evidence,
    time: ScaledTime,
) -> Outcome {
    if let Some(gap) = history.coverage.gap(window.start, window.observed_until) {
        let summary = format!("{} was not seen firing, but {gap}", spec.name);
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
    }
    let seen = history.coverage.count(window.start, window.observed_until);
    let pending = history.instances.iter().any(|it| it.ever(State::Pending, window.start, window.observed_until));
    let last = match (pending, wanted) {
        (true, State::Firing) => "it was pending, and never long enough",
        _ => "its expression was never true",
    };
    let watched = time.length(window.observed_until.since(window.start));
    let summary = format!("{} did not fire in {watched} and {seen} evaluations: {last}", spec.name);
    Outcome::Failed(Reason::NeverFired, Evidence { summary, ..evidence })
}

fn judge_instance(
    spec: &Alert,
    wanted: State,
    window: Window,
    instance: &Instance,
    evidence: Evidence,
    time: ScaledTime,
) -> Outcome {
    let fired = instance.first(wanted, window.start, window.observed_until).unwrap_or(window.observed_until);
    let resolved = instance.first(State::Inactive, fired, Stamp(i64::MAX));
    let evidence = Evidence { stages: stages(spec.bound.as_ref(), window, instance, fired, resolved), ..evidence };
    if let Some((reason, summary)) = broken_text(spec, instance) {
        return Outcome::Failed(reason, Evidence { summary, ..evidence });
    }
    if let Some((reason, summary)) = broken_promise(spec, window, fired, resolved, time) {
        return Outcome::Failed(reason, Evidence { summary, ..evidence });
    }
    if let Some(summary) =
        spec.bound.as_ref().and_then(|bound| outside_bound(bound, wanted, window, instance, fired, time))
    {
        return Outcome::Inconclusive(Reason::Timing, Evidence { summary, ..evidence });
    }
    let end = resolved.map_or_else(String::new, |at| format!(", resolved {}", time.around_end(window.end, at)));
    let summary = format!("fired {} after the fault{end}", time.from(window.effective, fired));
    Outcome::Passed(Evidence { summary, ..evidence })
}

fn broken_text(spec: &Alert, instance: &Instance) -> Option<(Reason, String)> {
    let texts = instance.annotations.iter().chain(&instance.labels);
    if let Some((name, text)) = texts.into_iter().find(|(_, text)| text.contains("<error expanding template")) {
        return Some((Reason::AnnotationError, format!("{name} could not be rendered: {text}")));
    }
    spec.annotations
        .iter()
        .find(|(name, wanted)| !instance.annotations.get(*name).is_some_and(|text| text.contains(wanted.as_str())))
        .map(|(name, wanted)| {
            let actual = instance.annotations.get(name).map_or("missing", String::as_str);
            (Reason::WrongLabels, format!("annotation {name} does not contain \"{wanted}\": {actual}"))
        })
}

fn broken_promise(
    spec: &Alert,
    window: Window,
    fired: Stamp,
    resolved: Option<Stamp>,
    time: ScaledTime,
) -> Option<(Reason, String)> {
    let after = fired.since(window.start);
    if let Some(promise) = spec.fires_after.filter(|promise| after < *promise) {
        let summary =
            format!("fired {} after the inject call, promised not before {}", time.length(after), time.length(promise));
        return Some((Reason::FiredEarly, summary));
    }
    let late = fired.since(window.effective);
    if let Some(promise) = spec.fires_within.filter(|promise| late > *promise) {
        let summary = format!("fired {} after the fault, promised within {}", time.length(late), time.length(promise));
        return Some((Reason::FiredLate, summary));
    }
    let promise = spec.resolves_within?;
    match resolved {
        None => {
            let summary =
                format!("still firing at the end of the run; promised to resolve within {}", time.length(promise));
            Some((Reason::NeverResolved, summary))
        }
        Some(at) if at.since(window.end) > promise => {
            let summary = format!(
                "resolved {} after the fault's end, promised within {}",
                time.length(at.since(window.end)),
                time.length(promise)
            );
            Some((Reason::ResolvedLate, summary))
        }
        Some(_) => None,
    }
}

/// Whether Prometheus left its own configuration: `for` is exact to one evaluation, firing lies between floor and ceiling.
fn outside_bound(
    bound: &AlertBound,
    wanted: State,
    window: Window,
    instance: &Instance,
    fired: Stamp,
    time: ScaledTime,
) -> Option<String> {
    if wanted != State::Firing {
        return None;
    }
    if let Some(pending) = instance.pending_before(fired).filter(|pending| *pending >= window.start) {
        let held = fired.since(pending);
        if held.abs_diff(bound.pending_for) > bound.evaluation {
            return Some(format!(
                "pending for {}, where `for` on the evaluation grid is {}",
                time.length(held),
                time.length(bound.pending_for)
            ));
        }
    }
    let after = fired.since(window.start);
    if after < bound.firing.floor {
        return Some(format!(
            "fired {} after the inject call; the configuration allows {} at the earliest",
            time.length(after),
            time.length(bound.firing.floor)
        ));
    }
    let late = fired.since(window.effective);
    (late > bound.firing.ceiling).then(|| {
        format!(
            "fired {} after the fault; the configuration allows {} at the latest",
            time.length(late),
            time.length(bound.firing.ceiling)
        )
    })
}

/// The stages the rule itself goes through.
pub(super) fn stages(
    bound: Option<&AlertBound>,
    window: Window,
    instance: &Instance,
    fired: Stamp,
    resolved: Option<Stamp>,
) -> Vec<Stage> {
    let stage = |name: &str, observed, floor, ceiling| Stage { name: name.to_owned(), observed, floor, ceiling };
    let pending = instance.pending_before(fired).or(Some(fired)).filter(|at| *at >= window.start);
    vec![
        stage(
            "pending",
            pending,
            bound.map(|bound| window.start + bound.firing.floor.saturating_sub(bound.pending_for)),
            bound.map(|bound| window.effective + bound.firing.ceiling.saturating_sub(bound.pending_for)),
        ),
        stage(
            "firing",
            Some(fired),
            bound.map(|bound| window.start + bound.firing.floor),
            bound.map(|bound| window.effective + bound.firing.ceiling),
        ),
        stage(
            "resolved",
            resolved,
            bound.map(|bound| window.end + bound.resolved.floor),
            bound.map(|bound| window.end + bound.resolved.ceiling),
        ),
    ]
}

fn describe(spec: &Alert, window: Window, history: &History, time: ScaledTime) -> Evidence {
    let mut rows = Vec::new();
    for instance in &history.instances {
        let labels = super::look::show_labels(&instance.labels);
        for change in &instance.changes {
            let value = change.value.map_or_else(String::new, |value| format!("{value:.4}"));
            let state = format!("{:?}", change.state).to_lowercase();
            rows.push(vec![time.from(window.start, change.evaluated), state, value, labels.clone()]);
        }
    }
    let evidence = Evidence::default()
        .with("alert", spec.name.clone())
        .with("evaluations seen", history.coverage.count(window.start, window.observed_until).to_string());
    if rows.is_empty() {
        evidence.with("state history", "never pending, never firing")
    } else {
        evidence.with_table("state history (from the inject call)", &["evaluated", "state", "value", "labels"], rows)
    }
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
