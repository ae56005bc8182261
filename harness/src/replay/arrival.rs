//! When scrapes were there to be seen. A scrape's samples carry the time at which it began and are stored when it has ended:
//! one that hangs for a second is stored a second back, and the evaluations in between did not see it. In a replay they
//! would. Such samples are moved behind the last evaluation that did not see them, and no further.

use std::collections::BTreeMap;

use super::grid::Grid;
use crate::telemetry::Labels;
use crate::telemetry::prometheus::RawSeries;

/// From a group's timestamp to its first question, in milliseconds: what ends within it is as likely seen as not.
const BEGIN: i64 = 1;

/// The samples that are moved: from their own time to the one at which they were seen, by target.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    moved: BTreeMap<(String, String), BTreeMap<i64, i64>>,
}

impl Arrivals {
    /// From how long each scrape took, and the evaluations.
    #[must_use]
    pub fn new(series: &[RawSeries], grids: &[&Grid]) -> Self {
        let durations = series.iter().filter(|series| is(&series.labels, "scrape_duration_seconds"));
        let moved = durations.filter_map(|series| Some((target(&series.labels)?, moves(series, grids)))).collect();
        Self { moved }
    }

    /// The moves of the target that a series is of.
    #[must_use]
    pub fn of(&self, labels: &Labels) -> Option<&BTreeMap<i64, i64>> {
        self.moved.get(&target(labels)?)
    }
}

fn is(labels: &Labels, name: &str) -> bool {
    labels.get("__name__").is_some_and(|it| it == name)
}

fn target(labels: &Labels) -> Option<(String, String)> {
    Some((labels.get("job")?.clone(), labels.get("instance")?.clone()))
}

fn moves(durations: &RawSeries, grids: &[&Grid]) -> BTreeMap<i64, i64> {
    let next = durations.samples.iter().skip(1).map(|sample| sample.at).chain([i64::MAX]);
    let taken = durations.samples.iter().zip(next).filter(|(sample, _)| !sample.is_stale());
    taken
        .filter_map(|(sample, next)| {
            #[expect(clippy::cast_possible_truncation, reason = "a scrape is shorter than 2^52 ms")]
            let ended = sample.at + (sample.value() * 1000.0).floor() as i64;
            let blind = grids.iter().filter_map(|grid| last_before(grid, sample.at, ended - BEGIN)).max()?;
            Some((sample.at, (blind + 1).min(next - 1)))
        })
        .collect()
}

/// The last evaluation from `from` on, and before `until`.
fn last_before(grid: &Grid, from: i64, until: i64) -> Option<i64> {
    let last = until - 1 - (until - 1 - grid.first).rem_euclid(grid.interval.max(1));
    (last >= from && last >= grid.first).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::prometheus::RawSample;

    fn labels(name: &str) -> Labels {
        [("__name__", name), ("job", "j"), ("instance", "i")].map(|(name, value)| (name.into(), value.into())).into()
    }

    #[test]
    fn a_scrape_that_hangs_is_seen_by_the_evaluation_after_its_end() {
        let scrape = |at, seconds: f64| RawSample { at, bits: seconds.to_bits() };
        let samples = vec![scrape(1_000, 0.004), scrape(1_250, 0.25), scrape(1_500, 0.004), scrape(1_750, 0.12)];
        let durations = RawSeries { labels: labels("scrape_duration_seconds"), samples };
        let grid = |first| Grid { first, interval: 250, count: 100, ..Grid::default() };
        let (early, late) = (grid(1_100), grid(1_120));
        let arrivals = Arrivals::new(std::slice::from_ref(&durations), &[&early, &late]);
        let moved = arrivals.of(&labels("up")).unwrap();
        assert_eq!(moved.get(&1_000), None, "seen by the next evaluation, as its time says");
        assert_eq!(moved.get(&1_250), Some(&1_371), "behind both groups");
        assert_eq!(moved.get(&1_750), Some(&1_851), "behind the first, before the second");
        assert!(arrivals.of(&Labels::new()).is_none());
    }

    #[test]
    fn a_sample_is_never_moved_behind_the_next_one() {
        let sample = |at| RawSample { at, bits: 0.3_f64.to_bits() };
        let durations =
            RawSeries { labels: labels("scrape_duration_seconds"), samples: vec![sample(1_000), sample(1_250)] };
        let grid = Grid { first: 1_260, interval: 250, count: 9, ..Grid::default() };
        assert_eq!(moves(&durations, &[&grid]).get(&1_000), Some(&1_249));
    }
}
