//! Windows: whether they exist, and how long they are.

use std::time::Duration;

use super::Linter;
use crate::scenario::Spanned;
use crate::scenario::diagnostic::{Code, Finding};
use crate::scenario::model::{FIXED_WINDOWS, Fault, Window};
use crate::scenario::suggest;

impl Linter<'_> {
    /// Checks that the window exists and is not empty.
    pub(super) fn window(&mut self, during: &Spanned<Window>) {
        match during.get() {
            Window::Fault(id) => self.window_fault(id, during),
            Window::All(ids) | Window::Any(ids) => {
                ids.iter().for_each(|id| self.window_fault(id, id));
                self.unique(ids.iter(), "fault id");
            }
            Window::Baseline | Window::Recovery | Window::Run => {}
        }
        let empty = match during.get() {
            Window::Recovery if self.scenario.recovery().is_zero() => {
                "`recovery` has no length: `timeline.recovery` is 0s"
            }
            Window::All(_) if self.length(during) == Some(Duration::ZERO) => {
                "these faults are never on at the same time"
            }
            _ => return,
        };
        self.error(Code::EmptyWindow, during, empty);
    }

    fn window_fault<T>(&mut self, id: &str, at: &Spanned<T>) {
        if self.scenario.fault(id).is_some() {
            return;
        }
        let ids = self.scenario.fault.iter().map(|fault| fault.id.as_str());
        let names: Vec<&str> = ids.chain(FIXED_WINDOWS).collect();
        let message = format!("there is no window `{id}`: no fault has this id");
        let finding = Finding::error(Code::UnknownWindow, at.span(), message);
        self.report(finding.help(suggest::help(id, "windows", names)));
    }

    /// The planned length in scenario time; none when a fault is unknown, or lasts only as long as it takes.
    pub(super) fn length(&self, during: &Window) -> Option<Duration> {
        let (baseline, recovery) = (self.scenario.baseline(), self.scenario.recovery());
        let faults: Option<Vec<&Fault>> = during.faults().into_iter().map(|id| self.scenario.fault(id)).collect();
        let faults = faults.filter(|faults| faults.iter().all(|fault| fault.r#for.is_some()))?;
        let starts = faults.iter().map(|fault| fault.starts());
        let ends = faults.iter().map(|fault| fault.ends());
        match during {
            Window::Baseline => Some(baseline),
            Window::Recovery => Some(recovery),
            Window::Run => Some(baseline + self.scenario.drill() + recovery),
            Window::Fault(_) => faults.first().map(|fault| fault.lasts()),
            Window::All(_) => Some(ends.min()?.saturating_sub(starts.max()?)),
            Window::Any(_) => Some(ends.max()?.saturating_sub(starts.min()?)),
        }
    }
}
