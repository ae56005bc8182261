//! The wire of an HTTP/2 connection as the `h2` crate wants it, and what was noticed on it.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use h2::Reason;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::connection::class;
use super::super::ledger::ErrorClass;
use super::super::wire::{Broken, Wire};

/// The wire, and what was noticed on it.
#[derive(Debug)]
pub(super) struct Line {
    wire: Rc<RefCell<Wire>>,
    /// The socket refused to take more.
    pub(super) blocked: Cell<bool>,
    /// How often something came.
    pub(super) heard: Cell<u64>,
    broken: Cell<Option<Broken>>,
    /// The server has said goodbye, and this is what it means for the requests that it leaves without an answer.
    pub(super) told: Cell<Option<ErrorClass>>,
}

/// The line as `h2` wants it.
pub(super) struct Io(pub(super) Rc<Line>);

impl Line {
    pub(super) fn new(wire: Rc<RefCell<Wire>>) -> Self {
        Self { wire, blocked: Cell::new(false), heard: Cell::new(0), broken: Cell::new(None), told: Cell::new(None) }
    }

    /// What an error of `h2` means for a request; `heard` is false if the connection has answered others and said nothing
    /// on this one.
    pub(super) fn class(&self, error: &h2::Error, heard: bool) -> ErrorClass {
        if self.broken.get().is_some() || error.is_io() {
            return self.end(heard);
        }
        let remote = error.is_remote();
        match error.reason() {
            // not processed, says the server: it was closing as the request came
            Some(Reason::NO_ERROR) if remote && error.is_go_away() => ErrorClass::Stale,
            _ if remote && (error.is_reset() || error.is_go_away()) => ErrorClass::Reset,
            _ => ErrorClass::Protocol,
        }
    }

    /// What the end of the line means for a request.
    pub(super) fn end(&self, heard: bool) -> ErrorClass {
        if self.told.get() == Some(ErrorClass::Reset) {
            return ErrorClass::Reset;
        }
        class(self.broken.get().unwrap_or(Broken::Cut), heard)
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let received = self.0.wire.borrow_mut().receive(buffer.initialize_unfilled());
        match received {
            Ok(count) => {
                self.0.heard.set(self.0.heard.get() + u64::from(count > 0));
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Err(Broken::Os(Errno::AGAIN | Errno::INTR)) => Poll::Pending,
            Err(broken) => Poll::Ready(Err(self.0.breaks(broken))),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.0.wire.borrow_mut().send(bytes);
        match sent {
            Ok(count) => Poll::Ready(Ok(count)),
            Err(Broken::Os(Errno::AGAIN | Errno::INTR)) => {
                self.0.blocked.set(true);
                Poll::Pending
            }
            Err(broken) => Poll::Ready(Err(self.0.breaks(broken))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.0.wire.borrow_mut().flush();
        match flushed {
            Ok(()) => Poll::Ready(Ok(())),
            Err(broken) => Poll::Ready(Err(self.0.breaks(broken))),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // the peer may have closed already
        let _ = rustix::net::shutdown(self.0.wire.borrow().socket(), rustix::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

impl Line {
    fn breaks(&self, broken: Broken) -> io::Error {
        self.broken.set(Some(broken));
        match broken {
            Broken::Os(errno) => errno.into(),
            Broken::Tls | Broken::Cut => io::ErrorKind::UnexpectedEof.into(),
        }
    }
}
