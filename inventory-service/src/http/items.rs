//! The handlers: from a request to the inventory and back. Each reads, checks, asks the store through the cache, answers.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::App;
use super::body::{Whole, read_json};
use super::problem::Problem;
use crate::inventory::{Draft, Item, Movement, Refusal, ReservationId, Sku, Units};
use crate::store::StoreError;

/// Items a page when the caller does not say.
const DEFAULT_LIMIT: u32 = 50;
/// Items a page at most.
pub(super) const MAX_LIMIT: u32 = 200;

type Answer = Result<Response, Problem>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewItem {
    sku: Sku,
    name: String,
    #[serde(default = "none")]
    quantity: Whole,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    name: String,
    quantity: Whole,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Adjustment {
    delta: Whole,
    #[serde(default = "unspecified")]
    reason: String,
}

fn unspecified() -> String {
    "unspecified".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default = "one")]
    quantity: Whole,
}

fn one() -> Whole {
    Whole(1)
}

fn none() -> Whole {
    Whole(0)
}

#[derive(Debug, Serialize)]
struct ItemView<'a> {
    sku: &'a Sku,
    name: &'a str,
    quantity: i64,
}

impl<'a> From<&'a Item> for ItemView<'a> {
    fn from(item: &'a Item) -> Self {
        Self { sku: &item.sku, name: &item.name, quantity: item.quantity }
    }
}

#[derive(Debug, Serialize)]
struct PageView<'a> {
    items: Vec<ItemView<'a>>,
    next_cursor: Option<&'a Sku>,
}

pub(super) async fn list(State(app): State<Arc<App>>, query: Result<Query<PageQuery>, QueryRejection>) -> Answer {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` must be 1 to {MAX_LIMIT}")));
    }
    let after = query.cursor.as_deref().map(Sku::parse).transpose()?;
    let page = app.store.list(after.as_ref(), limit).await?;
    let view = PageView { items: page.items.iter().map(ItemView::from).collect(), next_cursor: page.next.as_ref() };
    Ok(Json(view).into_response())
}

pub(super) async fn read(State(app): State<Arc<App>>, path: Result<Path<String>, PathRejection>) -> Answer {
    let sku = sku_of(path)?;
    let load = {
        let (store, sku) = (Arc::clone(&app.store), sku.clone());
        async move { store.read(&sku).await }
    };
    let item = app.cache.read_through(&sku, load).await.map_err(|error| Problem::from(error.as_ref()))?;
    Ok(Json(ItemView::from(item.as_ref())).into_response())
}

pub(super) async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Answer {
    let NewItem { sku, name, quantity: Whole(quantity) } = read_json(&headers, body, app.body_limits).await?;
    let draft = Draft::new(name, quantity)?;
    let item = remember(&app, app.store.create(&sku, &draft).await?).await;
    let location = HeaderValue::try_from(format!("/api/items/{sku}")).expect("a SKU is plain ASCII");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(ItemView::from(item.as_ref()))).into_response())
}

pub(super) async fn replace(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let sku = sku_of(path)?;
    let Replacement { name, quantity: Whole(quantity) } = read_json(&headers, body, app.body_limits).await?;
    let draft = Draft::new(name, quantity)?;
    let item = remember(&app, app.store.replace(&sku, &draft).await?).await;
    Ok(Json(ItemView::from(item.as_ref())).into_response())
}

pub(super) async fn delete(State(app): State<Arc<App>>, path: Result<Path<String>, PathRejection>) -> Answer {
    let sku = sku_of(path)?;
    app.store.delete(&sku).await?;
    app.cache.forget(&sku).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn adjust(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let sku = sku_of(path)?;
    let Adjustment { delta: Whole(delta), reason } = read_json(&headers, body, app.body_limits).await?;
    let movement = Movement::new(delta, reason)?;
    let item = remember(&app, app.store.adjust(&sku, &movement).await?).await;
    Ok(Json(ItemView::from(item.as_ref())).into_response())
}

pub(super) async fn reserve(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let sku = sku_of(path)?;
    let Wish { quantity: Whole(quantity) } = read_json(&headers, body, app.body_limits).await?;
    let units = Units::new(quantity)?;
    match app.store.reserve(&sku, units).await {
        Ok((reservation, item)) => {
            app.metrics.reservation("reserved");
            remember(&app, item).await;
            Ok((StatusCode::CREATED, Json(reservation)).into_response())
        }
        Err(error) => {
            if matches!(error, StoreError::Refused(Refusal::OutOfStock)) {
                app.metrics.reservation("rejected");
            }
            Err(error.into())
        }
    }
}

pub(super) async fn release(State(app): State<Arc<App>>, path: Result<Path<String>, PathRejection>) -> Answer {
    let id = ReservationId::parse(&path_of(path)?)?;
    let item = app.store.release(&id).await?;
    app.metrics.reservation("released");
    remember(&app, item).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Puts an item that was just written into the cache.
async fn remember(app: &App, item: Item) -> Arc<Item> {
    let item = Arc::new(item);
    app.cache.put(&item).await;
    item
}

fn sku_of(path: Result<Path<String>, PathRejection>) -> Result<Sku, Problem> {
    Ok(Sku::parse(&path_of(path)?)?)
}

fn path_of(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(text) = path.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    Ok(text)
}
