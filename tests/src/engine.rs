//! The container engine as a test sees it: a few plain HTTP questions over its socket, none of them through the harness.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    let answered = exchange(&socket(), method, path, body);
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
    let filter = format!("%7B%22label%22%3A%5B%22harness.run%3D{run}%22%5D%7D");
    let ids = |answer: &Value, key: &str| {
        let items = answer.as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| Some(item.get(key)?.as_str()?.to_owned())).collect::<Vec<_>>()
    };
    let networks = ask("GET", &format!("/networks?filters={filter}"), None).1;
    let subnets = networks
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|network| network.pointer("/IPAM/Config/0/Subnet").and_then(Value::as_str).map(str::to_owned));
    Belongings {
        containers: ids(&ask("GET", &format!("/containers/json?all=true&filters={filter}"), None).1, "Id"),
        subnets: subnets.collect(),
        networks: ids(&networks, "Id"),
        volumes: ids(&ask("GET", &format!("/volumes?filters={filter}"), None).1["Volumes"], "Name"),
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
