//! HTTP/2 with prior knowledge, one request at a time: the `h2` crate, polled by hand whenever the socket has something to
//! say, so that it needs no runtime beside the engine's epoll. Driven by `connection`.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Connection, ResponseFuture, SendRequest};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Advance;
use super::ledger::ErrorClass;
use super::response::{Body, Done, Reuse};

/// The longest body that is kept for checks.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

type Handshake = Pin<Box<dyn Future<Output = Result<(SendRequest<Bytes>, Connection<Io, Bytes>), h2::Error>>>>;

/// An HTTP/2 connection.
pub(super) struct Http2 {
    state: State,
    blocked: Rc<Cell<Writing>>,
    waiting: Option<(http::Request<()>, Bytes)>,
    stream: Option<Stream>,
    answered: u64,
    kept: Vec<u8>,
    body: Body,
}

enum State {
    Handshaking(Handshake),
    Ready(SendRequest<Bytes>, Box<Connection<Io, Bytes>>),
}

/// The answer on its way.
enum Stream {
    Head(ResponseFuture),
    Body(u16, RecvStream),
}

/// Whether the socket refused to take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Free,
    Blocked,
}

/// Whether something inside the connection asked to be polled again.
#[derive(Debug, Default)]
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The socket as `h2` wants it.
struct Io {
    socket: Rc<OwnedFd>,
    blocked: Rc<Cell<Writing>>,
}

impl std::fmt::Debug for Http2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http2").field("answered", &self.answered).finish_non_exhaustive()
    }
}

impl Http2 {
    pub(super) fn new(socket: Rc<OwnedFd>) -> Self {
        let blocked = Rc::new(Cell::new(Writing::Free));
        let io = Io { socket, blocked: Rc::clone(&blocked) };
        let mut builder = h2::client::Builder::new();
        builder.enable_push(false).initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
        let state = State::Handshaking(Box::pin(async move { builder.handshake(io).await }));
        Self { state, blocked, waiting: None, stream: None, answered: 0, kept: Vec::new(), body: Body::Discard }
    }

    /// Takes a request as it would go over an HTTP/1.1 wire; [`Self::poll`] sends it.
    pub(super) fn send(&mut self, wire: &[u8], body: Body) -> Result<(), ErrorClass> {
        self.waiting = Some(translate(wire).ok_or(ErrorClass::Protocol)?);
        self.kept.clear();
        self.body = body;
        Ok(())
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.get() == Writing::Blocked
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.kept
    }

    /// Does what can be done now.
    pub(super) fn poll(&mut self) -> Advance {
        let again = Arc::new(Again::default());
        let waker = Waker::from(Arc::clone(&again));
        let mut context = Context::from_waker(&waker);
        let advance = loop {
            self.blocked.set(Writing::Free);
            let advance = self.advance(&mut context).unwrap_or_else(|error| Advance::Broken(self.class(&error)));
            // a part that gave another one something to do wakes it; only the socket is waited for outside
            if advance != Advance::Waiting || !again.0.swap(false, Ordering::Relaxed) {
                break advance;
            }
        };
        if advance == Advance::Waiting && self.is_closed(&mut context) {
            let unheard = self.answered > 0 && matches!(self.stream, None | Some(Stream::Head(_)));
            return Advance::Broken(if unheard { ErrorClass::Stale } else { ErrorClass::Closed });
        }
        advance
    }

    fn advance(&mut self, context: &mut Context<'_>) -> Result<Advance, h2::Error> {
        if let State::Handshaking(handshake) = &mut self.state {
            match handshake.as_mut().poll(context) {
                Poll::Pending => return Ok(Advance::Waiting),
                Poll::Ready(done) => {
                    let (sender, connection) = done?;
                    self.state = State::Ready(sender, Box::new(connection));
                }
            }
        }
        let State::Ready(sender, connection) = &mut self.state else { return Ok(Advance::Waiting) };
        // reads what came, so that the streams below have it
        if let Poll::Ready(Err(error)) = Pin::new(connection.as_mut()).poll(context) {
            return Err(error);
        }
        if self.waiting.is_some()
            && sender.poll_ready(context)?.is_ready()
            && let Some((request, body)) = self.waiting.take()
        {
            let (response, mut sending) = sender.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                sending.send_data(body, true)?;
            }
            self.stream = Some(Stream::Head(response));
        }
        let answered = self.read(context)?;
        let State::Ready(_, connection) = &mut self.state else { return Ok(Advance::Waiting) };
        // writes what the above produced: the request, window updates
        if let Poll::Ready(Err(error)) = Pin::new(connection.as_mut()).poll(context) {
            return Err(error);
        }
        Ok(answered.map_or(Advance::Waiting, Advance::Answered))
    }

    /// Reads the answer as far as it has come.
    fn read(&mut self, context: &mut Context<'_>) -> Result<Option<Done>, h2::Error> {
        if let Some(Stream::Head(response)) = &mut self.stream {
            let Poll::Ready(response) = Pin::new(response).poll(context) else { return Ok(None) };
            let (head, body) = response?.into_parts();
            self.stream = Some(Stream::Body(head.status.as_u16(), body));
        }
        while let Some(Stream::Body(status, body)) = &mut self.stream {
            match body.poll_data(context) {
                Poll::Pending => return Ok(None),
                Poll::Ready(Some(data)) => {
                    let data = data?;
                    body.flow_control().release_capacity(data.len())?;
                    if self.body == Body::Keep && self.kept.len() + data.len() <= BODY_LIMIT {
                        self.kept.extend_from_slice(&data);
                    }
                }
                Poll::Ready(None) => {
                    let done = Done { status: *status, reuse: Reuse::Keep };
                    self.stream = None;
                    self.answered += 1;
                    return Ok(Some(done));
                }
            }
        }
        Ok(None)
    }

    fn is_closed(&mut self, context: &mut Context<'_>) -> bool {
        match &mut self.state {
            State::Handshaking(_) => false,
            State::Ready(_, connection) => Pin::new(connection.as_mut()).poll(context).is_ready(),
        }
    }

    fn class(&self, error: &h2::Error) -> ErrorClass {
        match error.get_io().map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) if self.answered > 0 => ErrorClass::Stale,
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => ErrorClass::Reset,
            Some(io::ErrorKind::UnexpectedEof) => ErrorClass::Closed,
            Some(_) => ErrorClass::Connect,
            None if error.is_reset() && error.is_remote() => ErrorClass::Reset,
            None => ErrorClass::Protocol,
        }
    }
}

/// An HTTP/1.1 request as `h2` wants it: an absolute URI, no `host`, no `content-length`.
fn translate(wire: &[u8]) -> Option<(http::Request<()>, Bytes)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(used) = request.parse(wire).ok()? else { return None };
    let host = request.headers.iter().find(|header| header.name == "host")?;
    let uri = format!("http://{}{}", std::str::from_utf8(host.value).ok()?, request.path?);
    let mut built = http::Request::builder().method(request.method?).uri(uri);
    for header in request.headers.iter().filter(|header| !["host", "content-length"].contains(&header.name)) {
        built = built.header(header.name, header.value);
    }
    Some((built.body(()).ok()?, Bytes::copy_from_slice(&wire[used..])))
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match rustix::net::recv(&self.socket, buffer.initialize_unfilled(), RecvFlags::empty()) {
            Ok((count, _)) => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Err(Errno::AGAIN | Errno::INTR) => Poll::Pending,
            Err(errno) => Poll::Ready(Err(errno.into())),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => Poll::Ready(Ok(count)),
            Err(Errno::AGAIN | Errno::INTR) => {
                self.blocked.set(Writing::Blocked);
                Poll::Pending
            }
            Err(errno) => Poll::Ready(Err(errno.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // the peer may have closed already
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
