//! Findings about rules. Used by `finding`.

use std::time::Duration;

use promql_parser::label::MatchOp;
use promql_parser::parser::token::{T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LUNLESS};
use promql_parser::parser::{Expr, VectorSelector};

use super::{Finding, FindingCode};
use crate::plan::scale::duration::print;
use crate::plan::scale::promql::{self, Window};
use crate::plan::scale::rule::{Rule, RuleGroup};
use crate::plan::scale::{PrometheusConfig, flag};

const NEEDS_TWO: [&str; 8] = ["rate", "irate", "increase", "delta", "idelta", "deriv", "predict_linear", "changes"];
const OUTLIVES: [&str; 2] = ["rate", "increase"];
const BORN_LATE: [&str; 9] = ["status", "code", "status_code", "error", "reason", "cause", "result", "outcome", "type"];

pub(super) fn findings(config: &PrometheusConfig) -> Vec<Finding> {
    let rules = config.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
    rules.flat_map(|(group, rule)| Case { config, group, rule }.findings()).collect()
}

struct Case<'a> {
    config: &'a PrometheusConfig,
    group: &'a RuleGroup,
    rule: &'a Rule,
}

impl Case<'_> {
    fn findings(&self) -> Vec<Finding> {
        let windows = promql::windows(&self.rule.ast);
        let mut found: Vec<Finding> = windows.iter().filter_map(|window| self.too_short(window)).collect();
        found.extend(self.quantile_without_le());
        if self.rule.is_alert() {
            found.extend(self.value_in_label());
            found.extend(self.outlives(&windows));
            found.extend(self.restart_resolves());
            found.extend(self.lazy_counter());
            found.extend(self.one_bad_scrape(&windows));
            found.extend(self.instant_rate(&windows));
            found.extend(self.up_without_absent());
            found.extend(self.dropped_label());
        }
        found
    }

    fn finding(&self, code: FindingCode, message: String, help: &str) -> Finding {
        let location = self.rule.expr_location.clone();
        Finding { location, code, subject: self.rule.name().to_owned(), message, help: help.to_owned() }
    }

    fn scrape(&self) -> Duration {
        longest_scrape(self.config)
    }

    fn too_short(&self, window: &Window) -> Option<Finding> {
        let (code, message) = too_short(self.config, window)?;
        Some(self.finding(code, message, "make the range at least four scrape intervals long"))
    }

    fn value_in_label(&self) -> Option<Finding> {
        let label = self.rule.labels.iter().find(|(_, text)| text.contains("$value") || text.contains(".Value"))?;
        let help = "move the value into an annotation";
        Some(self.finding(
            FindingCode::ValueInLabel,
            format!(
                "the label `{}` holds the value: whenever it changes it is a new alert, whose `for` of {} starts again",
                label.0,
                print(self.rule.hold)
            ),
            help,
        ))
    }

    fn outlives(&self, windows: &[Window]) -> Option<Finding> {
        let hold = self.rule.hold;
        let raises = raises(&self.rule.ast);
        let window = windows
            .iter()
            .filter(|window| OUTLIVES.contains(&window.function.as_str()) && raises)
            .max_by_key(|window| window.range)?;
        if hold.is_zero() || window.range < hold {
            return None;
        }
        let (scrape, evaluation) = (self.scrape(), self.config.interval_of(self.group));
        // true from the first scrape of the burst until its last increase has left the window
        let burst = (hold + scrape * 2 + evaluation).saturating_sub(window.range).max(scrape);
        let late = (hold + evaluation).saturating_sub(burst);
        Some(self.finding(
            FindingCode::WindowOutlivesFor,
            format!(
                "`{}` over {} stays above the threshold for {} after a strong burst and `for` waits {}: a burst of {} pages, about {} after it ended",
                window.function,
                print(window.range),
                print(window.range),
                print(hold),
                print(burst),
                print(late)
            ),
            "make `for` longer than the range, or the range shorter, if a burst that is over must not page",
        ))
    }

    fn restart_resolves(&self) -> Option<Finding> {
        let alive = flag::RESEND_DELAY.max(self.config.interval_of(self.group)) * 4;
        let hold = self.rule.hold;
        if hold >= flag::GRACE_PERIOD || hold < alive {
            return None;
        }
        Some(self.finding(
            FindingCode::RestartResolves,
            format!(
                "`for: {}` is under the grace period of {} and is not restored after a restart of Prometheus, while Alertmanager \
                 resolves after {} of silence: a false resolution, then the page again",
                print(hold),
                print(flag::GRACE_PERIOD),
                print(alive)
            ),
            "start Prometheus with `--rules.alert.for-grace-period=0s`, or expect it",
        ))
    }

    fn lazy_counter(&self) -> Option<Finding> {
        let mut found = None;
        visit(&self.rule.ast, &mut |node| {
            if let Expr::Call(call) = node
                && OUTLIVES.contains(&call.func.name)
                && let Some(Expr::MatrixSelector(matrix)) = call.args.args.first().map(AsRef::as_ref)
                && let Some(label) = born_late(&matrix.vs)
            {
                found.get_or_insert((call.func.name, matrix.vs.name.clone().unwrap_or_default(), label));
            }
        });
        let (function, metric, label) = found?;
        Some(self.finding(
            FindingCode::LazyCounter,
            format!(
                "`{metric}` is selected by `{label}`: if the service creates that series at its first such event with the value n, \
                 `{function}` counts 0 of these n, and a single burst between two scrapes is never seen"
            ),
            "initialise the series to 0 at start (a `series` expectation with `zero-initialised` checks it)",
        ))
    }

    fn one_bad_scrape(&self, windows: &[Window]) -> Option<Finding> {
        let compares = matches!(unparenthesised(&self.rule.ast), Expr::Binary(binary) if binary.op.id() != T_LAND && binary.op.id() != T_LOR);
        let reads_records = promql::selectors(&self.rule.ast)
            .iter()
            .any(|(selector, _)| selector.name.as_deref().is_some_and(|name| self.config.record(name).is_some()));
        if !windows.is_empty() || !self.rule.hold.is_zero() || !compares || reads_records {
            return None;
        }
        let message = format!(
            "it fires at the first evaluation after one bad scrape, within {}",
            print(self.scrape() + self.config.interval_of(self.group))
        );
        Some(self.finding(
            FindingCode::OneBadScrape,
            message,
            "add a `for` of a few evaluations if a blip must not page",
        ))
    }

    fn instant_rate(&self, windows: &[Window]) -> Option<Finding> {
        windows.iter().find(|window| window.function == "irate")?;
        let (scrape, evaluation) = (self.scrape(), self.config.interval_of(self.group));
        let seen = scrape.as_secs_f64() / evaluation.max(scrape).as_secs_f64();
        let message = format!(
            "`irate` uses the last two samples, {} of time, every {}: it sees {:.0} % of the time, and one calm pair resets `for`",
            print(scrape),
            print(evaluation),
            seen * 100.0
        );
        Some(self.finding(FindingCode::InstantRate, message, "use `rate`"))
    }

    fn up_without_absent(&self) -> Option<Finding> {
        let Expr::Binary(binary) = unparenthesised(&self.rule.ast) else { return None };
        let is_up = matches!(unparenthesised(&binary.lhs), Expr::VectorSelector(selector) if selector.name.as_deref() == Some("up"));
        let watched = self.config.alerts().any(|(_, rule)| {
            let mut absent = false;
            visit(&rule.ast, &mut |node| {
                absent |= matches!(node, Expr::Call(call) if call.func.name.starts_with("absent"))
            });
            absent
        });
        if binary.op.id() != T_EQLC || !is_up || watched {
            return None;
        }
        let message =
            "a target that is no longer in the configuration has no `up` at all, and no rule asks for `absent(up…)`"
                .to_owned();
        Some(self.finding(FindingCode::UpWithoutAbsent, message, "add an alert on `absent(up{job=\"…\"})`"))
    }

    /// `sum by (job)` and `{{ $labels.instance }}`: nothing stands there.
    fn dropped_label(&self) -> Option<Finding> {
        let kept = kept_labels(&self.rule.ast)?;
        let texts = self.rule.annotations.iter().chain(&self.rule.labels);
        let (name, label) = texts
            .filter_map(|(name, text)| Some((name, used_labels(text).into_iter().find(|label| !kept.contains(label))?)))
            .next()?;
        let message = format!(
            "`{name}` shows `$labels.{label}`, and the expression keeps {} only: the text has a hole",
            if kept.is_empty() { "no label".to_owned() } else { format!("`{}`", kept.join("`, `")) }
        );
        Some(self.finding(
            FindingCode::DroppedLabel,
            message,
            "keep the label with `by (…)`, or leave it out of the text",
        ))
    }

    fn quantile_without_le(&self) -> Option<Finding> {
        let mut found = false;
        visit(&self.rule.ast, &mut |node| {
            if let Expr::Call(call) = node
                && call.func.name == "histogram_quantile"
                && let Some(Expr::Aggregate(aggregate)) = call.args.args.get(1).map(AsRef::as_ref)
            {
                let le = aggregate.modifier.as_ref().map(|modifier| {
                    (modifier.is_include(), modifier.labels().labels.iter().any(|label| label == "le"))
                });
                found |= !matches!(le, Some((true, true) | (false, false)));
            }
        });
        let message = "the aggregation drops `le`, so no bucket is left and the quantile is always empty".to_owned();
        found.then(|| self.finding(FindingCode::QuantileWithoutLe, message, "add `le` to `by (…)`"))
    }
}

/// The longest scrape interval, which is the worst for a window.
fn longest_scrape(config: &PrometheusConfig) -> Duration {
    config.jobs.iter().map(|job| job.interval).max().unwrap_or(config.scrape_interval)
}

/// Whether a window holds too few samples for its function.
pub(super) fn too_short(config: &PrometheusConfig, window: &Window) -> Option<(FindingCode, String)> {
    let recorded = window.metric.as_deref().and_then(|metric| config.record(metric));
    let step = recorded.map_or_else(|| longest_scrape(config), |(group, _)| config.interval_of(group));
    if window.subquery || !NEEDS_TWO.contains(&window.function.as_str()) || window.range >= step * 4 {
        return None;
    }
    let samples = window.range.as_secs_f64() / step.as_secs_f64();
    let numbers = format!(
        "`{}` over {} at a sample every {} has {samples:.1} samples",
        window.function,
        print(window.range),
        print(step)
    );
    Some(if window.range < step * 2 {
        (FindingCode::EmptyRange, format!("{numbers} and needs two: it has no value most of the time"))
    } else {
        (FindingCode::ShortWindow, format!("{numbers}: one lost scrape leaves too few"))
    })
}

/// Whether the alert is on a value that is too high.
fn raises(expr: &Expr) -> bool {
    match unparenthesised(expr) {
        Expr::Binary(binary) if binary.op.id() == T_LAND || binary.op.id() == T_LOR => raises(&binary.lhs),
        Expr::Binary(binary) => matches!(binary.op.id(), T_GTR | T_GTE),
        _ => false,
    }
}

/// The labels an expression keeps, where an aggregation names them; none where that cannot be known.
fn kept_labels(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Paren(paren) => kept_labels(&paren.expr),
        Expr::Aggregate(aggregate) => match &aggregate.modifier {
            None => Some(Vec::new()),
            Some(modifier) if modifier.is_include() => Some(modifier.labels().labels.clone()),
            Some(_) => None,
        },
        Expr::Binary(binary) if binary.op.id() != T_LOR => {
            let joins = binary.modifier.as_ref().is_some_and(|modifier| {
                modifier.matching.is_some() && binary.op.id() != T_LAND && binary.op.id() != T_LUNLESS
            });
            let (lhs, rhs) = (&binary.lhs, &binary.rhs);
            match (promql::constant_value(lhs), promql::constant_value(rhs)) {
                (Some(_), None) => kept_labels(rhs),
                _ if joins => None,
                _ => kept_labels(lhs),
            }
        }
        Expr::Call(call) if call.func.name == "histogram_quantile" => {
            let mut kept = kept_labels(call.args.args.get(1)?)?;
            kept.retain(|label| label != "le");
            Some(kept)
        }
        _ => None,
    }
}

/// The labels a template names as `$labels.x` or `.Labels.x`.
fn used_labels(text: &str) -> Vec<String> {
    let uses = ["$labels.", ".Labels."];
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let at = |mark: &'static str| text.match_indices(mark).map(move |(at, _)| name(&text[at + mark.len()..]));
    uses.into_iter().flat_map(at).filter(|label| !label.is_empty()).collect()
}

fn unparenthesised(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => unparenthesised(&paren.expr),
        other => other,
    }
}

fn born_late(selector: &VectorSelector) -> Option<String> {
    let matcher = selector.matchers.matchers.iter().find(|matcher| {
        let selects =
            matches!(matcher.op, MatchOp::Equal | MatchOp::Re(_)) && !matcher.value.is_empty() && matcher.value != ".+";
        selects && BORN_LATE.contains(&matcher.name.as_str())
    })?;
    Some(matcher.to_string())
}

fn visit<'a>(expr: &'a Expr, see: &mut impl FnMut(&'a Expr)) {
    promql::walk(expr, see);
}
