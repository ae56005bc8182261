//! Settings, service, signal, end.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use inventory_service::config::Migration;
use inventory_service::{Service, Settings, service};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail("start the runtime", &error),
    };
    let code = runtime.block_on(run());
    // A reader that never takes our last lines must not keep the process alive.
    runtime.shutdown_timeout(Duration::ZERO);
    code
}

async fn run() -> ExitCode {
    let settings = match Settings::from_env() {
        Ok(settings) => settings,
        Err(error) => return fail("configure the service", &error),
    };
    if settings.database.migration == Migration::Only {
        return match service::migrate(&settings).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail("bring the schema up to date", &error),
        };
    }
    let (mut terminate, mut interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => return fail("listen for signals", &error),
    };
    let service = match Service::start(settings, std::io::stdout()).await {
        Ok(service) => service,
        Err(error) => return fail("start the service", &error),
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    service.stop().await;
    ExitCode::SUCCESS
}

fn fail(what: &str, error: &dyn std::error::Error) -> ExitCode {
    // There is nobody left to tell when standard error is closed.
    drop(writeln!(std::io::stderr(), "inventory-service: failed to {what}: {error}"));
    ExitCode::from(2)
}
