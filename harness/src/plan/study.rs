//! Reads what a scenario refers to (its stack file, the configuration under test), and plans it. Everything that can be seen
//! to be wrong without starting anything is found here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::budget;
use super::build::{self, Plan};
use super::finding::{self, Finding};
use super::provision::Provisioned;
use super::scale::{ConfigError, ConfigPaths, ConfigSet, Scale, read, render};
use super::surround::surroundings;
use crate::scenario::surroundings::Surroundings;
use crate::scenario::{self, Code, Diagnostic, Loaded, has_errors};
use crate::source::Location;
use crate::stack::spec::{Role, Spec, SpecError};

/// A scenario that can be run.
#[derive(Clone)]
pub struct Studied {
    /// What will be done.
    pub plan: Arc<Plan>,
    /// The configuration under test, as written.
    pub config: Arc<ConfigSet>,
    /// The configuration with all durations divided by the scale.
    pub scaled: Arc<ConfigSet>,
    /// The stack.
    pub spec: Arc<Spec>,
    /// What may not be what was meant.
    pub warnings: Vec<Diagnostic>,
}

/// A stack without a scenario.
#[derive(Clone)]
pub struct Stack {
    /// What runs.
    pub spec: Arc<Spec>,
    /// The configuration, as written.
    pub config: Arc<ConfigSet>,
    /// Production seconds per real second.
    pub scale: Scale,
}

/// Reads a stack file and the configuration it names.
///
/// # Errors
/// Everything that is wrong, each with its place.
pub fn stack(file: &Path, time_scale: f64) -> Result<Stack, Vec<Diagnostic>> {
    let location = || Location { file: file.display().to_string(), line: 1, column: 1 };
    let wrong = |message: String| vec![Diagnostic::at(Code::Stack, location(), message, None)];
    let scale = Scale::new(time_scale).map_err(|error| wrong(error.to_string()))?;
    let spec = Spec::load(file).map_err(|error| stack_problems(file, &error))?;
    let config = config(&spec).map_err(|diagnostic| vec![diagnostic])?;
    scaled(&config, scale).map_err(wrong)?;
    Ok(Stack { spec: Arc::new(spec), config: Arc::new(config), scale })
}

/// What the command line says over the scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Production seconds per real second.
    pub time_scale: Option<f64>,
}

/// What scenarios refer to, read once for each stack file and scale.
#[derive(Default)]
pub struct Desk {
    known: BTreeMap<(PathBuf, String), Arc<Known>>,
}

/// A stack file and the configuration it names, at one scale.
struct Known {
    spec: Arc<Spec>,
    config: Arc<ConfigSet>,
    scaled: Arc<ConfigSet>,
    surroundings: Surroundings,
    provisioned: Provisioned,
}

impl Desk {
    /// Reads, checks and plans a scenario file.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place.
    pub fn study(&mut self, file: &Path, overrides: Overrides) -> Result<Studied, Vec<Diagnostic>> {
        let loaded = scenario::load(file)?;
        let at = |message: String, help: &str| vec![whole_file(&loaded, message, help)];
        let stack = stack_file(file, &loaded).ok_or_else(|| {
            at(
                "no stack file: there is no stack/stack.toml beside the scenario or above it".to_owned(),
                "name it: [stack] file = \"…\"",
            )
        })?;
        let factor = overrides.time_scale.unwrap_or_else(|| loaded.scenario.time_scale());
        let scale = Scale::new(factor)
            .map_err(|error| at(error.to_string(), "give a factor such as 60, or 1 for real time"))?;
        let known = self.know(&stack, scale, |message| at(message, "choose another --time-scale"))?;
        let found = scenario::lint(&loaded, &known.surroundings);
        if has_errors(&found) {
            return Err(found);
        }
        let aside = build::Aside { signals: &known.spec.signals, provisioned: &known.provisioned };
        let plan = build::build(&loaded, &known.config, &known.scaled, stack, scale, aside).map_err(|refused| {
            refused
                .into_iter()
                .map(|it| Diagnostic::at(Code::Unsupported, it.location, it.message, None))
                .collect::<Vec<_>>()
        })?;
        let chance = budget::diagnostics(&plan, &known.scaled, &known.spec.signals);
        if !chance.is_empty() {
            return Err(found.into_iter().chain(chance).collect());
        }
        Ok(Studied {
            plan: Arc::new(plan),
            config: Arc::clone(&known.config),
            scaled: Arc::clone(&known.scaled),
            spec: Arc::clone(&known.spec),
            warnings: found,
        })
    }

    /// What can be proved about the rules and routes of every stack that was studied, each once.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let stacks: BTreeMap<&PathBuf, &Arc<Known>> =
            self.known.iter().map(|((stack, _), known)| (stack, known)).collect();
        stacks.into_values().flat_map(|known| finding::findings(&known.config)).collect()
    }

    fn know(
        &mut self,
        stack: &Path,
        scale: Scale,
        wrong_scale: impl Fn(String) -> Vec<Diagnostic>,
    ) -> Result<Arc<Known>, Vec<Diagnostic>> {
        let key = (stack.to_path_buf(), scale.factor().to_string());
        if let Some(known) = self.known.get(&key) {
            return Ok(Arc::clone(known));
        }
        let spec = Spec::load(stack).map_err(|error| stack_problems(stack, &error))?;
        let config = config(&spec).map_err(|diagnostic| vec![diagnostic])?;
        let scaled = scaled(&config, scale).map_err(wrong_scale)?;
        let provisioned = Provisioned::read(&spec);
        let known_boards = spec.with_role(Role::Grafana).map(|_| &provisioned);
        let surroundings = surroundings(&spec, &config, &scaled, scale, known_boards);
        let (spec, config, scaled) = (Arc::new(spec), Arc::new(config), Arc::new(scaled));
        let known = Known { spec, config, scaled, surroundings, provisioned };
        Ok(Arc::clone(self.known.entry(key).or_insert(Arc::new(known))))
    }
}

/// The stack file a scenario names, else the nearest `stack/stack.toml` beside it or above it.
#[must_use]
pub fn stack_file(scenario: &Path, loaded: &Loaded) -> Option<PathBuf> {
    let absolute = std::path::absolute(scenario).ok()?;
    let folder = absolute.parent()?;
    match &loaded.scenario.stack.file {
        Some(written) => Some(folder.join(written.get())),
        None => folder.ancestors().map(|above| above.join("stack/stack.toml")).find(|path| path.is_file()),
    }
}

fn config(spec: &Spec) -> Result<ConfigSet, Diagnostic> {
    let of = |role| spec.with_role(role).and_then(|(_, component)| component.config.as_ref());
    let stack = |message: String| {
        let location = Location { file: spec.file.display().to_string(), line: 1, column: 1 };
        Diagnostic::at(Code::Stack, location, message, None)
    };
    let prometheus = of(Role::Prometheus).ok_or_else(|| {
        stack("no component has `role = \"prometheus\"` and a `config`; a drill needs one".to_owned())
    })?;
    let paths = ConfigPaths {
        prometheus: spec.folder.join(prometheus.get_ref()),
        alertmanager: of(Role::Alertmanager).map(|path| spec.folder.join(path.get_ref())),
        loki: of(Role::Loki).and_then(|path| loki_file(&spec.folder.join(path.get_ref()))),
    };
    let wrong = |error: ConfigError| Diagnostic::at(Code::Stack, error.location(), error.to_string(), None);
    let config = read(&paths).map_err(wrong)?;
    if let Some((alert, location)) = config.ambiguous() {
        let message = format!("the alert {alert} is made by a rule of Prometheus and by one of the log store's ruler");
        let help = "give one of them another name: nobody could tell which of them fired".to_owned();
        return Err(Diagnostic::at(Code::Stack, location.clone(), message, Some(help)));
    }
    Ok(config)
}

/// Loki's configuration file: what `config` names, or the `loki.yml` in the folder it names.
fn loki_file(path: &Path) -> Option<PathBuf> {
    let file = if path.is_dir() { path.join("loki.yml") } else { path.to_owned() };
    file.is_file().then_some(file)
}

fn scaled(config: &ConfigSet, scale: Scale) -> Result<ConfigSet, String> {
    render::plan(config, scale).map(|rendered| rendered.config).map_err(|error| format!("failed to {error}"))
}

fn stack_problems(stack: &Path, error: &SpecError) -> Vec<Diagnostic> {
    match error {
        SpecError::Invalid(problems) => problems
            .iter()
            .map(|it| Diagnostic::at(Code::Stack, it.at.clone(), it.message.clone(), it.help.clone()))
            .collect(),
        SpecError::Read { .. } => {
            let location = Location { file: stack.display().to_string(), line: 1, column: 1 };
            vec![Diagnostic::at(Code::Stack, location, format!("failed to {error}"), None)]
        }
    }
}

fn whole_file(loaded: &Loaded, message: String, help: &str) -> Diagnostic {
    Diagnostic::at(Code::Stack, Location::of(&loaded.file, &loaded.text, 0), message, Some(help.to_owned()))
}
