//! What is done once per suite when the stack runs in containers: builds, and an image for every component.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::prepare::{
    Build, EMBEDDED, Located, PrepareError, Prepared, Wanted, arguments, build, is_embedded, is_program,
};
use crate::stack::docker::{Engine, Recipe, Resolved};
use crate::stack::notice::Notices;
use crate::stack::session::Session;
use crate::stack::spec::{Component, Spec, Template};

/// How a component is run in a container.
#[derive(Clone, Debug)]
pub(super) struct Contained {
    /// The image, as the engine knows it.
    pub(super) image: String,
    /// The program in it, where it is not the image's own.
    pub(super) entrypoint: Option<String>,
    /// A program of the host's that is shown to the container at `entrypoint`.
    pub(super) program: Option<PathBuf>,
}

impl Prepared {
    /// The same for containers: builds, and pulls or makes every component's image.
    ///
    /// # Errors
    /// When a build command fails.
    pub async fn in_containers(
        spec: Arc<Spec>,
        session: &Session,
        wanted: &Wanted,
        engine: Engine,
        notices: &Notices,
    ) -> Result<Self, PrepareError> {
        let mut prepared = Self {
            harness: wanted.harness.clone(),
            located: BTreeMap::new(),
            missing: BTreeMap::new(),
            engine: Some(engine.clone()),
            contained: BTreeMap::new(),
            spec: Arc::clone(&spec),
        };
        let recipe = Recipe { engine: &engine, session, places: &wanted.places, notices };
        for (name, component) in &spec.components {
            if component.optional && !wanted.required.contains(name) {
                prepared.missing.insert(name.clone(), "it is optional, and no scenario requires it".to_owned());
                continue;
            }
            if let (Build::Run, Some(command)) = (wanted.build, &component.build) {
                build(&spec.root, session.run(), name, command, notices).await?;
            }
            prepared.contain(name, component, &recipe).await;
        }
        Ok(prepared)
    }

    /// The component's image, else a program of the host's in an image with nothing but a libc.
    async fn contain(&mut self, name: &str, component: &Component, recipe: &Recipe<'_>) {
        let mounted = |program: PathBuf, command: &[Template], source: &str, base: Resolved| {
            let entrypoint = Some(format!("/{}", if source == EMBEDDED { "harness" } else { "program" }));
            let contained = Contained { image: base.reference, entrypoint, program: Some(program) };
            (contained, arguments(component, command), format!("{source}, in an image made here"), "unknown".to_owned())
        };
        let resolved = match recipe.resolve(name, component).await {
            Ok(resolved) => {
                let contained = Contained { image: resolved.reference, entrypoint: resolved.entrypoint, program: None };
                let own = component.image.as_ref().map(|image| &image.command).filter(|command| !command.is_empty());
                let command = own.unwrap_or(&component.command);
                Ok((contained, arguments(component, command), resolved.source, resolved.version))
            }
            Err(error) => match (self.own_program(component), recipe.base().await) {
                (Some((program, command, source)), Ok(base)) => Ok(mounted(program, command, source, base)),
                (Some(_), Err(base)) => Err(format!("the harness failed to {base}")),
                (None, _) => Err(format!("the harness failed to {error}")),
            },
        };
        match resolved {
            Ok((contained, arguments, source, version)) => {
                let program = contained.entrypoint.clone().unwrap_or_default().into();
                let located = Located { program, arguments, source, version, libraries: Vec::new(), root: None };
                self.located.insert(name.to_owned(), located);
                self.contained.insert(name.to_owned(), contained);
            }
            Err(reason) => drop(self.missing.insert(name.to_owned(), reason)),
        }
    }

    /// A program that was built here, or the harness itself, with the command that runs it.
    fn own_program<'a>(&self, component: &'a Component) -> Option<(PathBuf, &'a [Template], &'static str)> {
        let commands = std::iter::once(&component.command).chain(&component.alternatives);
        commands.filter(|command| !command.is_empty()).find_map(|command| {
            let name = command.first()?.to_string();
            if command.first().is_some_and(is_embedded) {
                return Some((self.harness.clone(), command.as_slice(), EMBEDDED));
            }
            let built = self.spec.root.join(&name);
            (name.contains('/') && is_program(&built)).then_some((built, command.as_slice(), "built here"))
        })
    }
}
