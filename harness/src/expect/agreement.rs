//! Judges `that.agreement { of = "requests" }`: several observers counted the same thing, and their counts are compared cell
//! by cell. What an observer cannot know (a client's timeouts, what a killed process took with it) widens its count to a
//! stated interval; agreement is then that the intervals meet, in every cell and in every sum that an interval spans.

use std::collections::{BTreeMap, BTreeSet};

use super::{Agreement, Observer};
use crate::outcome::{Evidence, Outcome, Reason};

/// A cell's coordinates, in the order of the agreement's dimensions, for example `["/api/items/{sku}", "200"]`.
pub type Cell = Vec<String>;

/// What one observer counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Per cell.
    pub cells: BTreeMap<Cell, u64>,
    /// Things that may have happened besides, in cells the observer could not tell.
    pub slack: Vec<Slack>,
    /// A dimension the observer's signal has no label for, in words.
    pub missing_label: Option<String>,
    /// Why the observer could not count, if it could not.
    pub error: Option<String>,
}

/// Up to so many more than were counted, in the cells that fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slack {
    /// The coordinates that are known; none where any will do.
    pub cell: Pattern,
    /// At most so many.
    pub up_to: u64,
    /// Why, such as `no answer` or `lost at a restart`.
    pub why: &'static str,
}

/// A cell of which some coordinates are known.
pub type Pattern = Vec<Option<String>>;

fn fits(pattern: &[Option<String>], cell: &[String]) -> bool {
    pattern.iter().zip(cell).all(|(known, value)| known.as_ref().is_none_or(|known| known == value))
}

fn meets(one: &[Option<String>], other: &[Option<String>]) -> bool {
    one.iter().zip(other).all(|pair| !matches!(pair, (Some(one), Some(other)) if one != other))
}

impl Count {
    fn total(&self) -> u64 {
        self.cells.values().sum()
    }

    /// What was counted in the cells that fit, and what it may have been.
    fn interval(&self, pattern: &Pattern) -> (u64, u64) {
        let low: u64 = self.cells.iter().filter(|(cell, _)| fits(pattern, cell)).map(|(_, count)| count).sum();
        let more: u64 = self.slack.iter().filter(|it| meets(&it.cell, pattern)).map(|it| it.up_to).sum();
        (low, low + more)
    }

    fn unknown(&self) -> u64 {
        self.slack.iter().map(|slack| slack.up_to).sum()
    }
}

/// An interval that spans more than this share of all says nothing.
const WIDEST: f64 = 0.5;

/// Judges an agreement. Without slack the counts must be equal, cell by cell.
#[must_use]
pub fn judge(spec: &Agreement, counts: &BTreeMap<Observer, Count>) -> Outcome {
    let cells: BTreeSet<&Cell> = counts.values().flat_map(|count| count.cells.keys()).collect();
    let evidence = describe(spec, counts, &cells);
    if let Some((observer, error)) = counts.iter().find_map(|(observer, count)| Some((observer, count.error.as_ref()?)))
    {
        let summary = format!("{} could not count: {error}", observer.name());
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
    }
    if let Some(missing) = counts.values().find_map(|count| count.missing_label.as_ref()) {
        return Outcome::Failed(Reason::LabelMissing, Evidence { summary: missing.clone(), ..evidence });
    }
    let total = counts.values().map(Count::total).max().unwrap_or(0);
    if total == 0 {
        let summary = "nobody counted anything".to_owned();
        return Outcome::Inconclusive(Reason::NoData, Evidence { summary, ..evidence });
    }
    if let Some((place, seen)) = disagreement(spec, counts, &cells) {
        let (reason, why) = diagnose(counts);
        return Outcome::Failed(reason, Evidence { summary: format!("{why}; {place} counts {seen}"), ..evidence });
    }
    let unknown = counts.values().map(Count::unknown).max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a share of a count of requests, far below 2^52")]
    let share = unknown as f64 / total as f64;
    if share > WIDEST {
        let summary = format!("{unknown} of {total} could not be told, so that counts which meet prove nothing");
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
    }
    let names: Vec<&str> = counts.keys().map(|observer| observer.name()).collect();
    let stated = match (unknown, spec.tolerance > 0.0) {
        (0, false) => "exactly".to_owned(),
        (0, true) => format!("within {}%", spec.tolerance * 100.0),
        (unknown, false) => format!("within {unknown}"),
        (unknown, true) => format!("within {unknown} and {}%", spec.tolerance * 100.0),
    };
    let summary = format!("{} agree {stated} on {total} in {} cells", names.join(", "), cells.len());
    Outcome::Passed(Evidence { summary, ..evidence })
}

/// The first cell, or sum over cells that share an uncertainty, whose intervals do not meet.
fn disagreement(
    spec: &Agreement,
    counts: &BTreeMap<Observer, Count>,
    cells: &BTreeSet<&Cell>,
) -> Option<(String, String)> {
    let single = cells.iter().map(|cell| cell.iter().cloned().map(Some).collect::<Pattern>());
    let shared: BTreeSet<Pattern> =
        counts.values().flat_map(|count| count.slack.iter().map(|slack| slack.cell.clone())).collect();
    let everything = vec![None; cells.first().map_or(0, |cell| cell.len())];
    let mut patterns = single.chain(shared).chain([everything]);
    patterns.find_map(|pattern| {
        let intervals: Vec<(Observer, (u64, u64))> =
            counts.iter().map(|(observer, count)| (*observer, count.interval(&pattern))).collect();
        let most = intervals.iter().map(|(_, (low, _))| *low).max().unwrap_or(0);
        let least = intervals.iter().map(|(_, (_, high))| *high).min().unwrap_or(0);
        if most <= least + tolerated(spec, most) {
            return None;
        }
        let seen: Vec<String> = intervals
            .iter()
            .map(|(observer, (low, high))| {
                let more = if high > low { format!(" to {high}") } else { String::new() };
                format!("{} {low}{more}", observer.name())
            })
            .collect();
        let known: Vec<&str> = pattern.iter().flatten().map(String::as_str).collect();
        let place = if known.is_empty() { "all together".to_owned() } else { known.join(" ") };
        Some((place, seen.join(", ")))
    })
}

fn at(count: &Count, cell: &Cell) -> u64 {
    count.cells.get(cell).copied().unwrap_or(0)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count of requests, far below 2^52 and never negative"
)]
fn tolerated(spec: &Agreement, largest: u64) -> u64 {
    (largest as f64 * spec.tolerance).floor() as u64
}

/// Names the observer that stands alone.
fn diagnose(counts: &BTreeMap<Observer, Count>) -> (Reason, String) {
    let logs = counts.get(&Observer::Logs);
    let others: Vec<&Count> =
        counts.iter().filter(|(observer, _)| **observer != Observer::Logs).map(|(_, count)| count).collect();
    let others_agree = others.windows(2).all(|pair| pair[0].cells == pair[1].cells);
    match logs {
        Some(logs) if logs.total() == 0 => {
            (Reason::LogMissing, "there is not one log line for what the others counted".to_owned())
        }
        Some(logs) if others_agree && !others.is_empty() => {
            let rest = others[0].total();
            if logs.total() < rest {
                (Reason::LogLoss, format!("{} log lines are missing", rest - logs.total()))
            } else if logs.total() > rest {
                (Reason::LogDuplicate, format!("{} log lines are too many", logs.total() - rest))
            } else {
                (Reason::CountMismatch, "the logs tell of other routes or statuses".to_owned())
            }
        }
        _ => (Reason::CountMismatch, "the observers count differently".to_owned()),
    }
}

fn describe(spec: &Agreement, counts: &BTreeMap<Observer, Count>, cells: &BTreeSet<&Cell>) -> Evidence {
    let mut columns: Vec<&str> = spec
        .by
        .iter()
        .map(|dimension| match dimension {
            super::Dimension::Route => "route",
            super::Dimension::Status => "status",
            super::Dimension::Method => "method",
        })
        .collect();
    columns.extend(counts.keys().map(|observer| observer.name()));
    let rows = cells
        .iter()
        .map(|cell| {
            let mut row: Vec<String> = (*cell).clone();
            row.extend(counts.values().map(|count| at(count, cell).to_string()));
            row
        })
        .collect();
    let evidence = Evidence::default().with_table("counts", &columns, rows);
    let open: Vec<String> = counts
        .iter()
        .flat_map(|(observer, count)| count.slack.iter().map(move |slack| (observer, slack)))
        .filter(|(_, slack)| slack.up_to > 0)
        .map(|(observer, slack)| {
            let known: Vec<&str> = slack.cell.iter().flatten().map(String::as_str).collect();
            format!("{}: up to {} more {} ({})", observer.name(), slack.up_to, known.join(" "), slack.why)
        })
        .collect();
    if open.is_empty() { evidence } else { evidence.with_list("what nobody can know", open) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::{Counted, Dimension};

    fn spec() -> Agreement {
        Agreement {
            of: Counted::Requests,
            between: BTreeSet::from([Observer::Client, Observer::Metrics, Observer::Logs]),
            by: BTreeSet::from([Dimension::Route, Dimension::Status]),
            tolerance: 0.0,
        }
    }

    fn count(cells: &[(&str, u64)]) -> Count {
        let cells = cells.iter().map(|(status, count)| (vec!["/r".to_owned(), (*status).to_owned()], *count)).collect();
        Count { cells, ..Count::default() }
    }

    fn reason(client: Count, metrics: Count, logs: Count) -> Option<Reason> {
        let counts = BTreeMap::from([(Observer::Client, client), (Observer::Metrics, metrics), (Observer::Logs, logs)]);
        judge(&spec(), &counts).reason()
    }

    #[test]
    fn equal_counts_agree_and_one_more_does_not() {
        let ten = || count(&[("200", 10), ("404", 1)]);
        assert_eq!(reason(ten(), ten(), ten()), None);
        assert_eq!(reason(ten(), count(&[("200", 11), ("404", 1)]), ten()), Some(Reason::CountMismatch));
    }

    #[test]
    fn a_service_that_counts_twice_is_found_s05() {
        assert_eq!(
            reason(count(&[("200", 10)]), count(&[("200", 20)]), count(&[("200", 10)])),
            Some(Reason::CountMismatch)
        );
    }

    #[test]
    fn silent_lossy_and_doubling_logs_have_names_of_their_own_s48() {
        let ten = || count(&[("200", 10)]);
        assert_eq!(reason(ten(), ten(), count(&[])), Some(Reason::LogMissing));
        assert_eq!(reason(ten(), ten(), count(&[("200", 7)])), Some(Reason::LogLoss));
        assert_eq!(reason(ten(), ten(), count(&[("200", 20)])), Some(Reason::LogDuplicate));
        assert_eq!(reason(ten(), ten(), count(&[("500", 10)])), Some(Reason::CountMismatch));
    }

    fn slack(route: Option<&str>, up_to: u64) -> Slack {
        Slack { cell: vec![route.map(str::to_owned), None], up_to, why: "no answer" }
    }

    fn unsure(cells: &[(&str, u64)], up_to: u64) -> Count {
        Count { slack: vec![slack(Some("/r"), up_to)], ..count(cells) }
    }

    #[test]
    fn unknown_ends_widen_the_interval_and_say_so_t09() {
        let counts =
            BTreeMap::from([(Observer::Client, unsure(&[("200", 8)], 2)), (Observer::Metrics, count(&[("200", 10)]))]);
        let outcome = judge(&spec(), &counts);
        assert!(outcome.is_passed() && outcome.evidence().summary.contains("within 2"), "{outcome:?}");
    }

    #[test]
    fn one_more_than_the_interval_allows_disagrees_t09() {
        let ten = || count(&[("200", 10)]);
        assert_eq!(reason(unsure(&[("200", 8)], 2), ten(), ten()), None);
        assert_eq!(reason(unsure(&[("200", 8)], 1), ten(), ten()), Some(Reason::CountMismatch));
    }

    #[test]
    fn what_is_unknown_is_spent_once_not_in_every_cell_t09() {
        let both = || count(&[("200", 10), ("500", 10)]);
        assert_eq!(reason(unsure(&[("200", 9), ("500", 9)], 2), both(), both()), None);
        assert_eq!(reason(unsure(&[("200", 8), ("500", 8)], 2), both(), both()), Some(Reason::CountMismatch));
    }

    #[test]
    fn what_is_unknown_on_one_route_excuses_no_other_t09() {
        let there = Count { slack: vec![slack(Some("/elsewhere"), 5)], ..count(&[("200", 98)]) };
        assert_eq!(reason(there, count(&[("200", 100)]), count(&[("200", 100)])), Some(Reason::CountMismatch));
        let anywhere = Count { slack: vec![slack(None, 5)], ..count(&[("200", 98)]) };
        assert_eq!(reason(anywhere, count(&[("200", 100)]), count(&[("200", 100)])), None);
    }

    #[test]
    fn a_restart_lets_metrics_and_logs_count_less_and_never_more_t09() {
        let lost = |counted, up_to| unsure(&[("200", counted)], up_to);
        assert_eq!(reason(count(&[("200", 100)]), lost(80, 25), lost(95, 10)), None);
        assert_eq!(reason(count(&[("200", 100)]), lost(74, 25), lost(95, 10)), Some(Reason::CountMismatch));
        assert_eq!(reason(count(&[("200", 100)]), lost(101, 25), lost(95, 10)), Some(Reason::CountMismatch));
    }

    #[test]
    fn an_interval_as_wide_as_the_count_proves_nothing_t09() {
        let counts =
            BTreeMap::from([(Observer::Client, unsure(&[("200", 1)], 9)), (Observer::Metrics, count(&[("200", 10)]))]);
        assert!(matches!(judge(&spec(), &counts), Outcome::Inconclusive(Reason::NoCoverage, _)));
    }

    #[test]
    fn a_tolerance_is_a_share_of_the_largest_count() {
        let loose = Agreement { tolerance: 0.01, ..spec() };
        let judged = |metrics| {
            let counts = BTreeMap::from([
                (Observer::Client, count(&[("200", 1000)])),
                (Observer::Metrics, count(&[("200", metrics)])),
            ]);
            judge(&loose, &counts).reason()
        };
        assert_eq!((judged(990), judged(989)), (None, Some(Reason::CountMismatch)));
    }

    #[test]
    fn a_dropped_label_is_named_s03() {
        let blind =
            Count { missing_label: Some("http_requests_total has no label for status".into()), ..Count::default() };
        assert_eq!(reason(count(&[("200", 1)]), blind, count(&[("200", 1)])), Some(Reason::LabelMissing));
    }

    #[test]
    fn an_observer_that_could_not_count_decides_nothing() {
        let broken = Count { error: Some("Prometheus does not answer".into()), ..Count::default() };
        assert_eq!(reason(count(&[("200", 1)]), broken, count(&[("200", 1)])), Some(Reason::NoCoverage));
        assert_eq!(reason(count(&[]), count(&[]), count(&[])), Some(Reason::NoData));
    }
}
