//! Settings, read once from environment variables. Secrets may come from files: `NAME_FILE` names a file whose content is
//! the value of `NAME`. `main` reads them, everything else receives them.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo};
use sqlx::postgres::PgConnectOptions;

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

/// How PostgreSQL is reached. Printing it shows neither user nor password.
#[derive(Clone)]
pub struct PostgresAddress(Box<PgConnectOptions>);

impl PostgresAddress {
    /// What the driver needs.
    #[must_use]
    pub fn options(&self) -> &PgConnectOptions {
        &self.0
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "postgres://{}:{}/{}",
            self.0.get_host(),
            self.0.get_port(),
            self.0.get_database().unwrap_or_default()
        )
    }
}

/// How Redis is reached. Printing it shows neither user nor password.
#[derive(Clone)]
pub struct RedisAddress(ConnectionInfo);

impl RedisAddress {
    /// What the driver needs.
    #[must_use]
    pub fn info(&self) -> ConnectionInfo {
        self.0.clone()
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis://{}", self.0.addr())
    }
}

/// Which database.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// `sqlite:` …
    Sqlite(SqlitePlace),
    /// `postgres:` …
    Postgres(PostgresAddress),
}

/// Who brings the schema up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// The service, when it starts.
    Auto,
    /// Somebody else: the service's own role may not.
    Off,
    /// The service, and then it ends: what that somebody else runs.
    Only,
}

/// The database and how it is used.
#[derive(Clone, Debug)]
pub struct Database {
    /// `DATABASE_URL`; its password may come from `DATABASE_PASSWORD`.
    pub url: DatabaseUrl,
    /// `DATABASE_MAX_CONNECTIONS`: of PostgreSQL.
    pub max_connections: u32,
    /// `DATABASE_MIGRATE`: `auto`, `off` or `only`.
    pub migration: Migration,
}

/// Which cache.
#[derive(Clone, Debug)]
pub enum CacheUrl {
    /// `memory:`
    Memory,
    /// `redis:` …
    Redis(RedisAddress),
}

/// The cache and how it is used.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// `CACHE_URL`; its password may come from `CACHE_PASSWORD`.
    pub url: CacheUrl,
    /// `CACHE_TTL`: how long an entry lives.
    pub time_to_live: Duration,
    /// `CACHE_DEADLINE`: what one call to Redis may take; a cache that is slower than that is of no use.
    pub deadline: Duration,
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
    /// `DATABASE_…`
    pub database: Database,
    /// `CACHE_…`
    pub cache: CacheSettings,
    /// `LOKI_URL`: where logs are pushed to, besides standard output.
    pub loki: Option<String>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where spans are pushed to.
    pub otlp: Option<String>,
    /// `OTEL_TRACES_SAMPLER_ARG`: the share of new traces that is recorded; callers decide about theirs.
    pub trace_share: f64,
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
    /// `PROBE_DEADLINE`: what a question to the database may take while a readiness probe waits.
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
            database: source.database()?,
            cache: source.cache()?,
            loki: source.optional("LOKI_URL", parse_http)?,
            otlp: source.optional("OTEL_EXPORTER_OTLP_ENDPOINT", parse_http)?,
            trace_share: source.read("OTEL_TRACES_SAMPLER_ARG", "1", parse_share)?,
            environment: source.read("ENVIRONMENT", "development", |text| Ok(text.to_owned()))?,
            log_level: source.read("LOG_LEVEL", "info", Level::parse)?,
            faults,
            sabotage: if faults == FaultSwitches::Enabled { sabotage } else { Sabotage::default() },
            instrumentation: source.read("INVENTORY_INSTRUMENTATION", "on", parse_instrumentation)?,
            request_deadline: source.read("REQUEST_DEADLINE", "1500ms", parse_duration)?,
            query_deadline: source.read("QUERY_DEADLINE", "1s", parse_duration)?,
            probe_deadline: source.read("PROBE_DEADLINE", "250ms", parse_duration)?,
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

    fn database(&self) -> Result<Database, ConfigError> {
        let password = self.text("DATABASE_PASSWORD")?;
        Ok(Database {
            url: self.read("DATABASE_URL", "sqlite::memory:", |text| parse_database(text, password.as_deref()))?,
            max_connections: self.read("DATABASE_MAX_CONNECTIONS", "16", |text| {
                parse_count(text).and_then(|count| u32::try_from(count).map_err(|_| "expected fewer".to_owned()))
            })?,
            migration: self.read("DATABASE_MIGRATE", "auto", parse_migration)?,
        })
    }

    fn cache(&self) -> Result<CacheSettings, ConfigError> {
        let password = self.text("CACHE_PASSWORD")?;
        Ok(CacheSettings {
            url: self.read("CACHE_URL", "memory:", |text| parse_cache(text, password.as_deref()))?,
            time_to_live: self.read("CACHE_TTL", "30s", parse_duration)?,
            deadline: self.read("CACHE_DEADLINE", "250ms", parse_duration)?,
        })
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and port such as 127.0.0.1:8080".to_owned())
}

fn parse_database(text: &str, password: Option<&str>) -> Result<DatabaseUrl, String> {
    match text.split_once(':') {
        Some(("sqlite", rest)) => Ok(DatabaseUrl::Sqlite(parse_sqlite(rest))),
        Some(("postgres" | "postgresql", rest)) => parse_postgres(text, rest, password),
        _ => Err("expected sqlite://<path>, sqlite::memory: or postgres://<user>@<host>/<database>".to_owned()),
    }
}

fn parse_sqlite(rest: &str) -> SqlitePlace {
    match rest.strip_prefix("//").unwrap_or(rest) {
        ":memory:" | "" => SqlitePlace::Memory,
        path => SqlitePlace::File(PathBuf::from(path)),
    }
}

/// Asks for a user, because the driver would make one up.
fn parse_postgres(text: &str, rest: &str, password: Option<&str>) -> Result<DatabaseUrl, String> {
    let authority = rest.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
    if !authority.rsplit_once('@').is_some_and(|(user, _)| !user.is_empty() && !user.starts_with(':')) {
        return Err("expected a user: postgres://<user>@<host>/<database>".to_owned());
    }
    let options: PgConnectOptions = text
        .parse()
        .map_err(|_| "not an address of PostgreSQL: expected postgres://<user>@<host>:<port>/<database>".to_owned())?;
    let options = password.map_or(options.clone(), |password| options.password(password));
    Ok(DatabaseUrl::Postgres(PostgresAddress(Box::new(options))))
}

fn parse_migration(text: &str) -> Result<Migration, String> {
    match text {
        "auto" => Ok(Migration::Auto),
        "off" => Ok(Migration::Off),
        "only" => Ok(Migration::Only),
        _ => Err("expected auto, off or only".to_owned()),
    }
}

fn parse_cache(text: &str, password: Option<&str>) -> Result<CacheUrl, String> {
    if matches!(text, "memory:" | "memory") {
        return Ok(CacheUrl::Memory);
    }
    let info = text.strip_prefix("redis://").and_then(|_| text.into_connection_info().ok());
    let info = info.ok_or("expected memory: or redis://<host>:<port>/<number>; this service is built without TLS")?;
    let settings = info.redis_settings().clone();
    let settings = password.map_or(settings.clone(), |password| settings.set_password(password));
    Ok(CacheUrl::Redis(RedisAddress(info.set_redis_settings(settings))))
}

fn parse_http(text: &str) -> Result<String, String> {
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

fn parse_share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected a number from 0 to 1".to_owned())
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
        assert!(matches!(settings.database.url, DatabaseUrl::Sqlite(SqlitePlace::Memory)));
        assert!(matches!(settings.cache.url, CacheUrl::Memory));
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
        let DatabaseUrl::Sqlite(SqlitePlace::File(path)) = settings.database.url else { panic!("not a file") };
        assert_eq!(path, PathBuf::from("/tmp/a.db"));
    }

    #[test]
    fn passwords_come_from_their_own_variables_and_are_never_printed() {
        let settings = settings(&[
            ("DATABASE_URL", "postgres://inventory@db:5433/stock"),
            ("DATABASE_PASSWORD", "hunter2"),
            ("CACHE_URL", "redis://:hunter2@cache:6380/1"),
        ]);
        let settings = settings.unwrap();
        let printed = format!("{settings:?}");
        assert!(
            printed.contains("db:5433/stock") && printed.contains("cache:6380") && !printed.contains("hunter2"),
            "{printed}"
        );
    }

    #[test]
    fn an_address_without_a_user_is_refused() {
        for url in ["postgres://db/stock", "postgres://:secret@db/stock", "postgres://@db/stock"] {
            assert!(settings(&[("DATABASE_URL", url)]).is_err(), "{url}");
        }
        assert!(settings(&[("CACHE_URL", "rediss://cache")]).is_err());
    }
}
