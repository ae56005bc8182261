//! What the server itself says it did, request by request; the truth that a generator's figures are held against.

use crate::Anyhow;

/// A request, by the server's clock; milliseconds since the first one came.
#[derive(Clone, Copy, Debug)]
struct Served {
    received: f64,
    sent: f64,
}

/// All requests in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account(Vec<Served>);

/// A time without answers, and what had gathered at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    /// From the request that began it to the first answer after it.
    pub(crate) lasted: f64,
    /// How many requests waited.
    pub(crate) waited: usize,
    /// From the first to the last of their answers.
    pub(crate) drained_in: f64,
}

impl Account {
    /// From the server's own text: a line for each request, with nanoseconds.
    pub(crate) fn read(text: &str) -> Anyhow<Self> {
        let served = |line: &str| {
            let (received, sent) = line.split_once(' ').ok_or("an unknown form of account")?;
            Ok(Served { received: received.parse::<f64>()? / 1e6, sent: sent.parse::<f64>()? / 1e6 })
        };
        Ok(Self(text.lines().map(served).collect::<Anyhow<_>>()?))
    }

    /// p50, p90, p95 and p99 from when a request came to when its answer was sent, in milliseconds.
    pub(crate) fn took(&self) -> Option<[f64; 4]> {
        percentiles(self.0.iter().map(|served| served.sent - served.received).collect())
    }

    /// The same from when each request was due: the n-th that came is the n-th that was due, and the schedule began as late
    /// as it can have, with no request before its time.
    pub(crate) fn since_due(&self, rate: u32) -> Option<[f64; 4]> {
        let due = |number: usize| number as f64 * 1e3 / f64::from(rate);
        let early = self.0.iter().enumerate().map(|(number, served)| served.received - due(number));
        let began = early.fold(f64::INFINITY, f64::min);
        percentiles(self.0.iter().enumerate().map(|(number, served)| served.sent - began - due(number)).collect())
    }

    /// The longest time without answers, if there was one of at least half a second.
    pub(crate) fn stall(&self) -> Option<Stall> {
        let first = self.0.iter().find(|served| served.sent - served.received > 500.0)?;
        let backlog: Vec<_> =
            self.0.iter().filter(|served| (first.received..first.sent).contains(&served.received)).collect();
        let last = backlog.iter().map(|served| served.sent).fold(first.sent, f64::max);
        Some(Stall { lasted: first.sent - first.received, waited: backlog.len(), drained_in: last - first.sent })
    }
}

/// By nearest rank.
fn percentiles(mut times: Vec<f64>) -> Option<[f64; 4]> {
    times.sort_by(f64::total_cmp);
    let rank = |share: usize| (times.len() * share).div_ceil(100).checked_sub(1);
    let at = |share| rank(share).map(|rank| times[rank]);
    Some([at(50)?, at(90)?, at(95)?, at(99)?])
}
