//! What a scenario has to do with the alerts of the log store's ruler.

use std::time::Duration;

use super::{Builder, Step};
use crate::expect::Expectation;
use crate::plan::bound;
use crate::plan::scale::config::Evaluator;

/// Whether the rules of the log store's ruler are evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogRules {
    /// They are.
    Evaluated,
    /// The ruler has none.
    #[default]
    LeftOut,
}

impl Builder<'_> {
    /// Whether some expectation, allowance or condition of the scenario is about an alert of the log store's ruler.
    pub(super) fn log_rules(&self, steps: &[Step]) -> LogRules {
        let of_ruler = |alert: &String| self.config.evaluator(alert) == Evaluator::Ruler;
        let named = steps.iter().any(|step| match &step.what {
            Expectation::NoOtherAlert(others) => others.known.iter().any(of_ruler),
            Expectation::Notification(notification) => of_ruler(&notification.alert),
            _ => false,
        });
        if named { LogRules::Evaluated } else { LogRules::LeftOut }
    }

    /// How far back the rules of an alert read, whoever evaluates them.
    pub(super) fn window_of(&self, alert: &str) -> Duration {
        let logs = self.scaled.ruler.as_ref().map_or(Duration::ZERO, |ruler| ruler.window(alert));
        bound::alert_window(&self.scaled.prometheus, alert).max(logs)
    }
}
