//! Where a stack runs and when images are pulled: the options that several commands share.

use super::complain;
use crate::stack::docker::Pull;
use crate::stack::provider::{Choice, Provider};

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Place {
    /// How the stack runs.
    #[arg(long, default_value = "auto")]
    pub(super) stack: Where,
    /// When images are pulled, and made from Debian packages where no registry answers.
    #[arg(long, default_value = "missing", value_name = "WHEN")]
    pub(super) pull: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Where {
    /// What every shipped scenario passes on: child processes.
    Auto,
    /// Containers.
    Docker,
    /// Child processes.
    Local,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum When {
    /// Use what is here.
    Never,
    /// Get what is not here.
    Missing,
    /// Look for something newer, too.
    Always,
}

impl From<When> for Pull {
    fn from(when: When) -> Self {
        match when {
            When::Never => Self::Never,
            When::Missing => Self::Missing,
            When::Always => Self::Always,
        }
    }
}

impl Place {
    /// The provider and why it was chosen; none, and a message, when containers are insisted on and no engine answers.
    pub(super) async fn provider(&self) -> Option<(Provider, String)> {
        let choice = match self.stack {
            Where::Auto => Choice::Auto,
            Where::Docker => Choice::Docker,
            Where::Local => Choice::Local,
        };
        match Provider::choose(choice).await {
            Ok((provider, because)) => Some((provider.pulling(self.pull.into()), because)),
            Err(error) => {
                complain(&format!("error: failed to {error}"));
                None
            }
        }
    }

    /// As arguments for another command.
    pub(super) fn arguments(&self) -> Vec<String> {
        let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        use clap::ValueEnum as _;
        let (stack, pull) = (name(&|| self.stack.to_possible_value()), name(&|| self.pull.to_possible_value()));
        vec!["--stack".to_owned(), stack, "--pull".to_owned(), pull]
    }
}
