//! Evaluates rules, unmodified, against a recorded run: the same expressions at the same evaluations on the same samples, and
//! the rest of an alert's life (`for`, `keep_firing_for`) as Prometheus's own state machine has it. Fed by `cli` with a
//! recording and rules; answers with every firing and resolving evaluation beside the live one.
//!
//! * [`rules`] decides which time a rule is replayed in: production rules in production time (sample times stretched by the
//!   scale), rules that compare absolute rates in the time of the run with the scaled expression;
//! * [`grid`] knows when a group was evaluated, [`arrival`] when a scrape was there to be seen, [`settle`] decides what came
//!   first where nobody recorded it; [`state`] is the pure state machine; [`live`] is what really happened;
//! * [`server`] is a throw-away Prometheus, [`lane`] asks it; [`compare`] and [`show`] say what came out, [`export`] writes
//!   it as a test that needs no server.

pub mod arrival;
pub mod compare;
pub mod export;
mod fit;
pub mod grid;
pub mod lane;
pub mod live;
pub mod rules;
pub mod server;
pub mod settle;
pub mod show;
pub mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use arrival::{Arrivals, Orders, Race};

use crate::clock;
use crate::telemetry::recording::Recording;

pub use compare::{AlertResult, Certainty, Replayed};
pub use rules::{Kind, Problem, ReplayRule, RuleText, Time, Unfit};
pub use server::{Server, ServerError};

/// How long a replay took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// Until the throw-away servers were up.
    pub starting: Duration,
    /// Loading, evaluating and comparing.
    pub replaying: Duration,
}

/// A replay that is done.
#[derive(Clone, Debug)]
pub struct Done {
    /// What was evaluated.
    pub plan: rules::Plan,
    /// What came out.
    pub replayed: Replayed,
    /// When samples were there to be seen.
    pub arrivals: Arrivals,
    /// Scrapes of which nobody recorded whether evaluations saw them, in the order that the live evaluations say.
    pub settled: Vec<Race>,
    /// How long it took.
    pub took: Took,
}

/// Evaluates rules against a recording. Where the run's own rules do otherwise than they did live, races between scrapes and
/// evaluations are settled: which came first is a fact of the run, whatever rules are asked about. What agrees only then is
/// counted apart: the recording leaves it open.
///
/// # Errors
/// When the rules do not hold water, or a server cannot be started or asked.
pub async fn replay(recording: &Recording, texts: &[RuleText], host: &server::Host<'_>) -> Result<Done, Problem> {
    let first = evaluated(recording, texts, host, &Orders::new()).await?;
    if first.replayed.is_exact() {
        return Ok(first);
    }
    let own = rules::own(&recording.header);
    let mut done = if texts == own.as_slice() {
        settle::settled(first.clone(), recording, &own, host).await?
    } else {
        let of_run = evaluated(recording, &own, host, &Orders::new()).await?;
        let settled = settle::settled(of_run, recording, &own, host).await?.settled;
        if settled.is_empty() {
            return Ok(first);
        }
        Done { settled: settled.clone(), ..evaluated(recording, texts, host, &settle::orders(&settled)).await? }
    };
    done.replayed.credit(&first.replayed);
    Ok(done)
}

/// One pass over a recording.
async fn evaluated(
    recording: &Recording,
    texts: &[RuleText],
    host: &server::Host<'_>,
    orders: &Orders,
) -> Result<Done, Problem> {
    let mut plan = rules::plan(recording, texts)?;
    let begun = clock::instant();
    let mut servers = BTreeMap::new();
    for time in plan.times() {
        servers.insert(time, host.start(plan.lookback(time)).await?);
    }
    let up = clock::instant();
    let arrivals = Arrivals::new(&recording.series, orders);
    lane::doubt(&mut plan, &arrivals);
    let mut outputs = BTreeMap::new();
    for (time, server) in &servers {
        outputs.extend(lane::evaluate(&plan, *time, recording, &arrivals, server).await?);
    }
    let live = live::lives(recording, &plan);
    let replayed = compare::compare(&plan, &outputs, &live);
    let took = Took { starting: up.duration_since(begun), replaying: clock::instant().duration_since(up) };
    for (_, server) in servers {
        server.stop().await;
    }
    Ok(Done { plan, replayed, arrivals, settled: Vec::new(), took })
}
