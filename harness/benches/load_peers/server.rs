//! The server that all generators meet: one thread, 27 bytes of JSON, its own count.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Anyhow;

const BODY: &str = "{\"sku\":\"A-1\",\"quantity\":10}";

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Behaviour {
    /// It answers nothing for so long, from 2 s after the first request.
    pub(crate) stall: Duration,
    /// Every answer takes so long.
    pub(crate) delay: Duration,
}

/// The server as a process of its own.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(behaviour: Behaviour) -> Anyhow<Self> {
        let words = [behaviour.stall, behaviour.delay].map(|duration| duration.as_millis().to_string());
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(std::env::current_exe()?).arg("serve").args(words);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("the server has no output")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse()? })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many it has received.
    pub(crate) fn requests(&self) -> Anyhow<u64> {
        let mut stream = std::net::TcpStream::connect(self.address)?;
        std::io::Write::write_all(&mut stream, b"COUNT\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One thread; answers every head with 27 bytes of JSON, and `COUNT` with how many there were.
pub(crate) fn serve(behaviour: Behaviour) -> Anyhow<()> {
    crate::ours::runtime()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (count, mut first) = (Arc::new(AtomicU64::new(0)), None);
        loop {
            let (stream, _) = listener.accept().await?;
            let first = *first.get_or_insert_with(clock::instant);
            let stalled = (first + Duration::from_secs(2), first + Duration::from_secs(2) + behaviour.stall);
            let count = Arc::clone(&count);
            tokio::spawn(async move { drop(answer(stream, &count, stalled, behaviour.delay).await) });
        }
    })
}

async fn answer(
    mut stream: TcpStream,
    count: &AtomicU64,
    stalled: (Instant, Instant),
    delay: Duration,
) -> std::io::Result<()> {
    let reply =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    loop {
        while !buffer.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        if buffer.starts_with(b"COUNT") {
            return stream.write_all(count.load(Ordering::SeqCst).to_string().as_bytes()).await;
        }
        buffer.clear();
        count.fetch_add(1, Ordering::SeqCst);
        let now = clock::instant();
        if stalled.0 <= now && now < stalled.1 {
            tokio::time::sleep_until(stalled.1.into()).await;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        stream.write_all(reply.as_bytes()).await?;
    }
}
