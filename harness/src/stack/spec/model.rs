//! What `stack.toml` says, as written: one type for each table. Read by [`super::Spec::load`]; used by the providers and,
//! through plain values, by plans and runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::call::Switch;
use super::template::Template;

/// `[service]`: the subject of the drill.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Service {
    /// Its component.
    pub component: Spanned<String>,
    /// Where load is sent to.
    pub base_url: Template,
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
    /// What it may use.
    pub limits: Option<Limits>,
    /// How many of it.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The user's own config: a file or a folder, relative to the stack file's folder.
    pub config: Option<Spanned<String>>,
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

/// The Debian package that holds a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DebianPackage {
    /// The package's name.
    pub package: String,
    /// The program's path inside it, for example `usr/bin/prometheus`; the default is `usr/bin/<program>`.
    pub binary: Option<String>,
    /// More packages with shared libraries and data the program needs.
    #[serde(default)]
    pub with: Vec<String>,
}

/// A container image: pulled, built from a folder, or built from Debian packages where nothing can be pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Image {
    /// A folder with a `Dockerfile`, relative to the root.
    pub build: Option<String>,
    /// Repository of the official image.
    pub name: Option<String>,
    /// Its tag.
    pub tag: Option<String>,
    /// Its digest, written by `stack images --lock` only.
    pub digest: Option<String>,
    /// Debian packages to build it from.
    #[serde(default)]
    pub debian: Vec<String>,
    /// The program's path in the image; the arguments are those of `command`.
    pub entrypoint: Option<String>,
    /// Program and arguments in a container, instead of `entrypoint` and `command`.
    #[serde(default)]
    pub command: Vec<Template>,
    /// The user to run as: `uid` or `uid:gid`.
    pub user: Option<String>,
    /// The working folder.
    pub workdir: Option<String>,
    /// Where the data folder lies in the container; the default is `/data`.
    pub data: Option<String>,
    /// Where the config lies in the container; the default is `/etc/<component>`.
    pub config: Option<String>,
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
