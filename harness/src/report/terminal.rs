//! The table of verdicts.

use crate::event::{Event, EventKind};
use crate::scenario::render::Colour;

/// The table.
#[must_use]
pub fn table(events: &[Event], _colour: Colour) -> String {
    let mut text = String::new();
    for (name, judgement) in crate::verdict::of_run(events).0 {
        text.push_str(&format!("{name}: {:?} {:?}\n", judgement.verdict, judgement.reasons));
        for event in events.iter().filter(|event| event.scenario.as_deref() == Some(&name)) {
            match &event.what {
                EventKind::ExpectationJudged { expectation, outcome } => {
                    let reason = outcome.reason().map_or("", crate::outcome::Reason::code);
                    text.push_str(&format!("  {:12} {expectation:22} {reason:18} {}\n", outcome.word(), outcome.evidence().summary));
                }
                EventKind::StackFailed { component, message, last_lines, .. } => {
                    text.push_str(&format!("  stack failed {component:?}: {message}\n{}\n", last_lines.join("\n")));
                }
                EventKind::FaultNotEffective { probe, .. } | EventKind::FaultLost { probe, .. } => {
                    text.push_str(&format!("  fault: {probe}\n"));
                }
                EventKind::FaultNotReverted { message, .. } | EventKind::Warned { message } => {
                    text.push_str(&format!("  warning: {message}\n"));
                }
                _ => {}
            }
        }
    }
    text
}
