//! The healthy twins: each scenario unbroken, drilled once for all tests that break it.

use acceptance::{Drill, Stand};
use tokio::sync::OnceCell;

/// The unbroken `burst`.
pub(crate) async fn burst() -> &'static Drill {
    static TWIN: OnceCell<Drill> = OnceCell::const_new();
    healthy(&TWIN, "burst").await
}

/// The unbroken `crash`.
pub(crate) async fn crash() -> &'static Drill {
    static TWIN: OnceCell<Drill> = OnceCell::const_new();
    healthy(&TWIN, "crash").await
}

/// The unbroken `quiet`.
pub(crate) async fn quiet() -> &'static Drill {
    static TWIN: OnceCell<Drill> = OnceCell::const_new();
    healthy(&TWIN, "quiet").await
}

/// The unbroken `pages`.
pub(crate) async fn pages() -> &'static Drill {
    static TWIN: OnceCell<Drill> = OnceCell::const_new();
    let drill = TWIN.get_or_init(|| async { crate::message::pages().drill().await }).await;
    drill.assert_passed();
    drill
}

/// The unbroken `signals`.
pub(crate) async fn signals() -> &'static Drill {
    static TWIN: OnceCell<Drill> = OnceCell::const_new();
    healthy(&TWIN, "signals").await
}

async fn healthy(twin: &'static OnceCell<Drill>, scenario: &str) -> &'static Drill {
    let drill = twin.get_or_init(|| async { Stand::new(scenario).drill().await }).await;
    drill.assert_passed();
    drill
}
