//! Which texts become links: those that only `http` or `https` can open, in annotations that are meant to be followed.

/// The target of an annotation, if it may be a link.
pub(super) fn of(name: &str, value: &str) -> Option<String> {
    let meant = ["url", "link", "runbook", "dashboard"].iter().any(|word| name.to_lowercase().contains(word));
    let lower = value.to_ascii_lowercase();
    let web = ["https://", "http://"].iter().any(|scheme| {
        lower.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric()))
    });
    let plain =
        value.chars().all(|letter| letter.is_ascii_graphic() && !matches!(letter, '"' | '\'' | '<' | '>' | '\\'));
    (meant && web && plain).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_in_runbook_like_annotations_are_links_x05() {
        assert!(of("runbook_url", "https://runbooks.example/errors?a=1#top").is_some());
        assert!(of("dashboard", "http://127.0.0.1:3000/d/x").is_some());
        for value in [
            "javascript:alert(1)",
            " https://example.org",
            "data:text/html,x",
            "https:javascript",
            "https://\u{0430}.example",
            "https://x\" onmouseover=\"alert(1)",
            "//example.org",
            "java\nscript:alert(1)",
        ] {
            assert_eq!(of("runbook_url", value), None, "{value}");
        }
        assert_eq!(of("summary", "https://example.org"), None);
    }
}
