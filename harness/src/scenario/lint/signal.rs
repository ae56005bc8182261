//! Expectations about signals: metrics, series, agreements, dashboards.

use super::Linter;
use crate::scenario::Spanned;
use crate::scenario::diagnostic::{Code, Finding};
use crate::scenario::model::{
    Agreement, Counted, Dashboard, Expectation, Metric, MetricType, Mode, Series, Shows, That, Window,
};
use crate::scenario::suggest;

impl Linter<'_> {
    pub(super) fn metric(&mut self, expectation: &Expectation, metric: &Metric) {
        self.promql(&metric.query);
        if !metric.exact {
            return;
        }
        if !selector_only(&metric.query) {
            let message = "`exact` counts the raw samples of a counter: the query has to be a plain selector";
            let finding = Finding::error(Code::Promql, metric.query.span(), message);
            self.report(finding.help("leave `increase(…[…])` and aggregations out; each series is compared by itself"));
        }
        if let Some(mode) = expectation.mode.as_ref().filter(|mode| *mode.get() == Mode::Throughout) {
            self.error(Code::Contradiction, mode, "an exact count is one number for the whole window");
        }
    }

    pub(super) fn agreement(&mut self, agreement: &Agreement, expectation: &Expectation) {
        let that = &expectation.that;
        if agreement.of != Counted::Requests && *expectation.during.get() != Window::Run {
            let message =
                format!("`{}`: what is counted from the begin to the end goes with `run` only", *expectation.during);
            self.error(Code::Contradiction, &expectation.during, message);
        }
        if let [only] = agreement.between.as_slice() {
            self.error(Code::OutOfRange, only, "an agreement needs at least two observers");
        }
        for (index, observer) in agreement.between.iter().enumerate() {
            if let Some(first) = agreement.between[..index].iter().find(|first| *first == observer) {
                let finding = Finding::error(Code::DuplicateName, observer.span(), "this observer stands twice");
                self.report(finding.label(first.span(), "first here"));
            }
        }
        if agreement.of != Counted::LogLines && self.scenario.load.is_empty() {
            let message = "nothing sends requests: the scenario has no [[load]], so that everybody agrees on zero";
            self.error(Code::Vacuous, that, message);
        }
        self.unique(agreement.by.iter(), "dimension");
        let Some(dimensions) = &self.surroundings.dimensions else { return };
        for name in agreement.by.iter().filter(|name| !dimensions.contains(name.get())) {
            let help = suggest::help(name, "dimensions", dimensions.iter().map(String::as_str));
            let message = format!("`{}`: [signals] in the stack does not tell requests apart by `{name}`", that.kind());
            self.findings.push(Finding::error(Code::UnknownValue, name.span(), message).help(help));
        }
    }

    pub(super) fn dashboard(&mut self, expectation: &Expectation, dashboard: &Dashboard) {
        self.unique(dashboard.panels.iter(), "panel");
        let compares = matches!(dashboard.shows, Shows::Rises | Shows::Falls);
        if compares && matches!(expectation.during.get(), Window::Baseline | Window::Run) {
            let message =
                format!("`{}` holds the baseline itself, with which a panel is compared", *expectation.during);
            self.error(Code::Contradiction, &expectation.during, message);
        }
        let Some(dashboards) = &self.surroundings.dashboards else { return };
        let Some(titles) = dashboards.get(dashboard.uid.get()) else {
            let help = suggest::help(&dashboard.uid, "dashboards", dashboards.keys().map(String::as_str));
            let message = format!("no dashboard with the uid `{}` is provisioned", dashboard.uid);
            self.report(Finding::error(Code::UnknownValue, dashboard.uid.span(), message).help(help));
            return;
        };
        for panel in dashboard.panels.iter().filter(|panel| !titles.contains(panel.get())) {
            let help = suggest::help(panel, "panels", titles.iter().map(String::as_str));
            let message = format!("the dashboard `{}` has no panel `{panel}`", dashboard.uid);
            self.findings.push(Finding::error(Code::UnknownValue, panel.span(), message).help(help));
        }
    }

    pub(super) fn series(&mut self, series: &Series, that: &Spanned<That>) {
        let asks = series.r#type.is_some() || series.unit.is_some() || series.max_series.is_some();
        if !asks && series.labels.is_empty() && series.buckets.is_empty() && !series.zero_initialised {
            let finding = Finding::error(Code::Vacuous, that.span(), "this asks nothing of the series");
            let help = "add `type`, `unit`, `labels`, `buckets`, `max-series` or `zero-initialised`";
            self.report(finding.help(help));
        }
        let counts = |kind: Option<MetricType>| matches!(kind, None | Some(MetricType::Histogram));
        if let Some(bucket) = series.buckets.first().filter(|_| !counts(series.r#type)) {
            self.error(Code::Contradiction, bucket, "only a histogram has buckets");
        }
        if let Some(bucket) = series.buckets.iter().find(|bound| !bound.get().is_finite()) {
            self.error(Code::OutOfRange, bucket, "a boundary is a finite number; +Inf is always there");
        }
    }
}

/// Whether a query is nothing but a selector, without a range, an operator or a function.
fn selector_only(query: &str) -> bool {
    let query = query.trim();
    let name = query.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(query.len());
    let rest = query[name..].trim();
    let closed = |rest: &str| {
        let mut quoted = None;
        let end = rest.char_indices().position(|(_, c)| match (quoted, c) {
            (None, '"' | '\'' | '`') => {
                quoted = Some(c);
                false
            }
            (Some(open), c) if open == c => {
                quoted = None;
                false
            }
            (None, '}') => true,
            _ => false,
        });
        end.is_some_and(|end| end + 1 == rest.chars().count())
    };
    rest.is_empty() || rest.starts_with('{') && closed(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_selector_is_told_from_everything_else() {
        for good in ["up", "up{job=\"a\"}", "  {__name__=\"x\"} ", "x{a=\"}\", b=~\"[5m]\"}"] {
            assert!(selector_only(good), "{good}");
        }
        for bad in ["rate(up[5m])", "up[5m]", "up offset 5m", "up + up", "sum(up)", "up{a=\"b\"} > 5", "up{a=\"b\""] {
            assert!(!selector_only(bad), "{bad}");
        }
    }
}
