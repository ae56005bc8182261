//! Traffic as written.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::scenario::default;
use crate::scenario::duration::{LongerThanZero, Period};
use crate::scenario::spanned::Spanned;
use crate::scenario::text::{Filled, UrlPath};

/// Traffic: one of `open`, `closed` or `stages`, and what is sent.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Load {
    /// Expectations and faults name it.
    #[schemars(with = "Filled")]
    pub name: Spanned<String>,
    /// Arrivals at a rate, whether or not the service keeps up.
    pub open: Option<Spanned<Open>>,
    /// Virtual users that wait for each answer.
    pub closed: Option<Spanned<Closed>>,
    /// Short for `open = { stages = [...] }`.
    #[schemars(length(min = 1))]
    pub stages: Option<Spanned<Vec<Stage>>>,
    /// A request is given up after this real time. Default 2s.
    #[schemars(with = "Option<LongerThanZero>")]
    pub timeout: Option<Spanned<Period>>,
    /// The same number gives the same arrivals and values. Default: one of the run's own, shown in the report.
    pub seed: Option<u64>,
    /// Requests, chosen by weight.
    #[serde(default)]
    pub request: Vec<Request>,
    /// Sequences of requests, chosen by weight.
    #[serde(default)]
    pub journey: Vec<Journey>,
}

/// Arrivals at a rate, whether or not the service keeps up.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Open {
    /// Requests per real second.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 100_000))]
    pub rate: Option<Spanned<f64>>,
    /// Instead of `rate`: rates to reach one after the other.
    #[schemars(length(min = 1))]
    pub stages: Option<Spanned<Vec<Stage>>>,
    /// How arrivals are spaced. Default `constant`.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Scenario time to reach `rate` from zero. Default 0s.
    #[serde(default)]
    #[schemars(with = "Option<Period>")]
    pub ramp: Period,
    /// A request that finds this many in flight is not sent but counted as dropped. Default 256.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_in_flight: Option<u32>,
}

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Evenly.
    #[default]
    Constant,
    /// At random with the rate as mean, as independent users arrive.
    Poisson,
}

/// A rate to reach.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stage {
    /// Requests per real second at the end of the stage.
    #[schemars(range(min = 0, max = 100_000))]
    pub to: Spanned<f64>,
    /// Scenario time to get there.
    #[schemars(with = "LongerThanZero")]
    pub over: Spanned<Period>,
}

/// Virtual users that wait for each answer.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Closed {
    /// How many.
    #[schemars(range(min = 1, max = 10_000))]
    pub users: u32,
    /// Scenario time until all have started. Default 0s.
    #[serde(default)]
    #[schemars(with = "Option<Period>")]
    pub ramp: Period,
    /// Real time between an answer and the next request. Default 0s.
    #[serde(default)]
    #[schemars(with = "Option<Period>")]
    pub think: Period,
}

/// A request: one of `get`, `post`, `put`, `patch`, `delete` or `head` with its path.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Request {
    /// Objectives, ledger and reports name it.
    #[schemars(with = "Filled")]
    pub name: Spanned<String>,
    /// How often it is chosen, against the others. Default 1. Not in the steps of a journey.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub weight: Option<Spanned<u32>>,
    /// Path with `{placeholders}`.
    #[schemars(with = "Option<UrlPath>")]
    pub get: Option<Spanned<String>>,
    /// Path with `{placeholders}`.
    #[schemars(with = "Option<UrlPath>")]
    pub post: Option<Spanned<String>>,
    /// Path with `{placeholders}`.
    #[schemars(with = "Option<UrlPath>")]
    pub put: Option<Spanned<String>>,
    /// Path with `{placeholders}`.
    #[schemars(with = "Option<UrlPath>")]
    pub patch: Option<Spanned<String>>,
    /// Path with `{placeholders}`.
    #[schemars(with = "Option<UrlPath>")]
    pub delete: Option<Spanned<String>>,
    /// Path with `{placeholders}`.
    #[schemars(with = "Option<UrlPath>")]
    pub head: Option<Spanned<String>>,
    /// A JSON body; placeholders in its texts are filled in.
    pub json: Option<Spanned<Value>>,
    /// Headers; placeholders in their values are filled in.
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<String>>,
    /// Where the placeholders' values come from.
    #[serde(default)]
    pub with: BTreeMap<String, Spanned<Generator>>,
    /// What the client counts as a success. Default: any 2xx.
    #[serde(default)]
    pub expect: Expected,
    /// Placeholders of later steps, as JSON pointers into the answer. Only in the steps of a journey.
    #[serde(default)]
    pub capture: BTreeMap<String, Spanned<String>>,
}

/// What the client counts as a success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expected {
    /// These status codes; none means any 2xx.
    #[serde(default)]
    #[schemars(inner(range(min = 100, max = 599)))]
    pub status: Vec<u16>,
}

/// Requests in order, by one user.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Journey {
    /// Objectives and reports name it.
    #[schemars(with = "Filled")]
    pub name: Spanned<String>,
    /// How often it is chosen, against the others. Default 1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub weight: Option<Spanned<u32>>,
    /// The requests.
    #[schemars(length(min = 1))]
    pub step: Vec<Request>,
}

/// A method with a path of its own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `get`
    Get,
    /// `post`
    Post,
    /// `put`
    Put,
    /// `patch`
    Patch,
    /// `delete`
    Delete,
    /// `head`
    Head,
}

impl Method {
    /// As it stands in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
        }
    }
}

/// How a load is paced, whichever key it was written with.
#[derive(Clone, Debug, PartialEq)]
pub enum Pace<'a> {
    /// A rate, reached after a ramp.
    Rate {
        /// Requests per real second.
        rate: f64,
        /// Scenario time from zero to it.
        ramp: Duration,
        /// How arrivals are spaced.
        arrivals: Arrivals,
        /// Most requests in flight.
        max_in_flight: u32,
    },
    /// Rates one after the other.
    Stages {
        /// The stages; the last rate is kept.
        stages: &'a [Stage],
        /// How arrivals are spaced.
        arrivals: Arrivals,
        /// Most requests in flight.
        max_in_flight: u32,
    },
    /// Virtual users.
    Users(&'a Closed),
}

impl Load {
    /// How it is paced; none when nothing or several things were written (lint says so).
    #[must_use]
    pub fn pace(&self) -> Option<Pace<'_>> {
        match (&self.open, &self.closed, &self.stages) {
            (Some(open), None, None) => open.pace(),
            (None, Some(closed), None) => Some(Pace::Users(closed)),
            (None, None, Some(stages)) => {
                Some(Pace::Stages { stages, arrivals: Arrivals::default(), max_in_flight: default::MAX_IN_FLIGHT })
            }
            _ => None,
        }
    }

    /// A request's timeout in real time, as written or by default.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout.as_ref().map_or(default::TIMEOUT, |timeout| timeout.0)
    }

    /// Every request, those of journeys included.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.request.iter().chain(self.journey.iter().flat_map(|journey| &journey.step))
    }
}

impl Open {
    fn pace(&self) -> Option<Pace<'_>> {
        let max_in_flight = self.max_in_flight.unwrap_or(default::MAX_IN_FLIGHT);
        let arrivals = self.arrivals;
        match (&self.rate, &self.stages) {
            (Some(rate), None) => Some(Pace::Rate { rate: *rate.get(), ramp: self.ramp.0, arrivals, max_in_flight }),
            (None, Some(stages)) => Some(Pace::Stages { stages, arrivals, max_in_flight }),
            _ => None,
        }
    }
}

impl Request {
    /// Every method that was written, with its path.
    #[must_use]
    pub fn targets(&self) -> Vec<(Method, &Spanned<String>)> {
        let written = [
            (Method::Get, &self.get),
            (Method::Post, &self.post),
            (Method::Put, &self.put),
            (Method::Patch, &self.patch),
            (Method::Delete, &self.delete),
            (Method::Head, &self.head),
        ];
        written.into_iter().filter_map(|(method, path)| path.as_ref().map(|path| (method, path))).collect()
    }

    /// The method and path; none when nothing or several were written (lint says so).
    #[must_use]
    pub fn target(&self) -> Option<(Method, &Spanned<String>)> {
        match self.targets().as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Its weight, as written or by default.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.as_ref().map_or(default::WEIGHT, |weight| *weight.get())
    }
}

impl Journey {
    /// Its weight, as written or by default.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.as_ref().map_or(default::WEIGHT, |weight| *weight.get())
    }
}

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
