//! Agreements: of requests, of numbered log lines, of latencies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Golden, hold};
use crate::expect::agreement::{Count, Slack, judge};
use crate::expect::latency::{self, Histogram, Measured};
use crate::expect::lines::{self, Found, Line};
use crate::expect::{Agreement, Counted, Dimension, Observer};
use crate::outcome::Outcome;

fn spec(of: Counted, tolerance: f64) -> Agreement {
    Agreement {
        of,
        between: BTreeSet::from([Observer::Client, Observer::Metrics, Observer::Logs]),
        by: BTreeSet::from([Dimension::Status]),
        tolerance,
    }
}

/// One letter a request: `a` all three count it, `m` Prometheus does not, `l` the logs do not, `M` Prometheus counts it twice,
/// `L` it is logged twice, `s` the logs tell of another status, `?` the client had no answer and the others count it, `-` the
/// client had no answer and nobody counts it. `!`: Prometheus does not answer.
fn requests(tolerance: f64, story: &str) -> Outcome {
    let count = |letters: &str| story.chars().filter(|it| letters.contains(*it)).count() as u64;
    let cells = |good: u64, odd: u64| {
        let all = [("200", good), ("500", odd)].into_iter().filter(|(_, count)| *count > 0);
        all.map(|(status, count)| (vec![status.to_owned()], count)).collect::<BTreeMap<_, _>>()
    };
    let slack = Slack { cell: vec![None], up_to: count("?-"), why: "no answer" };
    let error = story.contains('!').then(|| "Prometheus does not answer".to_owned());
    let counts = BTreeMap::from([
        (Observer::Client, Count { cells: cells(count("amlMLs"), 0), slack: vec![slack], ..Count::default() }),
        (Observer::Metrics, Count { cells: cells(count("alMLs?") + count("M"), 0), error, ..Count::default() }),
        (Observer::Logs, Count { cells: cells(count("amML?") + count("L"), count("s")), ..Count::default() }),
    ]);
    judge(&spec(Counted::Requests, tolerance), &counts)
}

/// One letter a line, one a second: `b` on standard output and in the log store, `o` on standard output only, `s` in the store
/// only, `-` in neither, `2` twice in the store. `|`: the process was killed, another begins to count at 1. `!`: the store does
/// not answer.
fn of_lines(story: &str) -> Outcome {
    let (mut stdout, mut store) = (Vec::new(), Vec::new());
    let (mut process, mut number) = (0, 0);
    for (second, letter) in (0_i64..).zip(story.chars()) {
        if letter == '|' {
            (process, number) = (process + 1, 0);
            continue;
        }
        number += 1;
        let line = Line { at: second * 1_000_000_000, process: format!("p{process}"), number, request: String::new() };
        stdout.extend(Some(line.clone()).filter(|_| "bo2".contains(letter)));
        store.extend(Some(line.clone()).filter(|_| "bs2".contains(letter)));
        store.extend(Some(line).filter(|_| letter == '2'));
    }
    let error = story.contains('!').then(|| "the log store does not answer".to_owned());
    lines::judge(&Found { stdout: Some(stdout), store, error, ..Found::default() })
}

/// Ten observations a letter: `0` up to 0.1 s, `1` up to 0.25 s, `2` up to 0.5 s, `3` above; `c` counted in no bucket, `t` up to
/// 0.1 s and a hundred seconds in the sum. Then the client's median in milliseconds; `!`: the generator was the bottleneck.
fn latencies(story: &str) -> Outcome {
    let (letters, client) = story.split_once(' ').expect("a story has two parts");
    let up_to = |wanted: &str| letters.chars().filter(|it| wanted.contains(*it)).count() as f64 * 10.0;
    let histogram = Histogram {
        buckets: vec![(0.1, up_to("0t")), (0.25, up_to("0t1")), (0.5, up_to("0t12")), (f64::INFINITY, up_to("0t123"))],
        count: up_to("0123ct"),
        sum: up_to("0") * 0.05 + up_to("1") * 0.2 + up_to("2") * 0.4 + up_to("3") * 0.8 + up_to("t") * 100.0,
    };
    let saturation = client.ends_with('!').then(|| "scheduler lag p99 80 ms".to_owned());
    let median = client.trim_end_matches('!').parse().map(Duration::from_millis);
    let measured = median.map(|median| Measured { count: 100, quantiles: vec![median] });
    let client = measured.into_iter().map(|measured| (String::new(), measured)).collect();
    let seen =
        latency::Seen { histograms: BTreeMap::from([(String::new(), histogram)]), client, saturation, error: None };
    latency::judge(&spec(Counted::Latency, 0.0), &seen)
}

#[test]
fn requests_that_must_be_counted_alike() {
    hold(EXACTLY, |story| requests(0.0, story));
    hold(LOOSELY, |story| requests(0.1, story));
}

#[test]
fn lines_that_must_all_arrive() {
    hold(LINES, of_lines);
}

#[test]
fn latencies_that_must_agree() {
    hold(LATENCIES, latencies);
}

const EXACTLY: &[Golden] = &[
    ("all alike", "aaaaaaaaaa", "passed"),
    ("one request", "a", "passed"),
    ("Prometheus counts one less", "aaaaaaaaam", "failed COUNT_MISMATCH"),
    ("Prometheus counts one more", "aaaaaaaaaM", "failed COUNT_MISMATCH"),
    ("one line is missing", "aaaaaaaaal", "failed LOG_LOSS"),
    ("one line too many", "aaaaaaaaaL", "failed LOG_DUPLICATE"),
    ("not one line", "llllllllll", "failed LOG_MISSING"),
    ("one line missing and another too many", "aaaaaaaalL", "passed"),
    ("a line of another status", "aaaaaaaaas", "failed COUNT_MISMATCH"),
    ("one less in Prometheus hides none in the logs", "aaaaaaaaml", "failed COUNT_MISMATCH"),
    ("unanswered, and counted by the others", "aaaaaaaa??", "passed"),
    ("unanswered, and counted by nobody", "aaaaaaaa--", "passed"),
    ("unanswered, one of them counted", "aaaaaaaa?-", "passed"),
    ("one more than was unanswered", "aaaaaaaa??M", "failed COUNT_MISMATCH"),
    ("as many unanswered as not", "aaaaa?????", "passed"),
    ("one unanswered more than that proves nothing", "aaaaa??????", "inconclusive NO_COVERAGE"),
    ("nothing was sent", "", "inconclusive NO_DATA"),
    ("nothing was answered, nothing was counted", "----", "inconclusive NO_DATA"),
    ("an observer that could not count", "aaaaaaaaaa!", "inconclusive NO_COVERAGE"),
];

/// A tenth of the largest count may differ.
const LOOSELY: &[Golden] = &[
    ("one in ten", "aaaaaaaaam", "passed"),
    ("two in ten", "aaaaaaaamm", "failed COUNT_MISMATCH"),
    ("one in nine", "aaaaaaaam", "failed COUNT_MISMATCH"),
    ("one in nineteen", "aaaaaaaaaaaaaaaaaam", "passed"),
    ("two in nineteen", "aaaaaaaaaaaaaaaaamm", "failed COUNT_MISMATCH"),
    ("two in twenty", "aaaaaaaaaaaaaaaaaamm", "passed"),
];

/// A process that was killed may take what it wrote in its last three seconds with it.
pub(super) const LINES: &[Golden] = &[
    ("every one everywhere", "bbbbbbbbbb", "passed"),
    ("the first is missing", "obbbbbbbbb", "failed LOG_LOSS"),
    ("one is missing", "bbbbobbbbb", "failed LOG_LOSS"),
    ("the last is missing", "bbbbbbbbbo", "failed LOG_MISSING"),
    ("all from some line on are missing", "bbbbbooooo", "failed LOG_MISSING"),
    ("none ever arrives", "oooooooooo", "failed LOG_MISSING"),
    ("one was never written", "bbbb-bbbbb", "failed LOG_LOSS"),
    ("one that nobody saw at the end is none", "bbbbbbbbb-", "passed"),
    ("one that only the store has", "bbbbsbbbbb", "failed LOG_LOSS"),
    ("one arrives twice", "bbbb2bbbbb", "failed LOG_DUPLICATE"),
    ("killed, and everything arrived", "bbbbb|bbbbb", "passed"),
    ("killed with the lines of its last three seconds", "bbbbbbbbbboooo|bbbbb", "passed"),
    ("one line more", "bbbbbbbbbbooooo|bbbbb", "failed LOG_MISSING"),
    ("lost in the middle before it was killed", "bbbbbobbbb|bbbbb", "failed LOG_LOSS"),
    ("lost at the end by one that was not killed", "bbbbb|bbbbo", "failed LOG_MISSING"),
    ("no numbered line", "", "inconclusive NO_DATA"),
    ("the store does not answer", "bbbbbbbbb!", "inconclusive NO_COVERAGE"),
];

const LATENCIES: &[Golden] = &[
    ("inside the median's bucket", "0011111222 200", "passed"),
    ("at its lower bound", "0011111222 100", "passed"),
    ("below it", "0011111222 98", "failed HISTOGRAM_MISMATCH"),
    ("at its upper bound and the way there and back", "0011111222 299", "passed"),
    ("above it", "0011111222 301", "failed HISTOGRAM_MISMATCH"),
    ("above it, and the generator was the bottleneck", "0011111222 301!", "inconclusive GENERATOR_SATURATED"),
    ("below it, whatever the generator was", "0011111222 98!", "failed HISTOGRAM_MISMATCH"),
    ("fifty observations", "01112 200", "passed"),
    ("forty are too few", "0111 200", "inconclusive NO_DATA"),
    ("counted in no bucket", "001111122c 200", "failed HISTOGRAM_MISMATCH"),
    ("a sum that no such buckets add up to", "001111122t 200", "failed HISTOGRAM_MISMATCH"),
    ("nobody asked for it", "0011111222 -", "inconclusive NO_DATA"),
];

pub(super) const SETS: [&[Golden]; 4] = [EXACTLY, LOOSELY, LINES, LATENCIES];
