//! What rows mean: items, pages and refusals, the same for every engine.

use super::Answer;
use crate::inventory::{Item, Page, Refusal, Sku};

fn item((sku, name, quantity, version): (String, String, i64, i64)) -> Result<Item, sqlx::Error> {
    let sku = Sku::parse(&sku).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Item { sku, name, quantity, version })
}

pub(super) fn found(row: Option<(String, String, i64, i64)>) -> Answer<Item> {
    found_or(row, Refusal::NoSuchItem)
}

pub(super) fn found_or(row: Option<(String, String, i64, i64)>, otherwise: Refusal) -> Answer<Item> {
    match row {
        Some(row) => item(row).map(Ok),
        None => Ok(Err(otherwise)),
    }
}

/// A page out of up to one row more than it holds.
pub(super) fn page(rows: Vec<(String, String, i64, i64)>, limit: u32) -> Result<Page, sqlx::Error> {
    let mut items = rows.into_iter().map(item).collect::<Result<Vec<_>, _>>()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.sku.clone());
    Ok(Page { items, next })
}

/// Why a change of stock matched no row.
pub(super) fn refusal_of(exists: bool, delta: i64) -> Refusal {
    match (exists, delta < 0) {
        (false, _) => Refusal::NoSuchItem,
        (true, true) => Refusal::OutOfStock,
        (true, false) => Refusal::TooMuchStock,
    }
}
