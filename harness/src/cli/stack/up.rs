//! `harness stack up`, `down`, `status`: a holder in the background, and what it says of itself.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use super::images;
use crate::cli::place::Place;
use crate::cli::{colour, complain, print, print_diagnostics, signal};
use crate::clock;
use crate::plan::study;
use crate::run::hold::{self, Held};
use crate::run::suite::Suite;
use crate::stack::place::Places;
use crate::stack::process;
use crate::stack::provider::Provider;
use crate::stack::spec::{Role, Spec};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Up {
    /// The stack file.
    #[arg(long, default_value = "stack/stack.toml")]
    file: PathBuf,
    /// Production seconds per real second; 1 runs the rules as written.
    #[arg(long, default_value = "1", value_name = "K")]
    time_scale: f64,
    /// Where configuration, logs and events are kept.
    #[arg(long, default_value = "reports", value_name = "DIR")]
    out: PathBuf,
    /// Optional components to run, too, such as `node-exporter`; Grafana runs wherever its image can be had.
    #[arg(long, value_name = "COMPONENT")]
    with: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// How long a stack may take to come up, builds and downloads included.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

pub(super) fn status() -> anyhow::Result<ExitCode> {
    match hold::held(&Places::from_environment().state) {
        Some(held) => print(&addresses(&held)),
        None => print("no stack is kept running; start one with `harness stack up`"),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn start(up: &Up) -> anyhow::Result<ExitCode> {
    let places = Places::from_environment();
    if let Some(held) = hold::held(&places.state) {
        print(&addresses(&held));
        return Ok(ExitCode::SUCCESS);
    }
    let stack = match study::stack(&up.file, up.time_scale) {
        Ok(stack) => stack,
        Err(diagnostics) => {
            print_diagnostics(&diagnostics, colour(&std::io::stderr()));
            return Ok(ExitCode::from(2));
        }
    };
    if let Some(unknown) = up.with.iter().find(|name| !stack.spec.components.contains_key(*name)) {
        complain(&format!("error: there is no component `{unknown}` in {}", up.file.display()));
        return Ok(ExitCode::from(2));
    }
    let Some(more) = beforehand(up, &stack.spec)? else { return Ok(ExitCode::from(4)) };
    // a file of its own: who waits for the end of our output must not wait for the stack's
    let words = places.state.join("stack.log");
    std::fs::create_dir_all(&places.state).with_context(|| format!("make {}", places.state.display()))?;
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["stack", "hold", "--file"]).arg(&up.file).arg("--out").arg(&up.out).args(up.place.arguments());
    child.args(up.with.iter().chain(&more).flat_map(|name| ["--with", name]));
    child.arg("--time-scale").arg(up.time_scale.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
    child.stderr(std::fs::File::create(&words).with_context(|| format!("write {}", words.display()))?);
    std::os::unix::process::CommandExt::process_group(&mut child, 0);
    wait_for(child.spawn().context("start the holder of the stack")?, &places, &words)
}

/// Gets the images of a stack in containers, where people can see it; returns the optional components that run because
/// their image can be had, none after a message.
fn beforehand(up: &Up, spec: &Spec) -> anyhow::Result<Option<Vec<String>>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Some((provider, _)) = runtime.block_on(up.place.provider()) else { return Ok(None) };
    let Provider::Docker(engine) = provider else { return Ok(Some(Vec::new())) };
    let rows = runtime.block_on(images::survey(&engine, spec, &images::beforehand(spec)))?;
    let here = rows.into_iter().filter(|row| row.here && spec.components[&row.component].optional);
    Ok(Some(here.map(|row| row.component).filter(|name| !up.with.contains(name)).collect()))
}

fn wait_for(mut child: std::process::Child, places: &Places, words: &std::path::Path) -> anyhow::Result<ExitCode> {
    complain("starting; the first time, the service is built and packages are fetched");
    let begun = clock::instant();
    while clock::instant().duration_since(begun) < PATIENCE {
        if let Some(held) = hold::held(&places.state).filter(|held| held.holder.pid == child.id()) {
            print(&addresses(&held));
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(status) = child.try_wait()? {
            complain(std::fs::read_to_string(words).unwrap_or_default().trim_end());
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(4);
            return Ok(ExitCode::from(code));
        }
        clock::sleep(Duration::from_millis(50));
    }
    bail!("the stack did not come up within {} min; see `harness stack status`", PATIENCE.as_secs() / 60)
}

pub(super) fn stop() -> anyhow::Result<ExitCode> {
    let places = Places::from_environment();
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

pub(super) fn keep(up: &Up) -> anyhow::Result<ExitCode> {
    let stack = match study::stack(&up.file, up.time_scale) {
        Ok(stack) => stack,
        Err(diagnostics) => {
            print_diagnostics(&diagnostics, colour(&std::io::stderr()));
            return Ok(ExitCode::from(2));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Some((provider, because)) = runtime.block_on(up.place.provider()) else { return Ok(ExitCode::from(4)) };
    let suite = Suite {
        scenarios: Vec::new(),
        provider,
        because,
        jobs: 1,
        reports: up.out.clone(),
        places: Places::from_environment(),
        binary: std::env::current_exe()?,
        publish: Box::new(|_, _| Ok(())),
    };
    let left = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let signals = tokio::spawn(signal::listen(cancel.clone()));
        let left = hold::hold(&stack, &suite, &up.with, cancel).await;
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

/// What people open first, then everything.
fn addresses(held: &Held) -> String {
    let mut text = String::new();
    if let Ok(spec) = Spec::load(&held.file) {
        for (name, url) in urls(&spec, held) {
            let _ = writeln!(text, "{name:14} {url}");
        }
    }
    let _ = write!(text, "\nrun {}, files in {}", held.run, held.folder.display());
    for (component, ports) in &held.addresses {
        let ports: Vec<String> = ports.iter().map(|(port, address)| format!("{port} {address}")).collect();
        let _ = write!(text, "\n  {component:20} {}", ports.join("  "));
    }
    let events = crate::report::log::read(&held.folder).unwrap_or_default();
    if let Some(ready) = events.iter().find_map(|event| crate::report::view::Ready::of(&event.what)) {
        let _ = write!(text, "\n\nready after {}", ready.words());
    }
    text.push_str("\n\n`harness stack logs` shows what they write, `harness stack down` ends it");
    text
}

/// The service, and the servers that have pages.
fn urls(spec: &Spec, held: &Held) -> Vec<(&'static str, String)> {
    let roles = [("Prometheus", Role::Prometheus), ("Alertmanager", Role::Alertmanager), ("Grafana", Role::Grafana)];
    let address = |component: &str, port: &str| {
        let (name, _) = spec.port(component, port)?;
        Some(held.addresses.get(component)?.get(name)?.clone())
    };
    let base = spec.service.base_url.render(|hole| match hole {
        crate::stack::spec::Placeholder::Address { component, port } => address(component, port),
        _ => None,
    });
    let servers = roles.into_iter().filter_map(|(name, role)| {
        let (component, _) = spec.with_role(role)?;
        Some((name, format!("http://{}", address(component, "http")?)))
    });
    base.ok().map(|url| ("service", url)).into_iter().chain(servers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn pages_come_first_and_what_does_not_run_has_none() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../stack/stack.toml");
        let ports = |ports: &[(&str, &str)]| ports.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let held = Held {
            run: "r".to_owned(),
            holder: process::own(),
            addresses: BTreeMap::from([
                ("inventory-service".to_owned(), ports(&[("http", "127.0.0.1:1"), ("admin", "127.0.0.1:2")])),
                ("prometheus".to_owned(), ports(&[("http", "127.0.0.1:3")])),
            ]),
            folder: "f".into(),
            file,
        };
        let text = addresses(&held);
        assert!(
            text.starts_with("service        http://127.0.0.1:1\nPrometheus     http://127.0.0.1:3\n\nrun r"),
            "{text}"
        );
        assert!(text.contains("admin 127.0.0.1:2") && !text.contains("Grafana"), "{text}");
    }
}
