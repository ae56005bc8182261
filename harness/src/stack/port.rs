//! Free loopback ports, held for a run.
//!
//! A port is held by a name in the abstract socket namespace, which the kernel frees with the process, however it ends:
//! runs side by side never choose the same one, and nothing is left to clean up. The range lies below the one from which
//! the kernel takes ports for outgoing connections, so that no client of the run can sit on a port that a component is
//! about to bind.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

use rand::Rng;

const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// A loopback port that no other run will choose while this value lives.
#[derive(Debug)]
pub struct PortLease {
    port: u16,
    _name: UnixListener,
}

impl PortLease {
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// Takes a free port, starting at a random place in the range.
///
/// # Errors
/// When the whole range is taken.
pub fn lease() -> io::Result<PortLease> {
    let size = LAST - FIRST + 1;
    let start = rand::rng().random_range(0..size);
    (0..size)
        .find_map(|step| hold(FIRST + (start + step) % size))
        .ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, format!("no port between {FIRST} and {LAST} is free")))
}

fn hold(port: u16) -> Option<PortLease> {
    let name = UnixAddr::from_abstract_name(format!("harness-port-{port}")).ok()?;
    let name = UnixListener::bind_addr(&name).ok()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    Some(PortLease { port, _name: name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_port_is_not_given_twice_and_comes_back_with_its_lease() {
        let first = lease().unwrap();
        assert!(hold(first.port()).is_none());
        let port = first.port();
        drop(first);
        assert!(hold(port).is_some());
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_given() {
        let lease = lease().unwrap();
        let port = lease.port();
        let _listener = TcpListener::bind(lease.address()).unwrap();
        drop(lease);
        assert!(hold(port).is_none());
    }
}
