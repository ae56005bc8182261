//! What the loop does when the timeline says so: loads start and stop, faults are injected, probed and reverted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::{DRAIN, Floor, Input};
use crate::event::EventKind;
use crate::load::{self, Second, Trust};
use crate::plan::build::Purpose;
use crate::run::actuate::{Actuator, Injected};
use crate::run::annotate;
use crate::run::count::Base;
use crate::run::seed;
use crate::run::show;
use crate::run::timeline::Message;

impl Floor {
    pub(super) fn start_load(&mut self) {
        let now = self.sink().now();
        self.base = Base { at: now };
        self.times.load_started = Some(now);
        let plan = Arc::clone(&self.drill.plan);
        for (index, load) in plan.loads.iter().enumerate() {
            let stack = self.drill.place.prepared.spec();
            let (requests, journeys) = seed::fill(load, &stack.seed);
            let mut spec = load::Spec::new(&load.name, self.built.target.clone(), load.model.clone(), requests);
            spec.journeys = journeys;
            (spec.timeout, spec.protocol) = (load.timeout, load.protocol);
            spec.trust = stack.service.ca.as_ref().map_or(Trust::System, |file| Trust::File(stack.root.join(file)));
            spec.seed = load.seed;
            let prefix = format!("{}-{index}-", self.drill.place.session.run());
            spec.request_id_prefix = Some(prefix.clone());
            self.about.prefixes.insert(load.name.clone(), prefix);
            match load::start(spec, self.sink().clock()) {
                Ok(mut handle) => {
                    let (_, nobody) = mpsc::unbounded_channel();
                    let samples = std::mem::replace(handle.samples(), nobody);
                    self.forward(&load.name, samples);
                    self.flow.usual(&load.name, show::usual_rate(&load.model));
                    self.handles.insert(load.name.clone(), handle);
                }
                Err(error) => self.sink().tell(EventKind::Warned { message: format!("failed to {error}") }),
            }
        }
        let ramp = plan.loads.iter().map(|load| load.ramp).max().unwrap_or_default();
        let warm = ramp + plan.reach + self.scrape() * 2;
        let sender = self.sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(warm).await;
            drop(sender.send(Input::Told(Message::Warm)));
        });
    }

    pub(super) fn forward(&self, load: &str, mut samples: UnboundedReceiver<Second>) {
        let (sender, load) = (self.sender.clone(), load.to_owned());
        tokio::spawn(async move {
            while let Some(second) = samples.recv().await {
                if sender.send(Input::Second(load.clone(), second)).is_err() {
                    return;
                }
            }
        });
    }

    pub(super) fn actuator(&self) -> Actuator {
        let sender = self.sender.clone();
        Actuator {
            running: Arc::clone(&self.built.running),
            inbox: Arc::clone(&self.built.inbox),
            alertmanager: self.built.clients.alertmanager.clone(),
            alertmanager_file: self.built.alertmanager_file.clone(),
            throttle: Arc::new(move |load, factor| drop(sender.send(Input::Factor(load.to_owned(), factor)))),
            flow: self.flow.clone(),
            sink: self.sink().clone(),
        }
    }

    pub(super) fn inject(&mut self, fault: usize) {
        let now = self.sink().now();
        self.fault_times(fault).injecting = Some(now);
        if self.plan().purpose == Purpose::Control {
            let fault_id = self.plan().schedule.faults[fault].id.clone();
            self.sink().tell(EventKind::FaultLeftOut { fault: fault_id });
            drop(self.sender.send(Input::LeftOut(fault, now)));
            return;
        }
        let (actuator, sender) = (self.actuator(), self.sender.clone());
        let (id, what) = (self.plan().schedule.faults[fault].id.clone(), self.plan().faults[fault].clone());
        tokio::spawn(async move {
            let (injected, proved) = actuator.inject(&id, &what).await;
            let injected = Box::new(injected);
            drop(sender.send(match proved {
                Ok(_) => Input::Proved(fault, injected, actuator.sink.now()),
                Err(_) => Input::NotEffective(fault, injected),
            }));
        });
    }

    pub(super) fn probe(&self, fault: usize) {
        let Some(injected) = self.injected.get(&fault).cloned() else { return };
        let actuator = self.actuator();
        tokio::spawn(async move { actuator.check(&injected).await });
    }

    /// Reverts; while the injection is still on its way, as soon as it has ended.
    pub(super) fn revert(&mut self, fault: usize) {
        let now = self.sink().now();
        self.fault_times(fault).reverting = Some(now);
        if self.plan().purpose == Purpose::Control {
            drop(self.sender.send(Input::Gone(fault, now)));
            return;
        }
        let (actuator, sender) = (self.actuator(), self.sender.clone());
        let known = self.injected.get(&fault).cloned();
        let (id, what) = (self.plan().schedule.faults[fault].id.clone(), self.plan().faults[fault].clone());
        tokio::spawn(async move {
            let injected = known.unwrap_or_else(|| Injected::presumed(&id, &what, now));
            actuator.revert(&injected).await;
            drop(sender.send(Input::Gone(fault, actuator.sink.now())));
        });
    }

    /// Shows a fault that is over on the dashboards, where Grafana runs.
    pub(super) fn annotate(&self, fault: usize) {
        let grafana = self.built.clients.grafana.clone().filter(|_| self.plan().purpose == Purpose::Drill);
        let Some(grafana) = grafana else { return };
        let id = &self.plan().schedule.faults[fault].id;
        let Some(times) = self.times.faults.get(id).copied() else { return };
        let (sink, title) = (self.sink().clone(), self.plan().faults[fault].title());
        let (scenario, id) = (self.plan().name.clone(), id.clone());
        tokio::spawn(async move {
            if let Err(error) = annotate::fault(&grafana, &scenario, &id, &title, times).await {
                let message = format!("failed to post the fault {id} to Grafana: {error}");
                sink.tell(EventKind::Warned { message });
            }
        });
    }

    pub(super) fn stop_load(&mut self) {
        self.times.load_stopped = Some(self.sink().now());
        let handles = std::mem::take(&mut self.handles);
        let drain = self.plan().loads.iter().map(|load| load.timeout).max().unwrap_or_default().max(DRAIN);
        let drain = if self.interrupted { Duration::ZERO } else { drain };
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let stopping = handles.into_iter().map(|(name, handle)| async move { (name, handle.stop(drain).await) });
            let summaries = futures_util::future::join_all(stopping).await.into_iter().collect();
            drop(sender.send(Input::LoadsEnded(summaries)));
        });
    }
}
