//! When scrapes were there to be seen. A scrape's samples carry the time at which it began and are stored when it has ended:
//! one that hangs for a second is stored a second back, and the evaluations in between did not see it. In a replay they
//! would. Such samples are moved behind the last evaluation that did not see them, and no further.
//!
//! Where a scrape ends within some milliseconds of an evaluation, nobody recorded which came first: a *race*. [`Arrivals`]
//! takes the likelier order; another can be stated, scrape by scrape, for all evaluations at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::grid::Grid;
use crate::telemetry::Labels;
use crate::telemetry::prometheus::{RawSample, RawSeries};

/// From a group's timestamp to its first question, in milliseconds: what ends within it is as likely seen as not.
const BEGIN: i64 = 1;
/// A scrape is stored, and an evaluation asks its last question, up to this many milliseconds later than either says.
const CLOSE: i64 = 10;

/// A target, by job and instance.
pub type Target = (String, String);

/// Scrapes whose order against evaluations is stated: when they were there to be seen, by target and time.
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
    /// When the scrape was there to be seen if it was the other way round than it is taken to be.
    pub otherwise: i64,
}

/// The samples that are moved: from their own time to the one at which they were seen, by target.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    moved: BTreeMap<Target, BTreeMap<i64, i64>>,
}

impl Arrivals {
    /// From how long each scrape took, the evaluations, and what is stated.
    #[must_use]
    pub fn new(series: &[RawSeries], grids: &[&Grid], orders: &Orders) -> Self {
        let mut moved: BTreeMap<Target, BTreeMap<i64, i64>> = BTreeMap::new();
        for (target, scrape) in scrapes(series) {
            let stated = orders.get(&(target.clone(), scrape.at)).copied();
            let seen = stated.or_else(|| likely(&scrape, grids, i64::MAX)).filter(|seen| *seen != scrape.at);
            if let Some(seen) = seen {
                moved.entry(target).or_default().insert(scrape.at, seen);
            }
        }
        Self { moved }
    }

    /// The samples of a series at the times at which they were there to be seen.
    pub fn of<'a>(&'a self, series: &'a RawSeries) -> impl Iterator<Item = RawSample> + 'a {
        let moves = target(&series.labels).and_then(|target| self.moved.get(&target));
        series.samples.iter().map(move |it| {
            let seen = moves.and_then(|moves| moves.get(&it.at)).copied();
            RawSample { at: seen.unwrap_or(it.at), bits: it.bits }
        })
    }

    /// The races of scrapes with the evaluations of some of the grids, whose times lie in a range.
    #[must_use]
    pub fn races(&self, series: &[RawSeries], grids: &[&Grid], of: &BTreeSet<usize>, times: &Range<i64>) -> Vec<Race> {
        let mut races = Vec::new();
        for (target, scrape) in scrapes(series).filter(|(_, scrape)| scrape.at < times.end) {
            let seen = self.moved.get(&target).and_then(|moves| moves.get(&scrape.at)).copied().unwrap_or(scrape.at);
            for grid in of.iter().filter_map(|index| grids.get(*index)) {
                let asked = (0..grid.count).map(|number| (number, grid.at(number)));
                let close = |(number, at): &(usize, i64)| {
                    let late = grid.late.get(number).copied().unwrap_or(0);
                    *at >= scrape.at && scrape.ended + CLOSE >= *at && scrape.ended <= at + late + CLOSE
                };
                let mine = asked.filter(|(_, at)| times.contains(at)).filter(close);
                races.extend(mine.map(|(_, evaluation)| Race {
                    target: target.clone(),
                    scrape: scrape.at,
                    evaluation,
                    otherwise: if seen <= evaluation {
                        (evaluation + 1).min(scrape.next - 1)
                    } else {
                        likely(&scrape, grids, evaluation).unwrap_or(scrape.at)
                    },
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
}

/// Every scrape of every target.
fn scrapes(series: &[RawSeries]) -> impl Iterator<Item = (Target, Scrape)> {
    let durations = series.iter().filter(|series| is(&series.labels, "scrape_duration_seconds"));
    durations.filter_map(|series| Some((target(&series.labels)?, series))).flat_map(|(target, series)| {
        let next = series.samples.iter().skip(1).map(|sample| sample.at).chain([i64::MAX]);
        let taken = series.samples.iter().zip(next).filter(|(sample, _)| !sample.is_stale());
        taken.map(move |(sample, next)| {
            #[expect(clippy::cast_possible_truncation, reason = "a scrape is shorter than 2^52 ms")]
            let ended = sample.at + (sample.value() * 1000.0).floor() as i64;
            (target.clone(), Scrape { at: sample.at, ended, next })
        })
    })
}

fn is(labels: &Labels, name: &str) -> bool {
    labels.get("__name__").is_some_and(|it| it == name)
}

fn target(labels: &Labels) -> Option<(String, String)> {
    Some((labels.get("job")?.clone(), labels.get("instance")?.clone()))
}

/// Behind the last evaluation before `before` that likely did not see it.
fn likely(scrape: &Scrape, grids: &[&Grid], before: i64) -> Option<i64> {
    let until = before.min(scrape.ended - BEGIN);
    let blind = grids.iter().filter_map(|grid| last_before(grid, scrape.at, until)).max()?;
    Some((blind + 1).min(scrape.next - 1))
}

/// The last evaluation from `from` on, and before `until`.
fn last_before(grid: &Grid, from: i64, until: i64) -> Option<i64> {
    let last = until - 1 - (until - 1 - grid.first).rem_euclid(grid.interval.max(1));
    (last >= from && last >= grid.first).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str) -> Labels {
        [("__name__", name), ("job", "j"), ("instance", "i")].map(|(name, value)| (name.into(), value.into())).into()
    }

    /// When samples of these times of a series of the target were there to be seen.
    fn seen<const N: usize>(arrivals: &Arrivals, times: [i64; N]) -> Vec<i64> {
        let samples = times.map(|at| RawSample { at, bits: 0 }).to_vec();
        arrivals.of(&RawSeries { labels: labels("up"), samples }).map(|sample| sample.at).collect()
    }

    #[test]
    fn a_scrape_that_hangs_is_seen_by_the_evaluation_after_its_end() {
        let scrape = |at, seconds: f64| RawSample { at, bits: seconds.to_bits() };
        let samples = vec![scrape(1_000, 0.004), scrape(1_250, 0.25), scrape(1_500, 0.004), scrape(1_750, 0.12)];
        let durations = RawSeries { labels: labels("scrape_duration_seconds"), samples };
        let grid = |first| Grid { first, interval: 250, count: 100, ..Grid::default() };
        let (early, late) = (grid(1_100), grid(1_120));
        let arrivals = Arrivals::new(std::slice::from_ref(&durations), &[&early, &late], &Orders::new());
        // as its time says; behind both groups; behind the first, before the second
        assert_eq!(seen(&arrivals, [1_000, 1_250, 1_750]), [1_000, 1_371, 1_851]);
    }

    #[test]
    fn a_sample_is_never_moved_behind_the_next_one() {
        let sample = |at| RawSample { at, bits: 0.3_f64.to_bits() };
        let durations =
            RawSeries { labels: labels("scrape_duration_seconds"), samples: vec![sample(1_000), sample(1_250)] };
        let grid = Grid { first: 1_260, interval: 250, count: 9, ..Grid::default() };
        let arrivals = Arrivals::new(&[durations], &[&grid], &Orders::new());
        assert_eq!(seen(&arrivals, [1_000]), [1_249]);
    }

    #[test]
    fn a_scrape_that_ends_when_an_evaluation_begins_is_a_race_that_can_be_stated_either_way() {
        let scrape = |at, seconds: f64| RawSample { at, bits: seconds.to_bits() };
        let samples = vec![scrape(1_107, 0.001), scrape(1_357, 0.0048), scrape(1_607, 0.030)];
        let series = [RawSeries { labels: labels("scrape_duration_seconds"), samples }];
        let grid = Grid { first: 1_110, interval: 250, count: 9, ..Grid::default() }.alive();
        let likely = Arrivals::new(&series, &[&grid], &Orders::new());
        assert_eq!(seen(&likely, [1_107, 1_357, 1_607]), [1_107, 1_357, 1_611]);
        let races = likely.races(&series, &[&grid], &BTreeSet::from([0]), &(0..2_000));
        let told: Vec<_> = races.iter().map(|race| (race.scrape, race.evaluation, race.otherwise)).collect();
        assert_eq!(told, [(1_107, 1_110, 1_111), (1_357, 1_360, 1_361)], "the third ended far behind its evaluation");
        assert_eq!(likely.races(&series, &[&grid], &BTreeSet::from([0]), &(1_200..2_000)).len(), 1);
        let orders = Orders::from([((races[1].target.clone(), 1_357), races[1].otherwise)]);
        let stated = Arrivals::new(&series, &[&grid], &orders);
        assert_eq!(seen(&stated, [1_357]), [1_361]);
        // an evaluation that began 25 ms late may have seen the third
        let late = Grid { late: BTreeMap::from([(2, 25)]), ..grid };
        let races = stated.races(&series, &[&late], &BTreeSet::from([0]), &(1_600..2_000));
        assert_eq!((races.len(), races[0].otherwise), (1, 1_607));
    }
}
