//! The harness knows nothing of its subject: another service, other names, other rules, the same binary.

use std::path::Path;

use acceptance::Stand;

#[tokio::test]
async fn a_service_of_thirty_lines_is_drilled_by_the_same_binary() {
    let program = Path::new(env!("CARGO_BIN_EXE_echo-service"));
    let drill = Stand::of_fixture("second-service", "echo-dies", "echo", program).drill().await;
    drill.assert_passed();
    for held in ["metric-1", "alert-1", "notification-1", "log-1"] {
        drill.assert_held(held);
    }
}
