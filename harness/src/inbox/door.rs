//! A door: the address of a receiver's inboxes, which can be shut and opened again on the same port.
//!
//! A second socket is bound to the port and never listens: while the door is shut, whoever connects is refused, and nobody
//! else gets the port.

use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Slot;

/// How long an open door may take to let somebody in.
const PATIENCE: Duration = Duration::from_millis(400);

/// One port of one receiver.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) receiver: String,
    /// The integration it belongs to, for mail; none for the port that all others share.
    pub(super) mail: Option<Slot>,
    pub(super) address: SocketAddr,
    _hold: TcpSocket,
    open: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Door {
    /// Takes a free port of `address`; shut at first.
    pub(super) fn new(receiver: &str, mail: Option<Slot>, address: IpAddr) -> std::io::Result<Self> {
        let hold = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        hold.set_reuseaddr(true)?;
        hold.bind((address, 0).into())?;
        Ok(Self { receiver: receiver.to_owned(), mail, address: hold.local_addr()?, _hold: hold, open: None })
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A listener on its port. Must be called inside a runtime, while it is shut.
    pub(super) fn listener(&self) -> std::io::Result<TcpListener> {
        let listener = StdListener::bind(self.address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    /// From now on `serving` lets people in, until `stop` is cancelled.
    pub(super) fn opened(&mut self, stop: CancellationToken, serving: JoinHandle<()>) {
        self.open = Some((stop, serving));
    }

    /// Ends every connection; what is returned ends when the listener is closed.
    pub(super) fn shut(&mut self) -> Option<JoinHandle<()>> {
        let (stop, serving) = self.open.take()?;
        stop.cancel();
        Some(serving)
    }
}

/// Whether somebody lets us in: why not, if not.
pub(super) async fn knock(address: SocketAddr) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(format!("{address} refuses connections"))
        }
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!("{address} does not answer within {PATIENCE:?}")),
    }
}
