//! The requests in flight: each has a number from its start to its end, under which the pool and the deadlines know it.
//! Used by `engine`.

use std::time::Duration;

use super::deadline::Deadlines;

/// A request in flight; times since the load's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) request: usize,
    /// The visit it is a step of.
    pub(super) visit: Option<usize>,
    pub(super) intended: Duration,
    pub(super) started: Duration,
}

/// All requests in flight; numbers are reused.
#[derive(Debug, Default)]
pub(super) struct Flights {
    places: Vec<Option<Exchange>>,
    free: Vec<usize>,
    by_age: Deadlines,
}

impl Flights {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// A request that starts now, later than all others.
    pub(super) fn begin(&mut self, exchange: Exchange) -> usize {
        let flight = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[flight] = Some(exchange);
        self.by_age.push(flight);
        flight
    }

    /// A request that is in flight.
    pub(super) fn get(&self, flight: usize) -> &Exchange {
        self.places[flight].as_ref().expect("a number is held only while its request is in flight")
    }

    /// Takes a request that has ended.
    pub(super) fn end(&mut self, flight: usize) -> Exchange {
        let exchange = self.places[flight].take().expect("a number is held only while its request is in flight");
        self.by_age.remove(flight);
        self.free.push(flight);
        exchange
    }

    /// The request that was started first, and when.
    pub(super) fn oldest(&self) -> Option<(usize, Duration)> {
        self.by_age.first().map(|flight| (flight, self.get(flight).started))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_request_is_known_by_its_number_until_it_ends() {
        let at = |millis| Exchange {
            request: 0,
            visit: None,
            intended: Duration::ZERO,
            started: Duration::from_millis(millis),
        };
        let mut flights = Flights::default();
        let first = flights.begin(at(1));
        let second = flights.begin(at(2));
        assert_eq!((flights.count(), flights.oldest()), (2, Some((first, Duration::from_millis(1)))));
        assert_eq!(flights.end(first).started, Duration::from_millis(1));
        assert_eq!(flights.oldest(), Some((second, Duration::from_millis(2))));
        assert_eq!(flights.begin(at(3)), first);
        assert_eq!(flights.oldest(), Some((second, Duration::from_millis(2))));
    }
}
