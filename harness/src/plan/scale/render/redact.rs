//! Secrets out of diffs: removed lines hold the author's webhook addresses and passwords, and diffs are shown in reports.
//! Used by `render`.

use std::sync::LazyLock;

use regex::{Captures, Regex};

static URL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"([A-Za-z][A-Za-z0-9+.-]*://)([^\s/'"@]*@)?([^\s/'"?#,}\]]*)([/?#][^\s'",}\]]*)?"#)
        .expect("a constant pattern")
});

static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    let key = "password|secret|token|api_key|routing_key|service_key|access_key|secret_key|credentials|user_key|auth_username|auth_identity";
    Regex::new(&format!(r#"(?i)\b([a-z0-9_]*(?:{key}))(\s*:\s*)(?:"[^"]*"|'[^']*'|[^\s,}}\]]+)"#))
        .expect("a constant pattern")
});

/// The text without passwords, tokens, and the paths of addresses outside of this machine.
pub(super) fn redacted(text: &str) -> String {
    let without_paths = URL.replace_all(text, |found: &Captures<'_>| {
        let part = |index: usize| found.get(index).map_or("", |part| part.as_str());
        let local = ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| part(3).starts_with(host));
        match (local, part(2), part(4)) {
            (true, ..) | (_, "", "" | "/") => part(0).to_owned(),
            (_, _, path) => format!("{}{}{}", part(1), part(3), if path.is_empty() { "" } else { "/…" }),
        }
    });
    SECRET.replace_all(&without_paths, "$1$2…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_paths_are_cut_and_everything_else_stays() {
        for (text, expected) in [
            (
                "-  slack_api_url: https://hooks.slack.com/services/T0/B0/x # why",
                "-  slack_api_url: https://hooks.slack.com/… # why",
            ),
            ("- url: 'https://me:pass@x.example.com?token=1'", "- url: 'https://x.example.com/…'"),
            ("+ url: http://127.0.0.1:80/pager/1", "+ url: http://127.0.0.1:80/pager/1"),
            ("  smtp_auth_password: 'hunter 2'", "  smtp_auth_password: …"),
            ("{service_key: abc, send_resolved: true}", "{service_key: …, send_resolved: true}"),
            ("  bearer_token_file: /run/x", "  bearer_token_file: /run/x"),
            ("  expr: rate(token_total[5m]) > 1", "  expr: rate(token_total[5m]) > 1"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }
}
