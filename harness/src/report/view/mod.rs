//! A run as a reader wants to see it: the event log folded into scenarios, lanes and outcomes. Fed by the events of a log
//! (also one that stops half-way), read by every rendering, so that all of them tell the same story.

mod fold;
mod lane;
mod life;
mod ready;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Stamp;
use crate::event::{ExpectationPlan, FaultPlan, LoadSample, LoadTotals, Notification, Phase, ScenarioPlan, Verdict};
use crate::outcome::{Outcome, Reason};
use crate::report::length::Ruler;
use crate::verdict::Judgement;

pub use fold::of;
pub use lane::{Interval, Lane};
pub use life::{Life, Used};
pub use ready::Ready;
pub use tally::Tally;

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// What ran where.
    pub run: Run,
    /// The scenarios in the order of the run.
    pub scenarios: Vec<Scenario>,
    /// The run's verdict; never a pass when the log is incomplete.
    pub verdict: Verdict,
    /// The exit code that belongs to it.
    pub exit_code: u8,
    /// Whether the log has its end.
    pub ending: Ending,
    /// Warnings that belong to no scenario.
    pub warnings: Vec<String>,
    /// What could not be removed and belongs to no scenario: resource, why.
    pub leftovers: Vec<(String, String)>,
    /// The signal that ended it.
    pub signal: Option<String>,
}

/// The head of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// The harness's version.
    pub harness: String,
    /// Production seconds per real second.
    pub time_scale: f64,
    /// `local`, `docker` or `attach`.
    pub provider: String,
    /// Why that one.
    pub provider_because: String,
    /// Facts on the machine.
    pub machine: BTreeMap<String, String>,
    /// The first event.
    pub began: Stamp,
    /// The last event.
    pub ended: Stamp,
}

/// Whether what is shown has its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last event is the last one of a complete log.
    Complete,
    /// The log stops half-way.
    Incomplete,
}

/// A scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Its plan; none if it never began.
    pub plan: Option<ScenarioPlan>,
    /// Its verdict and the reasons.
    pub judgement: Judgement,
    /// Whether it came to its end.
    pub ending: Ending,
    /// Its first event.
    pub began: Option<Stamp>,
    /// Its last event.
    pub ended: Stamp,
    /// The phases in order.
    pub phases: Vec<Span>,
    /// The components in the order they were started.
    pub components: Vec<Component>,
    /// How long it took until everything was ready; none if it never was.
    pub ready: Option<Ready>,
    /// The expectations in the author's order.
    pub expectations: Vec<Expectation>,
    /// The faults in the order of the plan.
    pub faults: Vec<Fault>,
    /// The loads by name.
    pub loads: Vec<Load>,
    /// The alerts that were ever pending or firing.
    pub alerts: Vec<Lane>,
    /// Rules that failed to evaluate: when, rule, health, error.
    pub rules: Vec<(Stamp, String, String, String)>,
    /// Servers that failed to answer or came back: when, component, what.
    pub reachability: Vec<(Stamp, String, String)>,
    /// What the receivers got, by time.
    pub notifications: Vec<Notification>,
    /// Rewritten files.
    pub configs: Vec<Config>,
    /// What is not tested in a scaled run.
    pub caveats: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// What made it not a pass, besides expectations.
    pub troubles: Vec<Trouble>,
    /// Why it was not run.
    pub skipped: Option<(Reason, String)>,
}

/// A phase that took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which.
    pub phase: Phase,
    /// From.
    pub begin: Stamp,
    /// To; the last event of the scenario for the last phase.
    pub end: Stamp,
}

/// A component of the stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where its binary comes from.
    pub source: String,
    /// Its addresses.
    pub addresses: BTreeMap<String, String>,
    /// How long it took to be ready; none if it never was.
    pub took: Option<Duration>,
    /// What happened to it and what it used.
    pub life: Life,
}

/// An expectation and what it came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// As planned.
    pub plan: ExpectationPlan,
    /// Its outcome; none if it was never judged.
    pub outcome: Option<Outcome>,
}

/// A fault and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// As planned.
    pub plan: FaultPlan,
    /// The injector is called.
    pub injecting: Option<Stamp>,
    /// The injector returned.
    pub injected: Option<Stamp>,
    /// The probe shows that it bites.
    pub proved: Option<Stamp>,
    /// The revert is called.
    pub reverting: Option<Stamp>,
    /// The probe shows that it is gone.
    pub gone: Option<Stamp>,
    /// What the probes saw, in order: when, what was found, in words.
    pub probes: Vec<(Stamp, Finding, String)>,
}

/// What a probe of a fault found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It bites.
    Proved,
    /// It has no effect.
    NotEffective,
    /// It stopped biting too early.
    Lost,
    /// It is gone.
    Gone,
    /// It is still there.
    NotReverted,
}

impl Finding {
    /// In words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proved => "proved to bite",
            Self::NotEffective => "not effective",
            Self::Lost => "lost",
            Self::Gone => "proved gone",
            Self::NotReverted => "not reverted",
        }
    }
}

/// A load.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Its name.
    pub name: String,
    /// As planned, in words.
    pub description: String,
    /// Second by second.
    pub samples: Vec<LoadSample>,
    /// At its end; none if the log stops before.
    pub totals: Option<LoadTotals>,
}

/// A rewritten file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The user's file.
    pub file: String,
    /// The copy that ran.
    pub copy: String,
    /// Unified diff between them.
    pub diff: String,
}

/// Something besides an expectation that keeps a scenario from passing.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What it makes of the scenario.
    pub verdict: Verdict,
    /// Its reason code.
    pub reason: Reason,
    /// What, for example `stack: prometheus` or `fault burst`.
    pub title: String,
    /// In words.
    pub message: String,
    /// The component's own last log lines.
    pub last_lines: Vec<String>,
}

impl View {
    /// From the first event to the last.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.run.ended.since(self.run.began)
    }

    /// The expectations of all scenarios.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.scenarios.iter().map(Scenario::tally).fold(Tally::default(), |sum, one| Tally {
            passed: sum.passed + one.passed,
            failed: sum.failed + one.failed,
            inconclusive: sum.inconclusive + one.inconclusive,
            skipped: sum.skipped + one.skipped,
            open: sum.open + one.open,
        })
    }
}

impl Scenario {
    /// From its first event to its last; none if it never began.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        self.began.map(|began| self.ended.since(began))
    }

    /// Production seconds per real second.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.plan.as_ref().map_or(1.0, |plan| plan.time_scale)
    }

    /// Zero of its time axis: the first fault, else the baseline, else the start.
    #[must_use]
    pub fn ruler(&self) -> Ruler {
        let fault = self.faults.iter().filter_map(|fault| fault.injecting).min();
        let phase = |wanted| self.phases.iter().find(|span| span.phase == wanted).map(|span| span.begin);
        let origin = fault.or_else(|| phase(Phase::Baseline)).or(self.began).unwrap_or(self.ended);
        Ruler { origin, scale: self.scale() }
    }

    /// What is zero on its time axis, in words.
    #[must_use]
    pub fn origin(&self) -> &'static str {
        if self.faults.iter().any(|fault| fault.injecting.is_some()) {
            "the first fault"
        } else if self.phases.iter().any(|span| span.phase == Phase::Baseline) {
            "the start of the baseline"
        } else {
            "the start of the scenario"
        }
    }

    /// Its expectations by outcome.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for expectation in &self.expectations {
            match &expectation.outcome {
                Some(Outcome::Passed(_)) => tally.passed += 1,
                Some(Outcome::Failed(..)) => tally.failed += 1,
                Some(Outcome::Inconclusive(..)) => tally.inconclusive += 1,
                Some(Outcome::Skipped(..)) => tally.skipped += 1,
                None => tally.open += 1,
            }
        }
        tally
    }
}

impl Expectation {
    /// `passed`, `failed`, `inconclusive`, `skipped` or `not judged`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.outcome.as_ref().map_or("not judged", Outcome::word)
    }

    /// The order in which readers want them: failed first, passed last.
    #[must_use]
    pub const fn urgency(&self) -> u8 {
        match &self.outcome {
            Some(Outcome::Failed(..)) => 0,
            Some(Outcome::Inconclusive(..)) => 1,
            None => 2,
            Some(Outcome::Skipped(..)) => 3,
            Some(Outcome::Passed(_)) => 4,
        }
    }
}

/// The verdict as a word of capitals.
#[must_use]
pub const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Invalid => "INVALID",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::Environment => "ENVIRONMENT",
        Verdict::Leftovers => "LEFTOVERS",
        Verdict::Bug => "BUG",
        Verdict::Interrupted => "INTERRUPTED",
        Verdict::Skipped => "SKIPPED",
    }
}

/// The verdict in a sentence.
#[must_use]
pub const fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "Every expectation held, every fault bit and was undone.",
        Verdict::Fail => "At least one expectation did not hold.",
        Verdict::Invalid => "A scenario or its stack does not hold water.",
        Verdict::Inconclusive => "It could not be decided: something needed for a verdict was not seen.",
        Verdict::Environment => "The stack could not be brought up.",
        Verdict::Leftovers => "Something this run created could not be removed.",
        Verdict::Bug => "A bug in the harness.",
        Verdict::Interrupted => "The run was ended before it was complete.",
        Verdict::Skipped => "Not run on purpose.",
    }
}

/// The phase's name.
#[must_use]
pub const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Startup => "start-up",
        Phase::WarmUp => "warm-up",
        Phase::Baseline => "baseline",
        Phase::Drill => "drill",
        Phase::Recovery => "recovery",
        Phase::Collection => "collection",
        Phase::Teardown => "teardown",
    }
}
