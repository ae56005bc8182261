//! Watchers that ask for TLS and a password, with the shipped `web.config.yml` and what `stack/secure` makes: drilled like
//! any other, and never by somebody who does not know the password or trusts somebody else.

use std::path::Path;
use std::process::Command;

use acceptance::{Provider, Stand, engine, repository};
use harness::outcome::Reason;

const LET_IN: &str = r#"    scheme: https
    tls_config: {ca_file: ../secrets/ca.pem}
    basic_auth: {username: monitoring, password_file: ../secrets/password}
"#;

fn make_secrets(stand: &Stand) {
    let made = Command::new(repository().join("stack/secure")).arg(stand.root().join("stack/secrets")).output();
    let made = made.expect("the script starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// `crash` with both watchers secured; `access` is how the harness is let in by Prometheus.
fn secured(access: &str) -> Stand {
    let stand = Stand::new("crash");
    make_secrets(&stand);
    std::fs::write(stand.root().join("stack/secrets/wrong"), "guess\n").expect("the stand can be written");
    let let_in = r#"access  = { ca = "secrets/ca.pem", user = "monitoring", password-file = "secrets/password" }"#;
    let server = |name: &str, access: &str| {
        format!(
            "{access}\nargs    = [\"--web.config.file={{stack}}/secrets/{name}.web.config.yml\"]\nready-within = \"8s\"\nready   = [{{ http = \"https://{{self:http}}/-/ready\", status = 200 }}]"
        )
    };
    let ready = r#"ready   = [{ http = "http://{self:http}/-/ready", status = 200 }]"#;
    let (own, other) = ("ports   = { http = 9090 }\n", "ports   = { http = 9093 }\n");
    stand
        .edit("stack/stack.toml", &format!("{own}{ready}"), &format!("{own}{}", server("prometheus", access)))
        .edit("stack/stack.toml", &format!("{other}{ready}"), &format!("{other}{}", server("alertmanager", let_in)))
        .edit(
            "stack/prometheus/prometheus.yml",
            "  alertmanagers:\n    - static_configs:\n",
            &format!("  alertmanagers:\n    -\n{}      static_configs:\n", LET_IN.replace("    ", "      ")),
        )
        .edit(
            "stack/prometheus/prometheus.yml",
            "  - job_name: prometheus\n",
            &format!("  - job_name: prometheus\n{LET_IN}"),
        )
        .edit(
            "stack/prometheus/prometheus.yml",
            "  - job_name: alertmanager\n",
            &format!("  - job_name: alertmanager\n{LET_IN}"),
        )
}

#[tokio::test]
async fn watchers_behind_tls_and_a_password_are_drilled_like_any_other() {
    let stand =
        secured(r#"access  = { ca = "secrets/ca.pem", user = "monitoring", password-file = "secrets/password" }"#);
    let drill = stand.drill().await;
    drill.assert_passed();
    drill.assert_held("alert-1");
    drill.assert_held("notification-1");
    let password = std::fs::read_to_string(stand.root().join("stack/secrets/password")).expect("it was made");
    for entry in std::fs::read_dir(&drill.folder).expect("the run has a folder").flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        assert!(!text.contains(password.trim()), "{} shows the password", entry.path().display());
    }
}

#[tokio::test]
async fn who_does_not_know_the_password_is_told_401() {
    let stand = secured(r#"access  = { ca = "secrets/ca.pem", user = "monitoring", password-file = "secrets/wrong" }"#);
    let drill = stand.drill().await;
    let (reason, message) = drill.stack_failure().expect("it must not start");
    assert_eq!(reason, Reason::ReadyTimeout, "{message}");
    assert!(message.contains("status 401"), "{message}");
    assert!(!drill.sent_load());
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_asked() {
    // its own certificate, and not the authority that has signed it
    let stand = secured(
        r#"access  = { ca = "secrets/alertmanager.pem", user = "monitoring", password-file = "secrets/password" }"#,
    );
    let drill = stand.drill().await;
    let (reason, message) = drill.stack_failure().expect("it must not start");
    assert_eq!(reason, Reason::ReadyTimeout, "{message}");
    assert!(message.contains("UnknownIssuer"), "{message}");
    assert!(!drill.sent_load());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_behind_tls_and_a_password_is_drilled_in_containers_too() {
    if !engine::there_is_one("a secured watcher in a container") {
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_echo-service"));
    let stand = Stand::of_fixture("doomed", "doomed", "echo", program).run_by(Provider::Docker);
    make_secrets(&stand);
    let ready = r#"ready   = [{ http = "http://{self:http}/-/ready", status = 200 }]"#;
    let secured = r#"ready   = [{ http = "https://{self:http}/-/ready", status = 200 }]
access  = { ca = "secrets/ca.pem", user = "monitoring", password-file = "secrets/password" }
args    = ["--web.config.file={stack}/secrets/prometheus.web.config.yml"]"#;
    let watched = format!(
        "scrape_configs:\n  - job_name: prometheus\n{LET_IN}    static_configs: [{{targets: [\"prometheus:9090\"]}}]\n"
    );
    let drill = stand
        .edit("stack/stack.toml", ready, secured)
        .edit("stack/prometheus/prometheus.yml", "scrape_configs:\n", &watched)
        .add_to_scenario(
            "[[expect]]\nduring = \"baseline\"\nmode = \"throughout\"\nthat.target = { job = \"prometheus\", health = \"up\" }\n",
        )
        .drill()
        .await;
    for held in ["metric-1", "target-1", "target-2"] {
        drill.assert_held(held);
    }
}
