//! What came of a drill, read back from the run's folder as a report would read it. Made by `stand`, read by the tests.

use std::path::PathBuf;

use harness::event::{Event, EventKind, Verdict};
use harness::outcome::{Outcome, Reason};
use harness::verdict::{self, Judgement};

use crate::running::Ended;

/// A drill that has ended.
#[derive(Clone, Debug)]
pub struct Drill {
    /// How the process ended and what it said.
    pub ended: Ended,
    /// The run's folder.
    pub folder: PathBuf,
    /// The event log.
    pub events: Vec<Event>,
    /// `run.json`.
    pub json: serde_json::Value,
}

impl Drill {
    /// The run's id.
    #[must_use]
    pub fn run(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The verdict on the only scenario.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        let (judged, _) = verdict::of_run(&self.events);
        judged.into_iter().next().expect("a drill has a scenario").1
    }

    /// How an expectation ended; `alert-1` is the first alert expectation.
    ///
    /// # Panics
    /// When it was not judged.
    #[must_use]
    pub fn outcome(&self, id: &str) -> &Outcome {
        let found = self.events.iter().find_map(|event| match &event.what {
            EventKind::ExpectationJudged { expectation, outcome } if expectation == id => Some(outcome),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{id} was not judged\n{}", self.account()))
    }

    /// Why the stack was not accepted; none when it was.
    #[must_use]
    pub fn stack_failure(&self) -> Option<(Reason, &str)> {
        self.events.iter().find_map(|event| match &event.what {
            EventKind::StackFailed { reason, message, .. } => Some((*reason, message.as_str())),
            _ => None,
        })
    }

    /// Whether any load was sent.
    #[must_use]
    pub fn sent_load(&self) -> bool {
        let sent = |event: &&Event| matches!(&event.what, EventKind::LoadSampled(sample) if sample.started > 0);
        self.events.iter().any(|event| sent(&event))
    }

    /// Everything a reader of a failed test wants to know.
    #[must_use]
    pub fn account(&self) -> String {
        let judged = self.events.iter().filter_map(|event| match &event.what {
            EventKind::ExpectationJudged { expectation, outcome } => Some(format!(
                "  {expectation}: {} {} — {}",
                outcome.word(),
                outcome.reason().map_or("", Reason::code),
                outcome.evidence().summary
            )),
            EventKind::StackFailed { reason, message, .. } => Some(format!("  stack: {reason} — {message}")),
            EventKind::FaultNotEffective { fault, probe } => Some(format!("  {fault} without effect: {probe}")),
            EventKind::FaultNotReverted { fault, message } => Some(format!("  {fault} not reverted: {message}")),
            EventKind::ComponentExited { component, status, .. } => Some(format!("  {component} ended: {status}")),
            EventKind::Warned { message } => Some(format!("  warning: {message}")),
            _ => None,
        });
        let lines: Vec<String> = judged.collect();
        format!("exit code {:?}\n{}\n{}", self.ended.code, lines.join("\n"), self.ended.stderr)
    }

    /// Asserts that the run passed.
    ///
    /// # Panics
    /// When it did not.
    pub fn assert_passed(&self) {
        assert_eq!(self.judgement().verdict, Verdict::Pass, "the healthy twin must pass\n{}", self.account());
        assert_eq!(self.ended.code, Some(0), "{}", self.account());
    }

    /// Asserts the verdict, and that `expectation` is what failed, for `reason`.
    ///
    /// # Panics
    /// When verdict, expectation or reason are others.
    pub fn assert_failed(&self, expectation: &str, reason: Reason) {
        let outcome = self.outcome(expectation);
        assert!(
            matches!(outcome, Outcome::Failed(found, _) if *found == reason),
            "{expectation} must fail with {reason}\n{}",
            self.account()
        );
        assert_eq!(self.judgement().verdict, Verdict::Fail, "{}", self.account());
        assert_eq!(self.ended.code, Some(1), "{}", self.account());
    }

    /// Asserts that `expectation` held although the run failed.
    ///
    /// # Panics
    /// When it did not hold.
    pub fn assert_held(&self, expectation: &str) {
        assert!(self.outcome(expectation).is_passed(), "{expectation} must hold\n{}", self.account());
    }

    /// Asserts that the stack was refused for `reason` before any load was sent.
    ///
    /// # Panics
    /// When it was accepted, refused for another reason, or load was sent.
    pub fn assert_refused(&self, reason: Reason) {
        assert_eq!(self.stack_failure().map(|(found, _)| found), Some(reason), "{}", self.account());
        assert!(!self.sent_load(), "load was sent to a stack that is not accepted\n{}", self.account());
        assert_eq!(self.judgement().verdict, Verdict::Fail, "{}", self.account());
        assert_eq!(self.ended.code, Some(1), "{}", self.account());
    }
}
