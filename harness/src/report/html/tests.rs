//! The page: what it says, and that nothing a log holds can do more than be read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::report::testing;

#[test]
fn the_page_loads_and_runs_nothing_x09() {
    let page = page(&testing::everything());
    let policy = policy();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"));
    assert_eq!(page.matches("<style>").count(), 1);
    assert!(page.contains(&format!("<style>{STYLE}</style>")), "the hash is the hash of what stands there");
    for forbidden in ["<script", " style=\"", " src=", "@import", "<link", "<iframe", "<form"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn the_policy_survives_escaping() {
    let page = page(&testing::pass());
    let policy = policy().replace('\'', "&#39;");
    assert!(page.contains(&format!("content=\"{policy}\"")));
}

#[test]
fn a_failure_stands_first_and_open_with_its_place() {
    let page = page(&testing::fail());
    let failed = page.find("<details class=\"expectation o-failed\" open>").unwrap();
    let passed = page[failed..].find("<details class=\"expectation o-passed\">").unwrap();
    assert!(page[failed..failed + passed].contains("NEVER_FIRED"));
    assert!(page.contains("scenarios/http-error-burst.toml:45"));
    assert!(page.contains("<p><code class=\"reason\">NEVER_FIRED</code>"));
}

#[test]
fn an_incomplete_log_is_marked_in_the_banner() {
    let page = page(&testing::incomplete());
    assert!(page.contains("<strong>Incomplete.</strong>") && page.contains("INTERRUPTED"));
    assert!(!page.contains("banner v-pass"));
}

#[test]
fn runbooks_are_links_and_generators_are_not_x05() {
    let page = page(&testing::pass());
    assert!(page.contains("<a href=\"https://runbooks.example/errors\" rel=\"noopener noreferrer nofollow\">"));
}

/// Every text of every event, one after the other, carries a payload of its own; nothing of it may become an element or
/// an attribute.
#[test]
fn no_text_of_a_log_becomes_markup_x01_x02_x04_x07() {
    let (log, payloads) = tainted(&testing::everything());
    assert!(payloads > 270, "only {payloads} texts were tainted");
    let page = page(&log);
    let mut tags = BTreeSet::new();
    for (tag, attributes) in elements(&page) {
        assert!(attributes.iter().all(|name| !name.starts_with("on") && name != "src" && name != "style"), "{tag}");
        tags.insert(tag);
    }
    let known: BTreeSet<String> = ALLOWED.split(' ').map(str::to_owned).collect();
    assert_eq!(tags.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(page.matches("</title>").count(), page.matches("<title>").count());
    assert!(page.contains("taint"), "the payloads are shown as text");
}

const ALLOWED: &str = "!doctype html head meta title style body a svg defs pattern rect line path text main header h1 h2 h3 h4 p \
                       strong dl div dt dd section ul li table thead tbody tr th td span code details summary pre article br footer";

/// The log with a payload in every text, and how many there are. A text that must be one of a list stays.
fn tainted(events: &[Event]) -> (Vec<Event>, usize) {
    let mut payloads = 0;
    let mut log = Vec::new();
    for event in events.iter().filter(|event| !matches!(event.what, crate::event::EventKind::LoadSampled(_))) {
        let mut json = serde_json::to_value(event).unwrap();
        let mut places = Vec::new();
        texts(&json, String::new(), &mut places);
        for place in places {
            let clean = json.pointer(&place).unwrap().clone();
            let text = clean.as_str().unwrap();
            let payload = format!(
                "{text}\"'>--></textarea></title></style></svg><img src=x onerror=taint({text})><script>taint</script>"
            );
            *json.pointer_mut(&place).unwrap() = Value::String(payload);
            if serde_json::from_value::<Event>(json.clone()).is_ok() {
                payloads += 1;
            } else {
                *json.pointer_mut(&place).unwrap() = clean;
            }
        }
        payloads += tainted_names(&mut json);
        log.push(serde_json::from_value(json).unwrap());
    }
    (log, payloads)
}

/// Taints the names of labels, annotations and the like; how many there are.
fn tainted_names(json: &mut Value) -> usize {
    let mut count = 0;
    let mut places = Vec::new();
    names(json, String::new(), &mut places);
    for (place, name) in places {
        let mut changed = json.clone();
        let fields = changed.pointer_mut(&place).unwrap().as_object_mut().unwrap();
        let content = fields.remove(&name).unwrap();
        fields.insert(format!("{name}\"'><img src=x onerror=taint>"), content);
        if serde_json::from_value::<Event>(changed.clone()).is_ok() {
            *json = changed;
            count += 1;
        }
    }
    count
}

/// The JSON pointers of all objects, deepest first, with each of their names.
fn names(json: &Value, path: String, places: &mut Vec<(String, String)>) {
    match json {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                names(item, format!("{path}/{index}"), places);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                names(item, format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), places);
            }
            places.extend(fields.keys().map(|name| (path.clone(), name.clone())));
        }
        _ => {}
    }
}

/// The JSON pointers of all texts.
fn texts(json: &Value, path: String, places: &mut Vec<String>) {
    match json {
        Value::String(_) => places.push(path),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                texts(item, format!("{path}/{index}"), places);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                texts(item, format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), places);
            }
        }
        _ => {}
    }
}

/// Tags and attribute names, read as a browser does, except that the style sheet is skipped.
fn elements(page: &str) -> Vec<(String, Vec<String>)> {
    let page = page.replacen(STYLE, "", 1);
    let mut rest = page.as_str();
    let mut found = Vec::new();
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(closing) = rest.strip_prefix('/') {
            rest = closing;
        }
        let name: String =
            rest.chars().take_while(|letter| !letter.is_whitespace() && !"/>".contains(*letter)).collect();
        rest = &rest[name.len()..];
        let mut attributes = Vec::new();
        let mut attribute = String::new();
        let mut quote = None;
        let mut end = rest.len();
        for (at, letter) in rest.char_indices() {
            match (quote, letter) {
                (Some(open), _) if open == letter => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(letter),
                (None, '>') => {
                    end = at;
                    break;
                }
                (None, ' ' | '=' | '\n') => {
                    if !attribute.is_empty() {
                        attributes.push(std::mem::take(&mut attribute));
                    }
                }
                (None, _) => attribute.push(letter),
            }
        }
        rest = &rest[end..];
        found.push((name.to_lowercase(), attributes));
    }
    found
}
