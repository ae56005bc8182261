//! What the tests of this suite share: the doomed stack, an engine with its images, and what must be true after an end.

use std::path::Path;
use std::time::Duration;

use acceptance::audit::Audit;
use acceptance::{Drill, Provider, Stand, eventually, holds_within};
use harness::event::Verdict;
use harness::outcome::Reason;
use harness::verdict;
use tokio::sync::OnceCell;

/// The promise: nothing is left this long after a `kill -9`.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(30);

/// A service that echoes and a Prometheus, and a scenario that freezes the service.
pub(crate) fn doomed(provider: Provider) -> Stand {
    let program = Path::new(env!("CARGO_BIN_EXE_echo-service"));
    Stand::of_fixture("doomed", "doomed", "echo", program).run_by(provider)
}

/// Drills the doomed stack unharmed, once: it has to pass, and in containers its images are here afterwards.
pub(crate) async fn unharmed(provider: Provider) -> &'static Drill {
    static LOCAL: OnceCell<Drill> = OnceCell::const_new();
    static DOCKER: OnceCell<Drill> = OnceCell::const_new();
    let twin = if provider == Provider::Docker { &DOCKER } else { &LOCAL };
    let drill = twin.get_or_init(|| async { doomed(provider).drill().await }).await;
    assert_unharmed(drill);
    drill
}

/// Everything held, the fault bit and was undone. This suite is about what stays, so a busy machine may have sent late.
pub(crate) fn assert_unharmed(drill: &Drill) {
    for held in ["metric-1", "target-1", "no-other-alert"] {
        drill.assert_held(held);
    }
    let judgement = drill.judgement();
    let late = judgement.reasons == [Reason::GeneratorSaturated];
    assert!(judgement.verdict == Verdict::Pass || late, "{}", drill.account());
}

pub(crate) fn run_of(folder: &Path) -> String {
    folder.file_name().expect("a run's folder has a name").to_string_lossy().into_owned()
}

/// A note of what a living run has.
pub(crate) fn audit(folder: &Path, provider: Provider) -> Audit {
    let events = harness::report::log::read(folder).expect("the log of a living run can be read");
    Audit::of(&run_of(folder), provider, &events)
}

/// Waits until nothing is left; how long that took.
pub(crate) async fn gone(audit: &Audit, root: &Path) -> Result<Duration, String> {
    let mut leaks = Vec::new();
    let nothing = || {
        leaks = audit.leaks(root);
        leaks.is_empty()
    };
    let took = holds_within(GONE_WITHIN, nothing).await;
    took.ok_or_else(|| format!("left after {GONE_WITHIN:?}: {leaks:#?}"))
}

/// The part that was recorded is rendered, and is no pass.
pub(crate) async fn no_pass(stand: &Stand, folder: &Path) -> Result<(), String> {
    let path = folder.display().to_string();
    let rendered = stand.harness(&["report", &path]).await;
    if rendered.code != Some(0) || !folder.join("index.html").is_file() {
        return Err(format!("the record cannot be rendered: {rendered:#?}"));
    }
    let events = harness::report::log::read(folder).map_err(|error| error.to_string())?;
    let (judged, _) = verdict::of_run(&events);
    let view = harness::report::view::of(&events);
    if view.verdict == Verdict::Pass || view.exit_code == 0 {
        return Err(format!("a run that was killed passes: {judged:?}"));
    }
    Ok(())
}

/// The same as a test's own claim.
pub(crate) async fn assert_gone(audit: &Audit, stand: &Stand) {
    let mut left = Vec::new();
    let nothing = || {
        left = audit.leaks(stand.root());
        left.is_empty()
    };
    eventually("nothing is left", GONE_WITHIN, nothing).await;
}
