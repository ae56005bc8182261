//! The totals of the inventory, read when somebody scrapes, so that nobody counts when nobody looks. A scrape waits for the
//! count only for a moment; a database that is slow must not take the whole scrape down with it. What is not known is not
//! shown: an old count looks like a living one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Store;
use crate::clock;
use crate::inventory::Totals;

/// How long a scrape waits for the count it has asked for.
const PATIENCE: Duration = Duration::from_millis(50);
/// A count that is older is not shown.
const FRESH: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum State {
    Idle { last: Option<(Instant, Totals)> },
    Counting { last: Option<(Instant, Totals)> },
}

impl State {
    fn last(self) -> Option<(Instant, Totals)> {
        match self {
            Self::Idle { last } | Self::Counting { last } => last,
        }
    }
}

/// The last count and the one under way.
#[derive(Debug)]
pub struct Stocktake {
    store: Arc<Store>,
    state: Arc<watch::Sender<State>>,
}

impl Stocktake {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, state: Arc::new(watch::Sender::new(State::Idle { last: None })) }
    }

    /// Counts, unless a count is under way, and answers what is known a moment later.
    pub async fn totals(&self) -> Option<Totals> {
        self.begin();
        let mut seen = self.state.subscribe();
        let counted = seen.wait_for(|state| matches!(state, State::Idle { .. }));
        drop(tokio::time::timeout(PATIENCE, counted).await);
        let last = self.state.borrow().last();
        last.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, totals)| totals)
    }

    fn begin(&self) {
        let idle = self.state.send_if_modified(|state| match *state {
            State::Idle { last } => {
                *state = State::Counting { last };
                true
            }
            State::Counting { .. } => false,
        });
        if idle {
            let (store, state) = (Arc::clone(&self.store), Arc::clone(&self.state));
            tokio::spawn(async move {
                let counted = store.totals().await.ok();
                state.send_modify(|state| {
                    *state = State::Idle { last: counted.map(|totals| (clock::instant(), totals)) }
                });
            });
        }
    }
}
