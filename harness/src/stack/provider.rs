//! The choice of provider: processes of this machine, or containers.

use std::sync::Arc;

use super::docker::{Engine, EngineError, Pull};
use super::local::{PrepareError, Prepared, Wanted};
use super::notice::Notices;
use super::session::Session;
use super::spec::Spec;

/// What was asked for with `--stack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Processes of this machine, until every shipped scenario passes in containers as it does there.
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
    /// Chooses, and says why.
    ///
    /// # Errors
    /// When an engine is insisted on and none answers.
    pub async fn choose(choice: Choice) -> Result<(Self, String), EngineError> {
        match choice {
            Choice::Auto => Ok((Self::Local, "nothing else was asked for".to_owned())),
            Choice::Local => Ok((Self::Local, "as asked for".to_owned())),
            Choice::Docker => Engine::connect().await.map(|engine| {
                let because = format!("as asked for, with engine {}", engine.version());
                (Self::Docker(engine), because)
            }),
        }
    }

    /// The same provider, with another answer to when images are pulled.
    #[must_use]
    pub fn pulling(self, pull: Pull) -> Self {
        match self {
            Self::Docker(engine) => Self::Docker(engine.pulling(pull)),
            Self::Local => Self::Local,
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
