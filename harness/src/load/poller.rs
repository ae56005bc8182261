//! Waiting: sockets, a timer of nanosecond resolution and a wake-up call from other threads, in one epoll. Used by
//! `engine`. tokio's timers are 1 ms coarse, which is too coarse to pace by.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

const TIMER: u64 = u64::MAX;
const CALL: u64 = u64::MAX - 1;
const BATCH: usize = 256;

/// Waits for sockets, time and calls.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    call: Arc<OwnedFd>,
    armed: Option<Duration>,
}

/// Room for what a wait brings; stays on the thread that waits.
pub(super) struct Events(Vec<epoll::Event>);

impl Events {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(BATCH))
    }
}

/// Wakes the poller from another thread.
#[derive(Clone, Debug)]
pub(super) struct Waker(Arc<OwnedFd>);

/// What woke the poller, besides time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Woken {
    /// Something happened on the socket registered with this token.
    Socket(u64, EventFlags),
    /// Another thread called.
    Called,
}

impl Waker {
    /// Wakes the poller; a call that was not answered yet is enough.
    pub(super) fn wake(&self) {
        // the only failure is a counter that is full already, which wakes as well
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let call = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        // edge-triggered: setting the timer again clears it, so it never has to be read
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        epoll::add(&epoll, &*call, EventData::new_u64(CALL), EventFlags::IN)?;
        Ok(Self { epoll, timer, call, armed: None })
    }

    pub(super) fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.call))
    }

    pub(super) fn add(&self, socket: BorrowedFd<'_>, token: u64, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token), interest)?)
    }

    pub(super) fn modify(&self, socket: BorrowedFd<'_>, token: u64, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(token), interest)?)
    }

    /// Waits until `until` (both since the load's start) or something happens; none waits for ever.
    pub(super) fn wait(&mut self, now: Duration, until: Option<Duration>, events: &mut Events) -> io::Result<()> {
        let due = until.is_some_and(|until| until <= now);
        if !due && self.armed != until {
            let value = until.map_or(Duration::ZERO, |until| until - now);
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let it_value = Timespec::try_from(value).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
            let setting = Itimerspec { it_interval: zero, it_value };
            timerfd_settime(self.timer.as_fd(), TimerfdTimerFlags::empty(), &setting)?;
            self.armed = until;
        }
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        events.0.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events.0), due.then_some(&at_once)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes what the last wait brought, one after the other, last first.
    pub(super) fn next(&mut self, events: &mut Events) -> Option<Woken> {
        loop {
            let event = events.0.pop()?;
            let flags = event.flags;
            match event.data.u64() {
                TIMER => self.armed = None,
                CALL => {
                    let mut count = [0; 8];
                    // nothing to read means that the call was answered already
                    let _ = rustix::io::read(&*self.call, &mut count);
                    return Some(Woken::Called);
                }
                token => return Some(Woken::Socket(token, flags)),
            }
        }
    }
}
