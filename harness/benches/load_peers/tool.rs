//! A generator: where it is, how it is called, what it cost, what it says of percentiles.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::clock;
use harness::load::command::Report;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::Anyhow;
use crate::account::Account;
use crate::machine::said;
use crate::server::{Behaviour, Server};

/// Where `just bench-peers` puts what no package manager has.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/peers/bin");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Ours,
    Wrk,
    Oha,
    Hey,
    Goose,
    K6,
}

/// What a generator is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// So many connections at full speed.
    Flat(u32),
    /// So many requests per second; tools with workers have 50 of them.
    Paced(u32),
}

/// What it cost.
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_kib: u64,
    /// Resident size every 20 ms, in KiB.
    pub(crate) resident: Vec<u64>,
    pub(crate) output: String,
    /// What the server did, if that was something special.
    pub(crate) account: Account,
}

impl Measured {
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    pub(crate) fn peak_mb(&self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }

    /// Requests, requests per second, processor time, memory.
    pub(crate) fn row(&self, name: &str) -> String {
        let per_second = self.requests as f64 / self.wall.as_secs_f64();
        let (cpu, peak) = (self.cpu_micros(), self.peak_mb());
        format!("| {name} | {} | {per_second:.0} | {cpu:.1} | {peak:.1} |", self.requests)
    }
}

impl Tool {
    pub(crate) const ALL: [Self; 6] = [Self::Ours, Self::Wrk, Self::Oha, Self::Hey, Self::Goose, Self::K6];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Wrk => "wrk",
            Self::Oha => "oha",
            Self::Hey => "hey",
            Self::Goose => "goose",
            Self::K6 => "k6",
        }
    }

    /// Whether it can be told a rate.
    pub(crate) const fn paces(self) -> bool {
        !matches!(self, Self::Wrk)
    }

    /// Whether its n-th request is due n gaps after its first one, however late it is sent.
    pub(crate) const fn keeps_to_a_schedule(self) -> bool {
        matches!(self, Self::Ours | Self::Oha)
    }

    /// Its program; none when it is not here.
    fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::Ours => return std::env::current_exe().ok(),
            Self::Goose => "goose-peer",
            other => other.name(),
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::iter::once(PathBuf::from(PEERS)).chain(std::env::split_paths(&path));
        folders.find_map(|folder| Some(folder.join(name)).filter(|program| program.is_file()))
    }

    pub(crate) fn version(self) -> String {
        let Some(program) = self.program() else { return "(not present)".to_owned() };
        let said = |arguments: &[&str]| said(&program.to_string_lossy(), arguments);
        match self {
            Self::Ours => env!("CARGO_PKG_VERSION").to_owned(),
            Self::Wrk => said(&["-v"]).split_whitespace().nth(1).unwrap_or("unknown").to_owned(),
            // it does not say its own
            Self::Hey => said_by_debian("hey"),
            Self::Goose => said(&["--version"]),
            Self::Oha => said(&["--version"]).replace("oha ", ""),
            Self::K6 => said(&["version"]).replace("k6 ", ""),
        }
    }

    fn words(self, work: Work, seconds: u32, script: &Path) -> Vec<String> {
        let (count, rate) = match work {
            Work::Flat(count) => (count, None),
            Work::Paced(rate) => (50, Some(rate)),
        };
        let text = match (self, rate) {
            (Self::Ours, None) => format!("ours connections {count} {seconds}"),
            (Self::Ours, Some(rate)) => format!("ours rate {rate} {seconds}"),
            (Self::Wrk, _) => format!("--latency -t1 -c{count} -d{seconds}s"),
            (Self::Oha, None) => format!("--no-tui --output-format json -c {count} -z {seconds}s"),
            (Self::Oha, Some(rate)) => {
                format!("--no-tui --output-format json --latency-correction -q {rate} -c {count} -z {seconds}s")
            }
            (Self::Hey, None) => format!("-c {count} -z {seconds}s"),
            (Self::Hey, Some(rate)) => format!("-q {} -c {count} -z {seconds}s", rate / count),
            (Self::Goose, rate) => format!("{count} {} {seconds}", rate.unwrap_or(0)),
            (Self::K6, _) => format!("run --quiet --no-usage-report {}", script.display()),
        };
        text.split(' ').map(ToOwned::to_owned).collect()
    }

    /// Lets it work against a server that behaves like that; none when it is not here.
    pub(crate) fn work(self, work: Work, seconds: u32, behaviour: Behaviour) -> Anyhow<Option<Measured>> {
        let Some(program) = self.program() else { return Ok(None) };
        let server = Server::start(behaviour)?;
        let script = std::env::temp_dir().join(format!("harness-bench-{}.js", std::process::id()));
        let mut words = self.words(work, seconds, &script);
        if self == Self::K6 {
            std::fs::write(&script, k6_script(work, seconds, &server.url()))?;
        } else {
            words.push(server.url());
        }
        let measured = measure(&server, &program, &words)?;
        if self == Self::K6 {
            std::fs::remove_file(&script)?;
        }
        Ok(Some(measured))
    }

    /// p50, p90, p95 and p99 in milliseconds, in the tool's own words; wrk knows no p95.
    pub(crate) fn percentiles(self, output: &str) -> Anyhow<[f64; 4]> {
        let mut found = [f64::NAN; 4];
        // goose says something else before
        let last = output.trim_end().lines().last().unwrap_or_default();
        let json = serde_json::from_str(output).or_else(|_| serde_json::from_str(last));
        let json: serde_json::Value = json.unwrap_or_default();
        for (value, name) in found.iter_mut().zip(["p50", "p90", "p95", "p99"]) {
            let line = |sign: &str| {
                let wanted = format!("{}{sign}", &name[1..]);
                output.lines().find(|line| line.trim().starts_with(&wanted)).map(str::trim)
            };
            let told = match self {
                Self::Ours => json["latency-us"][name].as_f64().map(|micros| micros / 1e3),
                Self::Goose => json[name].as_f64().map(|micros| micros / 1e3),
                Self::K6 => json[name].as_f64(),
                Self::Oha => json["latencyPercentiles"][name].as_f64().map(|seconds| seconds * 1e3),
                Self::Wrk if name == "p95" => continue,
                Self::Wrk => line("%").and_then(|line| in_millis(line.split_whitespace().nth(1)?)),
                // `50% in 0.0010 secs`, and in some versions `50%% in …`
                Self::Hey => line("%")
                    .and_then(|line| line.split_whitespace().rev().nth(1)?.parse::<f64>().ok())
                    .map(|it| it * 1e3),
            };
            *value = told.ok_or_else(|| format!("{} said nothing about {name}: {output}", self.name()))?;
        }
        Ok(found)
    }

    /// How many requests it did not send, if it says so.
    pub(crate) fn dropped(self, output: &str) -> Anyhow<Option<u64>> {
        Ok(match self {
            Self::Ours => Some(serde_json::from_str::<Report>(output)?.flow.dropped),
            Self::K6 => serde_json::from_str::<serde_json::Value>(output)?["dropped"].as_u64(),
            _ => None,
        })
    }
}

fn said_by_debian(package: &str) -> String {
    said("dpkg-query", &["--show", "--showformat", "${Version}", package])
}

/// `873.00us`, `1.02ms` or `2.31s`.
fn in_millis(text: &str) -> Option<f64> {
    let (number, factor) = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)]
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.parse::<f64>().ok()?, factor)))?;
    Some(number * factor)
}

fn k6_script(work: Work, seconds: u32, url: &str) -> String {
    let scenario = match work {
        Work::Flat(count) => format!("executor: 'constant-vus', vus: {count}, duration: '{seconds}s'"),
        Work::Paced(rate) => format!(
            "executor: 'constant-arrival-rate', rate: {rate}, timeUnit: '1s', duration: '{seconds}s', \
             preAllocatedVUs: 50, maxVUs: 1000"
        ),
    };
    format!(
        "import http from 'k6/http';\n\
         export const options = {{ summaryTrendStats: ['med', 'p(90)', 'p(95)', 'p(99)'], scenarios: {{ it: {{ {scenario} }} }} }};\n\
         export default () => {{ http.get('{url}'); }};\n\
         export function handleSummary(data) {{\n\
           const times = data.metrics.http_req_duration.values, lost = data.metrics.dropped_iterations;\n\
           return {{ stdout: JSON.stringify({{ p50: times['med'], p90: times['p(90)'], p95: times['p(95)'], p99: times['p(99)'], \
         dropped: lost ? lost.values.count : 0 }}) }};\n\
         }}\n"
    )
}

/// Runs a program on the second core to its end.
pub(crate) fn measure(server: &Server, program: &Path, arguments: &[String]) -> Anyhow<Measured> {
    let begun = clock::instant();
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]).arg(program).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut stdout = child.stdout.take().ok_or("the tool has no output")?;
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let (peak_kib, resident) = watch(&child);
    let wall = begun.elapsed();
    let cpu = cpu_time(child.id())?;
    child.wait()?;
    let output = reading.join().map_err(|_| "reading the tool's output failed")??;
    let (requests, account) = (server.requests()?, server.account()?);
    Ok(Measured { requests, wall, cpu, peak_kib, resident, output, account })
}

/// Waits for the end of a child without reaping it; returns its highest resident size and all that were seen.
fn watch(child: &Child) -> (u64, Vec<u64>) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let (mut peak, mut resident) = (0, Vec::new());
    while waitid(WaitId::Pid(Pid::from_child(child)), options).is_ok_and(|status| status.is_none()) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kib = |key| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        peak = kib("VmHWM:").unwrap_or(0).max(peak);
        resident.extend(kib("VmRSS:"));
        clock::sleep(Duration::from_millis(20));
    }
    (peak, resident)
}

/// User and system time of a process in clock ticks of 10 ms, all threads that ever were.
fn cpu_time(pid: u32) -> Anyhow<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("an unknown form of stat")?.1.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<u64>();
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
