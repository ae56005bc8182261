//! Live progress on stderr while a run goes: one line a scenario on a terminal, plain lines elsewhere. Drawing happens on a
//! thread of its own, so that a terminal that does not read never holds a run up. Fed by the watcher of the event sink.

mod plain;
mod status;

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::event::{Event, EventKind};
use crate::report::clean;
use plain::Plain;
use status::Status;

/// Shows events until there are no more.
pub async fn show(events: UnboundedReceiver<Event>) {
    let drawn = tokio::task::spawn_blocking(move || if stderr().is_terminal() { bars(events) } else { lines(events) });
    // a panic while drawing is no reason to fail a run
    drop(drawn.await);
}

fn lines(mut events: UnboundedReceiver<Event>) {
    let mut plain = Plain::default();
    while let Some(event) = events.blocking_recv() {
        if let Some(line) = plain.line(&clean::event(&event)) {
            let mut err = stderr().lock();
            drop(writeln!(err, "{line}"));
        }
    }
}

fn bars(mut events: UnboundedReceiver<Event>) {
    let screen = Screen::new();
    let mut shown: IndexMap<String, (Status, ProgressBar)> = IndexMap::new();
    let whole = screen.bar("run");
    while let Some(event) = events.blocking_recv() {
        let event = clean::event(&event);
        match (&event.scenario, &event.what) {
            (None, EventKind::Progressed { message }) => whole.set_message(message.clone()),
            (_, EventKind::Warned { message }) => drop(screen.multi.println(format!("warning: {message}"))),
            (None, EventKind::InterruptReceived { signal }) => {
                whole.set_message(format!("{signal}: undoing faults, stopping the stack, writing the report"));
            }
            (None, _) => {}
            (Some(name), _) => {
                let (status, bar) = shown.entry(name.clone()).or_insert_with(|| (Status::default(), screen.bar(name)));
                status.take(&event);
                bar.set_message(status.line());
                if status.is_over() {
                    bar.abandon();
                }
            }
        }
    }
    for bar in shown.values().map(|(_, bar)| bar).chain([&whole]) {
        bar.finish_and_clear();
    }
    drop(screen.multi.clear());
}

struct Screen {
    multi: MultiProgress,
    style: ProgressStyle,
}

impl Screen {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {prefix:.bold} {wide_msg} {elapsed:>4}")
            .expect("the template is constant")
            .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏✓");
        Self { multi: MultiProgress::new(), style }
    }

    fn bar(&self, name: &str) -> ProgressBar {
        let bar = self.multi.add(ProgressBar::new_spinner().with_style(self.style.clone()));
        bar.set_prefix(format!("{name:22}"));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}
