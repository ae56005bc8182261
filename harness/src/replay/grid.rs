//! When a rule group was evaluated. Evaluations lie on a grid that only the group's name, file and interval decide, so that
//! one exact timestamp of a sample that the group itself wrote (`ALERTS`, a recorded series) gives all of them. Groups that
//! wrote nothing get the grid from when their evaluations began by the clock, which is a millisecond or two late.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::telemetry::prometheus::RawSeries;
use crate::telemetry::recording::{Evaluated, Header};

/// `ALERTS` is not written at a group's first two evaluations, after every start.
const FIRST_WRITTEN: usize = 2;
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
    /// Evaluations that came late, or that nobody saw begin: what they saw is not certain.
    pub doubtful: BTreeSet<usize>,
    /// How many milliseconds late the late ones began.
    pub late: BTreeMap<usize, i64>,
    /// For which evaluations Prometheus was alive; more than one range when it restarted. What lies between them never was.
    pub lives: Vec<Range<usize>>,
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

    /// When an evaluation began, as far as anybody knows.
    #[must_use]
    pub fn began(&self, number: usize) -> i64 {
        self.at(number) + self.late.get(&number).copied().unwrap_or(0)
    }

    /// The life of Prometheus that an evaluation belongs to; of one between two lives, the one before.
    #[must_use]
    pub fn life(&self, number: usize) -> Range<usize> {
        self.lives.iter().rfind(|life| life.start <= number).cloned().unwrap_or(0..self.count)
    }

    /// Whether an evaluation was done, as far as anybody knows.
    #[must_use]
    pub fn happened(&self, number: usize) -> bool {
        self.life(number).contains(&number) && !self.missed.contains(&number)
    }

    /// The first evaluation from which on `ALERTS` tells what an alert does that is active at `number`.
    #[must_use]
    pub fn written(&self, number: usize) -> usize {
        number.max(self.life(number).start + FIRST_WRITTEN)
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
    /// When it wrote something, in order.
    wrote: Vec<i64>,
}

/// The grids of the groups, in the order given.
#[must_use]
pub fn grids(header: &Header, groups: &[Writer<'_>]) -> Vec<Grid> {
    let phases: Vec<Phase> = groups.iter().map(phase).collect();
    let seen = groups.iter().map(|writer| writer.group.first.div_euclid(1000)).min().unwrap_or(header.from);
    let started = header.started.filter(|started| *started < seen).unwrap_or(header.from);
    let until = header.restarts.first().copied().unwrap_or(i64::MAX);
    let begun = begin(started, seen, until, groups, &phases);
    let mut grids: Vec<Grid> = groups.iter().zip(&phases).map(|(group, phase)| grid(group, phase, begun)).collect();
    for (place, restart) in header.restarts.iter().enumerate() {
        let until = header.restarts.get(place + 1).copied().unwrap_or(i64::MAX);
        let seen = groups.iter().filter_map(|writer| seen_after(writer, *restart)).min().unwrap_or(i64::MAX);
        let begun = begin(*restart, seen, until, groups, &phases);
        for ((grid, phase), writer) in grids.iter_mut().zip(&phases).zip(groups) {
            grid.restart(*restart, begun, phase, writer);
        }
    }
    grids
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
    let mut wrote: Vec<i64> = mine.collect();
    wrote.sort_unstable();
    Phase { exact, estimate, wrote }
}

/// When the first evaluation after a restart was seen, in milliseconds.
fn seen_after(writer: &Writer<'_>, restart: i64) -> Option<i64> {
    let after = writer.group.holes.iter().map(|(_, next)| next.div_euclid(1000));
    after.filter(|next| *next >= restart).min()
}

/// All groups begin at once: the moment before the first evaluation of any, of a Prometheus that `started` and wrote until
/// `until`. `seen` is when the first evaluation was seen.
fn begin(started: i64, seen: i64, until: i64, groups: &[Writer<'_>], phases: &[Phase]) -> i64 {
    let began: Vec<(i64, i64)> = groups
        .iter()
        .zip(phases)
        .filter_map(|(writer, it)| {
            let earliest = it.wrote.iter().find(|at| (started..until).contains(at))?;
            Some((earliest - SILENT * writer.group.interval, writer.group.interval))
        })
        .collect();
    let Some(first) = began.iter().map(|(first, _)| *first).min().filter(|first| *first <= seen) else {
        return (started + BOOT).min(seen - 1);
    };
    // every group that was active from its beginning narrows it: it began within an interval before its first evaluation
    let together = began.iter().filter(|(other, interval)| *other - first < *interval);
    together.map(|(other, interval)| other - interval).max().unwrap_or(first - 1).min(first - 1)
}

fn grid(writer: &Writer<'_>, phase: &Phase, begun: i64) -> Grid {
    let group = writer.group;
    let interval = group.interval.max(1);
    let remainder = phase.exact.unwrap_or(phase.estimate);
    let first = begun + 1 + (remainder - begun - 1).rem_euclid(interval);
    // by the clock an evaluation is up to some milliseconds late, never early
    let last = group.last.div_euclid(1000) + 1;
    let count = usize::try_from((last - first).div_euclid(interval) + 1).unwrap_or(0);
    let mut grid = Grid { first, interval, count, ..Grid::default() }.alive();
    grid.doubtful.extend(0..grid.before(group.first).unwrap_or(0));
    for (before, next) in &group.holes {
        let (Some(from), Some(to)) = (grid.before(*before), grid.before(*next)) else { continue };
        match writer.missed.map(|series| grown(series, *before, *next, interval)) {
            // none was missed; how late they began nobody saw
            Some(0) => grid.doubtful.extend(from + 1..to),
            Some(missed) if missed + 1 >= to - from => grid.missed.extend(from + 1..to),
            _ => grid.doubtful.extend(from + 1..to),
        }
    }
    for began in &group.late {
        let Some(number) = grid.before(*began) else { continue };
        grid.doubtful.insert(number);
        grid.late.insert(number, began.div_euclid(1000) - grid.at(number));
    }
    for at in &phase.wrote {
        if let Some(number) = grid.number(*at) {
            grid.missed.remove(&number);
        }
    }
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
    /// The same grid with a Prometheus that lived all the time.
    pub(super) fn alive(self) -> Self {
        let whole = 0..self.count;
        Self { lives: vec![whole], ..self }
    }

    /// Takes in that Prometheus restarted: the last life ends with the last evaluation that was seen or that wrote something, a
    /// new one begins with the first evaluation after `begun`. What was not done is neither missed nor doubtful.
    fn restart(&mut self, restart: i64, begun: i64, phase: &Phase, writer: &Writer<'_>) {
        let next = begun + 1 + (self.first - begun - 1).rem_euclid(self.interval);
        let hole = writer.group.holes.iter().find(|(before, next)| *before < restart * 1000 && restart * 1000 <= *next);
        let seen = self.before(hole.map_or(restart * 1000 - 1, |(before, _)| *before));
        let wrote = phase.wrote.iter().rfind(|at| **at < restart).and_then(|at| self.number(*at));
        let (Some(next), Some(last)) = (self.number(next), seen.max(wrote)) else { return };
        let Some(life) = self.lives.last_mut().filter(|life| life.start < next && last < next) else { return };
        life.end = last + 1;
        self.lives.push(next..self.count);
        // what nobody saw before the end and after the begin is known by what was written
        let from = seen.map_or(last, |seen| seen.min(last)) + 1;
        let until = hole.and_then(|(_, next)| self.before(*next)).map_or(next, |seen| seen.max(next));
        let settled = |number: &usize| !(from..until).contains(number);
        self.doubtful.retain(settled);
        self.missed.retain(settled);
    }

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
    fn holes_and_late_evaluations_are_numbered() {
        let header = header();
        let watchdog = written(1_001_110, 40);
        let late = vec![1_009_199_000];
        let holed = Evaluated { holes: vec![(1_005_111_700, 1_006_111_700)], late, ..group(110) };
        let grid = |missed: Option<&RawSeries>, own: &[&RawSeries]| {
            grids(&header, &[Writer { missed, ..writer(&holed, own) }]).remove(0)
        };
        let unknown = grid(None, &[&watchdog]);
        let numbers = |times: &[i64]| times.iter().map(|at| unknown.number(*at).unwrap()).collect::<BTreeSet<_>>();
        let hole = [1_005_360, 1_005_610, 1_005_860];
        let first = unknown.number(1_003_110).unwrap();
        let unseen = |more: &[i64]| (0..first).chain(numbers(more)).collect::<BTreeSet<_>>();
        assert_eq!(
            unknown.doubtful,
            unseen(&[&hole[..], &[1_009_110]].concat()),
            "nor did anybody see the first begin"
        );
        assert_eq!((unknown.missed.len(), unknown.lives.len()), (0, 1));
        assert_eq!(unknown.late.values().collect::<Vec<_>>(), [&89]);
        let counter = |after: f64| RawSeries {
            labels: Labels::new(),
            samples: vec![RawSample { at: 1_005_000, bits: 0 }, RawSample { at: 1_007_000, bits: after.to_bits() }],
        };
        let none = grid(Some(&counter(0.0)), &[&watchdog]);
        assert_eq!((none.missed.len(), &none.doubtful), (0, &unknown.doubtful), "done, and nobody saw when");
        let early = written(1_001_110, 10);
        let three = grid(Some(&counter(3.0)), &[&early]);
        assert_eq!(three.missed, numbers(&hole), "Prometheus says that it missed three");
        assert_eq!(three.doubtful, unseen(&[1_009_110]));
    }

    #[test]
    fn evaluations_while_prometheus_was_dead_never_were() {
        let header = Header { restarts: vec![1_006_000], ..header() };
        // dead from 1,005,400 to 1,006,000; alive again it writes from its third evaluation on
        let samples = [written(1_001_110, 18).samples, written(1_006_860, 10).samples].concat();
        let watchdog = RawSeries { labels: Labels::new(), samples };
        let holed = |remainder: i64| {
            let at = |since: i64| (since + remainder) * 1000 + 1_700;
            Evaluated { holes: vec![(at(1_005_000), at(1_006_500))], ..group(remainder) }
        };
        let (always, quiet) = (holed(110), holed(40));
        let grids = grids(&header, &[writer(&always, &[&watchdog]), writer(&quiet, &[])]);
        for grid in &grids {
            let unseen = grid.doubtful.iter().all(|number| grid.at(*number) < 1_003_000);
            assert!(unseen, "what nobody saw lies before the first poll: {grid:?}");
            assert_eq!((grid.lives.len(), grid.missed.len()), (2, 0), "{grid:?}");
        }
        let ends = |grid: &Grid| (grid.at(grid.lives[0].end - 1), grid.at(grid.lives[1].start));
        assert_eq!(ends(&grids[0]), (1_005_360, 1_006_360), "what was written says more than what was seen");
        assert_eq!(ends(&grids[1]), (1_005_041, 1_006_291), "begun within an interval of the other");
        let dead = grids[0].number(1_005_610).unwrap();
        assert!(!grids[0].happened(dead) && grids[0].happened(dead - 1));
        assert_eq!(grids[0].written(grids[0].lives[1].start), grids[0].number(1_006_860).unwrap());
    }
}
