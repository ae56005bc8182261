//! Faults: what can be broken, how it is proved that it bites, and how it is proved gone. A leaf: it acts on process ids and
//! URLs that `run` gives it and knows neither scenarios nor the stack.
//!
//! Every fault is `inject -> probe -> … -> probe -> revert -> probe`. A fault whose probe shows nothing makes the drill
//! inconclusive; it never becomes a pass.

use std::collections::BTreeMap;
use std::time::Duration;

pub mod process;
pub mod switch;

/// A fault as planned.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A signal to a component's processes.
    Process {
        /// What is done.
        action: ProcessAction,
        /// The component.
        target: String,
    },
    /// One of the service's own fault switches, mapped in `stack.toml`.
    Switch {
        /// The component whose switch it is.
        target: String,
        /// The switch, for example `errors`.
        name: String,
        /// Its parameters, for example `share = 0.5`.
        parameters: BTreeMap<String, serde_json::Value>,
    },
    /// The load's arrival rate is multiplied; 0 stops it.
    Load {
        /// The load.
        name: String,
        /// The factor.
        factor: f64,
    },
    /// A receiver's inbox misbehaves.
    Receiver {
        /// The receiver's name in `alertmanager.yml`.
        name: String,
        /// How.
        misbehaviour: Misbehaviour,
    },
    /// A silence in Alertmanager.
    Silence {
        /// Label matchers as `amtool` reads them: `name=value`, `name=~regex` ….
        matchers: Vec<String>,
    },
}

/// What is done to a component's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessAction {
    /// SIGKILL, and started again at the end.
    Kill,
    /// SIGTERM, and started again at the end.
    Stop,
    /// SIGTERM and started again at once.
    Restart,
    /// SIGSTOP, and SIGCONT at the end.
    Pause,
}

impl ProcessAction {
    /// The name as written in scenarios.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Pause => "pause",
        }
    }
}

/// How a receiver misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Connections are refused.
    Refuse,
    /// Answers with this HTTP status.
    Status(u16),
    /// Answers late.
    Slow(Duration),
}

impl Fault {
    /// One line for tables and reports, for example `pause inventory-service`.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Process { action, target } => format!("{} {target}", action.name()),
            Self::Switch { target, name, parameters } => {
                let parameters: Vec<String> = parameters.iter().map(|(key, value)| format!("{key} {value}")).collect();
                format!("{name} in {target} ({})", parameters.join(", "))
            }
            Self::Load { name, factor } => format!("load {name} × {factor}"),
            Self::Receiver { name, misbehaviour } => format!("receiver {name}: {misbehaviour:?}").to_lowercase(),
            Self::Silence { matchers } => format!("silence {}", matchers.join(", ")),
        }
    }

    /// The component whose processes end during the fault, so that its counters start again.
    #[must_use]
    pub fn restarts(&self) -> Option<&str> {
        match self {
            Self::Process { action: ProcessAction::Kill | ProcessAction::Stop | ProcessAction::Restart, target } => {
                Some(target)
            }
            _ => None,
        }
    }
}

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The fault bites, and this shows it.
    Bites(String),
    /// The fault does not bite (yet, or any more), and this shows it.
    Absent(String),
}

impl Probe {
    /// What it saw, in words.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Bites(text) | Self::Absent(text) => text,
        }
    }

    /// Whether the fault bites.
    #[must_use]
    pub const fn bites(&self) -> bool {
        matches!(self, Self::Bites(_))
    }
}
