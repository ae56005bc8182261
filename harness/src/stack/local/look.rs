//! What a component does right now: by the kernel for a process, by the engine for a container; and halting it.

use std::io;

use bollard::models::{ContainerState, ContainerStateStatusEnum};
use rustix::process::Signal;

use super::contained::{Halt, freeze};
use super::running::Running;
use crate::stack::process::{self, Identity};

/// What a component does right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was not started yet.
    NotStarted,
    /// It runs.
    Runs,
    /// It is stopped by a signal, or frozen.
    Paused,
    /// It ended, with this status.
    Ended(String),
}

impl Running {
    /// What a component does, as far as is known without asking an engine.
    #[must_use]
    pub fn state(&self, name: &str) -> State {
        let Some(process) = self.process(name) else { return State::NotStarted };
        let stopped = |identity: Identity| process::stat(identity.pid).is_some_and(|stat| is_stopped(stat.state));
        match process.status() {
            Some(status) => State::Ended(status),
            None if process.is_frozen() || process.identity.is_some_and(stopped) => State::Paused,
            None => State::Runs,
        }
    }

    /// What a component does by the kernel's or the engine's own account, with what shows it, in words.
    pub async fn look(&self, name: &str) -> (State, String) {
        let Some(process) = self.process(name) else {
            return (State::NotStarted, "it was not started".to_owned());
        };
        if let (Some(engine), Some(container)) = (self.allocation.prepared.engine(), &process.container) {
            return match engine.look(container).await {
                Ok(Some(state)) => said(&state),
                Ok(None) => (State::Ended("removed".to_owned()), "the engine has no such container".to_owned()),
                // a restart of the engine ends nothing by itself
                Err(error) => (State::Runs, error.to_string()),
            };
        }
        let ended = |status: String| (State::Ended(status.clone()), format!("its process is gone ({status})"));
        if let Some(status) = process.status() {
            return ended(status);
        }
        match process.identity.and_then(|identity| process::stat(identity.pid).filter(|stat| stat.identity == identity))
        {
            Some(stat) if is_stopped(stat.state) => {
                (State::Paused, format!("its process is stopped (state {})", stat.state))
            }
            Some(stat) if stat.runs() => (State::Runs, format!("its process lives (state {})", stat.state)),
            _ => ended("not collected yet".to_owned()),
        }
    }

    /// The process that leads a component's group, while it runs.
    #[must_use]
    pub fn identity(&self, name: &str) -> Option<Identity> {
        self.process(name).filter(|process| process.status().is_none())?.identity
    }

    /// Stops a component's processes with `SIGSTOP`, or freezes its container: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// When it does not run, or the kernel or the engine refuses.
    pub async fn pause(&self, name: &str) -> io::Result<()> {
        self.halt(name, Halt::Pause).await
    }

    /// Lets a paused component go on.
    ///
    /// # Errors
    /// When it does not run, or the kernel or the engine refuses.
    pub async fn resume(&self, name: &str) -> io::Result<()> {
        self.halt(name, Halt::Resume).await
    }

    async fn halt(&self, name: &str, halt: Halt) -> io::Result<()> {
        let process = self.running(name)?;
        if let (Some(engine), Some(container)) = (self.allocation.prepared.engine(), &process.container) {
            return freeze(engine, container, &process, halt).await;
        }
        let signal = if halt == Halt::Pause { Signal::STOP } else { Signal::CONT };
        process.identity.map_or(Ok(()), |identity| process::halt(identity, signal))?;
        self.tell_halt(name, halt);
        Ok(())
    }
}

const fn is_stopped(state: char) -> bool {
    matches!(state, 'T' | 't')
}

/// An engine's account of a container.
fn said(state: &ContainerState) -> (State, String) {
    let paused = state.paused.unwrap_or(false);
    let status = state.status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
    let words = format!("the engine says `{status}`");
    match state.status {
        _ if paused => (State::Paused, words),
        Some(
            ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING,
        ) => {
            let code = state.exit_code.unwrap_or_default();
            let memory = if state.oom_killed.unwrap_or(false) { ", out of memory" } else { "" };
            (State::Ended(format!("exit status: {code}")), format!("{words} (exit status {code}{memory})"))
        }
        Some(ContainerStateStatusEnum::CREATED) => (State::NotStarted, words),
        _ => (State::Runs, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_account_is_read() {
        let state = |status, paused, code| ContainerState {
            status: Some(status),
            paused: Some(paused),
            exit_code: Some(code),
            ..ContainerState::default()
        };
        assert_eq!(said(&state(ContainerStateStatusEnum::PAUSED, true, 0)).0, State::Paused);
        assert_eq!(said(&state(ContainerStateStatusEnum::RUNNING, false, 0)).0, State::Runs);
        let (ended, words) = said(&state(ContainerStateStatusEnum::EXITED, false, 137));
        assert_eq!(ended, State::Ended("exit status: 137".to_owned()));
        assert_eq!(words, "the engine says `exited` (exit status 137)");
    }
}
