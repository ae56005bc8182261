//! A service's own fault switches: one HTTP request to inject, one to undo, one to probe. Which requests is said in
//! `stack.toml`; what the probe's answer means is said there too, as JSON pointers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Probe;

const DEADLINE: Duration = Duration::from_secs(2);

/// A request of a switch, addresses and parameters filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `GET`, `PUT`, `POST`, `PATCH` or `DELETE`.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// The JSON body, if there is one.
    pub json: Option<Value>,
}

/// A switch, ready to be thrown.
#[derive(Clone, Debug, PartialEq)]
pub struct Switch {
    /// Injects.
    pub inject: Request,
    /// Undoes.
    pub undo: Request,
    /// Asks for the state.
    pub probe: Request,
    /// JSON pointer into the probe's answer: present (and not null or false) while the fault is on.
    pub active: String,
    /// JSON pointer to a counter of how often the fault has hit; where given, it has to grow before the fault is proved.
    pub hits: Option<String>,
}

/// Why a switch could not be thrown or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer.
    #[error("{method} {url}: no answer")]
    Unreachable {
        /// The method.
        method: String,
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that is not a success.
    #[error("{method} {url}: answered {status}: {body}")]
    Refused {
        /// The method.
        method: String,
        /// The URL.
        url: String,
        /// The status.
        status: u16,
        /// The answer's first 300 characters.
        body: String,
    },
    /// The probe's answer is not JSON.
    #[error("{url}: the probe's answer is not JSON")]
    NotJson {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Throws the switch.
///
/// # Errors
/// When the service does not answer or refuses.
pub async fn inject(switch: &Switch) -> Result<(), Error> {
    send(&switch.inject).await.map(drop)
}

/// Undoes it.
///
/// # Errors
/// When the service does not answer or refuses.
pub async fn revert(switch: &Switch) -> Result<(), Error> {
    send(&switch.undo).await.map(drop)
}

/// Asks whether the fault is on, and whether it has hit more often than `before`.
///
/// # Errors
/// When the service does not answer, refuses, or answers with something that is not JSON.
pub async fn probe(switch: &Switch, before: u64) -> Result<Probe, Error> {
    let body = send(&switch.probe).await?;
    let state: Value =
        serde_json::from_str(&body).map_err(|source| Error::NotJson { url: switch.probe.url.clone(), source })?;
    Ok(read(switch, before, &state))
}

/// How often the fault has hit so far; 0 where the service does not say.
pub async fn hits(switch: &Switch) -> u64 {
    let Some(pointer) = &switch.hits else { return 0 };
    let Ok(body) = send(&switch.probe).await else { return 0 };
    serde_json::from_str::<Value>(&body).ok().and_then(|state| state.pointer(pointer)?.as_u64()).unwrap_or(0)
}

fn read(switch: &Switch, before: u64, state: &Value) -> Probe {
    let active = state.pointer(&switch.active).filter(|value| !matches!(value, Value::Null | Value::Bool(false)));
    let Some(active) = active else {
        return Probe::Absent(format!("{} shows nothing at {}", switch.probe.url, switch.active));
    };
    let Some(pointer) = &switch.hits else {
        return Probe::Bites(format!("the service reports {active}"));
    };
    match state.pointer(pointer).and_then(Value::as_u64) {
        Some(hits) if hits > before => {
            Probe::Bites(format!("the service reports {active}; it has hit {} times", hits - before))
        }
        _ => Probe::Absent(format!("the service reports {active}, and it has not hit yet")),
    }
}

async fn send(request: &Request) -> Result<String, Error> {
    let (method, url) = (request.method.clone(), request.url.clone());
    let unreachable = |source| Error::Unreachable { method: request.method.clone(), url: request.url.clone(), source };
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE)
        .build()
        .map_err(unreachable)?;
    let verb = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or(reqwest::Method::GET);
    let mut builder = client.request(verb, &url);
    if let Some(json) = &request.json {
        builder = builder.json(json);
    }
    let answer = builder.send().await.map_err(unreachable)?;
    let status = answer.status();
    let body = answer.text().await.map_err(unreachable)?;
    if status.is_success() {
        return Ok(body);
    }
    let body = body.chars().take(300).collect();
    Err(Error::Refused { method, url, status: status.as_u16(), body })
}

/// Fills `{parameter}` in a JSON template. A string that is nothing but one placeholder takes the parameter's own type;
/// keys whose placeholder has no parameter are left out, so that a switch's optional parameters stay optional.
#[must_use]
pub fn fill(template: &Value, parameters: &BTreeMap<String, Value>) -> Option<Value> {
    match template {
        Value::String(text) => fill_text(text, parameters),
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(|item| fill(item, parameters)).collect())),
        Value::Object(fields) => Some(Value::Object(
            fields.iter().filter_map(|(key, value)| Some((key.clone(), fill(value, parameters)?))).collect(),
        )),
        other => Some(other.clone()),
    }
}

fn fill_text(text: &str, parameters: &BTreeMap<String, Value>) -> Option<Value> {
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return parameters.get(name).cloned();
    }
    let filled = parameters.iter().fold(text.to_owned(), |text, (name, value)| {
        let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.replace(&format!("{{{name}}}"), &plain)
    });
    Some(Value::String(filled))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn switch() -> Switch {
        let request = Request { method: "GET".into(), url: "http://127.0.0.1:1/faults".into(), json: None };
        Switch {
            inject: request.clone(),
            undo: request.clone(),
            probe: request,
            active: "/errors".into(),
            hits: Some("/errors/hits".into()),
        }
    }

    #[test]
    fn a_switch_that_is_on_and_has_not_hit_is_not_proved() {
        let seen = |state| read(&switch(), 3, &state).bites();
        assert!(seen(json!({"errors": {"share": 0.5, "hits": 4}})));
        assert!(!seen(json!({"errors": {"share": 0.5, "hits": 3}})), "the hits are older than the injection");
        assert!(!seen(json!({"errors": null})));
        assert!(!seen(json!({})));
    }

    #[test]
    fn a_template_keeps_types_and_drops_what_was_not_given() {
        let parameters = BTreeMap::from([("share".to_owned(), json!(0.5)), ("status".to_owned(), json!(503))]);
        let template =
            json!({"errors": {"share": "{share}", "status": "{status}", "route": "{route}", "note": "s{status}"}});
        assert_eq!(
            fill(&template, &parameters).unwrap(),
            json!({"errors": {"share": 0.5, "status": 503, "note": "s503"}})
        );
    }

    #[tokio::test]
    async fn a_switch_nobody_listens_at_is_an_error_not_an_absence() {
        assert!(matches!(probe(&switch(), 0).await, Err(Error::Unreachable { .. })));
    }
}
