//! A server on a real port that answers what a test tells it to, byte by byte. For the tests of the clients.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Method and target, for example `GET /api/v1/rules`, percent-decoded.
    pub(crate) line: String,
    /// All header lines.
    pub(crate) head: String,
    /// The body, percent-decoded.
    pub(crate) body: String,
}

/// The server; it ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers request `n` (from 0) with the bytes `answer` gives, then closes; `None` means never.
    pub(crate) async fn raw(answer: impl Fn(usize, &Asked) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&answer)));
            }
        });
        Self { url, asked }
    }

    /// Answers every request with this status and body.
    pub(crate) async fn always(status: u16, body: &str) -> Self {
        let bytes = response(status, "", body);
        Self::raw(move |_, _| Some(bytes.clone())).await
    }

    /// Answers 200 with a body that depends on the request.
    pub(crate) async fn answering(body: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        Self::raw(move |_, asked| Some(response(200, "", &body(asked)))).await
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// A complete response; `headers` are whole lines.
pub(crate) fn response(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

async fn serve(
    mut stream: TcpStream,
    log: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<impl Fn(usize, &Asked) -> Option<Vec<u8>> + Send + Sync>,
) {
    let Some(asked) = read(&mut stream).await else { return };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.len() - 1
    };
    match answer(number, &asked) {
        Some(bytes) => {
            stream.write_all(&bytes).await.unwrap_or_default();
            stream.shutdown().await.unwrap_or_default();
        }
        None => std::future::pending().await,
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let (head, body_start) = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break (String::from_utf8_lossy(&bytes[..end]).into_owned(), end + 4);
        }
    };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < body_start + length.unwrap_or(0) {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let line = head.lines().next()?.trim_end_matches(" HTTP/1.1");
    let body = decode(&String::from_utf8_lossy(&bytes[body_start..]));
    Some(Asked { line: decode(line), head, body })
}

/// Percent-decoding of targets and forms.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let hex = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
                tail
            }
            (b'+', tail) => {
                bytes.push(b' ');
                tail
            }
            (other, tail) => {
                bytes.push(*other);
                tail
            }
        };
    }
    String::from_utf8(bytes).unwrap()
}
