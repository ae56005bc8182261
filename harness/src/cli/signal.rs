//! Signals: the first asks the run to end in order, the second ends the harness at once and leaves the rest to the reaper.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::complain;

pub(super) async fn listen(cancel: CancellationToken) {
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
            complain("interrupted: undoing faults, stopping the stack, writing the report; once more ends at once");
            cancel.cancel();
        } else {
            complain("interrupted again: the reaper removes the rest");
            std::process::exit(130);
        }
    }
}
