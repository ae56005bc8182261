//! Traffic as written.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::generator::Generator;
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
    /// The version of HTTP. Default `1.1`.
    #[serde(default)]
    pub http: Http,
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
    /// A request that finds this many in flight is not sent but counted as dropped. Default: what a silent service would pile up, rate × timeout and a tenth, at most 10000.
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

/// The version of HTTP; without TLS `2` is spoken by prior knowledge, and `auto` is what an `https` service prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Http {
    /// One request at a time on a connection.
    #[default]
    #[serde(rename = "1.1")]
    One,
    /// As many at a time on a connection as the service allows.
    #[serde(rename = "2")]
    Two,
    /// What an `https` service prefers; without TLS 1.1.
    #[serde(rename = "auto")]
    Auto,
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expected {
    /// These status codes; none means any 2xx.
    #[serde(default)]
    #[schemars(inner(range(min = 100, max = 599)))]
    pub status: Vec<u16>,
    /// The body contains this text.
    #[schemars(with = "Option<Filled>")]
    pub contains: Option<Spanned<String>>,
    /// The JSON body has these values, by JSON pointer.
    #[serde(default)]
    pub json: BTreeMap<String, Spanned<Value>>,
}

impl Expected {
    /// The first thing that is asked of the body, if any is.
    pub fn of_the_body(&self) -> Option<std::ops::Range<usize>> {
        let contains = self.contains.as_ref().map(Spanned::span);
        contains.or_else(|| self.json.values().next().map(Spanned::span))
    }
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
        max_in_flight: Option<u32>,
    },
    /// Rates one after the other.
    Stages {
        /// The stages; the last rate is kept.
        stages: &'a [Stage],
        /// How arrivals are spaced.
        arrivals: Arrivals,
        /// Most requests in flight.
        max_in_flight: Option<u32>,
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
                Some(Pace::Stages { stages, arrivals: Arrivals::default(), max_in_flight: None })
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
        let max_in_flight = self.max_in_flight;
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
