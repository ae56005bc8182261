//! `harness stack logs`: what the components of a kept stack have written.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::{complain, print};
use crate::clock;
use crate::run::hold::{self, Held};
use crate::stack::place::Places;
use crate::stack::process;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// Components; without one, all.
    components: Vec<String>,
    /// How many lines of each.
    #[arg(long, short = 'n', default_value = "20", value_name = "N")]
    lines: usize,
    /// Goes on with what comes, until the stack is down.
    #[arg(long, short)]
    follow: bool,
}

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(200);

/// A component's file, read as far as `at`.
struct Source {
    label: String,
    path: PathBuf,
    at: u64,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let Some(held) = hold::held(&Places::from_environment().state) else {
        print("no stack is kept running; start one with `harness stack up`");
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(unknown) = options.components.iter().find(|name| !held.addresses.contains_key(*name)) {
        let known: Vec<&str> = held.addresses.keys().map(String::as_str).collect();
        complain(&format!("error: no component `{unknown}` is running; there are {}", known.join(", ")));
        return Ok(ExitCode::from(2));
    }
    let mut sources = sources(&held, &options.components);
    for source in &mut sources {
        let text = news(source);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(options.lines)..] {
            print(&format!("{} | {line}", source.label));
        }
    }
    while options.follow && process::alive(held.holder) {
        clock::sleep(LOOK);
        for source in &mut sources {
            news(source).lines().for_each(|line| print(&format!("{} | {line}", source.label)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn sources(held: &Held, wanted: &[String]) -> Vec<Source> {
    let logs = held.folder.join("logs/stack");
    let names = held.addresses.keys().filter(|name| wanted.is_empty() || wanted.contains(name));
    let width = held.addresses.keys().map(String::len).max().unwrap_or_default();
    let files = names.flat_map(|name| {
        let label = format!("{name:width$}");
        ["log", "stderr.log"].map(|end| (label.clone(), logs.join(format!("{name}.{end}"))))
    });
    files.map(|(label, path)| Source { label, path, at: 0 }).collect()
}

/// What came since the last look, whole lines only.
fn news(source: &mut Source) -> String {
    let Ok(bytes) = read_from(&source.path, source.at) else { return String::new() };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    source.at += u64::try_from(whole).unwrap_or_default();
    String::from_utf8_lossy(&bytes[..whole]).into_owned()
}

fn read_from(path: &Path, at: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_news_and_each_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut source = Source { label: "a".to_owned(), path: path.clone(), at: 0 };
        assert_eq!(news(&mut source), "");
        std::fs::write(&path, "one\ntw").unwrap();
        assert_eq!(news(&mut source), "one\n");
        assert_eq!(news(&mut source), "");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(news(&mut source), "two\n");
    }
}
