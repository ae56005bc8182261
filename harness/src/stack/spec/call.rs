//! Requests that `stack.toml` writes down: the seeding, the probes, and the service's own fault switches. Read with the
//! other tables; sent by `run` and the providers.

use serde::Deserialize;

use super::template::Template;

/// An HTTP request: exactly one method with its URL, and a body.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawCall")]
pub struct Call {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: Method,
    /// The URL.
    pub url: Template,
    /// The body; `{word}` in its strings is filled in, a string that is nothing but `{word}` becomes the value itself.
    pub json: Option<serde_json::Value>,
    /// The status it has to answer with; the default is any 2xx.
    pub status: Option<u16>,
    /// Text its body has to contain.
    pub contains: Option<String>,
    /// For probes of switches: JSON pointer that is there (not null, not false) while the fault is on; default `/<switch>`.
    pub active: Option<String>,
    /// For probes of switches: JSON pointer to a counter of how often the fault has hit; it has to grow to prove the fault.
    pub hits: Option<String>,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

impl Method {
    /// The method as HTTP writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One of the service's own fault switches: the request to inject, to undo, to probe.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawSwitch")]
pub struct Switch {
    /// The request that injects it.
    pub inject: Call,
    /// The request that undoes it.
    pub undo: Call,
    /// The request that shows it.
    pub probe: Option<Call>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawCall {
    get: Option<Template>,
    post: Option<Template>,
    put: Option<Template>,
    patch: Option<Template>,
    delete: Option<Template>,
    json: Option<serde_json::Value>,
    status: Option<u16>,
    contains: Option<String>,
    active: Option<String>,
    hits: Option<String>,
}

impl TryFrom<RawCall> for Call {
    type Error = &'static str;
    fn try_from(raw: RawCall) -> Result<Self, Self::Error> {
        let methods = [
            (Method::Get, raw.get),
            (Method::Post, raw.post),
            (Method::Put, raw.put),
            (Method::Patch, raw.patch),
            (Method::Delete, raw.delete),
        ];
        let mut given = methods.into_iter().filter_map(|(method, url)| Some((method, url?)));
        match (given.next(), given.next()) {
            (Some((method, url)), None) => Ok(Self {
                method,
                url,
                json: raw.json,
                status: raw.status,
                contains: raw.contains,
                active: raw.active,
                hits: raw.hits,
            }),
            _ => Err("a request has exactly one of `get`, `post`, `put`, `patch`, `delete`"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawSwitch {
    get: Option<Template>,
    post: Option<Template>,
    put: Option<Template>,
    patch: Option<Template>,
    delete: Option<Template>,
    json: Option<serde_json::Value>,
    status: Option<u16>,
    contains: Option<String>,
    undo: Call,
    probe: Option<Call>,
}

impl TryFrom<RawSwitch> for Switch {
    type Error = &'static str;
    fn try_from(raw: RawSwitch) -> Result<Self, Self::Error> {
        let RawSwitch { get, post, put, patch, delete, json, status, contains, undo, probe } = raw;
        let (active, hits) = (None, None);
        let inject = RawCall { get, post, put, patch, delete, json, status, contains, active, hits }.try_into()?;
        Ok(Self { inject, undo, probe })
    }
}
