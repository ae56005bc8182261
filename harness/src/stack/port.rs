//! Free loopback ports, held for a run.
//!
//! A port is held by a name in the abstract socket namespace, which the kernel frees with the process, however it ends:
//! runs side by side never choose the same one, and nothing is left to clean up. The range lies below the one from which
//! the kernel takes ports for outgoing connections, so that no client of the run can sit on a port that a component is
//! about to bind.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

use rand::Rng;

const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// The first and the last port that may be chosen.
pub(super) const RANGE: (u16, u16) = (FIRST, LAST);

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

/// Takes this very port.
///
/// # Errors
/// When it is taken; the message names who listens there, as far as this user may know.
pub fn claim(port: u16) -> io::Result<PortLease> {
    hold(port).ok_or_else(|| {
        let holder =
            holder(port).unwrap_or_else(|| "another run of the harness, or one that it is just closing".to_owned());
        io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("port {port} is taken by {holder}; end it, or publish another"),
        )
    })
}

/// Who listens on a port of loopback: `process 4711 (postgres -D …)`; none when nobody does.
#[must_use]
pub fn holder(port: u16) -> Option<String> {
    let socket = listener(port)?;
    let link = format!("socket:[{socket}]");
    let processes = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let holds = |pid: &String| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| *target == *link)
    };
    let found = processes.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit())).find(holds);
    let Some(pid) = found else { return Some("a process of another user".to_owned()) };
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command: String = String::from_utf8_lossy(&command).replace('\0', " ").trim().chars().take(80).collect();
    Some(format!("process {pid} ({command})"))
}

/// The inode of the socket that listens on a port of loopback or of every address, from the kernel's tables.
fn listener(port: u16) -> Option<u64> {
    const LISTENS: &str = "0A";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines()).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let listens = *state == LISTENS && u16::from_str_radix(local.rsplit_once(':')?.1, 16) == Ok(port);
        listens.then(|| inode.parse().ok()).flatten()
    })
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
    fn a_port_that_is_taken_names_its_holder() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = claim(port).unwrap_err().to_string();
        let own = format!("port {port} is taken by process {}", std::process::id());
        assert!(refused.starts_with(&own) && refused.contains("harness"), "{refused}");
        drop(listener);
        assert_eq!(holder(port), None);
        assert_eq!(claim(port).unwrap().port(), port);
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
