//! Data frames: columns of one length, as `/api/ds/query` answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::document::Node;
use super::super::{Error, Labels};
use crate::clock::Stamp;

/// A table of columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Mostly the legend's text.
    pub name: String,
    /// The columns.
    pub fields: Vec<Field>,
    /// What the data source adds for the reader: warnings, truncation.
    pub notices: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Column name.
    pub name: String,
    /// `time`, `number`, `string`, `boolean` or `other`.
    pub kind: String,
    /// A series' labels.
    pub labels: Labels,
    /// The values, from the first row on.
    pub values: Vec<Cell>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// None.
    Nothing,
    /// Milliseconds in the answer.
    Time(Stamp),
    /// Also NaN and infinities, which the answer keeps beside the values.
    Number(f64),
    /// A string, a truth value, or anything else as JSON.
    Text(String),
}

impl Frame {
    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.fields.iter().map(|field| field.values.len()).max().unwrap_or(0)
    }

    /// The numbers in its number columns; "no data" has none (T58, T60).
    pub fn numbers(&self) -> impl Iterator<Item = f64> {
        self.fields.iter().flat_map(|field| &field.values).filter_map(|cell| match cell {
            Cell::Number(number) => Some(*number),
            _ => None,
        })
    }
}

/// Reads `{schema, data}`.
pub(super) fn read(node: &Node<'_>) -> Result<Frame, Error> {
    let schema = node.member("schema")?;
    let data = node.optional("data");
    let columns = data.as_ref().map_or_else(|| Ok(Vec::new()), |data| data.optional_items("values"))?;
    let entities = data.as_ref().map_or_else(|| Ok(Vec::new()), |data| data.optional_items("entities"))?;
    let mut fields = Vec::new();
    for (index, field) in schema.optional_items("fields")?.iter().enumerate() {
        fields.push(read_field(field, columns.get(index), entities.get(index))?);
    }
    let notices = schema.optional("meta").map_or_else(|| Ok(Vec::new()), |meta| meta.optional_items("notices"))?;
    let notices = notices.iter().map(|notice| notice.text_or_empty("text")).collect::<Result<_, _>>()?;
    Ok(Frame { name: schema.text_or_empty("name")?, fields, notices })
}

fn read_field(field: &Node<'_>, column: Option<&Node<'_>>, entities: Option<&Node<'_>>) -> Result<Field, Error> {
    let kind = field.text_or_empty("type")?;
    let cells = column.map_or_else(|| Ok(Vec::new()), Node::items)?;
    let mut values = cells.iter().map(|cell| read_cell(cell, &kind)).collect::<Result<Vec<_>, _>>()?;
    if let Some(entities) = entities.filter(|entities| entities.value().is_object()) {
        for (name, number) in [("NaN", f64::NAN), ("Inf", f64::INFINITY), ("NegInf", f64::NEG_INFINITY)] {
            place(entities, name, number, &mut values)?;
        }
    }
    Ok(Field { name: field.text_or_empty("name")?, kind, labels: field.labels_or_empty("labels")?, values })
}

/// Puts a number that JSON cannot write at the rows listed under its name.
fn place(entities: &Node<'_>, name: &str, number: f64, values: &mut [Cell]) -> Result<(), Error> {
    for row in entities.optional_items(name)? {
        let index = row.value().as_u64().and_then(|row| usize::try_from(row).ok());
        let cell = index.and_then(|row| values.get_mut(row));
        *cell.ok_or_else(|| row.expected("the number of a row"))? = Cell::Number(number);
    }
    Ok(())
}

fn read_cell(node: &Node<'_>, kind: &str) -> Result<Cell, Error> {
    match (node.value(), kind) {
        (Value::Null, _) => Ok(Cell::Nothing),
        (_, "time") => Ok(Cell::Time(Stamp::from_seconds(node.number()? / 1000.0))),
        (_, "number") => Ok(Cell::Number(node.number()?)),
        (Value::String(text), _) => Ok(Cell::Text(text.clone())),
        (other, _) => Ok(Cell::Text(other.to_string())),
    }
}
