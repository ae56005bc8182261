//! What a load is: as the plan hands it over, before anything is compiled or sent. Read by `workload`, `schedule` and
//! `engine`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::target::Target;
use super::tls::{TlsError, Trust};

/// A load, complete: nothing else is needed to start it.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name; it marks the samples and the ledger.
    pub name: String,
    /// Where it goes: resolved once, the address is pinned.
    pub target: Target,
    /// What is spoken on the connections.
    pub protocol: Protocol,
    /// Whom an `https` target must be certified by.
    pub trust: Trust,
    /// The most requests at a time on one HTTP/2 connection, if the server allows as many; none: in the open model all it
    /// allows, in the closed ones 1, so that each user and each connection of the load has a connection of its own.
    pub streams: Option<NonZeroUsize>,
    /// When requests are due.
    pub model: Model,
    /// From the actual start of a request to its last byte; connecting is part of it.
    pub timeout: Duration,
    /// What is sent, by weight; together with the journeys at least one.
    pub requests: Vec<RequestTemplate>,
    /// Sequences of requests, picked by weight among the requests.
    pub journeys: Vec<Journey>,
    /// Seeds the schedule and the generators: same seed, same schedule, same requests.
    pub seed: u64,
    /// When the arrivals end by themselves; none: at [`super::Handle::stop`].
    pub lasts: Option<Duration>,
    /// So much of the beginning is sent and counted like the rest, but is in none of the measured times; it is rounded up
    /// to a slot of time.
    pub warm_up: Duration,
    /// If given, every request carries `x-request-id: <prefix><n>`, where `n` counts the started requests from 1.
    pub request_id_prefix: Option<String>,
    /// The scheduler lag (99th percentile) beyond which the generator counts as saturated.
    pub lag_limit: Duration,
    /// So many slots of time are told apart. They are 250 ms wide until there are more, and twice as wide from then on.
    pub slots: usize,
}

impl Spec {
    /// The usual limit of the scheduler lag's 99th percentile.
    pub const LAG_LIMIT: Duration = Duration::from_millis(25);

    /// The usual number of slots: 17 minutes are known to 250 ms.
    pub const SLOTS: usize = 4_096;

    /// A load with the usual timeout (10 s), a fixed seed and no end.
    #[must_use]
    pub fn new(name: impl Into<String>, target: Target, model: Model, requests: Vec<RequestTemplate>) -> Self {
        Self {
            name: name.into(),
            target,
            protocol: Protocol::Http1,
            trust: Trust::System,
            streams: None,
            model,
            timeout: Duration::from_secs(10),
            requests,
            journeys: Vec::new(),
            seed: 1,
            lasts: None,
            warm_up: Duration::ZERO,
            request_id_prefix: None,
            lag_limit: Self::LAG_LIMIT,
            slots: Self::SLOTS,
        }
    }
}

/// What is spoken on the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 with kept-alive connections.
    #[default]
    Http1,
    /// HTTP/2: agreed on with TLS (ALPN), without it by prior knowledge.
    Http2,
    /// With TLS what the server prefers of the two (ALPN), without it HTTP/1.1.
    Negotiated,
}

/// When requests are due.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// By an arrival rate, whatever the target does (the open model).
    Open {
        /// One after another; the last rate is held until the load ends.
        stages: Vec<Stage>,
        /// How arrivals are spread at a given rate.
        arrivals: Arrivals,
        /// An arrival that finds so many requests in flight is dropped, and counted as dropped.
        max_in_flight: usize,
    },
    /// Each connection sends its next request when the last one ended (the closed model, at full speed); with
    /// [`Spec::streams`] so many at a time.
    Connections {
        /// How many connections.
        count: usize,
    },
    /// Virtual users: each sends a request, waits for its answer, thinks, and goes on (the closed model).
    Users {
        /// How many users.
        count: usize,
        /// The time within which they begin, one after the other.
        ramp: Duration,
        /// From an answer to the user's next request.
        think: Duration,
    },
}

impl Model {
    /// The usual limit of requests in flight: what a target that answers nothing at all leaves in flight until the
    /// timeout (rate × timeout) and a tenth more, so that a request that is due as another expires is not dropped; at
    /// least 20, at most 10,000.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 20..=10,000 first")]
    pub fn usual_max_in_flight(rate: f64, timeout: Duration) -> usize {
        let unanswered = rate * timeout.as_secs_f64();
        (unanswered + unanswered / 10.0 + 10.0).ceil().clamp(20.0, 10_000.0) as usize
    }

    /// The most connections it can have at once.
    pub(super) const fn most_connections(&self) -> usize {
        match self {
            Self::Open { max_in_flight: count, .. } | Self::Connections { count } | Self::Users { count, .. } => *count,
        }
    }

    /// A steady rate in requests per second, evenly spread.
    #[must_use]
    pub fn steady(rate: f64, max_in_flight: usize) -> Self {
        Self::Open { stages: vec![Stage::steady(rate)], arrivals: Arrivals::Constant, max_in_flight }
    }
}

/// A stretch of time in which the arrival rate moves linearly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Requests per second at its start.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// How long it takes.
    pub over: Duration,
}

impl Stage {
    /// A rate that is there at once; as a last stage it is held.
    #[must_use]
    pub const fn steady(rate: f64) -> Self {
        Self { from: rate, to: rate, over: Duration::ZERO }
    }
}

/// How arrivals are spread at a given rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// Independently of each other: exponential gaps.
    Poisson,
}

/// A sequence of requests; it ends early at the first one that is no success.
#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    /// Its name, for messages.
    pub name: String,
    /// Its share is its weight over the sum of all, requests included.
    pub weight: u32,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// A request of a journey, and what is taken from its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The request; its weight does not matter.
    pub request: RequestTemplate,
    /// Values to take from the JSON answer, by JSON pointer; the later steps of the journey have them as placeholders. An
    /// answer without one of them is no success.
    pub capture: BTreeMap<String, String>,
}

/// A kind of request, with placeholders (`{name}`; `{{` and `}}` are braces) in path, headers and body.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestTemplate {
    /// The name objectives, ledger and reports use.
    pub name: String,
    /// Its share is its weight over the sum of all.
    pub weight: u32,
    /// The method, in capitals.
    pub method: String,
    /// The path as written, for example `/api/items/{sku}`; it is also the route in the ledger.
    pub path: String,
    /// Additional headers.
    pub headers: BTreeMap<String, String>,
    /// A JSON body. A string that is nothing but one numeric placeholder becomes a number.
    pub json: Option<serde_json::Value>,
    /// The placeholders.
    pub with: BTreeMap<String, Generator>,
    /// What the client counts as a success.
    pub expect: Checks,
}

impl RequestTemplate {
    /// A GET request named after its path, with weight 1.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            name: path.clone(),
            weight: 1,
            method: "GET".to_owned(),
            path,
            headers: BTreeMap::new(),
            json: None,
            with: BTreeMap::new(),
            expect: Checks::default(),
        }
    }
}

/// A source of values for a placeholder.
#[derive(Clone, Debug, PartialEq)]
pub enum Generator {
    /// One of these, uniformly.
    Choice(Vec<String>),
    /// A whole number, both ends included, uniformly.
    Range(i64, i64),
    /// One of these; the k-th has a probability proportional to `1 / k^exponent`.
    Zipf {
        /// 0 is uniform; 1.1 is typical of catalogues.
        exponent: f64,
        /// The values, most popular first.
        from: Vec<String>,
    },
    /// A random (version 4) UUID.
    Uuid,
    /// `from`, `from + step`, `from + 2·step` …
    Sequence {
        /// The first value.
        from: i64,
        /// What is added each time.
        step: i64,
    },
    /// The seeded values one after another, again and again.
    Seed(Vec<String>),
}

/// What the client counts as a success.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// The accepted statuses; empty: 200 to 299.
    pub status: Vec<u16>,
    /// Text the body must contain.
    pub body_contains: Option<String>,
    /// Values the JSON body must have, by JSON pointer.
    pub json: BTreeMap<String, serde_json::Value>,
}

/// Why a load could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Nothing to send.
    #[error("start load `{load}`: it has no request; add a `[[load.request]]`")]
    NoRequests {
        /// The load.
        load: String,
    },
    /// All weights are 0.
    #[error("start load `{load}`: all weights are 0, so no request can be picked; give one a positive `weight`")]
    NoWeight {
        /// The load.
        load: String,
    },
    /// Two requests of one name.
    #[error("start load `{load}`: it has two requests named `{request}`; give each a name of its own")]
    Duplicate {
        /// The load.
        load: String,
        /// The name.
        request: String,
    },
    /// A rate, count or limit that makes no sense.
    #[error("start load `{load}`: {what}")]
    Model {
        /// The load.
        load: String,
        /// What is wrong and what to try.
        what: String,
    },
    /// A request template that does not hold water.
    #[error("build request `{request}`: {what}")]
    Request {
        /// The request's name.
        request: String,
        /// What is wrong and what to try.
        what: String,
    },
    /// There is nobody to trust, or nothing to expect in a certificate.
    #[error("start load `{load}`: {source}")]
    Tls {
        /// The load.
        load: String,
        /// Why.
        source: TlsError,
    },
    /// The operating system refused what the engine needs.
    #[error("start load `{load}`: {doing}: {source}")]
    System {
        /// The load.
        load: String,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl Spec {
    /// Checks what no type expresses.
    ///
    /// # Errors
    /// When there is nothing to send, or a rate, count or limit makes no sense.
    pub fn check(&self) -> Result<(), SpecError> {
        let load = || self.name.clone();
        if self.templates().next().is_none() {
            return Err(SpecError::NoRequests { load: load() });
        }
        if self.weights().all(|weight| weight == 0) {
            return Err(SpecError::NoWeight { load: load() });
        }
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = self.templates().find(|request| !names.insert(&request.name)) {
            return Err(SpecError::Duplicate { load: load(), request: twice.name.clone() });
        }
        let wrong = |what: &str| Err(SpecError::Model { load: load(), what: what.to_owned() });
        if self.timeout.is_zero() {
            return wrong("the timeout is 0; give requests some time, for example 2s");
        }
        match &self.model {
            _ if self.lasts.is_some_and(|lasts| lasts <= self.warm_up) => {
                wrong("it does not outlast its warm-up, so nothing would be measured")
            }
            Model::Open { stages, .. } if stages.is_empty() => wrong("it has no stage; give it a rate"),
            Model::Open { stages, .. } if !stages.iter().all(Stage::is_sound) => {
                wrong("a rate is negative or not a number; use requests per second, for example 200")
            }
            Model::Open { max_in_flight: 0, .. } => wrong("max-in-flight is 0, so every request would be dropped"),
            Model::Users { count: 0, .. } => wrong("it has 0 users; give it at least 1"),
            Model::Connections { count: 0 } => wrong("it has 0 connections; give it at least 1"),
            _ if self.journeys.iter().any(|journey| journey.steps.is_empty()) => wrong("a journey has no step"),
            _ => Ok(()),
        }
    }

    /// The most requests at a time on one HTTP/2 connection, as far as it is for us to say.
    pub(super) fn most_streams(&self) -> usize {
        let usual = match self.model {
            Model::Open { .. } => usize::MAX,
            Model::Connections { .. } | Model::Users { .. } => 1,
        };
        self.streams.map_or(usual, NonZeroUsize::get)
    }

    /// All requests, those of the journeys behind the others.
    pub(super) fn templates(&self) -> impl Iterator<Item = &RequestTemplate> {
        let steps = self.journeys.iter().flat_map(|journey| &journey.steps);
        self.requests.iter().chain(steps.map(|step| &step.request))
    }

    /// The weights of the requests and of the journeys behind them.
    pub(super) fn weights(&self) -> impl Iterator<Item = u32> {
        self.requests.iter().map(|request| request.weight).chain(self.journeys.iter().map(|journey| journey.weight))
    }
}

impl Stage {
    fn is_sound(&self) -> bool {
        [self.from, self.to].iter().all(|rate| rate.is_finite() && *rate >= 0.0)
    }
}
