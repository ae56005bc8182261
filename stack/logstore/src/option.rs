//! What the store is started with. Read from the command line by the binary and by the harness's hidden subcommand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// How to start logstore.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:3100")]
    pub listen: SocketAddr,
    /// Keep the entries in an append-only log in this folder, and read it at start
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Loki's configuration file: the rules that its `ruler` section names are evaluated; nothing else of it is read
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// When the log is forced to the disk
    #[arg(long, value_enum, default_value_t = Fsync::Never)]
    pub fsync: Fsync,
    /// The memory that entries may take, in bytes; the oldest chunk goes first
    #[arg(long, default_value_t = 256 << 20)]
    pub max_bytes: usize,
    /// What is refused
    #[command(flatten)]
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: None,
            config: None,
            fsync: Fsync::Never,
            max_bytes: 256 << 20,
            limits: Limits::default(),
        }
    }
}

/// When the log is forced to the disk. Every acknowledged push was written to the operating system before; it survives
/// the death of the process in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fsync {
    /// By the operating system: a power cut may lose the last seconds
    Never,
    /// Before each acknowledgement
    Always,
}

/// Whether `service_name` is added to streams as Loki does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Discovery {
    /// As Loki's defaults
    On,
    /// Streams keep the labels they were pushed with
    Off,
}

/// What is refused; the defaults are Loki's.
#[derive(Clone, Debug, Args)]
pub struct Limits {
    /// Bytes a second that may be pushed
    #[arg(long, default_value_t = 4 << 20)]
    pub ingestion_rate: usize,
    /// Bytes that may be pushed at once
    #[arg(long, default_value_t = 6 << 20)]
    pub ingestion_burst: usize,
    /// Bytes a second that may be pushed to one stream
    #[arg(long, default_value_t = 3 << 20)]
    pub stream_rate: usize,
    /// Bytes that may be pushed to one stream at once
    #[arg(long, default_value_t = 15 << 20)]
    pub stream_burst: usize,
    /// Streams that may exist
    #[arg(long, default_value_t = 5_000)]
    pub max_streams: usize,
    /// Bytes of a line
    #[arg(long, default_value_t = 256 << 10)]
    pub max_line_size: usize,
    /// Labels of a stream
    #[arg(long, default_value_t = 15)]
    pub max_label_names: usize,
    /// Bytes of a label's name
    #[arg(long, default_value_t = 1_024)]
    pub max_label_name_length: usize,
    /// Bytes of a label's value
    #[arg(long, default_value_t = 2_048)]
    pub max_label_value_length: usize,
    /// Bytes of an entry's structured metadata
    #[arg(long, default_value_t = 64 << 10)]
    pub max_metadata_size: usize,
    /// Labels of an entry's structured metadata
    #[arg(long, default_value_t = 128)]
    pub max_metadata_count: usize,
    /// Seconds; older entries are refused
    #[arg(long, default_value = "604800", value_parser = seconds)]
    pub max_age: Duration,
    /// Seconds; entries further in the future are refused
    #[arg(long, default_value = "600", value_parser = seconds)]
    pub grace_period: Duration,
    /// Seconds; entries this much older than the stream's newest are refused
    #[arg(long, default_value = "3600", value_parser = seconds)]
    pub out_of_order_window: Duration,
    /// Entries a query may ask for
    #[arg(long, default_value_t = 5_000)]
    pub max_entries: usize,
    /// Series a query may answer with
    #[arg(long, default_value_t = 500)]
    pub max_series: usize,
    /// Seconds a query may ask for
    #[arg(long, default_value = "2595600", value_parser = seconds)]
    pub max_query_length: Duration,
    /// Seconds a query may take
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub query_timeout: Duration,
    /// Bytes of a push request, decompressed; more than a burst is refused anyway
    #[arg(long, default_value_t = 32 << 20)]
    pub max_body: usize,
    /// Labels that Loki discovers
    #[arg(long, value_enum, default_value_t = Discovery::On)]
    pub discovery: Discovery,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ingestion_rate: 4 << 20,
            ingestion_burst: 6 << 20,
            stream_rate: 3 << 20,
            stream_burst: 15 << 20,
            max_streams: 5_000,
            max_line_size: 256 << 10,
            max_label_names: 15,
            max_label_name_length: 1_024,
            max_label_value_length: 2_048,
            max_metadata_size: 64 << 10,
            max_metadata_count: 128,
            max_age: Duration::from_hours(168),
            grace_period: Duration::from_mins(10),
            out_of_order_window: Duration::from_hours(1),
            max_entries: 5_000,
            max_series: 500,
            max_query_length: Duration::from_hours(721),
            query_timeout: Duration::from_mins(1),
            max_body: 32 << 20,
            discovery: Discovery::On,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}
