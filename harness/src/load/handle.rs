//! The way to a running load: start it, watch it, change its rate, stop it. Used by `run` and `command`; talks to `engine`.

use std::sync::mpsc as threads;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch as watched};

use super::control::{Command, Stage, Wiring};
use super::engine::{Engine, Parts};
use super::poller::{Poller, Waker};
use super::spec::{Model, Spec, SpecError};
use super::summary::{Second, Summary};
use super::tls::Tls;
use super::watch;
use super::workload::Workload;
use crate::clock::{Clock, Stamp};

/// A running load. Dropping it stops the load at once, without waiting and without a summary.
#[derive(Debug)]
pub struct Handle {
    started_at: Stamp,
    commands: threads::Sender<Command>,
    waker: Waker,
    seconds: mpsc::UnboundedReceiver<Second>,
    stage: watched::Receiver<Stage>,
    thread: Option<JoinHandle<Result<(), SpecError>>>,
}

/// Starts a load on a thread of its own.
///
/// # Errors
/// When the spec does not hold water, nobody can be trusted, or the operating system refuses a thread or a descriptor.
pub fn start(spec: Spec, clock: Clock) -> Result<Handle, SpecError> {
    spec.check()?;
    let workload = Workload::compile(&spec)?;
    let tls = Tls::of(&spec.target, &spec.trust, spec.protocol);
    let tls = tls.map_err(|source| SpecError::Tls { load: spec.name.clone(), source })?;
    let refused = |doing| {
        let load = spec.name.clone();
        move |source| SpecError::System { load, doing, source }
    };
    watch::make_room(spec.model.most_connections());
    let poller = Poller::new().map_err(refused("create its epoll"))?;
    let waker = poller.waker();
    let (commands, from_handle) = threads::channel();
    let (to_handle, seconds) = mpsc::unbounded_channel();
    let (to_stage, stage) = watched::channel(Stage::Running);
    let (tell_start, started) = threads::channel();
    let wiring = Wiring { commands: from_handle, seconds: to_handle, stage: to_stage };
    let no_thread = refused("start its thread");
    let run = move || {
        // at full speed, the generator would take the target's time
        if matches!(spec.model, Model::Open { .. }) {
            watch::go_before();
        }
        let engine = Engine::new(&spec, Parts { workload, poller, tls }, wiring, clock);
        tell_start.send(engine.started_at()).expect("`start` waits for this");
        engine.run()
    };
    let thread = std::thread::Builder::new().name("load".to_owned()).spawn(run).map_err(no_thread)?;
    let started_at = started.recv().expect("the thread tells its start first");
    Ok(Handle { started_at, commands, waker, seconds, stage, thread: Some(thread) })
}

impl Handle {
    /// The intended start of the first request of a constant rate; all windows count from here.
    #[must_use]
    pub const fn started_at(&self) -> Stamp {
        self.started_at
    }

    /// One message for every second that has passed, the last one when the load has stopped.
    pub const fn samples(&mut self) -> &mut mpsc::UnboundedReceiver<Second> {
        &mut self.seconds
    }

    /// Multiplies the arrival rate from now on; 0 stops the arrivals until another factor is set.
    pub fn set_factor(&self, factor: f64) {
        self.command(Command::Factor(factor));
    }

    /// A consistent copy of everything so far, ledger included.
    pub async fn snapshot(&mut self) -> Summary {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Snapshot(reply));
        self.answer(answer).await
    }

    /// Resolves when a load with [`Spec::lasts`] has sent its last request and every request has ended.
    pub fn finished(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stage = self.stage.clone();
        // an engine that is gone has finished too; `stop` tells why
        async move { drop(stage.wait_for(|stage| *stage == Stage::Over).await) }
    }

    /// Ends the arrivals at once, waits up to `drain` for the requests in flight and cancels the rest.
    pub async fn stop(mut self, drain: Duration) -> Summary {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Stop { drain, reply });
        let summary = self.answer(answer).await;
        self.join();
        summary
    }

    fn command(&self, command: Command) {
        // an engine that is gone is noticed where an answer is awaited
        let _ = self.commands.send(command);
        self.waker.wake();
    }

    async fn answer(&mut self, answer: oneshot::Receiver<Summary>) -> Summary {
        match answer.await {
            Ok(summary) => summary,
            Err(_) => {
                self.join();
                unreachable!("an engine ends without an answer only by a panic, which was passed on")
            }
        }
    }

    /// Waits for the thread, which has ended or is about to, and passes its panic on.
    fn join(&mut self) {
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            Some(Ok(Err(error))) => panic!("the load engine failed to {error}"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.command(Command::Abandon);
        }
    }
}
