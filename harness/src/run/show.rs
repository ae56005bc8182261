//! Plans and measurements as events show them. Pure.

use super::stage::Lit;
use crate::clock::Stamp;
use crate::event::{Event, EventKind, ExpectationPlan, FaultPlan, LoadSample, LoadTotals, ScenarioPlan};
use crate::load::{Model, Second, Summary};
use crate::plan::build::{During, LoadPlan, Plan, Purpose};

/// A plan as reports show it.
#[must_use]
pub fn scenario(plan: &Plan) -> ScenarioPlan {
    let faults = plan.schedule.faults.iter().zip(&plan.faults);
    ScenarioPlan {
        name: plan.name.clone(),
        summary: match plan.purpose {
            Purpose::Drill => plan.summary.clone(),
            Purpose::Control => format!("Control, nothing is injected. The drill: {}", plan.summary),
        },
        tags: plan.tags.clone(),
        file: plan.file.clone(),
        time_scale: plan.scale,
        baseline: plan.schedule.baseline,
        recovery: plan.schedule.recovery,
        faults: faults
            .map(|(step, fault)| FaultPlan {
                id: step.id.clone(),
                title: match plan.purpose {
                    Purpose::Drill => fault.title(),
                    Purpose::Control => format!("left out: {}", fault.title()),
                },
                at: step.at,
                lasts: step.lasts,
            })
            .collect(),
        expectations: plan
            .expectations
            .iter()
            .map(|step| ExpectationPlan {
                id: step.id.clone(),
                kind: step.what.kind().to_owned(),
                title: step.title.clone(),
                during: during(&step.during),
                location: step.location.clone(),
                source: step.source.clone(),
            })
            .collect(),
        loads: plan.loads.iter().map(|load| (load.name.clone(), describe(load))).collect(),
    }
}

/// A window as written.
#[must_use]
pub fn during(during: &During) -> String {
    match during {
        During::Baseline => "baseline".to_owned(),
        During::Recovery => "recovery".to_owned(),
        During::Run => "run".to_owned(),
        During::All(ids) | During::Any(ids) => ids.join(", "),
    }
}

fn describe(load: &LoadPlan) -> String {
    let requests: Vec<String> =
        load.requests.iter().map(|request| format!("{} {}", request.method, request.path)).collect();
    let pace = match &load.model {
        Model::Open { arrivals, .. } => format!("{:.0} requests/s, {arrivals:?} arrivals", usual_rate(&load.model)),
        Model::Connections { count } => format!("{count} connections at full speed"),
        Model::Users { count, think, .. } => format!("{count} users who think for {think:?}"),
    };
    format!("{}: {}", pace.to_lowercase(), requests.join(", "))
}

/// The rate a load ends up at, requests per second; 0 for a closed model.
#[must_use]
pub fn usual_rate(model: &Model) -> f64 {
    match model {
        Model::Open { stages, .. } => stages.last().map_or(0.0, |stage| stage.to),
        Model::Connections { .. } | Model::Users { .. } => 0.0,
    }
}

/// A second of a load as an event.
#[must_use]
pub fn second(load: &str, second: &Second) -> EventKind {
    EventKind::LoadSampled(LoadSample {
        load: load.to_owned(),
        second: second.second,
        planned: second.planned,
        started: second.started,
        dropped: second.dropped,
        succeeded: second.succeeded,
        failed: second.failed,
        in_flight: second.in_flight,
        latency_us: second.latency_us,
    })
}

/// A load's end as an event.
#[must_use]
pub fn totals(load: &str, summary: &Summary) -> EventKind {
    const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];
    let flow = summary.flow;
    let mut latency_us = std::collections::BTreeMap::new();
    if let Some(latency) = summary.whole().latency(None) {
        let micros = |value: std::time::Duration| u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let quantiles =
            QUANTILES.iter().filter_map(|(name, q)| Some(((*name).to_owned(), micros(latency.quantile(*q)?))));
        latency_us.extend(quantiles);
        latency_us.extend(latency.max().map(|max| ("max".to_owned(), micros(max))));
    }
    let by_outcome = summary.ledger.iter().map(|(key, statuses)| {
        let counts = statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect();
        (format!("{} {} ({})", key.method, key.route, key.request), counts)
    });
    EventKind::LoadFinished(LoadTotals {
        load: load.to_owned(),
        planned: flow.planned,
        started: flow.started,
        dropped: flow.dropped,
        completed: flow.completed,
        failed: flow.failed,
        cancelled: flow.cancelled,
        by_outcome: by_outcome.collect(),
        latency_us,
        saturation: summary.saturation.as_ref().map(ToString::to_string),
    })
}

/// What a scenario's stack took to be ready, from the stamps in its own events.
#[must_use]
pub fn stack_ready(scenario: &str, prometheus: &str, lit: &Lit, events: &[Event], now: Stamp) -> EventKind {
    let own = || events.iter().filter(|event| event.scenario.as_deref() == Some(scenario));
    let begun = own().next().map_or(now, |event| event.at);
    let started = own().find_map(|event| match &event.what {
        EventKind::ComponentStarted { component, .. } if component == prometheus => Some(event.at),
        _ => None,
    });
    let boots = own().filter_map(|event| match &event.what {
        EventKind::ComponentReady { component, took } => Some((component.clone(), *took)),
        _ => None,
    });
    let (slowest, slowest_boot) = boots.max_by_key(|(_, took)| *took).unzip();
    EventKind::StackReady {
        took: now.since(begun),
        gates_open: Some(lit.open.since(begun)),
        prometheus_first_up: started.zip(lit.first_up).map(|(started, up)| up.since(started)),
        slowest,
        slowest_boot,
    }
}
