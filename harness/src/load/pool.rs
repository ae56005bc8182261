//! The connections of a load: bounded by the requests in flight, idle ones reused last in, first out, so that a low rate
//! stays on few connections. Used by `engine`.

use std::net::SocketAddr;

use rustix::event::epoll::EventFlags;

use super::connection::Connection;
use super::ledger::ErrorClass;
use super::poller::Poller;
use super::spec::Protocol;

/// The connections.
#[derive(Debug)]
pub(super) struct Pool {
    address: SocketAddr,
    protocol: Protocol,
    places: Vec<Place>,
    free: Vec<usize>,
    idle: Vec<usize>,
}

/// Room for a connection; its generation tells events of its connection from those of an earlier one.
#[derive(Debug, Default)]
struct Place {
    connection: Option<Connection>,
    generation: u32,
    registered: Option<EventFlags>,
}

impl Pool {
    pub(super) const fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self { address, protocol, places: Vec::new(), free: Vec::new(), idle: Vec::new() }
    }

    /// An idle connection, or a new one.
    pub(super) fn acquire(&mut self) -> Result<usize, ErrorClass> {
        if let Some(index) = self.idle.pop() {
            return Ok(index);
        }
        let connection = Connection::open(self.address, self.protocol)?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() - 1
        });
        self.places[index].connection = Some(connection);
        Ok(index)
    }

    /// A connection that is there.
    pub(super) fn get(&mut self, index: usize) -> &mut Connection {
        self.places[index].connection.as_mut().expect("an index is held only while its connection is open")
    }

    /// The connection an event belongs to, if it is still open.
    pub(super) fn find(&self, token: u64) -> Option<usize> {
        let index = usize::try_from(token & u64::from(u32::MAX)).ok()?;
        let place = self.places.get(index)?;
        (place.connection.is_some() && u64::from(place.generation) == token >> 32).then_some(index)
    }

    /// Tells the poller what the connection waits for now.
    pub(super) fn register(&mut self, index: usize, poller: &Poller) -> Result<(), ErrorClass> {
        let place = &mut self.places[index];
        let connection = place.connection.as_ref().expect("an index is held only while its connection is open");
        let interest = connection.interest();
        if place.registered == Some(interest) {
            return Ok(());
        }
        let token = u64::from(place.generation) << 32 | index as u64;
        let result = match place.registered {
            None => poller.add(connection.socket(), token, interest),
            Some(_) => poller.modify(connection.socket(), token, interest),
        };
        place.registered = Some(interest);
        result.map_err(|_| ErrorClass::Client)
    }

    /// Keeps a connection for the next request.
    pub(super) fn release(&mut self, index: usize) {
        self.get(index).rest();
        self.idle.push(index);
    }

    /// Closes a connection, idle or not.
    pub(super) fn close(&mut self, index: usize) {
        let place = &mut self.places[index];
        let closed = place.connection.take().expect("an index is held only while its connection is open");
        place.generation = place.generation.wrapping_add(1);
        place.registered = None;
        self.free.push(index);
        if closed.exchange.is_none() {
            self.idle.retain(|idle| *idle != index);
        }
    }

    /// The connections with a request in flight.
    pub(super) fn busy(&self) -> Vec<usize> {
        let busy = |place: &Place| place.connection.as_ref().is_some_and(|connection| connection.exchange.is_some());
        self.places.iter().enumerate().filter(|(_, place)| busy(place)).map(|(index, _)| index).collect()
    }
}
