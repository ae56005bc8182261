//! The one list of the metrics: name, type, help and labels. `metrics` and `process` register from it, `/catalogue` shows
//! it, and a test compares it with what `/metrics` exposes.

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

impl Kind {
    /// As in a `# TYPE` line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name as queries write it; a counter's ends in `_total`.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// One sentence without its full stop.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
}

impl Metric {
    /// The name as the registry wants it: it adds `_total` to counters by itself.
    #[must_use]
    pub fn family(&self) -> &'static str {
        self.name.strip_suffix("_total").filter(|_| self.kind == Kind::Counter).unwrap_or(self.name)
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $ident:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $ident: Metric = Metric { name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*] };
        )*
        /// Every metric that this service exposes.
        pub const ALL: &[Metric] = &[$($ident),*];
    };
}

metrics! {
    REQUESTS = Counter "http_requests_total" ["method", "route", "status"] "HTTP requests answered; 499 when the client went away first";
    DURATION = Histogram "http_request_duration_seconds" ["method", "route"] "Time from the head of a request to its answer";
    IN_FLIGHT = Gauge "http_requests_in_flight" [] "HTTP requests being answered";
    ITEMS = Gauge "inventory_items" [] "Items in the inventory";
    STOCK = Gauge "inventory_stock_units" [] "Units in stock over all items";
    OUT_OF_STOCK = Gauge "inventory_out_of_stock_items" [] "Items without stock";
    RESERVATIONS = Counter "inventory_reservations_total" ["outcome"] "Reservations by outcome; rejected means not enough stock";
    OPERATIONS = Counter "business_operations_total" ["operation", "status"] "Business operations; error means that the service failed, a refusal is a success";
    CACHE_HITS = Counter "inventory_cache_hits_total" [] "Reads answered by the cache";
    CACHE_MISSES = Counter "inventory_cache_misses_total" [] "Reads that the cache could not answer";
    CACHE_ERRORS = Counter "inventory_cache_errors_total" [] "Calls to the cache that failed";
    DATABASE_ERRORS = Counter "inventory_db_errors_total" ["operation", "cause"] "Database operations that failed";
    CONNECTIONS = Gauge "database_connections_active" ["database", "state"] "Open database connections";
    CONNECTIONS_MAX = Gauge "database_connections_max" ["database"] "Database connections that may be open";
    QUERY_DURATION = Histogram "database_query_duration_seconds" ["operation"] "Time of database operations, waiting for a connection included";
    LOG_LINES = Counter "log_lines_total" ["level"] "Log lines written";
    LOG_DROPPED = Counter "log_lines_dropped_total" ["reason"] "Log lines that one of the log's destinations did not get";
    SPANS = Counter "trace_spans_total" [] "Spans that the trace collector has taken";
    SPANS_DROPPED = Counter "trace_spans_dropped_total" ["reason"] "Spans that the trace collector did not get";
    BUILD = Gauge "inventory_build_info" ["version", "revision", "rustc"] "What is running; always 1";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "User and system CPU time spent";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" [] "Open file descriptors";
    PROCESS_MAX_FDS = Gauge "process_max_fds" [] "File descriptors that may be open";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [] "Virtual memory size";
    PROCESS_VIRTUAL_MAX = Gauge "process_virtual_memory_max_bytes" [] "Virtual memory that may be used, -1 if without limit";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "Resident memory size";
    PROCESS_START = Gauge "process_start_time_seconds" [] "Start of the process, in seconds since the Unix epoch";
    PROCESS_THREADS = Gauge "process_threads" [] "Operating system threads";
}
