//! The choice of provider: containers where an engine answers, else processes of this machine.

use std::sync::Arc;

use super::docker::{Engine, EngineError};
use super::local::{PrepareError, Prepared, Wanted};
use super::notice::Notices;
use super::session::Session;
use super::spec::Spec;

/// What was asked for with `--stack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Containers where an engine answers.
    Auto,
    /// Containers, or nothing.
    Docker,
    /// Processes of this machine.
    Local,
}

/// Where a stack runs.
#[derive(Clone, Debug)]
pub enum Provider {
    /// As processes of this machine.
    Local,
    /// In containers.
    Docker(Engine),
}

impl Provider {
    /// Chooses; with [`Choice::Auto`] an engine that does not answer within 5 s is none.
    ///
    /// # Errors
    /// When an engine is insisted on and none answers.
    pub async fn choose(choice: Choice) -> Result<Self, EngineError> {
        match choice {
            Choice::Local => Ok(Self::Local),
            Choice::Docker => Engine::connect().await.map(Self::Docker),
            Choice::Auto => Ok(Engine::connect().await.map_or(Self::Local, Self::Docker)),
        }
    }

    /// `local` or `docker`, as in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Docker(_) => "docker",
        }
    }

    /// Builds and gets what the stack needs, once per suite.
    ///
    /// # Errors
    /// When a build command fails.
    pub async fn prepare(
        &self,
        spec: Arc<Spec>,
        session: &Session,
        wanted: &Wanted,
        notices: &Notices,
    ) -> Result<Prepared, PrepareError> {
        match self {
            Self::Local => Prepared::new(spec, session, wanted, notices).await,
            Self::Docker(engine) => Prepared::in_containers(spec, session, wanted, engine.clone(), notices).await,
        }
    }
}
