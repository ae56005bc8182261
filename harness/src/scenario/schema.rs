//! The scenario language as a JSON Schema, generated from the model. Read by editors (`schemas/scenario.schema.json`)
//! and by `check`, so that what an editor accepts and what the harness accepts cannot drift apart.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::model::Scenario;

static SCHEMA: LazyLock<Value> = LazyLock::new(generate);

/// The schema (draft-07). The keyword `x-form` names a form of text that the harness checks beyond JSON Schema.
#[must_use]
pub fn schema() -> &'static Value {
    &SCHEMA
}

fn generate() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Scenario>().to_value();
    without_null(&mut schema);
    let root = schema.as_object_mut().expect("a root schema is an object");
    root.insert("title".to_owned(), json!("A harness scenario"));
    schema
}

/// TOML has no null: an optional key is one that may be left out.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(without_null);
            strip(object);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn strip(schema: &mut Map<String, Value>) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    let Some(Value::Array(branches)) = schema.get_mut("anyOf") else { return };
    branches.retain(|branch| branch.get("type") != Some(&json!("null")));
    if branches.len() > 1 {
        return;
    }
    let Some(Value::Array(mut branches)) = schema.remove("anyOf") else { return };
    match branches.pop() {
        Some(Value::Object(only)) if !only.contains_key("$ref") => {
            for (key, value) in only {
                schema.entry(key).or_insert(value);
            }
        }
        Some(only) => {
            schema.insert("allOf".to_owned(), json!([only]));
        }
        None => {}
    }
}
