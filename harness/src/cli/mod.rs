//! Arguments in, calls out: one file for each subcommand, no logic worth a unit test. Results go to stdout, progress and
//! messages to stderr.

mod doctor;
mod explain;
mod find;
mod lint;
mod list;
mod load;
mod new;
mod place;
mod replay;
mod report;
mod routes;
mod schema;
mod signal;
mod stack;
mod sweep;
mod validate;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::scenario::render::Colour;

/// A fire drill for a service's observability.
///
/// Starts a service with its monitoring, drives traffic, breaks things on purpose, and asks Prometheus, Alertmanager, the log
/// store and the receivers whether metrics, alerts, notifications and logs did what they should.
#[derive(Debug, Parser)]
#[command(name = "harness", version, propagate_version = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 pass · 1 fail · 2 invalid input · 3 inconclusive · 4 environment · 5 leftovers · \
                          70 bug · 130 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs scenarios and judges them.
    Validate(validate::Options),
    /// Checks scenarios and what they refer to, without starting anything.
    Lint(lint::Options),
    /// Shows a scenario's plan on a time axis, with what the configuration allows.
    Explain(explain::Options),
    /// Lists the scenarios.
    List(list::Options),
    /// Writes a scenario to start from.
    New(new::Options),
    /// Sends load to a server of this machine and says honestly how it did.
    Load(load::Options),
    /// Keeps a stack running for people.
    #[command(subcommand)]
    Stack(stack::Options),
    /// Says what this machine has, what each missing thing costs, and how to get it.
    Doctor(doctor::Options),
    /// Renders a run's report again from its event log.
    Report(report::Options),
    /// Checks the routing tree without starting anything.
    #[command(subcommand)]
    Routes(routes::Options),
    /// Evaluates alerting rules again against a run's recorded series, and says whether they do what they did live.
    Replay(replay::Options),
    /// Removes what dead runs left behind; never touches a live one.
    Sweep(sweep::Options),
    /// Prints the JSON schema of scenarios.
    Schema,
    /// Prints completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The embedded log store, as a component of a stack without Loki; started by the harness itself.
    #[command(hide = true)]
    Logstore(logstore::Options),
    /// Removes a run's leftovers when the harness dies; started by the harness itself.
    #[command(hide = true)]
    Reaper {
        /// The run's journal.
        #[arg(long)]
        journal: PathBuf,
    },
}

/// The binary's whole work.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::from(4)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Validate(options) => validate::run(&options),
        Command::Lint(options) => lint::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::List(options) => list::run(&options),
        Command::New(options) => new::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Stack(options) => stack::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Routes(options) => routes::run(&options),
        Command::Replay(options) => replay::run(&options),
        Command::Sweep(options) => sweep::run(&options),
        Command::Schema => schema::run(),
        Command::Completions { shell } => {
            let mut command = <Arguments as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "harness", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Logstore(options) => serve_logs(options),
        Command::Reaper { journal } => Ok(crate::stack::reaper::main(&journal)),
    }
}

fn serve_logs(options: logstore::Options) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(logstore::main(options))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a result to stdout; a closed pipe is no error (`| head -1`).
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()));
}

/// Writes a message to stderr.
fn complain(text: &str) {
    let mut err = std::io::stderr().lock();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.write_all(b"\n")));
}

/// Whether a stream gets colours: a terminal, and nobody set `NO_COLOR`.
fn colour(stream: &impl IsTerminal) -> Colour {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stream.is_terminal() && !refused { Colour::On } else { Colour::Off }
}

/// The same for reports.
fn palette(stream: &impl IsTerminal) -> crate::report::Palette {
    match colour(stream) {
        Colour::On => crate::report::Palette::Coloured,
        Colour::Off => crate::report::Palette::Plain,
    }
}

/// Prints diagnostics as text, each with the author's lines.
fn print_diagnostics(diagnostics: &[crate::scenario::Diagnostic], colour: Colour) {
    for diagnostic in diagnostics {
        let text = std::fs::read_to_string(&diagnostic.location.file).unwrap_or_default();
        complain(crate::scenario::render::render(diagnostic, &text, colour).trim_end());
    }
}
