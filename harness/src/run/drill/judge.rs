//! When and what the loop judges: the baseline before any fault, the rest when everything that may come has come.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Floor, Input, LOGS_SETTLE, LOOK};
use crate::clock::Stamp;
use crate::event::EventKind;
use crate::expect::{Expectation, Mode, Window};
use crate::outcome::{Evidence, Outcome, Reason};
use crate::plan::build::{During, Step};
use crate::run::gather::{self, Sources};
use crate::run::timeline::Baseline;

impl Floor {
    /// From now on the loop looks again and again whether everything that may still come has come.
    pub(super) fn collect(&mut self) {
        self.collecting = Some(self.sink().now());
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
            _ => return false,
        };
        let open = [Reason::NeverFired, Reason::NeverResolved, Reason::ResolvedMissing, Reason::HopPromAm];
        let late = [Reason::HopAmReceiver, Reason::NoCoverage, Reason::WrongReceiver, Reason::Suppressed];
        outcome.reason().is_some_and(|reason| open.contains(&reason) || late.contains(&reason))
    }

    pub(super) fn sources(&self, settled: Stamp) -> Sources<'_> {
        Sources {
            prometheus: &self.built.clients.prometheus,
            loki: self.built.clients.loki.as_ref(),
            record: &self.record,
            loads: &self.summaries,
            signals: &self.drill.place.prepared.spec().signals,
            base: &self.base,
            scrape: self.scrape(),
            time: self.time(),
            settled,
        }
    }

    /// Judges what must hold before any fault.
    pub(super) async fn judge_baseline(&mut self) -> Baseline {
        let end = self.sink().now();
        self.times.baseline_end = Some(end);
        tokio::time::sleep(self.scrape() * 2).await;
        for (name, handle) in &mut self.handles {
            self.summaries.insert(name.clone(), handle.snapshot().await);
        }
        let plan = Arc::clone(&self.drill.plan);
        let mut steady = Baseline::Steady;
        for step in &plan.expectations {
            let outcome = if step.during == During::Baseline {
                let Some(window) = self.times.window(&step.during, plan.echo) else { continue };
                gather::judge(step, window, self.sources(end + self.scrape())).await
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
                Some(window) => self.judge_settled(step, window, settled).await,
                None => self.unreached(),
            };
            self.tell_outcome(step, outcome);
        }
    }

    /// Log lines may still be on their way: what depends on them is asked again until it holds or time is up.
    pub(super) async fn judge_settled(&self, step: &Step, window: Window, settled: Stamp) -> Outcome {
        let deadline = tokio::time::Instant::now() + LOGS_SETTLE;
        loop {
            let outcome = gather::judge(step, window, self.sources(settled)).await;
            let by_logs = matches!(step.what, Expectation::Log(_) | Expectation::Agreement(_));
            if outcome.is_passed() || !by_logs || tokio::time::Instant::now() >= deadline {
                return outcome;
            }
            tokio::time::sleep(LOOK * 4).await;
        }
    }

    pub(super) fn unreached(&self) -> Outcome {
        match self.unreachable_because {
            Some((reason, why)) => Outcome::Skipped(reason, Evidence::new(why)),
            None => {
                let evidence = Evidence::new("the scenario ended before this window began");
                Outcome::Inconclusive(Reason::NoCoverage, evidence)
            }
        }
    }
}
