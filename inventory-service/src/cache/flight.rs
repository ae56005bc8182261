//! One load for many waiters: callers that miss the same item at the same time share one question to the database.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};

use crate::inventory::{Item, Sku};
use crate::store::StoreError;

type Loaded = Result<Arc<Item>, Arc<StoreError>>;
type Flight = Pin<Box<dyn Future<Output = Loaded> + Send>>;

/// The loads under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Sku, WeakShared<Flight>>>>);

/// Takes the entry away when the load ends or its last waiter goes.
struct Landing {
    flights: Flights,
    sku: Sku,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.sku);
    }
}

impl Flights {
    /// Waits for the load of `sku` that is under way, or starts `load`.
    pub(super) async fn join<F>(&self, sku: &Sku, load: F) -> Loaded
    where
        F: Future<Output = Result<Item, StoreError>> + Send + 'static,
    {
        self.board(sku, load).await
    }

    fn board<F>(&self, sku: &Sku, load: F) -> Shared<Flight>
    where
        F: Future<Output = Result<Item, StoreError>> + Send + 'static,
    {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(sku).and_then(WeakShared::upgrade) {
            return flight;
        }
        let landing = Landing { flights: self.clone(), sku: sku.clone() };
        let flight: Flight = Box::pin(async move {
            let loaded = load.await.map(Arc::new).map_err(Arc::new);
            drop(landing);
            loaded
        });
        let flight = flight.shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(sku.clone(), weak);
        }
        flight
    }
}
