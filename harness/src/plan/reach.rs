//! How far back an alert looks: the longest range in its expression, recorded series followed. Read by `build`, which lets
//! the warm-up fill it before the baseline.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::plan::scale::{ConfigSet, Rule, promql};

/// The longest stretch of history that any rule of this name reads, in the time of the given configuration.
#[must_use]
pub fn of_alert(config: &ConfigSet, name: &str) -> Duration {
    let rules = config.prometheus.alerts_named(name);
    rules.iter().map(|(_, rule)| of_rule(config, rule, &mut BTreeSet::new())).max().unwrap_or_default()
}

/// The longest stretch of history that an expression reads.
#[must_use]
pub fn of_query(config: &ConfigSet, query: &str) -> Duration {
    promql::parse(query).map_or(Duration::ZERO, |expr| of_expr(config, &expr, &mut BTreeSet::new()))
}

fn of_rule(config: &ConfigSet, rule: &Rule, seen: &mut BTreeSet<String>) -> Duration {
    of_expr(config, &rule.ast, seen)
}

fn of_expr(config: &ConfigSet, expr: &promql_parser::parser::Expr, seen: &mut BTreeSet<String>) -> Duration {
    let mut longest = Duration::ZERO;
    for (selector, own) in promql::selectors(expr) {
        let recorded = selector.name.as_deref().filter(|name| seen.insert((*name).to_owned()));
        let behind = recorded
            .and_then(|name| config.prometheus.record(name))
            .map_or(Duration::ZERO, |(group, rule)| config.prometheus.interval_of(group) + of_rule(config, rule, seen));
        longest = longest.max(own + behind);
    }
    longest
}
