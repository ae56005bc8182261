//! Knocks at an inbox from outside, over its own port and path: the proof that a message would have been taken, without
//! which "nothing came" says nothing. Leaves no message behind.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, Behaviour, Inbox, Kind};

/// An inbox that needs longer than this to open takes no messages either.
const PATIENCE: Duration = Duration::from_secs(2);

impl Inbox {
    /// Knocks at every integration of a receiver, as a sender would: over its port, at its path.
    ///
    /// # Errors
    /// In words, why one of them does not take messages now.
    pub async fn opens(&self, receiver: &str) -> Result<(), String> {
        match self.behaviour(receiver) {
            Behaviour::Accept | Behaviour::Answer(Answer { messages: Some(0), .. } | Answer { status: None, .. }) => {}
            Behaviour::Answer(Answer { status: Some(status), .. }) => return Err(format!("it answers {status}")),
            Behaviour::Hang => return Err("it never answers".to_owned()),
            Behaviour::Dead => return Err("it refuses connections".to_owned()),
        }
        let addresses: Vec<(Kind, String)> = {
            let desk = self.shared.desk();
            let own = desk.addresses.iter().filter(|(slot, _)| slot.receiver == receiver);
            own.map(|(slot, address)| (slot.kind, address.clone())).collect()
        };
        if addresses.is_empty() {
            return Err("it has no integration".to_owned());
        }
        for (kind, address) in addresses {
            let knocking = async {
                if kind == Kind::Email { knock_at_mail(&address).await } else { knock_at_http(&address).await }
            };
            match timeout(PATIENCE, knocking).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(format!("{}: {error}", kind.name())),
                Err(_) => return Err(format!("{} did not answer within {PATIENCE:?}", kind.name())),
            }
        }
        Ok(())
    }
}

async fn knock_at_http(url: &str) -> std::io::Result<()> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = format!("HEAD {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    expect_line(TcpStream::connect(host).await?, &request, "HTTP/1.1 200").await
}

async fn knock_at_mail(address: &str) -> std::io::Result<()> {
    expect_line(TcpStream::connect(address).await?, "QUIT\r\n", "220").await
}

async fn expect_line(stream: TcpStream, request: &str, expected: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    if line.starts_with(expected) {
        return Ok(());
    }
    Err(std::io::Error::other(format!("it answered `{}`", line.trim_end())))
}
