//! Why a component could not be started, in its own words where it has any.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::allocation::AllocationError;
use crate::stack::docker::EngineError;
use crate::stack::journal::JournalError;
use crate::trust::TrustError;

/// Why a component could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A text of its table could not be filled in.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
    /// It could not be journalled, so it was not started.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The container engine refused.
    #[error("start {component}: {source}")]
    Engine {
        /// The component.
        component: String,
        /// Why.
        source: EngineError,
    },
    /// The harness cannot be let in by it.
    #[error("start {component}: {source}")]
    Access {
        /// The component.
        component: String,
        /// Why.
        source: TrustError,
    },
    /// The container engine cannot publish a port.
    #[error("start {component}: {taken}: {source}; run it again, ports are chosen anew")]
    PortTaken {
        /// The component.
        component: String,
        /// Which address is taken, by whom.
        taken: String,
        /// Why.
        source: EngineError,
    },
    /// There is no such component in this stack.
    #[error("start {0}: it is no part of this stack")]
    Unknown(String),
    /// It runs already.
    #[error("start {0}: it runs already")]
    RunsAlready(String),
    /// What it needs could not be handed over to the user it runs as.
    #[error("start {component}: give its folder to nobody, since it does not run as root: {source}")]
    HandOver {
        /// The component.
        component: String,
        /// Why.
        source: io::Error,
    },
    /// The program could not be executed.
    #[error("start {component}: run {program}: {source}")]
    Spawn {
        /// The component.
        component: String,
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("start {component}: it ended before it was ready ({status})\n{}", .last_lines.join("\n"))]
    Exited {
        /// The component.
        component: String,
        /// Its status in words.
        status: String,
        /// Its last lines.
        last_lines: Vec<String>,
    },
    /// It was not ready in time.
    #[error("start {component}: not ready within {within:?}: {last_answer}\n{}", .last_lines.join("\n"))]
    NotReady {
        /// The component.
        component: String,
        /// The deadline.
        within: Duration,
        /// What was waited for, and the last answer.
        last_answer: String,
        /// Its last lines.
        last_lines: Vec<String>,
    },
}

impl StartError {
    /// The component that failed.
    #[must_use]
    pub fn component(&self) -> Option<&str> {
        match self {
            Self::Unknown(component) | Self::RunsAlready(component) | Self::Engine { component, .. } => Some(component),
            Self::Spawn { component, .. }
            | Self::HandOver { component, .. }
            | Self::Access { component, .. }
            | Self::PortTaken { component, .. }
            | Self::Exited { component, .. }
            | Self::NotReady { component, .. } => Some(component),
            Self::Allocation(
                AllocationError::Placeholder { component, .. } | AllocationError::Port { component, .. },
            ) => Some(component),
            Self::Allocation(_) | Self::Journal(_) => None,
        }
    }

    /// Its last lines.
    #[must_use]
    pub fn last_lines(&self) -> &[String] {
        match self {
            Self::Exited { last_lines, .. } | Self::NotReady { last_lines, .. } => last_lines,
            _ => &[],
        }
    }
}
