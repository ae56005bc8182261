//! `harness load`: the load engine alone, for a quick honest load test.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{complain, print};
use crate::clock::Clock;
use crate::load::command::{self, Pace, Report};

use crate::load::{Arrivals, Reach, Second, page};
use crate::scenario::duration;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("pace").required(true))]
pub(super) struct Options {
    /// Where requests go; this machine only.
    url: String,
    /// Open model: so many requests per second, whatever the server does.
    #[arg(long, group = "pace")]
    rate: Option<f64>,
    /// Closed model: so many connections at full speed.
    #[arg(long, group = "pace")]
    connections: Option<usize>,
    /// Closed model: so many virtual users, each with a pause behind every answer.
    #[arg(long, group = "pace")]
    users: Option<usize>,
    /// How long.
    #[arg(long = "for", value_parser = parse_duration, value_name = "DURATION")]
    lasts: Duration,
    /// Spread of arrivals.
    #[arg(long, default_value = "constant", requires = "rate")]
    arrivals: Spread,
    /// From nothing to the rate, or to all users.
    #[arg(long, value_parser = parse_duration, default_value = "0s")]
    ramp: Duration,
    /// The pause of a virtual user.
    #[arg(long, value_parser = parse_duration, default_value = "0s", requires = "users")]
    think: Duration,
    /// Requests in flight beyond which arrivals are dropped and counted; by default rate × timeout, at most 10,000.
    #[arg(long, requires = "rate")]
    max_in_flight: Option<usize>,
    /// Per request.
    #[arg(long, value_parser = parse_duration, default_value = "10s")]
    timeout: Duration,
    /// The method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// A header, `name: value`; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A JSON body.
    #[arg(long)]
    json: Option<String>,
    /// Seed of random arrivals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How the result is written to stdout.
    #[arg(long, default_value = "text")]
    output: Output,
    /// Also a page with charts.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Spread {
    /// Evenly.
    Constant,
    /// At random, as customers come.
    Poisson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For machines.
    Json,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let wanted = match wanted(options) {
        Ok(wanted) => wanted,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            return Ok(ExitCode::from(2));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let bar = bar(options.lasts);
    let summary = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let signals = tokio::spawn(super::signal::listen(cancel.clone()));
        let summary = command::run(&wanted, Clock::start(), |second| show(&bar, second), cancel.cancelled()).await;
        signals.abort();
        summary
    });
    bar.finish_and_clear();
    let summary = match summary {
        Ok(summary) => summary,
        Err(error) => {
            complain(&format!("error: failed to {error}"));
            return Ok(ExitCode::from(2));
        }
    };
    if let Some(path) = &options.html {
        std::fs::write(path, page(&summary)).with_context(|| format!("write {}", path.display()))?;
    }
    let report = Report::from(&summary);
    match options.output {
        Output::Json => print(&serde_json::to_string_pretty(&report)?),
        Output::Text => print(&text(&report)),
    }
    Ok(if report.saturation.is_some() || report.flow.dropped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

fn wanted(options: &Options) -> anyhow::Result<command::Options> {
    let pace = match (options.rate, options.connections, options.users) {
        (Some(rate), ..) => Pace::Rate {
            rate,
            ramp: options.ramp,
            arrivals: if options.arrivals == Spread::Poisson { Arrivals::Poisson } else { Arrivals::Constant },
            max_in_flight: options.max_in_flight,
        },
        (_, Some(count), _) => Pace::Connections(count),
        (.., Some(count)) => Pace::Users { count, ramp: options.ramp, think: options.think },
        _ => bail!("give one of --rate, --connections and --users"),
    };
    let mut wanted = command::Options::new(&options.url, pace, options.lasts);
    wanted.reach = Reach::Loopback;
    wanted.timeout = options.timeout;
    wanted.method.clone_from(&options.method);
    wanted.headers = headers(&options.headers)?;
    wanted.json = options.json.as_deref().map(serde_json::from_str).transpose().context("read the body as JSON")?;
    wanted.seed = options.seed;
    Ok(wanted)
}

fn headers(written: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let split = |text: &String| {
        let (name, value) =
            text.split_once(':').ok_or_else(|| anyhow!("`{text}` is no header; write `name: value`"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    written.iter().map(split).collect()
}

fn bar(lasts: Duration) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{elapsed} {bar:20} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(lasts.as_secs().max(1)).with_style(style)
}

fn show(bar: &ProgressBar, second: &Second) {
    bar.inc(1);
    let latency = second.latency_us.map_or_else(
        || "no answers".to_owned(),
        |[p50, p90, p99, max]| {
            format!("p50 {} p90 {} p99 {} max {}", millis(p50), millis(p90), millis(p99), millis(max))
        },
    );
    let (started, failed, flying) = (second.started, second.failed, second.in_flight);
    bar.set_message(format!("{started}/s, {failed} failed, {flying} in flight, {latency}"));
}

#[expect(clippy::cast_precision_loss, reason = "a latency shown to people")]
fn millis(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1e3)
}

fn text(report: &Report) -> String {
    let flow = &report.flow;
    let mut lines = vec![format!(
        "{} planned, {} sent, {} dropped, {} answered, {} failed, {} cancelled in {:.1} s",
        flow.planned,
        flow.started,
        flow.dropped,
        flow.completed,
        flow.failed,
        flow.cancelled,
        report.lasted.as_secs_f64()
    )];
    for (name, times) in [("latency", &report.latency_us), ("service time", &report.service_time_us)] {
        let row: Vec<String> = ["p50", "p90", "p95", "p99", "p99.9", "max"]
            .iter()
            .filter_map(|key| times.get(*key).map(|micros| format!("{key} {}", millis(*micros))))
            .collect();
        lines.push(format!("{name:13} {}", if row.is_empty() { "n/a".to_owned() } else { row.join("  ") }));
    }
    for request in &report.requests {
        let statuses: Vec<String> =
            request.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        lines.push(format!("{} {}  {}", request.method, request.route, statuses.join(", ")));
    }
    lines.extend(report.saturation.iter().map(|limit| format!("the generator was the bottleneck: {limit}")));
    lines.join("\n")
}
