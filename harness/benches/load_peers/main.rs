//! Load generators side by side: ours, wrk, oha, hey, goose and k6 (those that are here) against one server, which has the
//! first core for itself while the generator has the second. `just bench-load [table …] [--keep] [--long]`, tables being
//! `speed`, `paced`, `stall`, `delay`, `held` and `cross`. Prints Markdown, at its end what was promised beside what was
//! measured, and fails if a promise is not held. `--keep` writes it all into `docs/benchmarks.md` too.
//!
//! The server keeps its own account of stalls and delays, so that figures are held against what it did. CPU time is the kernel's account of the whole process (`/proc/<pid>/stat` of the exited, not yet reaped child),
//! requests are the server's own count, memory is the highest resident size (`VmHWM`, read every 20 ms).
#![expect(clippy::print_stdout, reason = "its output is its result")]

mod account;
mod machine;
mod ours;
mod promise;
mod serve;
mod server;
mod stall;
mod table;
mod tool;

use std::process::ExitCode;

use promise::Promises;
use server::Behaviour;

pub(crate) type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

/// All that takes minutes; `long` is asked for by `--long`.
const TABLES: [&str; 6] = ["speed", "paced", "stall", "delay", "held", "cross"];

fn main() -> Anyhow<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", stall_after, stall, delay] => serve::serve(Behaviour::from_words([stall_after, stall, delay])?)?,
        ["ours", pace, value, seconds, url] => ours::run(pace, value, seconds, url)?,
        ["held", rate, seconds, url] => ours::hold(rate.parse()?, seconds.parse()?, url)?,
        _ => return tables(&words),
    }
    Ok(ExitCode::SUCCESS)
}

fn tables(words: &[&str]) -> Anyhow<ExitCode> {
    let (flags, mut chosen): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with("--"));
    if let Some(unknown) = flags.iter().find(|flag| !["--keep", "--long"].contains(*flag)) {
        return Err(format!("there is no option `{unknown}`; there are --keep and --long").into());
    }
    if chosen.is_empty() {
        chosen.extend(TABLES);
    }
    if flags.contains(&"--long") {
        chosen.push("long");
    }
    let (mut page, mut promises) = (Page::default(), Promises::default());
    page.push(&machine::describe());
    for table in chosen {
        match table {
            "speed" => table::speed(&mut page, &mut promises)?,
            "paced" => table::paced(&mut page, &mut promises)?,
            "stall" => stall::stalls(&mut page, &mut promises)?,
            "delay" => table::delay(&mut page, &mut promises)?,
            "held" => table::held(&mut page, &mut promises)?,
            "cross" => table::cross(&mut page, &mut promises)?,
            "long" => table::long(&mut page, &mut promises)?,
            other => return Err(format!("there is no table `{other}`; there are {}", TABLES.join(", ")).into()),
        }
    }
    page.push(&promises.table());
    page.push(&machine::load_at_the_end());
    if flags.contains(&"--keep") {
        page.keep()?;
    }
    Ok(if promises.all_held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is printed, and may be kept.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");
    const BEGIN: &str = "<!-- begin: bench-load -->\n";
    const END: &str = "<!-- end: bench-load -->\n";

    /// Prints a line, or several.
    pub(crate) fn push(&mut self, text: &str) {
        println!("{text}");
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn keep(&self) -> Anyhow<()> {
        let text = std::fs::read_to_string(Self::PATH)?;
        let begin = text.find(Self::BEGIN).ok_or("docs/benchmarks.md has lost its marks")? + Self::BEGIN.len();
        let end = text.find(Self::END).ok_or("docs/benchmarks.md has lost its marks")?;
        let kept = format!("{}{}{}", &text[..begin], self.0.trim_start_matches('\n'), &text[end..]);
        Ok(std::fs::write(Self::PATH, kept)?)
    }
}
