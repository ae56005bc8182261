//! When a rule group was evaluated. Evaluations lie on a grid that only the group's name, file and interval decide, so that
//! one exact timestamp of a sample that the group itself wrote (`ALERTS`, a recorded series) gives all of them. Groups that
//! wrote nothing get the grid from when their evaluations began by the clock, which is a millisecond or two late.

use std::collections::{BTreeMap, BTreeSet};

use crate::telemetry::prometheus::RawSeries;
use crate::telemetry::recording::{Evaluated, Header};

/// `ALERTS` is not written at a group's first two evaluations.
const SILENT: i64 = 2;
/// From a process's start to its rules' first evaluation: a Prometheus with an empty store is up in this time.
const BOOT: i64 = 100;

/// The evaluations of a group, by number from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// The first evaluation, milliseconds since the epoch.
    pub first: i64,
    /// Milliseconds from one to the next.
    pub interval: i64,
    /// How many there were.
    pub count: usize,
    /// Evaluations that Prometheus states it missed.
    pub missed: BTreeSet<usize>,
    /// Evaluations that came late, or that nobody saw while Prometheus missed some: what they saw is not certain.
    pub doubtful: BTreeSet<usize>,
    /// Evaluations before which Prometheus had restarted.
    pub restarted: BTreeSet<usize>,
}

/// A group with what it wrote itself.
#[derive(Clone, Debug)]
pub struct Writer<'a> {
    /// As recorded.
    pub group: &'a Evaluated,
    /// Series that no other group makes.
    pub own: Vec<&'a RawSeries>,
    /// Series that several groups may have made.
    pub shared: Vec<&'a RawSeries>,
    /// Prometheus's count of the group's missed evaluations, if it was scraped.
    pub missed: Option<&'a RawSeries>,
}

impl Grid {
    /// The time of an evaluation.
    #[must_use]
    pub fn at(&self, number: usize) -> i64 {
        self.first + i64::try_from(number).unwrap_or(i64::MAX / self.interval.max(1)) * self.interval
    }

    /// The evaluation at a time, if there was one.
    #[must_use]
    pub fn number(&self, at: i64) -> Option<usize> {
        let since = at - self.first;
        let number = usize::try_from(since.div_euclid(self.interval)).ok()?;
        (since.rem_euclid(self.interval) == 0 && number < self.count).then_some(number)
    }

    /// The evaluation nearest to a time.
    #[must_use]
    pub fn nearest(&self, at: i64) -> Option<usize> {
        let number = usize::try_from((at - self.first + self.interval / 2).div_euclid(self.interval)).ok()?;
        (number < self.count).then_some(number)
    }
}

/// What is known of a group before all groups are known.
struct Phase {
    exact: Option<i64>,
    estimate: i64,
    earliest: Option<i64>,
}

/// The grids of the groups, in the order given.
#[must_use]
pub fn grids(header: &Header, groups: &[Writer<'_>]) -> Vec<Grid> {
    let phases: Vec<Phase> = groups.iter().map(phase).collect();
    let begun = begin(header, groups, &phases);
    groups.iter().zip(&phases).map(|(group, phase)| grid(header, group, phase, begun)).collect()
}

/// From the group's own samples; of samples that may be another group's, from those that lie just before its evaluations
/// began by the clock.
fn phase(writer: &Writer<'_>) -> Phase {
    let interval = writer.group.interval.max(1);
    let estimate = writer.group.phase.div_euclid(1000).rem_euclid(interval);
    let times = |series: &[&RawSeries]| -> Vec<i64> {
        series.iter().flat_map(|series| &series.samples).map(|sample| sample.at).collect()
    };
    let own = times(&writer.own);
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    own.iter().for_each(|at| *counts.entry(at.rem_euclid(interval)).or_default() += 1);
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(remainder, _)| remainder);
    let late = |at: &i64| (estimate - at + 1).rem_euclid(interval);
    let near = times(&writer.shared).into_iter().filter(|at| late(at) <= interval / 5);
    let exact = most.or_else(|| near.min_by_key(late).map(|at| at.rem_euclid(interval)));
    let mine = own.into_iter().chain(times(&writer.shared)).filter(|at| Some(at.rem_euclid(interval)) == exact);
    Phase { exact, estimate, earliest: mine.min() }
}

/// All groups begin at once: the moment before the first evaluation of any.
fn begin(header: &Header, groups: &[Writer<'_>], phases: &[Phase]) -> i64 {
    let began: Vec<(i64, i64)> = groups
        .iter()
        .zip(phases)
        .filter_map(|(writer, it)| Some((it.earliest? - SILENT * writer.group.interval, writer.group.interval)))
        .collect();
    let seen = groups.iter().map(|writer| writer.group.first.div_euclid(1000)).min().unwrap_or(header.from);
    let started = header.started.map_or(header.from, |started| started + BOOT);
    let Some(first) = began.iter().map(|(first, _)| *first).min().filter(|first| *first <= seen) else {
        return started.min(seen - 1);
    };
    // every group that was active from its beginning narrows it: it began within an interval before its first evaluation
    let together = began.iter().filter(|(other, interval)| *other - first < *interval);
    together.map(|(other, interval)| other - interval).max().unwrap_or(first - 1).min(first - 1)
}

fn grid(header: &Header, writer: &Writer<'_>, phase: &Phase, begun: i64) -> Grid {
    let group = writer.group;
    let interval = group.interval.max(1);
    let remainder = phase.exact.unwrap_or(phase.estimate);
    let first = begun + 1 + (remainder - begun - 1).rem_euclid(interval);
    // by the clock an evaluation is up to some milliseconds late, never early
    let last = group.last.div_euclid(1000) + 1;
    let count = usize::try_from((last - first).div_euclid(interval) + 1).unwrap_or(0);
    let mut grid = Grid { first, interval, count, ..Grid::default() };
    for (before, next) in &group.holes {
        let (Some(from), Some(to)) = (grid.before(*before), grid.before(*next)) else { continue };
        match writer.missed.map(|series| grown(series, *before, *next, interval)) {
            Some(0) => {}
            Some(missed) if missed + 1 >= to - from => grid.missed.extend(from + 1..to),
            _ => grid.doubtful.extend(from + 1..to),
        }
    }
    let late: Vec<usize> = group.late.iter().filter_map(|at| grid.before(*at)).collect();
    grid.doubtful.extend(late);
    let wrote = writer.own.iter().flat_map(|series| &series.samples).filter_map(|sample| grid.number(sample.at));
    for number in wrote.collect::<Vec<_>>() {
        grid.missed.remove(&number);
    }
    grid.restarted = header.restarts.iter().filter_map(|at| Some(grid.before(at * 1000)? + 1)).collect();
    grid
}

/// How much a counter has grown over a time (microseconds), give or take two intervals (milliseconds).
fn grown(series: &RawSeries, from: i64, to: i64, interval: i64) -> usize {
    let samples = || series.samples.iter().filter(|sample| !sample.is_stale());
    let before = samples().rfind(|sample| sample.at <= from.div_euclid(1000));
    let after =
        samples().find(|sample| sample.at >= to.div_euclid(1000) + 2 * interval).or_else(|| samples().next_back());
    let growth = after.map_or(0.0, |it| it.value()) - before.map_or(0.0, |it| it.value());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole count")]
    let growth = growth.max(0.0) as usize;
    growth
}

impl Grid {
    /// The latest evaluation at or before a time in microseconds.
    fn before(&self, micros: i64) -> Option<usize> {
        let number = usize::try_from((micros.div_euclid(1000) + 1 - self.first).div_euclid(self.interval)).ok()?;
        (number < self.count).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Labels;
    use crate::telemetry::prometheus::RawSample;
    use crate::telemetry::recording::{Extent, FORMAT};

    fn header() -> Header {
        Header {
            format: FORMAT,
            scenario: "s".into(),
            scale: 60.0,
            from: 1_000_000,
            until: 1_020_000,
            extent: Extent::Whole,
            started: Some(1_000_500),
            restarts: vec![],
            groups: vec![],
            rules: vec![],
        }
    }

    /// A group that was seen from 1,003,000 on; its evaluations lie at `remainder` and begin 1.7 ms later.
    fn group(remainder: i64) -> Evaluated {
        let first = (1_003_000 + remainder) * 1000 + 1_700;
        Evaluated {
            file: "r.yml".into(),
            group: "g".into(),
            interval: 250,
            first,
            last: first + 10_000_000,
            phase: first.rem_euclid(250_000),
            late: vec![],
            holes: vec![],
        }
    }

    fn writer<'a>(group: &'a Evaluated, own: &[&'a RawSeries]) -> Writer<'a> {
        Writer { group, own: own.to_vec(), shared: vec![], missed: None }
    }

    fn written(from: i64, count: i64) -> RawSeries {
        let samples = (0..count).map(|i| RawSample { at: from + 250 * i, bits: 0 }).collect();
        RawSeries { labels: Labels::new(), samples }
    }

    #[test]
    fn a_group_that_alerts_from_the_beginning_gives_all_groups_their_first_evaluation() {
        let header = header();
        let watchdog = written(1_001_110, 40);
        let (always, quiet) = (group(110), group(40));
        let grids = grids(&header, &[writer(&always, &[&watchdog]), writer(&quiet, &[])]);
        assert_eq!(grids[0].first, 1_001_110 - 500, "the third evaluation is the first that is written");
        assert_eq!(grids[0].at(grids[0].count - 1), 1_013_110);
        // 41 ms rather than 40: begun by the clock 1.7 ms late
        assert_eq!(grids[1].first, 1_000_541);
        assert_eq!(grids[0].number(1_001_110), Some(2));
        assert_eq!(grids[0].number(1_001_111), None);
    }

    #[test]
    fn a_sample_of_another_group_does_not_move_the_grid() {
        let header = header();
        let (own, other) = (written(1_005_040, 3), written(1_005_200, 3));
        let quiet = group(40);
        let shared = Writer { shared: vec![&other, &own], ..writer(&quiet, &[]) };
        let grids = grids(&header, &[shared]);
        assert_eq!(grids[0].first.rem_euclid(250), 40);
    }

    #[test]
    fn holes_late_evaluations_and_restarts_are_numbered() {
        let header = Header { restarts: vec![1_006_000], ..header() };
        let watchdog = written(1_001_110, 40);
        let late = vec![1_009_199_000];
        let holed = Evaluated { holes: vec![(1_005_111_700, 1_006_111_700)], late, ..group(110) };
        let grid = |missed: Option<&RawSeries>, own: &[&RawSeries]| {
            grids(&header, &[Writer { missed, ..writer(&holed, own) }]).remove(0)
        };
        let unknown = grid(None, &[&watchdog]);
        let numbers = |times: &[i64]| times.iter().map(|at| unknown.number(*at).unwrap()).collect::<BTreeSet<_>>();
        let hole = [1_005_360, 1_005_610, 1_005_860];
        assert_eq!(unknown.doubtful, numbers(&[&hole[..], &[1_009_110]].concat()));
        assert_eq!((unknown.missed.len(), &unknown.restarted), (0, &numbers(&[1_006_110])));
        let counter = |after: f64| RawSeries {
            labels: Labels::new(),
            samples: vec![RawSample { at: 1_005_000, bits: 0 }, RawSample { at: 1_007_000, bits: after.to_bits() }],
        };
        let none = grid(Some(&counter(0.0)), &[&watchdog]);
        assert_eq!((none.missed.len(), none.doubtful), (0, numbers(&[1_009_110])));
        let early = written(1_001_110, 10);
        assert_eq!(grid(Some(&counter(3.0)), &[&early]).missed, numbers(&hole), "Prometheus says that it missed three");
    }
}
