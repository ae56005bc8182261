//! What a stack uses, for Prometheus to scrape: processor time, memory and starts of every component, named as cAdvisor
//! names them, so that rules and dashboards about containers mean the same in a drill. There is no cAdvisor beside child
//! processes, and no need for its rights beside containers.
//!
//! Started by the run before the configuration is written, because the configuration names its address.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::local::Running;
use super::process::{self, Usage};
use super::spec::Limits;

/// How long a scraper may take to send its request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after a failed `accept`, which mostly means that there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);
/// The period that a quota of processor time is counted against, in microseconds: the kernel's default.
const PERIOD: u32 = 100_000;

/// A port that is taken and not served yet.
#[derive(Debug)]
pub struct Exporter {
    listener: TcpListener,
    address: SocketAddr,
}

/// An exporter that serves; it ends with this value.
#[derive(Debug)]
pub struct Serving(#[expect(dead_code, reason = "held for its drop")] DropGuard);

impl Exporter {
    /// Takes a port at `address`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn bind(address: IpAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it will be found.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the usage of `running` on every path.
    #[must_use]
    pub fn serve(self, running: Arc<Running>) -> Serving {
        let stop = CancellationToken::new();
        tokio::spawn(accept(self.listener, running, stop.clone()));
        Serving(stop.drop_guard())
    }
}

async fn accept(listener: TcpListener, running: Arc<Running>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (running, stop) = (Arc::clone(&running), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(|_: Request<Incoming>| answer(Arc::clone(&running)));
            let mut http = hyper::server::conn::http1::Builder::new();
            let http = http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            tokio::select! {
                () = stop.cancelled() => {}
                // a connection that breaks is the scraper's affair
                _ = http.serve_connection(TokioIo::new(stream), service) => {}
            }
        });
    }
}

async fn answer(running: Arc<Running>) -> Result<Response<Full<Bytes>>, Infallible> {
    // a look at /proc blocks for a few milliseconds
    let text = tokio::task::spawn_blocking(move || exposition(&containers(&running))).await;
    let mut response = Response::new(Full::new(Bytes::from(text.unwrap_or_default())));
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    Ok(response)
}

/// One component that runs.
#[derive(Clone, Debug)]
struct Seen {
    name: String,
    usage: Usage,
    /// Seconds since 1970.
    started: Option<f64>,
    limits: Option<Limits>,
}

fn containers(running: &Running) -> Vec<Seen> {
    let spec = running.allocation().prepared().spec();
    let seen = |(name, usage): (String, Usage)| Seen {
        started: running.identity(&name).and_then(process::started),
        limits: spec.components.get(&name).and_then(|component| component.limits),
        name,
        usage,
    };
    running.usage().into_iter().map(seen).collect()
}

/// Prometheus's text format. What has no limit has no series about it, except memory, where cAdvisor says 0.
fn exposition(containers: &[Seen]) -> String {
    let mut text = String::new();
    let cores = |seen: &Seen| seen.limits.and_then(|limits| limits.cpus);
    let bytes = |seen: &Seen| seen.limits.and_then(|limits| limits.memory).unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a double is what Prometheus stores")]
    let memory = |bytes: u64| bytes as f64;
    family(&mut text, containers, "container_cpu_usage_seconds_total", "counter", |seen| {
        Some(seen.usage.cpu.as_secs_f64())
    });
    // the two differ by the page cache, which resident memory leaves out
    for name in ["container_memory_usage_bytes", "container_memory_working_set_bytes"] {
        family(&mut text, containers, name, "gauge", |seen| Some(memory(seen.usage.memory)));
    }
    family(&mut text, containers, "container_processes", "gauge", |seen| Some(f64::from(seen.usage.processes)));
    family(&mut text, containers, "container_start_time_seconds", "gauge", |seen| seen.started);
    family(&mut text, containers, "container_spec_memory_limit_bytes", "gauge", |seen| Some(memory(bytes(seen))));
    family(&mut text, containers, "container_spec_cpu_period", "gauge", |seen| cores(seen).map(|_| f64::from(PERIOD)));
    family(&mut text, containers, "container_spec_cpu_quota", "gauge", |seen| {
        cores(seen).map(|cores| (cores * f64::from(PERIOD)).round())
    });
    text
}

fn family(text: &mut String, containers: &[Seen], name: &str, kind: &str, value: impl Fn(&Seen) -> Option<f64>) {
    let mut say = |line: std::fmt::Arguments<'_>| text.write_fmt(line).expect("a string takes any text");
    say(format_args!("# TYPE {name} {kind}\n"));
    for seen in containers {
        if let Some(value) = value(seen) {
            say(format_args!("{name}{{name=\"{}\"}} {value}\n", seen.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_components_use_is_named_as_cadvisor_names_it() {
        let usage = Usage { cpu: Duration::from_millis(1500), memory: 1 << 20, processes: 2 };
        let limits = Some(Limits { cpus: Some(0.5), memory: Some(512 << 20), pids: None });
        let limited = Seen { name: "service".to_owned(), usage, started: Some(1_700_000_000.25), limits };
        let free = Seen { name: "loki".to_owned(), usage: Usage::default(), started: None, limits: None };
        let text = exposition(&[limited, free]);
        for line in [
            "# TYPE container_cpu_usage_seconds_total counter",
            "container_cpu_usage_seconds_total{name=\"service\"} 1.5",
            "container_memory_usage_bytes{name=\"service\"} 1048576",
            "container_memory_working_set_bytes{name=\"service\"} 1048576",
            "container_start_time_seconds{name=\"service\"} 1700000000.25",
            "container_spec_memory_limit_bytes{name=\"service\"} 536870912",
            "container_spec_memory_limit_bytes{name=\"loki\"} 0",
            "container_spec_cpu_quota{name=\"service\"} 50000",
            "container_spec_cpu_period{name=\"service\"} 100000",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("container_start_time_seconds{name=\"loki\"}"), "{text}");
        assert!(!text.contains("container_spec_cpu_quota{name=\"loki\"}"), "{text}");
    }

    #[test]
    fn a_process_knows_when_it_was_started() {
        let started = process::started(process::own()).unwrap();
        let now = crate::clock::wall().as_seconds();
        assert!((0.0..3600.0).contains(&(now - started)), "{started} is not just before {now}");
    }
}
