//! When and what the loop judges: the baseline before any fault, the rest when everything that may come has come.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{MissedTickBehavior, interval};

use super::hear::alert_of;
use super::{Floor, Input, LOGS_SETTLE, LOOK};
use crate::breakpoint;
use crate::clock::Stamp;
use crate::event::EventKind;
use crate::expect::way::{self, Circumstances};
use crate::expect::{Expectation, Mode, Window};
use crate::fault::Fault;
use crate::outcome::{Evidence, Outcome, Reason};
use crate::plan::build::{During, Purpose, Step};
use crate::run::control;
use crate::run::gather::{self, Sources};
use crate::run::timeline::Baseline;
use crate::stack;

impl Floor {
    /// From now on the loop looks again and again whether everything that may still come has come.
    pub(super) fn collect(&mut self) {
        self.collecting = Some(self.sink().now());
        breakpoint::reached("collecting");
        let (sender, stop) = (self.sender.clone(), self.stop.clone());
        tokio::spawn(async move {
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                if sender.send(Input::Look).is_err() {
                    return;
                }
            }
        });
    }

    /// Everything sent has been scraped, and the pages that must come have come or cannot come in time any more.
    pub(super) fn may_judge(&self) -> bool {
        let Some(since) = self.collecting else { return false };
        let now = self.sink().now();
        if now < since + self.scrape() * 2 + Duration::from_millis(300) {
            return false;
        }
        let waiting = self.plan().expectations.iter().any(|step| {
            let Some(window) = self.times.window(&step.during, self.plan().echo) else { return false };
            now < window.observed_until && self.is_open(step, window)
        });
        !waiting
    }

    /// Whether a page, or its end, is still to come.
    pub(super) fn is_open(&self, step: &Step, window: Window) -> bool {
        let outcome = match &step.what {
            Expectation::Alert(spec) if step.mode == Mode::Eventually => {
                crate::expect::alert::judge(spec, step.mode, window, &self.record.history(&spec.name), self.time())
            }
            Expectation::Notification(spec) if step.mode == Mode::Eventually => {
                let history = self.record.history(&spec.alert);
                let mail = self.record.mail();
                crate::expect::notification::judge(spec, step.mode, window, &mail, &history, self.time())
            }
            Expectation::Suppression(spec) => {
                gather::judge_suppression(spec, &step.during, window, &self.record, &self.times, self.time())
            }
            _ => return false,
        };
        let open = [Reason::NeverFired, Reason::NeverResolved, Reason::ResolvedMissing, Reason::HopPromAm];
        let late = [Reason::HopAmReceiver, Reason::NoCoverage, Reason::WrongReceiver, Reason::Suppressed];
        outcome.reason().is_some_and(|reason| open.contains(&reason) || late.contains(&reason))
    }

    /// When Prometheus itself was the target of a fault, and until it had evaluated a few times again.
    pub(super) fn blind(&self) -> Vec<(Stamp, Stamp)> {
        let plan = self.plan();
        let spec = self.drill.place.prepared.spec();
        let Some((prometheus, _)) = spec.with_role(stack::spec::Role::Prometheus) else { return Vec::new() };
        let on_it = plan.faults.iter().zip(&plan.schedule.faults).filter_map(|(fault, step)| match fault {
            Fault::Process { target, .. } if target == prometheus => Some(step.id.as_str()),
            _ => None,
        });
        let config = &self.built.rendered.config.prometheus;
        let evaluation = config.groups.iter().map(|group| config.interval_of(group)).max();
        self.times.spans(&on_it.collect::<Vec<_>>(), evaluation.unwrap_or(config.evaluation_interval) * 3)
    }

    pub(super) fn sources<'a>(&'a self, settled: Stamp, blind: &'a [(Stamp, Stamp)]) -> Sources<'a> {
        Sources {
            prometheus: &self.built.clients.prometheus,
            loki: self.built.clients.loki.as_ref(),
            grafana: self.built.clients.grafana.as_ref(),
            record: &self.record,
            loads: &self.summaries,
            signals: &self.drill.place.prepared.spec().signals,
            base: &self.base,
            scrape: self.scrape(),
            time: self.time(),
            about: &self.about,
            settled,
            times: &self.times,
            blind,
        }
    }

    /// Judges what must hold before any fault.
    pub(super) async fn judge_baseline(&mut self) -> Baseline {
        let end = self.sink().now();
        self.times.baseline_end = Some(end);
        self.about.baseline = self.times.window(&During::Baseline, Duration::ZERO);
        tokio::time::sleep(self.scrape() * 2).await;
        for (name, handle) in &mut self.handles {
            self.summaries.insert(name.clone(), handle.snapshot().await);
        }
        let plan = Arc::clone(&self.drill.plan);
        let mut steady = Baseline::Steady;
        for step in &plan.expectations {
            let outcome = if step.during == During::Baseline {
                let Some(window) = self.times.window(&step.during, plan.echo) else { continue };
                checked(step, gather::judge(step, window, self.sources(end + self.scrape(), &[]))).await
            } else {
                let Some(outcome) = self.already_on(step, end) else { continue };
                outcome
            };
            if !outcome.is_passed() {
                steady = Baseline::Unsteady;
                let why = "the baseline did not hold, so nothing was broken";
                self.unreachable_because = Some((Reason::BaselineUnsteady, why));
            }
            self.tell_outcome(step, outcome);
        }
        steady
    }

    /// An alert that is on before its fault proves nothing when it is on afterwards.
    pub(super) fn already_on(&self, step: &Step, now: Stamp) -> Option<Outcome> {
        let Expectation::Alert(spec) = &step.what else { return None };
        if step.mode != Mode::Eventually || !matches!(step.during, During::All(_) | During::Any(_)) {
            return None;
        }
        let window = Window::plain(now, now);
        let history = self.record.history(&spec.name);
        let outcome = crate::expect::alert::judge(spec, step.mode, window, &history, self.time());
        (outcome.reason() == Some(Reason::FiringAtBaseline)).then_some(outcome)
    }

    pub(super) fn tell_outcome(&mut self, step: &Step, outcome: Outcome) {
        self.judged.insert(step.id.clone(), outcome.is_passed());
        self.sink().tell(EventKind::ExpectationJudged { expectation: step.id.clone(), outcome });
    }

    pub(super) async fn judge_rest(&mut self) {
        let plan = Arc::clone(&self.drill.plan);
        if self.unreachable_because.is_none() {
            self.complete().await;
        }
        let settled = self.sink().now();
        for step in plan.expectations.iter().filter(|step| !self.judged.contains_key(&step.id)).collect::<Vec<_>>() {
            let outcome = match self.times.window(&step.during, plan.echo) {
                Some(window) => {
                    let outcome = self.judge_settled(step, window, settled).await;
                    self.with_its_way(step, window, outcome)
                }
                None => self.unreached(step),
            };
            let outcome = if plan.purpose == Purpose::Control { control::read(step, outcome) } else { outcome };
            self.tell_outcome(step, outcome);
        }
    }

    /// Log lines may still be on their way: what depends on them is asked again until it holds or time is up.
    pub(super) async fn judge_settled(&self, step: &Step, window: Window, settled: Stamp) -> Outcome {
        let deadline = tokio::time::Instant::now() + LOGS_SETTLE;
        let blind = self.blind();
        loop {
            let outcome = checked(step, gather::judge(step, window, self.sources(settled, &blind))).await;
            let by_logs = matches!(step.what, Expectation::Log(_) | Expectation::Agreement(_));
            if outcome.is_passed() || !by_logs || tokio::time::Instant::now() >= deadline {
                return outcome;
            }
            tokio::time::sleep(LOOK * 4).await;
        }
    }

    /// Completes the way of a page by what the raw samples said.
    fn with_its_way(&self, step: &Step, window: Window, outcome: Outcome) -> Outcome {
        let bound = match &step.what {
            Expectation::Alert(spec) => spec.bound.as_ref(),
            Expectation::Notification(spec) => spec.bound.as_ref(),
            _ => None,
        };
        let truth = alert_of(&step.what).and_then(|alert| self.truth.get(&alert));
        let reverting = self.times.reverting(&step.during).unwrap_or(window.end);
        way::complete(outcome, Circumstances { window, reverting, bound, truth, time: self.time() })
    }

    pub(super) fn unreached(&self, step: &Step) -> Outcome {
        if let During::All(ids) | During::Any(ids) = &step.during
            && let Some(id) = ids.iter().find(|id| self.ineffective.contains(*id))
        {
            let evidence = Evidence::new(format!("the fault {id} had no effect, so nothing was shown"));
            return Outcome::Inconclusive(Reason::FaultNotEffective, evidence);
        }
        match self.unreachable_because {
            Some((Reason::TargetAbsent, _)) if self.asks_for_up_only(step) => {
                let summary = "its rule asks for `up`, and a target that Prometheus does not know has none: it can never fire; only \
                               an alert on `absent(up{…})` would";
                Outcome::Failed(Reason::NeverFired, Evidence::new(summary))
            }
            Some((reason, why)) => Outcome::Skipped(reason, Evidence::new(why)),
            None => {
                let evidence = Evidence::new("the scenario ended before this window began");
                Outcome::Inconclusive(Reason::NoCoverage, evidence)
            }
        }
    }

    /// Whether an alert must fire whose rules see nothing but `up` of the service's job.
    fn asks_for_up_only(&self, step: &Step) -> bool {
        let (Expectation::Alert(_), Mode::Eventually) = (&step.what, step.mode) else { return false };
        let Some(target) = &self.drill.place.prepared.spec().signals.target else { return false };
        let alert = alert_of(&step.what).unwrap_or_default();
        let rules = self.built.rendered.config.prometheus.alerts_named(&alert);
        !rules.is_empty() && rules.iter().all(|(_, rule)| rule.sees_only_up(&target.job))
    }
}

/// A check that panics is a bug of the harness at this expectation; the others are judged nevertheless.
async fn checked(step: &Step, check: impl Future<Output = Outcome>) -> Outcome {
    let check = async {
        breakpoint::reached(&step.id);
        check.await
    };
    AssertUnwindSafe(check).catch_unwind().await.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        Outcome::Inconclusive(Reason::Bug, Evidence::new(format!("the check panicked: {said}")))
    })
}
