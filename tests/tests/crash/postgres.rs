//! A real PostgreSQL as a process: its servers leave their group and write over their environment, and a killed one leaves
//! shared memory behind. Nothing of it may stay, whenever the harness is killed.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use acceptance::{Provider, Stand, eventually};
use harness::stack::process::{self, Identity, RUN_MARK};

use crate::stage::{GONE_WITHIN, assert_gone, audit, run_of};

/// The reference stack with its database; where the tests run as root, it runs as nobody, who has to get to its folder.
fn stand() -> Stand {
    let stand = Stand::new("database");
    for folder in [stand.root().to_path_buf(), stand.root().join("tmp")] {
        set_permissions(folder, Permissions::from_mode(0o711)).expect("the stand's folders are its own");
    }
    stand
}

fn processes(run: &str) -> Vec<Identity> {
    process::members(&[], (RUN_MARK, run)).iter().map(|stat| stat.identity).collect()
}

/// Kills a run at a place of it. `servers` says whether PostgreSQL runs there.
async fn nothing_is_left(place: &str, servers: bool) {
    let stand = stand().hold_at(place);
    let mut running = stand.start().await;
    let folder = running.held().await;
    let (run, audit) = (run_of(&folder), audit(&folder, Provider::Local));
    let started = processes(&run);
    let hidden = started.iter().filter(|it| !process::carries(it.pid, RUN_MARK, &run)).count();
    assert_eq!(hidden >= 5, servers, "{hidden} processes are known only by who started them");
    assert!(audit.leaks(stand.root()).iter().any(|leak| leak.starts_with("shared memory")), "it has some");
    running.kill().await;
    assert_gone(&audit, &stand).await;
    eventually("every process ends", GONE_WITHIN, || !started.iter().any(|it| process::alive(*it))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_living_postgresql_after_a_kill() {
    nothing_is_left("stack-ready", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_killed_postgresql_after_a_kill() {
    nothing_is_left("fault-proved", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_with_postgresql_passes_and_leaves_nothing() {
    let stand = stand();
    let mut running = stand.start().await;
    let folder = running.reached("stack-ready").await;
    let (run, audit) = (run_of(&folder), audit(&folder, Provider::Local));
    let started = processes(&run);
    let drill = running.end().await;
    for held in ["load-1", "load-2", "metric-1"] {
        drill.assert_held(held);
    }
    assert_eq!(audit.leaks(stand.root()), Vec::<String>::new());
    assert!(!started.iter().any(|it| process::alive(*it)));
}
