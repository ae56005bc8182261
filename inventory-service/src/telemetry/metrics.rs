//! The metrics and the registry they live in. `http` counts requests, `store` and `cache` count theirs, `logs` its lines;
//! `exposition` renders them. Counters are born at zero for every label set that an alert may ask for, so that the first
//! error is an increase.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric as Registrable, Registry};

use super::labels::{
    BuildLabels, ConnectionLabels, DatabaseErrorLabels, DatabaseLabels, EndpointLabels, LevelLabels, NoLabels,
    OperationLabels, OutcomeLabels, QueryLabels, ReasonLabels, RequestLabels, Status, TraceLabels,
};
use super::logs::{Level, Loss};
use super::names::{self, Metric};
use super::process::ProcessCollector;
use crate::clock;
use crate::endpoint::{CLIENT_CLOSED, ENDPOINTS, FAILURES, UNMATCHED};
use crate::http::identity::TraceId;
use crate::inventory::Totals;
use crate::sabotage::Sabotage;
use crate::store::{self, Cause, Connections};

/// Request buckets in seconds; 0.25, 0.5 and 1 are SLO boundaries.
pub const REQUEST_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Query buckets in seconds; 0.5 is the default deadline.
pub const QUERY_BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5];

type Durations = Family<EndpointLabels, HistogramWithExemplars<TraceLabels>, Buckets>;

/// Makes the histograms of a family.
#[derive(Clone, Debug)]
pub struct Buckets(&'static [f64]);

impl MetricConstructor<HistogramWithExemplars<TraceLabels>> for Buckets {
    fn new_metric(&self) -> HistogramWithExemplars<TraceLabels> {
        HistogramWithExemplars::new(self.0.iter().copied())
    }
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// Its method, as in the label.
    pub method: &'static str,
    /// Its route, as in the label.
    pub route: &'static str,
    /// Its status.
    pub status: u16,
    /// How long it took.
    pub duration: Duration,
    /// The trace it belongs to.
    pub trace: TraceId,
}

/// Why the collector did not get a span, as in the `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanLoss {
    /// Too many were waiting.
    Full,
    /// It did not take them.
    Failed,
}

impl SpanLoss {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Full, Self::Failed];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    /// `http_requests_in_flight`
    pub in_flight: Gauge,
    reservations: Family<OutcomeLabels, Counter>,
    operations: Family<OperationLabels, Counter>,
    /// `inventory_cache_hits_total`
    pub cache_hits: Counter,
    /// `inventory_cache_misses_total`
    pub cache_misses: Counter,
    /// `inventory_cache_errors_total`
    pub cache_errors: Counter,
    database_errors: Family<DatabaseErrorLabels, Counter>,
    queries: Family<QueryLabels, Histogram, Buckets>,
    connections: Family<ConnectionLabels, Gauge>,
    connections_max: Family<DatabaseLabels, Gauge>,
    log_lines: Family<LevelLabels, Counter>,
    log_dropped: Family<ReasonLabels, Counter>,
    spans: Counter,
    spans_dropped: Family<ReasonLabels, Counter>,
    build: Family<BuildLabels, Gauge>,
    items: Family<NoLabels, Gauge>,
    stock: Family<NoLabels, Gauge>,
    out_of_stock: Family<NoLabels, Gauge>,
    sabotage: Sabotage,
}

impl Metrics {
    /// All metrics, at zero where alerts need them.
    #[must_use]
    pub fn new(sabotage: Sabotage) -> Arc<Self> {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(Buckets(&REQUEST_BUCKETS)),
            in_flight: Gauge::default(),
            reservations: Family::default(),
            operations: Family::default(),
            cache_hits: Counter::default(),
            cache_misses: Counter::default(),
            cache_errors: Counter::default(),
            database_errors: Family::default(),
            queries: Family::new_with_constructor(Buckets(&QUERY_BUCKETS)),
            connections: Family::default(),
            connections_max: Family::default(),
            log_lines: Family::default(),
            log_dropped: Family::default(),
            spans: Counter::default(),
            spans_dropped: Family::default(),
            build: Family::default(),
            items: Family::default(),
            stock: Family::default(),
            out_of_stock: Family::default(),
            sabotage,
        };
        metrics.bear_requests();
        metrics.bear_others();
        Arc::new(metrics)
    }

    /// A registry that exposes them and the process's own.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        register(&mut registry, &names::REQUESTS, self.requests.clone());
        register(&mut registry, &names::DURATION, self.durations.clone());
        register(&mut registry, &names::IN_FLIGHT, self.in_flight.clone());
        register(&mut registry, &names::ITEMS, self.items.clone());
        register(&mut registry, &names::STOCK, self.stock.clone());
        register(&mut registry, &names::OUT_OF_STOCK, self.out_of_stock.clone());
        register(&mut registry, &names::RESERVATIONS, self.reservations.clone());
        register(&mut registry, &names::OPERATIONS, self.operations.clone());
        register(&mut registry, &names::CACHE_HITS, self.cache_hits.clone());
        register(&mut registry, &names::CACHE_MISSES, self.cache_misses.clone());
        register(&mut registry, &names::CACHE_ERRORS, self.cache_errors.clone());
        register(&mut registry, &names::DATABASE_ERRORS, self.database_errors.clone());
        register(&mut registry, &names::CONNECTIONS, self.connections.clone());
        register(&mut registry, &names::CONNECTIONS_MAX, self.connections_max.clone());
        register(&mut registry, &names::QUERY_DURATION, self.queries.clone());
        register(&mut registry, &names::LOG_LINES, self.log_lines.clone());
        register(&mut registry, &names::LOG_DROPPED, self.log_dropped.clone());
        register(&mut registry, &names::SPANS, self.spans.clone());
        register(&mut registry, &names::SPANS_DROPPED, self.spans_dropped.clone());
        register(&mut registry, &names::BUILD, self.build.clone());
        registry.register_collector(Box::new(ProcessCollector));
        registry
    }

    /// Counts a request that was answered, or whose client went away.
    pub fn answered(&self, request: &Answered) {
        let &Answered { method, route, status, duration, trace } = request;
        if !(self.sabotage.uncounted_errors && status >= 500) {
            let shown = if self.sabotage.drop_status_label { None } else { Some(status) };
            let times = if self.sabotage.count_twice { 2 } else { 1 };
            self.requests.get_or_create(&RequestLabels { method, route, status: Status(shown) }).inc_by(times);
        }
        let exemplar = Some(TraceLabels { trace_id: trace });
        let histogram = self.durations.get_or_create(&EndpointLabels { method, route });
        histogram.observe(duration.as_secs_f64(), exemplar, Some(clock::wall()));
    }

    /// Counts a business operation; one whose client went away has no status and is not counted.
    pub fn operated(&self, operation: &'static str, status: u16) {
        if status != CLIENT_CLOSED {
            let status = if status >= 500 { "error" } else { "success" };
            self.operations.get_or_create(&OperationLabels { operation, status }).inc();
        }
    }

    /// Counts a reservation: `reserved`, `rejected` or `released`.
    pub fn reservation(&self, outcome: &'static str) {
        self.reservations.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Records the time of a database operation.
    pub fn query_took(&self, operation: &'static str, duration: Duration) {
        self.queries.get_or_create(&QueryLabels { operation }).observe(duration.as_secs_f64());
    }

    /// Counts a database operation that failed.
    pub fn database_failed(&self, operation: &'static str, cause: Cause) {
        self.database_errors.get_or_create(&DatabaseErrorLabels { operation, cause: cause.as_str() }).inc();
    }

    /// Counts log lines written.
    pub fn logged(&self, level: Level) {
        self.log_lines.get_or_create(&LevelLabels { level: level.as_str() }).inc();
    }

    /// Counts log lines lost.
    pub fn log_lost(&self, loss: Loss, lines: u64) {
        self.log_dropped.get_or_create(&ReasonLabels { reason: loss.as_str() }).inc_by(lines);
    }

    /// Counts spans that the collector has taken.
    pub fn spans_exported(&self, spans: u64) {
        self.spans.inc_by(spans);
    }

    /// Counts spans that the collector did not get.
    pub fn spans_lost(&self, loss: SpanLoss, spans: u64) {
        self.spans_dropped.get_or_create(&ReasonLabels { reason: loss.as_str() }).inc_by(spans);
    }

    /// Shows the pool as it is now.
    pub fn show_connections(&self, database: &'static str, connections: Connections) {
        let show = |state, count: u32| {
            self.connections.get_or_create(&ConnectionLabels { database, state }).set(i64::from(count))
        };
        show("idle", connections.idle);
        show("in_use", connections.in_use);
        self.connections_max.get_or_create(&DatabaseLabels { database }).set(i64::from(connections.max));
    }

    /// Shows the inventory as it is now, or takes the series away when nobody knows.
    pub fn show_totals(&self, totals: Option<Totals>) {
        let show = |family: &Family<NoLabels, Gauge>, value: Option<i64>| match value {
            Some(value) => drop(family.get_or_create(&NoLabels).set(value)),
            None => drop(family.remove(&NoLabels)),
        };
        show(&self.items, totals.map(|totals| totals.items));
        show(&self.stock, totals.map(|totals| totals.units));
        show(&self.out_of_stock, totals.map(|totals| totals.out_of_stock));
    }

    fn bear_requests(&self) {
        if self.sabotage.drop_status_label {
            return;
        }
        let bear = |method, route, status| {
            drop(self.requests.get_or_create(&RequestLabels { method, route, status: Status(Some(status)) }))
        };
        for endpoint in &ENDPOINTS {
            for status in endpoint.statuses() {
                bear(endpoint.method, endpoint.route, status);
            }
            drop(self.durations.get_or_create(&EndpointLabels { method: endpoint.method, route: endpoint.route }));
            for status in ["success", "error"] {
                let labels = endpoint.operation.map(|operation| OperationLabels { operation, status });
                labels.iter().for_each(|labels| drop(self.operations.get_or_create(labels)));
            }
        }
        bear("GET", UNMATCHED, 404);
        for status in FAILURES {
            bear("GET", UNMATCHED, status);
        }
    }

    fn bear_others(&self) {
        for outcome in ["reserved", "rejected", "released"] {
            drop(self.reservations.get_or_create(&OutcomeLabels { outcome }));
        }
        for operation in store::OPERATIONS {
            drop(self.queries.get_or_create(&QueryLabels { operation }));
            for cause in Cause::ALL {
                drop(self.database_errors.get_or_create(&DatabaseErrorLabels { operation, cause: cause.as_str() }));
            }
        }
        for level in Level::ALL {
            drop(self.log_lines.get_or_create(&LevelLabels { level: level.as_str() }));
        }
        for loss in Loss::ALL {
            drop(self.log_dropped.get_or_create(&ReasonLabels { reason: loss.as_str() }));
        }
        for loss in SpanLoss::ALL {
            drop(self.spans_dropped.get_or_create(&ReasonLabels { reason: loss.as_str() }));
        }
        let build = BuildLabels {
            version: env!("CARGO_PKG_VERSION"),
            revision: env!("INVENTORY_REVISION"),
            rustc: env!("RUSTC_VERSION"),
        };
        self.build.get_or_create(&build).set(1);
    }
}

fn register(registry: &mut Registry, metric: &Metric, value: impl Registrable) {
    registry.register(metric.family(), metric.help, value);
}
