//! Real servers to test against, started from the binaries on this machine; `TEST_POSTGRES_URL` names a PostgreSQL whose user
//! may create databases instead. A shell holds each process, and ends it and removes its data when the test's end of a pipe
//! closes, however the test ends. Where there is neither, the build ignores the tests and says so.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::support::eventually;

/// Nobody, who has no name on every machine but this number on most.
const NOBODY: u32 = 65_534;
const PASSWORD: &str = "only-for-tests";

/// A process that ends when this is dropped, or when the test's process ends.
pub(crate) struct Server {
    child: Child,
    _leash: Option<ChildStdin>,
    folder: PathBuf,
}

impl Server {
    /// Starts `program`; its process id is written to `pid` in `folder`.
    fn start(folder: &Path, program: &Path, arguments: &[&OsStr]) -> Self {
        // What a shell starts in the background ignores SIGQUIT unless it has a handler of its own, as PostgreSQL has.
        let script = r#"folder=$1; shift; "$@" >"$folder/log" 2>&1 & child=$!; echo $child >"$folder/pid"; cat >/dev/null; kill -QUIT $child 2>/dev/null; kill -TERM $child 2>/dev/null; wait $child; [ -e "$folder/keep" ] || rm -rf "$folder""#;
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg("sh").arg(folder).arg(program).args(arguments).current_dir(folder);
        as_nobody(&mut command);
        drop(std::fs::remove_file(folder.join("pid")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let leash = child.stdin.take();
        Self { child, _leash: leash, folder: folder.to_owned() }
    }

    /// Whether the server has ended by itself.
    fn has_ended(&self) -> bool {
        let pid = std::fs::read_to_string(self.folder.join("pid")).unwrap_or_default();
        if pid.is_empty() {
            return false;
        }
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    }

    /// Kills the server itself, as the kernel would.
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.join("pid")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self._leash.take());
        drop(self.child.wait());
    }
}

fn as_nobody(command: &mut Command) {
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

fn folder_of_nobody() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    folder
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = Path::new("/usr/lib/postgresql")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    let mut folders = std::env::split_paths(&path).chain(debian);
    let found = folders.find_map(|folder| Some(folder.join(program)).filter(|program| program.is_file()));
    found.unwrap_or_else(|| panic!("{program} is not on this machine any more; build again"))
}

impl Login {
    fn option(self) -> &'static str {
        match self {
            Self::Password => "--auth=scram-sha-256",
            Self::Trust => "--auth=trust",
        }
    }
}

/// A PostgreSQL of one's own.
pub(crate) struct Postgres {
    server: Option<Server>,
    folder: TempDir,
    port: u16,
}

/// How a PostgreSQL knows its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// By their passwords; every connection costs both sides some milliseconds of arithmetic.
    Password,
    /// It believes them.
    Trust,
}

impl Postgres {
    pub(crate) async fn start(login: Login) -> Self {
        let folder = folder_of_nobody();
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let mut command = Command::new(find("initdb"));
        command.arg("-D").arg(folder.path().join("data")).args([
            "-U",
            "admin",
            login.option(),
            "--no-sync",
            "--locale=C",
            "-E",
            "UTF8",
        ]);
        command.arg("--pwfile").arg(&password).current_dir(folder.path());
        as_nobody(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut postgres = Self { server: None, folder, port: free_port() };
        postgres.run().await;
        postgres
    }

    /// Starts the server on its data, and waits until it answers; as long as children of a killed server are about, the new
    /// one gives up, and is started again.
    pub(crate) async fn run(&mut self) {
        let url = self.admin_url();
        self.launch();
        eventually("postgres", async || {
            if self.server.as_ref().is_some_and(Server::has_ended) {
                self.launch();
            }
            connect(&url).await.ok().map(drop)
        })
        .await;
    }

    fn launch(&mut self) {
        let data = self.folder.path().join("data");
        let port = self.port.to_string();
        let own = ["-D".as_ref(), data.as_os_str(), "-p".as_ref(), port.as_ref()];
        let arguments: Vec<&OsStr> = own.into_iter().chain(SETTINGS.iter().map(AsRef::as_ref)).collect();
        let keep = self.folder.path().join("keep");
        std::fs::write(&keep, "").unwrap();
        drop(self.server.take());
        std::fs::remove_file(&keep).unwrap();
        self.server = Some(Server::start(self.folder.path(), &find("postgres"), &arguments));
    }

    /// Kills its first process; the others notice.
    pub(crate) fn kill(&self) {
        self.server.as_ref().unwrap().kill();
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("postgres://admin:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }
}

const SETTINGS: [&str; 10] = [
    "-c",
    "listen_addresses=127.0.0.1",
    "-c",
    "unix_socket_directories=",
    "-c",
    "shared_buffers=16MB",
    "-c",
    "max_connections=200",
    "-c",
    "fsync=off",
];

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    url.parse::<PgConnectOptions>().unwrap().disable_statement_logging().connect().await
}

/// Runs statements that no user has written.
pub(crate) async fn execute(url: &str, sql: String) {
    let mut connection = connect(url).await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

/// How many sessions a database has, but for the one that asks.
pub(crate) async fn sessions(url: &str) -> i64 {
    let mut connection = connect(url).await.unwrap();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count
}

/// An empty database, in a server that all tests of this process share.
pub(crate) async fn database() -> String {
    static SHARED: OnceCell<Option<Postgres>> = OnceCell::const_new();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let named = std::env::var("TEST_POSTGRES_URL").ok();
    let shared = SHARED
        .get_or_init(|| async { if named.is_some() { None } else { Some(Postgres::start(Login::Trust).await) } })
        .await;
    let admin = named.unwrap_or_else(|| shared.as_ref().unwrap().admin_url());
    let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    execute(&admin, format!("CREATE DATABASE {name}")).await;
    with_database(&admin, &name)
}

/// The same server, another database.
pub(crate) fn with_database(url: &str, name: &str) -> String {
    format!("{}/{name}", url.rsplit_once('/').unwrap().0)
}

/// The host and port of an address.
pub(crate) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    let authority = rest.split('/').next().unwrap();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// A Redis of one's own.
pub(crate) struct Redis {
    server: Option<Server>,
    folder: TempDir,
    port: u16,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        let mut redis = Self { server: None, folder: folder_of_nobody(), port: free_port() };
        redis.run().await;
        redis
    }

    pub(crate) async fn run(&mut self) {
        let port = self.port.to_string();
        let arguments =
            ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--requirepass", PASSWORD];
        self.server = Some(Server::start(self.folder.path(), &find("redis-server"), &arguments.map(AsRef::as_ref)));
        eventually("redis", async || self.connection().await.ok().map(drop)).await;
    }

    pub(crate) fn kill(&mut self) {
        self.server.as_ref().unwrap().kill();
        std::fs::write(self.folder.path().join("keep"), "").unwrap();
        self.server = None;
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}/0", self.port)
    }

    pub(crate) async fn connection(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let mut connection = redis::Client::open(self.url())?.get_multiplexed_async_connection().await?;
        let () = redis::cmd("PING").query_async(&mut connection).await?;
        Ok(connection)
    }
}
