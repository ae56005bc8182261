//! The throw-away Prometheus: started for a replay, filled by remote write, asked, and gone. It scrapes nothing, evaluates
//! no rule and sends nothing.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::clock;
use crate::plan::scale::duration;
use crate::stack::port::{self, PortLease};
use crate::stack::process::RUN_MARK;
use crate::stack::session::Session;
use crate::telemetry::http::Settings;
use crate::telemetry::prometheus::Prometheus;

/// How long it may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// One block for everything: samples that are older than others are still taken (half a block back).
const BLOCK: &str = "60d";

/// Servers started so far.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file or a port.
    #[error("prepare a throw-away Prometheus: {0}")]
    Prepare(#[from] std::io::Error),
    /// The program does not start.
    #[error("start {program}: {source}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It starts and is not ready.
    #[error("wait for {program} to be ready: {message}\n{log}")]
    NotReady {
        /// The program.
        program: PathBuf,
        /// What was seen last.
        message: String,
        /// Its last lines.
        log: String,
    },
}

/// Where throw-away servers are started.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// The program.
    pub program: &'a PathBuf,
    /// The owner of what is created.
    pub session: &'a Session,
}

/// A server that runs.
pub struct Server {
    /// Its client.
    pub client: Prometheus,
    child: Child,
    _port: PortLease,
}

impl Host<'_> {
    /// Starts a server whose instant queries look back this far.
    ///
    /// # Errors
    /// When it cannot be started or is not ready in time.
    pub async fn start(&self, lookback: Duration) -> Result<Server, ServerError> {
        let port = port::lease()?;
        // ports are given out again, folders are not: what one server stored is nothing to the next
        let folder = self.session.folder().join(format!("replay-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&folder)?;
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n")?;
        let log = folder.join("log");
        let file = File::create(&log)?;
        let mut command = Command::new(self.program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={}", port.address()))
            .arg("--web.enable-remote-write-receiver")
            .arg(format!("--storage.tsdb.min-block-duration={BLOCK}"))
            .arg(format!("--storage.tsdb.max-block-duration={BLOCK}"))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--query.lookback-delta={}", duration::print(lookback)))
            .env(RUN_MARK, self.session.run())
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true);
        let started = command.spawn();
        let child = started.map_err(|source| ServerError::Start { program: self.program.clone(), source })?;
        let settings = Settings { deadline: DEADLINE, limit: 1 << 30, ..Settings::default() };
        let client = Prometheus::new(&format!("http://{}", port.address()), settings)
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        let mut server = Server { client, child, _port: port };
        match server.ready().await {
            Ok(()) => Ok(server),
            Err(message) => {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let log = lines[lines.len().saturating_sub(8)..].join("\n");
                Err(ServerError::NotReady { program: self.program.clone(), message, log })
            }
        }
    }
}

impl Server {
    async fn ready(&mut self) -> Result<(), String> {
        let begun = clock::instant();
        loop {
            let last = match self.client.ready().await {
                Ok(()) => return Ok(()),
                Err(error) => error.to_string(),
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended with {status}"));
            }
            if clock::instant().duration_since(begun) > PATIENCE {
                return Err(last);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it; its data lie in the session's folder and go with that.
    pub async fn stop(mut self) {
        // a server that is gone already is what is wanted
        drop(self.child.kill().await);
    }
}
