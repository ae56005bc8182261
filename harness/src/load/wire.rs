//! The bytes of a connection: a non-blocking socket, plain or with TLS (rustls, driven by hand from the engine's epoll).
//! Used by `connection` and `http2`.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustls::ClientConnection;

use super::tls::Tls;

/// A socket, plain or with TLS.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(OwnedFd),
    Tls(Box<Encrypted>),
}

/// A socket with TLS on it.
#[derive(Debug)]
pub(super) struct Encrypted {
    socket: OwnedFd,
    session: ClientConnection,
    /// Why it failed, in rustls's words.
    failure: Option<String>,
}

/// Why bytes did not go through. `Errno::AGAIN` is not a failure but a reason to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The operating system said so.
    Os(Errno),
    /// The handshake failed, or the peer broke the rules of TLS.
    Tls,
    /// The stream ended without the `close_notify` that TLS ends with: what came before may have been cut short.
    Cut,
}

/// How far the handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    Waiting,
    Done(Agreed),
}

/// The protocol that was agreed on in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreed {
    /// By ALPN.
    Http1,
    /// By ALPN.
    Http2,
    /// Nothing: without TLS, or with a server that knows no ALPN.
    Nothing,
}

impl Wire {
    /// `socket` is non-blocking and may still be connecting.
    pub(super) fn new(socket: OwnedFd, tls: Option<&Tls>) -> Result<Self, Broken> {
        let Some(tls) = tls else { return Ok(Self::Plain(socket)) };
        let session = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone()).map_err(|_| Broken::Tls)?;
        Ok(Self::Tls(Box::new(Encrypted { socket, session, failure: None })))
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(socket) => socket.as_fd(),
            Self::Tls(encrypted) => encrypted.socket.as_fd(),
        }
    }

    /// Goes on with the handshake as far as the socket lets it.
    pub(super) fn handshake(&mut self) -> Result<Handshake, Broken> {
        match self {
            Self::Plain(_) => Ok(Handshake::Done(Agreed::Nothing)),
            Self::Tls(encrypted) => encrypted.handshake(),
        }
    }

    /// Takes bytes to send; `AGAIN` when none fits now.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        match self {
            Self::Plain(socket) => rustix::net::send(&*socket, bytes, SendFlags::NOSIGNAL).map_err(Broken::Os),
            Self::Tls(encrypted) => encrypted.send(bytes),
        }
    }

    /// Reads what has come; 0 at the end of the stream, `AGAIN` when nothing is there.
    pub(super) fn receive(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        match self {
            Self::Plain(socket) => {
                rustix::net::recv(&*socket, into, RecvFlags::empty()).map(|(count, _)| count).map_err(Broken::Os)
            }
            Self::Tls(encrypted) => encrypted.receive(into),
        }
    }

    /// Sends what was taken and is still here, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(encrypted) => encrypted.flush(),
        }
    }

    /// Whether bytes that were taken wait for the socket.
    pub(super) fn holds_back(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(encrypted) => encrypted.session.wants_write(),
        }
    }

    /// Says why a handshake that went well is of no use.
    pub(super) fn reject(&mut self, why: &str) {
        if let Self::Tls(encrypted) = self {
            encrypted.failure = Some(why.to_owned());
        }
    }

    /// Why TLS failed, if it did and there is more to say than that.
    pub(super) fn failure(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(encrypted) => encrypted.failure.as_deref(),
        }
    }

    /// Whether more can be there than the last [`Self::receive`] gave although the socket has nothing new.
    pub(super) const fn may_hold_more(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl Encrypted {
    fn handshake(&mut self) -> Result<Handshake, Broken> {
        loop {
            // the TCP connection was there: what breaks now is the handshake
            self.flush().map_err(|_| Broken::Tls)?;
            if !self.session.is_handshaking() {
                return Ok(Handshake::Done(match self.session.alpn_protocol() {
                    Some(b"h2") => Agreed::Http2,
                    Some(_) => Agreed::Http1,
                    None => Agreed::Nothing,
                }));
            }
            match self.read() {
                Ok(0) => {
                    self.failure = Some("the server closed the connection in the handshake".to_owned());
                    return Err(Broken::Tls);
                }
                Ok(_) => {}
                Err(Broken::Os(Errno::AGAIN)) => return Ok(Handshake::Waiting),
                Err(_) => return Err(Broken::Tls),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let taken = self.session.writer().write(bytes).map_err(|_| Broken::Tls)?;
        self.flush()?;
        if taken == 0 && !bytes.is_empty() { Err(Broken::Os(Errno::AGAIN)) } else { Ok(taken) }
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        loop {
            match self.session.reader().read(into) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Broken::Cut),
            }
            // at the end of the stream the next turn tells which end it is
            self.read()?;
        }
    }

    /// Reads once from the socket and deciphers what came; 0 at its end.
    fn read(&mut self) -> Result<usize, Broken> {
        let count = self.session.read_tls(&mut Socket(&self.socket)).map_err(|error| broken(&error))?;
        if let Err(error) = self.session.process_new_packets() {
            self.failure = Some(error.to_string());
            // the peer is told why, if it still listens
            let _ = self.flush();
            return Err(Broken::Tls);
        }
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Broken> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Socket(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(())
    }
}

fn broken(error: &io::Error) -> Broken {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Broken::Os(Errno::AGAIN),
        _ => error.raw_os_error().map_or(Broken::Tls, |code| Broken::Os(Errno::from_raw_os_error(code))),
    }
}

/// The socket as rustls wants it.
struct Socket<'a>(&'a OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self.0, into, RecvFlags::empty())?.0)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
