//! `harness stack`: keeps a stack running for people.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use tokio_util::sync::CancellationToken;

use super::{complain, print};
use crate::clock;
use crate::plan::study;
use crate::run::hold::{self, Held};
use crate::run::suite::Suite;
use crate::stack::place::Places;
use crate::stack::process;
use crate::stack::provider::Provider;

#[derive(Debug, Subcommand)]
pub(super) enum Options {
    /// Starts the stack in the background and prints where everything listens.
    Up(Up),
    /// Stops it and removes everything.
    Down,
    /// Says whether it runs, and where.
    Status,
    /// Holds the stack in the foreground; `up` starts this.
    #[command(hide = true)]
    Hold(Up),
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Up {
    /// The stack file.
    #[arg(long, default_value = "stack/stack.toml")]
    file: PathBuf,
    /// Production seconds per real second; 1 runs the rules as written.
    #[arg(long, default_value = "1", value_name = "K")]
    time_scale: f64,
    /// Where configuration, logs and events are kept.
    #[arg(long, default_value = "reports", value_name = "DIR")]
    out: PathBuf,
}

/// How long a stack may take to come up, builds and downloads included.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let places = Places::from_environment();
    match options {
        Options::Up(up) => start(up, &places),
        Options::Down => stop(&places),
        Options::Status => {
            match hold::held(&places.state) {
                Some(held) => print(&addresses(&held)),
                None => print("no stack is kept running; start one with `harness stack up`"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Options::Hold(up) => keep(up, places),
    }
}

fn start(up: &Up, places: &Places) -> anyhow::Result<ExitCode> {
    if let Some(held) = hold::held(&places.state) {
        print(&addresses(&held));
        return Ok(ExitCode::SUCCESS);
    }
    if let Err(diagnostics) = study::stack(&up.file, up.time_scale) {
        super::print_diagnostics(&diagnostics, super::colour(&std::io::stderr()));
        return Ok(ExitCode::from(2));
    }
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["stack", "hold", "--file"]).arg(&up.file).arg("--out").arg(&up.out);
    child.arg("--time-scale").arg(up.time_scale.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
    // a file of its own: who waits for the end of our output must not wait for the stack's
    let words = places.state.join("stack.log");
    std::fs::create_dir_all(&places.state).with_context(|| format!("make {}", places.state.display()))?;
    child.stderr(std::fs::File::create(&words).with_context(|| format!("write {}", words.display()))?);
    std::os::unix::process::CommandExt::process_group(&mut child, 0);
    let mut child = child.spawn().context("start the holder of the stack")?;
    complain("starting; the first time, the service is built and packages are fetched");
    let begun = clock::instant();
    while clock::instant().duration_since(begun) < PATIENCE {
        if let Some(held) = hold::held(&places.state).filter(|held| held.holder.pid == child.id()) {
            print(&addresses(&held));
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(status) = child.try_wait()? {
            complain(std::fs::read_to_string(&words).unwrap_or_default().trim_end());
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(4);
            return Ok(ExitCode::from(code));
        }
        clock::sleep(Duration::from_millis(50));
    }
    bail!("the stack did not come up within {} min; see `harness stack status`", PATIENCE.as_secs() / 60)
}

fn stop(places: &Places) -> anyhow::Result<ExitCode> {
    let Some(held) = hold::held(&places.state) else {
        print("no stack is kept running");
        return Ok(ExitCode::SUCCESS);
    };
    process::signal(held.holder, rustix::process::Signal::TERM).context("ask the holder to stop")?;
    let begun = clock::instant();
    while process::alive(held.holder) {
        if clock::instant().duration_since(begun) > Duration::from_secs(30) {
            complain("error: the stack does not stop; `harness sweep` removes it once its holder is dead");
            return Ok(ExitCode::from(5));
        }
        clock::sleep(Duration::from_millis(50));
    }
    print("the stack is down");
    Ok(ExitCode::SUCCESS)
}

fn keep(up: &Up, places: Places) -> anyhow::Result<ExitCode> {
    let stack = match study::stack(&up.file, up.time_scale) {
        Ok(stack) => stack,
        Err(diagnostics) => {
            super::print_diagnostics(&diagnostics, super::colour(&std::io::stderr()));
            return Ok(ExitCode::from(2));
        }
    };
    let suite = Suite {
        scenarios: Vec::new(),
        provider: Provider::Local,
        jobs: 1,
        reports: up.out.clone(),
        places,
        binary: std::env::current_exe()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let left = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let signals = tokio::spawn(super::signal::listen(cancel.clone()));
        let left = hold::hold(&stack, &suite, cancel).await;
        signals.abort();
        left
    });
    match left {
        Ok(left) if left.is_empty() => Ok(ExitCode::SUCCESS),
        Ok(left) => {
            left.iter().for_each(|it| complain(&format!("error: left behind: {it}")));
            Ok(ExitCode::from(5))
        }
        Err(error) => {
            complain(&format!("error: failed to {error}"));
            Ok(ExitCode::from(4))
        }
    }
}

fn addresses(held: &Held) -> String {
    let mut lines = vec![format!("run {}, files in {}", held.run, held.folder.display())];
    for (component, ports) in &held.addresses {
        lines.extend(ports.iter().map(|(port, address)| format!("  {component:20} {port:8} http://{address}")));
    }
    lines.join("\n")
}
