//! Settings, read once from environment variables. Secrets may come from files: `NAME_FILE` names a file whose content is
//! the value of `NAME`. `main` reads them, everything else receives them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::sabotage::Sabotage;
use crate::telemetry::logs::Level;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that means nothing.
    #[error("read {name}: {problem}")]
    Value {
        /// The variable.
        name: String,
        /// What is wrong and what is expected. Never the value itself: it may be a secret.
        problem: String,
    },
    /// A `_FILE` that cannot be read.
    #[error("read the file named by {name}: {source}")]
    File {
        /// The variable.
        name: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// Where SQLite keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlitePlace {
    /// Nowhere: gone with the process.
    Memory,
    /// In this file.
    File(PathBuf),
}

/// Which database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:` …
    Sqlite(SqlitePlace),
}

/// Which cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheUrl {
    /// `memory:`
    Memory,
}

/// Whether drills may break this process from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSwitches {
    /// `/faults` answers 404 and sabotage is ignored.
    Disabled,
    /// `INVENTORY_FAULTS=enabled`.
    Enabled,
}

/// Whether requests are measured and logged; off only to measure what that costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrumentation {
    /// As in production.
    On,
    /// `INVENTORY_INSTRUMENTATION=off`: no request metrics, no access lines.
    Off,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `LISTEN`: the API's address.
    pub listen: SocketAddr,
    /// `ADMIN_LISTEN`: the address of metrics, probes and switches.
    pub admin_listen: SocketAddr,
    /// `DATABASE_URL`
    pub database: DatabaseUrl,
    /// `CACHE_URL`
    pub cache: CacheUrl,
    /// `LOKI_URL`: where logs are pushed to, besides standard output.
    pub loki: Option<String>,
    /// `ENVIRONMENT`: the `env` label of logs.
    pub environment: String,
    /// `LOG_LEVEL`: events below are not written; access lines always are, they are a record and not a diagnostic.
    pub log_level: Level,
    /// `INVENTORY_FAULTS`
    pub faults: FaultSwitches,
    /// `INVENTORY_SABOTAGE`, honoured only with the switches enabled.
    pub sabotage: Sabotage,
    /// `INVENTORY_INSTRUMENTATION`
    pub instrumentation: Instrumentation,
    /// `REQUEST_DEADLINE`: what one request may take, injected latency aside.
    pub request_deadline: Duration,
    /// `QUERY_DEADLINE`: what one database operation may take, the wait for a connection included.
    pub query_deadline: Duration,
    /// `PROBE_DEADLINE`: what a question to the database may take while a scrape or a readiness probe waits.
    pub probe_deadline: Duration,
    /// `HEADER_DEADLINE`: how long a caller may take to send the head of a request, idle connections included.
    pub header_deadline: Duration,
    /// `BODY_DEADLINE`: how long a caller may take to send a body.
    pub body_deadline: Duration,
    /// `DRAIN_DEADLINE`: how long requests under way may take after SIGTERM.
    pub drain_deadline: Duration,
    /// `MAX_IN_FLIGHT`: requests beyond are shed with 503.
    pub max_in_flight: usize,
    /// `MAX_CONNECTIONS`: connections beyond wait to be accepted.
    pub max_connections: usize,
    /// `MAX_BODY`: bytes.
    pub max_body: usize,
    /// `LOG_BUFFER`: bytes that wait for standard output at most, and bytes that wait for Loki at most.
    pub log_buffer: usize,
}

impl Settings {
    /// Reads them from the process's environment.
    ///
    /// # Errors
    /// When a variable has a value that means nothing, or a file cannot be read.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads them from anything that knows variables.
    ///
    /// # Errors
    /// When a variable has a value that means nothing, or a file cannot be read.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let source = Source(lookup);
        let faults = source.read("INVENTORY_FAULTS", "disabled", parse_faults)?;
        let sabotage = source.read("INVENTORY_SABOTAGE", "", Sabotage::parse)?;
        Ok(Self {
            listen: source.read("LISTEN", "127.0.0.1:8080", parse_address)?,
            admin_listen: source.read("ADMIN_LISTEN", "127.0.0.1:9180", parse_address)?,
            database: source.read("DATABASE_URL", "sqlite::memory:", parse_database)?,
            cache: source.read("CACHE_URL", "memory:", parse_cache)?,
            loki: source.optional("LOKI_URL", parse_loki)?,
            environment: source.read("ENVIRONMENT", "development", |text| Ok(text.to_owned()))?,
            log_level: source.read("LOG_LEVEL", "info", Level::parse)?,
            faults,
            sabotage: if faults == FaultSwitches::Enabled { sabotage } else { Sabotage::default() },
            instrumentation: source.read("INVENTORY_INSTRUMENTATION", "on", parse_instrumentation)?,
            request_deadline: source.read("REQUEST_DEADLINE", "1500ms", parse_duration)?,
            query_deadline: source.read("QUERY_DEADLINE", "500ms", parse_duration)?,
            probe_deadline: source.read("PROBE_DEADLINE", "100ms", parse_duration)?,
            header_deadline: source.read("HEADER_DEADLINE", "15s", parse_duration)?,
            body_deadline: source.read("BODY_DEADLINE", "1s", parse_duration)?,
            drain_deadline: source.read("DRAIN_DEADLINE", "5s", parse_duration)?,
            max_in_flight: source.read("MAX_IN_FLIGHT", "1024", parse_count)?,
            max_connections: source.read("MAX_CONNECTIONS", "4096", parse_count)?,
            max_body: source.read("MAX_BODY", "65536", parse_count)?,
            log_buffer: source.read("LOG_BUFFER", "67108864", parse_count)?,
        })
    }
}

struct Source<F>(F);

impl<F: Fn(&str) -> Option<String>> Source<F> {
    fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        if let Some(value) = (self.0)(name).filter(|value| !value.is_empty()) {
            return Ok(Some(value));
        }
        let name = format!("{name}_FILE");
        let Some(path) = (self.0)(&name).filter(|path| !path.is_empty()) else { return Ok(None) };
        let content = std::fs::read_to_string(path).map_err(|source| ConfigError::File { name, source })?;
        Ok(Some(content.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn read<T>(&self, name: &str, default: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        let text = self.text(name)?.unwrap_or_else(|| default.to_owned());
        parse(&text).map_err(|problem| ConfigError::Value { name: name.to_owned(), problem })
    }

    fn optional<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|problem| ConfigError::Value { name: name.to_owned(), problem })
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and port such as 127.0.0.1:8080".to_owned())
}

fn parse_database(text: &str) -> Result<DatabaseUrl, String> {
    let rest = text.strip_prefix("sqlite:").ok_or("expected sqlite://<path> or sqlite::memory:")?;
    match rest.strip_prefix("//").unwrap_or(rest) {
        ":memory:" | "" => Ok(DatabaseUrl::Sqlite(SqlitePlace::Memory)),
        path => Ok(DatabaseUrl::Sqlite(SqlitePlace::File(PathBuf::from(path)))),
    }
}

fn parse_cache(text: &str) -> Result<CacheUrl, String> {
    match text {
        "memory:" | "memory" => Ok(CacheUrl::Memory),
        _ => Err("expected memory:".to_owned()),
    }
}

fn parse_loki(text: &str) -> Result<String, String> {
    if !text.starts_with("http://") {
        return Err("expected http://<host>:<port>; this service is built without TLS".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn parse_faults(text: &str) -> Result<FaultSwitches, String> {
    match text {
        "enabled" => Ok(FaultSwitches::Enabled),
        "disabled" => Ok(FaultSwitches::Disabled),
        _ => Err("expected enabled or disabled".to_owned()),
    }
}

fn parse_instrumentation(text: &str) -> Result<Instrumentation, String> {
    match text {
        "on" => Ok(Instrumentation::On),
        "off" => Ok(Instrumentation::Off),
        _ => Err("expected on or off".to_owned()),
    }
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "expected a whole number above 0".to_owned())
}

/// Reads a duration such as `250ms`, `1.5s`, `2m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0)];
    let seconds = UNITS.iter().find_map(|(unit, factor)| {
        let number = text.trim().strip_suffix(unit)?.trim().parse::<f64>().ok()?;
        Some(number * factor)
    });
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "expected a duration with its unit, such as 250ms or 2s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::from_lookup(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_set_is_a_service_in_memory_without_switches() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.database, DatabaseUrl::Sqlite(SqlitePlace::Memory));
        assert_eq!(settings.faults, FaultSwitches::Disabled);
        assert!(settings.listen.ip().is_loopback() && settings.loki.is_none());
    }

    #[test]
    fn sabotage_without_the_switches_is_ignored() {
        let off = settings(&[("INVENTORY_SABOTAGE", "count-twice")]).unwrap();
        assert!(!off.sabotage.count_twice);
        let on = settings(&[("INVENTORY_SABOTAGE", "count-twice"), ("INVENTORY_FAULTS", "enabled")]).unwrap();
        assert!(on.sabotage.count_twice);
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_not_itself() {
        let error = settings(&[("DATABASE_URL", "mysql://root:hunter2@db/x")]).unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL") && !error.contains("hunter2"), "{error}");
        assert!(settings(&[("REQUEST_DEADLINE", "5")]).is_err());
    }

    #[test]
    fn a_value_can_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sqlite:///tmp/a.db\n").unwrap();
        let settings = settings(&[("DATABASE_URL_FILE", file.path().to_str().unwrap())]).unwrap();
        assert_eq!(settings.database, DatabaseUrl::Sqlite(SqlitePlace::File(PathBuf::from("/tmp/a.db"))));
    }
}
