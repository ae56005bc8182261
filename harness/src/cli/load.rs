//! `harness load`: the load engine alone, for a quick honest load test.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stderr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::signal::Words;
use super::{complain, print};
use crate::clock::Clock;
use crate::load::command::{self, Pace, Report};
use crate::load::{Arrivals, Protocol, Reach, Second, Summary, Trust, page};
use crate::scenario::duration;

mod text;

/// What is said at the first signal and at the second.
const INTERRUPTED: Words =
    ["interrupted: what was sent so far is summed up; once more ends at once", "interrupted again: no summary"];

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("pace").required(true))]
pub(super) struct Options {
    /// Where requests go: http[s]://host[:port][/path]; this machine only, unless --anywhere.
    url: String,
    /// Open model: so many requests per second, whatever the server does.
    #[arg(long, group = "pace", value_name = "PER-SECOND")]
    rate: Option<f64>,
    /// Closed model: so many connections at full speed.
    #[arg(long, group = "pace", value_name = "N")]
    connections: Option<usize>,
    /// Closed model: so many virtual users, each with a pause behind every answer.
    #[arg(long, group = "pace", value_name = "N")]
    users: Option<usize>,
    /// How long.
    #[arg(long = "for", value_parser = parse_duration, value_name = "DURATION")]
    lasts: Duration,
    /// So much of the beginning is sent and counted, but is in none of the times.
    #[arg(long, value_parser = parse_duration, default_value = "0s", value_name = "DURATION")]
    warm_up: Duration,
    /// Spread of arrivals.
    #[arg(long, default_value = "constant", requires = "rate")]
    arrivals: Spread,
    /// From nothing to the rate, or to all users.
    #[arg(long, value_parser = parse_duration, default_value = "0s", value_name = "DURATION")]
    ramp: Duration,
    /// The pause of a virtual user.
    #[arg(long, value_parser = parse_duration, default_value = "0s", requires = "users", value_name = "DURATION")]
    think: Duration,
    /// Requests in flight beyond which arrivals are dropped and counted; by default rate × timeout and a tenth, at most 10,000.
    #[arg(long, requires = "rate", value_name = "N")]
    max_in_flight: Option<usize>,
    /// Per request.
    #[arg(long, value_parser = parse_duration, default_value = "10s", value_name = "DURATION")]
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
    /// The version of HTTP.
    #[arg(long, default_value = "1.1", value_name = "VERSION")]
    http: Version,
    /// Requests at a time on one HTTP/2 connection, if the server allows as many; by default all it allows with --rate, and 1 with --connections and --users.
    #[arg(long, value_name = "N")]
    streams: Option<NonZeroUsize>,
    /// A PEM file with the authorities that may certify an https server, instead of those this machine trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The server may be another machine; ask those it belongs to.
    #[arg(long)]
    anywhere: bool,
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
enum Version {
    /// One request at a time on a connection.
    #[value(name = "1.1")]
    One,
    /// Many at a time; without TLS by prior knowledge.
    #[value(name = "2")]
    Two,
    /// What an https server prefers; 1.1 without TLS.
    Auto,
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
    let cancel = CancellationToken::new();
    let summary = match attack(&wanted, &cancel) {
        Ok(summary) => summary,
        Err(error) => {
            complain(&format!("error: failed to {error}"));
            return Ok(ExitCode::from(2));
        }
    };
    if let Some(path) = &options.html {
        std::fs::write(path, page(&summary)).with_context(|| format!("write {}", path.display()))?;
        complain(&format!("page with charts: {}", path.display()));
    }
    let report = Report::from(&summary);
    match options.output {
        Output::Json => print(&serde_json::to_string_pretty(&report)?),
        Output::Text => print(&text::of(&report)),
    }
    Ok(match (cancel.is_cancelled(), report.doubts.is_empty()) {
        (true, _) => ExitCode::from(130),
        (false, false) => ExitCode::from(3),
        (false, true) => ExitCode::SUCCESS,
    })
}

/// Runs the load to its end or to the first signal.
fn attack(wanted: &command::Options, cancel: &CancellationToken) -> Result<Summary, command::LoadError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a process that has just begun can start a thread");
    let bar = bar(wanted.lasts);
    let summary = runtime.block_on(async {
        let signals = tokio::spawn(super::signal::listen_saying(cancel.clone(), INTERRUPTED));
        let progress = |second: &Second| {
            bar.inc(1);
            bar.set_message(text::second(second));
        };
        let summary = command::run(wanted, Clock::start(), progress, cancel.cancelled()).await;
        signals.abort();
        summary
    });
    bar.finish_and_clear();
    summary
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
    if options.streams.is_some() && options.http == Version::One {
        bail!("--streams is for HTTP/2; add --http 2");
    }
    let mut wanted = command::Options::new(&options.url, pace, options.lasts);
    wanted.reach = if options.anywhere { Reach::Anywhere } else { Reach::Loopback };
    (wanted.timeout, wanted.warm_up, wanted.seed) = (options.timeout, options.warm_up, options.seed);
    wanted.method.clone_from(&options.method);
    wanted.headers = headers(&options.headers)?;
    wanted.json = options.json.as_deref().map(serde_json::from_str).transpose().context("read the body as JSON")?;
    wanted.protocol = match options.http {
        Version::One => Protocol::Http1,
        Version::Two => Protocol::Http2,
        Version::Auto => Protocol::Negotiated,
    };
    wanted.streams = options.streams;
    wanted.trust = options.ca.clone().map_or(Trust::System, Trust::File);
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
    let style = ProgressStyle::with_template("{elapsed:>4} of {len} s {bar:20} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(lasts.as_secs().max(1)).with_style(style);
    bar.set_message("starting");
    bar
}
