//! What the judges of signals need besides the servers: the scale, the baseline to compare with, where the service's output
//! lies, which ids the load sent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::stage::{Built, Place};
use crate::clock::Stamp;
use crate::expect::Window;
use crate::plan::build::Plan;
use crate::plan::scale::{Scale, promql};

/// Everything that is known about a scenario that runs.
#[derive(Clone, Debug)]
pub struct About {
    /// Production time over real time.
    pub scale: Scale,
    /// What is known of the rule files, for queries that are scaled late.
    pub context: promql::Context,
    /// When the stack began to run.
    pub begun: Stamp,
    /// The baseline, once it is over.
    pub baseline: Option<Window>,
    /// The service's standard output, where the harness keeps it.
    pub stdout: Option<PathBuf>,
    /// By load: what its request ids begin with.
    pub prefixes: BTreeMap<String, String>,
}

impl About {
    /// What is known when the stage is built.
    #[must_use]
    pub fn of(plan: &Plan, built: &Built, place: &Place, begun: Stamp) -> Self {
        let service = &place.prepared.spec().service.component;
        let logs = place.folder.join("logs").join(&plan.name);
        Self {
            scale: Scale::new(plan.scale).unwrap_or(Scale::ONE),
            context: built.rendered.config.prometheus.context(),
            begun,
            baseline: None,
            stdout: Some(logs.join(format!("{}.log", service.get_ref()))),
            prefixes: BTreeMap::new(),
        }
    }
}
