//! What becomes of a rule's alerts at an evaluation: inactive, pending, firing, resolved. A pure function of what was, what
//! the expression found, and the time; Prometheus's own semantics, which are Loki's.

use std::collections::BTreeMap;

use crate::clock::{Nanos, SECOND};
use crate::label::Labels;

/// How long a resolved alert is kept and sent again, so that no Alertmanager misses the end.
const RESOLVED_RETENTION: Nanos = 15 * 60 * SECOND;

/// When an alert fires, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// `for`.
    pub hold: Nanos,
    /// `keep_firing_for`.
    pub keep_firing: Nanos,
    /// `limit` of the group; zero for none.
    pub limit: usize,
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It is over.
    Inactive,
    /// True, not yet for the whole `for`.
    Pending,
    /// True for the whole `for`, or kept.
    Firing,
}

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Rendered; not by templates again.
    pub annotations: Labels,
    /// Of the last evaluation that found it.
    pub value: f64,
    /// Where it stands.
    pub phase: Phase,
    /// Of the evaluation that found it first.
    pub active_at: Nanos,
    /// Since when it fires.
    pub fired_at: Option<Nanos>,
    /// When it was over.
    pub resolved_at: Option<Nanos>,
    /// Since when it fires only because of `keep_firing_for`.
    pub kept_since: Option<Nanos>,
    /// When it was last handed to the notifier.
    pub sent_at: Option<Nanos>,
}

/// The alerts of a rule by their labels, resolved ones included.
pub type Alerts = BTreeMap<Labels, Alert>;

/// What an expression found, with the rule's labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The alert's labels.
    pub labels: Labels,
    /// Rendered.
    pub annotations: Labels,
    /// The series' value.
    pub value: f64,
}

/// Why an evaluation counts as failed though the expression was answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Two series become the same alert; the alerts stay as they were.
    #[error("vector contains metrics with the same labelset after applying alert labels")]
    Duplicate,
    /// Too many; all alerts are forgotten, as in Loki.
    #[error("exceeded limit of {limit} with {count} alerts")]
    Limit {
        /// The group's limit.
        limit: usize,
        /// Pending and firing alerts.
        count: usize,
    },
}

/// The alerts after an evaluation at `at` that found `found`.
///
/// # Errors
/// See [`Refused`].
pub fn advance(before: &Alerts, found: Vec<Found>, timing: Timing, at: Nanos) -> Result<Alerts, Refused> {
    let mut new: BTreeMap<Labels, Found> = BTreeMap::new();
    for one in found {
        if new.contains_key(&one.labels) {
            return Err(Refused::Duplicate);
        }
        new.insert(one.labels.clone(), one);
    }
    let mut after = Alerts::new();
    for (labels, alert) in before {
        let next = match new.remove(labels) {
            Some(found) => Some(continued(alert, found, at)),
            None => missed(alert, timing, at),
        };
        if let Some(next) = next {
            after.insert(labels.clone(), next);
        }
    }
    after.extend(new.into_iter().map(|(labels, found)| (labels, begun(found, at))));
    for alert in after.values_mut() {
        if alert.phase == Phase::Pending && at - alert.active_at >= timing.hold {
            (alert.phase, alert.fired_at) = (Phase::Firing, Some(at));
        }
    }
    let count = after.values().filter(|alert| alert.phase != Phase::Inactive).count();
    if timing.limit > 0 && count > timing.limit {
        return Err(Refused::Limit { limit: timing.limit, count });
    }
    Ok(after)
}

fn begun(found: Found, at: Nanos) -> Alert {
    Alert {
        annotations: found.annotations,
        value: found.value,
        phase: Phase::Pending,
        active_at: at,
        fired_at: None,
        resolved_at: None,
        kept_since: None,
        sent_at: None,
    }
}

/// An alert that was found again; one that was over begins anew.
fn continued(alert: &Alert, found: Found, at: Nanos) -> Alert {
    match alert.phase {
        Phase::Inactive => begun(found, at),
        Phase::Pending | Phase::Firing => {
            Alert { annotations: found.annotations, value: found.value, kept_since: None, ..alert.clone() }
        }
    }
}

/// An alert that was not found; none if nothing has to be kept of it.
fn missed(alert: &Alert, timing: Timing, at: Nanos) -> Option<Alert> {
    match alert.phase {
        Phase::Pending => None,
        Phase::Inactive => {
            let over = alert.resolved_at.is_some_and(|resolved| at - resolved > RESOLVED_RETENTION);
            (!over).then(|| alert.clone())
        }
        Phase::Firing => {
            let since = alert.kept_since.unwrap_or(at);
            if timing.keep_firing > 0 && at - since < timing.keep_firing {
                return Some(Alert { kept_since: Some(since), ..alert.clone() });
            }
            Some(Alert { phase: Phase::Inactive, resolved_at: Some(at), ..alert.clone() })
        }
    }
}

/// Whether an alert has to be sent at the evaluation at `at`.
#[must_use]
pub fn is_due(alert: &Alert, at: Nanos, resend_delay: Nanos) -> bool {
    match (alert.phase, alert.sent_at) {
        (Phase::Pending, _) => false,
        (_, None) => true,
        (_, Some(sent)) => alert.resolved_at.is_some_and(|resolved| resolved > sent) || at - sent > resend_delay,
    }
}

/// Until when a firing alert that is sent at `at` holds without being sent again.
#[must_use]
pub fn valid_until(at: Nanos, interval: Nanos, resend_delay: Nanos) -> Nanos {
    at + 4 * interval.max(resend_delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Nanos = 60 * SECOND;

    fn found(service: &str) -> Found {
        Found { labels: Labels::new([("service", service)]), annotations: Labels::default(), value: 1.0 }
    }

    /// One letter for each evaluation, a minute apart: `.` nothing known, `p` pending, `F` firing, `k` kept, `r` resolved.
    fn history(seen: &str, hold: Nanos, keep_firing: Nanos) -> String {
        let timing = Timing { hold, keep_firing, limit: 0 };
        let mut alerts = Alerts::new();
        let mut out = String::new();
        for (index, c) in seen.chars().enumerate() {
            let at = index as Nanos * MINUTE;
            let now = if c == 'x' { vec![found("a")] } else { Vec::new() };
            alerts = advance(&alerts, now, timing, at).unwrap();
            out.push(match alerts.values().next() {
                None => '.',
                Some(alert) => match (alert.phase, alert.kept_since) {
                    (Phase::Pending, _) => 'p',
                    (Phase::Firing, None) => 'F',
                    (Phase::Firing, Some(_)) => 'k',
                    (Phase::Inactive, _) => 'r',
                },
            });
        }
        out
    }

    #[test]
    fn alerts_go_from_pending_to_firing_to_resolved_as_prometheus_has_it() {
        for (seen, hold, keep, expected) in [
            ("xx--", 0, 0, "FFrr"),
            ("xxxx--", 2, 0, "ppFFrr"),
            ("xx-xxx", 2, 0, "pp.ppF"),
            ("x-", 1, 0, "p."),
            ("x----x", 0, 2, "FkkrrF"),
            ("x-x---", 0, 2, "FkFkkr"),
            ("xx-x", 1, 0, "pFrp"),
        ] {
            assert_eq!(history(seen, hold * MINUTE, keep * MINUTE), expected, "{seen} for {hold} keep {keep}");
        }
    }

    #[test]
    fn a_resolved_alert_is_kept_for_a_quarter_of_an_hour_and_then_forgotten() {
        let seen = format!("x{}", "-".repeat(18));
        assert_eq!(history(&seen, 0, 0), format!("F{}..", "r".repeat(16)));
    }

    #[test]
    fn a_hold_that_is_no_whole_number_of_evaluations_waits_for_the_next_one() {
        assert_eq!(history("xxx", MINUTE + SECOND, 0), "ppF");
    }

    #[test]
    fn the_same_alert_twice_and_too_many_alerts_fail_the_evaluation() {
        let timing = Timing { hold: 0, keep_firing: 0, limit: 1 };
        let twice = advance(&Alerts::new(), vec![found("a"), found("a")], timing, 0);
        assert_eq!(twice, Err(Refused::Duplicate));
        let two = advance(&Alerts::new(), vec![found("a"), found("b")], timing, 0);
        assert_eq!(two, Err(Refused::Limit { limit: 1, count: 2 }));
        assert!(advance(&Alerts::new(), vec![found("a")], timing, 0).is_ok());
    }

    #[test]
    fn an_alert_is_sent_when_it_fires_when_it_ends_and_after_each_resend_delay() {
        let timing = Timing { hold: MINUTE, keep_firing: 0, limit: 0 };
        let mut alerts = Alerts::new();
        let mut sent = String::new();
        for (index, c) in "xxxxx-----".chars().enumerate() {
            let at = index as Nanos * MINUTE;
            let now = if c == 'x' { vec![found("a")] } else { Vec::new() };
            alerts = advance(&alerts, now, timing, at).unwrap();
            let alert = alerts.values_mut().next().unwrap();
            let due = is_due(alert, at, 2 * MINUTE);
            if due {
                alert.sent_at = Some(at);
            }
            sent.push(if due { 's' } else { '-' });
        }
        assert_eq!(sent, "-s--ss--s-", "at the first firing, more than two minutes later, and at the end at once");
    }

    #[test]
    fn a_sent_alert_holds_for_four_of_the_longer_of_both_delays() {
        assert_eq!(valid_until(10, MINUTE, SECOND), 10 + 4 * MINUTE);
        assert_eq!(valid_until(10, SECOND, MINUTE), 10 + 4 * MINUTE);
    }
}
