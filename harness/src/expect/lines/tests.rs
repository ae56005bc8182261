//! Golden histories of numbered lines, each with its known end. A line a millisecond.

use super::*;

fn line(process: &str, number: u64, at: i64) -> Line {
    Line { at, process: process.to_owned(), number, request: format!("run-{number}") }
}

fn lines(process: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<Line> {
    numbers.into_iter().map(|number| line(process, number, i64::try_from(number).unwrap() * 1_000_000)).collect()
}

fn found(stdout: Option<Vec<Line>>, store: Vec<Line>) -> Found {
    Found { stdout, store, ..Found::default() }
}

fn ends(found: &Found) -> (Option<Reason>, String) {
    let outcome = judge(found);
    (outcome.reason(), outcome.evidence().summary.clone())
}

#[test]
fn every_number_everywhere_is_an_agreement() {
    let found = found(Some(lines("a", 1..=100)), lines("a", 1..=100));
    assert_eq!(ends(&found), (None, "100 lines without a gap on standard output and in the log store".to_owned()));
}

#[test]
fn a_stopped_shipper_is_log_missing_with_the_range_s42() {
    let (reason, summary) = ends(&found(Some(lines("a", 1..=100)), lines("a", 1..=60)));
    assert_eq!(reason, Some(Reason::LogMissing));
    assert_eq!(summary, "lost between standard output and the log store: 40 of 100 lines (61–100)");
}

#[test]
fn one_line_at_the_very_end_is_missing_too_s42() {
    assert_eq!(ends(&found(Some(lines("a", 1..=100)), lines("a", 1..=99))).0, Some(Reason::LogMissing));
}

#[test]
fn a_shipper_that_never_ran_is_log_missing_s42() {
    let (reason, summary) = ends(&found(Some(lines("a", 1..=100)), Vec::new()));
    assert_eq!((reason, summary.contains("(1–100)")), (Some(Reason::LogMissing), true), "{summary}");
}

#[test]
fn gaps_are_log_loss_and_located_at_their_hop() {
    let gaps = || lines("a", (1..=10).chain(14..=20).chain(22..=100));
    let (reason, summary) = ends(&found(Some(lines("a", 1..=100)), gaps()));
    assert_eq!(reason, Some(Reason::LogLoss));
    assert!(summary.contains("standard output and the log store: 4 of 100 lines (11–13, 21)"), "{summary}");
    let (reason, summary) = ends(&found(Some(gaps()), gaps()));
    assert_eq!(reason, Some(Reason::LogLoss));
    assert!(summary.starts_with("lost between the service and standard output: 4 of 100"), "{summary}");
    let (_, summary) = ends(&found(None, gaps()));
    assert!(summary.starts_with("lost between the service and the log store"), "{summary}");
}

#[test]
fn lines_that_only_the_store_has_are_a_loss_before_standard_output() {
    let (reason, summary) = ends(&found(Some(lines("a", 1..=90)), lines("a", 1..=100)));
    assert_eq!(reason, Some(Reason::LogLoss));
    assert!(summary.contains("10 lines that standard output lacks (91–100)"), "{summary}");
}

#[test]
fn what_the_store_refused_is_named() {
    let discarded = BTreeMap::from([("rate_limited".to_owned(), 4.0)]);
    let found = Found { discarded, ..found(Some(lines("a", 1..=100)), lines("a", (1..=50).chain(55..=100))) };
    assert!(ends(&found).1.ends_with("the log store refused 4 lines"));
}

#[test]
fn a_shipper_that_sends_twice_with_new_times_is_log_duplicate_s48() {
    let mut store = lines("a", 1..=100);
    store.push(line("a", 40, 999_000_000));
    let (reason, summary) = ends(&found(Some(lines("a", 1..=100)), store));
    assert_eq!((reason, summary.as_str()), (Some(Reason::LogDuplicate), "1 lines arrived more than once: 40"));
}

#[test]
fn polls_in_any_order_give_the_same_end() {
    let mut backwards = lines("a", (1..=10).chain(12..=100));
    let forwards = found(Some(lines("a", 1..=100)), backwards.clone());
    backwards.reverse();
    assert_eq!(judge(&forwards), judge(&found(Some(lines("a", 1..=100)), backwards)));
}

/// A process that wrote 5000 lines in 5 s and was killed, and its successor.
fn killed(arrived: u64) -> Found {
    let successor = |numbers: std::ops::RangeInclusive<u64>| -> Vec<Line> {
        numbers.map(|number| line("b", number, 10_000_000_000 + i64::try_from(number).unwrap() * 1_000_000)).collect()
    };
    let stdout = [lines("a", 1..=5000), successor(1..=100)].concat();
    found(Some(stdout), [lines("a", 1..=arrived), successor(1..=100)].concat())
}

#[test]
fn a_restart_begins_a_new_numbering_and_its_last_words_are_stated_t54() {
    let (reason, summary) = ends(&killed(4_990));
    assert_eq!(reason, None, "{summary}");
    assert!(summary.contains("2 processes, whose last 10 lines went with them"), "{summary}");
}

#[test]
fn last_words_have_a_bound_t54() {
    assert_eq!(ends(&killed(2_500)).0, None, "2,500 lines at 1,000 a second: 2.5 s");
    assert_eq!(ends(&killed(1_900)).0, Some(Reason::LogMissing), "3.1 s are more than last words");
}

#[test]
fn the_last_process_has_no_last_words() {
    let mut found = killed(5_000);
    found.store.pop();
    assert_eq!(ends(&found).0, Some(Reason::LogMissing));
}

#[test]
fn without_names_a_numbering_that_begins_again_is_another_process() {
    let anonymous = |from: i64| -> Vec<Line> {
        (1..=50).map(|number| line("", number, from + i64::try_from(number).unwrap())).collect()
    };
    let both = || [anonymous(0), anonymous(1000)].concat();
    let (reason, summary) = ends(&found(Some(both()), both()));
    assert_eq!((reason, summary.contains("2 processes")), (None, true), "{summary}");
}

fn with_ids(started: u64, unanswered: u64, store: Vec<Line>) -> Found {
    let sent = Sent { by_prefix: BTreeMap::from([("run-".to_owned(), (started, unanswered))]) };
    Found { sent: Some(sent), ..found(Some(store.clone()), store) }
}

#[test]
fn every_id_that_was_sent_is_in_the_logs() {
    assert_eq!(ends(&with_ids(100, 0, lines("a", 1..=100))).0, None);
}

#[test]
fn ids_that_are_in_no_line_are_a_broken_correlation_s50() {
    let mut silent = lines("a", 1..=100);
    silent.iter_mut().for_each(|line| line.request.clear());
    let (reason, summary) = ends(&with_ids(100, 0, silent));
    assert_eq!(reason, Some(Reason::Correlation));
    assert!(summary.contains("100 requests were sent") && summary.contains("0 of these ids"), "{summary}");
}

#[test]
fn unanswered_requests_need_no_line_and_one_more_does_s50() {
    let with = |unanswered| {
        let mut some = lines("a", 1..=100);
        some[6].request = "made-by-the-service".to_owned();
        ends(&with_ids(100, unanswered, some)).0
    };
    assert_eq!((with(1), with(0)), (None, Some(Reason::Correlation)));
}

#[test]
fn a_killed_process_answered_more_than_it_wrote_and_not_without_a_bound_t54() {
    let with = |unseen: u64| {
        let store = killed(5_000).store;
        let by_prefix = BTreeMap::from([("run-".to_owned(), (5_000 + unseen, 0))]);
        ends(&Found { sent: Some(Sent { by_prefix }), ..found(Some(store.clone()), store) }).0
    };
    assert_eq!((with(3), with(2_900), with(3_100)), (None, None, Some(Reason::Correlation)));
}

#[test]
fn nothing_at_all_and_an_error_decide_nothing() {
    assert!(matches!(judge(&found(Some(Vec::new()), Vec::new())), Outcome::Inconclusive(Reason::NoData, _)));
    let broken = Found { error: Some("the log store does not answer".to_owned()), ..Found::default() };
    assert!(matches!(judge(&broken), Outcome::Inconclusive(Reason::NoCoverage, _)));
}
