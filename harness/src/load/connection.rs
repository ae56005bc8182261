//! One connection: a non-blocking socket, plain or with TLS, and what is spoken on it: HTTP/1.1, one request at a time, or
//! HTTP/2, many. Driven by `pool`, which owns the connections of a load; knows nothing of either schedule or recorder.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::http2::{Http2, Prepared};
use super::ledger::ErrorClass;
use super::poller::Poller;
use super::response::{Body, Done, End, Progress, Reader, Reuse};
use super::spec::Protocol;
use super::tls::Tls;
use super::wire::{Agreed, Broken, Handshake, Wire};
use super::workload::Answer;

/// How a request in flight ended; with its number.
pub(super) type Ends = Vec<(usize, Outcome)>;

/// How a request ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The answer is complete; the body is empty unless it was to be kept.
    Answered(u16, Vec<u8>),
    /// There is no answer.
    Failed(ErrorClass),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Rc<RefCell<Wire>>,
    phase: Phase,
    protocol: Protocol,
    secure: bool,
    registered: Option<EventFlags>,
    /// The request on its way out, and how much of it is sent.
    out: Vec<u8>,
    sent: usize,
    answer: Answer,
    body: Body,
    reader: Reader,
    /// How many requests it has answered.
    answered: u64,
    /// The request in flight, unless it speaks HTTP/2.
    flight: Option<usize>,
    /// In place of `out` and `reader`, once it speaks HTTP/2.
    http2: Option<Box<Http2>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Handshaking,
    Connected,
}

/// What came of an event on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advance {
    /// Nothing to do but wait.
    Waiting,
    /// The answer to the request in flight is complete.
    Answered(Done),
    /// The connection is of no use any more; the requests on it failed so.
    Broken(ErrorClass),
}

impl Connection {
    /// Begins to connect.
    pub(super) fn open(address: SocketAddr, protocol: Protocol, tls: Option<&Tls>) -> Result<Self, ErrorClass> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).map_err(connect_error)?;
        sockopt::set_tcp_nodelay(&socket, true).map_err(connect_error)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(connect_error(errno)),
        }
        let wire = Wire::new(socket, tls).map_err(|_| ErrorClass::Tls)?;
        Ok(Self {
            wire: Rc::new(RefCell::new(wire)),
            phase: Phase::Connecting,
            protocol,
            secure: tls.is_some(),
            registered: None,
            out: Vec::new(),
            sent: 0,
            answer: Answer::WithBody,
            body: Body::Discard,
            reader: Reader::default(),
            answered: 0,
            flight: None,
            http2: None,
        })
    }

    /// The request in flight, if it speaks HTTP/1.1 or nothing yet.
    pub(super) const fn flight(&self) -> Option<usize> {
        self.flight
    }

    /// What it speaks, once that is settled and it can take requests.
    pub(super) fn http2(&mut self) -> Option<&mut Http2> {
        self.http2.as_deref_mut()
    }

    /// Whether it can take requests, whatever it speaks.
    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Connected && self.http2.as_ref().is_none_or(|http2| http2.is_settled())
    }

    /// Whether it has ever been given a request that went beyond connecting.
    pub(super) fn has_carried(&self) -> bool {
        self.http2.as_ref().map_or(self.answered > 0, |http2| http2.has_carried())
    }

    /// The buffer for the next request; call [`Self::send`] when it is filled.
    pub(super) fn request_buffer(&mut self) -> &mut Vec<u8> {
        self.out.clear();
        self.sent = 0;
        &mut self.out
    }

    /// Sends what is in the buffer as far as the socket takes it.
    pub(super) fn send(&mut self, flight: usize, answer: Answer, body: Body) -> Advance {
        (self.flight, self.answer, self.body) = (Some(flight), answer, body);
        self.reader.expect(answer, body);
        match self.phase {
            Phase::Connecting | Phase::Handshaking => Advance::Waiting,
            Phase::Connected => self.flush(),
        }
    }

    /// Tells the poller what it waits for now.
    pub(super) fn register(&mut self, token: u64, poller: &Poller) -> Result<(), ErrorClass> {
        let interest = self.interest();
        if self.registered == Some(interest) {
            return Ok(());
        }
        let wire = self.wire.borrow();
        let result = match self.registered {
            None => poller.add(wire.socket(), token, interest),
            Some(_) => poller.modify(wire.socket(), token, interest),
        };
        self.registered = Some(interest);
        result.map_err(|_| ErrorClass::Client)
    }

    fn interest(&self) -> EventFlags {
        let reading = EventFlags::IN | EventFlags::RDHUP;
        let unsent = match &self.http2 {
            _ if self.phase == Phase::Connecting => true,
            Some(http2) => http2.is_blocked(),
            None => self.phase == Phase::Connected && self.sent < self.out.len(),
        };
        if unsent || self.wire.borrow().holds_back() { reading | EventFlags::OUT } else { reading }
    }

    /// The body of the answer, if it was to be kept.
    pub(super) fn take_body(&mut self) -> Vec<u8> {
        self.reader.take_body()
    }

    /// Gets ready for the next request.
    pub(super) const fn rest(&mut self) {
        self.answered += 1;
        self.flight = None;
    }

    /// Why TLS failed, if it did.
    pub(super) fn tls_failure(&self) -> Option<String> {
        self.wire.borrow().failure().map(ToOwned::to_owned)
    }

    /// Handles an event; `scratch` is room to read into, `ends` takes the requests that ended on an HTTP/2 connection.
    pub(super) fn advance(&mut self, events: EventFlags, scratch: &mut [u8], ends: &mut Ends) -> Advance {
        if self.phase != Phase::Connected {
            match self.connect(events) {
                Ok(Phase::Connected) => {}
                Ok(_) => return Advance::Waiting,
                Err(error) => return Advance::Broken(error),
            }
        }
        if let Some(http2) = &mut self.http2 {
            // what was taken and did not fit yet; what breaks here breaks there
            let _ = self.wire.borrow_mut().flush();
            return http2.poll(ends).map_or_else(Advance::Broken, |()| Advance::Waiting);
        }
        if self.sent < self.out.len() || self.wire.borrow().holds_back() {
            let advance = self.flush();
            if advance != Advance::Waiting {
                return advance;
            }
        }
        if !events.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            return Advance::Waiting;
        }
        match self.receive(scratch) {
            // the peer has closed its side, or has answered before it had the whole request: either way this was the last
            Advance::Answered(done)
                if events.intersects(EventFlags::RDHUP | EventFlags::HUP) || self.sent < self.out.len() =>
            {
                Advance::Answered(Done { reuse: Reuse::Close, ..done })
            }
            advance => advance,
        }
    }

    /// Goes on with connecting and with the handshake.
    fn connect(&mut self, events: EventFlags) -> Result<Phase, ErrorClass> {
        if self.phase == Phase::Connecting {
            if !events.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
                return Ok(self.phase);
            }
            if let Some(error) = self.connect_failure() {
                return Err(error);
            }
            self.phase = Phase::Handshaking;
        }
        let handshake = self.wire.borrow_mut().handshake();
        match handshake.map_err(|broken| self.broken(broken))? {
            Handshake::Waiting => {}
            Handshake::Done(agreed) => {
                self.speak(agreed)?;
                self.phase = Phase::Connected;
            }
        }
        Ok(self.phase)
    }

    /// Settles what is spoken; a request that waited for it is translated if need be.
    fn speak(&mut self, agreed: Agreed) -> Result<(), ErrorClass> {
        let http2 = match (self.protocol, agreed) {
            // without TLS there is nobody to agree with: the knowledge is prior
            (protocol, _) if !self.secure => protocol == Protocol::Http2,
            (Protocol::Http1, Agreed::Http2) | (Protocol::Http2, Agreed::Http1 | Agreed::Nothing) => {
                self.wire.borrow_mut().reject("the server did not agree to the version of HTTP that is asked for");
                return Err(ErrorClass::Tls);
            }
            (_, agreed) => agreed == Agreed::Http2,
        };
        if http2 {
            let mut http2 = Http2::new(Rc::clone(&self.wire));
            if let Some(flight) = self.flight.take() {
                let request = Prepared::translate(&self.out, self.secure).ok_or(ErrorClass::Protocol)?;
                http2.hold(flight, request, self.body);
            }
            self.out = Vec::new();
            self.sent = 0;
            self.http2 = Some(Box::new(http2));
        }
        Ok(())
    }

    fn connect_failure(&self) -> Option<ErrorClass> {
        match sockopt::socket_error(self.wire.borrow().socket()) {
            Ok(Ok(())) => self.is_connected_to_itself().then_some(ErrorClass::Connect),
            Ok(Err(errno)) | Err(errno) => Some(connect_error(errno)),
        }
    }

    /// On loopback, connecting to a port of the ephemeral range on which nobody listens can succeed by picking that very
    /// port as one's own (TCP simultaneous open): nobody answered, so it counts as refused.
    fn is_connected_to_itself(&self) -> bool {
        let wire = self.wire.borrow();
        let (own, peer) = (rustix::net::getsockname(wire.socket()), rustix::net::getpeername(wire.socket()));
        matches!((own, peer), (Ok(own), Ok(Some(peer))) if own == peer)
    }

    fn flush(&mut self) -> Advance {
        let mut wire = self.wire.borrow_mut();
        while self.sent < self.out.len() {
            match wire.send(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(Broken::Os(Errno::AGAIN)) => return Advance::Waiting,
                Err(Broken::Os(Errno::INTR)) => {}
                // the peer may have answered before it closed, and what it said counts more than that it closed
                Err(Broken::Os(Errno::PIPE)) => self.sent = self.out.len(),
                Err(broken) => {
                    drop(wire);
                    return Advance::Broken(self.broken(broken));
                }
            }
        }
        match wire.flush() {
            Ok(()) | Err(Broken::Os(Errno::PIPE)) => Advance::Waiting,
            Err(broken) => {
                drop(wire);
                Advance::Broken(self.broken(broken))
            }
        }
    }

    fn receive(&mut self, scratch: &mut [u8]) -> Advance {
        loop {
            let mut wire = self.wire.borrow_mut();
            let (received, more) = (wire.receive(scratch), wire.may_hold_more());
            drop(wire);
            let advance = match received {
                Ok(count) => self.take(&scratch[..count]),
                Err(Broken::Os(Errno::AGAIN | Errno::INTR)) => return Advance::Waiting,
                Err(broken) => Advance::Broken(self.broken(broken)),
            };
            if advance != Advance::Waiting || !more {
                return advance;
            }
        }
    }

    /// Reads what was received; nothing is the end of the stream.
    fn take(&mut self, bytes: &[u8]) -> Advance {
        if self.flight.is_none() {
            // closed while idle, or data nobody asked for
            return Advance::Broken(ErrorClass::Stale);
        }
        if bytes.is_empty() {
            return match self.reader.end() {
                End::Complete(done) => Advance::Answered(done),
                End::Nothing if self.answered > 0 => Advance::Broken(ErrorClass::Stale),
                End::Nothing | End::Truncated => Advance::Broken(ErrorClass::Closed),
            };
        }
        match self.reader.feed(bytes) {
            Ok(Progress::More) => Advance::Waiting,
            Ok(Progress::Done(done)) => Advance::Answered(done),
            Err(_) => Advance::Broken(ErrorClass::Protocol),
        }
    }

    fn broken(&self, broken: Broken) -> ErrorClass {
        let heard = !(self.reader.end() == End::Nothing && self.answered > 0);
        class(broken, heard)
    }
}

/// What a broken connection means for a request; `heard` is false if the connection has answered others and said nothing
/// on this one.
pub(super) fn class(broken: Broken, heard: bool) -> ErrorClass {
    match broken {
        Broken::Os(Errno::PIPE | Errno::CONNRESET | Errno::CONNABORTED) if heard => ErrorClass::Reset,
        Broken::Cut if heard => ErrorClass::Closed,
        Broken::Cut | Broken::Os(Errno::PIPE | Errno::CONNRESET | Errno::CONNABORTED) => ErrorClass::Stale,
        Broken::Tls => ErrorClass::Tls,
        Broken::Os(Errno::TIMEDOUT) => ErrorClass::Timeout,
        Broken::Os(other) => connect_error(other),
    }
}

/// Whose fault it is that there is no connection.
fn connect_error(errno: Errno) -> ErrorClass {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL | Errno::AGAIN => {
            ErrorClass::Client
        }
        Errno::TIMEDOUT => ErrorClass::Timeout,
        _ => ErrorClass::Connect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhausted_ports_and_descriptors_are_the_clients_fault_l14() {
        for errno in [Errno::ADDRNOTAVAIL, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(connect_error(errno), ErrorClass::Client);
        }
        assert_eq!(connect_error(Errno::CONNREFUSED), ErrorClass::Connect);
        assert_eq!(connect_error(Errno::HOSTUNREACH), ErrorClass::Connect);
        assert_eq!(connect_error(Errno::TIMEDOUT), ErrorClass::Timeout);
    }
}
