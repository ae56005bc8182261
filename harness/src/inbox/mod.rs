//! The receivers' inboxes: what the on-call would have got, from real servers on the loopback address.
//!
//! `run` starts one [`Inbox`] for a run, writes its addresses into the copy of `alertmanager.yml`, and reads
//! [`Message`]s from the channel; `expect` judges them. Each receiver's integration has a random path of its own, other
//! paths are 404 (X27); for mail each has a port of its own. A receiver can be told to refuse, delay or hang while a fault
//! on it lasts. The message is handed over when the answer
//! is decided, without waiting for whoever reads it (T38).

mod kind;
mod listing;
mod mail;
mod message;
mod payload;
mod redact;
mod server;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use kind::Kind;
pub use message::{Message, MessageAlert, Status};

use crate::clock::{Clock, Stamp};
use message::Content;

/// Why an inbox cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No port on the address.
    #[error("listen on {address} for {what}: {source}")]
    Listen {
        /// The address.
        address: IpAddr,
        /// For whom.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// What a receiver does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes them.
    Accept,
    /// Answers with this HTTP status; a mail is refused for now (451) at 429 and from 500 on, else for good (554).
    Refuse(u16),
    /// Takes them after this time.
    Delay(Duration),
    /// Reads them and never answers.
    Hang,
}

/// Bounds on what a sender can make the inbox hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest message in bytes; longer ones are refused and recorded (B70).
    pub message: usize,
    /// How much of a message is kept as [`Message::raw`], in bytes.
    pub raw: usize,
    /// Longest time to send a message; slower senders are cut off and block nobody (B72).
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 4 << 20, raw: 64 << 10, patience: Duration::from_secs(10) }
    }
}

/// The inboxes of a run.
pub struct Inbox {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    address: SocketAddr,
}

/// One integration of one receiver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    receiver: String,
    kind: Kind,
    index: usize,
}

/// What every connection needs.
struct Shared {
    clock: Clock,
    limits: Limits,
    desk: Mutex<Desk>,
    messages: UnboundedSender<Message>,
}

#[derive(Default)]
struct Desk {
    addresses: BTreeMap<Slot, String>,
    paths: HashMap<String, Slot>,
    behaviours: BTreeMap<String, Behaviour>,
}

impl Inbox {
    /// Opens the inboxes on a free port of `address`, with the default [`Limits`].
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(clock: Clock, address: IpAddr) -> Result<(Self, UnboundedReceiver<Message>), Error> {
        Self::with_limits(clock, address, Limits::default()).await
    }

    /// Opens the inboxes on a free port of `address`.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn with_limits(
        clock: Clock,
        address: IpAddr,
        limits: Limits,
    ) -> Result<(Self, UnboundedReceiver<Message>), Error> {
        let failed = |source| Error::Listen { address, what: "the inboxes".to_owned(), source };
        let listener = TcpListener::bind((address, 0)).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let (messages, received) = unbounded_channel();
        let shared = Arc::new(Shared { clock, limits, desk: Mutex::default(), messages });
        let inbox = Self { shared, tasks: TaskTracker::new(), stop: CancellationToken::new(), address: bound };
        let serving = server::serve(listener, Arc::clone(&inbox.shared), inbox.tasks.clone(), inbox.stop.clone());
        inbox.tasks.spawn(serving);
        Ok((inbox, received))
    }

    /// Where Alertmanager finds an integration: a URL, for mail `host:port`. Asked again, the answer is the same. Must be
    /// called inside a runtime.
    ///
    /// # Errors
    /// When there is no port for another mail receiver.
    pub fn url(&self, receiver: &str, kind: Kind, index: usize) -> Result<String, Error> {
        let slot = Slot { receiver: receiver.to_owned(), kind, index };
        let mut desk = self.shared.desk();
        if let Some(known) = desk.addresses.get(&slot) {
            return Ok(known.clone());
        }
        let address = if kind == Kind::Email {
            self.listen_for_mail(slot.clone())?
        } else {
            let path = format!("/{:032x}/{}/{}/{index}", rand::random::<u128>(), slug(receiver), kind.name());
            let address = format!("http://{}{path}", self.address);
            desk.paths.insert(path, slot.clone());
            address
        };
        desk.addresses.insert(slot, address.clone());
        Ok(address)
    }

    /// What a receiver does from now on, all of its integrations alike; messages in progress are not affected.
    pub fn set_behaviour(&self, receiver: &str, behaviour: Behaviour) {
        self.shared.desk().behaviours.insert(receiver.to_owned(), behaviour);
    }

    /// What a receiver does.
    #[must_use]
    pub fn behaviour(&self, receiver: &str) -> Behaviour {
        self.shared.behaviour(receiver)
    }

    /// Closes every port and connection. Messages in progress are handed over as unanswered before the channel closes.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn listen_for_mail(&self, slot: Slot) -> Result<String, Error> {
        let what = format!("mail to `{}`", slot.receiver);
        let address = self.address.ip();
        let failed = |source| Error::Listen { address, what, source };
        let bound = StdListener::bind((address, 0)).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let bound = listener.local_addr()?;
            Ok((TcpListener::from_std(listener)?, bound))
        });
        let (listener, bound) = bound.map_err(failed)?;
        let serving = mail::serve(listener, slot, Arc::clone(&self.shared), self.tasks.clone(), self.stop.clone());
        self.tasks.spawn(serving);
        Ok(bound.to_string())
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shared {
    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behaviour(&self, receiver: &str) -> Behaviour {
        self.desk().behaviours.get(receiver).copied().unwrap_or(Behaviour::Accept)
    }

    /// The integration a path belongs to, and what follows its address.
    fn find(&self, path: &str) -> Option<(Slot, String)> {
        let end = path.match_indices('/').nth(4).map_or(path.len(), |(end, _)| end);
        let (own, suffix) = path.split_at(end);
        let slot = self.desk().paths.get(own).cloned()?;
        let allowed = matches!(suffix, "" | "/") || slot.kind.calls_below();
        allowed.then(|| (slot, suffix.to_owned()))
    }
}

/// A message on its way to the reader: handed over when it is answered, or as unanswered when the sender goes away first.
struct Delivery {
    message: Option<Message>,
    messages: UnboundedSender<Message>,
}

impl Delivery {
    fn new(shared: &Shared, slot: &Slot, body: &[u8], content: Result<Content, String>) -> Self {
        let received = shared.clock.now();
        let message = message(slot, received, redact::redacted(body, shared.limits.raw), content);
        Self { message: Some(message), messages: shared.messages.clone() }
    }

    fn answered(mut self, status: u16) {
        if let Some(message) = &mut self.message {
            message.answered = status;
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            // The run may have stopped reading; then nobody wants it.
            let _ = self.messages.send(message);
        }
    }
}

fn message(slot: &Slot, received: Stamp, raw: String, content: Result<Content, String>) -> Message {
    let (content, defect) = match content {
        Ok(content) => (content, None),
        Err(defect) => (Content::default(), Some(defect)),
    };
    Message {
        receiver: slot.receiver.clone(),
        kind: slot.kind,
        index: slot.index,
        received,
        status: content.status,
        group_key: content.group_key,
        group_labels: content.group_labels,
        alerts: content.alerts,
        truncated: content.truncated,
        title: content.title,
        text: content.text,
        raw,
        answered: 0,
        defect,
    }
}

/// A receiver's name as it can stand in a path.
fn slug(name: &str) -> String {
    name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect()
}

#[cfg(test)]
mod tests;
