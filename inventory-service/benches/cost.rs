//! What the service's observability costs, and whether that is within its budget; exits 1 if not.
//!
//! 1. CPU a request of `GET /api/items/{sku}` from the in-process cache: the same binary without instrumentation, with metrics
//!    and the log on standard output, and with the log pushed to Loki as well; the service on one core, the load on another,
//!    round about.
//! 2. p99 at 2,000 requests a second on SQLite in a file, and on the empty PostgreSQL database that `BENCH_POSTGRES_URL` names,
//!    measured from the intended start of each request.
//! 3. `/metrics` with 5,000 series.
//!
//! `just bench-service`; without PostgreSQL, `cargo bench -p inventory-service --bench cost`

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use inventory_service::clock;
use inventory_service::sabotage::Sabotage;
use inventory_service::telemetry::exposition::{Format, render};
use inventory_service::telemetry::metrics::{Answered, Metrics};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const COST_BUDGET: f64 = 5.0;
const P99_BUDGET: Duration = Duration::from_millis(5);
const RENDER_BUDGET: Duration = Duration::from_millis(5);

const ROUNDS: usize = 7;
const CONNECTIONS: usize = 16;
const REQUESTS: usize = 1500;
const RATE: u32 = 2000;
const SECONDS: u32 = 10;

struct Service {
    child: Child,
    address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Keeps this thread and what it starts to one core, where there are two.
fn stay_on(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core % std::thread::available_parallelism().map_or(1, usize::from));
    sched_setaffinity(None, &cores).expect("a process may choose among its cores");
}

fn spawn(variables: &[(&str, &str)]) -> Service {
    stay_on(0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory-service"));
    command.env_clear().env("LISTEN", "127.0.0.1:0").env("ADMIN_LISTEN", "127.0.0.1:0").envs(variables.iter().copied());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("it says where it listens");
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    stay_on(1);
    let started: Value = serde_json::from_str(&line).expect("its log is JSON");
    Service { child, address: started["listen"].as_str().expect("an address").to_owned() }
}

/// CPU time of a process in seconds.
fn cpu(service: &Service) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.child.id())).expect("Linux tells CPU times");
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let second = rustix::param::clock_ticks_per_second() as f64;
    (ticks(11) + ticks(12)) / second
}

/// A connection that asks the same question again and again; answers have equal lengths.
struct Asker {
    stream: TcpStream,
    question: Vec<u8>,
    answer: Vec<u8>,
}

impl Asker {
    async fn connect(address: &str, question: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the service listens");
        stream.set_nodelay(true).expect("a TCP option");
        let mut asker = Self { stream, question: question.as_bytes().to_vec(), answer: vec![0; 4096] };
        asker.stream.write_all(&asker.question).await.expect("the service reads");
        let length = asker.stream.read(&mut asker.answer).await.expect("the service answers");
        assert!(asker.answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&asker.answer[..length]));
        asker.answer.truncate(length);
        asker
    }

    async fn ask(&mut self) {
        self.stream.write_all(&self.question).await.expect("the service reads");
        self.stream.read_exact(&mut self.answer).await.expect("the service answers");
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n")
}

fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn reserve(sku: &str) -> String {
    post(&format!("/api/items/{sku}/reserve"), &json!({ "quantity": 1 }))
}

async fn create_item(service: &Service, sku: &str) {
    let item = json!({ "sku": sku, "name": "an item", "quantity": 1_000_000 });
    Asker::connect(&service.address, &post("/api/items", &item)).await;
}

/// Microseconds of CPU a request.
async fn cost(service: &Service) -> f64 {
    let mut askers = Vec::new();
    for _ in 0..CONNECTIONS {
        askers.push(Asker::connect(&service.address, &get("/api/items/SKU-1")).await);
    }
    let before = cpu(service);
    let asking = askers.into_iter().map(|mut asker| async move {
        for _ in 0..REQUESTS {
            asker.ask().await;
        }
    });
    futures_util::future::join_all(asking).await;
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand")]
    let requests = (CONNECTIONS * REQUESTS) as f64;
    (cpu(service) - before) / requests * 1e6
}

/// A Loki that takes everything.
async fn loki() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let router = axum::Router::new()
        .route("/loki/api/v1/push", axum::routing::post(|_: bytes::Bytes| async { http::StatusCode::NO_CONTENT }))
        .layer(axum::extract::DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU a request: off, on, on with Loki.
async fn costs() -> [f64; 3] {
    let url = loki().await;
    let services = [spawn(&[("INVENTORY_INSTRUMENTATION", "off")]), spawn(&[]), spawn(&[("LOKI_URL", &url)])];
    let mut costs = [const { Vec::new() }; 3];
    for service in &services {
        create_item(service, "SKU-1").await;
        cost(service).await;
    }
    for _ in 0..ROUNDS {
        for (service, costs) in services.iter().zip(&mut costs) {
            costs.push(cost(service).await);
        }
    }
    costs.map(median)
}

/// The 99th percentile at a fixed rate: nine reads, one reservation; every lane has an item of its own.
async fn percentile(url: &str) -> Duration {
    let service = spawn(&[("DATABASE_URL", url)]);
    let lanes = 40;
    let mut tasks = Vec::new();
    let start = tokio::time::Instant::now() + Duration::from_secs(2);
    for lane in 0..lanes {
        let sku = format!("SKU-{lane}");
        create_item(&service, &sku).await;
        let question = if lane % 10 == 0 { reserve(&sku) } else { get(&format!("/api/items/{sku}")) };
        let mut asker = Asker::connect(&service.address, &question).await;
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            for number in 0..RATE * SECONDS / lanes {
                let intended = start + Duration::from_secs(1) * (number * lanes + lane) / RATE;
                tokio::time::sleep_until(intended).await;
                asker.ask().await;
                times.push(intended.elapsed());
            }
            times
        }));
    }
    let mut times: Vec<Duration> = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("no lane fails"));
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// The number of series, and the time to render them as OpenMetrics and as text.
fn rendering() -> (usize, Duration) {
    let metrics: Arc<Metrics> = Metrics::new(Sabotage::default());
    let identity = inventory_service::http::identity::Identity::of(&http::HeaderMap::new(), 1.0);
    for number in 0..310 {
        let route: &'static str = Box::leak(format!("/made/up/{number}").into_boxed_str());
        let duration = Duration::from_millis(number);
        metrics.answered(&Answered { method: "GET", route, status: 200, duration, trace: identity.trace_id });
    }
    let registry = metrics.registry();
    let series = render(&registry, Format::Text).lines().filter(|line| !line.starts_with('#')).count();
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let started = clock::instant();
            std::hint::black_box(render(&registry, Format::Text));
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    (series, times[times.len() / 2])
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let [off, on, loki] = runtime.block_on(costs());
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite://{}", folder.path().join("inventory.db").display());
    let p99 = runtime.block_on(percentile(&sqlite));
    let postgres = std::env::var("BENCH_POSTGRES_URL").ok().map(|url| runtime.block_on(percentile(&url)));
    let (series, rendered) = rendering();
    let within = |good: bool| if good { "within budget" } else { "OVER BUDGET" };
    let cheap = loki - off <= COST_BUDGET;
    let report = format!(
        "CPU a request:  {off:.1} µs without instrumentation, {on:.1} µs with metrics and log, {loki:.1} µs with Loki: \
         +{:.1} µs of {COST_BUDGET} µs, {}\n\
         p99 at {RATE}/s on SQLite:  {p99:?} of {P99_BUDGET:?}, {}\n\
         p99 at {RATE}/s on PostgreSQL:  {}\n\
         /metrics, {series} series:  {rendered:?} of {RENDER_BUDGET:?}, {}\n",
        loki - off,
        within(cheap),
        within(p99 <= P99_BUDGET),
        postgres.map_or("not measured; BENCH_POSTGRES_URL names an empty database".to_owned(), |p99| {
            format!("{p99:?} of {P99_BUDGET:?}, {}", within(p99 <= P99_BUDGET))
        }),
        within(rendered <= RENDER_BUDGET),
    );
    drop(std::io::stdout().write_all(report.as_bytes()));
    let quick = p99.max(postgres.unwrap_or_default()) <= P99_BUDGET;
    if cheap && quick && rendered <= RENDER_BUDGET { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
