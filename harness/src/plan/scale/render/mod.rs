//! The rewriting of the configuration under test: durations, addresses, receivers, and nothing else. Pure: texts in, texts
//! and diffs out. Fed by the planner and the run; the files go to the run's folder, the diffs to the report.

mod address;
mod leak;
pub mod mute;
mod receiver;
mod redact;
mod rules;
mod scaling;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use similar::TextDiff;

use self::address::Network;
use super::config::{self, ConfigSet};
use super::duration::Scale;
use super::edit::{EditError, Edits};
use super::problem::{Caveat, ScaleProblem};
use super::promql::PromqlError;
use super::ruler;
use super::source::{self, ConfigError, SourceFile};
use crate::source::Location;

pub use receiver::{Shape, Slot};

/// What to make of the configuration.
pub struct RenderRequest<'a> {
    /// The time scale.
    pub scale: Scale,
    /// Where components listen.
    pub addresses: Addresses<'a>,
    /// Where notifications go.
    pub receivers: Receivers<'a>,
}

/// Where the components named in the configuration listen.
#[derive(Clone, Copy)]
pub enum Addresses<'a> {
    /// Leave them; for planning, when nothing is started.
    AsWritten,
    /// `component:port` as written to `host:port` as reachable; an equal pair is left alone. The second is what the stack
    /// file describes and this run goes without: such targets are left out.
    Mapped(&'a BTreeMap<String, String>, &'a BTreeSet<String>),
}

/// Where notifications go.
#[derive(Clone, Copy)]
pub enum Receivers<'a> {
    /// Leave them; for planning only. What is rendered like this must never be started.
    AsWritten,
    /// Every integration to an inbox of this machine.
    Redirected {
        /// Kinds that keep their own message format; all others become webhooks.
        shapes: &'a BTreeSet<Shape>,
        /// The inbox of an integration: a URL, or `host:port` for [`Shape::Email`].
        inbox: &'a dyn Fn(&Slot) -> String,
    },
}

/// The configuration as it will run.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Every file, also those that did not change.
    pub files: Vec<RewrittenFile>,
    /// `prometheus.yml` among them.
    pub prometheus: PathBuf,
    /// `alertmanager.yml` among them.
    pub alertmanager: Option<PathBuf>,
    /// Loki's configuration among them, if it has a ruler.
    pub loki: Option<PathBuf>,
    /// The files of the ruler's rules among them.
    pub log_rules: Vec<PathBuf>,
    /// What the rendered files say, parsed again; bounds are computed from it.
    pub config: ConfigSet,
    /// Integrations and the inboxes they were pointed at.
    pub slots: Vec<(Slot, String)>,
    /// What does not mean what it means in production.
    pub caveats: Vec<Caveat>,
}

/// A file as it will run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RewrittenFile {
    /// The author's file.
    pub original: PathBuf,
    /// Its copy, below the run's configuration folder.
    pub relative: PathBuf,
    /// Its text.
    pub text: String,
    /// A unified diff from the author's text, secrets cut; empty when nothing changed.
    pub diff: String,
}

impl RewrittenFile {
    /// Its text without passwords, tokens, and the paths of addresses outside of this machine.
    #[must_use]
    pub fn shareable(&self) -> String {
        redact::redacted(&self.text)
    }
}

/// Why the configuration could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The scale or the addresses do not fit; each with its line.
    #[error("run this configuration: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<ScaleProblem>),
    /// A value could not be edited.
    #[error("rewrite {file}: {source}")]
    Edit {
        /// The file.
        file: String,
        /// Why.
        source: EditError,
    },
    /// An expression could not be scaled.
    #[error("scale {location}: {source}", location = location)]
    Expression {
        /// Where it stands.
        location: crate::source::Location,
        /// Why.
        source: PromqlError,
    },
    /// What was rendered cannot be read again: a bug in the rewriter.
    #[error("read the rewritten configuration again: {0}")]
    Reparse(#[from] ConfigError),
}

/// Renders the configuration.
///
/// # Errors
/// When the scale or an address does not fit, a value cannot be edited in place, or an address outside of this machine
/// would be left in `alertmanager.yml`.
pub fn render(set: &ConfigSet, request: &RenderRequest<'_>) -> Result<Rendered, RenderError> {
    let mut work = Work { scale: request.scale, problems: Vec::new(), caveats: Vec::new(), slots: Vec::new() };
    let prometheus = work.prometheus(set, request)?;
    let rules = work.rules(set)?;
    let targets = work.target_files(set, request)?;
    let alertmanager = work.alertmanager(set, request)?;
    let (loki, log_rules) = work.ruler(set)?;
    if !work.problems.is_empty() {
        return Err(RenderError::Refused(work.problems));
    }
    let templates = set.alertmanager.iter().flat_map(|config| &config.templates);
    let files = [&prometheus].into_iter().chain(&rules).chain(&targets).chain(&alertmanager);
    let files = files.chain(&loki).chain(&log_rules).cloned();
    let files = files.chain(templates.map(|file| rewritten(file, file.text.clone()))).collect();
    let again = |file: &RewrittenFile| source::from_text(&file.relative, file.text.clone());
    let mut config = config::parse(
        again(&prometheus)?,
        rules.iter().map(again).collect::<Result<_, _>>()?,
        alertmanager.as_ref().map(again).transpose()?,
        set.alertmanager.iter().flat_map(|config| config.templates.clone()).collect(),
    )?;
    config.prometheus.add_target_files(targets.iter().map(again).collect::<Result<_, _>>()?)?;
    if let Some(loki) = &loki {
        config.ruler = Some(ruler::parse(again(loki)?, log_rules.iter().map(again).collect::<Result<_, _>>()?)?);
    }
    if let (Receivers::Redirected { .. }, Some(manager)) = (request.receivers, &config.alertmanager) {
        let leaks = leak::leaks(manager, &work.slots);
        if !leaks.is_empty() {
            return Err(RenderError::Refused(leaks));
        }
    }
    work.general_caveats(set);
    let unmatched = |key: &'static str| {
        move |(location, pattern): &(Location, String)| Caveat {
            location: Some(location.clone()),
            subject: key.to_owned(),
            message: format!("`{pattern}` matches no file, and Prometheus says nothing about it"),
        }
    };
    work.caveats.extend(set.prometheus.unmatched_rule_files.iter().map(unmatched("rule_files")));
    work.caveats.extend(set.prometheus.unmatched_target_files.iter().map(unmatched("file_sd_configs")));
    Ok(Rendered {
        prometheus: prometheus.relative.clone(),
        alertmanager: alertmanager.map(|file| file.relative),
        loki: loki.map(|file| file.relative),
        log_rules: log_rules.into_iter().map(|file| file.relative).collect(),
        files,
        config,
        slots: work.slots,
        caveats: work.caveats,
    })
}

/// The configuration as it would run at `scale`, addresses and receivers left: for planning and bounds.
///
/// # Errors
/// As [`render`].
pub fn plan(set: &ConfigSet, scale: Scale) -> Result<Rendered, RenderError> {
    render(set, &RenderRequest { scale, addresses: Addresses::AsWritten, receivers: Receivers::AsWritten })
}

struct Work {
    scale: Scale,
    problems: Vec<ScaleProblem>,
    caveats: Vec<Caveat>,
    slots: Vec<(Slot, String)>,
}

impl Work {
    fn prometheus(&mut self, set: &ConfigSet, request: &RenderRequest<'_>) -> Result<RewrittenFile, RenderError> {
        let file = &set.prometheus.file;
        let mut edits = Edits::default();
        self.scale_prometheus(&set.prometheus, &mut edits);
        if let Addresses::Mapped(addresses, absent) = request.addresses {
            self.readdress(&set.prometheus, &Network { addresses, absent }, &mut edits);
            address::localise(file, config::rule_file_patterns(file), &mut edits);
            address::localise(file, config::all_target_file_patterns(file), &mut edits);
            address::keep_files(file, &mut edits);
        }
        applied(file, &edits)
    }

    fn target_files(
        &mut self,
        set: &ConfigSet,
        request: &RenderRequest<'_>,
    ) -> Result<Vec<RewrittenFile>, RenderError> {
        let mut files = Vec::new();
        for file in &set.prometheus.target_files {
            let mut edits = Edits::default();
            if let Addresses::Mapped(addresses, absent) = request.addresses {
                let network = Network { addresses, absent };
                self.leave_out(file, "", config::file_target_lists(file), &network, &mut edits);
            }
            files.push(applied(file, &edits)?);
        }
        Ok(files)
    }

    fn rules(&mut self, set: &ConfigSet) -> Result<Vec<RewrittenFile>, RenderError> {
        let context = set.prometheus.context();
        let mut files = Vec::new();
        for file in &set.prometheus.rule_files {
            let mut edits = Edits::default();
            self.scale_rules(file, &set.prometheus, &context, &mut edits)?;
            scaling::unwrap_resource(file, &mut edits);
            files.push(applied(file, &edits)?);
        }
        Ok(files)
    }

    fn alertmanager(
        &mut self,
        set: &ConfigSet,
        request: &RenderRequest<'_>,
    ) -> Result<Option<RewrittenFile>, RenderError> {
        let Some(config) = &set.alertmanager else { return Ok(None) };
        let mut edits = Edits::default();
        self.scale_alertmanager(config, &mut edits);
        if let Receivers::Redirected { shapes, inbox } = request.receivers {
            self.slots = receiver::redirect(&config.file, shapes, inbox, &mut edits);
            address::localise(&config.file, super::alertmanager::template_patterns(&config.file), &mut edits);
        }
        applied(&config.file, &edits).map(Some)
    }
}

fn applied(file: &SourceFile, edits: &Edits) -> Result<RewrittenFile, RenderError> {
    let text = edits.apply(&file.text).map_err(|source| RenderError::Edit { file: file.name(), source })?;
    Ok(rewritten(file, text))
}

fn rewritten(file: &SourceFile, text: String) -> RewrittenFile {
    let name = file.relative.display().to_string();
    let diff = if text == file.text {
        String::new()
    } else {
        let (before, after) = (format!("a/{name}"), format!("b/{name}"));
        let diff = TextDiff::from_lines(&file.text, &text);
        redact::redacted(&diff.unified_diff().context_radius(2).header(&before, &after).to_string())
    };
    RewrittenFile { original: file.path.clone(), relative: file.relative.clone(), text, diff }
}

#[cfg(test)]
mod tests;
