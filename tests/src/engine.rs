//! The container engine as a test sees it: a few plain HTTP questions over its socket, none of them through the harness.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Where the engine listens on this machine.
#[must_use]
pub fn socket() -> PathBuf {
    let named = std::env::var("DOCKER_HOST").ok();
    let named = named.as_deref().and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from("/var/run/docker.sock"))
}

/// Whether an engine answers; a test that needs one says aloud when it is left out.
///
/// # Panics
/// When there is none although `HARNESS_TEST_ENGINE=required` is set, as in CI.
#[must_use]
pub fn there_is_one(test: &str) -> bool {
    let there = UnixStream::connect(socket()).is_ok() && ask("GET", "/_ping", None).0 == 200;
    let required = std::env::var("HARNESS_TEST_ENGINE").is_ok_and(|value| value == "required");
    assert!(there || !required, "{test} needs a container engine at {}", socket().display());
    if !there {
        let mut err = std::io::stderr().lock();
        drop(writeln!(err, "SKIPPED: {test}: no container engine at {}", socket().display()));
    }
    there
}

/// Asks the engine; its status and its answer.
///
/// # Panics
/// When it does not answer.
#[must_use]
pub fn ask(method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    ask_at(&socket(), method, path, body)
}

fn ask_at(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let answered = exchange(socket, method, path, body);
    let answer = answered.unwrap_or_else(|error| panic!("the engine answers {method} {path}: {error}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// HTTP/1.0, so that the answer's end is the connection's.
fn exchange(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let body = body.map(ToString::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What the engine has with the label `harness.run=<run>`: ids of containers, also ended ones, of networks, of volumes.
#[must_use]
pub fn of_run(run: &str) -> Belongings {
    of_run_at(&socket(), run)
}

/// The same of the engine that listens at `socket`.
#[must_use]
pub fn of_run_at(socket: &Path, run: &str) -> Belongings {
    let get = |path: &str| ask_at(socket, "GET", path, None).1;
    let filter = format!("%7B%22label%22%3A%5B%22harness.run%3D{run}%22%5D%7D");
    let ids = |answer: &Value, key: &str| {
        let items = answer.as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| Some(item.get(key)?.as_str()?.to_owned())).collect::<Vec<_>>()
    };
    let networks = get(&format!("/networks?filters={filter}"));
    let subnets = networks
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|network| network.pointer("/IPAM/Config/0/Subnet").and_then(Value::as_str).map(str::to_owned));
    Belongings {
        containers: ids(&get(&format!("/containers/json?all=true&filters={filter}")), "Id"),
        subnets: subnets.collect(),
        networks: ids(&networks, "Id"),
        volumes: ids(&get(&format!("/volumes?filters={filter}"))["Volumes"], "Name"),
    }
}

/// What an engine has of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belongings {
    /// Containers, by id.
    pub containers: Vec<String>,
    /// Networks, by id.
    pub networks: Vec<String>,
    /// Their subnets.
    pub subnets: Vec<String>,
    /// Volumes, by name.
    pub volumes: Vec<String>,
}

impl Belongings {
    /// The names of the networks' bridges on this machine.
    #[must_use]
    pub fn bridges(&self) -> Vec<String> {
        self.networks.iter().map(|id| format!("br-{}", &id[..12.min(id.len())])).collect()
    }
}

/// A container and a network that are called almost like a run's, and belong to somebody else. Removed when dropped.
#[derive(Debug)]
pub struct Bystander {
    container: String,
    network: String,
}

impl Bystander {
    /// Creates both.
    ///
    /// # Panics
    /// When the engine refuses.
    #[must_use]
    pub fn of(run: &str) -> Self {
        let name = format!("harness-{run}-doomed-bystander");
        let labels = serde_json::json!({ "harness.run": format!("{run}0"), "harness.component": "echo" });
        let images = ask("GET", "/images/json", None).1;
        let image = images.pointer("/0/Id").and_then(Value::as_str).expect("the engine has an image");
        let container = serde_json::json!({ "Image": image, "Cmd": ["/nothing"], "Labels": labels });
        let (status, answer) = ask("POST", &format!("/containers/create?name={name}"), Some(&container));
        assert_eq!(status, 201, "{answer}");
        let network = serde_json::json!({ "Name": name, "Labels": labels });
        let (status, answer) = ask("POST", "/networks/create", Some(&network));
        assert_eq!(status, 201, "{answer}");
        Self { container: name.clone(), network: name }
    }

    /// Whether both are still there.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        ask("GET", &format!("/containers/{}/json", self.container), None).0 == 200
            && ask("GET", &format!("/networks/{}", self.network), None).0 == 200
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = ask("DELETE", &format!("/containers/{}?force=true", self.container), None);
        let _ = ask("DELETE", &format!("/networks/{}", self.network), None);
    }
}

/// An engine of a test's own, which it can end and start again without harming anybody. Ended when dropped.
#[derive(Debug)]
pub struct Private {
    folder: tempfile::TempDir,
    daemon: Child,
}

impl Private {
    /// Whether one can be started: it takes root and the daemon's program. A test that needs one says aloud when it is left
    /// out.
    #[must_use]
    pub fn can_be(test: &str) -> bool {
        let version = Command::new("dockerd").arg("--version").stdout(Stdio::null()).status();
        let there = rustix::process::getuid().is_root() && version.is_ok_and(|status| status.success());
        if !there {
            let mut err = std::io::stderr().lock();
            drop(writeln!(err, "SKIPPED: {test}: a daemon of its own takes root and the program dockerd"));
        }
        there
    }

    /// Starts one without images, bridges and packet rules.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(folder.path().join("daemon.json"), "{}").expect("the folder can be written");
        let daemon = daemon(folder.path());
        let engine = Self { folder, daemon };
        engine.answers().await;
        engine
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// The same, as the value of `DOCKER_HOST`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Ends it as a service manager does, with all its containers, and starts it again on the same data.
    ///
    /// # Panics
    /// When it does not end or start.
    pub async fn restart(&mut self) {
        self.end();
        self.daemon = daemon(self.folder.path());
        self.answers().await;
    }

    fn end(&mut self) {
        let pid = i32::try_from(self.daemon.id()).ok().and_then(Pid::from_raw).expect("a pid is positive");
        kill_process(pid, Signal::TERM).expect("it is our own child");
        self.daemon.wait().expect("it can be waited for");
    }

    async fn answers(&self) {
        let socket = self.socket();
        let pong = || UnixStream::connect(&socket).is_ok() && ask_at(&socket, "GET", "/_ping", None).0 == 200;
        crate::eventually("the test's own engine answers", Duration::from_secs(60), pong).await;
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.end();
    }
}

fn daemon(folder: &Path) -> Child {
    let at = |name: &str| folder.join(name).display().to_string();
    let log = std::fs::File::create(folder.join("log")).expect("the folder can be written");
    Command::new("dockerd")
        .args(["--config-file", &at("daemon.json"), "--host", &format!("unix://{}", at("socket"))])
        .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
        .args(["--bridge", "none", "--iptables=false", "--ip6tables=false", "--storage-driver", "vfs"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("dockerd can be started")
}
