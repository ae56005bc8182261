//! What is done once per suite when the stack runs in containers: builds, and an image for every component.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;

use super::prepare::{
    Build, EMBEDDED, Located, PrepareError, Prepared, Wanted, arguments, build, is_embedded, is_program,
};
use crate::stack::docker::{Engine, ImageError, Recipe};
use crate::stack::notice::{Fact, Notices};
use crate::stack::session::Session;
use crate::stack::spec::{Component, Spec, Template};

/// How many images are got or made side by side: unpacking keeps a core busy, a registry does not.
const AT_ONCE: usize = 3;

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
    /// When a build command fails, or the lock of images cannot be read.
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
        let optional = |name: &String, component: &Component| component.optional && !wanted.required.contains(name);
        let (left_out, chosen): (Vec<_>, Vec<_>) = spec.components.iter().partition(|(name, it)| optional(name, it));
        for (name, _) in left_out {
            prepared.missing.insert(name.clone(), "it is optional, and no scenario requires it".to_owned());
        }
        for (name, component) in &chosen {
            let of_image = component.image.as_ref().and_then(|image| image.prepare.as_ref());
            if let (Build::Run, Some(command)) = (wanted.build, of_image.or(component.build.as_ref())) {
                build(&spec.root, session.run(), name, command, notices).await?;
            }
        }
        let recipe = Recipe::new(&engine, session, &wanted.places, notices, &spec)?;
        let contained: Vec<_> = futures_util::stream::iter(&chosen)
            .map(async |(name, component)| ((*name).clone(), prepared.contain(name, component, &recipe, notices).await))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (name, contained) in contained {
            match contained {
                Ok((located, contained)) => {
                    prepared.located.insert(name.clone(), located);
                    prepared.contained.insert(name, contained);
                }
                Err(reason) => {
                    // a variant may do without it, and then the drill is another one
                    notices.tell(Fact::Warned { message: format!("{name} cannot run here: {reason}") });
                    prepared.missing.insert(name, reason);
                }
            }
        }
        Ok(prepared)
    }

    /// The component's image, else a program of the host's in an image with nothing but a libc.
    async fn contain(
        &self,
        name: &str,
        component: &Component,
        recipe: &Recipe<'_>,
        notices: &Notices,
    ) -> Result<(Located, Contained), String> {
        let resolved = match recipe.resolve(name, component).await {
            Ok(resolved) => resolved,
            Err(error @ ImageError::Refused { .. }) => return Err(format!("the harness failed to {error}")),
            Err(error) => {
                let own = self.own_program(component).ok_or_else(|| format!("the harness failed to {error}"))?;
                if component.image.as_ref().is_some_and(|image| image.build.is_some()) {
                    notices
                        .tell(Fact::Warned { message: format!("failed to {error}; its program is mounted instead") });
                }
                return self.mounted(component, recipe, own).await;
            }
        };
        let own = component.image.as_ref().map(|image| &image.command).filter(|command| !command.is_empty());
        let located = Located {
            program: resolved.entrypoint.clone().unwrap_or_default().into(),
            arguments: arguments(component, own.unwrap_or(&component.command)),
            source: resolved.source(),
            version: resolved.version.clone(),
            libraries: Vec::new(),
            root: None,
        };
        Ok((located, Contained { image: resolved.reference, entrypoint: resolved.entrypoint, program: None }))
    }

    async fn mounted(
        &self,
        component: &Component,
        recipe: &Recipe<'_>,
        (program, command, source): (PathBuf, &[Template], &str),
    ) -> Result<(Located, Contained), String> {
        let base = recipe.base().await.map_err(|reason| format!("the harness has no image to run it in: {reason}"))?;
        let entrypoint = if source == EMBEDDED { "/harness" } else { "/program" };
        let located = Located {
            program: entrypoint.into(),
            arguments: arguments(component, command),
            source: format!("{source}, in an image made here"),
            version: if source == EMBEDDED { env!("CARGO_PKG_VERSION") } else { "unknown" }.to_owned(),
            libraries: Vec::new(),
            root: None,
        };
        let contained =
            Contained { image: base.reference, entrypoint: Some(entrypoint.to_owned()), program: Some(program) };
        Ok((located, contained))
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
