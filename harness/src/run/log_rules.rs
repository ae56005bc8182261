//! The rules of the log store's ruler on a stage: where their copies lie, and what must be so before load.

use std::path::Path;

use super::gate::LogGate;
use super::stage::Broken;
use crate::outcome::Reason;
use crate::plan::build::{LogRules, Plan};
use crate::plan::scale::ConfigSet;
use crate::plan::scale::render::{Rendered, RewrittenFile};
use crate::stack::local::Allocation;
use crate::stack::spec::{Role, Spec};

/// Whether a file is part of what runs: rules on logs are left out where the scenario names none of their alerts.
pub(super) fn runs(plan: &Plan, rendered: &Rendered, file: &RewrittenFile) -> bool {
    plan.log_rules == LogRules::Evaluated || !rendered.log_rules.contains(&file.relative)
}

/// Points the log store at its copy of the configuration below `folder`, and makes the folder of its rules, also an empty one.
pub(super) fn place(
    rendered: &Rendered,
    folder: &Path,
    allocation: &mut Allocation,
    spec: &Spec,
) -> Result<(), Broken> {
    let (Some((name, component)), Some(path)) = (spec.with_role(Role::Loki), &rendered.loki) else { return Ok(()) };
    for file in &rendered.log_rules {
        let made = folder.join(file).parent().map_or(Ok(()), std::fs::create_dir_all);
        made.map_err(|error| Broken::new(Reason::Provider, format!("failed to make a folder for rules: {error}")))?;
    }
    let copy = folder.join(path);
    let is_folder = component.config.as_ref().is_some_and(|config| spec.folder.join(config.get_ref()).is_dir());
    let copy = if is_folder { copy.parent().unwrap_or(folder).to_owned() } else { copy };
    allocation.set_config(name, copy);
    Ok(())
}

/// What must be so of the ruler before load, where its rules are evaluated.
pub(super) fn gate(plan: &Plan, config: &ConfigSet) -> Option<LogGate> {
    let ruler = config.ruler.as_ref().filter(|_| plan.log_rules == LogRules::Evaluated)?;
    let alerts = ruler.alerts().map(|(_, alert)| alert.name.clone()).collect();
    Some(LogGate { alerts, evaluation: ruler.slowest() })
}
