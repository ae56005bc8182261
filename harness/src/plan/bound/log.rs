//! The times of an alert on log lines, as far as a configuration says them. Used by `bound`.
//!
//! What share of a window's lines a fault changes is nobody's signal, so that the whole window may have to fill, and to empty
//! again; a line's way to the store is the collector's, and has an allowance.

use std::collections::BTreeMap;
use std::time::Duration;

use super::term::{Term, sum};
use super::{AlertBound, Conditions, agrees, evaluation_term, routed_labels, routes, ticks, whole};
use crate::plan::scale::ConfigSet;
use crate::plan::scale::duration::print;
use crate::plan::scale::ruler::{LogAlert, LogGroup, RulerConfig, Waits};

/// From a line's writing until the store has it: collectors send what a second brought.
const LINE: Duration = Duration::from_millis(1_250);

/// The bounds of the alerts of this name that the log store's ruler evaluates.
pub(super) fn bounds(config: &ConfigSet, alert: &str, labels: &BTreeMap<String, String>) -> Vec<AlertBound> {
    let rulers = config.ruler.iter();
    let rules = rulers.flat_map(|ruler| ruler.alerts().map(move |(group, rule)| (ruler, group, rule)));
    let own = rules.filter(|(.., rule)| rule.name == alert && agrees(&rule.labels, labels));
    own.map(|(ruler, group, rule)| bound(config, ruler, group, rule, labels)).collect()
}

fn bound(
    config: &ConfigSet,
    ruler: &RulerConfig,
    group: &LogGroup,
    rule: &LogAlert,
    labels: &BTreeMap<String, String>,
) -> AlertBound {
    let evaluation = ruler.interval_of(group);
    let line = Term::new("line", Duration::ZERO, LINE, "until a line has come to the store");
    let reach = print(rule.reach);
    let fills = Term::new("window", Duration::ZERO, rule.reach, format!("until {reach} of lines are of the fault"));
    let empties = Term::new("window", Duration::ZERO, rule.reach, format!("until {reach} of lines are of its end"));
    let (mut firing_terms, mut resolved_terms) = match rule.waits {
        Waits::ForLines => (vec![line.clone(), fills], vec![line, empties]),
        // what is on its way when the lines end is the last that the window forgets; the first that comes again ends it
        Waits::ForSilence => (vec![line.clone(), fills], vec![line]),
    };
    firing_terms.push(evaluation_term(evaluation));
    resolved_terms.push(evaluation_term(evaluation));
    let pending = sum(&firing_terms);
    if !rule.hold.is_zero() {
        firing_terms.push(Term::exact("for", ticks(rule.hold, evaluation), whole(rule.hold, evaluation)));
    }
    let kept = ticks(rule.keep_firing, evaluation);
    if !kept.is_zero() {
        resolved_terms.push(Term::exact("keep_firing_for", kept, whole(rule.keep_firing, evaluation)));
    }
    let (firing, resolved) = (sum(&firing_terms), sum(&resolved_terms));
    let routed = routed_labels(BTreeMap::new(), &rule.name, &rule.labels, labels);
    AlertBound {
        alert: rule.name.clone(),
        labels: rule.labels.clone(),
        pending,
        firing,
        resolved,
        routes: routes(config, &routed, Conditions::default(), firing, resolved),
        firing_terms,
        resolved_terms,
        window: rule.window,
        evaluation,
        kept,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::term::Interval;
    use super::*;
    use crate::plan::scale::source::from_text;
    use crate::plan::scale::{config, ruler};

    const MANAGER: &str = "route: {receiver: chat, group_wait: 500ms, group_interval: 5s}\nreceivers:\n  - {name: chat, \
                           webhook_configs: [{url: 'http://x'}]}\n";

    /// At scale 60, as they run.
    fn bounds_of(expr: &str, timing: &str) -> AlertBound {
        let file = |path: &str, text: &str| from_text(Path::new(path), text.to_owned()).unwrap();
        let rules = format!("groups: [{{name: g, interval: 1s, rules: [{{alert: A, expr: '{expr}', {timing}}}]}}]\n");
        let mut set = config::parse(file("p.yml", "{}"), vec![], Some(file("a.yml", MANAGER)), vec![]).unwrap();
        set.ruler = Some(ruler::parse(file("loki.yml", "ruler: {}"), vec![file("r.yml", &rules)]).unwrap());
        super::bounds(&set, "A", &BTreeMap::new()).remove(0)
    }

    fn between(floor: f64, ceiling: f64) -> Interval {
        Interval { floor: Duration::from_secs_f64(floor), ceiling: Duration::from_secs_f64(ceiling) }
    }

    #[test]
    fn an_alert_on_lines_waits_for_the_line_the_window_the_evaluation_for_and_the_group() {
        let bound = bounds_of("sum(count_over_time({a=\"b\"}[5s])) > 5", "for: 5s");
        assert_eq!(bound.pending, between(0.0, 7.25));
        assert_eq!(bound.firing, between(5.0, 12.25));
        assert_eq!(bound.resolved, between(0.0, 7.25));
        assert_eq!(bound.routes[0].notified, between(5.0, 17.5), "12.25 and 5 and 0.25 s");
        let offset = bounds_of("sum(count_over_time({a=\"b\"}[5s] offset 2s)) > 5", "keep_firing_for: 1500ms");
        assert_eq!((offset.firing, offset.resolved), (between(0.0, 9.25), between(2.0, 11.25)));
    }

    #[test]
    fn an_alert_on_silence_ends_with_the_first_line() {
        let bound = bounds_of("absent_over_time({a=\"b\"}[10s])", "for: 5s");
        assert_eq!((bound.firing, bound.resolved), (between(5.0, 17.25), between(0.0, 2.25)));
    }

    #[test]
    fn what_log_alerts_was_seen_to_take_lies_inside() {
        let errors = bounds_of("sum(count_over_time({a=\"b\"}[5s])) > 5", "for: 5s");
        let silent = bounds_of("absent_over_time({a=\"b\"}[10s])", "for: 5s");
        // seconds of production time, at scale 60
        let real = |seconds: u64| Duration::from_secs(seconds) / 60;
        assert!(errors.pending.holds(real(106)) && errors.firing.holds(real(406)) && errors.resolved.holds(real(226)));
        assert!(silent.pending.holds(real(646)) && silent.firing.holds(real(946)));
    }
}
