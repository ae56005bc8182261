//! Bodies as they come in: JSON, bounded in size and time, refused with the right status and a sentence that helps.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::Problem;

/// How big a body may be, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// In bytes.
    pub size: usize,
    /// From the head of the request to the body's end.
    pub deadline: Duration,
}

/// Reads a JSON body.
///
/// # Errors
/// 415 when it does not say that it is JSON, 413 when it is too big, 408 when it is too slow, 400 when it is not what is
/// expected.
pub async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Body, limits: BodyLimits) -> Result<T, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "send the body as application/json"));
    }
    let collecting = Limited::new(body, limits.size).collect();
    let collected = tokio::time::timeout(limits.deadline, collecting).await.map_err(|_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            format!("the body did not arrive within {:?}", limits.deadline),
        )
    })?;
    let bytes = collected.map_err(|error| refuse(error.as_ref(), limits.size))?.to_bytes();
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request(format!("the body is not what is expected: {error}")))
}

/// A whole number as JSON Schema understands it: `3.0` is one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole(pub i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Whole, E> {
        Ok(Whole(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Whole, E> {
        i64::try_from(value).map(Whole).map_err(|_| E::custom("the number is too big"))
    }

    #[expect(clippy::cast_possible_truncation, reason = "whole and small enough was checked before")]
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Whole, E> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() <= EXACT {
            Ok(Whole(value as i64))
        } else {
            Err(E::custom("the number is not a whole one, or too big"))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media.and_then(|media| media.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn refuse(error: &(dyn std::error::Error + 'static), size: usize) -> Problem {
    if error.downcast_ref::<LengthLimitError>().is_some() {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-big",
            format!("the body may be at most {size} bytes"),
        );
    }
    Problem::bad_request(format!("the body did not arrive whole: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        let whole = |text: &str| serde_json::from_str::<Whole>(text).ok().map(|Whole(number)| number);
        assert_eq!([whole("3"), whole("3.0"), whole("-3e2"), whole("0.0")], [Some(3), Some(3), Some(-300), Some(0)]);
        for text in ["3.5", "1e300", "18446744073709551615", "\"3\"", "null", "true", "[3]"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
