//! Readiness: conditions as data, asked until all of them hold, the component ends, or the one deadline is over.
//!
//! Fed with rendered conditions by a provider; the error carries the last answer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use regex::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::trust::{self, Access};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of an answer over TLS.
const LONGEST: usize = 16 << 20;
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A condition with every placeholder filled in.
#[derive(Clone, Debug)]
pub enum Condition {
    /// A URL answers with a status, and some text in its body.
    Http {
        /// The URL.
        url: String,
        /// The status.
        status: u16,
        /// The text.
        contains: Option<String>,
        /// How the harness is let in.
        access: Access,
    },
    /// An address accepts a connection and, if asked something, answers with some text first.
    Tcp {
        /// `host:port`.
        address: String,
        /// What is sent.
        send: Option<String>,
        /// What the answer starts with.
        expect: Option<String>,
    },
    /// A line of a log matches.
    Log {
        /// The expression.
        pattern: Regex,
        /// The files, and from which byte each is read.
        files: Vec<(PathBuf, u64)>,
    },
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, status, contains: None, .. } => write!(f, "{url} to answer {status}"),
            Self::Http { url, status, contains: Some(text), .. } => write!(f, "{url} to answer {status} with `{text}`"),
            Self::Tcp { address, expect: None, .. } => write!(f, "{address} to accept a connection"),
            Self::Tcp { address, expect: Some(text), .. } => {
                write!(f, "{address} to answer `{}`", text.escape_default())
            }
            Self::Log { pattern, .. } => write!(f, "a log line that matches `{pattern}`"),
        }
    }
}

impl Condition {
    /// Asks once.
    ///
    /// # Errors
    /// What was seen instead, in words.
    pub async fn check(&self, client: &reqwest::Client) -> Result<(), String> {
        let answer = async {
            match self {
                Self::Http { url, status, contains, access } => {
                    let (got, body) = http(client, url, access).await?;
                    judged(got, &body, *status, contains.as_deref())
                }
                Self::Tcp { address, send, expect } => tcp(address, send.as_deref(), expect.as_deref()).await,
                Self::Log { pattern, files } => log(pattern, files).await,
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
    }
}

/// The client that asks: no proxy, no redirects.
#[must_use]
pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without TLS has nothing to fail on")
}

/// Asks until every condition has held. Runs for ever: the caller holds the deadline and reads `last` when it is over.
pub(super) async fn wait(
    conditions: &[Condition],
    client: &reqwest::Client,
    last: &tokio::sync::watch::Sender<String>,
) {
    for condition in conditions {
        while let Err(answer) = condition.check(client).await {
            last.send_replace(format!("waited for {condition}; last answer: {answer}"));
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The status and the body.
async fn http(client: &reqwest::Client, url: &str, access: &Access) -> Result<(u16, String), String> {
    if let Some(trust) = access.trust.as_ref().filter(|_| url.starts_with("https://")) {
        let mut answer = trust::ask(trust, trust::question(url, &access.credentials)?).await?;
        let status = answer.response.status().as_u16();
        let body = Limited::new(answer.response.body_mut(), LONGEST).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        return Ok((status, String::from_utf8_lossy(&body).into_owned()));
    }
    let request = client.get(url);
    let request = access
        .credentials
        .header()
        .into_iter()
        .fold(request, |request, value| request.header(http::header::AUTHORIZATION, value));
    let response = request.send().await.map_err(|error| innermost(&error))?;
    let got = response.status().as_u16();
    let body = response.text().await.map_err(|error| innermost(&error))?;
    Ok((got, body))
}

fn judged(got: u16, body: &str, status: u16, contains: Option<&str>) -> Result<(), String> {
    let shown: String = body.trim().chars().take(200).collect();
    match contains {
        _ if got != status => Err(format!("status {got}: {shown}")),
        Some(text) if !body.contains(text) => Err(format!("status {got}, but without `{text}`: {shown}")),
        _ => Ok(()),
    }
}

/// The cause says more than the wrapper: `connection refused`, not `error sending request`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

async fn tcp(address: &str, send: Option<&str>, expect: Option<&str>) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).await.map_err(words)?;
    stream.write_all(send.unwrap_or_default().as_bytes()).await.map_err(words)?;
    let Some(expect) = expect else { return Ok(()) };
    let mut answer = vec![0; expect.len()];
    let mut seen = 0;
    while seen < answer.len() {
        match stream.read(&mut answer[seen..]).await.map_err(words)? {
            0 => break,
            more => seen += more,
        }
    }
    let answer = String::from_utf8_lossy(&answer[..seen]).into_owned();
    if answer == expect { Ok(()) } else { Err(format!("`{}`", answer.escape_default())) }
}

async fn log(pattern: &Regex, files: &[(PathBuf, u64)]) -> Result<(), String> {
    for (path, from) in files {
        let bytes = tokio::fs::read(path).await.unwrap_or_default();
        let fresh = bytes.get(usize::try_from(*from).unwrap_or(usize::MAX)..).unwrap_or_default();
        if String::from_utf8_lossy(fresh).lines().any(|line| pattern.is_match(line)) {
            return Ok(());
        }
    }
    Err("no such line".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_status_and_a_text_have_to_match() {
        let address = answering("HTTP/1.1 503 x\r\ncontent-length: 8\r\nconnection: close\r\n\r\nno table").await;
        let condition = |status, contains: Option<&str>| Condition::Http {
            url: format!("http://{address}/ready"),
            status,
            contains: contains.map(str::to_owned),
            access: Access::default(),
        };
        let client = client();
        assert_eq!(condition(200, None).check(&client).await, Err("status 503: no table".to_owned()));
        assert_eq!(condition(503, Some("table")).check(&client).await, Ok(()));
        assert!(condition(503, Some("chair")).check(&client).await.unwrap_err().contains("without `chair`"));
    }

    #[tokio::test]
    async fn a_protocol_answer_counts_not_the_connection() {
        let condition = |address: String, expect: &str| Condition::Tcp {
            address,
            send: Some("PING\r\n".to_owned()),
            expect: Some(expect.to_owned()),
        };
        let client = client();
        assert_eq!(condition(answering("+PONG\r\n").await, "+PONG").check(&client).await, Ok(()));
        let loading = condition(answering("-LOADING\r\n").await, "+PONG").check(&client).await;
        assert_eq!(loading, Err("`-LOAD`".to_owned()));
    }

    #[tokio::test]
    async fn a_refused_connection_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let condition = Condition::Http { url, status: 200, contains: None, access: Access::default() };
        let answer = condition.check(&client()).await;
        assert!(answer.unwrap_err().to_lowercase().contains("connection refused"));
    }

    #[tokio::test]
    async fn only_lines_after_the_start_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "ready\n").unwrap();
        let pattern = Regex::new("^ready$").unwrap();
        let check = |from| Condition::Log { pattern: pattern.clone(), files: vec![(path.clone(), from)] };
        assert_eq!(check(0).check(&client()).await, Ok(()));
        assert!(check(6).check(&client()).await.is_err());
    }
}
