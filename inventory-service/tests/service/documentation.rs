//! What the documents claim about the service is what the service says about itself: metrics, routes, log fields, settings.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::Value;

use crate::support::start;

/// The pages that name metrics, routes and settings.
const PAGES: [&str; 3] = ["docs/monitoring.md", "inventory-service/README.md", "docs/adding/log-event.md"];
/// Where names of the service's own metrics begin; `prometheus_`, `node_` and the like are somebody else's.
const OURS: [&str; 8] =
    ["http_request", "inventory_", "business_", "database_", "log_lines", "process_", "trace_spans", "telemetry_"];

fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words made of what `part` accepts.
fn words(text: &str, part: impl Fn(char) -> bool) -> BTreeSet<&str> {
    text.split(|c| !part(c)).filter(|word| !word.is_empty()).collect()
}

fn names(list: &Value, key: &str) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|it| it[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_metric_route_and_setting_that_a_page_names_exists() {
    let running = start(&[("INVENTORY_FAULTS", "enabled")]).await;
    let (_, catalogue) = running.admin(Method::GET, "/catalogue", None).await;
    let metrics = names(&catalogue["metrics"], "name");
    let openapi: Value = running.get("/openapi.json").await.json().await.unwrap();
    let routes: BTreeSet<String> = openapi["paths"].as_object().unwrap().keys().cloned().collect();
    let settings = page("inventory-service/src/config.rs") + &page("inventory-service/src/main.rs");
    let (mut seen, mut wrong) = ([0; 3], Vec::new());
    for path in PAGES {
        let text = page(path);
        for word in words(&text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            // `job:http_requests_errors:ratio_rate5m` and the like are recorded by rules
            if OURS.iter().any(|ours| word.starts_with(ours)) && !text.contains(&format!(":{word}")) {
                seen[0] += 1;
                let field = word == "http_request" || word.ends_with("_postgres");
                if !field && !metrics.contains(word) && !metrics.contains(base) {
                    wrong.push(format!("{path}: there is no metric `{word}`"));
                }
            }
        }
        for word in words(&text, |c| c.is_ascii_alphanumeric() || "/{}-_".contains(c)) {
            if word.starts_with("/api/") {
                seen[1] += 1;
                if !routes.contains(word) {
                    wrong.push(format!("{path}: there is no route `{word}`"));
                }
            }
        }
        for word in words(&text, |c| c.is_ascii_uppercase() || c == '_').into_iter().filter(|word| word.contains('_')) {
            seen[2] += 1;
            let name = word.trim_matches('_').strip_suffix("_FILE").unwrap_or(word.trim_matches('_'));
            if name.contains('_') && !settings.contains(&format!("\"{name}\"")) && !name.starts_with("TEST_") {
                wrong.push(format!("{path}: there is no setting `{word}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.iter().all(|seen| *seen > 0), "metrics, routes, settings: {seen:?} were looked at");
}

#[tokio::test]
async fn every_setting_is_documented_and_every_admin_route_answers() {
    let running = start(&[("INVENTORY_FAULTS", "enabled")]).await;
    let readme = page("inventory-service/README.md");
    let config = page("inventory-service/src/config.rs");
    let read = config.split("source.").skip(1).filter_map(|rest| rest.split_once('"')?.1.split_once('"'));
    let settings: BTreeSet<&str> = read
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    assert!(settings.len() > 15, "{settings:?}");
    for setting in settings {
        assert!(readme.contains(&format!("`{setting}`")), "the README does not name {setting}");
    }
    for route in ["/metrics", "/live", "/ready", "/catalogue", "/faults"] {
        assert!(readme.contains(&format!("`{route}`")), "the README does not name {route}");
        let status = running.client.get(running.admin_url(route)).send().await.unwrap().status();
        assert_eq!(status, 200, "{route}");
    }
}
