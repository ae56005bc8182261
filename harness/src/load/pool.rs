//! The connections of a load, and which request goes on which. Over HTTP/1.1 each carries one request; idle ones are
//! reused last in, first out, so that a low rate stays on few. Over HTTP/2 they share a queue: each takes as many requests
//! as the server allows, and another one is opened when those that are there would not do. Used by `engine`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rustix::event::epoll::EventFlags;

use super::connection::{Advance, Connection, Ends, Outcome};
use super::http2::Prepared;
use super::ledger::ErrorClass;
use super::poller::Poller;
use super::response::{Body, Done, Reuse};
use super::spec::Protocol;
use super::tls::Tls;
use super::workload::Answer;

/// What a connection is expected to take as long as its server has not said what it allows (RFC 9113, section 6.5.2,
/// recommends no smaller limit).
const USUALLY_ALLOWED: usize = 100;

/// Where the connections lead.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) address: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) tls: Option<Tls>,
    /// The most requests at a time on one HTTP/2 connection.
    pub(super) streams: usize,
}

/// The connections.
#[derive(Debug)]
pub(super) struct Pool {
    way: Way,
    places: Vec<Place>,
    free: Vec<usize>,
    /// Over HTTP/1.1: connections without a request.
    idle: Vec<usize>,
    /// Over HTTP/2: connections that may have room for another one.
    roomy: Vec<usize>,
    /// Over HTTP/2: requests that wait for room.
    queue: VecDeque<Queued>,
    /// Whether the target speaks HTTP/2; none until it is known.
    http2: Option<bool>,
    /// Counts the requests over HTTP/2, to tell which connections were there before which requests.
    serial: u64,
    /// Where each request in flight is.
    homes: Vec<Home>,
    ends: Ends,
    tls_failure: Option<String>,
    scratch: Vec<u8>,
}

/// Room for a connection; its generation tells events of its connection from those of an earlier one.
#[derive(Debug, Default)]
struct Place {
    connection: Option<Connection>,
    generation: u32,
    serial: u64,
    roomy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Nowhere,
    Queue(u64),
    Connection(usize),
}

/// A request that waits for room on a connection.
#[derive(Debug)]
struct Queued {
    flight: usize,
    serial: u64,
    request: Prepared,
    body: Body,
}

/// Whether a request left the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Yes,
    NotYet,
}

impl Pool {
    pub(super) fn new(way: Way) -> Self {
        let http2 = match way.protocol {
            Protocol::Http1 => Some(false),
            Protocol::Http2 => Some(true),
            // without TLS nothing is agreed on
            Protocol::Negotiated => way.tls.is_none().then_some(false),
        };
        Self {
            way,
            places: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            roomy: Vec::new(),
            queue: VecDeque::new(),
            http2,
            serial: 0,
            homes: Vec::new(),
            ends: Vec::new(),
            tls_failure: None,
            scratch: Vec::new(),
        }
    }

    /// Sends a request, which `write` writes as it goes over an HTTP/1.1 wire.
    pub(super) fn send(
        &mut self,
        flight: usize,
        (answer, body): (Answer, Body),
        poller: &Poller,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.homes.len() <= flight {
            self.homes.resize(flight + 1, Home::Nowhere);
        }
        if self.http2 == Some(true) {
            let mut text = std::mem::take(&mut self.scratch);
            text.clear();
            write(&mut text);
            self.enqueue(flight, &text, body);
            self.scratch = text;
            return self.dispatch(poller);
        }
        let index = match self.idle.pop().map_or_else(|| self.open(), Ok) {
            Ok(index) => index,
            Err(error) => return self.ends.push((flight, Outcome::Failed(error))),
        };
        self.homes[flight] = Home::Connection(index);
        let connection = self.get(index);
        write(connection.request_buffer());
        let advance = connection.send(flight, answer, body);
        self.follow(index, advance, poller);
    }

    /// Handles an event on the connection with that token; `scratch` is room to read into.
    pub(super) fn advance(&mut self, token: u64, events: EventFlags, scratch: &mut [u8], poller: &Poller) {
        let Some(index) = self.find(token) else { return };
        let mut ends = std::mem::take(&mut self.ends);
        let advance = self.get(index).advance(events, scratch, &mut ends);
        self.ends = ends;
        self.follow(index, advance, poller);
        if self.http2 != Some(false) {
            self.dispatch(poller);
        }
    }

    /// Gives up on a request in flight, without an end: its connection is closed, or its stream reset.
    pub(super) fn cancel(&mut self, flight: usize, poller: &Poller) {
        match std::mem::replace(&mut self.homes[flight], Home::Nowhere) {
            Home::Nowhere => {}
            Home::Connection(index) if self.get(index).flight() == Some(flight) => self.close(index),
            Home::Connection(index) => {
                let mut ends = std::mem::take(&mut self.ends);
                let cancelled = self.get(index).http2().map(|http2| http2.cancel(flight, &mut ends));
                self.ends = ends;
                let advance = cancelled.and_then(Result::err).map_or(Advance::Waiting, Advance::Broken);
                self.follow(index, advance, poller);
            }
            // a connection that has not come about in all that time is not waited for any longer
            Home::Queue(serial) => {
                for index in 0..self.places.len() {
                    let place = &self.places[index];
                    let late = |connection: &Connection| !connection.is_ready() && place.serial <= serial;
                    if place.connection.as_ref().is_some_and(late) {
                        self.close(index);
                    }
                }
            }
        }
        if self.http2 != Some(false) {
            self.dispatch(poller);
        }
    }

    /// Closes all connections; whatever is in flight has no end.
    pub(super) fn shut(&mut self) {
        self.places.clear();
        self.queue.clear();
    }

    /// The next request that ended, with its number.
    pub(super) fn ended(&mut self) -> Option<(usize, Outcome)> {
        let (flight, outcome) = self.ends.pop()?;
        self.homes[flight] = Home::Nowhere;
        Some((flight, outcome))
    }

    /// Why TLS failed when it first did.
    pub(super) fn tls_failure(&self) -> Option<&str> {
        self.tls_failure.as_deref()
    }

    fn open(&mut self) -> Result<usize, ErrorClass> {
        // what was agreed on first is expected of every other connection
        let protocol = match self.http2 {
            None => self.way.protocol,
            Some(true) => Protocol::Http2,
            Some(false) => Protocol::Http1,
        };
        let connection = Connection::open(self.way.address, protocol, self.way.tls.as_ref())?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() - 1
        });
        self.places[index].connection = Some(connection);
        self.places[index].serial = self.serial;
        Ok(index)
    }

    fn get(&mut self, index: usize) -> &mut Connection {
        self.places[index].connection.as_mut().expect("an index is held only while its connection is open")
    }

    /// The connection an event belongs to, if it is still open.
    fn find(&self, token: u64) -> Option<usize> {
        let index = usize::try_from(token & u64::from(u32::MAX)).ok()?;
        let place = self.places.get(index)?;
        (place.connection.is_some() && u64::from(place.generation) == token >> 32).then_some(index)
    }

    fn follow(&mut self, index: usize, advance: Advance, poller: &Poller) {
        match advance {
            Advance::Waiting => self.await_events(index, poller),
            Advance::Answered(done) => self.answered(index, done),
            Advance::Broken(error) => self.fail(index, error),
        }
    }

    fn await_events(&mut self, index: usize, poller: &Poller) {
        let place = &mut self.places[index];
        let token = u64::from(place.generation) << 32 | index as u64;
        let Some(connection) = &mut place.connection else { return };
        if let Err(error) = connection.register(token, poller) {
            return self.fail(index, error);
        }
        let Some(http2) = connection.http2() else { return };
        let (over, room) = (http2.is_retired() && http2.open() == 0, http2.room(self.way.streams) > 0);
        let of_use = http2.has_carried();
        self.http2 = Some(true);
        if over && of_use {
            self.close(index);
        } else if over {
            // else whoever waits would be waiting for the next one that goes away at once
            self.fail(index, ErrorClass::Stale);
        } else if room && !std::mem::replace(&mut self.places[index].roomy, true) {
            self.roomy.push(index);
        }
    }

    fn answered(&mut self, index: usize, done: Done) {
        self.http2.get_or_insert(false);
        let connection = self.get(index);
        let flight = connection.flight().expect("only a request in flight is answered");
        let body = connection.take_body();
        match done.reuse {
            Reuse::Keep => {
                connection.rest();
                self.idle.push(index);
            }
            Reuse::Close => self.close(index),
        }
        self.ends.push((flight, Outcome::Answered(done.status, body)));
    }

    /// Closes a connection; the requests on it have failed, and so have those that waited for it.
    fn fail(&mut self, index: usize, error: ErrorClass) {
        let streams = self.way.streams;
        let connection = self.get(index);
        let mut lost: Vec<usize> = connection.flight().into_iter().collect();
        lost.extend(connection.http2().into_iter().flat_map(|http2| http2.flights().collect::<Vec<_>>()));
        let awaited = !connection.has_carried();
        let failure = if error == ErrorClass::Tls { connection.tls_failure() } else { None };
        self.tls_failure = self.tls_failure.take().or(failure);
        self.close(index);
        if awaited && lost.is_empty() {
            let waited = streams.min(USUALLY_ALLOWED);
            while lost.len() < waited
                && let Some(queued) = self.queue.pop_front()
            {
                lost.extend((self.homes[queued.flight] == Home::Queue(queued.serial)).then_some(queued.flight));
            }
        }
        self.ends.extend(lost.into_iter().map(|flight| (flight, Outcome::Failed(error))));
    }

    fn close(&mut self, index: usize) {
        let place = &mut self.places[index];
        let closed = place.connection.take().expect("an index is held only while its connection is open");
        place.generation = place.generation.wrapping_add(1);
        place.roomy = false;
        self.free.push(index);
        if closed.flight().is_none() {
            self.idle.retain(|idle| *idle != index);
        }
        self.roomy.retain(|roomy| *roomy != index);
    }

    fn enqueue(&mut self, flight: usize, text: &[u8], body: Body) {
        self.serial += 1;
        let serial = self.serial;
        match Prepared::translate(text, self.way.tls.is_some()) {
            Some(request) => {
                self.homes[flight] = Home::Queue(serial);
                self.queue.push_back(Queued { flight, serial, request, body });
            }
            None => self.ends.push((flight, Outcome::Failed(ErrorClass::Protocol))),
        }
    }

    /// Puts waiting requests on connections with room, and opens connections for those that are left.
    fn dispatch(&mut self, poller: &Poller) {
        while let Some(queued) = self.queue.pop_front() {
            // given up in the meantime
            if self.homes[queued.flight] != Home::Queue(queued.serial) {
                continue;
            }
            let Some(index) = self.roomy.pop() else {
                self.queue.push_front(queued);
                break;
            };
            self.places[index].roomy = false;
            if self.begin(index, queued, poller) == Begun::NotYet {
                break;
            }
        }
        self.open_enough(poller);
    }

    fn begin(&mut self, index: usize, queued: Queued, poller: &Poller) -> Begun {
        let Queued { flight, serial, request, body } = queued;
        let http2 = self.places[index].connection.as_mut().and_then(Connection::http2);
        let http2 = http2.expect("only connections that speak HTTP/2 have room");
        let mut ends = std::mem::take(&mut self.ends);
        let begun = http2.begin(flight, request, body);
        let advance = match begun {
            Err(error) => {
                ends.push((flight, Outcome::Failed(error)));
                Advance::Broken(error)
            }
            Ok(_) => http2.poll(&mut ends).map_or_else(Advance::Broken, |()| Advance::Waiting),
        };
        self.ends = ends;
        let progress = match begun {
            Ok(Some(request)) => {
                self.queue.push_front(Queued { flight, serial, request, body });
                Begun::NotYet
            }
            Ok(None) => {
                self.homes[flight] = Home::Connection(index);
                Begun::Yes
            }
            Err(_) => Begun::Yes,
        };
        self.follow(index, advance, poller);
        progress
    }

    /// As many connections as all requests need, those in flight and those that wait, if each takes what is usual here.
    fn open_enough(&mut self, poller: &Poller) {
        if self.queue.is_empty() {
            return;
        }
        let (mut open, mut busy, mut allowed) = (0, 0, 0);
        for connection in self.places.iter_mut().filter_map(|place| place.connection.as_mut()) {
            match connection.http2() {
                Some(http2) if http2.is_retired() => {}
                Some(http2) => {
                    (open, busy, allowed) = (open + 1, busy + http2.open(), allowed.max(http2.allowed()));
                }
                None => open += 1,
            }
        }
        let each = if allowed == 0 { USUALLY_ALLOWED } else { allowed }.min(self.way.streams);
        for _ in open..(self.queue.len() + busy).div_ceil(each) {
            match self.open() {
                Ok(index) => self.await_events(index, poller),
                Err(error) => {
                    let lost =
                        self.queue.drain(..).filter(|queued| self.homes[queued.flight] == Home::Queue(queued.serial));
                    self.ends.extend(lost.map(|queued| (queued.flight, Outcome::Failed(error))));
                    return;
                }
            }
        }
    }
}
