//! Probes for faults on processes: what the kernel says of the process, and what a peer sees from outside.

use std::time::Duration;

use super::{Probe, ProcessAction};

/// How long a healthy component may take to answer a probe.
const PATIENCE: Duration = Duration::from_millis(400);

/// The state letter of a process (`R`, `S`, `D`, `T`, `Z` …) from `/proc/<pid>/stat`; none when there is no such process.
#[must_use]
pub fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a component that should be killed, stopped or paused is so: by its process state where the process is known,
/// and by its own readiness URL from outside (`peer`), which must not answer.
pub async fn probe(action: ProcessAction, pid: Option<u32>, peer: Option<&str>) -> Probe {
    let state = pid.and_then(state_of);
    let by_kernel = match (action, state) {
        (ProcessAction::Pause, Some('T' | 't')) => Probe::Bites("its process is stopped (state T)".to_owned()),
        (ProcessAction::Pause, Some(state)) => Probe::Absent(format!("its process runs (state {state})")),
        (_, None | Some('Z' | 'X')) => Probe::Bites("its process is gone".to_owned()),
        (_, Some(state)) => Probe::Absent(format!("its process lives (state {state})")),
    };
    let Some(peer) = peer else { return by_kernel };
    match (by_kernel, answers(peer).await) {
        (Probe::Bites(kernel), Err(seen)) => Probe::Bites(format!("{kernel}; {seen}")),
        (Probe::Bites(kernel), Ok(seen)) => Probe::Absent(format!("{kernel}, yet {seen}")),
        (Probe::Absent(kernel), Ok(seen)) => Probe::Absent(format!("{kernel}; {seen}")),
        (Probe::Absent(kernel), Err(seen)) => Probe::Bites(format!("{kernel}, yet {seen}")),
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

    #[tokio::test]
    async fn a_living_process_is_not_taken_for_a_dead_one() {
        let own = std::process::id();
        assert!(!probe(ProcessAction::Kill, Some(own), None).await.bites());
        assert!(!probe(ProcessAction::Pause, Some(own), None).await.bites());
        assert!(probe(ProcessAction::Kill, None, None).await.bites());
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
        let seen = probe(ProcessAction::Kill, None, Some(&url)).await;
        assert!(!seen.bites(), "{seen:?}");
        drop(server.await.unwrap());
        assert!(probe(ProcessAction::Kill, None, Some(&url)).await.bites(), "now nobody listens");
    }
}
