//! One HTTP question with a deadline and a size limit. Used by every client in `telemetry`, and directly for the
//! exposition of any target. It follows no redirect (B56), uses no proxy and retries only where it is told to (B58).

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http_body_util::{BodyExt as _, Full};
use reqwest::{Method, Url};
use serde_json::Value;

use super::Error;
use super::document::excerpt;
use crate::clock;

mod scrape;

use crate::trust::{self, Trust};
pub use scrape::{Accept, exposition, exposition_as};

pub use crate::trust::Credentials;

/// Longer parameters go into the body of a POST (B34).
const LONGEST_QUERY_STRING: usize = 3000;
/// Wait between attempts when the server does not say how long.
const PAUSE_BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);
/// The content type of remote read and remote write.
const PROTOBUF: &str = "application/x-protobuf";

/// How a server is asked.
#[derive(Clone)]
pub struct Settings {
    /// Longest time for one attempt, from connecting to the last byte (B48).
    pub deadline: Duration,
    /// Longest answer in bytes (B51).
    pub limit: usize,
    /// What is sent to be let in.
    pub credentials: Credentials,
    /// Whom to trust, for `https://`.
    pub trust: Option<Trust>,
    /// Whether a question is asked again.
    pub retry: Retry,
}

impl Default for Settings {
    fn default() -> Self {
        let (deadline, limit) = (Duration::from_secs(5), 64 << 20);
        Self { deadline, limit, credentials: Credentials::None, trust: None, retry: Retry::Never }
    }
}

/// Whether a question that met 429, 503 or no connection is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Asked once.
    Never,
    /// Asked again until this much time has gone since the first attempt; honours `Retry-After`.
    Within(Duration),
}

/// A server at a base address.
#[derive(Clone)]
pub struct Endpoint {
    base: Url,
    client: reqwest::Client,
    settings: Settings,
}

/// A complete answer with a status below 400 and not a redirect.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Address asked, without credentials and parameters.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
    /// When the last attempt was sent.
    pub sent: Instant,
    /// When its last byte was read.
    pub received: Instant,
    /// Attempts before the one that was answered.
    pub retries: u32,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the line and column of the first byte that is no JSON.
    pub fn json(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Malformed {
            url: self.url.clone(),
            path: "$".to_owned(),
            message: format!("not JSON: {error}; it begins with `{}`", self.beginning()),
        })
    }

    /// The body as text; bytes that are no UTF-8 are shown as U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn beginning(&self) -> String {
        excerpt(&String::from_utf8_lossy(&self.body[..self.body.len().min(400)]), 80)
    }
}

impl Endpoint {
    /// An endpoint at `base`, for example `http://127.0.0.1:9090` or with a path prefix.
    ///
    /// # Errors
    /// [`Error::Address`] when it is no `http://` address, or `https://` without anybody to trust.
    pub fn new(base: &str, settings: Settings) -> Result<Self, Error> {
        let wrong = |message: &str| Error::Address { address: base.to_owned(), message: message.to_owned() };
        let mut url = Url::parse(base).map_err(|error| wrong(&error.to_string()))?;
        match (url.scheme(), &settings.trust) {
            ("http", _) | ("https", Some(_)) => {}
            ("https", None) => return Err(wrong("TLS needs a file with the authority to trust (`ca`)")),
            _ => return Err(wrong("it is neither http:// nor https://")),
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| wrong(&error.to_string()))?;
        Ok(Self { base: url, client, settings })
    }

    /// The base address without credentials.
    #[must_use]
    pub fn base(&self) -> String {
        shown(&self.base)
    }

    /// GET of a path relative to the base.
    ///
    /// # Errors
    /// See [`Error`]; a status of 300 or more is [`Error::Auth`] or [`Error::Refused`].
    pub async fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Reply, Error> {
        let url = self.address(path, parameters)?;
        self.ask(Method::GET, url, None).await
    }

    /// GET in the format that is asked for.
    ///
    /// # Errors
    /// See [`Endpoint::get`].
    pub async fn get_as(&self, path: &str, accept: Accept) -> Result<Reply, Error> {
        let url = self.address(path, &[])?;
        let question = Question { method: Method::GET, headers: vec![(ACCEPT, accept.header())], body: Vec::new() };
        self.attempt(&url, &question).await.map_err(|(error, _)| error)
    }

    /// GET, or POST of a form when the parameters are long; for the query endpoints that take both.
    ///
    /// # Errors
    /// See [`Endpoint::get`].
    pub async fn query(&self, path: &str, parameters: &[(&str, String)]) -> Result<Reply, Error> {
        let url = self.address(path, parameters)?;
        let form = url.query().unwrap_or_default().to_owned();
        if form.len() <= LONGEST_QUERY_STRING {
            return self.ask(Method::GET, url, None).await;
        }
        let body = (form.into_bytes(), "application/x-www-form-urlencoded");
        self.ask(Method::POST, self.address(path, &[])?, Some(body)).await
    }

    /// POST of a JSON document.
    ///
    /// # Errors
    /// See [`Endpoint::get`].
    pub async fn post(&self, path: &str, document: &Value) -> Result<Reply, Error> {
        let body = (document.to_string().into_bytes(), "application/json");
        self.ask(Method::POST, self.address(path, &[])?, Some(body)).await
    }

    /// POST of a protocol buffer compressed with snappy, as remote read and remote write speak it.
    ///
    /// # Errors
    /// See [`Endpoint::get`].
    pub async fn post_snappy(&self, path: &str, body: Vec<u8>) -> Result<Reply, Error> {
        self.ask(Method::POST, self.address(path, &[])?, Some((body, PROTOBUF))).await
    }

    /// The same server with another deadline and limit.
    #[must_use]
    pub fn patient(&self, deadline: Duration, limit: usize) -> Self {
        Self { settings: Settings { deadline, limit, ..self.settings.clone() }, ..self.clone() }
    }

    /// DELETE.
    ///
    /// # Errors
    /// See [`Endpoint::get`].
    pub async fn delete(&self, path: &str) -> Result<Reply, Error> {
        self.ask(Method::DELETE, self.address(path, &[])?, None).await
    }

    fn address(&self, path: &str, parameters: &[(&str, String)]) -> Result<Url, Error> {
        let relative = path.trim_start_matches('/');
        let mut url = self.base.join(relative).map_err(|error| Error::Address {
            address: format!("{}{relative}", self.base()),
            message: error.to_string(),
        })?;
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        Ok(url)
    }

    async fn ask(&self, method: Method, url: Url, body: Option<(Vec<u8>, &'static str)>) -> Result<Reply, Error> {
        let began = clock::instant();
        let question = Question::new(method, body);
        let mut retries = 0;
        loop {
            let attempt = self.attempt(&url, &question).await;
            let (error, wait) = match attempt {
                Ok(reply) => return Ok(Reply { retries, ..reply }),
                Err((error, wait)) => (error, wait),
            };
            match (self.settings.retry, wait) {
                (Retry::Within(budget), Some(wait)) if clock::instant().duration_since(began) + wait < budget => {
                    tokio::time::sleep(wait).await;
                    retries += 1;
                }
                _ => return Err(error),
            }
        }
    }

    /// Sends the question and gives the beginning of the answer.
    async fn send(&self, url: &Url, question: &Question) -> Result<Response, Error> {
        let Question { method, headers, body } = question.clone();
        let authorization = self.settings.credentials.header();
        if let (Some(trust), "https") = (&self.settings.trust, url.scheme()) {
            let mut request = http::Request::builder().method(method).uri(url.as_str());
            request = authorization.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value));
            request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            let failed = |message: String| Error::Unreachable { url: shown(url), message };
            let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(error.to_string()))?;
            return trust::ask(trust, request).await.map(Response::Secured).map_err(failed);
        }
        let mut request = self.client.request(method, url.clone());
        request = authorization.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value));
        request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = if body.is_empty() { request } else { request.body(body) };
        request.send().await.map(Response::Plain).map_err(|error| unreachable(url, &error))
    }

    /// One attempt; the error carries how long to wait before another one could help.
    async fn attempt(&self, url: &Url, question: &Question) -> Result<Reply, (Error, Option<Duration>)> {
        let sent = clock::instant();
        let limit = self.settings.limit;
        let answer = async {
            let asked = self.send(url, question).await;
            let response = asked.map_err(|error| (error, Some(PAUSE_BETWEEN_ATTEMPTS)))?;
            let status = response.status();
            let wait = retry_after(&response);
            let body = read_limited(response, url, limit).await.map_err(|error| (error, None))?;
            Ok((status, wait, body))
        };
        let Ok(answer) = tokio::time::timeout(self.settings.deadline, answer).await else {
            let message = format!("no complete answer within {:?}", self.settings.deadline);
            return Err((Error::Unreachable { url: shown(url), message }, None));
        };
        let (status, wait, body) = answer?;
        let reply = Reply { url: shown(url), status, body, sent, received: clock::instant(), retries: 0 };
        if (200..300).contains(&status) { Ok(reply) } else { Err((refusal(&reply), wait)) }
    }
}

/// What is sent, but for the address and who asks.
#[derive(Clone)]
struct Question {
    method: Method,
    headers: Vec<(HeaderName, &'static str)>,
    body: Vec<u8>,
}

impl Question {
    fn new(method: Method, body: Option<(Vec<u8>, &'static str)>) -> Self {
        let Some((body, kind)) = body else { return Self { method, headers: Vec::new(), body: Vec::new() } };
        let mut headers = vec![(CONTENT_TYPE, kind)];
        if kind == PROTOBUF {
            headers.extend([
                (CONTENT_ENCODING, "snappy"),
                (HeaderName::from_static("x-prometheus-remote-read-version"), "0.1.0"),
                (HeaderName::from_static("x-prometheus-remote-write-version"), "0.1.0"),
            ]);
        }
        Self { method, headers, body }
    }
}

/// The address without credentials and parameters, both of which can be secrets.
fn shown(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn unreachable(url: &Url, error: &reqwest::Error) -> Error {
    let mut message = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = cause.to_string();
        source = cause.source();
    }
    if message.is_empty() {
        message = error.to_string();
    }
    Error::Unreachable { url: shown(url), message }
}

fn refusal(reply: &Reply) -> Error {
    let url = reply.url.clone();
    match reply.status {
        status @ (401 | 403) => Error::Auth { url, status },
        status => Error::Refused { url, status, body: excerpt(reply.text().trim(), 2000) },
    }
}

/// The beginning of an answer.
enum Response {
    Plain(reqwest::Response),
    Secured(trust::Answer),
}

impl Response {
    fn status(&self) -> u16 {
        match self {
            Self::Plain(response) => response.status().as_u16(),
            Self::Secured(answer) => answer.response.status().as_u16(),
        }
    }

    fn headers(&self) -> &http::HeaderMap {
        match self {
            Self::Plain(response) => response.headers(),
            Self::Secured(answer) => answer.response.headers(),
        }
    }

    /// The next bytes of the body; none at its end. The error is in words.
    async fn chunk(&mut self, url: &Url) -> Result<Option<Bytes>, String> {
        match self {
            Self::Plain(response) => response.chunk().await.map_err(|error| match unreachable(url, &error) {
                Error::Unreachable { message, .. } => message,
                other => other.to_string(),
            }),
            Self::Secured(answer) => loop {
                let Some(frame) = answer.response.body_mut().frame().await else { return Ok(None) };
                match frame.map_err(|error| error.to_string())?.into_data() {
                    Ok(bytes) => return Ok(Some(bytes)),
                    Err(_trailers) => {}
                }
            },
        }
    }
}

/// How long to wait when asking again can help: 429 and 503.
fn retry_after(response: &Response) -> Option<Duration> {
    if !matches!(response.status(), 429 | 503) {
        return None;
    }
    let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Some(seconds.map_or(PAUSE_BETWEEN_ATTEMPTS, Duration::from_secs))
}

async fn read_limited(mut response: Response, url: &Url, limit: usize) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    loop {
        let chunk = response.chunk(url).await.map_err(|message| Error::Unreachable {
            url: shown(url),
            message: format!("the answer broke off after {} bytes: {message}", body.len()),
        })?;
        let Some(chunk) = chunk else { return Ok(body.freeze()) };
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLarge { url: shown(url), limit });
        }
        body.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests;
