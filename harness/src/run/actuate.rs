//! Breaks things and mends them: joins the fault value types with the stack, the inbox, Alertmanager and the loads. Every
//! step is told to the sink; the drill's loop only hears how it ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::sink::Sink;
use crate::breakpoint;
use crate::clock::Stamp;
use crate::event::EventKind;
use crate::fault::{Fault, Misbehaviour, Probe, ProcessAction, switch};
use crate::inbox::{Answer, Behaviour, Inbox};
use crate::load::Second;
use crate::plan::scale::alertmanager::{Matcher, MatcherOperator};
use crate::plan::scale::render::mute::{self, Muting};
use crate::stack::local::Running;
use crate::stack::spec;
use crate::telemetry::alertmanager::{Alertmanager, silence};

/// How long a fault may take until its probe shows it, and until it is gone.
const PROOF: Duration = Duration::from_secs(8);
/// Between two probes.
const PAUSE: Duration = Duration::from_millis(25);
/// How long a component may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);

/// What the loads sent lately, and what they send when nothing is wrong.
#[derive(Clone, Debug, Default)]
pub struct Flow(Arc<Mutex<Flows>>);

/// By load: its usual rate, requests per second, and its latest second.
type Flows = BTreeMap<String, (f64, Option<Second>)>;

impl Flow {
    /// Takes in a second of a load.
    pub fn sampled(&self, load: &str, second: &Second) {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flows.entry(load.to_owned()).or_default().1 = Some(second.clone());
    }

    /// States a load's usual rate, requests per second.
    pub fn usual(&self, load: &str, rate: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(load.to_owned()).or_default().0 = rate;
    }

    pub(super) fn of(&self, load: &str) -> (f64, Option<Second>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(load).cloned().unwrap_or_default()
    }
}

/// Sets the factor of a load's rate.
pub type Throttle = Arc<dyn Fn(&str, f64) + Send + Sync>;

/// What faults act on.
#[derive(Clone)]
pub struct Actuator {
    /// The stack.
    pub running: Arc<Running>,
    /// The receivers.
    pub inbox: Arc<Inbox>,
    /// For silences.
    pub alertmanager: Option<Alertmanager>,
    /// The configuration that Alertmanager runs with, for mute times.
    pub alertmanager_file: Option<PathBuf>,
    /// For load faults.
    pub throttle: Throttle,
    /// For the proof of load faults.
    pub flow: Flow,
    /// Where everything is told.
    pub sink: Sink,
}

/// A fault that was injected, with what its probes and its revert need.
#[derive(Clone, Debug)]
pub struct Injected {
    pub(super) fault: Fault,
    id: String,
    pub(super) injected: Stamp,
    pub(super) hits: u64,
    pub(super) pid: Option<u32>,
    pub(super) silence: Option<String>,
    taken: Taken,
}

/// Whether whoever had to make a fault has taken it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It has, or nobody knows that it has not.
    Maybe,
    /// It has refused, or was not there.
    No,
}

impl Injected {
    /// A fault whose injection was called and whose end nobody waited for: good enough to revert it.
    #[must_use]
    pub fn presumed(id: &str, fault: &Fault, at: Stamp) -> Self {
        let (fault, id) = (fault.clone(), id.to_owned());
        Self { fault, id, injected: at, hits: 0, pid: None, silence: None, taken: Taken::Maybe }
    }
}

impl Actuator {
    /// Injects a fault and proves that it bites.
    ///
    /// # Errors
    /// In words, when it could not be injected or shows no effect; it may still have to be reverted.
    pub async fn inject(&self, id: &str, fault: &Fault) -> (Injected, Result<String, String>) {
        self.sink.tell(EventKind::FaultInjecting { fault: id.to_owned() });
        breakpoint::reached("fault-announced");
        let mut injected = Injected {
            fault: fault.clone(),
            id: id.to_owned(),
            injected: self.sink.now(),
            hits: 0,
            pid: None,
            silence: None,
            taken: Taken::Maybe,
        };
        if let Err(error) = self.apply(&mut injected).await {
            injected.taken = Taken::No;
            self.sink.tell(EventKind::FaultNotEffective { fault: id.to_owned(), probe: error.clone() });
            return (injected, Err(error));
        }
        self.sink.tell(EventKind::FaultInjected { fault: id.to_owned() });
        let seen = self.wait(&injected, Probe::bites).await;
        let (event, result) = match seen {
            Ok(probe) => (EventKind::FaultProved { fault: id.to_owned(), probe: probe.clone() }, Ok(probe)),
            Err(probe) => (EventKind::FaultNotEffective { fault: id.to_owned(), probe: probe.clone() }, Err(probe)),
        };
        self.sink.tell(event);
        breakpoint::reached("fault-proved");
        (injected, result)
    }

    /// Probes half-way; a fault that does not bite any more is told as lost.
    pub async fn check(&self, injected: &Injected) {
        match self.probe(injected).await {
            Probe::Bites(_) | Probe::Disputed(_) => {}
            Probe::Absent(probe) => self.sink.tell(EventKind::FaultLost { fault: injected.id.clone(), probe }),
        }
    }

    /// Reverts a fault and proves that it is gone.
    pub async fn revert(&self, injected: &Injected) {
        self.check(injected).await;
        self.sink.tell(EventKind::FaultReverting { fault: injected.id.clone() });
        let undone = self.undo(injected).await;
        breakpoint::reached("fault-reverting");
        let seen = match undone {
            // it is undone all the same, in case the refusal came half-way; nothing is left of what was never there
            Err(error) if injected.taken == Taken::No => Ok(format!("it was never injected ({error})")),
            Ok(()) if is_restart(&injected.fault) => self.runs_again(injected),
            Ok(()) => self.wait(injected, Probe::is_absent).await,
            Err(error) => Err(error),
        };
        let fault = injected.id.clone();
        self.sink.tell(match seen {
            Ok(probe) => EventKind::FaultGone { fault, probe },
            Err(message) => EventKind::FaultNotReverted { fault, message },
        });
    }

    /// A restart has nothing to revert: it is over when the new process runs, and stays visible in its pid.
    fn runs_again(&self, injected: &Injected) -> Result<String, String> {
        match self.probe_restart(injected, restarted(&injected.fault)) {
            Probe::Bites(text) => Ok(text),
            Probe::Absent(text) | Probe::Disputed(text) => Err(text),
        }
    }

    /// Probes until `done`, or until the deadline; the last thing seen, either way.
    async fn wait(&self, injected: &Injected, done: impl Fn(&Probe) -> bool) -> Result<String, String> {
        let deadline = Instant::now() + PROOF;
        let mut last = "no probe answered".to_owned();
        loop {
            let Ok(probe) = timeout_at(deadline, self.probe(injected)).await else { return Err(last) };
            if done(&probe) {
                return Ok(probe.text().to_owned());
            }
            probe.text().clone_into(&mut last);
            if Instant::now() >= deadline {
                return Err(last);
            }
            sleep(PAUSE).await;
        }
    }

    async fn apply(&self, injected: &mut Injected) -> Result<(), String> {
        let words = |error: std::io::Error| error.to_string();
        match injected.fault.clone() {
            Fault::Process { action, target } => {
                injected.pid = self.running.identity(&target).map(|identity| identity.pid);
                match action {
                    ProcessAction::Kill => self.running.kill(&target).await.map(drop).map_err(words),
                    ProcessAction::Pause => self.running.pause(&target).await.map_err(words),
                    ProcessAction::Stop => self.running.terminate(&target, GRACE).await.map(drop).map_err(words),
                    ProcessAction::Restart => {
                        self.running.terminate(&target, GRACE).await.map(drop).map_err(words)?;
                        self.running.start(&target).await.map_err(|error| error.to_string())
                    }
                }
            }
            Fault::Switch { target, name, parameters } => {
                let switch = self.switch(&target, &name, &parameters)?;
                injected.hits = switch::hits(&switch).await;
                switch::inject(&switch).await.map_err(|error| chain(&error))
            }
            Fault::Load { name, factor } => {
                (self.throttle)(&name, factor);
                Ok(())
            }
            Fault::Receiver { name, misbehaviour } => {
                self.inbox.set_behaviour(&name, behaviour(misbehaviour)).await.map_err(|error| error.to_string())
            }
            Fault::MuteTime { interval } => self.mute(&interval, Muting::On).await,
            Fault::Silence { matchers } => {
                injected.silence = Some(self.silence(&matchers).await?);
                Ok(())
            }
        }
    }

    async fn silence(&self, matchers: &[String]) -> Result<String, String> {
        let server = self.alertmanager.as_ref().ok_or("the stack has no Alertmanager")?;
        let matchers = matchers.iter().map(|text| self::matchers(text)).collect::<Result<Vec<_>, _>>()?.concat();
        let now = self.sink.now();
        let silence = silence::NewSilence {
            matchers,
            starts_at: now,
            ends_at: now + Duration::from_secs(24 * 3600),
            created_by: "harness".to_owned(),
            comment: "placed by a drill, removed at its end".to_owned(),
        };
        silence::create(server, &silence).await.map_err(|error| error.to_string())
    }

    /// Writes the time interval anew and has Alertmanager read it.
    async fn mute(&self, interval: &str, muting: Muting) -> Result<(), String> {
        let server = self.alertmanager.as_ref().ok_or("the stack has no Alertmanager")?;
        let path = self.alertmanager_file.as_ref().ok_or("Alertmanager runs without a configuration of ours")?;
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let text = mute::placed(path, &text, interval, muting).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| error.to_string())?;
        server.reload().await.map_err(|error| error.to_string())
    }

    async fn undo(&self, injected: &Injected) -> Result<(), String> {
        match &injected.fault {
            Fault::Process { action: ProcessAction::Pause, target } => {
                self.running.resume(target).await.map_err(|error| error.to_string())
            }
            Fault::Process { action: ProcessAction::Kill | ProcessAction::Stop, target } => {
                self.running.start(target).await.map_err(|error| error.to_string())
            }
            Fault::Process { action: ProcessAction::Restart, .. } => Ok(()),
            Fault::Switch { target, name, parameters } => {
                let switch = self.switch(target, name, parameters)?;
                switch::revert(&switch).await.map_err(|error| chain(&error))
            }
            Fault::Load { name, .. } => {
                (self.throttle)(name, 1.0);
                Ok(())
            }
            Fault::Receiver { name, .. } => {
                self.inbox.set_behaviour(name, Behaviour::Accept).await.map_err(|error| error.to_string())
            }
            Fault::MuteTime { interval } => self.mute(interval, Muting::Off).await,
            Fault::Silence { .. } => match (&self.alertmanager, &injected.silence) {
                (Some(server), Some(id)) => silence::expire(server, id).await.map_err(|error| error.to_string()),
                _ => Ok(()),
            },
        }
    }

    pub(super) fn switch(
        &self,
        target: &str,
        name: &str,
        parameters: &BTreeMap<String, serde_json::Value>,
    ) -> Result<switch::Switch, String> {
        let allocation = self.running.allocation();
        let spec = allocation.prepared().spec();
        let target = if target.is_empty() { spec.service.component.get_ref().as_str() } else { target };
        let written = spec
            .components
            .get(target)
            .and_then(|component| component.switches.get(name))
            .ok_or_else(|| format!("{target} has no switch `{name}` in {}", spec.file.display()))?;
        let request = |call: &spec::Call| -> Result<switch::Request, String> {
            Ok(switch::Request {
                method: call.method.as_str().to_owned(),
                url: allocation.render_for(target, &call.url).map_err(|error| error.to_string())?,
                json: call.json.as_ref().and_then(|json| switch::fill(json, parameters)),
            })
        };
        let probe = written.probe.as_ref().ok_or_else(|| format!("switch `{name}` of {target} has no probe"))?;
        Ok(switch::Switch {
            inject: request(&written.inject)?,
            undo: request(&written.undo)?,
            probe: request(probe)?,
            active: probe.active.clone().unwrap_or_else(|| format!("/{name}")),
            hits: probe.hits.clone(),
        })
    }
}

const fn is_restart(fault: &Fault) -> bool {
    matches!(fault, Fault::Process { action: ProcessAction::Restart, .. })
}

/// The component a process fault acts on; nothing for other faults.
fn restarted(fault: &Fault) -> &str {
    match fault {
        Fault::Process { target, .. } => target,
        _ => "",
    }
}

const fn behaviour(misbehaviour: Misbehaviour) -> Behaviour {
    match misbehaviour {
        Misbehaviour::Dead => Behaviour::Dead,
        Misbehaviour::Answer { status, after, first } => Behaviour::Answer(Answer { status, after, messages: first }),
    }
}

/// The matchers of a text, read as Alertmanager reads them.
fn matchers(text: &str) -> Result<Vec<silence::Matcher>, String> {
    let read = |matcher: Matcher| silence::Matcher {
        operator: match matcher.operator {
            MatcherOperator::Equal => silence::MatchOperator::Equal,
            MatcherOperator::NotEqual => silence::MatchOperator::NotEqual,
            MatcherOperator::Matches => silence::MatchOperator::Matches,
            MatcherOperator::MatchesNot => silence::MatchOperator::MatchesNot,
        },
        name: matcher.name,
        value: matcher.value,
    };
    let parsed = Matcher::parse_list(text).map_err(|error| error.to_string())?;
    Ok(parsed.into_iter().map(read).collect())
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
