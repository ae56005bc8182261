//! Standard output: a thread that takes all that waits and writes it at once, a few milliseconds after the first line.

use std::io::Write;
use std::sync::PoisonError;
use std::time::Duration;

use super::{Loss, Shared};
use crate::clock;

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(2);

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    lines: Vec<u8>,
    writer: Writer,
    broken: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Writer {
    #[default]
    Busy,
    Idle,
    Closing,
}

impl Waiting {
    pub(super) fn push(&mut self, line: &[u8], limit: usize) -> Result<(), Loss> {
        if self.broken {
            return Err(Loss::StdoutClosed);
        }
        if self.lines.len() + line.len() > limit {
            return Err(Loss::StdoutFull);
        }
        self.lines.extend_from_slice(line);
        Ok(())
    }

    /// Whether the writer sleeps and must be told; true once.
    pub(super) fn should_wake(&mut self) -> bool {
        let idle = self.writer == Writer::Idle;
        if idle {
            self.writer = Writer::Busy;
        }
        idle
    }

    pub(super) fn close(&mut self) {
        self.writer = Writer::Closing;
    }
}

/// Writes until the log is closed and nothing waits.
pub(super) fn write_lines(shared: &Shared, mut output: impl Write) {
    let mut batch = Vec::new();
    while gather(shared, &mut batch) {
        let written = output.write_all(&batch).and_then(|()| output.flush());
        if written.is_err() {
            let lines = batch.iter().filter(|byte| **byte == b'\n').count();
            shared.metrics.log_lost(Loss::StdoutClosed, u64::try_from(lines).unwrap_or(u64::MAX));
            shared.lock().stdout.broken = true;
        }
        batch.clear();
    }
}

/// Waits for lines and takes them; false when the log is closed and empty.
fn gather(shared: &Shared, batch: &mut Vec<u8>) -> bool {
    let mut state = shared.lock();
    while state.stdout.lines.is_empty() {
        if state.stdout.writer == Writer::Closing {
            return false;
        }
        state.stdout.writer = Writer::Idle;
        state = shared.stdout_waiting.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    if state.stdout.writer != Writer::Closing {
        state.stdout.writer = Writer::Busy;
        drop(state);
        clock::block(GATHER);
        state = shared.lock();
    }
    std::mem::swap(&mut state.stdout.lines, batch);
    true
}
