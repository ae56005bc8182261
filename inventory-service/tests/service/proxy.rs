//! A proxy between the service and a server, which can hold, swallow or cut what passes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They pass.
    Forward,
    /// They wait, and pass afterwards.
    Pause,
    /// They disappear, and what was lost stays lost.
    Blackhole,
    /// Connections are reset, new ones too.
    Reset,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    pub(crate) async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode::Forward);
        let (target, modes) = (target.to_owned(), mode.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                client.set_zero_linger().unwrap();
                if *modes.borrow() != Mode::Reset {
                    tokio::spawn(connection(client, target.clone(), modes.subscribe()));
                }
            }
        });
        Self { address, mode }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// The address of the target as seen through the proxy.
    pub(crate) fn through(&self, url: &str) -> String {
        url.replace(crate::servers::authority(url), &self.address.to_string())
    }
}

async fn connection(client: TcpStream, target: String, mode: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut reset = mode.clone();
    tokio::select! {
        () = pump(from_client, to_server, mode.clone()) => {}
        () = pump(from_server, to_client, mode) => {}
        _ = reset.wait_for(|mode| *mode == Mode::Reset) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut swallowed = *mode.borrow() == Mode::Blackhole;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        swallowed |= *mode.borrow() == Mode::Blackhole;
        if mode.wait_for(|mode| *mode != Mode::Pause).await.is_err() {
            return;
        }
        if !swallowed && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
