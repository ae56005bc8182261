//! One scenario from its first port to its verdict: the shell around the pure timeline. It performs what the timeline
//! decides, in one loop; everything else (pollers, faults, loads, inboxes) only speaks to it.

mod act;
mod hear;
mod judge;
mod preserve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::breakpoint;
use crate::clock::Stamp;
use crate::event::{EventKind, Phase, Verdict};
use crate::expect::look::ScaledTime;
use crate::expect::way::Truth;
use crate::load::{self, Second};
use crate::outcome::{Evidence, Outcome, Reason};
use crate::plan::build::{Plan, Purpose};
use crate::plan::scale::ConfigSet;
use crate::run::about::About;
use crate::run::actuate::{Flow, Injected};
use crate::run::control;
use crate::run::count::Base;
use crate::run::observe::Seen;
use crate::run::record::Record;
use crate::run::show;
use crate::run::sink::Sink;
use crate::run::stage::{self, Broken, Built, Lit, Place};
use crate::run::timeline::{Action, Message, Timeline};
use crate::run::windows::{FaultTimes, Times};
use crate::stack::spec::Role;
use crate::verdict::{self, Judgement};

/// How often the loop looks whether it may judge.
const LOOK: Duration = Duration::from_millis(50);
/// How long components may take to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How long requests in flight may take after the load's end, at least.
const DRAIN: Duration = Duration::from_secs(1);
/// How long the log store may take to get the last lines.
const LOGS_SETTLE: Duration = Duration::from_secs(5);

/// A scenario to be run.
pub struct Drill {
    /// What to do.
    pub plan: Arc<Plan>,
    /// The user's configuration.
    pub config: Arc<ConfigSet>,
    /// Where the stack comes from.
    pub place: Place,
    /// Where events go.
    pub sink: Sink,
    /// Cancelled when the run is to end.
    pub cancel: CancellationToken,
    /// The turn to start a stack; given back once every component is ready.
    pub turn: Option<OwnedSemaphorePermit>,
}

/// What the loop hears.
enum Input {
    Told(Message),
    Lit(Result<Lit, Broken>),
    Seen(Seen),
    Second(String, Second),
    Factor(String, f64),
    Proved(usize, Box<Injected>, Stamp),
    LeftOut(usize, Stamp),
    NotEffective(usize, Box<Injected>),
    Gone(usize, Stamp),
    LoadsEnded(BTreeMap<String, load::Summary>),
    Look,
}

impl Drill {
    /// Runs it to its end, whatever that is.
    pub async fn run(self) -> Judgement {
        let name = self.plan.name.clone();
        let sink = self.sink.clone();
        sink.tell(EventKind::ScenarioStarted(show::scenario(&self.plan)));
        sink.tell(EventKind::PhaseStarted { phase: Phase::Startup });
        let pointless = (self.plan.purpose == Purpose::Control).then(|| control::pointless(&self.plan)).flatten();
        if let Some(why) = pointless {
            sink.tell(EventKind::ScenarioSkipped { reason: Reason::LeftToDrill, message: why.to_owned() });
            let (verdict, reasons) = (Verdict::Skipped, vec![Reason::LeftToDrill]);
            sink.tell(EventKind::ScenarioFinished { verdict, reasons: reasons.clone() });
            return Judgement { verdict, reasons };
        }
        match stage::build(&self.plan, &self.config, &self.place, &sink).await {
            Ok(built) => Floor::new(self, built).run().await,
            Err(broken) if broken.reason == Reason::RequirementMissing => {
                sink.tell(EventKind::ScenarioSkipped { reason: broken.reason, message: broken.message });
            }
            Err(broken) => tell_broken(&sink, broken),
        }
        let judgement = verdict::of_scenario(&name, &sink.events());
        let Judgement { verdict, reasons } = judgement.clone();
        sink.tell(EventKind::ScenarioFinished { verdict, reasons });
        judgement
    }
}

fn tell_broken(sink: &Sink, broken: Broken) {
    let Broken { reason, message, component, last_lines } = broken;
    sink.tell(EventKind::StackFailed { component, reason, message, last_lines });
}

/// The state of a scenario that runs.
struct Floor {
    drill: Drill,
    built: Built,
    timeline: Timeline,
    times: Times,
    record: Record,
    truth: BTreeMap<String, Truth>,
    handles: BTreeMap<String, load::Handle>,
    summaries: BTreeMap<String, load::Summary>,
    injected: BTreeMap<usize, Injected>,
    judged: BTreeMap<String, bool>,
    ineffective: BTreeSet<String>,
    reachable: BTreeMap<&'static str, bool>,
    flow: Flow,
    base: Base,
    about: About,
    begun: Stamp,
    collecting: Option<Stamp>,
    interrupted: bool,
    unreachable_because: Option<(Reason, &'static str)>,
    stop: CancellationToken,
    sender: UnboundedSender<Input>,
    inputs: UnboundedReceiver<Input>,
}

impl Floor {
    fn new(drill: Drill, built: Built) -> Self {
        let (sender, inputs) = mpsc::unbounded_channel();
        Self {
            timeline: Timeline::new(drill.plan.schedule.clone()),
            begun: drill.sink.now(),
            about: About::of(&drill.plan, &built, &drill.place, drill.sink.now()),
            drill,
            built,
            times: Times::default(),
            record: Record::default(),
            truth: BTreeMap::new(),
            handles: BTreeMap::new(),
            summaries: BTreeMap::new(),
            injected: BTreeMap::new(),
            judged: BTreeMap::new(),
            ineffective: BTreeSet::new(),
            reachable: BTreeMap::new(),
            flow: Flow::default(),
            base: Base::default(),
            collecting: None,
            interrupted: false,
            unreachable_because: None,
            stop: CancellationToken::new(),
            sender,
            inputs,
        }
    }

    fn plan(&self) -> &Plan {
        &self.drill.plan
    }

    fn sink(&self) -> &Sink {
        &self.drill.sink
    }

    fn time(&self) -> ScaledTime {
        ScaledTime { scale: self.plan().scale }
    }

    fn scrape(&self) -> Duration {
        stage::scrape_of(&self.built.rendered.config, self.drill.place.prepared.spec())
    }

    async fn run(mut self) {
        let lighting = self.light();
        loop {
            let input = self.next().await;
            for action in self.take(input).await {
                if self.perform(action).await == Flowing::Finished {
                    lighting.abort();
                    return;
                }
            }
        }
    }

    /// Starts the stack in a task of its own, so that the loop hears an interrupt meanwhile.
    fn light(&mut self) -> tokio::task::JoinHandle<()> {
        let (plan, sink, sender) = (Arc::clone(&self.drill.plan), self.sink().clone(), self.sender.clone());
        let shared = self.built.share();
        let turn = self.drill.turn.take();
        tokio::spawn(async move {
            let lit = stage::light(&shared, &plan, &sink, turn).await;
            drop(sender.send(Input::Lit(lit)));
        })
    }

    async fn next(&mut self) -> Input {
        let tick = self.timeline.next_tick().map(|at| self.drill.sink.clock().instant(at).into());
        tokio::select! {
            biased;
            () = self.drill.cancel.cancelled(), if !self.interrupted => Input::Told(Message::Interrupted),
            Some(input) = self.inputs.recv() => input,
            Some(message) = self.built.mail.recv() => {
                let event = self.record.message(&message);
                self.drill.sink.tell_at(message.received, event);
                Input::Look
            }
            () = async { match tick { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                Input::Told(Message::Tick)
            }
        }
    }

    async fn take(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Told(message) => return self.told(message),
            Input::Lit(Ok(lit)) => {
                self.count().await;
                return self.lit(&lit);
            }
            Input::Lit(Err(broken)) => {
                self.unreachable_because = Some((broken.reason, "the stack was not ready, so nothing was tried"));
                tell_broken(self.sink(), broken);
                return self.told(Message::StackBroke);
            }
            Input::Seen(seen) => self.seen(seen),
            Input::Second(load, second) => {
                self.flow.sampled(&load, &second);
                self.sink().tell_at(second.second, show::second(&load, &second));
                breakpoint::reached("load-sampled");
            }
            Input::Factor(load, factor) => {
                if let Some(handle) = self.handles.get(&load) {
                    handle.set_factor(factor);
                }
            }
            Input::Proved(fault, injected, at) => {
                self.injected.insert(fault, *injected);
                self.fault_times(fault).proved = Some(at);
                return self.told(Message::Proved(fault));
            }
            Input::LeftOut(fault, at) => {
                self.fault_times(fault).proved = Some(at);
                return self.told(Message::Proved(fault));
            }
            Input::NotEffective(fault, injected) => {
                self.injected.insert(fault, *injected);
                self.ineffective.insert(self.plan().schedule.faults[fault].id.clone());
                return self.told(Message::NotEffective(fault));
            }
            Input::Gone(fault, at) => {
                self.fault_times(fault).gone = Some(at);
                self.annotate(fault);
                return self.told(Message::Gone(fault));
            }
            Input::LoadsEnded(summaries) => {
                for (name, summary) in &summaries {
                    self.sink().tell(show::totals(name, summary));
                }
                self.summaries = summaries;
                return self.told(Message::LoadStopped);
            }
            Input::Look => {}
        }
        if self.may_judge() {
            self.collecting = None;
            self.judge_rest().await;
            return self.told(Message::Judged);
        }
        Vec::new()
    }

    fn told(&mut self, message: Message) -> Vec<Action> {
        if message == Message::Interrupted {
            self.interrupted = true;
            self.sink().tell(EventKind::InterruptReceived { signal: "SIGINT or SIGTERM".to_owned() });
            self.collecting = None;
        }
        let now = self.sink().now();
        self.timeline.handle(&message, now)
    }

    fn lit(&mut self, lit: &Lit) -> Vec<Action> {
        let now = self.sink().now();
        let ready = show::stack_ready(&self.plan().name, self.prometheus(), lit, &self.sink().events(), now);
        self.sink().tell_at(now, ready);
        breakpoint::reached("stack-ready");
        self.watch();
        self.told(Message::StackReady)
    }

    fn prometheus(&self) -> &str {
        let spec = self.drill.place.prepared.spec();
        spec.with_role(Role::Prometheus).map_or("", |(name, _)| name)
    }

    fn fault_times(&mut self, fault: usize) -> &mut FaultTimes {
        let id = self.drill.plan.schedule.faults[fault].id.clone();
        self.times.faults.entry(id).or_default()
    }

    async fn perform(&mut self, action: Action) -> Flowing {
        match action {
            Action::Enter(phase) => self.enter(phase),
            Action::StartLoad => self.start_load(),
            Action::JudgeBaseline => {
                let steady = self.judge_baseline().await;
                drop(self.sender.send(Input::Told(Message::BaselineJudged(steady))));
            }
            Action::Inject(fault) => self.inject(fault),
            Action::Probe(fault) => self.probe(fault),
            Action::Revert(fault) => self.revert(fault),
            Action::StopLoad => self.stop_load(),
            Action::Judge => self.collect(),
            Action::TearDown => {
                self.tear_down().await;
                drop(self.sender.send(Input::Told(Message::TornDown)));
            }
            Action::Finish => return Flowing::Finished,
        }
        Flowing::On
    }

    fn enter(&mut self, phase: Phase) {
        let now = self.sink().now();
        match phase {
            Phase::Baseline => self.times.baseline = Some(now),
            Phase::Recovery => self.times.recovery = Some(now),
            _ => {}
        }
        self.sink().tell_at(now, EventKind::PhaseStarted { phase });
    }

    async fn tear_down(&mut self) {
        self.stop.cancel();
        if self.interrupted {
            let plan = Arc::clone(&self.drill.plan);
            for step in plan.expectations.iter().filter(|step| !self.judged.contains_key(&step.id)).collect::<Vec<_>>()
            {
                let evidence = Evidence::new("the run was ended before this was judged");
                self.tell_outcome(step, Outcome::Skipped(Reason::Interrupted, evidence));
            }
        }
        let tally = self.built.collector.take().map(|collector| collector.tally()).unwrap_or_default();
        if tally.refused > 0 || tally.lost_bytes > 0 {
            let message = format!(
                "of the log lines that were collected, {} were delivered, {} refused by the store; {} bytes were lost",
                tally.delivered, tally.refused, tally.lost_bytes
            );
            self.sink().tell(EventKind::Warned { message });
        }
        self.preserve().await;
        for left in self.built.running.stop_all(GRACE).await {
            self.sink().tell(EventKind::LeftBehind { resource: left.resource, message: left.message });
        }
    }
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flowing {
    On,
    Finished,
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The verdict of a drill whose task panicked: a bug in the harness, whatever was judged before.
#[must_use]
pub fn crashed(sink: &Sink, message: &str) -> Judgement {
    sink.tell(EventKind::Warned { message: format!("a bug in the harness: {message}") });
    sink.tell(EventKind::ScenarioFinished { verdict: Verdict::Bug, reasons: vec![Reason::Bug] });
    Judgement { verdict: Verdict::Bug, reasons: vec![Reason::Bug] }
}
