//! The domain: items, stock and reservations, and the rules that hold whatever stores them. Knows nothing of HTTP,
//! metrics or SQL; `http` turns requests into these types, `store` and `cache` keep them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most stock an item can hold.
pub const MAX_QUANTITY: i64 = 1_000_000_000;
/// The longest item name, in characters.
pub const MAX_NAME: usize = 200;
/// The longest reason of a stock movement, in characters.
pub const MAX_REASON: usize = 200;
/// The longest SKU, in bytes.
pub const MAX_SKU: usize = 64;

/// Why a value is not acceptable; the text is shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {rule}")]
pub struct Invalid {
    /// The offending field.
    pub field: &'static str,
    /// What holds for it.
    pub rule: String,
}

fn invalid(field: &'static str, rule: impl Into<String>) -> Invalid {
    Invalid { field, rule: rule.into() }
}

/// A stock keeping unit: 1–64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Sku(String);

impl Sku {
    /// Checks the text.
    ///
    /// # Errors
    /// When it is empty, too long, or holds another character.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > MAX_SKU || !text.bytes().all(allowed) {
            return Err(invalid(
                "sku",
                format!("must be 1 to {MAX_SKU} characters out of A-Z, a-z, 0-9, `.`, `_`, `-`"),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Sku {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An item as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its key.
    pub sku: Sku,
    /// What people call it.
    pub name: String,
    /// Units in stock, never negative.
    pub quantity: i64,
    /// Grows by one with every change, so that a cache never replaces newer by older.
    pub version: i64,
}

/// What a caller may set of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    name: String,
    quantity: i64,
}

impl Draft {
    /// Checks name and quantity.
    ///
    /// # Errors
    /// When the name is empty, too long or holds control characters, or the quantity is out of range.
    pub fn new(name: String, quantity: i64) -> Result<Self, Invalid> {
        check_text("name", &name, MAX_NAME)?;
        if !(0..=MAX_QUANTITY).contains(&quantity) {
            return Err(invalid("quantity", format!("must be 0 to {MAX_QUANTITY}")));
        }
        Ok(Self { name, quantity })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Units in stock.
    #[must_use]
    pub fn quantity(&self) -> i64 {
        self.quantity
    }
}

/// A stock movement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Units added, or taken when negative; never zero.
    pub delta: i64,
    /// Why.
    pub reason: String,
}

impl Movement {
    /// Checks delta and reason.
    ///
    /// # Errors
    /// When the delta is zero or beyond what an item can hold, or the reason is too long or holds control characters.
    pub fn new(delta: i64, reason: String) -> Result<Self, Invalid> {
        if delta == 0 || !(-MAX_QUANTITY..=MAX_QUANTITY).contains(&delta) {
            return Err(invalid("delta", format!("must not be 0 and must lie within ±{MAX_QUANTITY}")));
        }
        check_text("reason", &reason, MAX_REASON)?;
        Ok(Self { delta, reason })
    }
}

/// Units to reserve: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units(i64);

impl Units {
    /// Checks the number.
    ///
    /// # Errors
    /// When it is not within 1 and the most an item can hold.
    pub fn new(quantity: i64) -> Result<Self, Invalid> {
        if !(1..=MAX_QUANTITY).contains(&quantity) {
            return Err(invalid("quantity", format!("must be 1 to {MAX_QUANTITY}")));
        }
        Ok(Self(quantity))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

/// The id of a reservation: 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReservationId(String);

impl ReservationId {
    /// A new, unguessable one.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// Checks the text.
    ///
    /// # Errors
    /// When it is not 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(invalid("id", "must be 32 lower-case hexadecimal digits"))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Stock set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reservation {
    /// Its key.
    pub id: ReservationId,
    /// Of which item.
    pub sku: Sku,
    /// How many units.
    pub quantity: i64,
}

/// A part of the list of items, in the order of their SKUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<Sku>,
}

/// Sums over all items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many items there are.
    pub items: i64,
    /// Units in stock, over all items.
    pub units: i64,
    /// Items without stock.
    pub out_of_stock: i64,
}

/// A "no" that is the caller's to deal with; everything else that can go wrong is the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such item.
    #[error("there is no such item")]
    NoSuchItem,
    /// No such reservation, or it was released already.
    #[error("there is no such reservation; it may have been released already")]
    NoSuchReservation,
    /// The SKU is taken.
    #[error("an item with this SKU exists already")]
    SkuTaken,
    /// Stock would fall below zero.
    #[error("there is not enough stock")]
    OutOfStock,
    /// Stock would exceed [`MAX_QUANTITY`].
    #[error("the item cannot hold that much stock")]
    TooMuchStock,
    /// The item cannot be deleted yet.
    #[error("the item has open reservations; release them first")]
    OpenReservations,
}

fn check_text(field: &'static str, text: &str, longest: usize) -> Result<(), Invalid> {
    let length = text.chars().count();
    if length == 0 || length > longest || text.chars().any(char::is_control) {
        return Err(invalid(field, format!("must be 1 to {longest} characters, none of them a control character")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_short_and_plain() {
        assert!(Sku::parse("SKU-1").is_ok() && Sku::parse(&"a".repeat(64)).is_ok());
        for text in ["", "a b", "ä", "a/b", "a\0", &"a".repeat(65)] {
            assert!(Sku::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn quantities_and_deltas_stay_within_bounds() {
        assert!(Draft::new("x".to_owned(), 0).is_ok() && Draft::new("x".to_owned(), -1).is_err());
        assert!(Draft::new("x".to_owned(), MAX_QUANTITY + 1).is_err());
        assert!(Movement::new(0, "r".to_owned()).is_err() && Movement::new(i64::MIN, "r".to_owned()).is_err());
        assert!(Units::new(0).is_err() && Units::new(1).is_ok());
    }

    #[test]
    fn control_characters_are_refused_in_texts() {
        assert!(Draft::new("a\0b".to_owned(), 1).is_err() && Draft::new(String::new(), 1).is_err());
        assert!(Movement::new(1, "line\nbreak".to_owned()).is_err());
    }

    #[test]
    fn reservation_ids_parse_back() {
        let id = ReservationId::random();
        assert_eq!(ReservationId::parse(id.as_str()), Ok(id));
        assert!(ReservationId::parse("zz").is_err());
    }
}
