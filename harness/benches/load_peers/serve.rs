//! The server's own process: one thread, one epoll, one timer. It answers every head with 27 bytes of JSON, at once or when
//! its behaviour says so, and keeps its own account of it: tokio's timers would be a millisecond late.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use harness::clock;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::Anyhow;
use crate::server::Behaviour;

const BODY: &str = "{\"sku\":\"A-1\",\"quantity\":10}";
const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// Serves until it is killed; its first line is its address.
pub(crate) fn serve(behaviour: Behaviour) -> Anyhow<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    let mut service = Service::new(listener, behaviour)?;
    let mut events = Vec::with_capacity(1_024);
    loop {
        events.clear();
        match epoll::wait(&service.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => service.accept()?,
                TIMER => {}
                index => service.read(usize::try_from(index)?)?,
            }
        }
        service.answer_due()?;
    }
}

struct Service {
    epoll: OwnedFd,
    timer: OwnedFd,
    listener: TcpListener,
    /// By number; a number is not used twice.
    connections: Vec<Option<Connection>>,
    behaviour: Behaviour,
    reply: String,
    count: u64,
    /// When the first request came.
    first: Option<Instant>,
    stall_ends: Option<Instant>,
    /// Requests that are answered later, in order of time.
    waiting: VecDeque<Waiting>,
    /// When each request came and when its answer was sent, if the server misbehaves.
    account: Vec<[Instant; 2]>,
}

struct Connection {
    stream: TcpStream,
    head: Vec<u8>,
}

/// A request that is answered later.
struct Waiting {
    due: Instant,
    connection: usize,
    entry: usize,
}

impl Service {
    fn new(listener: TcpListener, behaviour: Behaviour) -> Anyhow<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        // edge-triggered: setting it again clears it, so it never has to be read
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        let head = format!("content-type: application/json\r\ncontent-length: {}", BODY.len());
        Ok(Self {
            epoll,
            timer,
            listener,
            connections: Vec::new(),
            behaviour,
            reply: format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{BODY}"),
            count: 0,
            first: None,
            stall_ends: None,
            waiting: VecDeque::new(),
            account: Vec::new(),
        })
    }

    fn accept(&mut self) -> Anyhow<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            epoll::add(&self.epoll, &stream, EventData::new_u64(self.connections.len() as u64), EventFlags::IN)?;
            self.connections.push(Some(Connection { stream, head: Vec::new() }));
        }
    }

    fn read(&mut self, index: usize) -> Anyhow<()> {
        let Some(connection) = &mut self.connections[index] else { return Ok(()) };
        let mut bytes = [0; 4_096];
        match connection.stream.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Ok(0) | Err(_) => {
                self.connections[index] = None;
                return Ok(());
            }
            Ok(count) => connection.head.extend(&bytes[..count]),
        }
        if !connection.head.ends_with(b"\r\n\r\n") {
            return Ok(());
        }
        let asked = [b"COUNT".as_slice(), b"TIMES"].map(|word| connection.head.starts_with(word));
        connection.head.clear();
        match asked {
            [true, _] => self.tell(index, &self.count.to_string()),
            [_, true] => self.tell(index, &self.times()),
            _ => {
                self.request(index);
                Ok(())
            }
        }
    }

    /// Answers a request, or has it wait for its time.
    fn request(&mut self, connection: usize) {
        self.count += 1;
        if !self.behaviour.is_special() {
            return self.send(connection);
        }
        let received = clock::instant();
        let (entry, due) = (self.account.len(), self.due(received));
        self.account.push([received; 2]);
        self.waiting.push_back(Waiting { due, connection, entry });
    }

    fn due(&mut self, received: Instant) -> Instant {
        let first = *self.first.get_or_insert(received);
        let Behaviour { stall_after, stall, delay } = self.behaviour;
        if !stall.is_zero() && received >= first + stall_after {
            self.stall_ends.get_or_insert(received + stall);
        }
        self.stall_ends.map_or(received, |end| end.max(received)) + delay
    }

    fn answer_due(&mut self) -> Anyhow<()> {
        while let Some(Waiting { due, connection, entry }) = self.waiting.front() {
            let now = clock::instant();
            if *due > now {
                return self.set_timer(*due - now);
            }
            let connection = *connection;
            self.account[*entry][1] = now;
            self.waiting.pop_front();
            self.send(connection);
        }
        Ok(())
    }

    fn set_timer(&self, wait: Duration) -> Anyhow<()> {
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = Itimerspec { it_interval, it_value: Timespec::try_from(wait)? };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }

    fn send(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else { return };
        // an answer of a hundred bytes fits, or there is nobody to take it
        if connection.stream.write_all(self.reply.as_bytes()).is_err() {
            self.connections[index] = None;
        }
    }

    /// Says something about itself, and hangs up.
    fn tell(&mut self, index: usize, text: &str) -> Anyhow<()> {
        if let Some(Connection { mut stream, .. }) = self.connections[index].take() {
            stream.set_nonblocking(false)?;
            stream.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    /// A line for each request: nanoseconds from the first one to when it came and to when its answer was sent.
    fn times(&self) -> String {
        let mut text = String::new();
        for [received, sent] in &self.account {
            let [received, sent] = [received, sent].map(|at| self.first.map_or(0, |first| (*at - first).as_nanos()));
            writeln!(text, "{received} {sent}").expect("a String takes every write");
        }
        text
    }
}
