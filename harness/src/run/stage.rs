//! Sets the stage for one scenario: ports, inboxes, the rewritten configuration, the components, the gates, the seed data.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;

use super::beside::{absent, addresses, collector, exporter};
use super::clients::{Clients, clients};
use super::gate::{Alerting, Gate};
use super::sink::Sink;
use super::{log_rules, seed};
use crate::breakpoint;
use crate::clock::Stamp;
use crate::event::EventKind;
use crate::expect::Expectation;
use crate::fault::Fault;
use crate::inbox::{Inbox, Kind, Message};
use crate::load;
use crate::outcome::Reason;
use crate::plan::build::Plan;
use crate::plan::scale::config::Evaluator;
use crate::plan::scale::render::mute::Muting;
use crate::plan::scale::render::{Addresses, Receivers, RenderError, RenderRequest, Rendered, Shape, Slot, render};
use crate::plan::scale::{ConfigSet, Scale, flag};
use crate::stack::collector::Collector;
use crate::stack::exporter::{Exporter, Serving};
use crate::stack::local::{Allocation, Prepared, Running, StartError};
use crate::stack::notice::Notices;
use crate::stack::select::{Extent, Unavailable};
use crate::stack::session::Session;
use crate::stack::spec::{Role, Spec};
use crate::telemetry::loki::Ruler;
use crate::telemetry::prometheus::Prometheus;

/// Why a stage could not be set.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The reason code.
    pub reason: Reason,
    /// In words.
    pub message: String,
    /// The component, if it was one.
    pub component: Option<String>,
    /// Its last lines.
    pub last_lines: Vec<String>,
}

impl Broken {
    /// Something that is no component's fault.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), component: None, last_lines: Vec::new() }
    }

    fn start(error: &StartError) -> Self {
        let reason = match error {
            StartError::NotReady { .. } => Reason::ReadyTimeout,
            _ => Reason::Provider,
        };
        Self {
            reason,
            message: format!("failed to {error}"),
            component: error.component().map(str::to_owned),
            last_lines: error.last_lines().to_vec(),
        }
    }
}

/// Where a scenario's stack comes from and where its traces go.
#[derive(Clone)]
pub struct Place {
    /// The suite's programs.
    pub prepared: Arc<Prepared>,
    /// The owner of everything that is created.
    pub session: Arc<Session>,
    /// The stack's notices.
    pub notices: Notices,
    /// The run's folder below `reports/`.
    pub folder: PathBuf,
}

/// A stage that is built and not yet lit: configuration written, nothing started.
pub struct Built {
    /// The components.
    pub running: Arc<Running>,
    /// The receivers.
    pub inbox: Arc<Inbox>,
    /// What they get.
    pub mail: UnboundedReceiver<Message>,
    /// The configuration as it runs.
    pub rendered: Rendered,
    /// Alertmanager's configuration among it.
    pub alertmanager_file: Option<PathBuf>,
    /// Clients.
    pub clients: Clients,
    /// Where the load goes.
    pub target: load::Target,
    /// What the components use, for Prometheus; ends with the stage.
    _usage: Option<Serving>,
    /// What only writes its log lines is collected from; ends with the stage.
    pub collector: Option<Collector>,
}

/// Chooses components, takes ports, opens inboxes and writes the configuration.
///
/// # Errors
/// When the stack cannot run here, or its configuration cannot be rewritten.
pub async fn build(plan: &Plan, config: &ConfigSet, place: &Place, sink: &Sink) -> Result<Built, Broken> {
    let spec = place.prepared.spec();
    let required: BTreeSet<String> = plan.requires.iter().cloned().collect();
    let selection = place.prepared.select(&required, Extent::Needed).map_err(|error| unavailable(&error, &required))?;
    let mut allocation = Allocation::create(&place.session, Arc::clone(&place.prepared), selection, &plan.name)
        .await
        .map_err(|error| Broken::new(Reason::Provider, format!("failed to {error}")))?;
    breakpoint::reached("allocated");
    let (inbox, mail) = Inbox::start(sink.clock(), IpAddr::V4(allocation.harness_address()));
    let exporter = exporter(&allocation).await?;
    let rendered = rewrite(plan, config, &allocation, &inbox, exporter.as_ref())?;
    write(&rendered, plan, place, &mut allocation, spec)?;
    tell(&rendered, plan, sink);
    let clients = clients(spec, &allocation)?;
    let base = allocation
        .render(&spec.service.base_url)
        .map_err(|error| Broken::new(Reason::Provider, format!("failed to {error}")))?;
    let target = load::Target::resolve(&base, load::Reach::Loopback)
        .map_err(|error| Broken::new(Reason::InvalidScenario, format!("failed to {error}")))?;
    let logs = place.folder.join("logs").join(&plan.name);
    std::fs::create_dir_all(&logs)
        .map_err(|error| Broken::new(Reason::Provider, format!("failed to make {}: {error}", logs.display())))?;
    let notices = place.notices.of_scenario(&plan.name);
    let running = Arc::new(Running::new(allocation, Arc::clone(&place.session), &logs, notices));
    let usage = exporter.map(|exporter| exporter.serve(Arc::clone(&running)));
    let alertmanager_file = rendered.alertmanager.as_ref().map(|path| config_folder(plan, place).join(path));
    let collector = collector(&running)?;
    Ok(Built {
        running,
        inbox: Arc::new(inbox),
        mail,
        rendered,
        alertmanager_file,
        clients,
        target,
        _usage: usage,
        collector,
    })
}

impl Built {
    /// What the task that starts the components needs.
    #[must_use]
    pub fn share(&self) -> Unlit {
        Unlit {
            running: Arc::clone(&self.running),
            config: self.rendered.config.clone(),
            prometheus: self.clients.prometheus.clone(),
            ruler: self.clients.ruler.clone(),
        }
    }
}

/// What is needed to start a stage.
pub struct Unlit {
    running: Arc<Running>,
    config: ConfigSet,
    prometheus: Prometheus,
    ruler: Option<Ruler>,
}

/// What is known of a stage that is lit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lit {
    /// When the first target was seen up.
    pub first_up: Option<Stamp>,
    /// When the gates were open.
    pub open: Stamp,
}

/// Starts the components, gives the turn to do so back, plants the seed data and waits for the gates.
///
/// # Errors
/// The component or the gate that failed.
pub async fn light(built: &Unlit, plan: &Plan, sink: &Sink, turn: Option<OwnedSemaphorePermit>) -> Result<Lit, Broken> {
    built.running.start_all().await.map_err(|error| Broken::start(&error))?;
    drop(turn);
    let allocation = built.running.allocation();
    let spec = allocation.prepared().spec();
    let base = allocation
        .render(&spec.service.base_url)
        .map_err(|error| Broken::new(Reason::Provider, format!("failed to {error}")))?;
    let plant = async {
        seed::plant(&base, &spec.seed)
            .await
            .map_err(|error| Broken::new(Reason::Provider, format!("failed to {error}")))?;
        Ok(sink.now())
    };
    let gate = gate(plan, &built.config, spec);
    let open = async {
        let logs = log_rules::gate(plan, &built.config);
        let evaluated = async {
            match (&logs, &built.ruler) {
                (Some(gate), Some(ruler)) => gate.pass(ruler).await,
                _ => Ok(()),
            }
        };
        let (first_up, ()) = tokio::try_join!(gate.pass(&built.prometheus, sink.clock()), evaluated)?;
        Ok(Lit { first_up, open: sink.now() })
    };
    let (planted, lit) = tokio::try_join!(plant, open)?;
    gate.scraped_since(&built.prometheus, planted).await?;
    Ok(lit)
}

fn unavailable(error: &Unavailable, required: &BTreeSet<String>) -> Broken {
    let reason = if required.contains(&error.component) { Reason::RequirementMissing } else { Reason::Provider };
    Broken { component: Some(error.component.clone()), ..Broken::new(reason, format!("failed to {error}")) }
}

/// The alerts that some expectation names.
fn named(plan: &Plan) -> BTreeSet<String> {
    plan.expectations
        .iter()
        .flat_map(|step| match &step.what {
            Expectation::Alert(alert) => vec![alert.name.clone()],
            Expectation::Notification(notification) => vec![notification.alert.clone()],
            Expectation::Heartbeat(heartbeat) => vec![heartbeat.alert.clone()],
            Expectation::Suppression(suppression) => suppression.alerts(),
            Expectation::Always(always) => vec![always.name.clone()],
            _ => Vec::new(),
        })
        .collect()
}

fn gate(plan: &Plan, config: &ConfigSet, spec: &Spec) -> Gate {
    let alerts = named(plan).into_iter().filter(|alert| config.evaluator(alert) == Evaluator::Prometheus).collect();
    let prometheus = &config.prometheus;
    let evaluation = prometheus.groups.iter().map(|group| prometheus.interval_of(group)).max();
    Gate {
        alerts,
        job: spec.signals.target.as_ref().map(|target| target.job.clone()),
        targets: prometheus.jobs.iter().map(|job| job.targets.len()).sum(),
        alerting: if prometheus.alertmanagers.is_empty() { Alerting::Missing } else { Alerting::Configured },
        scrape: scrape_of(config, spec),
        evaluation: evaluation.unwrap_or(prometheus.evaluation_interval),
    }
}

/// The scrape interval of the service's job.
#[must_use]
pub fn scrape_of(config: &ConfigSet, spec: &Spec) -> Duration {
    let job = spec.signals.target.as_ref().map(|target| target.job.as_str());
    let prometheus = &config.prometheus;
    let own = prometheus.jobs.iter().find(|it| Some(it.name.as_str()) == job).map(|it| it.interval);
    own.unwrap_or(prometheus.scrape_interval)
}

fn rewrite(
    plan: &Plan,
    config: &ConfigSet,
    allocation: &Allocation,
    inbox: &Inbox,
    exporter: Option<&Exporter>,
) -> Result<Rendered, Broken> {
    let scale = Scale::new(plan.scale).map_err(|error| Broken::new(Reason::InvalidScenario, error.to_string()))?;
    let mut addresses = addresses(allocation);
    let usage = allocation.prepared().spec().usage.as_ref().zip(exporter);
    addresses.extend(usage.map(|(usage, exporter)| (usage.target.get_ref().clone(), exporter.address().to_string())));
    let absent = absent(allocation);
    let shapes =
        BTreeSet::from([Shape::Webhook, Shape::Slack, Shape::PagerDuty, Shape::Email, Shape::Opsgenie, Shape::Teams]);
    let failed = std::cell::RefCell::new(None);
    let url = |slot: &Slot| {
        let (kind, index) = inbox_of(slot);
        inbox.url(&slot.receiver, kind, index).unwrap_or_else(|error| {
            failed.replace(Some(error.to_string()));
            String::new()
        })
    };
    let request = RenderRequest {
        scale,
        addresses: Addresses::Mapped(&addresses, &absent),
        receivers: Receivers::Redirected { shapes: &shapes, inbox: &url },
    };
    let refused = |error: RenderError| Broken::new(Reason::InvalidScenario, format!("failed to {error}"));
    let mut rendered = render(config, &request).map_err(refused)?;
    for fault in &plan.faults {
        // outside of its window the interval is elsewhere, so that the time of day decides nothing
        if let Fault::MuteTime { interval } = fault {
            rendered = rendered.with_muting(config, interval, Muting::Off).map_err(refused)?;
        }
    }
    match failed.into_inner() {
        Some(error) => Err(Broken::new(Reason::Provider, format!("failed to {error}"))),
        None => Ok(rendered),
    }
}

/// The inbox of an integration. Kinds that are turned into webhooks get places of their own behind the real ones.
fn inbox_of(slot: &Slot) -> (Kind, usize) {
    let own = Kind::from_name(&slot.kind);
    let kind = match slot.shape {
        Shape::Webhook => Kind::Webhook,
        Shape::Slack => Kind::Slack,
        Shape::PagerDuty => Kind::Pagerduty,
        Shape::Email => Kind::Email,
        Shape::Opsgenie => Kind::Opsgenie,
        Shape::Teams => own.unwrap_or(Kind::Msteams),
    };
    if own == Some(kind) {
        return (kind, slot.index);
    }
    let place = Kind::ALL.iter().position(|other| Some(*other) == own).map_or(Kind::ALL.len(), |place| place + 1);
    (kind, slot.index + 1000 * place)
}

fn write(
    rendered: &Rendered,
    plan: &Plan,
    place: &Place,
    allocation: &mut Allocation,
    spec: &Spec,
) -> Result<(), Broken> {
    // What runs may hold what must not be shared; the copy that stays with the report does not.
    let folder = config_folder(plan, place);
    let kept = place.folder.join("config").join(&plan.name);
    for file in rendered.files.iter().filter(|file| log_rules::runs(plan, rendered, file)) {
        for (folder, text) in [(&folder, &file.text), (&kept, &file.shareable())] {
            let path = folder.join(&file.relative);
            put(&path, text).map_err(|error| {
                Broken::new(Reason::Provider, format!("failed to write {}: {error}", path.display()))
            })?;
        }
    }
    let scale = Scale::new(plan.scale).map_err(|error| Broken::new(Reason::InvalidScenario, error.to_string()))?;
    if let Some((name, _)) = spec.with_role(Role::Prometheus) {
        let name = name.to_owned();
        allocation.set_config(&name, folder.join(&rendered.prometheus));
        allocation.add_arguments(&name, flag::prometheus_flags(scale));
    }
    if let (Some((name, _)), Some(path)) = (spec.with_role(Role::Alertmanager), &rendered.alertmanager) {
        let name = name.to_owned();
        allocation.set_config(&name, folder.join(path));
        allocation.add_arguments(&name, flag::alertmanager_flags(scale));
    }
    log_rules::place(rendered, &folder, allocation, spec)?;
    for (name, component) in &spec.components {
        let own = component.role.is_none_or(|role| {
            !matches!(role, Role::Prometheus | Role::Alertmanager) && (role != Role::Loki || rendered.loki.is_none())
        });
        if let Some(config) = component.config.as_ref().filter(|_| own) {
            allocation.set_config(name, spec.folder.join(config.get_ref()));
        }
    }
    Ok(())
}

/// Where the configuration lies that runs.
fn config_folder(plan: &Plan, place: &Place) -> PathBuf {
    place.session.folder().join(&plan.name).join(".config")
}

fn put(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

fn tell(rendered: &Rendered, plan: &Plan, sink: &Sink) {
    let changed = rendered.files.iter().filter(|file| !file.diff.is_empty());
    for file in changed.filter(|file| log_rules::runs(plan, rendered, file)) {
        sink.tell(EventKind::ConfigRewritten {
            file: file.original.display().to_string(),
            copy: format!("config/{}/{}", plan.name, file.relative.display()),
            diff: file.diff.clone(),
        });
    }
    for caveat in &rendered.caveats {
        sink.tell(EventKind::CaveatNoted { message: caveat.to_string() });
    }
}
