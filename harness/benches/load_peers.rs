//! Load generators side by side: ours, wrk, hey and oha (those found on PATH) against one server, which has the first
//! core for itself while the generator has the second. `cargo bench -p harness --bench load_peers [-- <table> …]` with
//! `speed`, `paced`, `stall`, `delay`, `held`; prints Markdown tables, kept in `docs/benchmarks.md`.
//!
//! CPU time is the kernel's account of the whole process (`/proc/<pid>/stat` of the exited, not yet reaped child),
//! requests are the server's own count, memory is the highest resident size (`VmHWM`, read every 20 ms).
#![expect(clippy::print_stdout, reason = "its output is its result")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::clock::{self, Clock};
use harness::load::command::{Options, Pace, Report, run};
use harness::load::{Arrivals, Model, RequestTemplate, Spec, Target, start};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

const BODY: &str = "{\"sku\":\"A-1\",\"quantity\":10}";

fn main() -> Anyhow<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", stall, delay] => serve(Behaviour { stall: millis(stall)?, delay: millis(delay)? }),
        ["ours", pace, value, seconds, url] => ours(pace, value, seconds, url),
        ["held", rate, seconds, url] => held(rate.parse()?, seconds.parse()?, url),
        [] => tables(&["speed", "paced", "stall", "delay", "held"]),
        ref chosen => tables(chosen),
    }
}

fn tables(chosen: &[&str]) -> Anyhow<()> {
    for table in chosen {
        match *table {
            "speed" => speed()?,
            "paced" => paced()?,
            "stall" => stalls()?,
            "delay" => delays()?,
            "held" => rates_held()?,
            other => return Err(format!("there is no table `{other}`").into()),
        }
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------------- the tables

fn speed() -> Anyhow<()> {
    println!("\n### 50 connections at full speed, 10 s\n");
    println!("| tool | requests | requests/s | CPU µs per request | peak memory MB |\n|---|---:|---:|---:|---:|");
    for (name, arguments) in [
        ("ours", vec!["connections", "50", "10"]),
        ("wrk", vec!["-t1", "-c50", "-d10s"]),
        ("oha", vec!["--no-tui", "-c", "50", "-z", "10s"]),
        ("hey", vec!["-c", "50", "-z", "10s"]),
    ] {
        let Some(measured) = measure(name, &arguments, Behaviour::default())? else { continue };
        println!("{}", measured.row(name));
    }
    Ok(())
}

fn paced() -> Anyhow<()> {
    println!("\n### 2,000 requests/s, open, 10 s\n");
    println!("| tool | requests | requests/s | CPU µs per request | peak memory MB |\n|---|---:|---:|---:|---:|");
    for (name, arguments) in [
        ("ours", vec!["rate", "2000", "10"]),
        ("oha", vec!["--no-tui", "--latency-correction", "-q", "2000", "-c", "50", "-z", "10s"]),
        ("hey", vec!["-q", "40", "-c", "50", "-z", "10s"]),
    ] {
        let Some(measured) = measure(name, &arguments, Behaviour::default())? else { continue };
        println!("{}", measured.row(name));
    }
    Ok(())
}

fn stalls() -> Anyhow<()> {
    println!("\n### The server stalls for 1 s, 2 s into 8 s of load (truth at 200/s: p90 200, p95 600, p99 920 ms)\n");
    println!("| tool | rate | p50 ms | p90 ms | p95 ms | p99 ms | dropped |\n|---|---:|---:|---:|---:|---:|---:|");
    for rate in ["200", "2000"] {
        let per_worker = (rate.parse::<u32>()? / 50).to_string();
        for (name, arguments) in [
            ("ours", vec!["rate", rate, "8"]),
            (
                "oha",
                vec!["--no-tui", "--output-format", "json", "--latency-correction", "-q", rate, "-c", "50", "-z", "8s"],
            ),
            ("hey", vec!["-q", &per_worker, "-c", "50", "-z", "8s"]),
        ] {
            let Some(measured) =
                measure(name, &arguments, Behaviour { stall: Duration::from_secs(1), ..Behaviour::default() })?
            else {
                continue;
            };
            let [p50, p90, p95, p99] = percentiles(name, &measured.output)?;
            let dropped = if name == "ours" { dropped(&measured.output)? } else { "n/a".to_owned() };
            println!("| {name} | {rate} | {p50:.1} | {p90:.1} | {p95:.1} | {p99:.1} | {dropped} |");
        }
    }
    Ok(())
}

fn delays() -> Anyhow<()> {
    println!("\n### Ours: the server takes 50 ms (by a timer that is up to 1 ms late), 200 requests/s for 5 s\n");
    println!("| p50 ms | p90 ms | p95 ms | p99 ms |\n|---:|---:|---:|---:|");
    let behaviour = Behaviour { stall: Duration::ZERO, delay: Duration::from_millis(50) };
    if let Some(measured) = measure("ours", &["rate", "200", "5"], behaviour)? {
        let [p50, p90, p95, p99] = percentiles("ours", &measured.output)?;
        println!("| {p50:.1} | {p90:.1} | {p95:.1} | {p99:.1} |");
    }
    Ok(())
}

fn rates_held() -> Anyhow<()> {
    println!("\n### Ours: rate held, 5 s each\n");
    println!("| rate | sent | worst second by actual start | lag p50 | lag p99 | lag max | CPU µs per request |");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for rate in ["10", "100", "1000", "5000", "10000", "20000"] {
        let server = Server::start(Behaviour::default())?;
        let program = std::env::current_exe()?;
        let program = program.to_str().ok_or("the program's path is not UTF-8")?;
        let measured = server.measure(program, &["held", rate, "5", &server.url()])?;
        let per_request = measured.cpu.as_secs_f64() * 1e6 / measured.requests as f64;
        println!("| {rate} | {} | {} | {per_request:.1} |", measured.requests, measured.output.trim());
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------ measuring a tool

struct Measured {
    requests: u64,
    wall: Duration,
    cpu: Duration,
    peak_kib: u64,
    output: String,
}

impl Measured {
    fn row(&self, name: &str) -> String {
        let per_second = self.requests as f64 / self.wall.as_secs_f64();
        let per_request = self.cpu.as_secs_f64() * 1e6 / self.requests as f64;
        let peak = self.peak_kib as f64 / 1024.0;
        format!("| {name} | {} | {per_second:.0} | {per_request:.1} | {peak:.1} |", self.requests)
    }
}

/// None when the tool is not there.
fn measure(name: &str, arguments: &[&str], behaviour: Behaviour) -> Anyhow<Option<Measured>> {
    let server = Server::start(behaviour)?;
    let url = server.url();
    let ours = std::env::current_exe()?;
    let ours = ours.to_str().ok_or("the program's path is not UTF-8")?;
    let mut words: Vec<&str> = arguments.to_vec();
    if name == "ours" {
        words.insert(0, "ours");
    } else if Command::new("which").arg(name).stdout(Stdio::null()).status().is_ok_and(|status| !status.success()) {
        println!("| {name} | not on PATH |");
        return Ok(None);
    }
    words.push(&url);
    server.measure(if name == "ours" { ours } else { name }, &words).map(Some)
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(behaviour: Behaviour) -> Anyhow<Self> {
        let words = [behaviour.stall, behaviour.delay].map(|duration| duration.as_millis().to_string());
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(std::env::current_exe()?).arg("serve").args(words);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("the server has no output")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse()? })
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn requests(&self) -> Anyhow<u64> {
        let mut stream = std::net::TcpStream::connect(self.address)?;
        std::io::Write::write_all(&mut stream, b"COUNT\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.trim().parse()?)
    }

    fn measure(&self, program: &str, arguments: &[&str]) -> Anyhow<Measured> {
        let begun = clock::instant();
        let mut command = Command::new("taskset");
        command.args(["-c", "1", program]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let mut stdout = child.stdout.take().ok_or("the tool has no output")?;
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let peak_kib = watch(&child);
        let wall = begun.elapsed();
        let cpu = cpu_time(child.id())?;
        child.wait()?;
        let output = reading.join().map_err(|_| "reading the tool's output failed")??;
        Ok(Measured { requests: self.requests()?, wall, cpu, peak_kib, output })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of a child without reaping it; returns its highest resident size.
fn watch(child: &Child) -> u64 {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let mut peak = 0;
    while waitid(WaitId::Pid(Pid::from_child(child)), options).is_ok_and(|status| status.is_none()) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = kib.unwrap_or(0).max(peak);
        clock::sleep(Duration::from_millis(20));
    }
    peak
}

/// User and system time of a process in clock ticks of 10 ms, all threads that ever were.
fn cpu_time(pid: u32) -> Anyhow<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("an unknown form of stat")?.1.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<u64>();
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

/// p50, p90, p95 and p99 in milliseconds, from a tool's own words.
fn percentiles(tool: &str, output: &str) -> Anyhow<[f64; 4]> {
    let mut found = [f64::NAN; 4];
    let json: serde_json::Value = serde_json::from_str(output).unwrap_or_default();
    for (index, name) in ["p50", "p90", "p95", "p99"].iter().enumerate() {
        let value = match tool {
            "ours" => json["latency-us"][name].as_f64().map(|micros| micros / 1e3),
            "oha" => json["latencyPercentiles"][name].as_f64().map(|seconds| seconds * 1e3),
            _ => {
                let line = output.lines().find(|line| line.trim().starts_with(&format!("{}%", &name[1..])));
                line.and_then(|line| line.split_whitespace().rev().nth(1)?.parse::<f64>().ok())
                    .map(|seconds| seconds * 1e3)
            }
        };
        found[index] = value.ok_or_else(|| format!("{tool} said nothing about {name}: {output}"))?;
    }
    Ok(found)
}

fn dropped(output: &str) -> Anyhow<String> {
    let report: Report = serde_json::from_str(output)?;
    Ok(report.flow.dropped.to_string())
}

// --------------------------------------------------------------------------------- the child processes: ours, server

fn runtime() -> Anyhow<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn ours(pace: &str, value: &str, seconds: &str, url: &str) -> Anyhow<()> {
    let pace = match pace {
        "connections" => Pace::Connections(value.parse()?),
        _ => {
            Pace::Rate { rate: value.parse()?, ramp: Duration::ZERO, arrivals: Arrivals::Constant, max_in_flight: None }
        }
    };
    let options = Options::new(url, pace, Duration::from_secs(seconds.parse()?));
    let summary = runtime()?.block_on(run(&options, Clock::start(), |_| (), std::future::pending()))?;
    println!("{}", serde_json::to_string(&Report::from(&summary))?);
    Ok(())
}

/// Runs an exact number of seconds and says how far the worst second was off.
fn held(rate: f64, seconds: u64, url: &str) -> Anyhow<()> {
    let target = Target::resolve(url.trim_end_matches('/'), harness::load::Reach::Loopback)?;
    let mut spec = Spec::new("held", target, Model::steady(rate, 10_000), vec![RequestTemplate::get("/")]);
    spec.lasts = Some(Duration::from_secs(seconds));
    let (summary, worst) = runtime()?.block_on(async {
        let mut handle = start(spec, Clock::start())?;
        let mut worst = 0.0_f64;
        for _ in 0..seconds {
            let second = handle.samples().recv().await.ok_or("the engine ended early")?;
            worst = worst.max((second.started as f64 - rate).abs());
        }
        handle.finished().await;
        Ok::<_, Box<dyn std::error::Error>>((handle.stop(Duration::ZERO).await, worst))
    })?;
    let lag = summary.whole().lag();
    let micros = |value: Option<Duration>| value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:?}"));
    let (p50, p99, max) = (micros(lag.quantile(0.5)), micros(lag.quantile(0.99)), micros(lag.max()));
    println!("± {worst} | {p50} | {p99} | {max}");
    Ok(())
}

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, Default)]
struct Behaviour {
    /// It answers nothing for so long, from 2 s after the first request.
    stall: Duration,
    /// Every answer takes so long.
    delay: Duration,
}

fn millis(text: &str) -> Anyhow<Duration> {
    Ok(Duration::from_millis(text.parse()?))
}

/// One thread; answers every head with 27 bytes of JSON, and `COUNT` with how many there were.
fn serve(behaviour: Behaviour) -> Anyhow<()> {
    runtime()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (count, mut first) = (Arc::new(AtomicU64::new(0)), None);
        loop {
            let (stream, _) = listener.accept().await?;
            let first = *first.get_or_insert_with(clock::instant);
            let stalled = (first + Duration::from_secs(2), first + Duration::from_secs(2) + behaviour.stall);
            let count = Arc::clone(&count);
            tokio::spawn(async move { drop(answer(stream, &count, stalled, behaviour.delay).await) });
        }
    })
}

async fn answer(
    mut stream: TcpStream,
    count: &AtomicU64,
    stalled: (Instant, Instant),
    delay: Duration,
) -> std::io::Result<()> {
    let reply =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    loop {
        while !buffer.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        if buffer.starts_with(b"COUNT") {
            return stream.write_all(count.load(Ordering::SeqCst).to_string().as_bytes()).await;
        }
        buffer.clear();
        count.fetch_add(1, Ordering::SeqCst);
        let now = clock::instant();
        if stalled.0 <= now && now < stalled.1 {
            tokio::time::sleep_until(stalled.1.into()).await;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        stream.write_all(reply.as_bytes()).await?;
    }
}
