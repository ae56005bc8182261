//! Faults: what can be broken, how it is proved that it bites, and how it is proved gone. A leaf: it judges states and asks
//! URLs that `run` gives it and knows neither scenarios nor the stack.
//!
//! Every fault is `inject -> probe -> … -> probe -> revert -> probe`. A fault whose probe shows nothing makes the drill
//! inconclusive; it never becomes a pass.

use std::collections::BTreeMap;
use std::fmt;
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
    /// The routes that name a time interval are mute, whatever the clock says.
    MuteTime {
        /// The interval's name in `alertmanager.yml`.
        interval: String,
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
    /// Its address is dead: connections are refused.
    Dead,
    /// It answers with another status, late, or both.
    Answer {
        /// The HTTP status; none is the one it always answers.
        status: Option<u16>,
        /// The time before the answer.
        after: Duration,
        /// To so many messages only; none is all.
        first: Option<u32>,
    },
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Answer { status, after, first } = self else { return f.write_str("refuses connections") };
        match status {
            Some(status) => write!(f, "answers {status}")?,
            None => f.write_str("answers")?,
        }
        if !after.is_zero() {
            write!(f, " after {after:?}")?;
        }
        first.map_or(Ok(()), |first| write!(f, " to the first {first}"))
    }
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
            Self::Receiver { name, misbehaviour } => format!("receiver {name} {misbehaviour}"),
            Self::Silence { matchers } => format!("silence {}", matchers.join(", ")),
            Self::MuteTime { interval } => format!("mute time {interval}"),
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
    /// One witness says that it bites and another that it does not: neither proved nor gone.
    Disputed(String),
}

impl Probe {
    /// What it saw, in words.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Bites(text) | Self::Absent(text) | Self::Disputed(text) => text,
        }
    }

    /// Whether the fault bites.
    #[must_use]
    pub const fn bites(&self) -> bool {
        matches!(self, Self::Bites(_))
    }

    /// Whether the fault is gone.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent(_))
    }
}
