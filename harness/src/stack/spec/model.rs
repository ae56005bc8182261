//! What `stack.toml` says, as written: one type for each table. Read by [`super::Spec::load`]; used by the providers and,
//! through plain values, by plans and runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::call::Switch;
use super::program::{DebianPackage, Image};
use super::template::Template;

/// `[service]`: the subject of the drill.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Service {
    /// Its component.
    pub component: Spanned<String>,
    /// Where load is sent to.
    pub base_url: Template,
    /// A PEM file, relative to the root, with the authorities that may certify an `https` base URL; by default those that
    /// the machine trusts.
    pub ca: Option<std::path::PathBuf>,
    /// Where it describes its routes.
    pub openapi: Option<Template>,
}

/// `[signals]`: how the service calls its signals; nothing in the harness knows these names otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Signals {
    /// The counter of requests.
    pub requests: Option<RequestSignal>,
    /// The histogram of latencies.
    pub latency: Option<LatencySignal>,
    /// The access log.
    pub log_line: Option<LogSignal>,
    /// How Prometheus calls the service.
    pub target: Option<TargetSignal>,
}

/// A counter of requests and its labels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RequestSignal {
    /// The metric's name.
    pub metric: String,
    /// The label with the route.
    pub route: Option<String>,
    /// The label with the method.
    pub method: Option<String>,
    /// The label with the status code.
    pub status: Option<String>,
}

/// A histogram of latencies and its labels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LatencySignal {
    /// The metric's name, without `_bucket`.
    pub metric: String,
    /// The label with the route.
    pub route: Option<String>,
}

/// The access log: which lines, and the names of their fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogSignal {
    /// The stream selector, LogQL.
    pub selector: String,
    /// A label filter for the lines of finished requests, LogQL.
    pub event: Option<String>,
    /// The field with the route.
    pub route: Option<String>,
    /// The field with the method.
    pub method: Option<String>,
    /// The field with the status code.
    pub status: Option<String>,
    /// The field with the line's number.
    pub sequence: Option<String>,
    /// The field with the request's id.
    pub request_id: Option<String>,
    /// The field that tells processes apart, each of which begins a new numbering.
    pub process: Option<String>,
}

/// How Prometheus calls the service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TargetSignal {
    /// The scrape job.
    pub job: String,
}

/// `[seed.<name>]`: data put in before the baseline. `{n}` counts from 1.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Seed {
    /// The path to post to.
    pub post: String,
    /// The body, with `{n}` in its strings.
    pub json: serde_json::Value,
    /// How many.
    pub count: u64,
    /// The field of the body that generators hand out.
    pub key: String,
}

/// `[component.<name>]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Component {
    /// How it is asked, configured and reloaded, if it is a server the harness knows.
    pub role: Option<Role>,
    /// Builds its binary; run once, in the root folder.
    pub build: Option<Vec<String>>,
    /// Program and arguments. A bare name is looked up on `PATH`, then in the Debian package; a path is relative to the root.
    #[serde(default)]
    pub command: Vec<Template>,
    /// More arguments, after those of whichever command is used.
    #[serde(default)]
    pub args: Vec<Template>,
    /// Commands to use where the program of `command` cannot be had, best first.
    #[serde(default)]
    pub alternatives: Vec<Vec<Template>>,
    /// Run once, before the first start, when the data folder is empty.
    pub init: Option<Vec<Template>>,
    /// Arguments that make the program state its version.
    pub version: Option<Vec<String>>,
    /// The Debian package that holds the program.
    pub debian: Option<DebianPackage>,
    /// The container image.
    pub image: Option<Image>,
    /// Names of ports, with the number used inside the network.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// Ports of this machine for some of them, instead of free ones that the harness chooses.
    #[serde(default)]
    pub publish: BTreeMap<String, u16>,
    /// Its environment.
    #[serde(default)]
    pub env: BTreeMap<String, Template>,
    /// What has to be ready before it starts.
    #[serde(default)]
    pub needs: Vec<Spanned<String>>,
    /// When it is ready: all of them.
    #[serde(default)]
    pub ready: Vec<Spanned<ReadyCondition>>,
    /// How long that may take; the default is 30 s.
    #[serde(default, deserialize_with = "duration")]
    pub ready_within: Option<Duration>,
    /// Where its log lines come from.
    #[serde(default)]
    pub logs: Logs,
    /// Labels under which the harness pushes its log lines to the log store, for what only writes them.
    pub collect: Option<Spanned<BTreeMap<String, String>>>,
    /// Whether it refuses to run as root: then it runs as nobody where the harness is root. Containers never run as root.
    #[serde(default)]
    pub unprivileged: bool,
    /// What it may use.
    pub limits: Option<Limits>,
    /// How many of it.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The user's own config: a file or a folder, relative to the stack file's folder.
    pub config: Option<Spanned<String>>,
    /// How the harness is let in.
    pub access: Option<Spanned<AccessKeys>>,
    /// Whether a stack without it is still a stack.
    #[serde(default)]
    pub optional: bool,
    /// Other ways to run it, chosen by what can run here.
    #[serde(default)]
    pub variants: BTreeMap<String, Variant>,
    /// The service's own fault switches.
    #[serde(default)]
    pub switches: BTreeMap<String, Switch>,
}

/// How the harness is let in where a server asks for more than plain HTTP. Files are relative to the stack file's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AccessKeys {
    /// PEM file with the authority to trust; its presence means HTTPS.
    pub ca: Option<String>,
    /// User name.
    pub user: Option<String>,
    /// File with the password.
    pub password_file: Option<String>,
    /// File with a bearer token.
    pub bearer_file: Option<String>,
}

/// The servers the harness can ask, configure and reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Prometheus.
    Prometheus,
    /// Alertmanager.
    Alertmanager,
    /// Loki, or anything that speaks its API.
    Loki,
    /// Grafana.
    Grafana,
}

/// Where a component's log lines come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Logs {
    /// Its standard output.
    #[default]
    Stdout,
    /// Its standard error.
    Stderr,
}

/// When a component is ready, as written: exactly one of `http`, `tcp`, `log`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReadyCondition {
    /// A URL that has to answer.
    pub http: Option<Template>,
    /// With this status; the default is 200.
    pub status: Option<u16>,
    /// And this text in its body.
    pub contains: Option<String>,
    /// An address that has to accept a connection.
    pub tcp: Option<Template>,
    /// Sent over the connection.
    pub send: Option<String>,
    /// The text its answer has to start with.
    pub expect: Option<String>,
    /// A regular expression that a log line has to match.
    pub log: Option<String>,
}

/// What a component may use.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// Cores.
    pub cpus: Option<f64>,
    /// Bytes, written `512MiB`.
    #[serde(default, deserialize_with = "bytes")]
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// Another way to run a component.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Variant {
    /// Environment on top of the component's.
    #[serde(default)]
    pub env: BTreeMap<String, Template>,
    /// A command instead of the component's.
    pub command: Option<Vec<Template>>,
    /// Arguments on top of the component's.
    #[serde(default)]
    pub args: Vec<Template>,
    /// Components that this variant does without.
    #[serde(default)]
    pub drops: Vec<Spanned<String>>,
}

/// `[[link]]`: what talks to what; faults may sit on it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Link {
    /// The component that connects.
    pub from: Spanned<String>,
    /// `component:port`.
    pub to: Spanned<String>,
}

/// `[usage]`: what the harness exports itself: processor time, memory and starts of every component, named as cAdvisor
/// names them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UsageTarget {
    /// The target as `prometheus.yml` writes it, `cadvisor:8080`.
    pub target: Spanned<String>,
}

/// `[attach]`: endpoints that exist already.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attach {
    /// The service under drill.
    pub service: Option<Endpoint>,
    /// Prometheus.
    pub prometheus: Option<Endpoint>,
    /// Alertmanager.
    pub alertmanager: Option<Endpoint>,
    /// Loki.
    pub loki: Option<Endpoint>,
    /// Grafana.
    pub grafana: Option<Endpoint>,
    /// Faults that are allowed there.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// An endpoint that exists already; credentials come from a file or the environment, never from this file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Endpoint {
    /// Its base URL.
    pub url: String,
    /// A file with a bearer token.
    pub bearer_file: Option<String>,
    /// An environment variable with a bearer token.
    pub bearer_env: Option<String>,
}

fn one() -> u32 {
    1
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).ok_or_else(|| {
        D::Error::custom(format!("`{text}` is not a duration; write a number and ms, s, m or h, like `30s`"))
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (number, factor) = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let seconds = number.trim().parse::<f64>().ok()? * factor;
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok())?
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_bytes(&text).map(Some).ok_or_else(|| {
        D::Error::custom(format!("`{text}` is not a size; write a whole number and KiB, MiB or GiB, like `512MiB`"))
    })
}

fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, factor) = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    number.trim().parse::<u64>().ok()?.checked_mul(*factor).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_their_unit() {
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_bytes("512MiB"), Some(512 << 20));
        for text in ["30", "-1s", "0s", "s", "infs"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for text in ["512", "0MiB", "1.5GiB", "99999999999999GiB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
