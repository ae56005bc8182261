//! The receivers' inboxes: what the on-call would have got, from real servers on the loopback address.
//!
//! `run` starts one [`Inbox`] for a run, writes its addresses into the copy of `alertmanager.yml`, and reads
//! [`Message`]s from the channel; `expect` judges them. Each receiver's integration has a random path of its own, other
//! paths are 404 (X27); for mail each has a port of its own. A receiver can be told to refuse, delay or hang while a fault
//! on it lasts, or its address can be dead: each receiver has a port of its own. The message is handed over when the answer
//! is decided, without waiting for whoever reads it (T38).

mod door;
mod kind;
mod knock;
mod listing;
mod mail;
mod message;
mod payload;
mod redact;
mod server;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use kind::Kind;
pub use message::{Message, MessageAlert, Status};

use crate::clock::{Clock, Stamp};
use door::Door;
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
    /// Answers otherwise than it should.
    Answer(Answer),
    /// Reads them and never answers.
    Hang,
    /// Its address is dead: connections are refused.
    Dead,
}

/// How a receiver answers that misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; a mail is refused for now (451) at 429 and from 500 on, else for good (554). None: it takes them.
    pub status: Option<u16>,
    /// The time before the answer.
    pub after: Duration,
    /// Only to this many more messages, and as it should to those after them; none: to all.
    pub messages: Option<u32>,
}

impl Behaviour {
    /// Refuses every message with this status.
    #[must_use]
    pub const fn refuse(status: u16) -> Self {
        Self::Answer(Answer { status: Some(status), after: Duration::ZERO, messages: None })
    }

    /// Takes every message after this time.
    #[must_use]
    pub const fn delay(after: Duration) -> Self {
        Self::Answer(Answer { status: None, after, messages: None })
    }
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
    address: IpAddr,
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
    doors: Vec<Door>,
}

impl Inbox {
    /// Inboxes on `address`, with the default [`Limits`]; their ports are taken as receivers are asked for.
    #[must_use]
    pub fn start(clock: Clock, address: IpAddr) -> (Self, UnboundedReceiver<Message>) {
        Self::with_limits(clock, address, Limits::default())
    }

    /// Inboxes on `address`; their ports are taken as receivers are asked for.
    #[must_use]
    pub fn with_limits(clock: Clock, address: IpAddr, limits: Limits) -> (Self, UnboundedReceiver<Message>) {
        let (messages, received) = unbounded_channel();
        let shared = Arc::new(Shared { clock, limits, desk: Mutex::default(), messages });
        (Self { shared, tasks: TaskTracker::new(), stop: CancellationToken::new(), address }, received)
    }

    /// Where Alertmanager finds an integration: a URL, for mail `host:port`. Asked again, the answer is the same. Must be
    /// called inside a runtime.
    ///
    /// # Errors
    /// When there is no port for another receiver.
    pub fn url(&self, receiver: &str, kind: Kind, index: usize) -> Result<String, Error> {
        let slot = Slot { receiver: receiver.to_owned(), kind, index };
        let mut desk = self.shared.desk();
        if let Some(known) = desk.addresses.get(&slot) {
            return Ok(known.clone());
        }
        let mail = (kind == Kind::Email).then(|| slot.clone());
        let door = desk.doors.iter().find(|door| door.receiver == receiver && door.mail == mail);
        let at = match door {
            Some(door) => door.address,
            None => self.new_door(&mut desk, receiver, mail)?,
        };
        let address = if kind == Kind::Email {
            at.to_string()
        } else {
            let path = format!("/{:032x}/{}/{}/{index}", rand::random::<u128>(), slug(receiver), kind.name());
            let address = format!("http://{at}{path}");
            desk.paths.insert(path, slot.clone());
            address
        };
        desk.addresses.insert(slot, address.clone());
        Ok(address)
    }

    fn new_door(&self, desk: &mut Desk, receiver: &str, mail: Option<Slot>) -> Result<SocketAddr, Error> {
        let mut door = Door::new(receiver, mail, self.address).map_err(|source| self.failed(receiver, source))?;
        self.open(&mut door)?;
        let address = door.address;
        desk.doors.push(door);
        Ok(address)
    }

    fn open(&self, door: &mut Door) -> Result<(), Error> {
        let listener = door.listener().map_err(|source| self.failed(&door.receiver, source))?;
        let (shared, tasks, stop) = (Arc::clone(&self.shared), self.tasks.clone(), self.stop.child_token());
        let serving = match door.mail.clone() {
            Some(slot) => self.tasks.spawn(mail::serve(listener, slot, shared, tasks, stop.clone())),
            None => self.tasks.spawn(server::serve(listener, shared, tasks, stop.clone())),
        };
        door.opened(stop, serving);
        Ok(())
    }

    fn failed(&self, receiver: &str, source: std::io::Error) -> Error {
        Error::Listen { address: self.address, what: format!("messages to `{receiver}`"), source }
    }

    /// What a receiver does from now on, all of its integrations alike; messages in progress are not affected, except that
    /// a dead address has no connections.
    ///
    /// # Errors
    /// When its port cannot be listened on again.
    pub async fn set_behaviour(&self, receiver: &str, behaviour: Behaviour) -> Result<(), Error> {
        let dead = behaviour == Behaviour::Dead;
        let closing: Vec<_> = {
            let mut desk = self.shared.desk();
            desk.behaviours.insert(receiver.to_owned(), behaviour);
            let own = desk.doors.iter_mut().filter(|door| door.receiver == receiver);
            own.filter(|_| dead).filter_map(Door::shut).collect()
        };
        for serving in closing {
            // it ends because it was told to
            drop(serving.await);
        }
        let mut desk = self.shared.desk();
        let own = desk.doors.iter_mut().filter(|door| door.receiver == receiver);
        own.filter(|door| !dead && !door.is_open()).try_for_each(|door| self.open(door))
    }

    /// What a receiver does.
    #[must_use]
    pub fn behaviour(&self, receiver: &str) -> Behaviour {
        self.shared.desk().behaviours.get(receiver).copied().unwrap_or(Behaviour::Accept)
    }

    /// Connects to each of a receiver's ports: whether it is let in, and what it met.
    pub async fn knock(&self, receiver: &str) -> Vec<Result<String, String>> {
        let addresses: Vec<SocketAddr> = {
            let desk = self.shared.desk();
            desk.doors.iter().filter(|door| door.receiver == receiver).map(|door| door.address).collect()
        };
        let knocks = addresses
            .into_iter()
            .map(async |address| door::knock(address).await.map(|()| format!("{address} accepts connections")));
        futures_util::future::join_all(knocks).await
    }

    /// Closes every port and connection. Messages in progress are handed over as unanswered before the channel closes.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
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

    /// What a receiver does with the message that it has just read; one of those that it misbehaves to is counted off.
    fn next(&self, receiver: &str) -> Behaviour {
        match self.desk().behaviours.get_mut(receiver) {
            Some(Behaviour::Answer(Answer { messages: Some(0), .. })) | None => Behaviour::Accept,
            Some(behaviour) => {
                let now = *behaviour;
                if let Behaviour::Answer(Answer { messages: Some(left), .. }) = behaviour {
                    *left -= 1;
                }
                now
            }
        }
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
