//! What happens to a scenario's containers, as the engine tells it: started, paused, out of memory, ended.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{EventActor, EventMessage};
use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{COMPONENT_LABEL, Engine, RUN_LABEL, SCENARIO_LABEL};
use crate::clock;
use crate::stack::notice::{Change, Fact, Notices};

impl Engine {
    /// Tells every change of the containers of a scenario, until `closing` is cancelled and all of them are removed. Begins a
    /// second ago, so that it may be started beside the first container.
    pub(in crate::stack) async fn watch(
        &self,
        run: &str,
        scenario: &str,
        notices: &Notices,
        closing: CancellationToken,
    ) {
        let labels = vec![format!("{RUN_LABEL}={run}"), format!("{SCENARIO_LABEL}={scenario}")];
        let since = clock::wall().as_seconds() - 1.0;
        let options = EventsOptions {
            since: Some(format!("{since:.3}")),
            filters: Some(HashMap::from([
                ("type".to_owned(), vec!["container".to_owned()]),
                ("label".to_owned(), labels),
            ])),
            ..Default::default()
        };
        let mut events = std::pin::pin!(self.docker.events(Some(options)));
        let mut there: BTreeSet<String> = BTreeSet::new();
        loop {
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                () = closing.cancelled(), if there.is_empty() => return,
            };
            match event {
                Some(Ok(event)) => {
                    if let Some((component, change, detail)) = read(event) {
                        let _ = match change {
                            Change::Created => there.insert(component.clone()),
                            Change::Removed => there.remove(&component),
                            _ => true,
                        };
                        notices.tell(Fact::Changed { component, change, detail });
                    }
                }
                Some(Err(error)) => {
                    let message = format!("the container engine tells no more events: {error}");
                    return notices.tell(Fact::Warned { message });
                }
                None => return,
            }
        }
    }
}

/// The component, what happened, and in words what else is known; none for what is no change of a container.
fn read(event: EventMessage) -> Option<(String, Change, String)> {
    let EventActor { attributes, .. } = event.actor?;
    let attributes = attributes?;
    let attribute = |name: &str| attributes.get(name).cloned().unwrap_or_default();
    let (change, detail) = match event.action?.as_str() {
        "create" => (Change::Created, attribute("image")),
        "start" => (Change::Started, String::new()),
        "restart" => (Change::Restarted, String::new()),
        "pause" => (Change::Paused, String::new()),
        "unpause" => (Change::Resumed, String::new()),
        "oom" => (Change::OutOfMemory, String::new()),
        "kill" => (Change::Signalled, format!("signal {}", attribute("signal"))),
        "die" => (Change::Ended, format!("exit status {}", attribute("exitCode"))),
        "destroy" => (Change::Removed, String::new()),
        _ => return None,
    };
    Some((attributes.get(COMPONENT_LABEL)?.clone(), change, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, more: &[(&str, &str)]) -> EventMessage {
        let own = (COMPONENT_LABEL, "redis");
        let attributes = more.iter().chain([&own]).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(EventActor { attributes: Some(attributes.collect()), ..EventActor::default() }),
            ..EventMessage::default()
        }
    }

    #[test]
    fn what_the_engine_tells_is_read() {
        let read =
            |action, more: &[(&str, &str)]| read(event(action, more)).map(|(_, change, detail)| (change, detail));
        assert_eq!(read("die", &[("exitCode", "137")]), Some((Change::Ended, "exit status 137".to_owned())));
        assert_eq!(read("kill", &[("signal", "9")]), Some((Change::Signalled, "signal 9".to_owned())));
        assert_eq!(read("oom", &[]), Some((Change::OutOfMemory, String::new())));
        assert_eq!(read("exec_start: sh", &[]), None);
    }
}
