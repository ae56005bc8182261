//! HTTP/2 on one connection, as many requests at a time as the server allows: the `h2` crate, polled by hand whenever the
//! socket has something to say, so that it needs no runtime beside the engine's epoll. Driven by `connection` and `pool`.
//!
//! The server's limit of streams, its `GOAWAY`, `RST_STREAM` and both windows are honoured by `h2`; here it is seen to
//! that no request is handed over that would have to wait inside of it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Connection, ResponseFuture, SendRequest};

use line::{Io, Line};
pub(super) use prepared::Prepared;

use super::connection::{Ends, Outcome};
use super::ledger::ErrorClass;
use super::response::{BODY_LIMIT, Body};
use super::wire::Wire;

mod line;
mod prepared;

/// What the server may send ahead, for the connection and for each answer.
const WINDOW: u32 = 1 << 20;
/// Answers to requests that were given up are still recognised for so many of them.
const GIVEN_UP: usize = 10_000;
const HEAD_LIMIT: u32 = 64 * 1024;

type Handshake = Pin<Box<dyn Future<Output = Result<(SendRequest<Bytes>, Connection<Io, Bytes>), h2::Error>>>>;

/// An HTTP/2 connection.
pub(super) struct Http2 {
    state: State,
    io: Rc<Line>,
    awake: Arc<Awake>,
    waker: Waker,
    /// The requests in flight, in places that are reused.
    streams: Vec<Place>,
    free: Vec<usize>,
    open: usize,
    /// A request that came before the connection was there.
    held: Option<(usize, Prepared, Body)>,
    answered: u64,
    carried: bool,
    /// The server takes no more requests, or we give it none: those in flight go on.
    retired: bool,
}

enum State {
    Handshaking(Handshake),
    Ready(SendRequest<Bytes>, Box<Connection<Io, Bytes>>),
}

/// Room for a stream, with the waker that names it.
struct Place {
    stream: Option<Stream>,
    waker: Waker,
}

/// A request in flight.
struct Stream {
    flight: usize,
    answer: Answer,
    kept: Option<Vec<u8>>,
    /// What the connection had heard when it began.
    heard: u64,
}

/// The answer on its way.
enum Answer {
    Head(ResponseFuture),
    Body(u16, RecvStream),
}

/// What asked to be polled again.
#[derive(Debug, Default)]
struct Awake {
    connection: AtomicBool,
    streams: Mutex<Vec<usize>>,
}

/// The connection's waker.
struct WakeConnection(Arc<Awake>);

/// The waker of the stream in a place.
struct WakeStream(Arc<Awake>, usize);

impl Wake for WakeConnection {
    fn wake(self: Arc<Self>) {
        self.0.connection.store(true, Ordering::Relaxed);
    }
}

impl Wake for WakeStream {
    fn wake(self: Arc<Self>) {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner).push(self.1);
    }
}

impl std::fmt::Debug for Http2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http2").field("open", &self.open).field("answered", &self.answered).finish_non_exhaustive()
    }
}

impl Http2 {
    pub(super) fn new(wire: Rc<RefCell<Wire>>) -> Self {
        let io = Rc::new(Line::new(wire));
        let mut builder = h2::client::Builder::new();
        builder.enable_push(false).initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        builder.max_header_list_size(HEAD_LIMIT).max_concurrent_reset_streams(GIVEN_UP);
        // until the server has said how many streams it allows, none is opened
        builder.initial_max_send_streams(0);
        let line = Io(Rc::clone(&io));
        let state = State::Handshaking(Box::pin(async move { builder.handshake(line).await }));
        let awake = Arc::new(Awake::default());
        let waker = Waker::from(Arc::new(WakeConnection(Arc::clone(&awake))));
        let (streams, free) = (Vec::new(), Vec::new());
        Self {
            state,
            io,
            awake,
            waker,
            streams,
            free,
            open: 0,
            held: None,
            answered: 0,
            carried: false,
            retired: false,
        }
    }

    /// Keeps a request until it can be sent.
    pub(super) fn hold(&mut self, flight: usize, request: Prepared, body: Body) {
        self.held = Some((flight, request, body));
    }

    /// Whether the server has said what it allows.
    pub(super) fn is_settled(&self) -> bool {
        self.allowed() > 0
    }

    /// How many requests at a time the server allows; 0 as long as that is unknown.
    pub(super) fn allowed(&self) -> usize {
        match &self.state {
            State::Handshaking(_) => 0,
            State::Ready(sender, _) => sender.current_max_send_streams(),
        }
    }

    /// How many more requests fit, if there may be `most` at a time.
    pub(super) fn room(&self, most: usize) -> usize {
        if self.retired { 0 } else { self.allowed().min(most).saturating_sub(self.open) }
    }

    /// Whether it takes no more requests.
    pub(super) const fn is_retired(&self) -> bool {
        self.retired
    }

    /// Whether it has ever been given a request.
    pub(super) const fn has_carried(&self) -> bool {
        self.carried
    }

    /// How many requests are in flight on it.
    pub(super) fn open(&self) -> usize {
        self.open + usize::from(self.held.is_some())
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.io.blocked.get()
    }

    /// The requests in flight on it.
    pub(super) fn flights(&self) -> impl Iterator<Item = usize> {
        let streams = self.streams.iter().filter_map(|place| place.stream.as_ref().map(|stream| stream.flight));
        streams.chain(self.held.as_ref().map(|(flight, ..)| *flight))
    }

    /// Opens a stream for a request; [`Self::poll`] sends it. The request comes back when there is no room for it.
    ///
    /// # Errors
    /// When the connection is of no use any more.
    pub(super) fn begin(
        &mut self,
        flight: usize,
        request: Prepared,
        body: Body,
    ) -> Result<Option<Prepared>, ErrorClass> {
        let State::Ready(sender, _) = &mut self.state else { return Ok(Some(request)) };
        let mut context = Context::from_waker(&self.waker);
        if self.retired || !sender.poll_ready(&mut context).map_err(|error| self.io.class(&error, false))?.is_ready() {
            return Ok(Some(request));
        }
        let Prepared { head, body: bytes } = request;
        let sent = sender.send_request(head, bytes.is_empty()).and_then(|(response, mut sending)| {
            // what exceeds the window stays in `h2` until the server opens it
            if !bytes.is_empty() {
                sending.send_data(bytes, true)?;
            }
            Ok(response)
        });
        let response = sent.map_err(|_| ErrorClass::Protocol)?;
        let kept = (body == Body::Keep).then(Vec::new);
        let stream = Stream { flight, answer: Answer::Head(response), kept, heard: self.io.heard.get() };
        let index = self.free.pop().unwrap_or_else(|| {
            let waker = Waker::from(Arc::new(WakeStream(Arc::clone(&self.awake), self.streams.len())));
            self.streams.push(Place { stream: None, waker });
            self.streams.len() - 1
        });
        self.streams[index].stream = Some(stream);
        (self.open, self.carried) = (self.open + 1, true);
        // its first look registers its waker
        self.awake.streams.lock().unwrap_or_else(PoisonError::into_inner).push(index);
        Ok(None)
    }

    /// Gives up on a request: its stream is reset, the others go on. If nothing at all has been heard on the connection
    /// since it was sent, no other request is entrusted to it.
    pub(super) fn cancel(&mut self, flight: usize, ends: &mut Ends) -> Result<(), ErrorClass> {
        if self.held.as_ref().is_some_and(|(held, ..)| *held == flight) {
            (self.held, self.retired) = (None, true);
        }
        let of_flight = |place: &Place| place.stream.as_ref().is_some_and(|stream| stream.flight == flight);
        if let Some(index) = self.streams.iter().position(of_flight) {
            let stream = self.close(index);
            self.retired |= stream.is_some_and(|stream| stream.heard == self.io.heard.get());
        }
        self.poll(ends)
    }

    /// Does what can be done now; what ended is put into `ends`.
    ///
    /// # Errors
    /// When the connection is of no use any more; the requests still in flight on it failed so.
    pub(super) fn poll(&mut self, ends: &mut Ends) -> Result<(), ErrorClass> {
        loop {
            self.io.blocked.set(false);
            self.awake.connection.store(false, Ordering::Relaxed);
            // reads what came and writes what is ready; reading the streams makes window updates, which wake it again
            let over = self.drive()?;
            let woken = std::mem::take(&mut *self.awake.streams.lock().unwrap_or_else(PoisonError::into_inner));
            for index in &woken {
                self.read(*index, ends);
            }
            if let Some(error) = over {
                return Err(error);
            }
            if woken.is_empty() && !self.awake.connection.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    /// Drives the connection; when it has ended, the streams have been told and their requests can be read a last time.
    fn drive(&mut self) -> Result<Option<ErrorClass>, ErrorClass> {
        let mut context = Context::from_waker(&self.waker);
        if let State::Handshaking(handshake) = &mut self.state {
            match handshake.as_mut().poll(&mut context) {
                Poll::Pending => return Ok(None),
                Poll::Ready(Err(error)) => return Err(self.io.class(&error, true)),
                Poll::Ready(Ok((sender, connection))) => self.state = State::Ready(sender, Box::new(connection)),
            }
        }
        let State::Ready(sender, connection) = &mut self.state else { return Ok(None) };
        let over = match Pin::new(connection.as_mut()).poll(&mut context) {
            Poll::Pending => None,
            Poll::Ready(Ok(())) => Some(self.io.end(self.answered == 0)),
            Poll::Ready(Err(error)) => Some(self.io.class(&error, self.answered == 0)),
        };
        // the server's GOAWAY shows here while earlier requests go on
        if let Poll::Ready(Err(error)) = sender.poll_ready(&mut context) {
            self.retired = true;
            self.io.told.set(Some(self.io.class(&error, false)));
        }
        self.retired |= over.is_some();
        if let Some((flight, request, body)) = self.held.take_if(|_| sender.current_max_send_streams() > 0)
            && let Some(request) = self.begin(flight, request, body)?
        {
            self.held = Some((flight, request, body));
        }
        Ok(over)
    }

    /// Reads an answer as far as it has come.
    fn read(&mut self, index: usize, ends: &mut Ends) {
        let place = &mut self.streams[index];
        let Some(stream) = &mut place.stream else { return };
        let mut context = Context::from_waker(&place.waker);
        let outcome = match stream.read(&mut context) {
            Poll::Pending => return,
            Poll::Ready(Ok(status)) => {
                self.answered += 1;
                Outcome::Answered(status, stream.kept.take().unwrap_or_default())
            }
            Poll::Ready(Err(error)) => {
                let unheard = self.answered > 0 && matches!(stream.answer, Answer::Head(_));
                Outcome::Failed(error.map_or(ErrorClass::Protocol, |error| self.io.class(&error, !unheard)))
            }
        };
        ends.push((stream.flight, outcome));
        self.close(index);
    }

    /// Frees a place; a stream that has not ended is reset.
    fn close(&mut self, index: usize) -> Option<Stream> {
        self.open -= 1;
        self.free.push(index);
        self.streams[index].stream.take()
    }
}

impl Stream {
    /// The status, once the answer is complete; no error is a body that is too long to keep.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<u16, Option<h2::Error>>> {
        if let Answer::Head(response) = &mut self.answer {
            let Poll::Ready(response) = Pin::new(response).poll(context) else { return Poll::Pending };
            let (head, body) = response.map_err(Some)?.into_parts();
            self.answer = Answer::Body(head.status.as_u16(), body);
        }
        let Answer::Body(status, body) = &mut self.answer else { return Poll::Pending };
        loop {
            match body.poll_data(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(*status)),
                Poll::Ready(Some(data)) => {
                    let data = data.map_err(Some)?;
                    body.flow_control().release_capacity(data.len()).map_err(Some)?;
                    if let Some(kept) = &mut self.kept {
                        if kept.len() + data.len() > BODY_LIMIT {
                            return Poll::Ready(Err(None));
                        }
                        kept.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
