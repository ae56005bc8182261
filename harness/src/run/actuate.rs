//! Breaks things and mends them: joins the fault value types with the stack, the inbox, Alertmanager and the loads. Every
//! step is told to the sink; the drill's loop only hears how it ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::sink::Sink;
use crate::clock::Stamp;
use crate::event::EventKind;
use crate::fault::{self, Fault, Misbehaviour, Probe, ProcessAction, switch};
use crate::inbox::{Behaviour, Inbox};
use crate::load::Second;
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

    fn of(&self, load: &str) -> (f64, Option<Second>) {
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
    fault: Fault,
    id: String,
    injected: Stamp,
    hits: u64,
    pid: Option<u32>,
    silence: Option<String>,
}

impl Injected {
    /// A fault whose injection was called and whose end nobody waited for: good enough to revert it.
    #[must_use]
    pub fn presumed(id: &str, fault: &Fault, at: Stamp) -> Self {
        Self { fault: fault.clone(), id: id.to_owned(), injected: at, hits: 0, pid: None, silence: None }
    }
}

impl Actuator {
    /// Injects a fault and proves that it bites.
    ///
    /// # Errors
    /// In words, when it could not be injected or shows no effect; it may still have to be reverted.
    pub async fn inject(&self, id: &str, fault: &Fault) -> (Injected, Result<String, String>) {
        self.sink.tell(EventKind::FaultInjecting { fault: id.to_owned() });
        let mut injected = Injected {
            fault: fault.clone(),
            id: id.to_owned(),
            injected: self.sink.now(),
            hits: 0,
            pid: None,
            silence: None,
        };
        if let Err(error) = self.apply(&mut injected).await {
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
        (injected, result)
    }

    /// Probes half-way; a fault that does not bite any more is told as lost.
    pub async fn check(&self, injected: &Injected) {
        match self.probe(injected).await {
            Probe::Bites(_) => {}
            Probe::Absent(probe) => self.sink.tell(EventKind::FaultLost { fault: injected.id.clone(), probe }),
        }
    }

    /// Reverts a fault and proves that it is gone.
    pub async fn revert(&self, injected: &Injected) {
        self.check(injected).await;
        self.sink.tell(EventKind::FaultReverting { fault: injected.id.clone() });
        let undone = self.undo(injected).await;
        let seen = match undone {
            Ok(()) if is_restart(&injected.fault) => self.runs_again(injected),
            Ok(()) => self.wait(injected, |probe| !probe.bites()).await,
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
            Probe::Absent(text) => Err(text),
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
                    ProcessAction::Pause => self.running.pause(&target).map_err(words),
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
                self.inbox.set_behaviour(&name, behaviour(misbehaviour));
                Ok(())
            }
            Fault::Silence { matchers } => {
                injected.silence = Some(self.silence(&matchers).await?);
                Ok(())
            }
        }
    }

    async fn silence(&self, matchers: &[String]) -> Result<String, String> {
        let server = self.alertmanager.as_ref().ok_or("the stack has no Alertmanager")?;
        let matchers = matchers.iter().map(|text| matcher(text)).collect::<Result<Vec<_>, _>>()?;
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

    async fn undo(&self, injected: &Injected) -> Result<(), String> {
        match &injected.fault {
            Fault::Process { action: ProcessAction::Pause, target } => {
                self.running.resume(target).map_err(|error| error.to_string())
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
                self.inbox.set_behaviour(name, Behaviour::Accept);
                Ok(())
            }
            Fault::Silence { .. } => match (&self.alertmanager, &injected.silence) {
                (Some(server), Some(id)) => silence::expire(server, id).await.map_err(|error| error.to_string()),
                _ => Ok(()),
            },
        }
    }

    async fn probe(&self, injected: &Injected) -> Probe {
        match &injected.fault {
            Fault::Process { action: ProcessAction::Restart, target } => self.probe_restart(injected, target),
            Fault::Process { action, target } => {
                let pid = self.running.identity(target).map(|identity| identity.pid);
                let pid = if *action == ProcessAction::Pause { pid.or(injected.pid) } else { pid };
                fault::process::probe(*action, pid, self.peer(target).as_deref()).await
            }
            Fault::Switch { target, name, parameters } => match self.switch(target, name, parameters) {
                Ok(switch) => {
                    switch::probe(&switch, injected.hits).await.unwrap_or_else(|error| Probe::Absent(chain(&error)))
                }
                Err(error) => Probe::Absent(error),
            },
            Fault::Load { name, factor } => self.probe_load(injected, name, *factor),
            Fault::Receiver { name, .. } => {
                let now = self.inbox.behaviour(name);
                let text = format!("the inbox of {name} is set to {now:?}");
                if matches!(now, Behaviour::Accept) { Probe::Absent(text) } else { Probe::Bites(text) }
            }
            Fault::Silence { .. } => self.probe_silence(injected).await,
        }
    }

    fn probe_restart(&self, injected: &Injected, target: &str) -> Probe {
        match self.running.identity(target) {
            Some(identity) if injected.pid == Some(identity.pid) => Probe::Absent("the same process runs".to_owned()),
            Some(identity) => Probe::Bites(format!("process {} took its place", identity.pid)),
            None => Probe::Absent("no process runs".to_owned()),
        }
    }

    /// A load fault bites when a whole second that began after the injection shows the rate; it is gone when the latest
    /// second shows the usual rate again. Arrivals may be random, so half of the difference decides.
    fn probe_load(&self, injected: &Injected, name: &str, factor: f64) -> Probe {
        let (usual, latest) = self.flow.of(name);
        let Some(second) = latest.filter(|second| second.second >= injected.injected) else {
            return Probe::Absent("no whole second has passed yet".to_owned());
        };
        #[expect(clippy::cast_precision_loss, reason = "requests of one second")]
        let seen = second.planned as f64;
        let middle = usual * f64::midpoint(1.0, factor);
        let text = format!("{seen} requests in the last second, usually {usual:.0}");
        let bites = if factor < 1.0 { seen < middle } else { seen > middle };
        if bites { Probe::Bites(text) } else { Probe::Absent(text) }
    }

    async fn probe_silence(&self, injected: &Injected) -> Probe {
        let Some((server, id)) = self.alertmanager.as_ref().zip(injected.silence.as_ref()) else {
            return Probe::Absent("there is no silence".to_owned());
        };
        match silence::list(server).await {
            Ok(silences) => match silences.iter().find(|silence| silence.id == *id) {
                Some(silence) if silence.state == silence::SilenceState::Active => {
                    Probe::Bites(format!("Alertmanager has silence {id}"))
                }
                Some(silence) => Probe::Absent(format!("silence {id} is {:?}", silence.state).to_lowercase()),
                None => Probe::Absent(format!("Alertmanager does not know silence {id}")),
            },
            Err(error) => Probe::Absent(error.to_string()),
        }
    }

    /// The URL at which a peer sees whether a component lives: its first readiness condition by HTTP.
    fn peer(&self, component: &str) -> Option<String> {
        let allocation = self.running.allocation();
        let conditions = &allocation.prepared().spec().components.get(component)?.ready;
        let url = conditions.iter().find_map(|condition| condition.get_ref().http.as_ref())?;
        allocation.render_for(component, url).ok()
    }

    fn switch(
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
        Misbehaviour::Refuse => Behaviour::Refuse(503),
        Misbehaviour::Status(status) => Behaviour::Refuse(status),
        Misbehaviour::Slow(delay) => Behaviour::Delay(delay),
    }
}

fn matcher(text: &str) -> Result<silence::Matcher, String> {
    use silence::MatchOperator as Op;
    let operators = [("=~", Op::Matches), ("!~", Op::MatchesNot), ("!=", Op::NotEqual), ("=", Op::Equal)];
    operators
        .into_iter()
        .find_map(|(sign, operator)| {
            let (name, value) = text.split_once(sign)?;
            let value = value.trim().trim_matches('"').to_owned();
            Some(silence::Matcher { name: name.trim().to_owned(), operator, value })
        })
        .ok_or_else(|| format!("`{text}` is no matcher; write for example `severity=\"critical\"`"))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
