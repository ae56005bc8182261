//! The arrival schedule: pure arithmetic from stages, seed and factor to the intended start of every request. Fed by
//! `spec`, read by `engine`, which sleeps until the next one and never asks when it really happened.
//!
//! The n-th arrival is due when the integral of the rate reaches n (constant) or the sum of n exponential variates
//! (Poisson). Times are computed from the start of the current stretch, never by adding up gaps, so that no error
//! accumulates: 2,000/s for 30 s is exactly 60,000.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::spec::{Arrivals, Stage};

/// Yields intended starts, in order, as times since the load's start.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    stretches: VecDeque<Stretch>,
    factor: f64,
    /// What is due when the next one is, and how much more when the one after it is.
    due: f64,
    step: f64,
    gap: Gap,
    end: Option<Duration>,
    next: Option<Duration>,
    second: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Gap {
    Constant,
    Exponential(SmallRng),
}

/// A stretch of linear rate; the last one has no end.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    begin: Duration,
    from: f64,
    to: f64,
    over: Option<Duration>,
}

impl Schedule {
    pub(super) fn new(stages: &[Stage], arrivals: Arrivals, seed: u64, end: Option<Duration>) -> Self {
        let mut gap = match arrivals {
            Arrivals::Constant => Gap::Constant,
            Arrivals::Poisson => Gap::Exponential(SmallRng::seed_from_u64(seed)),
        };
        let due = if let Gap::Exponential(_) = gap { gap.draw() } else { 0.0 };
        let (step, stretches) = (gap.draw(), stretches(stages));
        let mut schedule = Self { stretches, factor: 1.0, due, step, gap, end, next: None, second: None };
        schedule.look_ahead();
        schedule
    }

    /// The next intended start; none when no more will come.
    pub(super) const fn peek(&self) -> Option<Duration> {
        self.next
    }

    /// The one after the next.
    pub(super) const fn peek_second(&self) -> Option<Duration> {
        self.second
    }

    /// Takes the next intended start.
    pub(super) fn take(&mut self) -> Option<Duration> {
        let (index, due, at) = self.find(self.due)?;
        self.stretches.drain(..index);
        self.due = due + self.step;
        self.step = self.gap.draw();
        self.look_ahead();
        Some(at)
    }

    /// Multiplies all rates from `now` on; 0 stops the arrivals until another factor is set. Arrivals due before `now`
    /// must have been taken.
    pub(super) fn set_factor(&mut self, factor: f64, now: Duration) {
        while let Some(first) = self.stretches.front().copied() {
            let passed = first.over.is_some_and(|over| first.begin + over <= now);
            if !passed || self.stretches.len() == 1 {
                break;
            }
            self.due -= first.arrivals_in_all() * self.factor;
            self.stretches.pop_front();
        }
        if let Some(first) = self.stretches.front_mut() {
            self.due -= first.split(now) * self.factor;
        }
        self.due = self.due.max(0.0);
        self.factor = factor.max(0.0);
        self.look_ahead();
    }

    /// Ends the arrivals: none at or after `end`.
    pub(super) fn end_at(&mut self, end: Duration) {
        self.end = Some(self.end.map_or(end, |earlier| earlier.min(end)));
        self.look_ahead();
    }

    fn look_ahead(&mut self) {
        self.next = self.find(self.due).map(|(_, _, at)| at);
        self.second = self.find(self.due + self.step).map(|(_, _, at)| at);
    }

    /// The stretch in which so much is due, what is due counted from that stretch's begin, and the time.
    fn find(&self, mut due: f64) -> Option<(usize, f64, Duration)> {
        for (index, stretch) in self.stretches.iter().enumerate() {
            let scaled = due / self.factor;
            let all = stretch.arrivals_in_all();
            if scaled < all {
                let at = stretch.begin + Duration::from_nanos(nanos(stretch.time_of(scaled)));
                return self.end.is_none_or(|end| at < end).then_some((index, due, at));
            }
            due -= all * self.factor;
        }
        None
    }
}

impl Gap {
    fn draw(&mut self) -> f64 {
        match self {
            Self::Constant => 1.0,
            // 1 - u lies in (0, 1], so that the logarithm is finite
            Self::Exponential(rng) => -(1.0 - rng.random::<f64>()).ln(),
        }
    }
}

fn stretches(stages: &[Stage]) -> VecDeque<Stretch> {
    let mut begin = Duration::ZERO;
    let mut stretches = VecDeque::new();
    for stage in stages.iter().filter(|stage| !stage.over.is_zero()) {
        stretches.push_back(Stretch { begin, from: stage.from, to: stage.to, over: Some(stage.over) });
        begin += stage.over;
    }
    let held = stages.last().map_or(0.0, |stage| stage.to);
    stretches.push_back(Stretch { begin, from: held, to: held, over: None });
    stretches
}

impl Stretch {
    fn arrivals_in_all(&self) -> f64 {
        match self.over {
            Some(over) => f64::midpoint(self.from, self.to) * over.as_secs_f64(),
            None if self.from > 0.0 => f64::INFINITY,
            None => 0.0,
        }
    }

    fn slope(&self) -> f64 {
        self.over.map_or(0.0, |over| (self.to - self.from) / over.as_secs_f64())
    }

    /// Seconds from its begin at which the integral of the rate reaches `arrivals`: the stable root of
    /// `slope/2·t² + from·t = arrivals`.
    fn time_of(&self, arrivals: f64) -> f64 {
        if arrivals <= 0.0 {
            return 0.0;
        }
        let root = (self.from * self.from + 2.0 * self.slope() * arrivals).max(0.0).sqrt();
        2.0 * arrivals / (self.from + root)
    }

    /// Lets it begin at `now`; returns how many arrivals lie in the part that was cut off.
    fn split(&mut self, now: Duration) -> f64 {
        let elapsed = now.saturating_sub(self.begin);
        if elapsed.is_zero() {
            return 0.0;
        }
        let rate = self.from + self.slope() * elapsed.as_secs_f64();
        let cut = f64::midpoint(self.from, rate) * elapsed.as_secs_f64();
        self.begin = now;
        self.from = rate;
        self.over = self.over.map(|over| over.saturating_sub(elapsed));
        if self.over == Some(Duration::ZERO) {
            self.from = self.to;
        }
        cut
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float to integer cast saturates")]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(from: f64, to: f64, seconds: u64) -> Stage {
        Stage { from, to, over: Duration::from_secs(seconds) }
    }

    fn all(mut schedule: Schedule) -> Vec<Duration> {
        std::iter::from_fn(|| schedule.take()).collect()
    }

    fn per_second(times: &[Duration], seconds: usize) -> Vec<usize> {
        let mut counts = vec![0; seconds];
        for time in times {
            counts[usize::try_from(time.as_secs()).unwrap()] += 1;
        }
        counts
    }

    fn held(rate: f64, arrivals: Arrivals, seed: u64, seconds: u64) -> Vec<Duration> {
        all(Schedule::new(&[Stage::steady(rate)], arrivals, seed, Some(Duration::from_secs(seconds))))
    }

    #[test]
    fn a_constant_rate_is_exact_in_every_second_and_in_total_l08() {
        for rate in [1_u32, 3, 7, 10, 49, 333, 2_000, 19_997] {
            let times = held(f64::from(rate), Arrivals::Constant, 1, 30);
            assert_eq!(times.len(), rate as usize * 30);
            assert!(per_second(&times, 30).iter().all(|count| *count == rate as usize), "{rate}/s");
            assert!(times.is_sorted());
        }
    }

    #[test]
    fn poisson_gaps_have_a_coefficient_of_variation_of_one_l08() {
        let times = held(500.0, Arrivals::Poisson, 7, 100);
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 500.0 - 1.0).abs() < 0.02, "mean gap {mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05);
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_seed_another_l08() {
        assert_eq!(held(200.0, Arrivals::Poisson, 3, 5), held(200.0, Arrivals::Poisson, 3, 5));
        assert_ne!(held(200.0, Arrivals::Poisson, 3, 5), held(200.0, Arrivals::Poisson, 4, 5));
    }

    #[test]
    fn a_ramp_from_0_to_200_in_30_s_sends_3000_with_the_shape_of_a_ramp_l11() {
        let end = Some(Duration::from_secs(30));
        let times = all(Schedule::new(&[stage(0.0, 200.0, 30)], Arrivals::Constant, 1, end));
        assert_eq!(times.len(), 3_000);
        for (second, count) in per_second(&times, 30).into_iter().enumerate() {
            let expected = (second as f64 + 0.5) * 200.0 / 30.0;
            assert!((count as f64 - expected).abs() <= 2.0, "second {second}: {count}, expected {expected}");
        }
    }

    #[test]
    fn stages_follow_each_other_and_the_last_rate_is_held() {
        let stages = [stage(100.0, 100.0, 2), stage(100.0, 0.0, 2), stage(50.0, 50.0, 1)];
        let times = all(Schedule::new(&stages, Arrivals::Constant, 1, Some(Duration::from_secs(7))));
        assert_eq!(per_second(&times, 7), [100, 100, 75, 25, 50, 50, 50]);
    }

    #[test]
    fn a_factor_of_zero_stops_arrivals_and_another_one_starts_them_again() {
        let mut schedule = Schedule::new(&[Stage::steady(10.0)], Arrivals::Constant, 1, None);
        while schedule.peek().is_some_and(|at| at < Duration::from_secs(1)) {
            schedule.take();
        }
        schedule.set_factor(0.0, Duration::from_secs(1));
        assert_eq!(schedule.peek(), None);
        schedule.set_factor(3.0, Duration::from_secs(5));
        assert_eq!(schedule.peek(), Some(Duration::from_secs(5)));
        schedule.end_at(Duration::from_secs(6));
        assert_eq!(all(schedule).len(), 30);
    }

    #[test]
    fn a_factor_set_and_unset_within_a_ramp_does_not_move_the_rest() {
        let stages = [stage(0.0, 100.0, 10), stage(100.0, 0.0, 10)];
        let mut schedule = Schedule::new(&stages, Arrivals::Constant, 1, None);
        let mut times = Vec::new();
        for (from, factor) in [(4, 2.0), (12, 1.0)] {
            while schedule.peek().is_some_and(|at| at < Duration::from_secs(from)) {
                times.extend(schedule.take());
            }
            schedule.set_factor(factor, Duration::from_secs(from));
        }
        times.extend(all(schedule));
        let counts = per_second(&times, 20);
        for (second, count) in counts.into_iter().enumerate() {
            let distance = if second < 10 { second as f64 + 0.5 } else { 19.5 - second as f64 };
            let factor = if (4..12).contains(&second) { 2.0 } else { 1.0 };
            assert!((count as f64 - distance * 10.0 * factor).abs() <= 2.0, "second {second}: {count}");
        }
    }

    #[test]
    fn the_one_after_the_next_is_known_before_the_next_is_taken() {
        let stages = [stage(0.0, 300.0, 2), stage(50.0, 50.0, 1)];
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let mut schedule = Schedule::new(&stages, arrivals, 9, Some(Duration::from_secs(4)));
            let mut taken = 0;
            loop {
                let second = schedule.peek_second();
                if schedule.take().is_none() {
                    break;
                }
                taken += 1;
                if taken == 150 {
                    schedule.set_factor(0.5, Duration::from_secs(1));
                } else {
                    assert_eq!(schedule.peek(), second, "{arrivals:?} after {taken}");
                }
            }
            assert!(taken > 150 && schedule.peek_second().is_none());
        }
    }

    #[test]
    fn a_rate_of_zero_sends_nothing() {
        assert_eq!(Schedule::new(&[Stage::steady(0.0)], Arrivals::Constant, 1, None).peek(), None);
        assert_eq!(Schedule::new(&[Stage::steady(0.0)], Arrivals::Poisson, 1, None).peek(), None);
    }
}
