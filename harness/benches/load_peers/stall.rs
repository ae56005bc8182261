//! The stall: a second of silence in eight seconds of load, which a generator that waits for its answers does not see.

use crate::account::Stall;
use crate::promise::{Held, Promises};
use crate::server::Behaviour;
use crate::tool::{Tool, Work};
use crate::{Anyhow, Page};

const HEAD: &str = "\n### The server stalls for 1 s, 2 s into 8 s of load\n\nThe nominal truth at 200/s is p90 200, p95 600, p99 \
    920 ms. At 2,000/s the time in which the backlog is answered adds to it. The right half is the server's own account: from \
    when requests were due to when it sent their answers (for the tools that keep to a schedule), how long it was silent, how \
    many requests waited then, and in what time it answered those.\n\n\
    | tool | rate | p50 ms | p90 ms | p95 ms | p99 ms | dropped | server: p90 | p95 | p99 | silent ms | waited | answered in ms |\n\
    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

/// So often ours and oha work in turn at the higher rate, where medians are compared.
const ROUNDS: usize = 3;

/// p90, p95 and p99 in milliseconds, in the tool's words and by the server's account.
#[derive(Clone, Copy, Debug)]
struct Seen {
    told: [f64; 3],
    truth: [f64; 3],
    dropped: u64,
}

impl Seen {
    /// Within 2 % of something, and nothing dropped.
    fn is_near(&self, truth: [f64; 3]) -> bool {
        self.dropped == 0 && self.told.iter().zip(truth).all(|(told, truth)| (told / truth - 1.0).abs() <= 0.02)
    }

    fn words(&self) -> String {
        format!("{} ms, {} dropped", words(self.told), self.dropped)
    }
}

pub(crate) fn stalls(page: &mut Page, promises: &mut Promises) -> Anyhow<()> {
    page.push(HEAD);
    let ours = rows(page, Tool::Ours, 200)?.ok_or("our own program is not here")?;
    for tool in [Tool::Oha, Tool::Hey, Tool::Goose, Tool::K6] {
        rows(page, tool, 200)?;
    }
    let figure = "p90, p95, p99 with a stall of 1 s at 200/s";
    let nominal = [200.0, 600.0, 920.0];
    for (truth, whose) in [(nominal, "the nominal truth"), (ours.truth, "the server's account")] {
        let wanted = format!("within 2 % of {whose} ({} ms), none dropped", words(truth));
        promises.push(figure, wanted, ours.words(), ours.is_near(truth).into());
    }
    let (mut ours, mut oha) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.extend(rows(page, Tool::Ours, 2_000)?);
        oha.extend(rows(page, Tool::Oha, 2_000)?);
    }
    for tool in [Tool::Hey, Tool::Goose, Tool::K6] {
        rows(page, tool, 2_000)?;
    }
    promise_drain(promises, &ours, &oha);
    Ok(())
}

/// Lets a tool meet the stall; none when it is not here or keeps to no schedule.
fn rows(page: &mut Page, tool: Tool, rate: u32) -> Anyhow<Option<Seen>> {
    let name = tool.name();
    let Some(measured) = tool.work(Work::Paced(rate), 8, Behaviour::stall(rate))? else {
        page.push(&format!("| {name} | {rate} | not run: not present | | | | | | | | | | |"));
        return Ok(None);
    };
    let [p50, told @ ..] = tool.percentiles(&measured.output)?;
    let dropped = tool.dropped(&measured.output)?;
    let truth = measured.account.since_due(rate).filter(|_| tool.keeps_to_a_schedule());
    let cells = |values: [f64; 3]| values.map(|value| format!("{value:.1}")).join(" | ");
    let [told_cells, truth_cells] = [Some(told), truth.map(|[_, truth @ ..]| truth)]
        .map(|values| values.map_or_else(|| "– | – | –".to_owned(), cells));
    let dropped_cell = dropped.map_or_else(|| "n/a".to_owned(), |dropped| dropped.to_string());
    let Stall { lasted, waited, drained_in } = measured.account.stall().ok_or("the server has not stalled")?;
    page.push(&format!(
        "| {name} | {rate} | {p50:.1} | {told_cells} | {dropped_cell} | {truth_cells} | {lasted:.1} | {waited} | {drained_in:.1} |"
    ));
    Ok(truth.map(|[_, truth @ ..]| Seen { told, truth, dropped: dropped.unwrap_or(0) }))
}

fn promise_drain(promises: &mut Promises, ours: &[Seen], oha: &[Seen]) {
    let figure = "p90, p95, p99 with a stall of 1 s at 2,000/s";
    let dropped: u64 = ours.iter().map(|seen| seen.dropped).sum();
    let ([told, truth], theirs) = (medians(ours), medians(oha));
    let measured = format!("{} ms, {dropped} dropped in {} runs", words(told), ours.len());
    let (figures, held) = if oha.is_empty() {
        ("not present".to_owned(), Held::NotRun)
    } else {
        let no_worse = told.iter().zip(theirs[0]).all(|(ours, theirs)| *ours <= theirs);
        (format!("{} ms; medians of runs in turn", words(theirs[0])), (dropped == 0 && no_worse).into())
    };
    promises.push(figure, format!("no worse than oha ({figures}), none dropped"), measured.clone(), held);
    let wanted = format!("within 2 % of the server's account ({} ms) in every run", words(truth));
    promises.push(figure, wanted, measured, ours.iter().all(|seen| seen.is_near(seen.truth)).into());
}

/// Of what was told, and of the truth.
fn medians(all: &[Seen]) -> [[f64; 3]; 2] {
    let median = |at: usize, of: fn(&Seen) -> [f64; 3]| {
        let mut values: Vec<f64> = all.iter().map(|seen| of(seen)[at]).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    [|seen: &Seen| seen.told, |seen: &Seen| seen.truth].map(|of| [0, 1, 2].map(|at| median(at, of)))
}

fn words(times: [f64; 3]) -> String {
    times.map(|time| format!("{time:.1}")).join(", ")
}
