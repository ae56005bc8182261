//! Progress for pipes and CI: a line for what changes, none for what only goes on. Pure.

use crate::clock::Stamp;
use crate::event::{Event, EventKind, Phase};
use crate::report::view;

/// Knows when the run began.
#[derive(Debug, Default)]
pub(super) struct Plain {
    began: Option<Stamp>,
}

impl Plain {
    /// The line for an event, if it deserves one.
    pub(super) fn line(&mut self, event: &Event) -> Option<String> {
        let began = *self.began.get_or_insert(event.at);
        let words = words(&event.what)?;
        let at = event.at.since(began).as_secs_f64();
        let scenario = event.scenario.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        Some(format!("[{at:6.1} s] {scenario}{words}"))
    }
}

fn words(what: &EventKind) -> Option<String> {
    Some(match what {
        EventKind::RunStarted { run, scenarios, .. } => format!("run {run}: {} scenarios", scenarios.len()),
        EventKind::PhaseStarted { phase: Phase::Startup } => "starting the stack".to_owned(),
        EventKind::PhaseStarted { phase } => view::phase(*phase).to_owned(),
        EventKind::StackReady { .. } => format!("stack ready after {}", view::Ready::of(what)?.words()),
        EventKind::StackFailed { component, reason, message, .. } => {
            let component = component.as_ref().map_or_else(String::new, |name| format!("{name}: "));
            format!("the stack failed: {reason}: {component}{message}")
        }
        EventKind::ComponentExited { component, status, .. } => format!("{component} ended by itself: {status}"),
        EventKind::FaultProved { fault, probe } => format!("fault {fault} bites: {probe}"),
        EventKind::FaultNotEffective { fault, probe } => format!("fault {fault} has no effect: {probe}"),
        EventKind::FaultLost { fault, probe } => format!("fault {fault} was lost: {probe}"),
        EventKind::FaultGone { fault, .. } => format!("fault {fault} is gone"),
        EventKind::FaultNotReverted { fault, message } => format!("fault {fault} is not undone: {message}"),
        EventKind::Progressed { message } => message.clone(),
        EventKind::Warned { message } => format!("warning: {message}"),
        EventKind::InterruptReceived { signal } => format!("{signal}: undoing everything"),
        EventKind::LeftBehind { resource, message } => format!("left behind: {resource}: {message}"),
        EventKind::ScenarioSkipped { reason, message } => format!("skipped: {reason}: {message}"),
        EventKind::ScenarioFinished { verdict, reasons } => {
            let codes: String = reasons.iter().map(|reason| format!(" {reason}")).collect();
            format!("{}{codes}", view::word(*verdict))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing;

    #[test]
    fn a_run_without_a_terminal_is_told_in_a_few_lines() {
        let mut plain = Plain::default();
        let lines: Vec<String> = testing::fail().iter().filter_map(|event| plain.line(event)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
