//! Judges `that.agreement { of = "log-lines" }`: every line has a number, so that a line that is missing is missed, and missed
//! at a place on its way: service → standard output → log store. Restarts begin a new numbering and are told apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::outcome::{Evidence, Outcome, Reason};

/// A numbered line, as one observer saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Nanoseconds since the epoch where the observer knows them, else its place in the file.
    pub at: i64,
    /// Which process wrote it; empty where lines do not say.
    pub process: String,
    /// Its number in that process.
    pub number: u64,
    /// The request it is about; empty where it does not say.
    pub request: String,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Lines on the service's standard output; none where the harness cannot read it.
    pub stdout: Option<Vec<Line>>,
    /// Lines in the log store.
    pub store: Vec<Line>,
    /// What the log store says it has thrown away, by reason.
    pub discarded: BTreeMap<String, f64>,
    /// Request ids, where the load sent them and lines carry them.
    pub sent: Option<Sent>,
    /// Why something could not be read.
    pub error: Option<String>,
}

/// The ids that the load gave its requests: `<prefix><n>` with `n` from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// By prefix: requests that were started, and how many of these nobody answered.
    pub by_prefix: BTreeMap<String, (u64, u64)>,
}

/// How long the last lines of a process that was killed may be on their way, in nanoseconds: what it wrote then, nobody can
/// promise (T54).
const LAST_WORDS: i64 = 3_000_000_000;
/// Shows at most this many ranges in a report.
const SHOWN: usize = 10;

/// A hop's losses in one process's numbering.
#[derive(Clone, Debug, Default)]
struct Account {
    process: String,
    last: u64,
    stdout: Option<BTreeSet<u64>>,
    store: BTreeMap<u64, u64>,
    first_at: i64,
    last_at: i64,
    ended: bool,
}

impl Account {
    /// Numbers never seen anywhere though later ones were: lost before standard output.
    fn unwritten(&self) -> Vec<(u64, u64)> {
        let seen = |number: u64| {
            self.store.contains_key(&number) || self.stdout.as_ref().is_some_and(|lines| lines.contains(&number))
        };
        ranges((1..=self.last).filter(|number| !seen(*number)))
    }

    /// Numbers written to standard output that the store does not have.
    fn undelivered(&self) -> Vec<(u64, u64)> {
        let written = self.stdout.iter().flatten().copied();
        ranges(written.filter(|number| !self.store.contains_key(number)))
    }

    fn unprinted(&self) -> Vec<(u64, u64)> {
        let Some(stdout) = &self.stdout else { return Vec::new() };
        ranges(self.store.keys().copied().filter(|number| !stdout.contains(number)))
    }

    fn duplicates(&self) -> Vec<(u64, u64)> {
        ranges(self.store.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number))
    }

    /// How many of its last lines a killed process may take with it: what it wrote in its last seconds, by its own rate.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of lines"
    )]
    fn last_words(&self) -> u64 {
        if !self.ended {
            return 0;
        }
        let lived = (self.last_at - self.first_at).max(1) as f64;
        let rate = self.store.len() as f64 / lived;
        (rate * LAST_WORDS as f64).ceil().min(1e9) as u64
    }
}

/// Consecutive numbers as ranges, ends included.
fn ranges(numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

fn total(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().map(|(from, to)| to - from + 1).sum()
}

fn show(ranges: &[(u64, u64)]) -> String {
    let shown: Vec<String> = ranges
        .iter()
        .take(SHOWN)
        .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}–{to}") })
        .collect();
    let more = if ranges.len() > SHOWN { format!(" and {} more ranges", ranges.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Lines by process. Where lines do not name it, a numbering that begins again at 1 is another process.
fn by_process(lines: &[Line]) -> Vec<(String, Vec<&Line>)> {
    let mut sorted: Vec<&Line> = lines.iter().collect();
    sorted.sort();
    let mut groups: Vec<(String, Vec<&Line>)> = Vec::new();
    for line in sorted {
        let known = if line.process.is_empty() {
            let begins = line.number == 1 && groups.last().is_some_and(|(_, lines)| lines.len() > 1);
            if begins { None } else { groups.last_mut() }
        } else {
            groups.iter_mut().find(|(process, _)| *process == line.process)
        };
        match known {
            Some((_, lines)) => lines.push(line),
            None => {
                let name = if line.process.is_empty() {
                    format!("process {}", groups.len() + 1)
                } else {
                    line.process.clone()
                };
                groups.push((name, vec![line]));
            }
        }
    }
    groups
}

fn accounts(found: &Found) -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    let mut of = |process: &str| -> usize {
        accounts.iter().position(|it| it.process == process).unwrap_or_else(|| {
            let stdout = found.stdout.as_ref().map(|_| BTreeSet::new());
            accounts.push(Account { process: process.to_owned(), stdout, ..Account::default() });
            accounts.len() - 1
        })
    };
    let stdout = found.stdout.as_deref().map(by_process).unwrap_or_default();
    let store = by_process(&found.store);
    let places: Vec<usize> = stdout.iter().map(|(process, _)| of(process)).collect();
    let store_places: Vec<usize> = store.iter().map(|(process, _)| of(process)).collect();
    for ((_, lines), place) in stdout.iter().zip(places) {
        let account = &mut accounts[place];
        account.last = lines.iter().map(|line| line.number).max().unwrap_or(0).max(account.last);
        account.stdout.get_or_insert_default().extend(lines.iter().map(|line| line.number));
    }
    for ((_, lines), place) in store.iter().zip(store_places) {
        let account = &mut accounts[place];
        account.last = lines.iter().map(|line| line.number).max().unwrap_or(0).max(account.last);
        lines.iter().for_each(|line| *account.store.entry(line.number).or_default() += 1);
        account.first_at = lines.iter().map(|line| line.at).min().unwrap_or(0);
        account.last_at = lines.iter().map(|line| line.at).max().unwrap_or(0);
    }
    let last = accounts.len().saturating_sub(1);
    accounts.iter_mut().take(last).for_each(|account| account.ended = true);
    accounts
}

/// Judges the account of the lines.
#[must_use]
pub fn judge(found: &Found) -> Outcome {
    let accounts = accounts(found);
    let evidence = describe(found, &accounts);
    if let Some(error) = &found.error {
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary: error.clone(), ..evidence });
    }
    if accounts.iter().all(|account| account.last == 0) {
        let summary = "there is not one numbered line, on standard output or in the log store".to_owned();
        return Outcome::Inconclusive(Reason::NoData, Evidence { summary, ..evidence });
    }
    if let Some((reason, summary)) = accounts.iter().find_map(|account| losses(account, found)) {
        return Outcome::Failed(reason, Evidence { summary, ..evidence });
    }
    if let Some((reason, summary)) = correlation(found, &accounts) {
        return Outcome::Failed(reason, Evidence { summary, ..evidence });
    }
    Outcome::Passed(Evidence { summary: agreed(found, &accounts), ..evidence })
}

/// What is wrong with one process's lines; `LOG_MISSING` when everything from some line on is missing, `LOG_LOSS` for gaps.
fn losses(account: &Account, found: &Found) -> Option<(Reason, String)> {
    let duplicates = account.duplicates();
    if !duplicates.is_empty() {
        let summary = format!("{} lines arrived more than once: {}", total(&duplicates), show(&duplicates));
        return Some((Reason::LogDuplicate, summary));
    }
    let (unwritten, undelivered, unprinted) = (account.unwritten(), account.undelivered(), account.unprinted());
    if !undelivered.is_empty() {
        let suffix = undelivered.len() == 1 && undelivered[0].1 == account.last;
        if suffix && total(&undelivered) <= account.last_words() {
            return None;
        }
        let reason = if suffix { Reason::LogMissing } else { Reason::LogLoss };
        let thrown: f64 = found.discarded.values().sum();
        let store = if thrown > 0.0 { format!("; the log store refused {thrown} lines") } else { String::new() };
        let summary = format!(
            "lost between standard output and the log store: {} of {} lines ({}){store}",
            total(&undelivered),
            account.last,
            show(&undelivered)
        );
        return Some((reason, summary));
    }
    if !unwritten.is_empty() {
        let whence = if account.stdout.is_some() { "standard output" } else { "the log store" };
        let summary = format!(
            "lost between the service and {whence}: {} of {} lines ({})",
            total(&unwritten),
            account.last,
            show(&unwritten)
        );
        return Some((Reason::LogLoss, summary));
    }
    (!unprinted.is_empty()).then(|| {
        let summary =
            format!("the log store has {} lines that standard output lacks ({})", total(&unprinted), show(&unprinted));
        (Reason::LogLoss, summary)
    })
}

/// Ids that were sent and are in no line.
fn correlation(found: &Found, accounts: &[Account]) -> Option<(Reason, String)> {
    let sent = found.sent.as_ref()?;
    // a process that was killed had answered more than it had written
    let unwritten: u64 = accounts.iter().map(Account::last_words).sum();
    let lines = found.store.iter().chain(found.stdout.iter().flatten());
    let ids: BTreeSet<&str> = lines.map(|line| line.request.as_str()).filter(|id| !id.is_empty()).collect();
    for (prefix, (started, unanswered)) in &sent.by_prefix {
        let numbers: BTreeSet<u64> =
            ids.iter().filter_map(|id| id.strip_prefix(prefix.as_str())?.parse().ok()).collect();
        let seen = numbers.iter().filter(|number| (1..=*started).contains(*number)).count() as u64;
        if started - seen.min(*started) > *unanswered + unwritten {
            let missing = ranges((1..=*started).filter(|number| !numbers.contains(number)));
            let summary = format!(
                "{started} requests were sent as {prefix}1 to {prefix}{started}, {seen} of these ids are in the logs \
                 ({unanswered} requests were not answered); missing: {}",
                show(&missing)
            );
            return Some((Reason::Correlation, summary));
        }
    }
    None
}

fn agreed(found: &Found, accounts: &[Account]) -> String {
    let lines: u64 = accounts.iter().map(|account| account.store.len() as u64).sum();
    let hops = if found.stdout.is_some() { "on standard output and in the log store" } else { "in the log store" };
    let mut summary = format!("{lines} lines without a gap {hops}");
    let lost: u64 = accounts.iter().map(|account| total(&account.undelivered())).sum();
    if accounts.len() > 1 {
        summary.push_str(&format!("; {} processes, whose last {lost} lines went with them", accounts.len()));
    }
    if let Some(sent) = &found.sent {
        let started: u64 = sent.by_prefix.values().map(|(started, _)| started).sum();
        summary.push_str(&format!("; all ids of {started} requests are in them"));
    }
    summary
}

fn describe(found: &Found, accounts: &[Account]) -> Evidence {
    let rows = accounts
        .iter()
        .map(|account| {
            let stdout = account.stdout.as_ref().map_or_else(|| "not read".to_owned(), |it| it.len().to_string());
            vec![
                account.process.clone(),
                account.last.to_string(),
                stdout,
                account.store.len().to_string(),
                show(&account.unwritten()),
                show(&account.undelivered()),
                show(&account.duplicates()),
            ]
        })
        .collect();
    let columns =
        ["process", "last number", "on standard output", "in the store", "never written", "not delivered", "twice"];
    let mut evidence = Evidence::default().with_table("lines by process", &columns, rows);
    if !found.discarded.is_empty() {
        let list = found.discarded.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
        evidence = evidence.with_list("discarded by the log store", list);
    }
    match &found.sent {
        Some(sent) => {
            let list = sent.by_prefix.iter().map(|(prefix, (started, unanswered))| {
                format!("{prefix}1 to {prefix}{started}, {unanswered} of them unanswered")
            });
            evidence.with_list("request ids sent", list.collect())
        }
        None => evidence
            .with("request ids", "not compared: `[signals] log-line` names no `request-id`, or there is no load"),
    }
}

#[cfg(test)]
mod tests;
