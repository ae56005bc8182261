//! Probes for faults on processes: what the kernel or the engine says of them, and what a peer sees from outside.

use std::time::Duration;

use super::{Probe, ProcessAction};

/// How long a healthy component may take to answer a probe.
const PATIENCE: Duration = Duration::from_millis(400);

/// What whoever runs a component says of it: the kernel for a process, the engine for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It runs; in words, whatever else.
    Runs(String),
    /// It is halted; what shows it.
    Halted(String),
    /// It is gone; what shows it.
    Gone(String),
}

/// Whether a component that should be killed, stopped or paused is so: by what whoever runs it says, and by its own readiness
/// URL from outside (`peer`), which must not answer.
pub async fn probe(action: ProcessAction, seen: Seen, peer: Option<&str>) -> Probe {
    let (bites, state) = match (action, seen) {
        (ProcessAction::Pause, Seen::Halted(text)) | (_, Seen::Gone(text)) => (true, text),
        (_, Seen::Halted(text) | Seen::Runs(text)) => (false, text),
    };
    let Some(peer) = peer else {
        return if bites { Probe::Bites(state) } else { Probe::Absent(state) };
    };
    match (bites, answers(peer).await) {
        (true, Err(seen)) => Probe::Bites(format!("{state}; {seen}")),
        (false, Ok(seen)) => Probe::Absent(format!("{state}; {seen}")),
        (true, Ok(seen)) | (false, Err(seen)) => Probe::Disputed(format!("{state}, yet {seen}")),
    }
}

/// Asks a URL once: what it answered, or why nobody did.
async fn answers(url: &str) -> Result<String, String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .map_err(|error| format!("no client could be made: {error}"))?;
    match client.get(url).send().await {
        Ok(answer) => Ok(format!("{url} answers {}", answer.status().as_u16())),
        Err(error) if error.is_timeout() => Err(format!("{url} does not answer within {PATIENCE:?}")),
        Err(error) if error.is_connect() => Err(format!("{url} refuses connections")),
        Err(error) => Err(format!("{url} breaks off: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> Seen {
        Seen::Runs("runs".to_owned())
    }

    fn gone() -> Seen {
        Seen::Gone("gone".to_owned())
    }

    #[tokio::test]
    async fn a_living_process_is_not_taken_for_a_dead_or_a_halted_one() {
        assert!(!probe(ProcessAction::Kill, runs(), None).await.bites());
        assert!(!probe(ProcessAction::Pause, runs(), None).await.bites());
        assert!(!probe(ProcessAction::Kill, Seen::Halted("halted".to_owned()), None).await.bites());
        assert!(probe(ProcessAction::Kill, gone(), None).await.bites());
        assert!(probe(ProcessAction::Pause, Seen::Halted("halted".to_owned()), None).await.bites());
    }

    #[tokio::test]
    async fn a_dead_process_whose_port_still_answers_is_no_proof() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(peer.read(&mut request).await.unwrap() > 0);
            peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            peer
        });
        let seen = probe(ProcessAction::Kill, gone(), Some(&url)).await;
        assert!(!seen.bites() && !seen.is_absent(), "{seen:?}");
        drop(server.await.unwrap());
        assert!(probe(ProcessAction::Kill, gone(), Some(&url)).await.bites(), "now nobody listens");
        let deaf = probe(ProcessAction::Pause, runs(), Some(&url)).await;
        assert!(!deaf.bites() && !deaf.is_absent(), "it runs, yet nobody listens: {deaf:?}");
    }
}
