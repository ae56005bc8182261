//! The tables, each with the promises it looks at.

use std::time::Duration;

use crate::promise::{Held, Promises};
use crate::server::{Behaviour, Server};
use crate::tool::{Measured, Tool, Work, measure};
use crate::{Anyhow, Page};

const COST: &str = "| tool | requests | requests/s | CPU µs per request | peak memory MB |\n|---|---:|---:|---:|---:|";

/// Lets every tool of the list do the work; those that are not here are named as such.
fn costs(page: &mut Page, tools: &[Tool], work: Work, seconds: u32) -> Anyhow<Vec<(Tool, Measured)>> {
    page.push(COST);
    let mut all = Vec::new();
    for tool in tools {
        match tool.work(work, seconds, Behaviour::default())? {
            Some(measured) => {
                page.push(&measured.row(tool.name()));
                all.push((*tool, measured));
            }
            None => page.push(&format!("| {} | not run: not present | | | |", tool.name())),
        }
    }
    Ok(all)
}

fn of(all: &[(Tool, Measured)], tool: Tool) -> Option<&Measured> {
    all.iter().find(|(it, _)| *it == tool).map(|(_, measured)| measured)
}

pub(crate) fn speed(page: &mut Page, promises: &mut Promises) -> Anyhow<()> {
    page.push("\n### 50 connections at full speed, 10 s\n");
    let all = costs(page, &Tool::ALL, Work::Flat(50), 10)?;
    let ours = of(&all, Tool::Ours).ok_or("our own program is not here")?;
    let cost = format!("{:.1} µs", ours.cpu_micros());
    for (peer, kind) in [(Tool::Oha, None), (Tool::Wrk, Some(Held::Goal))] {
        let theirs = of(&all, peer).map(Measured::cpu_micros);
        let wanted = theirs.map_or_else(|| "–".to_owned(), |theirs| format!("≤ {} ({theirs:.1} µs)", peer.name()));
        let held = theirs.map_or(Held::NotRun, |theirs| kind.unwrap_or_else(|| (ours.cpu_micros() <= theirs).into()));
        promises.push("CPU per request, 50 connections at full speed", wanted, cost.clone(), held);
    }
    let memory = format!("{:.1} MB after {} requests", ours.peak_mb(), ours.requests);
    promises.push("peak memory, 800,000 requests", "≤ 30 MB", memory, (ours.peak_mb() <= 30.0).into());
    Ok(())
}

pub(crate) fn paced(page: &mut Page, promises: &mut Promises) -> Anyhow<()> {
    page.push("\n### 2,000 requests/s, 10 s (ours, oha and k6 open; hey in bursts of 50; goose by its throttle)\n");
    let tools = Tool::ALL.into_iter().filter(|tool| tool.paces()).collect::<Vec<_>>();
    let all = costs(page, &tools, Work::Paced(2_000), 10)?;
    let ours = of(&all, Tool::Ours).ok_or("our own program is not here")?;
    let cost = ours.cpu_micros();
    promises.push("CPU per request at 2,000 requests/s", "≤ 45 µs", format!("{cost:.1} µs"), (cost <= 45.0).into());
    Ok(())
}

pub(crate) fn delay(page: &mut Page, promises: &mut Promises) -> Anyhow<()> {
    page.push("\n### The server takes 50 ms, 200 requests/s for 5 s\n");
    page.push("| by whom | p50 ms | p90 ms | p95 ms | p99 ms |\n|---|---:|---:|---:|---:|");
    let behaviour = Behaviour::delay(Duration::from_millis(50));
    let measured = Tool::Ours.work(Work::Paced(200), 5, behaviour)?.ok_or("our own program is not here")?;
    let ours = Tool::Ours.percentiles(&measured.output)?;
    let servers = measured.account.took().ok_or("the server has no account of its own")?;
    for (who, [p50, p90, p95, p99]) in [("ours", ours), ("the server, from received to sent", servers)] {
        page.push(&format!("| {who} | {p50:.2} | {p90:.2} | {p95:.2} | {p99:.2} |"));
    }
    let measured = format!("{:.2}, {:.2} ms", ours[0], ours[3]);
    for (whose, truth) in [("± 2 ms", [50.0; 4]), ("± 2 ms of what the server took", servers)] {
        let held = [0, 3].iter().all(|at| (ours[*at] - truth[*at]).abs() <= 2.0);
        promises.push("p50, p99 with a delay of 50 ms", whose, measured.clone(), held.into());
    }
    Ok(())
}

pub(crate) fn held(page: &mut Page, promises: &mut Promises) -> Anyhow<()> {
    page.push("\n### Ours: rate held, 5 s each\n");
    page.push("| rate | sent | seconds by actual start | lag p50 µs | lag p99 µs | lag max µs | CPU µs per request |");
    page.push("|---:|---:|---|---:|---:|---:|---:|");
    let mut missed = Vec::new();
    for rate in [10_u32, 100, 1_000, 2_000, 5_000, 10_000, 20_000] {
        let server = Server::start(Behaviour::default())?;
        let words = ["held".to_owned(), rate.to_string(), "5".to_owned(), server.url()];
        let measured = measure(&server, &std::env::current_exe()?, &words)?;
        let json: serde_json::Value = serde_json::from_str(&measured.output)?;
        let seconds: Vec<u64> = serde_json::from_value(json["sent"].clone())?;
        let [p50, p99, max]: [u64; 3] = serde_json::from_value(json["lag-us"].clone())?;
        let total = json["total"].as_u64().ok_or("the total is no number")?;
        let allowed = (f64::from(rate) * 0.005).max(1.0);
        let near = seconds.iter().all(|sent| (*sent as f64 - f64::from(rate)).abs() <= allowed);
        if !near || total != u64::from(rate) * 5 || measured.requests != total {
            missed.push(rate.to_string());
        }
        let seconds: Vec<String> = seconds.iter().map(u64::to_string).collect();
        let cpu = measured.cpu_micros();
        page.push(&format!("| {rate} | {total} | {} | {p50} | {p99} | {max} | {cpu:.1} |", seconds.join(" ")));
    }
    let told = if missed.is_empty() { "at all rates".to_owned() } else { format!("not at {}", missed.join(", ")) };
    let wanted = "every second within max(1 request, 0.5 %), total exact";
    promises.push("rate held, 10 to 20,000 requests/s", wanted, told, missed.is_empty().into());
    Ok(())
}

/// What another tool says of the same server under the same load.
pub(crate) fn cross(page: &mut Page, promises: &mut Promises) -> Anyhow<()> {
    page.push("\n### Do others see the same? The server takes 20 ms; 5 s each\n");
    page.push("| tool | load | p50 ms | p99 ms |\n|---|---|---:|---:|");
    let behaviour = Behaviour::delay(Duration::from_millis(20));
    for (peer, work, load) in
        [(Tool::Wrk, Work::Flat(20), "20 connections"), (Tool::K6, Work::Paced(500), "500 requests/s")]
    {
        let figure = format!("p50, p99 beside {} ({load})", peer.name());
        let Some(theirs) = peer.work(work, 5, behaviour)? else {
            page.push(&format!("| {} | {load} | not run: not present | |", peer.name()));
            promises.push(figure, "within 5 %", "–".to_owned(), Held::NotRun);
            continue;
        };
        let ours = Tool::Ours.work(work, 5, behaviour)?.ok_or("our own program is not here")?;
        let [theirs, ours] = [(peer, theirs), (Tool::Ours, ours)].map(|(tool, it)| tool.percentiles(&it.output));
        let ([their_p50, .., their_p99], [p50, .., p99]) = (theirs?, ours?);
        page.push(&format!("| {} | {load} | {their_p50:.1} | {their_p99:.1} |", peer.name()));
        page.push(&format!("| ours | {load} | {p50:.1} | {p99:.1} |"));
        let near = |ours: f64, theirs: f64| (ours / theirs - 1.0).abs() <= 0.05;
        let held = near(p50, their_p50) && near(p99, their_p99);
        let wanted = format!("within 5 % ({their_p50:.1}, {their_p99:.1} ms)");
        promises.push(figure, wanted, format!("{p50:.1}, {p99:.1} ms"), held.into());
    }
    Ok(())
}

/// Ten minutes at 2,000 requests/s: memory must not grow.
pub(crate) fn long(page: &mut Page, promises: &mut Promises) -> Anyhow<()> {
    const SECONDS: u32 = 600;
    page.push("\n### Ours: 2,000 requests/s for 10 minutes, resident memory in MB\n");
    page.push("| requests | after 1 min | after 5 min | after 10 min | peak | CPU µs per request |\n|---:|---:|---:|---:|---:|---:|");
    let measured = Tool::Ours.work(Work::Paced(2_000), SECONDS, Behaviour::default())?;
    let measured = measured.ok_or("our own program is not here")?;
    let seen = &measured.resident;
    // by share of the samples, whatever their distance was
    let at = |share: f64| seen.get((seen.len() as f64 * share) as usize).map_or(0.0, |kib| *kib as f64 / 1024.0);
    let (first, middle, last) = (at(0.1), at(0.5), at(0.995));
    let (peak, cpu) = (measured.peak_mb(), measured.cpu_micros());
    page.push(&format!("| {} | {first:.1} | {middle:.1} | {last:.1} | {peak:.1} | {cpu:.1} |", measured.requests));
    let flat = peak <= 30.0 && last - first <= 3.0;
    let told = format!("{first:.1} → {last:.1} MB, peak {peak:.1} MB");
    promises.push(
        "memory over 10 minutes",
        "≤ 30 MB, at most 3 MB of histograms more than after 1 min",
        told,
        flat.into(),
    );
    Ok(())
}
