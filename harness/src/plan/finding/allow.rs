//! Allowances: what an author knows and wants to hear no more of, with the reason, in a comment of the file itself:
//! `# harness: allow(one-bad-scrape) the probe repeats itself`. In front of a rule or inside of it it covers that rule, above
//! the first one the whole file. Without a reason, or without a finding to cover, it is a finding itself. Used by `finding`.

use super::{Finding, FindingCode};
use crate::source::Location;

const MARK: &str = "# harness: allow(";

/// An allowance as written.
struct Allowance<'a> {
    line: u32,
    column: u32,
    codes: Vec<&'a str>,
    reason: &'a str,
    /// The lines it covers, the last one excluded.
    covers: std::ops::Range<u32>,
}

/// Takes out what the comments of `text` allow, and adds what is wrong with the comments. `starts` are the lines at which
/// the things in the file begin that findings are about, ascending.
pub(super) fn apply(file: &str, text: &str, starts: &[u32], found: Vec<Finding>) -> Vec<Finding> {
    let allowances = read(text, starts);
    let mut used = vec![false; allowances.len()];
    let mut left: Vec<Finding> = Vec::new();
    for finding in found {
        let covers = |allowance: &Allowance<'_>| {
            allowance.covers.contains(&finding.location.line)
                && allowance.codes.contains(&finding.code.code())
                && !allowance.reason.is_empty()
        };
        match allowances.iter().position(|allowance| finding.location.file == file && covers(allowance)) {
            Some(by) => used[by] = true,
            None => left.push(finding),
        }
    }
    let useless = allowances.iter().zip(used).filter(|(_, used)| !used);
    left.extend(useless.map(|(allowance, _)| complaint(file, allowance)));
    left.sort();
    left
}

fn complaint(file: &str, allowance: &Allowance<'_>) -> Finding {
    let unknown = allowance.codes.iter().find(|code| !FindingCode::ALL.iter().any(|known| known.code() == **code));
    let (message, help) = if let Some(code) = unknown {
        (format!("there is no finding `{code}`"), "write one of the codes of docs/rules.md")
    } else if allowance.reason.is_empty() {
        ("an allowance without a reason allows nothing".to_owned(), "say behind the bracket why it is no problem here")
    } else {
        ("this allowance covers nothing".to_owned(), "remove it, or move it to the rule it is about")
    };
    Finding {
        location: Location { file: file.to_owned(), line: allowance.line, column: allowance.column },
        code: FindingCode::UselessAllowance,
        subject: allowance.codes.join(", "),
        message,
        help: help.to_owned(),
    }
}

fn read<'a>(text: &'a str, starts: &[u32]) -> Vec<Allowance<'a>> {
    let lines: Vec<&str> = text.lines().collect();
    let number = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
    let last = number(lines.len()) + 1;
    let end_of = |start: u32| starts.iter().copied().find(|line| *line > start).unwrap_or(last);
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(at) = line.find(MARK) else { continue };
        let Some((codes, reason)) = line[at + MARK.len()..].split_once(')') else { continue };
        let next = (index + 1..lines.len()).find(|below| !is_comment(lines[*below])).map_or(last, number);
        let here = number(index);
        let covers = if starts.contains(&next) && is_comment(line) {
            next..end_of(next)
        } else {
            match starts.iter().rfind(|start| **start <= here) {
                Some(start) => *start..end_of(*start),
                None => 1..last,
            }
        };
        found.push(Allowance {
            line: here,
            column: u32::try_from(line[..at].chars().count() + 1).unwrap_or(1),
            codes: codes.split(',').map(str::trim).collect(),
            reason: reason.trim(),
            covers,
        });
    }
    found
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}
