//! What happens to a stack's components and what they use, told while it runs: the engine's own account of containers, the
//! control groups' files or `/proc` once a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::allocation::Allocation;
use super::contained::Halt;
use super::running::{Processes, Running};
use crate::clock;
use crate::stack::control_group::ControlGroup;
use crate::stack::notice::{Change, Fact, Notices, Sample};
use crate::stack::process::{self, Census, Identity, Usage};
use crate::stack::session::Session;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the engine may take to tell the last of its news.
const LAST_NEWS: Duration = Duration::from_secs(2);

/// The tasks that tell; they end with this value.
#[derive(Debug)]
pub(super) struct Evidence {
    closing: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    meter: Meter,
}

impl Evidence {
    /// Starts to tell.
    pub(super) fn gather(
        allocation: &Allocation,
        session: &Session,
        processes: &Arc<Processes>,
        notices: &Notices,
    ) -> Self {
        let closing = CancellationToken::new();
        let mut tasks = Vec::new();
        if let (Some(engine), Some(_)) = (allocation.prepared.engine().cloned(), allocation.inside()) {
            let (run, scenario) = (session.run().to_owned(), allocation.scenario().to_owned());
            let (notices, closing) = (notices.clone(), closing.clone());
            tasks.push(tokio::spawn(async move { engine.watch(&run, &scenario, &notices, closing).await }));
        }
        let meter = Meter {
            processes: Arc::clone(processes),
            census: session.census(),
            contained: allocation.inside().is_some(),
        };
        let look = Look { meter: meter.clone(), before: BTreeMap::new() };
        tasks.push(tokio::spawn(sample(look, notices.clone(), closing.clone())));
        Self { closing, tasks: Mutex::new(tasks), meter }
    }

    /// What reads the use of the components.
    pub(super) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Everything is removed: waits for the last news.
    pub(super) async fn finish(&self) {
        self.closing.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for mut task in tasks {
            if tokio::time::timeout(LAST_NEWS, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(JoinHandle::abort);
    }
}

async fn sample(mut look: Look, notices: Notices, closing: CancellationToken) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let looked = tokio::task::spawn_blocking(move || {
            let components = look.again(clock::instant());
            (look, components)
        });
        let Ok((again, components)) = looked.await else { return };
        look = again;
        if !components.is_empty() {
            notices.tell(Fact::Sampled { components });
        }
    }
}

/// Reads what the components use: of containers from their control groups, of processes from `/proc`.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    processes: Arc<Processes>,
    census: Arc<Census>,
    contained: bool,
}

/// A meter, and what it read the last time.
struct Look {
    meter: Meter,
    before: BTreeMap<String, (Instant, Identity, Usage)>,
}

impl Look {
    /// What each component used since the last look; none for those that were not there then.
    fn again(&mut self, now: Instant) -> BTreeMap<String, Sample> {
        let usage = self.meter.read();
        let mut samples = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for (name, identity, usage) in usage {
            if let Some((at, _, before)) = self.before.get(&name).filter(|(_, of, _)| *of == identity) {
                samples.insert(name.clone(), since(*before, usage, now.duration_since(*at)));
            }
            seen.insert(name, (now, identity, usage));
        }
        self.before = seen;
        samples
    }
}

impl Meter {
    /// Every component that runs, its process and what it uses. Blocks for some 2 ms.
    pub(super) fn read(&self) -> Vec<(String, Identity, Usage)> {
        let running: Vec<(String, Identity)> = {
            let processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
            let runs = processes.iter().filter(|(_, process)| process.status().is_none());
            runs.filter_map(|(name, process)| Some((name.clone(), process.identity?))).collect()
        };
        if running.is_empty() {
            return Vec::new();
        }
        if self.contained {
            let used = |identity: &Identity| ControlGroup::of(identity.pid)?.usage();
            return running.into_iter().filter_map(|(name, it)| Some((name, it, used(&it)?))).collect();
        }
        let leaders: Vec<Identity> = running.iter().map(|(_, identity)| *identity).collect();
        let used = process::usage(&self.census.take(), &leaders);
        running.into_iter().zip(used).map(|((name, identity), usage)| (name, identity, usage)).collect()
    }
}

/// Between two looks; processes that ended take their time with them, which is no negative use.
fn since(before: Usage, now: Usage, elapsed: Duration) -> Sample {
    let cpu = now.cpu.saturating_sub(before.cpu).as_secs_f64() / elapsed.as_secs_f64().max(1e-3);
    Sample { cpu, memory: now.memory, processes: now.processes }
}

impl Running {
    /// What every running component uses, read now (a few milliseconds; call it where blocking is fine).
    #[must_use]
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        self.evidence().meter().read().into_iter().map(|(name, _, usage)| (name, usage)).collect()
    }

    /// The engine tells of its own containers; of processes, nobody else does.
    pub(super) fn tell_halt(&self, name: &str, halt: Halt) {
        let change = if halt == Halt::Pause { Change::Paused } else { Change::Resumed };
        self.notices.tell(Fact::Changed { component: name.to_owned(), change, detail: String::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_counted_between_two_looks() {
        let usage = |millis| Usage { cpu: Duration::from_millis(millis), memory: 7, processes: 2 };
        let sample = since(usage(1000), usage(2500), Duration::from_secs(2));
        assert_eq!(sample, Sample { cpu: 0.75, memory: 7, processes: 2 });
        assert_eq!(since(usage(1000), usage(10), Duration::from_secs(1)).cpu.to_bits(), 0.0_f64.to_bits());
    }
}
