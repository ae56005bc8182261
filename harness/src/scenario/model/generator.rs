//! Where the values for a request's placeholders come from, as written.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// Where a placeholder's values come from: what there is to choose from, and how it is chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Generator {
    /// A value out of a population.
    From {
        /// What there is to choose from.
        population: Population,
        /// How it is chosen.
        draw: Draw,
    },
    /// A random UUID.
    Uuid,
    /// Numbers one after the other.
    Sequence {
        /// The first.
        start: u64,
    },
}

/// What there is to choose from.
#[derive(Clone, Debug, PartialEq)]
pub enum Population {
    /// These values.
    Choice(Vec<Value>),
    /// The whole numbers from `low` to `high`, both included.
    Range {
        /// The smallest.
        low: i64,
        /// The largest.
        high: i64,
    },
    /// The keys of a seed in `stack.toml`.
    Seed(String),
}

/// How a value is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// Each as often as any other.
    Uniform,
    /// The first most often: the k-th with a weight of k^-exponent.
    Zipf {
        /// Larger is steeper; 1.1 is typical of shops.
        exponent: f64,
    },
}

/// A generator as a table.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    /// One of these values.
    choice: Option<Vec<Value>>,
    /// A whole number from the first to the second, both included.
    range: Option<[i64; 2]>,
    /// Prefer the first values: the k-th with a weight of k^-exponent. With `from`, `range` or `choice`.
    zipf: Option<f64>,
    /// A seed of `stack.toml`, as `"seed:<name>"`.
    from: Option<String>,
    /// A random UUID.
    uuid: Option<bool>,
    /// Numbers one after the other, beginning with this one.
    sequence: Option<u64>,
}

impl Generator {
    /// Reads `"uuid"`, `"sequence"` or `"seed:<name>"`.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "uuid" => Ok(Self::Uuid),
            "sequence" => Ok(Self::Sequence { start: 1 }),
            _ => Ok(Self::From { population: seed(text)?, draw: Draw::Uniform }),
        }
    }

    /// The seed it draws from.
    #[must_use]
    pub fn seed(&self) -> Option<&str> {
        match self {
            Self::From { population: Population::Seed(name), .. } => Some(name),
            _ => None,
        }
    }
}

fn seed(text: &str) -> Result<Population, String> {
    match text.strip_prefix("seed:") {
        Some(name) if !name.is_empty() => Ok(Population::Seed(name.to_owned())),
        _ => Err(format!("`{text}` is no source of values; write \"seed:<name>\", \"uuid\" or \"sequence\"")),
    }
}

impl TryFrom<Written> for Generator {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { choice, range, zipf, from, uuid, sequence } = written;
        let draw = match zipf {
            None => Draw::Uniform,
            Some(exponent) if exponent.is_finite() && exponent > 0.0 => Draw::Zipf { exponent },
            Some(exponent) => return Err(format!("a zipf exponent is greater than zero, {exponent} is not")),
        };
        let population = match (choice, range, from, uuid, sequence) {
            (Some(choice), None, None, None, None) if choice.is_empty() => return Err("`choice` is empty".to_owned()),
            (Some(choice), None, None, None, None) => Population::Choice(choice),
            (None, Some([low, high]), None, None, None) if low > high => {
                return Err(format!("the range ends before it starts: {low} > {high}"));
            }
            (None, Some([low, high]), None, None, None) => Population::Range { low, high },
            (None, None, Some(from), None, None) => seed(&from)?,
            (None, None, None, Some(true), None) if zipf.is_none() => return Ok(Self::Uuid),
            (None, None, None, None, Some(start)) if zipf.is_none() => return Ok(Self::Sequence { start }),
            _ => {
                return Err("a generator is one of `choice`, `range`, `from`, `uuid = true` or `sequence`; \
                            `zipf` goes with the first three"
                    .to_owned());
            }
        };
        Ok(Self::From { population, draw })
    }
}

impl<'de> Deserialize<'de> for Generator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Generator;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a generator: a table such as { zipf = 1.1, from = \"seed:items\" }, or a text such as \"uuid\"",
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Generator, E> {
                Generator::parse(text).map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Generator, A::Error> {
                let written = Written::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Generator::try_from(written).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Generator {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Generator".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = Written::json_schema(generator);
        json_schema!({
            "anyOf": [table, { "type": "string", "x-form": "generator", "examples": ["uuid", "sequence", "seed:items"] }]
        })
    }
}
