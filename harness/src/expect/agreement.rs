//! Judges `that.agreement`: several observers counted the same thing, and their counts are compared cell by cell.

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
    /// Things the observer knows to have happened, with an end it could not see (a client's timeouts and resets): a cell may
    /// differ by as many.
    pub unknown: u64,
    /// A dimension the observer's signal has no label for, in words.
    pub missing_label: Option<String>,
    /// Why the observer could not count, if it could not.
    pub error: Option<String>,
}

impl Count {
    fn total(&self) -> u64 {
        self.cells.values().sum()
    }
}

/// Judges an agreement. Without `unknown` ends the counts must be equal, cell by cell.
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
    if counts.values().all(|count| count.total() == 0) {
        let summary = "nobody counted anything".to_owned();
        return Outcome::Inconclusive(Reason::NoData, Evidence { summary, ..evidence });
    }
    let unknown = counts.values().map(|count| count.unknown).max().unwrap_or(0);
    let slack = |cell: &Cell| unknown + tolerated(spec, counts, cell);
    let Some(cell) = cells.iter().find(|cell| spread(counts, cell) > slack(cell)) else {
        let total = counts.values().map(Count::total).max().unwrap_or(0);
        let names: Vec<&str> = counts.keys().map(|observer| observer.name()).collect();
        let stated = match (unknown, spec.tolerance > 0.0) {
            (0, false) => "exactly".to_owned(),
            (0, true) => format!("within {}%", spec.tolerance * 100.0),
            (unknown, false) => format!("within {unknown}"),
            (unknown, true) => format!("within {unknown} and {}%", spec.tolerance * 100.0),
        };
        let summary = format!("{} agree {stated} on {total} in {} cells", names.join(", "), cells.len());
        return Outcome::Passed(Evidence { summary, ..evidence });
    };
    let (reason, why) = diagnose(counts);
    let seen: Vec<String> =
        counts.iter().map(|(observer, count)| format!("{} {}", observer.name(), at(count, cell))).collect();
    let summary = format!("{why}; {} counts {}", cell.join(" "), seen.join(", "));
    Outcome::Failed(reason, Evidence { summary, ..evidence })
}

fn at(count: &Count, cell: &Cell) -> u64 {
    count.cells.get(cell).copied().unwrap_or(0)
}

fn spread(counts: &BTreeMap<Observer, Count>, cell: &Cell) -> u64 {
    let seen = || counts.values().map(|count| at(count, cell));
    seen().max().unwrap_or(0) - seen().min().unwrap_or(0)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count of requests, far below 2^52 and never negative"
)]
fn tolerated(spec: &Agreement, counts: &BTreeMap<Observer, Count>, cell: &Cell) -> u64 {
    let largest = counts.values().map(|count| at(count, cell)).max().unwrap_or(0);
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
    let unknown = counts.values().map(|count| count.unknown).max().unwrap_or(0);
    if unknown == 0 {
        return evidence;
    }
    evidence.with("requests whose end the client could not see", unknown.to_string())
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

    #[test]
    fn unknown_ends_widen_the_interval_and_say_so_t09() {
        let client = Count { unknown: 2, ..count(&[("200", 8)]) };
        let counts = BTreeMap::from([(Observer::Client, client), (Observer::Metrics, count(&[("200", 10)]))]);
        let outcome = judge(&spec(), &counts);
        assert!(outcome.is_passed() && outcome.evidence().summary.contains("within 2"), "{outcome:?}");
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
