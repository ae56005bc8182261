//! One connection: a non-blocking socket and the answer being read from it. Driven by `engine`, which owns epoll and the
//! clock; knows nothing of either schedule or recorder.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::http2::Http2;
use super::ledger::ErrorClass;
use super::response::{Body, Done, End, Progress, Reader, Reuse};
use super::spec::Protocol;
use super::workload::Answer;

/// A connection, idle or with one request in flight.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Rc<OwnedFd>,
    phase: Phase,
    /// The request on its way out, and how much of it is sent.
    out: Vec<u8>,
    sent: usize,
    reader: Reader,
    /// In place of `out` and `reader`, if it speaks HTTP/2.
    http2: Option<Box<Http2>>,
    /// How many requests it has answered.
    answered: u64,
    /// The request in flight.
    pub(super) exchange: Option<Exchange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
}

/// A request in flight; times since the load's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) request: usize,
    /// The visit it is a step of.
    pub(super) visit: Option<usize>,
    pub(super) intended: Duration,
    pub(super) started: Duration,
}

/// What came of an event on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advance {
    /// Nothing to do but wait for what `interest` names.
    Waiting,
    /// The answer is complete.
    Answered(Done),
    /// The connection is of no use any more; any request on it failed so.
    Broken(ErrorClass),
}

impl Connection {
    /// Begins to connect.
    pub(super) fn open(address: SocketAddr, protocol: Protocol) -> Result<Self, ErrorClass> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).map_err(connect_error)?;
        sockopt::set_tcp_nodelay(&socket, true).map_err(connect_error)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(connect_error(errno)),
        }
        let socket = Rc::new(socket);
        Ok(Self {
            http2: (protocol == Protocol::Http2).then(|| Box::new(Http2::new(Rc::clone(&socket)))),
            socket,
            phase: Phase::Connecting,
            out: Vec::new(),
            sent: 0,
            reader: Reader::default(),
            answered: 0,
            exchange: None,
        })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The buffer for the next request; call [`Self::send`] when it is filled.
    pub(super) fn request_buffer(&mut self) -> &mut Vec<u8> {
        self.out.clear();
        self.sent = 0;
        &mut self.out
    }

    /// Sends what is in the buffer as far as the socket takes it.
    pub(super) fn send(&mut self, exchange: Exchange, answer: Answer, body: Body) -> Advance {
        self.exchange = Some(exchange);
        if let Some(http2) = &mut self.http2 {
            self.sent = self.out.len();
            return match (http2.send(&self.out, body), self.phase) {
                (Err(error), _) => Advance::Broken(error),
                (Ok(()), Phase::Connecting) => Advance::Waiting,
                (Ok(()), Phase::Connected) => http2.poll(),
            };
        }
        self.reader.expect(answer, body);
        match self.phase {
            Phase::Connecting => Advance::Waiting,
            Phase::Connected => self.flush(),
        }
    }

    /// The events to wait for.
    pub(super) fn interest(&self) -> EventFlags {
        let reading = EventFlags::IN | EventFlags::RDHUP;
        let unsent = self.sent < self.out.len() || self.http2.as_ref().is_some_and(|http2| http2.is_blocked());
        if self.phase == Phase::Connecting || unsent { reading | EventFlags::OUT } else { reading }
    }

    /// The body of the answer, if it was to be kept.
    pub(super) fn body(&self) -> &[u8] {
        self.http2.as_ref().map_or_else(|| self.reader.body(), |http2| http2.body())
    }

    /// Gets ready for the next request.
    pub(super) fn rest(&mut self) {
        self.answered += 1;
        self.exchange = None;
    }

    /// Handles an event; `scratch` is room to read into.
    pub(super) fn advance(&mut self, events: EventFlags, scratch: &mut [u8]) -> Advance {
        if self.phase == Phase::Connecting {
            if !events.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
                return Advance::Waiting;
            }
            if let Some(error) = self.connect_failure() {
                return Advance::Broken(error);
            }
            self.phase = Phase::Connected;
        }
        if let Some(http2) = &mut self.http2 {
            return http2.poll();
        }
        if self.sent < self.out.len() {
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

    fn connect_failure(&self) -> Option<ErrorClass> {
        match sockopt::socket_error(&self.socket) {
            Ok(Ok(())) => self.is_connected_to_itself().then_some(ErrorClass::Connect),
            Ok(Err(errno)) | Err(errno) => Some(connect_error(errno)),
        }
    }

    /// On loopback, connecting to a port of the ephemeral range on which nobody listens can succeed by picking that very
    /// port as one's own (TCP simultaneous open): nobody answered, so it counts as refused.
    fn is_connected_to_itself(&self) -> bool {
        let (own, peer) = (rustix::net::getsockname(&self.socket), rustix::net::getpeername(&self.socket));
        matches!((own, peer), (Ok(own), Ok(Some(peer))) if own == peer)
    }

    fn flush(&mut self) -> Advance {
        while self.sent < self.out.len() {
            match rustix::net::send(&self.socket, &self.out[self.sent..], SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => return Advance::Waiting,
                Err(Errno::INTR) => {}
                // the peer may have answered before it closed, and what it said counts more than that it closed
                Err(Errno::PIPE) => self.sent = self.out.len(),
                Err(errno) => return Advance::Broken(self.broken(errno)),
            }
        }
        Advance::Waiting
    }

    fn receive(&mut self, scratch: &mut [u8]) -> Advance {
        let count = match rustix::net::recv(&self.socket, &mut *scratch, RecvFlags::empty()) {
            Ok((count, _)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Advance::Waiting,
            Err(errno) => return Advance::Broken(self.broken(errno)),
        };
        if self.exchange.is_none() {
            // closed while idle, or data nobody asked for
            return Advance::Broken(ErrorClass::Stale);
        }
        if count == 0 {
            return match self.reader.end() {
                End::Complete(done) => Advance::Answered(done),
                End::Nothing if self.answered > 0 => Advance::Broken(ErrorClass::Stale),
                End::Nothing | End::Truncated => Advance::Broken(ErrorClass::Closed),
            };
        }
        match self.reader.feed(&scratch[..count]) {
            Ok(Progress::More) => Advance::Waiting,
            Ok(Progress::Done(done)) => Advance::Answered(done),
            Err(_) => Advance::Broken(ErrorClass::Protocol),
        }
    }

    fn broken(&self, errno: Errno) -> ErrorClass {
        match errno {
            Errno::PIPE | Errno::CONNRESET | Errno::CONNABORTED => match self.reader.end() {
                End::Nothing if self.answered > 0 => ErrorClass::Stale,
                _ => ErrorClass::Reset,
            },
            Errno::TIMEDOUT => ErrorClass::Timeout,
            other => connect_error(other),
        }
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
