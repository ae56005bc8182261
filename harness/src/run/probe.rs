//! Asks whether a fault bites: the kernel or the engine, the component from outside, the service's own account, the load's
//! latest second, Alertmanager, the receiver's address.

use super::actuate::{Actuator, Injected, chain};
use crate::fault::process::Seen;
use crate::fault::{self, Fault, Probe, ProcessAction, switch};
use crate::inbox::Behaviour;
use crate::plan::scale::render::mute::{self, Muting};
use crate::stack::local::State;
use crate::telemetry::alertmanager::silence;

impl Actuator {
    pub(super) async fn probe(&self, injected: &Injected) -> Probe {
        match &injected.fault {
            Fault::Process { action: ProcessAction::Restart, target } => self.probe_restart(injected, target),
            Fault::Process { action, target } => {
                let (state, words) = self.running.look(target).await;
                let seen = match state {
                    State::Runs => Seen::Runs(words),
                    State::Paused => Seen::Halted(words),
                    State::NotStarted | State::Ended(_) => Seen::Gone(words),
                };
                fault::process::probe(*action, seen, self.peer(target).as_deref()).await
            }
            Fault::Switch { target, name, parameters } => match self.switch(target, name, parameters) {
                Ok(switch) => {
                    switch::probe(&switch, injected.hits).await.unwrap_or_else(|error| Probe::Absent(chain(&error)))
                }
                Err(error) => Probe::Absent(error),
            },
            Fault::Load { name, factor } => self.probe_load(injected, name, *factor),
            Fault::Receiver { name, .. } => self.probe_receiver(name).await,
            Fault::MuteTime { interval } => self.probe_mute(interval).await,
            Fault::Silence { .. } => self.probe_silence(injected).await,
        }
    }

    /// A dead address is asked; the rest is the inbox's own setting, since it is the harness that answers.
    async fn probe_receiver(&self, name: &str) -> Probe {
        let now = self.inbox.behaviour(name);
        let knocks = self.inbox.knock(name).await;
        let seen = knocks.iter().map(|knock| knock.as_ref().unwrap_or_else(|refused| refused).as_str());
        let seen = seen.collect::<Vec<_>>().join("; ");
        let all = |let_in: bool| knocks.iter().all(|knock| knock.is_ok() == let_in);
        match now {
            Behaviour::Dead if !knocks.is_empty() && all(false) => Probe::Bites(seen),
            Behaviour::Answer(answer) if all(true) => {
                let left = answer.messages.map_or_else(String::new, |left| format!(", {left} more messages"));
                let status = answer.status.map_or_else(String::new, |status| format!(" with {status}"));
                Probe::Bites(format!("the inbox of {name} answers{status} after {:?}{left}", answer.after))
            }
            Behaviour::Accept if !all(true) => Probe::Bites(seen),
            _ => Probe::Absent(format!("the inbox of {name} answers as it should; {seen}")),
        }
    }

    pub(super) fn probe_restart(&self, injected: &Injected, target: &str) -> Probe {
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

    /// The configuration that Alertmanager says it runs with decides, not the file that was written.
    async fn probe_mute(&self, interval: &str) -> Probe {
        let Some(server) = &self.alertmanager else { return Probe::Absent("the stack has no Alertmanager".to_owned()) };
        match server.status().await {
            Ok(status) => match mute::muting(&status.config_yaml, interval) {
                Some(Muting::On) => Probe::Bites(format!("Alertmanager runs with {interval} around now")),
                Some(Muting::Off) => Probe::Absent(format!("Alertmanager runs with {interval} elsewhere")),
                None => Probe::Absent(format!("Alertmanager runs with a {interval} of somebody else")),
            },
            Err(error) => Probe::Absent(error.to_string()),
        }
    }

    /// The URL at which a peer sees whether a component lives: its first readiness condition by HTTP.
    fn peer(&self, component: &str) -> Option<String> {
        let allocation = self.running.allocation();
        let conditions = &allocation.prepared().spec().components.get(component)?.ready;
        let url = conditions.iter().find_map(|condition| condition.get_ref().http.as_ref())?;
        // a peer over TLS is not asked: its process is looked at alone
        allocation.render_for(component, url).ok().filter(|url| url.starts_with("http://"))
    }
}
