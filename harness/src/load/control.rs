//! What passes between a load's handle and its engine. Shared by `handle` and `engine`.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::{mpsc::UnboundedSender, oneshot, watch};

use super::summary::{Second, Summary};

/// What the handle asks for.
#[derive(Debug)]
pub(super) enum Command {
    Factor(f64),
    Snapshot(oneshot::Sender<Summary>),
    Stop { drain: Duration, reply: oneshot::Sender<Summary> },
    Abandon,
}

/// How a load that was started stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// The arrivals have ended by themselves, and every request too.
    Over,
}

/// Where the engine listens and reports.
#[derive(Debug)]
pub(super) struct Wiring {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) seconds: UnboundedSender<Second>,
    pub(super) stage: watch::Sender<Stage>,
}
