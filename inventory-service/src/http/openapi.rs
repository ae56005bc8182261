//! `/openapi.json`: the API described from the table of endpoints, so that the two cannot differ.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::items::MAX_LIMIT;
use crate::endpoint::{ENDPOINTS, Endpoint, FAILURES};
use crate::inventory::{MAX_NAME, MAX_QUANTITY, MAX_REASON, MAX_SKU};

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));

pub(super) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in &ENDPOINTS {
        let path = paths.entry(endpoint.route).or_insert_with(|| json!({}));
        path[endpoint.method.to_ascii_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "InventoryService", "version": env!("CARGO_PKG_VERSION"), "description": "Items, stock and reservations." },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = json!({
        "operationId": endpoint.operation.unwrap_or("openapi"),
        "summary": endpoint.summary,
        "parameters": parameters(endpoint),
        "responses": responses(endpoint),
    });
    if let Some(schema) = request_schema(endpoint) {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": reference(schema) } } });
    }
    operation
}

fn responses(endpoint: &Endpoint) -> Value {
    let mut responses = Map::new();
    let reason = |status: u16| {
        StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Answer")
    };
    let mut success = json!({ "description": reason(endpoint.success) });
    if let Some(schema) = answer_schema(endpoint) {
        success["content"] = json!({ "application/json": { "schema": reference(schema) } });
    }
    responses.insert(endpoint.success.to_string(), success);
    for status in endpoint.refusals.iter().chain(&[405]).chain(&FAILURES) {
        let content = json!({ "application/problem+json": { "schema": reference("Problem") } });
        responses.insert(status.to_string(), json!({ "description": reason(*status), "content": content }));
    }
    Value::Object(responses)
}

fn parameters(endpoint: &Endpoint) -> Value {
    let sku = json!({ "type": "string", "minLength": 1, "maxLength": MAX_SKU, "pattern": "^[A-Za-z0-9._-]+$" });
    match (endpoint.method, endpoint.route) {
        ("GET", "/api/items") => json!([
            { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": MAX_LIMIT } },
            { "name": "cursor", "in": "query", "schema": sku, "description": "`next_cursor` of the page before" },
        ]),
        (_, route) if route.contains("{sku}") => {
            json!([{ "name": "sku", "in": "path", "required": true, "schema": sku }])
        }
        (_, route) if route.contains("{id}") => {
            json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "string", "pattern": "^[0-9a-f]{32}$" } }])
        }
        _ => json!([]),
    }
}

fn request_schema(endpoint: &Endpoint) -> Option<&'static str> {
    match endpoint.operation? {
        "create_item" => Some("NewItem"),
        "replace_item" => Some("Replacement"),
        "adjust_stock" => Some("Adjustment"),
        "reserve_stock" => Some("Wish"),
        _ => None,
    }
}

fn answer_schema(endpoint: &Endpoint) -> Option<&'static str> {
    match endpoint.operation? {
        "list_items" => Some("Page"),
        "create_item" | "read_item" | "replace_item" | "adjust_stock" => Some("Item"),
        "reserve_stock" => Some("Reservation"),
        _ => None,
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn schemas() -> Value {
    let sku = json!({ "type": "string", "minLength": 1, "maxLength": MAX_SKU, "pattern": "^[A-Za-z0-9._-]+$" });
    let name = json!({ "type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$" });
    let reason = json!({ "type": "string", "minLength": 1, "maxLength": MAX_REASON, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$" });
    let stock = json!({ "type": "integer", "minimum": 0, "maximum": MAX_QUANTITY });
    let units = json!({ "type": "integer", "minimum": 1, "maximum": MAX_QUANTITY });
    let delta = json!({ "type": "integer", "minimum": -MAX_QUANTITY, "maximum": MAX_QUANTITY, "not": { "const": 0 } });
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties });
    json!({
        "Item": object(&["sku", "name", "quantity"], json!({ "sku": sku, "name": name, "quantity": stock })),
        "NewItem": object(&["sku", "name"], json!({ "sku": sku, "name": name, "quantity": stock })),
        "Replacement": object(&["name", "quantity"], json!({ "name": name, "quantity": stock })),
        "Adjustment": object(&["delta"], json!({ "delta": delta, "reason": reason })),
        "Wish": object(&[], json!({ "quantity": units })),
        "Reservation": object(&["id", "sku", "quantity"], json!({ "id": { "type": "string" }, "sku": sku, "quantity": units })),
        "Page": object(&["items", "next_cursor"], json!({
            "items": { "type": "array", "items": reference("Item") },
            "next_cursor": { "anyOf": [sku, { "type": "null" }] },
        })),
        "Problem": object(&["type", "title", "status", "detail", "request_id"], json!({
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "request_id": { "type": "string" },
        })),
    })
}
