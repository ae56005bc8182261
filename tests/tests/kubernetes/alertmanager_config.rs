//! The routes as the operator's own resource, for a cluster whose Alertmanager belongs to somebody else. It is made from
//! `alertmanager.yml` and never edited: `UPDATE_MANIFESTS=1 cargo test -p acceptance --test kubernetes` writes it anew.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::objects::{all, root};
use crate::operator::AlertmanagerConfig;

const MANIFEST: &str = "stack/kubernetes/alertmanagerconfig/inventory.yaml";
const HEADER: &str = "# Made from stack/alertmanager/alertmanager.yml: change that file, then run\n# UPDATE_MANIFESTS=1 cargo test -p acceptance --test kubernetes\n#\n# For a cluster whose Alertmanager belongs to somebody else; otherwise the whole file is used, as a Secret. The operator adds\n# a matcher on the namespace to every route, so that only alerts with `namespace: inventory` take these.\n";

/// `group_wait` as `groupWait`.
fn camel(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// `severity=~"a|b"` as the resource writes it.
fn matcher(text: &str) -> Value {
    let (operator, at) = ["=~", "!~", "!=", "="]
        .into_iter()
        .filter_map(|operator| Some((operator, text.find(operator)?)))
        .min_by_key(|(operator, at)| (*at, 2 - operator.len()))
        .unwrap_or_else(|| panic!("`{text}` is no matcher"));
    let value = text[at + operator.len()..].trim().trim_matches('"');
    json!({ "name": text[..at].trim(), "value": value, "matchType": operator })
}

/// A credential file as the key of the Secret that is mounted there.
fn secret(path: &Value) -> Value {
    let path = path.as_str().unwrap().strip_prefix("/etc/alertmanager/secrets/").unwrap();
    let (name, key) = path.split_once('/').unwrap();
    json!({ "name": name, "key": key })
}

fn pairs(map: &Value) -> Value {
    map.as_object().unwrap().iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

fn converted(key: &str, written: &Value) -> (String, Value) {
    match (key, written) {
        ("matchers", list) => ("matchers".to_owned(), matchers(list)),
        ("source_matchers", list) => ("sourceMatch".to_owned(), matchers(list)),
        ("target_matchers", list) => ("targetMatch".to_owned(), matchers(list)),
        ("routing_key_file", path) => ("routingKey".to_owned(), secret(path)),
        ("credentials_file", path) => ("credentials".to_owned(), secret(path)),
        ("details" | "headers", map) => (key.to_owned(), pairs(map)),
        (key, other) => (camel(key), convert(other)),
    }
}

fn matchers(list: &Value) -> Value {
    list.as_array().unwrap().iter().map(|text| matcher(text.as_str().unwrap())).collect()
}

fn convert(written: &Value) -> Value {
    match written {
        Value::Object(map) => map.iter().map(|(key, value)| converted(key, value)).collect::<Map<_, _>>().into(),
        Value::Array(items) => items.iter().map(convert).collect(),
        other => other.clone(),
    }
}

/// What `global` gives every receiver, each of them needs here.
fn with_globals(mut receivers: Value, global: &Value) -> Value {
    for receiver in receivers.as_array_mut().unwrap() {
        for slack in receiver.get_mut("slackConfigs").and_then(Value::as_array_mut).into_iter().flatten() {
            slack["apiURL"] = secret(&global["slack_api_url_file"]);
        }
        for mail in receiver.get_mut("emailConfigs").and_then(Value::as_array_mut).into_iter().flatten() {
            mail["from"] = global["smtp_from"].clone();
            mail["smarthost"] = global["smtp_smarthost"].clone();
            mail["authUsername"] = global["smtp_auth_username"].clone();
            mail["authPassword"] = secret(&global["smtp_auth_password_file"]);
        }
    }
    receivers
}

fn resource() -> Value {
    let written = all(&root().join("stack/alertmanager/alertmanager.yml")).remove(0);
    json!({
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": { "name": "inventory", "namespace": "inventory", "labels": { "release": "monitoring" } },
        "spec": {
            "route": convert(&written["route"]),
            "inhibitRules": convert(&written["inhibit_rules"]),
            "muteTimeIntervals": convert(&written["time_intervals"]),
            "receivers": with_globals(convert(&written["receivers"]), &written["global"]),
        },
    })
}

/// Block style; texts as JSON writes them, which is YAML too.
fn print(value: &Value, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                text.push_str(&format!("{pad}{key}:"));
                print_behind(value, indent + 2, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                print(item, indent + 2, &mut inner);
                text.push_str(&format!("{pad}- {}", &inner[indent + 2..]));
            }
        }
        scalar => text.push_str(&format!("{pad}{scalar}\n")),
    }
}

fn print_behind(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(_) | Value::Array(_) => {
            text.push('\n');
            print(value, indent, text);
        }
        scalar => text.push_str(&format!(" {scalar}\n")),
    }
}

#[test]
fn the_routes_as_a_resource_are_those_of_the_file() {
    let wanted = resource();
    serde_json::from_value::<AlertmanagerConfig>(wanted.clone()).unwrap();
    let mut text = HEADER.to_owned();
    print(&wanted, 0, &mut text);
    let path = root().join(MANIFEST);
    if std::env::var_os("UPDATE_MANIFESTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{MANIFEST} is stale: run UPDATE_MANIFESTS=1 cargo test -p acceptance --test kubernetes"
    );
    assert_eq!(all(&path), [wanted], "what was printed is what was meant");
}

#[test]
fn matchers_are_read_with_all_four_operators() {
    let read = |text| {
        let it = matcher(text);
        ["name", "matchType", "value"].map(|key| it[key].as_str().unwrap().to_owned())
    };
    let expected: BTreeMap<&str, [&str; 3]> = BTreeMap::from([
        (r#"a="b""#, ["a", "=", "b"]),
        (r#"a!="b=c""#, ["a", "!=", "b=c"]),
        (r#"a=~"b|c""#, ["a", "=~", "b|c"]),
        (r#"a!~"b""#, ["a", "!~", "b"]),
    ]);
    for (text, parts) in expected {
        assert_eq!(read(text), parts, "{text}");
    }
}
