//! Expectations: names, modes, bounds that cross, and promises that the configuration cannot keep.

use super::Linter;
use super::query::{LogResult, log_result};
use crate::scenario::Spanned;
use crate::scenario::diagnostic::{Code, Finding};
use crate::scenario::duration::{Period, human};
use crate::scenario::model::{
    AlertExpectation, Expectation, LoadExpectation, LogExpectation, Mode, Target, That, WantedState, Window,
};
use crate::scenario::suggest;
use crate::scenario::surroundings::{AlertBounds, Between};

impl Linter<'_> {
    pub(super) fn expectations(&mut self) {
        for expectation in &self.scenario.expect {
            self.window(&expectation.during);
            self.mode(expectation);
            self.within(expectation);
            self.that(expectation);
        }
        self.redundant_allowance();
    }

    fn that(&mut self, expectation: &Expectation) {
        match expectation.that.get() {
            That::Metric(metric) => self.metric(expectation, metric),
            That::Alert(alert) => self.alert_expectation(expectation, alert),
            That::Notification(_) | That::Heartbeat(_) | That::Inhibition(_) | That::Silence(_) | That::MuteTime(_) => {
                self.that_message(expectation)
            }
            That::Log(log) => self.log(log),
            That::Agreement(agreement) => self.agreement(agreement, expectation),
            That::Dashboard(dashboard) => self.dashboard(expectation, dashboard),
            That::Target(target) => self.target(target),
            That::Series(series) => self.series(series, &expectation.that),
            That::Load(load) => self.load_expectation(load, &expectation.that),
        }
    }

    fn mode(&mut self, expectation: &Expectation) {
        let Some(written) = &expectation.mode else { return };
        let kind = expectation.that.kind();
        let mode = *written.get();
        let fits = match kind {
            "metric" | "alert" | "dashboard" | "target" => true,
            "notification" | "log" => mode != Mode::Throughout,
            _ => mode == Mode::Eventually,
        };
        if !fits {
            let message = format!("`{kind}` has no such mode: it is judged over the whole window");
            self.error(Code::Contradiction, written, message);
        }
        let times = [expectation.within(), expectation.that.fires_after()];
        for within in times.into_iter().flatten().filter(|_| mode != Mode::Eventually) {
            let message = "time to become true goes with `mode = \"eventually\"` only";
            let finding = Finding::error(Code::Contradiction, within.span(), message);
            self.report(finding.label(written.span(), "another mode here"));
        }
    }

    fn within(&mut self, expectation: &Expectation) {
        let Some(within) = expectation.within() else { return };
        if let (Some(outer), Some(inner)) = (&expectation.within, expectation.that.within()) {
            let finding = Finding::error(Code::Contradiction, inner.span(), "the time it may take is written twice");
            return self.report(finding.label(outer.span(), "first here"));
        }
        let comes_later = matches!(expectation.that.kind(), "alert" | "notification" | "log");
        if let Some(length) = self.length(&expectation.during).filter(|length| !comes_later && within.0 > *length) {
            let message = format!(
                "`within` {within} is longer than the window `{}`, which lasts {}",
                *expectation.during,
                human(length)
            );
            self.error(Code::WithinTooLong, within, message);
        }
    }

    fn alert_expectation(&mut self, expectation: &Expectation, alert: &AlertExpectation) {
        self.alert(&alert.name);
        self.alert_labels(alert);
        self.crossed(alert);
        self.counted_from_a_fault(expectation, &[&alert.fires_after, &alert.fires_within, &alert.resolves_within]);
        if expectation.mode() != Mode::Eventually {
            return;
        }
        if alert.state == WantedState::Inactive {
            for bound in [&alert.fires_after, &alert.fires_within].into_iter().flatten() {
                self.error(Code::Contradiction, bound, "an alert that is to be inactive has no time to fire");
            }
            return;
        }
        let in_a_fault = !expectation.during.faults().is_empty();
        if in_a_fault && expectation.within().is_none() {
            let message = format!("the expectation does not say when `{}` must fire", alert.name);
            let finding = Finding::warning(Code::NoIntent, alert.name.span(), message);
            self.report(finding.help("state what the team promised: `fires-within = \"7m\"`"));
        }
        let Some(bounds) = self.surroundings.bounds.get(alert.name.get()) else { return };
        if alert.state == WantedState::Pending {
            return;
        }
        self.promise("fires", expectation.within(), bounds.fires.as_ref());
        self.promise("resolves", alert.resolves_within.as_ref(), bounds.resolves.as_ref());
        self.too_early(alert, bounds);
        self.too_short(expectation, &alert.name, bounds);
    }

    fn alert_labels(&mut self, alert: &AlertExpectation) {
        let Some(rules) = self.surroundings.alerts.as_ref().and_then(|alerts| alerts.get(alert.name.get())) else {
            return;
        };
        for (name, wanted) in &alert.labels {
            let set: Vec<&String> = rules.iter().filter_map(|rule| rule.labels.get(name)).collect();
            let other =
                set.len() == rules.len() && set.iter().all(|value| !value.contains("{{") && *value != wanted.get());
            if let Some(value) = set.first().filter(|_| other) {
                let message = format!("the rule of `{}` sets {name} = \"{value}\", not \"{wanted}\"", alert.name);
                self.report(Finding::warning(Code::WrongLabel, wanted.span(), message));
            }
        }
    }

    fn crossed(&mut self, alert: &AlertExpectation) {
        if let (Some(after), Some(within)) = (&alert.fires_after, &alert.fires_within)
            && after.0 > within.0
        {
            let message = format!(
                "the window ends before it starts: `fires-within` {within} is shorter than `fires-after` {after}"
            );
            self.report(
                Finding::error(Code::Unsatisfiable, within.span(), message).label(after.span(), "the other bound"),
            );
        }
    }

    /// Times that count from a fault need a window made of faults.
    pub(super) fn counted_from_a_fault(&mut self, expectation: &Expectation, times: &[&Option<Spanned<Period>>]) {
        if !expectation.during.faults().is_empty() {
            return;
        }
        for time in times.iter().copied().flatten() {
            let message = format!("this time counts from a fault, and `{}` is no fault", *expectation.during);
            self.report(
                Finding::error(Code::Contradiction, time.span(), message)
                    .label(expectation.during.span(), "the window"),
            );
        }
    }

    pub(super) fn promise(&mut self, verb: &str, promised: Option<&Spanned<Period>>, bounds: Option<&Between>) {
        let (Some(promised), Some(bounds)) = (promised, bounds) else { return };
        if promised.0 < bounds.floor {
            // no flake but a certainty, and the rules' fault rather than the scenario's: the run names the stage that is late
            let floor = human(bounds.floor);
            let message =
                format!("{promised} is a promise the configuration cannot keep: it {verb} after {floor} at best");
            self.report(Finding::warning(Code::Unsatisfiable, promised.span(), message));
        } else if promised.0 < bounds.ceiling {
            let ceiling = human(bounds.ceiling);
            let message = format!(
                "{promised} is a tighter promise than the configuration can keep: it {verb} within {ceiling} at worst"
            );
            let help = format!("{ceiling} = {}; promise at least that, or change the configuration", bounds.arithmetic);
            self.report(Finding::error(Code::PromiseTooTight, promised.span(), message).help(help));
        }
    }

    /// Only a warning: the run itself shows whether the alert fires too early.
    fn too_early(&mut self, alert: &AlertExpectation, bounds: &AlertBounds) {
        let (Some(after), Some(fires)) = (&alert.fires_after, &bounds.fires) else { return };
        if after.0 > fires.ceiling {
            let message = format!(
                "`{}` fires {} after the fault at the latest, so never after {after}",
                alert.name,
                human(fires.ceiling)
            );
            let help = format!("{} = {}", human(fires.ceiling), fires.arithmetic);
            self.report(Finding::warning(Code::Unsatisfiable, after.span(), message).help(help));
        }
    }

    pub(super) fn too_short(&mut self, expectation: &Expectation, alert: &Spanned<String>, bounds: &AlertBounds) {
        let Window::Fault(id) = expectation.during.get() else { return };
        let (Some(fault), Some(shortest)) = (self.scenario.fault(id), bounds.shortest_fault) else { return };
        let Some(lasts) = fault.r#for.as_ref().filter(|lasts| lasts.0 < shortest) else { return };
        let message = format!(
            "cannot be satisfied: `{alert}` needs a fault of at least {}, `{id}` lasts {lasts}",
            human(shortest)
        );
        let finding = Finding::error(Code::Unsatisfiable, lasts.span(), message);
        self.report(finding.label(alert.span(), "expected here"));
    }

    fn log(&mut self, log: &LogExpectation) {
        self.logql(&log.query);
        let lines = log_result(&log.query) == LogResult::Lines;
        if let Some(value) = log.value.as_ref().filter(|_| lines) {
            let finding = Finding::error(Code::Logql, value.span(), "a query for lines has no value; write `count`");
            self.report(finding.label(log.query.span(), "the query"));
        }
        if let Some(count) = log.count.as_ref().filter(|_| !lines) {
            let finding =
                Finding::error(Code::Logql, count.span(), "a query for numbers has no lines to count; write `value`");
            self.report(finding.label(log.query.span(), "the query"));
        }
        if !lines && log.value.is_none() {
            self.error(Code::MissingKey, &log.query, "a query for numbers needs `value = \"...\"` to compare with");
        }
        if let Some(field) = log.fields.first().filter(|_| !lines) {
            self.error(Code::Logql, field, "a query for numbers has no lines with fields");
        }
    }

    fn target(&mut self, target: &Target) {
        let Some(jobs) = &self.surroundings.jobs else { return };
        if !jobs.contains(target.job.get()) {
            let help = suggest::help(&target.job, "jobs", jobs.iter().map(String::as_str));
            let message = format!("Prometheus has no job `{}`", target.job);
            self.report(Finding::error(Code::UnknownJob, target.job.span(), message).help(help));
        }
    }

    fn load_expectation(&mut self, expected: &LoadExpectation, that: &Spanned<That>) {
        self.load_named(&expected.name);
        if expected.latencies().next().is_none() && expected.errors.is_none() && expected.achieved.is_none() {
            let finding = Finding::error(Code::Vacuous, that.span(), "this asks nothing of the load");
            self.report(finding.help("add `p50` to `p99`, `max`, `errors` or `achieved`"));
        }
        let load = self.scenario.load.iter().find(|load| load.name.get() == expected.name.get());
        let (Some(load), Some(request)) = (load, &expected.request) else { return };
        let names: Vec<&str> = load.requests().map(|request| request.name.as_str()).collect();
        if !names.contains(&request.as_str()) {
            let message = format!("the load `{}` has no request `{request}`", load.name);
            let finding = Finding::error(Code::UnknownLoad, request.span(), message);
            self.report(finding.help(suggest::help(request, "requests", names)));
        }
    }

    /// An alert that is expected needs no allowance.
    fn redundant_allowance(&mut self) {
        let expected = |name: &str| {
            self.scenario.expect.iter().find_map(|expectation| match expectation.that.get() {
                That::Alert(alert) if expectation.mode() == Mode::Eventually && alert.name.as_str() == name => {
                    Some(&alert.name)
                }
                _ => None,
            })
        };
        let redundant = self.scenario.alerts.allowed.iter().filter_map(|name| Some((name, expected(name)?)));
        let findings: Vec<Finding> = redundant
            .map(|(name, first)| {
                let message = format!("`{name}` is expected anyway, so that it needs no allowance");
                Finding::warning(Code::Ineffective, name.span(), message).label(first.span(), "expected here")
            })
            .collect();
        self.findings.extend(findings);
    }
}
