//! Signals: the first asks the run to end in order, the second ends the harness at once and leaves the rest to the reaper.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::complain;

/// What is said at the first signal and at the second.
pub(super) type Words = [&'static str; 2];

const OF_A_DRILL: Words = [
    "interrupted: undoing faults, stopping the stack, writing the report; once more ends at once",
    "interrupted again: the reaper removes the rest",
];

pub(super) async fn listen(cancel: CancellationToken) {
    listen_saying(cancel, OF_A_DRILL).await;
}

pub(super) async fn listen_saying(cancel: CancellationToken, [first, second]: Words) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        complain("warning: signals cannot be caught here; a kill is cleaned up by the reaper");
        return;
    };
    for count in 1.. {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if count == 1 {
            complain(first);
            cancel.cancel();
        } else {
            complain(second);
            std::process::exit(130);
        }
    }
}
