//! Waiting: sockets, timers of nanosecond resolution and a wake-up call from other threads, in one epoll. Used by
//! `engine`. tokio's timers are 1 ms coarse, which is too coarse to pace by.
//!
//! There are two timers, as the kernel has to program the processor's own timer whenever one is set that is the first to
//! expire, which takes 5 to 8 µs on a virtual machine. A timer set while an earlier one is still to come costs 0.7 µs; the
//! processor's timer is then programmed by the interrupt of the earlier one, which has to do that anyway.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime, timerfd_create,
    timerfd_settime,
};

const CALL: u64 = u64::MAX;
/// The tokens of the timers, in their order.
const TIMERS: [u64; 2] = [u64::MAX - 1, u64::MAX - 2];
const BATCH: usize = 256;

/// Waits for sockets, time and calls.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    timers: [Timer; 2],
    call: Arc<OwnedFd>,
    /// What the monotonic clock said when the time of the load began.
    origin: Duration,
}

#[derive(Debug)]
struct Timer {
    timer: OwnedFd,
    armed: Option<Duration>,
}

impl Timer {
    fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer, armed: None })
    }

    /// Lets it expire at `at`, at once if that has passed; `origin` is what the monotonic clock said at zero.
    fn set(&mut self, at: Duration, origin: Duration) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = Timespec::try_from(origin + at).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let setting = Itimerspec { it_interval: zero, it_value };
        timerfd_settime(self.timer.as_fd(), TimerfdTimerFlags::ABSTIME, &setting)?;
        self.armed = Some(at);
        Ok(())
    }
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
        let timers = [Timer::new()?, Timer::new()?];
        let call = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        for (Timer { timer, .. }, token) in timers.iter().zip(TIMERS) {
            // edge-triggered: setting a timer again clears it, so it never has to be read
            epoll::add(&epoll, timer, EventData::new_u64(token), EventFlags::IN | EventFlags::ET)?;
        }
        epoll::add(&epoll, &*call, EventData::new_u64(CALL), EventFlags::IN)?;
        let mut poller = Self { epoll, timers, call, origin: Duration::ZERO };
        poller.count_from_now();
        Ok(poller)
    }

    /// Makes now the zero of the times to wait until.
    pub(super) fn count_from_now(&mut self) {
        self.origin = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
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

    /// Waits until the first of `wakes` or until something happens; none waits for ever. The second one is when the wait
    /// after this one is expected to end. All times, `now` too, are counted from [`Self::count_from_now`].
    pub(super) fn wait(&mut self, now: Duration, wakes: [Option<Duration>; 2], events: &mut Events) -> io::Result<()> {
        let due = wakes[0].is_some_and(|wake| wake <= now);
        if !due {
            self.arm(wakes)?;
        }
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        events.0.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events.0), due.then_some(&at_once)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        // what came first is taken first, so that in a backlog no answer waits for later ones
        events.0.reverse();
        Ok(())
    }

    /// Sets timers for those of `wakes` that have none. One that is set for another time is left as it is unless it is
    /// needed; it ends a wait for nothing.
    fn arm(&mut self, wakes: [Option<Duration>; 2]) -> io::Result<()> {
        for wake in wakes.into_iter().flatten() {
            if self.timers.iter().any(|timer| timer.armed == Some(wake)) {
                continue;
            }
            let mut timers = self.timers.iter_mut();
            let free = timers.find(|timer| timer.armed.is_none() || !wakes.contains(&timer.armed));
            free.expect("there are as many timers as times to wake at").set(wake, self.origin)?;
        }
        Ok(())
    }

    /// Takes what the last wait brought, one after the other.
    pub(super) fn next(&mut self, events: &mut Events) -> Option<Woken> {
        loop {
            let event = events.0.pop()?;
            let flags = event.flags;
            match event.data.u64() {
                CALL => {
                    let mut count = [0; 8];
                    // nothing to read means that the call was answered already
                    let _ = rustix::io::read(&*self.call, &mut count);
                    return Some(Woken::Called);
                }
                token => match TIMERS.iter().position(|timer| *timer == token) {
                    Some(timer) => self.timers[timer].armed = None,
                    None => return Some(Woken::Socket(token, flags)),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn armed(poller: &Poller) -> [Option<Duration>; 2] {
        [poller.timers[0].armed, poller.timers[1].armed]
    }

    #[test]
    fn a_wait_ends_not_before_its_time_and_the_one_after_it_has_its_timer_already() {
        let (mut poller, mut events) = (Poller::new().unwrap(), Events::new());
        let soon = Duration::from_millis(1);
        let begun = clock::instant();
        poller.count_from_now();
        // a signal may end a wait early
        while armed(&poller) != [None, Some(HOUR)] {
            poller.wait(Duration::ZERO, [Some(soon), Some(HOUR)], &mut events).unwrap();
            assert!(poller.next(&mut events).is_none(), "nothing but time passed");
        }
        assert!(begun.elapsed() >= soon);
        poller.arm([Some(HOUR), Some(2 * HOUR)]).unwrap();
        assert_eq!(armed(&poller), [Some(2 * HOUR), Some(HOUR)]);
    }

    #[test]
    fn a_timer_that_nobody_waits_for_any_more_is_set_anew() {
        let mut poller = Poller::new().unwrap();
        poller.arm([Some(HOUR), Some(2 * HOUR)]).unwrap();
        poller.arm([Some(2 * HOUR), Some(3 * HOUR)]).unwrap();
        assert_eq!(armed(&poller), [Some(3 * HOUR), Some(2 * HOUR)]);
        poller.arm([Some(4 * HOUR), None]).unwrap();
        assert!(armed(&poller).contains(&Some(4 * HOUR)));
    }
}
