//! The states of one alert over time: changes, which may be told out of order, become intervals.

use std::collections::BTreeMap;

use crate::clock::Stamp;
use crate::event::AlertState;

/// One alert with one set of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// The alert's name.
    pub alert: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was pending or firing, by time.
    pub intervals: Vec<Interval>,
}

/// A time in which an alert was pending or firing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Pending or firing.
    pub state: AlertState,
    /// From.
    pub begin: Stamp,
    /// To; none while it lasts.
    pub end: Option<Stamp>,
    /// The value at its begin.
    pub value: Option<f64>,
}

/// A change of state as told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) state: AlertState,
    pub(super) evaluated: Stamp,
    pub(super) value: Option<f64>,
}

impl Lane {
    /// The labels without those that are in every alert of this name (`alertname`), as `name="value"`.
    #[must_use]
    pub fn shown_labels(&self) -> String {
        let own = self.labels.iter().filter(|(name, _)| *name != "alertname");
        own.map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(" ")
    }
}

/// Intervals of the changes; a state that is told again does not begin anew.
pub(super) fn intervals(mut changes: Vec<Change>) -> Vec<Interval> {
    changes.sort_by_key(|change| change.evaluated);
    let mut intervals: Vec<Interval> = Vec::new();
    for change in changes {
        let open = intervals.last_mut().filter(|last| last.end.is_none());
        if open.as_ref().is_some_and(|last| last.state == change.state) {
            continue;
        }
        if let Some(last) = open {
            last.end = Some(change.evaluated);
        }
        if change.state != AlertState::Inactive {
            let Change { state, evaluated: begin, value } = change;
            intervals.push(Interval { state, begin, end: None, value });
        }
    }
    intervals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at: i64, state: AlertState) -> Change {
        Change { state, evaluated: Stamp(at), value: None }
    }

    #[test]
    fn changes_told_out_of_order_become_intervals_in_order() {
        let found = intervals(vec![
            change(30, AlertState::Inactive),
            change(10, AlertState::Pending),
            change(20, AlertState::Firing),
            change(25, AlertState::Firing),
        ]);
        let shown: Vec<_> = found.iter().map(|it| (it.state, it.begin.0, it.end.map(|end| end.0))).collect();
        assert_eq!(shown, [(AlertState::Pending, 10, Some(20)), (AlertState::Firing, 20, Some(30))]);
    }

    #[test]
    fn an_alert_that_never_resolves_has_an_open_end() {
        let found = intervals(vec![change(5, AlertState::Inactive), change(10, AlertState::Firing)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].end, None);
    }
}
