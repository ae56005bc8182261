//! The server that all generators meet, as a process of its own, seen from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Anyhow;
use crate::account::Account;

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Behaviour {
    /// The first request that comes at least so long after the very first one begins a stall.
    pub(crate) stall_after: Duration,
    /// From then on nothing is answered for so long.
    pub(crate) stall: Duration,
    /// Every answer takes so long.
    pub(crate) delay: Duration,
}

impl Behaviour {
    pub(crate) fn delay(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// A second of silence, 2 s into a load of so many requests a second. It begins with the request that is due then: half a
    /// gap earlier the server is ready to fall silent, so that it does not hang on how many microseconds a request took.
    pub(crate) fn stall(rate: u32) -> Self {
        let gap = Duration::from_secs(1) / rate;
        Self { stall_after: Duration::from_secs(2) - gap / 2, stall: Duration::from_secs(1), ..Self::default() }
    }

    /// Whether it is one at all.
    pub(crate) fn is_special(self) -> bool {
        !self.stall.is_zero() || !self.delay.is_zero()
    }

    fn words(self) -> [String; 3] {
        [self.stall_after, self.stall, self.delay].map(|duration| duration.as_micros().to_string())
    }

    /// As [`Server::start`] hands it to the process.
    pub(crate) fn from_words(words: [&str; 3]) -> Anyhow<Self> {
        let micros = |word: &str| Ok::<_, std::num::ParseIntError>(Duration::from_micros(word.parse()?));
        let [stall_after, stall, delay] = words.map(micros);
        Ok(Self { stall_after: stall_after?, stall: stall?, delay: delay? })
    }
}

/// The server.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(behaviour: Behaviour) -> Anyhow<Self> {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(std::env::current_exe()?).arg("serve").args(behaviour.words());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("the server has no output")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse()? })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many requests it has received.
    pub(crate) fn requests(&self) -> Anyhow<u64> {
        Ok(self.ask("COUNT")?.trim().parse()?)
    }

    /// What it did and when; empty if it did nothing special.
    pub(crate) fn account(&self) -> Anyhow<Account> {
        Account::read(&self.ask("TIMES")?)
    }

    fn ask(&self, word: &str) -> Anyhow<String> {
        let mut stream = TcpStream::connect(self.address)?;
        write!(stream, "{word}\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
