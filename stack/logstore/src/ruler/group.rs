//! One evaluation of a group: its expressions asked of the store, its alerts moved on, and what the notifier must send.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::alert::{self, Alerts, Found, Phase, Refused};
use super::config::Settings;
use super::file::{Group, Rule};
use super::notify::Notification;
use crate::clock::{self, Nanos};
use crate::eval::{self, AlertData, Answer, Budget, Direction, LabelStyle, Request, render_alert};
use crate::label::Labels;
use crate::logql::Template;
use crate::store::Store;

/// The label that names an alert.
pub(super) const ALERT_NAME: &str = "alertname";

/// A group and how it fared so far.
#[derive(Debug)]
pub struct Running {
    /// What was read.
    pub group: Group,
    state: Mutex<State>,
}

/// How a group fared.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// In the order of the rules.
    pub rules: Vec<RuleState>,
    /// When the last evaluation began, by the wall clock.
    pub last_evaluation: Option<Nanos>,
    /// How long it took.
    pub took: Duration,
    /// Series that the expressions of the last evaluation found.
    pub samples: usize,
    /// Evaluations begun or missed.
    pub iterations: u64,
    /// Evaluations whose time came while another ran.
    pub missed: u64,
    /// Time that all evaluations took.
    pub total: Duration,
}

/// How a rule fared.
#[derive(Clone, Debug, Default)]
pub struct RuleState {
    /// By labels, resolved ones included.
    pub alerts: Alerts,
    /// Why the last evaluation failed; none if it did not, or if there was none.
    pub error: Option<String>,
    /// When the last evaluation began, by the wall clock.
    pub last_evaluation: Option<Nanos>,
    /// How long it took.
    pub took: Duration,
    /// Evaluations begun.
    pub evaluations: u64,
    /// Those that failed.
    pub failures: u64,
    /// Time that all evaluations took.
    pub total: Duration,
}

impl RuleState {
    /// The furthest phase of its alerts.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.alerts.values().map(|alert| alert.phase).max().unwrap_or(Phase::Inactive)
    }

    /// `ok`, `err`, or `unknown` before the first evaluation.
    #[must_use]
    pub fn health(&self) -> &'static str {
        match (&self.last_evaluation, &self.error) {
            (None, _) => "unknown",
            (Some(_), None) => "ok",
            (Some(_), Some(_)) => "err",
        }
    }
}

impl Running {
    pub(super) fn new(group: Group) -> Self {
        let rules = vec![RuleState::default(); group.rules.len()];
        Self { group, state: Mutex::new(State { rules, ..State::default() }) }
    }

    /// How it fared so far.
    #[must_use]
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts evaluations that were due.
    pub(super) fn count(&self, missed: u64) {
        let mut state = self.lock();
        state.iterations += 1 + missed;
        state.missed += missed;
    }

    /// Evaluates all rules at `at`; what has to be sent.
    pub(super) fn evaluate(&self, store: &Store, settings: &Settings, at: Nanos) -> Vec<Notification> {
        let (began, clock) = (clock::wall(), clock::instant());
        let (mut notifications, mut samples) = (Vec::new(), 0);
        for (index, rule) in self.group.rules.iter().enumerate() {
            let (began, clock) = (clock::wall(), clock::instant());
            let found = find(store, rule, settings, at);
            samples += found.as_ref().map_or(0, Vec::len);
            let mut state = self.lock();
            let state = &mut state.rules[index];
            state.settle(found, rule, at);
            if state.error.is_none() {
                notifications.extend(state.due(rule, &self.group, settings, at));
            }
            let took = clock.elapsed();
            (state.last_evaluation, state.took) = (Some(began), took);
            state.total += took;
        }
        let mut state = self.lock();
        (state.last_evaluation, state.took, state.samples) = (Some(began), clock.elapsed(), samples);
        state.total += clock.elapsed();
        notifications
    }
}

impl RuleState {
    /// Moves the alerts on, or notes why that was not possible.
    fn settle(&mut self, found: Result<Vec<Found>, String>, rule: &Rule, at: Nanos) {
        self.evaluations += 1;
        let after = found.and_then(|found| {
            alert::advance(&self.alerts, found, rule.timing, at).map_err(|refused| {
                if matches!(refused, Refused::Limit { .. }) {
                    self.alerts.clear();
                }
                refused.to_string()
            })
        });
        match after {
            Ok(alerts) => (self.alerts, self.error) = (alerts, None),
            Err(error) => {
                self.failures += 1;
                self.error = Some(error);
            }
        }
    }

    /// What has to be sent, and notes that it is.
    fn due(&mut self, rule: &Rule, group: &Group, settings: &Settings, at: Nanos) -> Vec<Notification> {
        let mut due = Vec::new();
        for (labels, alert) in &mut self.alerts {
            if !alert::is_due(alert, at, settings.resend_delay) {
                continue;
            }
            alert.sent_at = Some(at);
            let valid = alert::valid_until(at, group.interval, settings.resend_delay);
            due.push(Notification {
                labels: with_external(labels, &settings.external_labels),
                annotations: alert.annotations.clone(),
                starts_at: alert.fired_at.unwrap_or(at),
                ends_at: alert.resolved_at.unwrap_or(valid),
                generator_url: link(rule, settings),
            });
        }
        due
    }
}

/// External labels are added where the alert has none of that name.
fn with_external(labels: &Labels, external: &Labels) -> Labels {
    Labels::new(external.iter().chain(labels.iter()))
}

/// Grafana's page of the expression, as Loki links it.
fn link(rule: &Rule, settings: &Settings) -> String {
    let mut query = serde_json::json!({"expr": rule.query.to_string(), "queryType": "range"});
    if !settings.datasource_uid.is_empty() {
        query["datasource"] = serde_json::json!({"type": "loki", "uid": settings.datasource_uid});
    }
    // Go's JSON escapes what HTML would read
    let text = query.to_string().replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let left = format!("{{\"queries\":[{text}]}}");
    let encoded = serde_urlencoded::to_string([("left", left)]).unwrap_or_default();
    format!("{}/explore?{encoded}", settings.external_url)
}

/// What the rule's expression finds at `at`, with the rule's labels and annotations.
fn find(store: &Store, rule: &Rule, settings: &Settings, at: Nanos) -> Result<Vec<Found>, String> {
    let limits = &store.options().limits;
    let request = Request {
        start: at,
        end: at,
        step: 0,
        interval: 0,
        direction: Direction::Forward,
        limit: limits.max_entries,
        max_series: limits.max_series,
        labels: LabelStyle::Merged,
    };
    let deadline = clock::instant() + limits.query_timeout;
    let mut budget = Budget::new(deadline, Arc::new(AtomicBool::new(false)));
    let answer = eval::evaluate(store, &rule.query, &request, &mut budget).map_err(|error| error.to_string())?;
    let samples = match answer {
        Answer::Vector(samples) => samples.into_iter().map(|sample| (sample.labels, sample.value)).collect(),
        Answer::Scalar(_, value) => vec![(Labels::default(), value)],
        Answer::Streams(_) | Answer::Matrix(_) => return Err("rule result is not a vector or scalar".to_owned()),
    };
    Ok(samples.into_iter().map(|(labels, value)| one(rule, settings, &labels, value)).collect())
}

fn one(rule: &Rule, settings: &Settings, series: &Labels, value: f64) -> Found {
    let data = AlertData {
        labels: series,
        external_labels: &settings.external_labels,
        external_url: &settings.external_url,
        value,
    };
    let render = |template: &Template| {
        render_alert(template, data).unwrap_or_else(|error| {
            format!("<error expanding template: error executing template __alert_{}: {error}>", rule.name)
        })
    };
    let own = rule.labels.iter().map(|(name, template)| (name.clone(), render(template)));
    let labels = series.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain(own);
    let labels = Labels::new(labels.chain([(ALERT_NAME.to_owned(), rule.name.clone())]));
    let annotations =
        Labels::with_empty(rule.annotations.iter().map(|(name, template)| (name.clone(), render(template))));
    Found { labels, annotations, value }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;
    use crate::clock::SECOND;
    use crate::option::Options;
    use crate::store::{PushEntry, PushStream};

    const MINUTE: Nanos = 60 * SECOND;

    fn settings() -> Settings {
        let text = "auth_enabled: false\nruler:\n  storage: {local: {directory: /r}}\n  external_labels: {cluster: eu, severity: none}\n  \
                    external_url: http://loki\n  resend_delay: 2m\n";
        super::super::config::read(text, |_| None).unwrap().unwrap()
    }

    fn running(rules: &str) -> Running {
        let mut groups = file::parse("f.yml", &format!("groups:\n- name: g\n  rules:\n{rules}"), MINUTE).unwrap();
        Running::new(groups.remove(0))
    }

    /// A store with one line of level error of each service, `ago` before now.
    fn store(ago: &[(&str, Nanos)]) -> (Store, Nanos) {
        let (store, now) = (Store::open(Options::default()).unwrap(), clock::wall());
        for (service, ago) in ago {
            let labels = [("service", *service), ("level", "error")];
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            let entry = PushEntry { at: now - ago, line: "{\"event\":\"x\"}".to_owned(), metadata: Vec::new() };
            store.push(vec![PushStream { labels, entries: vec![entry] }]).unwrap();
        }
        (store, now)
    }

    const ERRORS: &str = "    - alert: Errors\n      expr: sum by (service) (count_over_time({level=\"error\"}[5m])) > 0\n      for: 1m\n      \
                          labels: {severity: warning, of: '{{ $labels.service }}'}\n      annotations: {summary: '{{ $value }} in {{ $externalLabels.cluster }}'}\n";

    #[test]
    fn an_alert_is_found_held_sent_and_resolved() {
        let (store, now) = store(&[("a", MINUTE)]);
        let (running, settings) = (running(ERRORS), settings());
        assert_eq!(running.evaluate(&store, &settings, now), [], "pending is not sent");
        let sent = running.evaluate(&store, &settings, now + MINUTE);
        let labels = Labels::new([
            ("alertname", "Errors"),
            ("cluster", "eu"),
            ("of", "a"),
            ("service", "a"),
            ("severity", "warning"),
        ]);
        assert_eq!((&sent[0].labels, sent.len()), (&labels, 1));
        assert_eq!(sent[0].annotations.get("summary"), Some("1 in eu"));
        assert_eq!((sent[0].starts_at, sent[0].ends_at), (now + MINUTE, now + MINUTE + 8 * MINUTE));
        assert!(
            sent[0].generator_url.starts_with("http://loki/explore?left=%7B%22queries%22"),
            "{}",
            sent[0].generator_url
        );
        assert_eq!(running.evaluate(&store, &settings, now + 2 * MINUTE), [], "not again before the resend delay");
        let over = running.evaluate(&store, &settings, now + 10 * MINUTE);
        assert_eq!(over[0].ends_at, now + 10 * MINUTE);
        let state = running.state();
        assert_eq!(
            (state.rules[0].phase(), state.rules[0].health(), state.rules[0].evaluations),
            (Phase::Inactive, "ok", 4)
        );
        assert_eq!(state.rules[0].failures, 0);
    }

    #[test]
    fn an_expression_that_fails_keeps_the_alerts_and_says_why() {
        let (store, now) = store(&[("a", MINUTE)]);
        let rules = "    - alert: Broken\n      expr: sum by (x) (sum_over_time({level=\"error\"} | json | unwrap event [5m])) > 0\n";
        let running = running(rules);
        assert_eq!(running.state().rules[0].health(), "unknown");
        assert_eq!(running.evaluate(&store, &settings(), now), []);
        let state = running.state();
        assert_eq!((state.rules[0].health(), state.rules[0].failures), ("err", 1));
        assert!(state.rules[0].error.as_deref().unwrap().contains("pipeline error"), "{:?}", state.rules[0].error);
    }

    #[test]
    fn silence_is_an_alert_with_the_selectors_labels() {
        let (store, now) = store(&[("a", MINUTE)]);
        let running = running("    - alert: Silent\n      expr: absent_over_time({service=\"b\"}[5m])\n");
        let sent = running.evaluate(&store, &settings(), now);
        assert_eq!(sent[0].labels.get("service"), Some("b"));
    }

    #[test]
    fn labels_that_make_two_series_one_alert_fail_the_evaluation() {
        let (store, now) = store(&[("a", MINUTE), ("b", MINUTE)]);
        let running =
            running(&ERRORS.replace("labels: {", "labels: {service: all, ").replace("{{ $labels.service }}", "all"));
        assert_eq!(running.evaluate(&store, &settings(), now), []);
        assert!(running.state().rules[0].error.as_deref().unwrap().contains("same labelset"));
    }
}
