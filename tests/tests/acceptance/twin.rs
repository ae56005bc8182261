//! The healthy twins: each scenario unbroken, drilled once for all tests that break it.

use acceptance::{Drill, Stand};
use tokio::sync::OnceCell;

/// The unbroken `burst`.
pub async fn burst() -> &'static Drill {
    static TWIN: OnceCell<Drill> = OnceCell::const_new();
    healthy(&TWIN, "burst").await
}

/// The unbroken `crash`.
pub async fn crash() -> &'static Drill {
    static TWIN: OnceCell<Drill> = OnceCell::const_new();
    healthy(&TWIN, "crash").await
}

/// The unbroken `quiet`.
pub async fn quiet() -> &'static Drill {
    static TWIN: OnceCell<Drill> = OnceCell::const_new();
    healthy(&TWIN, "quiet").await
}

async fn healthy(twin: &'static OnceCell<Drill>, scenario: &str) -> &'static Drill {
    let drill = twin.get_or_init(|| async { Stand::new(scenario).drill().await }).await;
    drill.assert_passed();
    drill
}
