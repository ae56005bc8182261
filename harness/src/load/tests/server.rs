//! A server on a free loopback port whose behaviour the test chooses request by request, and which keeps its own count.
//! One blocking thread a connection, so that its delays are precise.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::{Reach, Target};
use crate::clock;

/// How to answer a request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) delay: Duration,
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
    pub(crate) then: Then,
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Keep,
    /// Closed without having said so.
    Close,
    /// Closed instead of answering.
    Hang,
}

impl Reply {
    pub(crate) fn ok() -> Self {
        Self::status(200)
    }

    pub(crate) fn status(status: u16) -> Self {
        let (headers, body) = (String::new(), "{\"quantity\":3}".to_owned());
        Self { delay: Duration::ZERO, status, headers, body, then: Then::Keep }
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// From 0, over all connections.
    pub(crate) number: u64,
    pub(crate) line: String,
    pub(crate) id: Option<String>,
    pub(crate) body: String,
    /// Since the server's first request.
    pub(crate) at: Duration,
}

#[derive(Debug)]
pub(crate) struct Server {
    address: String,
    pub(crate) counts: Arc<Counts>,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    received: AtomicU64,
    connections: AtomicU64,
    first: std::sync::OnceLock<Instant>,
    by_status: Mutex<BTreeMap<u16, u64>>,
    seen: Mutex<Vec<Seen>>,
    took: Mutex<Vec<Duration>>,
}

impl Counts {
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn by_status(&self) -> BTreeMap<u16, u64> {
        self.by_status.lock().unwrap().clone()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The server's own view of how long it took, by quantile.
    pub(crate) fn took(&self, quantile: f64) -> Duration {
        let mut took = self.took.lock().unwrap().clone();
        took.sort();
        took[((took.len() as f64 * quantile).ceil() as usize).clamp(1, took.len()) - 1]
    }
}

impl Server {
    pub(crate) fn start(behave: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let counts = Arc::new(Counts::default());
        let (behave, shared) = (Arc::new(behave), Arc::clone(&counts));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (behave, counts) = (Arc::clone(&behave), Arc::clone(&shared));
                counts.connections.fetch_add(1, Ordering::SeqCst);
                // a client that goes away ends its thread
                std::thread::spawn(move || drop(serve(stream.unwrap(), &*behave, &counts)));
            }
        });
        Self { address, counts }
    }

    pub(crate) fn target(&self) -> Target {
        Target::resolve(&format!("http://{}", self.address), Reach::Loopback).unwrap()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

fn serve(mut stream: TcpStream, behave: &dyn Fn(&Seen) -> Reply, counts: &Counts) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut line, mut id, mut length) = (String::new(), None, 0);
        reader.read_line(&mut line)?;
        let begun = clock::instant();
        if line.is_empty() {
            return Ok(());
        }
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            match header.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("x-request-id", value)) => id = Some(value.to_owned()),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let number = counts.received.fetch_add(1, Ordering::SeqCst);
        let at = begun.duration_since(*counts.first.get_or_init(|| begun));
        let seen = Seen { number, line: line.trim_end().to_owned(), id, body: String::from_utf8(body).unwrap(), at };
        let reply = behave(&seen);
        counts.seen.lock().unwrap().push(seen);
        *counts.by_status.lock().unwrap().entry(reply.status).or_insert(0) += 1;
        if !reply.delay.is_zero() {
            clock::sleep(reply.delay.saturating_sub(clock::instant().duration_since(begun)));
        }
        counts.took.lock().unwrap().push(clock::instant().duration_since(begun));
        if reply.then == Then::Hang {
            return stream.shutdown(Shutdown::Both);
        }
        let Reply { status, headers, body, .. } = reply;
        let length = body.len();
        stream
            .write_all(format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}").as_bytes())?;
        if reply.then == Then::Close {
            return stream.shutdown(Shutdown::Both);
        }
    }
}
