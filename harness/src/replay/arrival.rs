//! When scrapes were there to be seen. A scrape's samples carry the time at which it began and are stored when it has ended:
//! one that hangs for a second is stored a second back, and the evaluations in between did not see it. A replay that has all
//! samples at once would. [`Arrivals`] knows from when on each could be seen, and which evaluations were blind to which.
//!
//! Where a scrape ends within some milliseconds of an evaluation, nobody recorded which came first: a *race*. The likelier
//! order is taken; another can be stated, scrape by scrape, for all evaluations at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::grid::Grid;
use crate::telemetry::Labels;
use crate::telemetry::prometheus::{RawSample, RawSeries};

/// From a group's begin to its first question, in milliseconds: what ends within it is as likely seen as not.
const BEGIN: i64 = 1;
/// A scrape is stored, and an evaluation asks its last question, up to this many milliseconds later than either says.
const CLOSE: i64 = 10;

/// A target, by job and instance.
pub type Target = (String, String);

/// Scrapes whose order against evaluations is stated: from when on they were there to be seen, by target and time.
pub type Orders = BTreeMap<(Target, i64), i64>;

/// A scrape and an evaluation of which nobody recorded which came first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Race {
    /// Whose scrape.
    pub target: Target,
    /// When the scrape began.
    pub scrape: i64,
    /// The evaluation's time.
    pub evaluation: i64,
    /// When the evaluation began.
    pub began: i64,
    /// How many milliseconds the scrape took.
    pub took: i64,
    /// From when on the scrape was there to be seen if it was the other way round than it is taken to be.
    pub otherwise: i64,
}

impl Race {
    /// Whether the evaluation saw the scrape, if it was the other way round.
    #[must_use]
    pub const fn was_seen(&self) -> bool {
        self.otherwise <= self.began
    }
}

/// From when on the samples of scrapes that took a while could be seen, by target and time.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    seen_from: BTreeMap<Target, BTreeMap<i64, i64>>,
}

impl Arrivals {
    /// From how long each scrape took, and what is stated.
    #[must_use]
    pub fn new(series: &[RawSeries], orders: &Orders) -> Self {
        let mut seen_from: BTreeMap<Target, BTreeMap<i64, i64>> = BTreeMap::new();
        for (target, scrape) in scrapes(series) {
            let stated = orders.get(&(target.clone(), scrape.at)).copied();
            let from = stated.unwrap_or(scrape.ended - BEGIN).min(scrape.next - 1);
            if from > scrape.at {
                seen_from.entry(target).or_default().insert(scrape.at, from);
            }
        }
        Self { seen_from }
    }

    /// The samples of a series, each with the time from which on it could be seen.
    pub fn of<'a>(&'a self, series: &'a RawSeries) -> impl Iterator<Item = (i64, RawSample)> + 'a {
        let own = target(&series.labels).and_then(|target| self.seen_from.get(&target));
        series.samples.iter().map(move |it| {
            let from = own.and_then(|own| own.get(&it.at)).copied();
            (from.unwrap_or(it.at), RawSample { at: it.at, bits: it.bits })
        })
    }

    /// The samples of a series, those that an evaluation of a group did not see moved behind it: for a test that knows no
    /// other time than a sample's own.
    #[must_use]
    pub fn behind(&self, series: &RawSeries, grid: &Grid) -> Vec<RawSample> {
        let unseen = |from: i64, at: i64| {
            let numbers = (0..grid.count).rev().skip_while(|number| grid.at(*number) >= from);
            let last = numbers.take_while(|number| grid.at(*number) >= at).find(|number| grid.began(*number) < from);
            last.map_or(at, |number| grid.at(number) + 1)
        };
        let moved = |(from, sample): (i64, RawSample)| match from > sample.at {
            true => RawSample { at: unseen(from, sample.at), bits: sample.bits },
            false => sample,
        };
        self.of(series).map(moved).collect()
    }

    /// The evaluations of a group to which a scrape was not there although its time lies before their own, with the targets.
    #[must_use]
    pub fn blind(&self, grid: &Grid) -> BTreeMap<usize, BTreeSet<&Target>> {
        let mut blind: BTreeMap<usize, BTreeSet<&Target>> = BTreeMap::new();
        for (target, own) in &self.seen_from {
            for (scrape, from) in own {
                let first = usize::try_from((scrape - grid.first + grid.interval - 1).div_euclid(grid.interval.max(1)));
                let after = (first.unwrap_or(0)..grid.count).take_while(|number| grid.at(*number) < *from);
                for number in after.filter(|number| grid.began(*number) < *from) {
                    blind.entry(number).or_default().insert(target);
                }
            }
        }
        blind
    }

    /// The races of scrapes with the evaluations of some of the grids, whose times lie in a range.
    #[must_use]
    pub fn races(&self, series: &[RawSeries], grids: &[&Grid], of: &BTreeSet<usize>, times: &Range<i64>) -> Vec<Race> {
        let mut races = Vec::new();
        for (target, scrape) in scrapes(series).filter(|(_, scrape)| scrape.at < times.end) {
            let from = self.seen_from.get(&target).and_then(|own| own.get(&scrape.at)).copied().unwrap_or(scrape.at);
            for grid in of.iter().filter_map(|index| grids.get(*index)) {
                let numbers = (0..grid.count).filter(|number| times.contains(&grid.at(*number)));
                let close = |number: &usize| {
                    let at = grid.at(*number);
                    at >= scrape.at && scrape.ended + scrape.slack >= at && scrape.ended <= grid.began(*number) + CLOSE
                };
                races.extend(numbers.filter(close).map(|number| Race {
                    target: target.clone(),
                    scrape: scrape.at,
                    evaluation: grid.at(number),
                    began: grid.began(number),
                    took: scrape.ended - scrape.at,
                    otherwise: if from <= grid.began(number) { grid.began(number) + 1 } else { grid.began(number) },
                }));
            }
        }
        races
    }
}

struct Scrape {
    at: i64,
    ended: i64,
    next: i64,
    /// How much later than its end it may have been stored.
    slack: i64,
}

/// Every scrape of every target.
fn scrapes(series: &[RawSeries]) -> impl Iterator<Item = (Target, Scrape)> {
    let durations = series.iter().filter(|series| is(&series.labels, "scrape_duration_seconds"));
    durations.filter_map(|series| Some((target(&series.labels)?, series))).flat_map(|(target, series)| {
        let next = series.samples.iter().skip(1).map(|sample| sample.at).chain([i64::MAX]);
        let before = [None].into_iter().chain(series.samples.iter().map(Some));
        let taken = series.samples.iter().zip(next).zip(before).filter(|((sample, _), _)| !sample.is_stale());
        taken.map(move |((sample, next), before)| {
            #[expect(clippy::cast_possible_truncation, reason = "a scrape is shorter than 2^52 ms")]
            let took = (sample.value() * 1000.0).floor() as i64;
            // the time it takes to make new series is not part of what Prometheus states
            let slack = if before.is_none_or(|before| before.is_stale()) { CLOSE.max(took) } else { CLOSE };
            (target.clone(), Scrape { at: sample.at, ended: sample.at + took, next, slack })
        })
    })
}

fn is(labels: &Labels, name: &str) -> bool {
    labels.get("__name__").is_some_and(|it| it == name)
}

/// The target that a series was scraped from.
pub(super) fn target(labels: &Labels) -> Option<(String, String)> {
    Some((labels.get("job")?.clone(), labels.get("instance")?.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str) -> Labels {
        [("__name__", name), ("job", "j"), ("instance", "i")].map(|(name, value)| (name.into(), value.into())).into()
    }

    fn durations<const N: usize>(scrapes: [(i64, f64); N]) -> RawSeries {
        let samples = scrapes.map(|(at, seconds)| RawSample { at, bits: seconds.to_bits() }).to_vec();
        RawSeries { labels: labels("scrape_duration_seconds"), samples }
    }

    fn grid(first: i64) -> Grid {
        Grid { first, interval: 250, count: 9, ..Grid::default() }.alive()
    }

    /// The times of the evaluations that were blind.
    fn blind(arrivals: &Arrivals, grid: &Grid) -> Vec<i64> {
        arrivals.blind(grid).into_keys().map(|number| grid.at(number)).collect()
    }

    #[test]
    fn a_scrape_that_hangs_is_not_seen_by_evaluations_before_its_end_and_keeps_its_own_time() {
        let series = durations([(1_000, 0.004), (1_250, 0.25), (1_500, 0.004), (1_750, 0.12)]);
        let arrivals = Arrivals::new(std::slice::from_ref(&series), &Orders::new());
        assert_eq!(blind(&arrivals, &grid(1_100)), [1_350, 1_850]);
        assert_eq!(blind(&arrivals, &grid(1_120)), [1_370], "1,870 is when the last has ended");
        let seen: Vec<(i64, i64)> = arrivals.of(&series).map(|(from, sample)| (from, sample.at)).collect();
        assert_eq!(seen, [(1_003, 1_000), (1_499, 1_250), (1_503, 1_500), (1_869, 1_750)]);
    }

    #[test]
    fn a_late_evaluation_sees_what_came_until_it_began() {
        let series = durations([(1_000, 0.12), (1_250, 0.12)]);
        let arrivals = Arrivals::new(&[series], &Orders::new());
        let late = Grid { late: BTreeMap::from([(0, 30)]), ..grid(1_100) };
        assert_eq!(blind(&arrivals, &late), [1_350], "the first began at 1,130");
    }

    #[test]
    fn a_sample_can_be_seen_when_the_next_one_is_taken_at_the_latest() {
        let arrivals = Arrivals::new(&[durations([(1_000, 0.3), (1_250, 0.3)])], &Orders::new());
        assert_eq!(arrivals.seen_from.values().next().unwrap()[&1_000], 1_249);
    }

    #[test]
    fn a_scrape_that_ends_when_an_evaluation_begins_is_a_race_that_can_be_stated_either_way() {
        let series = [durations([(857, 0.001), (1_107, 0.001), (1_357, 0.0048), (1_607, 0.030)])];
        let grid = grid(1_110);
        let likely = Arrivals::new(&series, &Orders::new());
        assert_eq!(blind(&likely, &grid), [1_610]);
        let races = likely.races(&series, &[&grid], &BTreeSet::from([0]), &(0..2_000));
        let told: Vec<_> = races.iter().map(|race| (race.scrape, race.evaluation, race.otherwise)).collect();
        assert_eq!(told, [(1_107, 1_110, 1_111), (1_357, 1_360, 1_361)], "the third ended far behind its evaluation");
        assert_eq!(likely.races(&series, &[&grid], &BTreeSet::from([0]), &(1_200..2_000)).len(), 1);
        let orders = Orders::from([((races[1].target.clone(), 1_357), races[1].otherwise)]);
        let stated = Arrivals::new(&series, &orders);
        assert_eq!(blind(&stated, &grid), [1_360, 1_610]);
        // an evaluation that began 25 ms late may have seen the third
        let late = Grid { late: BTreeMap::from([(2, 25)]), ..grid };
        let races = stated.races(&series, &[&late], &BTreeSet::from([0]), &(1_600..2_000));
        assert_eq!((races.len(), races[0].otherwise), (1, 1_635));
    }

    #[test]
    fn the_first_scrape_of_a_target_may_be_stored_as_much_later_as_it_took() {
        let series = [durations([(1_000, 0.06), (1_250, 0.06)])];
        let arrivals = Arrivals::new(&series, &Orders::new());
        let races = arrivals.races(&series, &[&grid(1_100)], &BTreeSet::from([0]), &(0..2_000));
        let told: Vec<_> = races.iter().map(|race| (race.scrape, race.evaluation, race.took)).collect();
        assert_eq!(told, [(1_000, 1_100, 60)], "new series take their time; the second scrape has none");
    }
}
